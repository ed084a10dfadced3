/**
 * Drives the engine of a stream: requests, sockets, operations. `src/bayeux` and `src/salesforce` implement the engine.
 *
 * ```text
 *   operation ──> engine ──┬─ send ────────> extensions ──> fetch ──response──> extensions ──> engine
 *                          ├─ socket_send ─> extensions ──> WebSocket ──text──> extensions ──> engine
 *                          ├─ settled ─────> promise of the operation
 *                          └─ messages, state, notice, lost, ended ──> listener
 * ```
 */
import { streams } from "../../engine/modules/streams.js";
import { type HeadersOption, headerLines } from "../../client/options.js";
import { Secrets } from "../../client/redact.js";
import { codeOf, FerryError } from "../../engine/errors.js";
import { FAILURE, type StreamEffects, type StreamPort, type StreamsGlue } from "../../engine/ports.js";
import { Pump } from "../../engine/pump.js";
import { monotonicNow, unixNow } from "../../platform/clock.js";
import type { ExchangeOutcome, FetchLike, RequestPlan } from "../../platform/fetch.js";
import { random } from "../../platform/random.js";
import type { Extensions } from "./extensions.js";
import { type SocketMaker, Sockets } from "./socket.js";
import type { StreamNoticeKind, StreamState, StreamTransport } from "./stream-types.js";

/** States of the engine, in the order of `State` in `src/bayeux/session/types.rs`. */
const STATES: readonly StreamState[] = ["connecting", "connecting", "connected", "disconnected"];
/** The source of messages that arrived over a socket. Responses have the id of their exchange. */
const SOCKET_SOURCE = 0;

/** Receives what the engine reports, apart from what the driver does itself. */
export interface StreamDriverListener {
  /** `table` has the offsets of each message in the text of `response`, `channels` the channels that it refers to. */
  onMessages(response: Uint8Array | string, table: Uint32Array, channels: readonly string[]): void;
  onState(state: StreamState): void;
  onNotice(kind: StreamNoticeKind, channel: string | undefined, error: FerryError | undefined): void;
  /** The connection has been down for `connectionTimeoutMs`. */
  onConnectionLost(error: FerryError): void;
  /** The stream has ended; no other call follows. */
  onEnd(error: FerryError | undefined): void;
  /** Returns header lines for all requests, with Salesforce an access token. */
  credentials(renew: boolean): Promise<string>;
  /** A login has succeeded. `issuedAt` is a Unix time in milliseconds. */
  onGrant?(accessToken: string, instanceUrl: string, issuedAt: number): void;
  /** Returns a signed JWT with these claims; undefined if it cannot be signed. */
  sign(claims: string): Promise<string | undefined>;
  onRefreshToken(refreshToken: string): void;
  /** A request is about to be sent to this URL. */
  onRequest(url: string): void;
}

export interface StreamDriverOptions {
  /** Options of the engine, see `src/wasm/config.rs`. */
  config(): Record<string, unknown>;
  fetch: FetchLike | undefined;
  headers: HeadersOption | undefined;
  makeSocket: SocketMaker | undefined;
  extensions: Extensions | undefined;
  listener: StreamDriverListener;
}

interface PendingOperation {
  resolve(): void;
  reject(error: FerryError): void;
}

type Command = (port: StreamPort, now: number) => void;

