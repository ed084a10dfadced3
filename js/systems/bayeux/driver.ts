/** Drives the machine of a stream: requests, sockets, operations. The machines are `src/bayeux` and `src/salesforce`. */
import { FerryError, codeOf } from "../../engine/errors.js";
import { type HeadersOption, headerLines } from "../../client/options.js";
import { Pump } from "../../engine/pump.js";
import type { FetchLike, RequestPlan, ExchangeOutcome } from "../../platform/fetch.js";
import { Extensions } from "./extensions.js";
import { type SocketMaker, Sockets } from "./socket.js";
import { FAILURE, type StreamPort } from "../../engine/ports.js";
import { monotonicNow } from "../../platform/clock.js";
import { random } from "../../platform/random.js";

export type StreamState = "connecting" | "connected" | "disconnected";
const STATES: readonly StreamState[] = ["connecting", "connecting", "connected", "disconnected"];

/** What the machine may say beside what the driver does itself. */
export interface StreamListener {
  /** Positions in the text of `answer`, and the channels that they speak of. */
  messages(answer: Uint8Array | string, table: Uint32Array, channels: readonly string[]): void;
  state(state: StreamState): void;
  notice(kind: string, channel: string | undefined, error: FerryError | undefined): void;
  lost(error: FerryError): void;
  /** Nothing comes after it. */
  ended(error: FerryError | undefined): void;
  /** Header lines for all requests, or an error that ends the client. */
  credentials(renew: boolean): Promise<string>;
  /** A signed JWT; undefined if it cannot be made. */
  sign(claims: string): Promise<string | undefined>;
  rotated(refreshToken: string): void;
  /** Where the last message to the server went. */
  sent(url: string): void;
}

export interface DriverOptions {
  config(): Record<string, unknown>;
  fetch: FetchLike | undefined;
  headers: HeadersOption | undefined;
  makeSocket: SocketMaker | undefined;
  extensions: Extensions | undefined;
  listener: StreamListener;
}

