/// <reference lib="esnext.disposable" preserve="true" />
/** A client for any Bayeux server. `src/bayeux` implements the protocol. */
import { checkedUrl, type HeadersOption, headerLines } from "../../client/options.js";
import { ExtensionRunner } from "./extension-runner.js";
import { streamFetch } from "./fetch.js";
import { type BayeuxOptions, checkBayeuxOptions, defaultTransports, streamConfig } from "./options.js";
import type { StreamMessage } from "./message.js";
import { Stream } from "./stream.js";
import type { StreamSystem } from "./stream-system.js";
import type {
  MessageListener,
  StreamClient,
  StreamEvents,
  StreamState,
  StreamTransport,
  Subscription,
} from "./stream-types.js";
import type { AddEventListenerOptions, EventListenerOrEventListenerObject } from "../../platform/web-types.js";

/**
 * A client for CometD, Faye and other Bayeux servers: subscribe, publish, receive. It reconnects when the connection is
 * lost, and restores all subscriptions.
 *
 * @example
 * await using client = new BayeuxClient("https://example.com/cometd");
 * await client.open();
 * await client.subscribe("/orders/*");
 * for await (const message of client) console.log(message.channel, message.data);
 */
export class BayeuxClient extends EventTarget implements StreamClient {
  readonly #stream: Stream;

  /**
   * @param url the Bayeux endpoint, http or https
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  constructor(url: string | URL, options: BayeuxOptions = {}) {
    checkBayeuxOptions(options);
    const href = checkedUrl(url);
    const { auth, webSocket, extensions = [], ack, transports } = options;
    super();
    const system: StreamSystem = {
      driver: {
        config: () => ({
          ...streamConfig(options),
          url: href,
          ack: ack !== false,
          isAuthRequired: auth !== undefined,
          transports: (transports ?? defaultTransports(options)).join(" "),
        }),
        fetch: streamFetch(options.fetch, options.credentials),
        headers: options.headers as HeadersOption | undefined,
        makeSocket: webSocket,
        extensions: extensions.length > 0 ? new ExtensionRunner(extensions, options.timeoutMs ?? 10_000) : undefined,
      },
      listener: {
        // The engine asks for credentials only with `isAuthRequired`.
        credentials: async (renew) => headerLines([await auth!({ renew })], {}),
      },
      signal: options.signal,
      onRetry: options.onRetry,
      eventTypeOf: () => "org.cometd.message",
    };
    this.#stream = new Stream(system, this);
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

  /** Publishes an event on a channel, see {@link StreamClient.publish}. */
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