/** Clocks differ by less than this all the time. */
const MAX_CLOCK_DRIFT_MS = 1000;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class StreamDriver {
  readonly #options: StreamDriverOptions;
  readonly #pump: Pump<StreamPort, StreamsGlue>;
  readonly #sockets: Sockets;
  #operations = new Map<number, PendingOperation>();
  /** The response that the engine currently reads, by its source. */
  #responses = new Map<number, Uint8Array | string>();
  /** The wall clock at the zero of the monotonic clock, as the engine knows it. */
  #epoch: number | undefined;
  /** What servers may repeat in their errors. */
  readonly #secrets = new Secrets();
  #isDrainScheduled = false;
  /** Messages that were taken and that the engine was not told of yet. */
  #taken = 0;
  /** How many messages must be taken before the engine reads on; 0 if it reads. */
  #excess = 0;
  #hasEnded = false;

  constructor(options: StreamDriverOptions) {
    this.#options = options;
    const { listener, extensions } = options;
    this.#sockets = new Sockets(options.makeSocket ?? ((url) => new WebSocket(url)), {
      onOpen: (id) => this.#pump.sendInBackground((port, now) => port.socket_opened(now, id)),
      onText: (id, text) => this.#onSocketText(id, extensions ? extensions.incoming(-id, text) : text),
      onClose: (id, code) => this.#pump.sendInBackground((port, now) => port.socket_closed(now, id, code)),
    });
    this.#pump = new Pump<StreamPort, StreamsGlue>({
      module: streams,
      makePort: (glue) => this.#withClock(new glue.StreamPort(options.config(), random())),
      fetch: options.fetch,
      handlers: {
        send: (
          id: number,
          url: string,
          headers: string,
          body: Uint8Array,
          timeoutMs: number,
          maxResponseBytes: number,
          responseHeaders: string,
          isLogin: boolean,
        ) => this.#sendRequest(id, { url, headers, body, timeoutMs, maxResponseBytes, responseHeaders }, isLogin),
        messages: (
          source: number,
          table: Uint32Array,
          channels: string[],
          excess: number,
          text: string | undefined,
        ) => {
          this.#excess = excess;
          listener.onMessages(text ?? this.#responses.get(source)!, table, channels);
        },
        settled: (op: number, code: number, status: number, message: string) => {
          const operation = this.#operations.get(op);
          this.#operations.delete(op);
          if (code === 0) operation?.resolve();
          else operation?.reject(this.#error(code, status, message)!);
        },
        state: (state: number) => listener.onState(STATES[state]!),
        notice: (kind: StreamNoticeKind, channel: string | undefined, code: number, status: number, message: string) =>
          listener.onNotice(kind, channel, this.#error(code, status, message)),
        connection_lost: (code: number, status: number, message: string) =>
          listener.onConnectionLost(this.#error(code, status, message)!),
        ended: (code: number, status: number, message: string) => this.#end(this.#error(code, status, message)),
        need_credentials: (isRenewal: boolean) => {
          listener.credentials(isRenewal).then(
            (headers) => this.send((port, now) => port.authorize(now, headers)),
            (error: unknown) =>
              this.send((port, now) => port.unauthorized(now, (error as Error)?.message ?? String(error))),
          );
        },
        granted: (authorization: string, instanceUrl: string, issuedAt: number) =>
          listener.onGrant?.(authorization.replace(/^\S+ /, ""), instanceUrl, issuedAt),
        sign: (claims: string) => {
          listener.sign(claims).then(
            (assertion) => this.send((port, now) => port.signed(now, assertion)),
            () => this.send((port, now) => port.signed(now, undefined)),
          );
        },
        refresh_token: (refreshToken: string) => listener.onRefreshToken(refreshToken),
        socket_open: (id: number, url: string) => this.#sockets.open(id, url),
        socket_send: (id: number, text: string) => this.#sendText(id, text),
        socket_close: (id: number) => this.#sockets.close(id),
      } satisfies StreamEffects,
      onReset: () => this.#end(new FerryError("ERR_INTERNAL")),
    });
  }

  /** Whether the engine has been started. */
  get isRunning(): boolean {
    return this.#pump.isRunning;
  }

  /**
   * Starts an operation. The effects are run in a microtask, so that the operations of one turn share a request.
   *
   * @param command returns the number of the operation
   */
  start(command: (port: StreamPort, now: number) => number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) {
        reject(new FerryError("ERR_CLOSED"));
        return;
      }
      try {
        const op = this.#pump.query((port) => command(port, monotonicNow()));
        this.#operations.set(op, { resolve, reject });
        this.#scheduleDrain();
      } catch (error) {
        reject(error as FerryError);
      }
    });
  }

  /** Sends a command to the engine and runs its effects. Ignored after the end. */
  send(command: Command): void {
    if (this.#hasEnded) return;
    this.#pump.sendInBackground((port, now) => {
      this.#syncClock(port, now);
      command(port, now);
    });
  }

  /** The port, whose timers also follow the wall clock: they are the first to run after a sleep. */
  #withClock(port: StreamPort): StreamPort {
    const tick = port.tick.bind(port);
    port.tick = (now) => {
      this.#syncClock(port, now);
      tick(now);
    };
    return port;
  }

  /** Tells the engine if the wall clock was set, or went on while the monotonic clock stood still. */
  #syncClock(port: StreamPort, now: number): void {
    const epoch = unixNow() - monotonicNow();
    this.#epoch ??= epoch;
    if (Math.abs(epoch - this.#epoch) <= MAX_CLOCK_DRIFT_MS) return;
    this.#epoch = epoch;
    port.set_clock(now, epoch);
  }

  /** The channels that the server has accepted. */
  get subscriptions(): readonly string[] {
    return this.#hasEnded || !this.#pump.isRunning ? [] : this.#pump.query((port) => port.subscriptions());
  }

  /** The transport in use; undefined before the start and after the end. */
  get transport(): StreamTransport | undefined {
    if (this.#hasEnded || !this.#pump.isRunning) return undefined;
    return this.#pump.query((port) => port.transport() as StreamTransport);
  }

  /** Messages have left the inbox. The engine is told when it waits for that, otherwise with the next response. */
  taken(count: number): void {
    this.#taken += count;
    if (this.#excess > 0 && this.#taken >= this.#excess)
      this.send((port, now) => {
        this.#excess = port.taken(now, this.#takeCount());
      });
  }

  /** Ends a stream whose engine was never started. */
  end(): void {
    this.#end(undefined);
  }

  #takeCount(): number {
    const count = this.#taken;
    this.#taken = 0;
    return count;
  }

  #scheduleDrain(): void {
    if (this.#isDrainScheduled) return;
    this.#isDrainScheduled = true;
    queueMicrotask(() => {
      this.#isDrainScheduled = false;
      this.send(() => undefined);
    });
  }

  #sendRequest(id: number, plan: RequestPlan, isLogin: boolean): void {
    const { headers, extensions, listener } = this.#options;
    listener.onRequest(plan.url);
    if (extensions && !isLogin) {
      const text = this.#runExtensions(() => extensions.outgoing(id, decoder.decode(plan.body)));
      if (text === undefined) {
        const body = encoder.encode(JSON.stringify(extensions.takeReplies(id)));
        const outcome: ExchangeOutcome = { kind: "response", status: 200, retryAfterMs: -1, headers: "", body };
        queueMicrotask(() => this.send(() => this.#onOutcome(id, outcome)));
        return;
      }
      plan.body = encoder.encode(text);
    }
    const onOutcome = (_port: StreamPort, _now: number, outcome: ExchangeOutcome) => this.#onOutcome(id, outcome);
    this.#secrets.addHeaders(plan.headers);
    const isComplete = headers === undefined || isLogin;
    this.#pump.startExchange(id, isComplete ? plan : withHeaders(plan, headers, this.#secrets), onOutcome);
  }

  #sendText(id: number, text: string): void {
    const { extensions } = this.#options;
    if (!extensions) {
      this.#sockets.send(id, text);
      return;
    }
    const changed = this.#runExtensions(() => extensions.outgoing(-id, text));
    if (changed !== undefined) this.#sockets.send(id, changed);
    const replies = extensions.takeReplies(-id);
    if (replies.length > 0) queueMicrotask(() => this.#onSocketText(id, JSON.stringify(replies)));
  }

  /** If an extension throws, the messages are dropped and the error is reported as uncaught. */
  #runExtensions(run: () => string | undefined): string | undefined {
    try {
      return run();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
      return undefined;
    }
  }

  #onOutcome(id: number, outcome: ExchangeOutcome): void {
    const { port } = this.#pump;
    const now = monotonicNow();
    this.#syncClock(port, now);
    if (outcome.kind === "failure") {
      port.failure(now, id, FAILURE[outcome.reason]);
      return;
    }
    let { body } = outcome;
    const { extensions } = this.#options;
    if (extensions && body.length > 0) {
      const text = this.#runExtensions(() => extensions.incoming(id, decoder.decode(body)));
      if (text !== undefined) body = encoder.encode(text);
    }
    this.#keepResponse(id, body);
    const { status, retryAfterMs, headers } = outcome;
    port.response_and_taken(now, this.#takeCount(), id, status, retryAfterMs, headers, body);
  }

  #onSocketText(id: number, text: string): void {
    this.#keepResponse(SOCKET_SOURCE, text);
    this.send((port, now) => port.socket_text(now, id, encoder.encode(text)));
  }

  /** Keeps a response until the engine reports the messages in it. */
  #keepResponse(source: number, response: Uint8Array | string): void {
    this.#responses.clear();
    this.#responses.set(source, response);
  }

  #error(code: number, status: number, message: string): FerryError | undefined {
    if (code === 0) return undefined;
    const cause = this.#secrets.redactError(this.#pump.cause);
    return new FerryError(codeOf(code), this.#secrets.redact(message), {
      status: status || undefined,
      ...(cause !== undefined && { cause }),
    });
  }

  #end(error: FerryError | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#sockets.closeAll();
    const operations = [...this.#operations.values()];
    this.#operations.clear();
    for (const operation of operations) operation.reject(error ?? new FerryError("ERR_CLOSED"));
    this.#options.listener.onEnd(error);
    // Later, because the pump may still be running the effects of the engine.
    queueMicrotask(() => this.#pump.close());
  }
}

