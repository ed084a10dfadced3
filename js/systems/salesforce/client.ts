/// <reference lib="esnext.disposable" preserve="true" />
/** Clients of the Streaming API of Salesforce. `src/salesforce` implements the protocol. */
import { isLoopback } from "../../client/loopback.js";
import { checkBareToken, checkedUrl, type HeadersOption } from "../../client/options.js";
import { HIDDEN, mustBe } from "../../engine/messages.js";
import { STREAM_INPUTS, STREAM_TEXT_INPUTS, type StreamPort } from "../../engine/ports.js";
import { streamFetch } from "../bayeux/fetch.js";
import { checkStreamOptions, type StreamOptions, streamConfig } from "../bayeux/options.js";
import type { StreamMessage } from "../bayeux/message.js";
import { Stream } from "../bayeux/stream.js";
import type { StreamSystem } from "../bayeux/stream-system.js";
import type {
  MessageListener,
  StreamClient,
  StreamEvents,
  StreamState,
  StreamTransport,
  Subscription,
} from "../bayeux/stream-types.js";
import { detailsOf, PASSWORD_NAMES, type PasswordOptions, passwordAuth, type SalesforceAuth } from "./auth.js";
import { checkPolicy, type ReplayStorage, startPosition } from "./replay.js";
import { ReplayTracker } from "./replay-tracker.js";
import { signJwt } from "./sign-jwt.js";
import type { AddEventListenerOptions, EventListenerOrEventListenerObject } from "../../platform/web-types.js";

/** Options of a client of Salesforce. */
export interface SalesforceOptions extends StreamOptions {
  /**
   * Where channels start: `"new"` with events from now on, `"all"` with everything that the server still has (one day,
   * or three), a replay id behind that event, a storage behind the stored replay id. After the first event, a reconnect
   * skips nothing in all cases. @default "new"
   */
  replay?: "new" | "all" | number | string | ReplayStorage;
  /**
   * Where a channel starts if the server no longer has its replay id. The client reports a `replay_gap` then.
   *
   * @default none: `subscribe` rejects with `ERR_GONE`
   */
  replayFallback?: "new" | "all";
  /** Version of the Streaming API, 37.0 or later. @default "68.0" */
  apiVersion?: string;
  /**
   * URL of another streaming endpoint, such as a proxy, with its whole path: `…/cometd/68.0`.
   *
   * @default the instance that the login returns
   */
  streamingUrl?: string | URL;
  /**
   * Further instances that may receive the token of a login: URLs, or host names, in which `*.` stands for all hosts
   * under a domain. After a login over https, the token goes only over https, and only to the host of the login, to
   * hosts under the domains of Salesforce, and to these. Each one you add can read and act as the user.
   *
   * @default none
   */
  allowedInstances?: readonly string[];
}

/** Options of a client that logs in with user name and password. */
export interface SalesforceStreamingOptions extends SalesforceOptions, PasswordOptions {}

const NAMES = ["replay", "replayFallback", "apiVersion", "streamingUrl", "allowedInstances"];
const API_VERSION = "68.0";

/**
 * Receives the events of Salesforce: PushTopic, generic, platform and change events.
 *
 * @example
 * const auth = jwtBearerAuth({ consumerKey, username, privateKey });
 * await using client = new SalesforceClient(auth, { replay: replayStore(fileStore("positions")) });
 * await client.open();
 * await client.subscribe("/event/Order__e");
 * for await (const message of client) console.log(message.replayId, message.data);
 */
