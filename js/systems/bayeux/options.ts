/** Options of all clients of streams, and of the client for Bayeux servers. */
import { type ClientOptions, checkClientOptions, checkTimeout } from "../../client/options.js";
import type { FerryError } from "../../engine/errors.js";
import { HIDDEN, mustBe, unknownOption } from "../../engine/messages.js";
import { monotonicNow, unixNow } from "../../platform/clock.js";
import { type BayeuxExtension, checkExtensions } from "./extensions.js";
import { platformKeepsCookies } from "./fetch.js";
import type { SocketMaker } from "./socket.js";
import type { HeadersInit, RequestCredentials } from "../../platform/web-types.js";

/**
 * Options of all clients of streams. `timeoutMs` limits each request; a poll may take that much longer than the server
 * holds it.
 */
export interface StreamOptions extends ClientOptions {
  /**
   * How long the connection may be down before `receive` rejects with `ERR_TIMEOUT`, and `open` with the error that
   * occurred. The client keeps trying after that. `Infinity`: no limit. Higher values delay the report of an outage.
   * @default 10 000
   */
  connectionTimeoutMs?: number;
  /**
   * Number of messages in the inbox at which polling pauses, until half of them have been taken. One response of the
   * server may exceed it. Higher values need more memory. @default 100
   */
  maxPending?: number;
  /**
   * Exponential backoff with full jitter after a failure: a random delay up to `baseMs`, which doubles each time up to
   * `maxMs`. `Retry-After` is honoured. Higher values delay the recovery.
   */
  retry?: {
    /** @default 1 000 */
    baseMs?: number;
    /** @default 60 000 */
    maxMs?: number;
  };
  /**
   * Closes the client when the server has no more messages for the subscriptions made before `open`; loops over the
   * client then end. For functions that run from time to time and read what has arrived since. @default false
   */
  drain?: boolean;
  /**
   * Called while a loop over the client goes on although the connection is down, each time that `connectionTimeoutMs`
   * has passed. `receive` rejects then; a loop waits for the connection. `delayMs`: the time until the next attempt; 0
   * while one is made.
   *
   * @default none
   */
  onRetry?: (error: FerryError, delayMs: number) => void;
  /**
   * Whether a browser sends cookies to a server of another site. Elsewhere the client keeps cookies itself.
   *
   * @default "include"
   */
  credentials?: RequestCredentials;
}

/** Options of a client of a Bayeux server. */
export interface BayeuxOptions extends StreamOptions {
  /**
   * Transports in order of preference. If a WebSocket cannot be opened, the client falls back to long polling; a new
   * session tries it again.
   *
   * @default both where `WebSocket` exists; only `long-polling` with `auth`, because a WebSocket cannot send headers
   */
  transports?: readonly ("websocket" | "long-polling")[];
  /**
   * Extensions that see every message and its HTTP headers, and may change or drop it, now or later. They run in this
   * order for incoming messages, in reverse for outgoing ones.
   *
   * @default none
   */
  extensions?: readonly BayeuxExtension[];
  /**
   * Returns the headers that authorize requests. Called before the first request, and with `renew` when the server
   * answers with HTTP 401.
   *
   * @default no authorization
   */
  auth?: (why: { readonly renew: boolean }) => HeadersInit | Promise<HeadersInit>;
  /** Lets the server repeat messages that were lost on the way (acknowledgement extension of CometD). @default true */
  ack?: boolean;
  /** Creates the WebSocket: for other implementations, or for headers. @default the global `WebSocket` */
  webSocket?: SocketMaker;
}

const STREAM_NAMES = ["connectionTimeoutMs", "maxPending", "retry", "credentials", "drain", "onRetry"];
const TRANSPORTS = ["websocket", "long-polling"];

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkStreamOptions(owner: string, options: unknown, names: readonly string[]): void {
  checkClientOptions(owner, options, [...STREAM_NAMES, ...names]);
  const { connectionTimeoutMs, maxPending, retry, credentials, drain, onRetry } = options as StreamOptions;
  if (onRetry !== undefined && typeof onRetry !== "function") throw mustBe("onRetry", "a function", onRetry);
  if (connectionTimeoutMs !== Infinity) checkTimeout(connectionTimeoutMs, "connectionTimeoutMs");
  if (maxPending !== undefined && !(Number.isInteger(maxPending) && maxPending >= 1 && maxPending <= 1_000_000))
    throw mustBe("maxPending", "an integer from 1 to 1000000", maxPending);
  if (drain !== undefined && typeof drain !== "boolean") throw mustBe("drain", "a boolean", drain);
  if (credentials !== undefined && !["include", "same-origin", "omit"].includes(credentials))
    throw mustBe("credentials", '"include", "same-origin" or "omit"', credentials);
  if (retry === undefined) return;
  if (typeof retry !== "object" || retry === null) throw mustBe("retry", "an object with baseMs and maxMs", retry);
  for (const [name, value] of Object.entries(retry)) {
    if (name !== "baseMs" && name !== "maxMs") throw unknownOption("retry", name, ["baseMs", "maxMs"]);
    if (!(typeof value === "number" && value >= 0 && value <= 86_400_000))
      throw mustBe(`retry.${name}`, "a number of milliseconds from 0 to 86400000", value);
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkBayeuxOptions(options: BayeuxOptions): void {
  checkStreamOptions("a BayeuxClient", options, ["transports", "extensions", "auth", "ack", "webSocket"]);
  const { auth, webSocket, extensions, ack, transports } = options;
  checkExtensions(extensions);
  if (auth !== undefined && typeof auth !== "function") throw mustBe("auth", "a function that returns headers", HIDDEN);
  if (webSocket !== undefined && typeof webSocket !== "function")
    throw mustBe("webSocket", "a function that creates a WebSocket for a URL", webSocket);
  if (ack !== undefined && typeof ack !== "boolean") throw mustBe("ack", "a boolean", ack);
  checkTransports(transports);
}

function checkTransports(transports: unknown): void {
  if (transports === undefined) return;
  const isList = Array.isArray(transports) && transports.length > 0;
  const bad = isList ? transports.find((name) => !TRANSPORTS.includes(name as string)) : transports;
  if (bad !== undefined) throw mustBe("transports", 'a non-empty array of "websocket" and "long-polling"', bad);
}

/** The transports to use when none are given. */
export function defaultTransports({ auth, webSocket }: BayeuxOptions): readonly string[] {
  const hasSockets = webSocket !== undefined || typeof WebSocket === "function";
  return hasSockets && !auth ? TRANSPORTS : ["long-polling"];
}

/**
 * The options of the engine that all streams share. Made when the client opens, because earlier there may be no clock.
 */
export function streamConfig({
  timeoutMs,
  connectionTimeoutMs = 10_000,
  retry = {},
  drain,
  maxPending,
}: StreamOptions): Record<string, unknown> {
  return {
    hasCookieJar: !platformKeepsCookies(),
    epochUnixMs: unixNow() - monotonicNow(),
    timeoutMs,
    maxPending,
    isDraining: drain,
    connectionTimeoutMs: connectionTimeoutMs === Infinity ? undefined : connectionTimeoutMs,
    ...retry,
  };
}