/**
 * Adds the headers of the user. Those of the engine win, because it knows the token; cookies of both are sent, where one
 * of the engine has precedence over one of the same name.
 */
function withHeaders(plan: RequestPlan, headers: HeadersOption, secrets: Secrets): RequestPlan | Promise<RequestPlan> {
  const change = (lines: string): RequestPlan => {
    const merged = cookie === undefined ? lines : withCookies(lines, cookie);
    secrets.addHeaders(merged);
    return { ...plan, headers: merged };
  };
  const { cookie, ...engineHeaders } = Object.fromEntries(
    plan.headers.split("\n").map((line) => line.split(/: (.*)/s)),
  ) as Record<string, string>;
  try {
    const lines = headerLines([headers], engineHeaders);
    return typeof lines === "string" ? change(lines) : lines.then(change);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Adds the cookies of the server to header lines that may have cookies of the user. */
function withCookies(lines: string, cookies: string): string {
  const nameOf = (cookie: string) => cookie.split("=", 1)[0]!.trim();
  const ofServer = new Set(cookies.split("; ").map(nameOf));
  let ofUser: string[] = [];
  const others = lines.split("\n").filter((line) => {
    if (!line.startsWith("cookie: ")) return true;
    ofUser = line
      .slice("cookie: ".length)
      .split(/; */)
      .filter((cookie) => !ofServer.has(nameOf(cookie)));
    return false;
  });
  return [...others, `cookie: ${[...ofUser, cookies].join("; ")}`].join("\n");
}