export class SalesforceClient extends EventTarget implements StreamClient {
  readonly #stream: Stream;
  #credentials: SalesforceCredentials | undefined;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  constructor(auth: SalesforceAuth, options: SalesforceOptions = {}) {
    checkStreamOptions("a SalesforceClient", options, NAMES);
    const { config, privateKey, accessToken, onRefreshToken } = detailsOf(auth);
    const { replay = "new", replayFallback, apiVersion = API_VERSION, streamingUrl, allowedInstances = [] } = options;
    const storage = isStorage(replay) ? replay : undefined;
    if (replayFallback !== undefined && replayFallback !== "new" && replayFallback !== "all")
      throw mustBe("replayFallback", '"new" or "all"', replayFallback);
    if (typeof apiVersion !== "string" || !/^\d+\.\d+$/.test(apiVersion))
      throw mustBe("apiVersion", 'a version such as "68.0"', apiVersion);
    checkPolicy(storage?.policy);
    const start = startPosition(storage ? (storage.initial ?? "new") : replay, storage ? "replay.initial" : "replay");
    const endpoint = streamingUrl === undefined ? undefined : checkedUrl(streamingUrl, "streamingUrl");
    checkInstances(allowedInstances);
    if (endpoint !== undefined) checkEndpoint(endpoint, config);
    const tracker = storage && new ReplayTracker(storage, storage.policy ?? "automatic");
    super();
    const system: StreamSystem = {
      driver: {
        config: () => ({
          ...streamConfig(options),
          ...config,
          replayStart: start,
          replayFallback: replayFallback && startPosition(replayFallback, "replayFallback"),
          apiVersion,
          endpoint,
          allowedInstances: allowedInstances.join(" "),
        }),
        fetch: streamFetch(options.fetch, options.credentials),
        headers: options.headers as HeadersOption | undefined,
        makeSocket: undefined,
        extensions: undefined,
        login: (send) => ({
          granted: (authorization, instanceUrl, issuedAt) => {
            const token = authorization.replace(/^\S+ /, "");
            this.#credentials = new SalesforceCredentials(token, instanceUrl, issuedAt);
          },
          // The engine asks for a signature only in the JWT bearer flow.
          sign: (claims) => {
            signJwt(claims, privateKey!).then(
              (assertion) => send((port, now) => port.input_texts(STREAM_TEXT_INPUTS.signed, now, assertion, "")),
              () => send((port, now) => port.input(STREAM_INPUTS.notSigned, now)),
            );
          },
          refresh_token: (refreshToken) => {
            const told = async () => onRefreshToken?.(refreshToken);
            told().catch((error: unknown) => this.#stream.reportError(error));
          },
        }),
      },
      listener: {
        // The engine asks for a token only with `tokenAuth`.
        credentials: async (renew) => checkedToken(await accessToken!({ renew })),
      },
      signal: options.signal,
      onRetry: options.onRetry,
      ...(tracker && {
        prepareSubscription: async (channel: string) => {
          const id = await tracker.find(channel);
          if (id === undefined) return undefined;
          return (port: StreamPort, now: number) =>
            void port.input_texts(STREAM_TEXT_INPUTS.setReplayId, now, channel, id);
        },
        beforeReceive: (message) => tracker.beforeReceive(message),
        afterListeners: (message) => tracker.afterListeners(message),
        ack: (message) => tracker.ack(message),
        flush: () => tracker.flush(),
      }),
      // `/event/Order__e` becomes com.salesforce.event.Order__e.
      eventTypeOf: (channel) => `com.salesforce${channel.replace(/\//g, ".")}`,
    };
    this.#stream = new Stream(system, this);
  }

  /**
   * What the last login has brought, for requests of your own to the same instance; undefined before the first login.
   */
  get credentials(): SalesforceCredentials | undefined {
    return this.#credentials;
  }

  /** State of the connection. */
  get state(): StreamState {
    return this.#stream.state;
  }

  /** The transport in use, while connected. */
  get transport(): StreamTransport | undefined {
    return this.#stream.transport;
  }

  /** Whether the client has ended. */
  get closed(): boolean {
    return this.#stream.closed;
  }

  /** The subscribed channels. */
  get subscriptions(): ReadonlySet<string> {
    return this.#stream.subscriptions;
  }

  /** How many messages wait to be received or handled. */
  get pendingCount(): number {
    return this.#stream.pendingCount;
  }

  /** Whether `pendingCount` is above 0. */
  get hasPendingMessages(): boolean {
    return this.pendingCount > 0;
  }

  /** Connects, see {@link StreamClient.open}. */
  open(options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#stream.open(options);
  }

