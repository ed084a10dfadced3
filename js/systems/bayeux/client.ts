/** A client for any Bayeux server. The machine behind it is `src/bayeux`. */
import {
  type ClientOptions,
  type HeadersOption,
  checkClient,
  checkTimeout,
  checkedUrl,
  headerLines,
} from "../../client/options.js";
import { type BayeuxExtension, Extensions, checkExtensions } from "./extensions.js";
import { fetchWithCookies, isDeno, platformKeepsCookies, sentOnce } from "./platform.js";
import type { SocketMaker } from "./socket.js";
import { StreamClient } from "./stream.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import { monotonicNow, unixNow } from "../../platform/clock.js";

/** Options that all clients of streams have. */
export interface StreamOptions extends ClientOptions {
  /**
   * How long the link may be down before `receive` rejects with `ERR_TIMEOUT`, and `open` with what went wrong. The client goes on trying after that.
   * `Infinity`: it never does. @default 10 000
   */
  connectionTimeoutMs?: number;
  /**
   * From how many messages in the inbox on polling pauses, until half of them are taken. One answer of the server may bring more than that. @default 100
   */
  maxPending?: number;
  /** How long to rest after a failure: by chance between 0 and `baseMs`, doubled each time up to `maxMs`. A `Retry-After` of the server is kept. */
  retry?: {
    /** @default 1 000 */
    baseMs?: number;
    /** @default 60 000 */
    maxMs?: number;
  };
  /**
   * Leaves by itself when the server has no more messages for what was subscribed to before `open`: loops over the client end then. For functions that run
   * now and then and read what has come since. @default false
   */
  drain?: boolean;
  /** Whether a browser sends cookies to a server of another site. Elsewhere the client keeps cookies itself. @default "include" */
  credentials?: RequestCredentials;
}

/** How a client of a Bayeux server works. `timeoutMs`: how long an answer may take, a poll that much longer than the server holds it. */
export interface BayeuxOptions extends StreamOptions {
  /**
   * In the order of preference. A WebSocket that cannot be opened is given up for long polling; a new session tries it again.
   * @default both where there is a `WebSocket`, or only `long-polling` if there is `auth`, because headers cannot go with a WebSocket
   */
  transports?: readonly ("websocket" | "long-polling")[];
  /** Functions that see every message and may change or drop it. */
  extensions?: readonly BayeuxExtension[];
  /**
   * Gives the headers that let requests in. Asked before the first one, and again when the server refuses them with HTTP 401.
   */
  auth?: (why: { readonly renew: boolean }) => HeadersInit | Promise<HeadersInit>;
  /** Asks the server to repeat what was lost on the way (CometD's acknowledgement extension). @default true */
  ack?: boolean;
  /** Used instead of the global `WebSocket`: other implementations, headers. */
  webSocket?: SocketMaker;
}

const STREAM_NAMES = ["connectionTimeoutMs", "maxPending", "retry", "credentials", "drain"];
const TRANSPORTS = ["websocket", "long-polling"];

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkStream(what: string, options: unknown, names: readonly string[]): void {
  checkClient(what, options, [...STREAM_NAMES, ...names]);
  const { connectionTimeoutMs, maxPending, retry, credentials, drain } = options as StreamOptions;
  if (connectionTimeoutMs !== Infinity) checkTimeout(connectionTimeoutMs, "connectionTimeoutMs");
  if (maxPending !== undefined && !(Number.isInteger(maxPending) && maxPending >= 1 && maxPending <= 1_000_000)) {
    throw invalidArgument(`maxPending is a whole number from 1 to 1000000, not ${formatValue(maxPending)}`);
  }
  if (drain !== undefined && typeof drain !== "boolean")
    throw invalidArgument(`drain is true or false, not ${formatValue(drain)}`);
  if (credentials !== undefined && !["include", "same-origin", "omit"].includes(credentials)) {
    throw invalidArgument(`credentials is "include", "same-origin" or "omit", not ${formatValue(credentials)}`);
  }
  if (retry === undefined) return;
  if (typeof retry !== "object" || retry === null)
    throw invalidArgument(`retry is an object with baseMs and maxMs, not ${formatValue(retry)}`);
  for (const [name, value] of Object.entries(retry)) {
    if (name !== "baseMs" && name !== "maxMs")
      throw invalidArgument(`retry has no option ${formatValue(name)}; there are baseMs, maxMs`);
    if (!(typeof value === "number" && value >= 0 && value <= 86_400_000))
      throw invalidArgument(`retry.${name} is a number of milliseconds from 0 to 86400000, not ${formatValue(value)}`);
  }
}