interface Waiting {
  resolve(): void;
  reject(error: FerryError): void;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class Driver {
  readonly #options: DriverOptions;
  readonly #pump: Pump<StreamPort>;
  readonly #sockets: Sockets;
  #waiting = new Map<number, Waiting>();
  /** Answers that the machine is just hearing of. */
  #answers = new Map<number, Uint8Array | string>();
  #isScheduled = false;
  #hasEnded = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    const { listener, extensions } = options;
    this.#sockets = new Sockets(options.makeSocket ?? ((url) => new WebSocket(url)), {
      opened: (id) => this.#pump.sendInBackground((port, now) => port.socket_opened(now, id)),
      text: (id, text) => this.#hearSocket(id, extensions ? extensions.incoming(-id, text) : text),
      closed: (id, code) => this.#pump.sendInBackground((port, now) => port.socket_closed(now, id, code)),
    });
    this.#pump = new Pump<StreamPort>({
      makePort: (glue) => new glue.StreamPort(options.config(), random()),
      fetch: options.fetch,
      handlers: {
        send: (
          id: number,
          url: string,
          headers: string,
          body: Uint8Array,
          timeoutMs: number,
          maxResponseBytes: number,
          wanted: string,
        ) => this.#send(id, { url, headers, body, timeoutMs, maxResponseBytes, responseHeaders: wanted }),
        messages: (source: number, table: Uint32Array, channels: string[]) =>
          listener.messages(this.#answers.get(source)!, table, channels),
        settled: (op: number, code: number, status: number, message: string) => {
          const waiting = this.#waiting.get(op);
          this.#waiting.delete(op);
          if (code === 0) waiting?.resolve();
          else waiting?.reject(this.#error(code, status, message)!);
        },
        state: (state: number) => listener.state(STATES[state]!),
        notice: (kind: string, channel: string | undefined, code: number, status: number, message: string) =>
          listener.notice(kind, channel, this.#error(code, status, message)),
        connection_lost: (code: number, status: number, message: string) =>
          listener.lost(this.#error(code, status, message)!),
        ended: (code: number, status: number, message: string) => this.#end(this.#error(code, status, message)),
        need_credentials: (isRenewal: boolean) => {
          listener.credentials(isRenewal).then(
            (headers) => this.#tellIfAlive((port, now) => port.authorize(now, headers)),
            (error: unknown) =>
              this.#tellIfAlive((port, now) =>
                port.unauthorized(now, `there are no credentials: ${(error as Error)?.message ?? String(error)}`),
              ),
          );
        },
        sign: (claims: string) => {
          listener.sign(claims).then(
            (assertion) => this.#tellIfAlive((port, now) => port.signed(now, assertion)),
            () => this.#tellIfAlive((port, now) => port.signed(now, undefined)),
          );
        },
        refresh_token: (refreshToken: string) => listener.rotated(refreshToken),
        socket_open: (id: number, url: string) => this.#sockets.open(id, url),
        socket_send: (id: number, text: string) => this.#sendSocket(id, text),
        socket_close: (id: number) => this.#sockets.close(id),
      },
      onReset: () => this.#end(new FerryError("ERR_INTERNAL")),
    });
  }

  get isRunning(): boolean {
    return this.#pump.isRunning;
  }

  /** Starts an operation. What is asked for in one go leaves in one request. */
  start(command: (port: StreamPort, now: number) => number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) return reject(new FerryError("ERR_CLOSED"));
      try {
        this.#waiting.set(
          this.#pump.query((port) => command(port, monotonicNow())),
          { resolve, reject },
        );
        this.#schedule();
      } catch (error) {
        reject(error as FerryError);
      }
    });
  }

  tell(fact: (port: StreamPort, now: number) => void): void {
    this.#tellIfAlive(fact);
  }

  /** Nothing was started, and nothing will be. */
  forget(): void {
    this.#end(undefined);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#tellIfAlive(() => undefined);
    });
  }

  #tellIfAlive(fact: (port: StreamPort, now: number) => void): void {
    if (!this.#hasEnded) this.#pump.sendInBackground(fact);
  }

  #send(id: number, plan: RequestPlan): void {
    const { headers, extensions, listener } = this.#options;
    listener.sent(plan.url);
    const isLogin = plan.responseHeaders === "" && plan.headers.includes("x-www-form-urlencoded");
    if (extensions && !isLogin) {
      const text = this.#guarded(() => extensions.outgoing(id, decoder.decode(plan.body)));
      if (text === undefined) {
        const replies = encoder.encode(JSON.stringify(extensions.take(id)));
        queueMicrotask(() =>
          this.#land(id, { kind: "response", status: 200, retryAfterMs: -1, headers: "", body: replies }),
        );
        return;
      }
      plan.body = encoder.encode(text);
    }
    const land = (_port: StreamPort, _now: number, outcome: ExchangeOutcome) => this.#hear(id, outcome);
    if (headers === undefined || isLogin) return this.#pump.startExchange(id, plan, land);
    let lines: string | Promise<string>;
    try {
      // What the machine says wins: it knows the token and the cookies.
      const own = Object.fromEntries(plan.headers.split("\n").map((line) => line.split(/: (.*)/s)));
      lines = headerLines([headers], own as Record<string, string>);
    } catch (error) {
      lines = Promise.reject(error);
    }
    this.#pump.startExchange(
      id,
      typeof lines === "string" ? { ...plan, headers: lines } : lines.then((lines) => ({ ...plan, headers: lines })),
      land,
    );
  }

  #sendSocket(id: number, text: string): void {
    const { extensions } = this.#options;
    if (!extensions) return this.#sockets.send(id, text);
    const changed = this.#guarded(() => extensions.outgoing(-id, text));
    if (changed !== undefined) this.#sockets.send(id, changed);
    const replies = extensions.take(-id);
    if (replies.length > 0) queueMicrotask(() => this.#hearSocket(id, JSON.stringify(replies)));
  }

  /** An extension that throws drops the message, and is reported. */
  #guarded(work: () => string | undefined): string | undefined {
    try {
      return work();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
      return undefined;
    }
  }

  /** An answer that did not come from outside. */
  #land(id: number, outcome: ExchangeOutcome): void {
    this.#tellIfAlive(() => this.#hear(id, outcome));
  }

  #hear(id: number, outcome: ExchangeOutcome): void {
    const { port } = this.#pump;
    const now = monotonicNow();
    if (outcome.kind === "failure") return port.failure(now, id, FAILURE[outcome.why]);
    let { body } = outcome;
    const { extensions } = this.#options;
    if (extensions && !(body.length === 0)) {
      const text = this.#guarded(() => extensions.incoming(id, decoder.decode(body)));
      if (text !== undefined) body = encoder.encode(text);
    }
    this.#remember(id, body);
    port.response(now, id, outcome.status, outcome.retryAfterMs, outcome.headers, body);
  }

  #hearSocket(id: number, text: string): void {
    this.#remember(0, text);
    this.#tellIfAlive((port, now) => port.socket_text(now, id, encoder.encode(text)));
  }

  /** Until the machine has said what is in it. */
  #remember(id: number, answer: Uint8Array | string): void {
    this.#answers.clear();
    this.#answers.set(id, answer);
  }

  #error(code: number, status: number, message: string): FerryError | undefined {
    if (code === 0) return undefined;
    const { cause } = this.#pump;
    return new FerryError(codeOf(code), message, {
      status: status || undefined,
      ...(cause !== undefined && { cause }),
    });
  }

  #end(error: FerryError | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#sockets.closeAll();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const one of waiting) one.reject(error ?? new FerryError("ERR_CLOSED"));
    this.#options.listener.ended(error);
    // Not under the drain that told us.
    queueMicrotask(() => this.#pump.close());
  }
}
