/**
 * The loop: command, drain, act. It owns what must end even if the engine traps: the timer and the flights.
 *
 * ```text
 *   tell ──> port ──drain──> what it says ──┬─ wait ───> one timer ──tick──> port ──drain──> …
 *                                           ├─ cancel ─> flight ends
 *                                           └─ all else ─> handlers ──fly──> flight ──outcome──> port ──drain──> …
 * ```
 */
import { FerryError, isFerryError } from "./errors.js";
import { type Handlers, type EffectQueue, effectQueue } from "./effect-queue.js";
import {
  type FetchBindings,
  type FetchLike,
  type Exchange,
  type RequestPlan,
  type ExchangeOutcome,
  startWhenPlanned,
  startExchange,
} from "../platform/fetch.js";
import { type FullGlue, call, fullGlue, onReset } from "./instance.js";
import { FAILURE, type Port } from "./ports.js";
import { monotonicNow, startTimer, stopTimer, type Timer } from "../platform/clock.js";

export interface PumpOptions<P extends Port> {
  makePort(glue: FullGlue): P;
  /** For all that the machine may say but `wait` and `cancel`. */
  handlers: Handlers;
  fetch: FetchLike | undefined;
  /** The engine was thrown away, and the machine with it. */
  onReset(): void;
  /** A machine was made: what the one before it knew can be told to it. */
  onStart?(port: P, now: number): void;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Drives one machine. */
export class Pump<P extends Port> {
  /** Why the fact came about that is told just now, if it was a failure. */
  cause: unknown;
  readonly #options: PumpOptions<P>;
  readonly #recorder: EffectQueue<Handlers>;
  readonly #sink: object;
  #port: P | undefined;
  #fetchBindings: FetchBindings | undefined;
  #forgetReset: (() => void) | undefined;
  #flights = new Map<number, Exchange>();
  #timer: Timer | undefined;
  /** When the machine wants to be told the time. */
  #wakesAt: number | undefined;
  #isClosed = false;

  constructor(options: PumpOptions<P>) {
    this.#options = options;
    this.#recorder = effectQueue({
      ...options.handlers,
      cancel: (id: number) => {
        this.#flights.get(id)?.cancel();
        this.#flights.delete(id);
      },
    });
    this.#sink = { ...this.#recorder.effects, wait: (at: number) => void (this.#wakesAt = at) };
  }

  /** Whether there is a machine. */
  get isRunning(): boolean {
    return this.#port !== undefined;
  }

  /** Tells the machine something, or asks it, and does what it says then. It is made if need be. */
  send<T>(fact: (port: P, now: number) => T): T {
    const port = this.#openPort();
    const result = call(() => fact(port, monotonicNow()));
    this.#drain(port);
    return result;
  }

  /** Asks something that changes nothing. */
  query<T>(question: (port: P) => T): T {
    const port = this.#openPort();
    return call(() => question(port));
  }

  /** The machine, for a question that is asked so often that every closure counts. What it throws goes through `trapped`. */
  get port(): P {
    return this.#port ?? this.#openPort();
  }

  /**
   * Starts an exchange, as soon as its plan is there; its end is told to the machine, by `land` if that wants to do it in another way. A plan
   * that fails is an exchange that did not reach the server.
   */
  startExchange(
    id: number,
    plan: RequestPlan | Promise<RequestPlan>,
    land?: (port: P, now: number, outcome: ExchangeOutcome) => void,
  ): void {
    // It was closed by something that was said before this.
    if (!this.#port) return;
    const start = (plan: RequestPlan) => startExchange(this.#fetchBindings!, this.#options.fetch, plan);
    const flight = plan instanceof Promise ? startWhenPlanned(plan, start) : start(plan);
    this.#flights.set(id, flight);
    void flight.outcome.then((outcome) => {
      // After a trap the same number may be that of another.
      if (this.#flights.get(id) !== flight) return;
      this.#flights.delete(id);
      this.cause = outcome.kind === "failure" ? outcome.cause : undefined;
      this.sendInBackground((port, now) => {
        if (land) land(port, now, outcome);
        else if (outcome.kind === "response")
          port.response(now, id, outcome.status, outcome.retryAfterMs, outcome.headers, outcome.body);
        else port.failure(now, id, FAILURE[outcome.reason]);
      });
      this.cause = undefined;
    });
  }

  /** Exchanges that are under way come to their end, whatever the machine says of them from now on. It will not hear of it. */
  detachExchanges(): void {
    this.#flights.clear();
  }

  /** Ends the machine; what it has under way is given up. Whatever is told afterwards is refused with `ERR_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const port = this.#port;
    this.#forget();
    if (port) call(() => port.free());
  }

  /** Nobody is there to catch an error, and after a trap `died` has been called. */
  sendInBackground(fact: (port: P, now: number) => void): void {
    try {
      this.send(fact);
    } catch (error) {
      if (!isFerryError(error, "ERR_INTERNAL")) throw error;
    }
  }

  #openPort(): P {
    if (this.#isClosed) throw new FerryError("ERR_CLOSED");
    if (!this.#port) {
      const glue = fullGlue();
      this.#port = call(() => this.#options.makePort(glue));
      this.#fetchBindings = guarded(glue);
      this.#forgetReset = onReset(() => {
        this.#forget();
        this.#options.onReset();
      });
      const born = this.#port;
      call(() => this.#options.onStart?.(born, monotonicNow()));
    }
    return this.#port;
  }

  #drain(port: P): void {
    this.#wakesAt = undefined;
    call(() => port.drain(this.#sink));
    stopTimer(this.#timer);
    if (this.#wakesAt !== undefined) {
      const millis = Math.min(Math.max(0, this.#wakesAt - monotonicNow()), LONGEST_TIMER_MS);
      this.#timer = startTimer(() => this.sendInBackground((port, now) => port.tick(now)), millis);
    }
    this.#recorder.run();
  }

  #forget(): void {
    stopTimer(this.#timer);
    this.#forgetReset?.();
    const flights = [...this.#flights.values()];
    this.#flights.clear();
    for (const flight of flights) flight.cancel();
    this.#port = undefined;
  }
}

/** The bindings of an exchange, whose traps are seen as those of any other call. */
function guarded(glue: FullGlue): FetchBindings {
  return {
    request_init: (...args) => call(() => glue.request_init(...args)),
    response_head: (...args) => call(() => glue.response_head(...args)),
    exchange: (...args) => call(() => glue.exchange(...args)),
  };
}