/** What the machines of all streams are told. Made when the client opens: before, there may be no clock. */
export function streamConfig({
  timeoutMs,
  connectionTimeoutMs = 10_000,
  retry = {},
  drain,
}: StreamOptions): Record<string, unknown> {
  return {
    hasCookieJar: !platformKeepsCookies(),
    epochUnixMs: unixNow() - monotonicNow(),
    timeoutMs,
    isDraining: drain,
    connectionTimeoutMs: connectionTimeoutMs === Infinity ? undefined : connectionTimeoutMs,
    ...retry,
  };
}

/** The `fetch` of a stream. */
export function streamFetch({ fetch, credentials = "include" }: StreamOptions): StreamOptions["fetch"] {
  if (fetch) return fetch;
  if (platformKeepsCookies()) return fetchWithCookies(credentials);
  return isDeno() ? sentOnce : undefined;
}

/**
 * A client for CometD, faye and other Bayeux servers: subscribe, publish, receive. It makes the connection again when it is lost, and all subscriptions with it.
 *
 * @example
 * await using client = new BayeuxClient("https://example.com/cometd");
 * await client.open();
 * await client.subscribe("/orders/*");
 * for await (const message of client) console.log(message.channel, message.data);
 */
export class BayeuxClient extends StreamClient {
  constructor(url: string | URL, options: BayeuxOptions = {}) {
    checkStream("a BayeuxClient", options, ["transports", "extensions", "auth", "ack", "webSocket"]);
    const { auth, webSocket, extensions = [], ack, transports } = options;
    const href = checkedUrl(url);
    checkExtensions(extensions);
    if (auth !== undefined && typeof auth !== "function")
      throw invalidArgument(`auth is a function that gives headers, not ${formatValue(auth)}`);
    if (webSocket !== undefined && typeof webSocket !== "function")
      throw invalidArgument(`webSocket is a function that makes a WebSocket from a URL, not ${formatValue(webSocket)}`);
    if (ack !== undefined && typeof ack !== "boolean")
      throw invalidArgument(`ack is true or false, not ${formatValue(ack)}`);
    checkTransports(transports);
    super({
      driver: {
        config: () => ({
          ...streamConfig(options),
          url: href,
          ack: ack !== false,
          isAuthRequired: auth !== undefined,
          transports: (transports ?? defaultTransports(options)).join(" "),
        }),
        fetch: streamFetch(options),
        headers: options.headers as HeadersOption | undefined,
        makeSocket: webSocket,
        extensions: extensions.length > 0 ? new Extensions(extensions) : undefined,
      },
      listener: {
        credentials: async (renew) => headerLines([await auth!({ renew })], {}),
        sign: async () => undefined,
        rotated: () => undefined,
      },
      maxPending: options.maxPending ?? 100,
      signal: options.signal,
      typeOf: () => "org.cometd.message",
    });
  }
}

function checkTransports(transports: unknown): void {
  if (transports === undefined) return;
  const isGood =
    Array.isArray(transports) &&
    transports.length > 0 &&
    transports.every((name) => TRANSPORTS.includes(name as string));
  if (!isGood)
    throw invalidArgument(`transports is an array of "websocket" and "long-polling", not ${formatValue(transports)}`);
}

function defaultTransports({ auth, webSocket }: BayeuxOptions): string[] {
  const hasSockets = webSocket !== undefined || typeof WebSocket === "function";
  return hasSockets && !auth ? TRANSPORTS : ["long-polling"];
}
