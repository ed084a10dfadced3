/**
 * The loop: command, drain, act. It owns what must settle even if the engine traps: promises, timers, flights.
 *
 * ```text
 *   command ──> port ──drain──> outputs ──┬─ send ──> flight ──outcome──> port ──drain──> …
 *                                         ├─ cancel ─> flight ends
 *                                         ├─ delivered, failed ─> promise settles
 *                                         └─ wait ──> one timer ──tick──> port ──drain──> …
 * ```
 */
import { FerryError, codeOf } from "./errors.js";
import { Sink } from "./sink.js";
import { type FetchLike, type Flight, type Outcome, WHY, startFlight } from "./transport.js";
import { type FullGlue, call, fullGlue, onReset } from "./wasm.js";

/** What every machine's port has, see `src/wasm/port.rs`. */
export interface Port {
  tick(now: number): void;
  response(now: number, id: number, status: number, retryAfterMs: number, body: Uint8Array): void;
  failure(now: number, id: number, why: number): void;
  cancel(op: number): void;
  close(): void;
  drain(sink: Sink): void;
  free(): void;
}

/** An operation under way. */
export interface Operation {
  resolve(done: { status: number; attempts: number }): void;
  reject(error: FerryError): void;
}

/** Drives one machine. */
export class Pump<P extends Port> {
  readonly #makePort: (glue: FullGlue) => P;
  readonly #fetch: FetchLike | undefined;
  readonly #sink = new Sink();
  #port: P | undefined;
  #glue: FullGlue | undefined;
  #forgetReset: (() => void) | undefined;
  #operations = new Map<number, Operation>();
  #flights = new Map<number, Flight>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(makePort: (glue: FullGlue) => P, fetch: FetchLike | undefined) {
    this.#makePort = makePort;
    this.#fetch = fetch;
  }

  /** Gives a command that starts an operation. Returns its number. */
  start(command: (port: P, now: number) => number, operation: Operation): number {
    if (this.#isClosed) throw new FerryError("ERR_CLOSED");
    const port = this.#openPort();
    const op = call(() => command(port, monotonicNow()));
    this.#operations.set(op, operation);
    this.#drain(port);
    return op;
  }

  /** Gives up an operation. */
  cancel(op: number): void {
    if (this.#port && this.#operations.has(op)) this.#tell((port) => port.cancel(op));
  }

  /** Gives up everything that is under way. Further commands are refused with `ERR_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const port = this.#port;
    if (!port) return;
    this.#tell((port) => port.close());
    this.#forget();
    call(() => port.free());
  }

  #openPort(): P {
    if (!this.#port) {
      const glue = fullGlue();
      this.#port = call(() => this.#makePort(glue));
      this.#glue = glue;
      this.#forgetReset = onReset(() => this.#die());
    }
    return this.#port;
  }

  /** Tells the machine something. What fails because of it has `cause`. */
  #tell(fact: (port: P, now: number) => void, cause?: unknown): void {
    const port = this.#port;
    if (!port) return;
    call(() => fact(port, monotonicNow()));
    this.#drain(port, cause);
  }

  #drain(port: P, cause?: unknown): void {
    call(() => port.drain(this.#sink));
    clearTimeout(this.#timer);
    for (const output of this.#sink.take()) {
      switch (output.kind) {
        case "send":
          this.#send(output.id, output);
          break;
        case "cancel":
          this.#flights.get(output.id)?.cancel();
          this.#flights.delete(output.id);
          break;
        case "delivered":
          this.#settle(output.op)?.resolve(output);
          break;
        case "failed": {
          const { op, code, message, status } = output;
          const particulars = { status: status || undefined, ...(cause !== undefined && { cause }) };
          this.#settle(op)?.reject(new FerryError(codeOf(code), message, particulars));
          break;
        }
        case "wait":
          this.#timer = setTimeout(() => this.#tell((port, now) => port.tick(now)), Math.max(0, output.at - monotonicNow()));
      }
    }
  }

  #send(id: number, request: { url: string; headers: string; body: Uint8Array; patienceMs: number }): void {
    const flight = startFlight(this.#glue!, this.#fetch, request);
    this.#flights.set(id, flight);
    void flight.outcome.then((outcome) => this.#land(id, outcome));
  }

  #land(id: number, outcome: Outcome): void {
    if (!this.#flights.delete(id)) return;
    this.#tell((port, now) => {
      if (outcome.kind === "response") port.response(now, id, outcome.status, outcome.retryAfterMs, outcome.body);
      else port.failure(now, id, WHY[outcome.why]);
    }, outcome.kind === "failure" ? outcome.cause : undefined);
  }

  #settle(op: number): Operation | undefined {
    const operation = this.#operations.get(op);
    this.#operations.delete(op);
    return operation;
  }

  /** The engine was thrown away, and the machine with it: nobody else will settle what is under way. */
  #die(): void {
    const operations = [...this.#operations.values()];
    this.#forget();
    for (const operation of operations) operation.reject(new FerryError("ERR_INTERNAL"));
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#forgetReset?.();
    const flights = [...this.#flights.values()];
    this.#flights.clear();
    for (const flight of flights) flight.cancel();
    this.#operations.clear();
    this.#port = undefined;
  }
}

function monotonicNow(): number {
  return performance.now();
}