  /** Disconnects and ends the client, see {@link StreamClient.close}. */
  close(): Promise<void> {
    return this.#stream.close();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Checks the connection, see {@link StreamClient.probe}. */
  probe(): Promise<void> {
    return this.#stream.probe();
  }

  /** Subscribes to a channel, or to several, see {@link StreamClient.subscribe}. */
  subscribe<T = unknown>(channel: string, listener?: MessageListener<T>): Promise<Subscription>;
  subscribe<T = unknown>(channels: readonly string[], listener?: MessageListener<T>): Promise<Subscription[]>;
  subscribe<T = unknown>(
    channels: string | readonly string[],
    listener?: MessageListener<T>,
  ): Promise<Subscription | Subscription[]> {
    return this.#stream.subscribe(channels, listener);
  }

  /** Ends all subscriptions to a channel, see {@link StreamClient.unsubscribe}. */
  unsubscribe(channel: string): Promise<void> {
    return this.#stream.unsubscribe(channel);
  }

  /** Always rejects: the Streaming API accepts no events, see {@link StreamClient.publish}. */
  publish(channel: string, data: unknown): Promise<void> {
    return this.#stream.publish(channel, data);
  }

  /** Takes the next message from the inbox, see {@link StreamClient.receive}. */
  receive(options: { signal?: AbortSignal } = {}): Promise<StreamMessage> {
    return this.#stream.receive(options);
  }

  /** The messages of the inbox, until the client is closed. */
  [Symbol.asyncIterator](): AsyncGenerator<StreamMessage, void, undefined> {
    return this.#stream.messages();
  }

  override addEventListener<K extends keyof StreamEvents>(
    type: K,
    listener: (event: StreamEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    this.#stream.observe(type);
    super.addEventListener(type, listener, options);
  }
}

/** An access token and where it is valid. It shows the token to code that asks for it, not to logs. */
export class SalesforceCredentials {
  readonly #accessToken: string;
  /** The URL of the instance. */
  readonly instanceUrl: string;
  /** When the token was issued. */
  readonly issuedAt: Date;

  /** @internal */
  constructor(accessToken: string, instanceUrl: string, issuedAt: number) {
    this.#accessToken = accessToken;
    this.instanceUrl = instanceUrl;
    this.issuedAt = new Date(issuedAt);
  }

  /** The access token. */
  get accessToken(): string {
    return this.#accessToken;
  }
}

/** A client that logs in with user name and password, with the options of the Python package `aiosfstream`. */
export class SalesforceStreamingClient extends SalesforceClient {
  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  constructor(options: SalesforceStreamingOptions) {
    checkStreamOptions("a SalesforceStreamingClient", options, [...NAMES, ...PASSWORD_NAMES]);
    const streamOptions: Record<string, unknown> = { ...options };
    const login: Record<string, unknown> = {};
    for (const name of PASSWORD_NAMES) {
      if (streamOptions[name] !== undefined) login[name] = streamOptions[name];
      delete streamOptions[name];
    }
    super(passwordAuth(login as unknown as PasswordOptions), streamOptions as SalesforceOptions);
  }
}

function checkedToken(token: unknown): string {
  if (typeof token !== "string" || token === "")
    throw mustBe("the result of accessToken", "a non-empty string", HIDDEN);
  checkBareToken("the result of accessToken", token);
  return token;
}

function checkInstances(instances: unknown): void {
  const isGood = (entry: unknown) => typeof entry === "string" && /^(https:\/\/|\*\.)?[\w.-]+(:\d+)?\/?$/.test(entry);
  if (!Array.isArray(instances) || !instances.every(isGood))
    throw mustBe("allowedInstances", 'an array of https URLs and host names, such as "crm.example.com"', instances);
}

/** The token of a login over https must not leave the machine without encryption. */
function checkEndpoint(endpoint: string, { tokenUrl, instanceUrl }: Record<string, unknown>): void {
  const { protocol, hostname } = new URL(endpoint);
  const isSecret = String(tokenUrl ?? instanceUrl).startsWith("https:");
  if (isSecret && protocol !== "https:" && !isLoopback(hostname))
    throw mustBe("streamingUrl", "an https URL", protocol, "the token would be sent without encryption");
}

function isStorage(replay: unknown): replay is ReplayStorage {
  return (
    typeof (replay as ReplayStorage | null)?.get === "function" && typeof (replay as ReplayStorage).set === "function"
  );
}
