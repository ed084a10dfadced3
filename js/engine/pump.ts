/**
 * Drives a machine: sends it an input, which records its outputs, and carries them out. The pump owns the timer and the
 * exchanges, which must end even if the engine traps.
 *
 * ```text
 *   send ──> port ──> outputs ──┬─ wait ───> timer ──tick──> port ──> …
 *                               ├─ cancel ─> the exchange is aborted
 *                               └─ others ─> handlers ──startExchange──> exchange ──outcome──> port ──> …
 * ```
 */

import { joined } from "../platform/bytes.js";
import { monotonicNow, startTimer, stopTimer, type Timer } from "../platform/clock.js";
import {
  type Exchange,
  type ExchangeOutcome,
  type FetchLike,
  type RequestPlan,
  startExchange,
  startWhenPlanned,
} from "../platform/fetch.js";
import { type EffectQueue, effectQueue, type Handlers } from "./effect-queue.js";
import { FerryError, isFerryError } from "./errors.js";
import type { EngineModule, Glue } from "./module.js";
import { FAILURE, type Port, PORT_INPUTS } from "./ports.js";

/** The options of a pump. */
export interface PumpOptions<P extends Port, G extends Glue> {
  /** The module that has the machine. */
  module: EngineModule<G>;
  /** Creates the machine, which records its outputs in `effects`. Called before the first input, and again after a trap. */
  makePort(glue: G, effects: object): P;
  /** The handlers for all outputs but `wait` and `cancel`. */
  handlers: Handlers;
  /** Used instead of the global `fetch`. */
  fetch: FetchLike | undefined;
  /** The instance of the module was discarded after a trap, and the machine with it. */
  onReset(): void;
  /** A machine was created. After a trap, the state of the previous one can be restored here. */
  onStart?(port: P, now: number): void;
}

const MAX_TIMER_MS = 2 ** 31 - 1;

/** Drives one machine. */
export class Pump<P extends Port, G extends Glue = Glue> {
  /** The cause of the failure that is being reported to the machine, during that report. */
  cause: unknown;
  readonly #options: PumpOptions<P, G>;
  readonly #queue: EffectQueue<Handlers>;
  readonly #effects: object;
  #port: P | undefined;
  #stopListening: (() => void) | undefined;
  #exchanges = new Map<number, Exchange>();
  #timer: Timer | undefined;
  /** When the next tick is due. */
  #deadline = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(options: PumpOptions<P, G>) {
    this.#options = options;
    this.#queue = effectQueue({
      ...options.handlers,
      cancel: (id: number) => {
        this.#exchanges.get(id)?.cancel();
        this.#exchanges.delete(id);
      },
    });
    this.#effects = {
      ...this.#queue.effects,
      wait: (at: number) => {
        this.#deadline = at;
      },
    };
  }

  /** Whether a machine exists. */
  get isRunning(): boolean {
    return this.#port !== undefined;
  }

  /** Sends an input to the machine, and carries out its outputs. Creates the machine if there is none. */
  send<T>(input: (port: P, now: number) => T): T {
    const port = this.#openPort();
    const result = this.#options.module.call(() => input(port, monotonicNow()));
    this.#carryOut();
    return result;
  }

  /** Reads something from the machine. Carries out no output. */
  query<T>(read: (port: P) => T): T {
    const port = this.#openPort();
    return this.#options.module.call(() => read(port));
  }

  /** The machine, for calls that are so frequent that a closure is too slow. Errors must go through `trapped` of its module. */
  get port(): P {
    return this.#port ?? this.#openPort();
  }

  /**
   * Starts an exchange as soon as its plan is there, and reports its outcome to the machine. A plan that rejects counts
   * as a network failure, one that takes longer than `planTimeoutMs` as a timeout.
   *
   * @param report reports the outcome in place of the pump
   * @param planTimeoutMs no limit if it is left out
   */
  startExchange(
    id: number,
    plan: RequestPlan | Promise<RequestPlan>,
    report?: (port: P, now: number, outcome: ExchangeOutcome) => void,
    planTimeoutMs: number = MAX_TIMER_MS,
  ): void {
    if (!this.#port) {
      // An earlier handler has closed the pump. Nobody waits for the plan.
      if (plan instanceof Promise) plan.catch(() => undefined);
      return;
    }
    const start = (plan: RequestPlan) => startExchange(this.#options.fetch, plan);
    const exchange = plan instanceof Promise ? startWhenPlanned(plan, planTimeoutMs, start) : start(plan);
    this.#exchanges.set(id, exchange);
    void exchange.outcome.then((outcome) => {
      // After a trap another exchange may have the same id.
      if (this.#exchanges.get(id) !== exchange) return;
      this.#exchanges.delete(id);
      this.cause = outcome.kind === "failure" ? outcome.cause : undefined;
      this.sendInBackground((port, now) => {
        if (report) report(port, now, outcome);
        else if (outcome.kind === "response")
          port.response!(now, id, outcome.status, outcome.retryAfterMs, outcome.headers, joined(outcome.chunks));
        else port.input(PORT_INPUTS.failure, now, id, FAILURE[outcome.reason]);
      });
      this.cause = undefined;
    });
  }

  /** Frees the machine and aborts its exchanges. Later inputs throw `ERR_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const port = this.#port;
    this.#discard();
    if (port) this.#options.module.call(() => port.free());
  }

  /** Like `send`, where no caller can catch an error. After a trap, `onReset` has been called. */
  sendInBackground(input: (port: P, now: number) => void): void {
    try {
      this.send(input);
    } catch (error) {
      if (!isFerryError(error, "ERR_INTERNAL")) throw error;
    }
  }

  #openPort(): P {
    if (this.#isClosed) throw new FerryError("ERR_CLOSED");
    if (!this.#port) {
      const { module } = this.#options;
      const { glue } = module;
      this.#port = module.call(() => this.#options.makePort(glue, this.#effects));
      this.#stopListening = module.onReset(() => {
        this.#discard();
        // Its outputs have ids that the next machine gives again.
        this.#queue.clear();
        this.#options.onReset();
      });
      const started = this.#port;
      module.call(() => this.#options.onStart?.(started, monotonicNow()));
    }
    return this.#port;
  }

  #carryOut(): void {
    stopTimer(this.#timer);
    if (this.#deadline !== Number.POSITIVE_INFINITY) {
      const millis = Math.min(Math.max(0, this.#deadline - monotonicNow()), MAX_TIMER_MS);
      this.#timer = startTimer(() => this.sendInBackground((port, now) => port.input(PORT_INPUTS.tick, now)), millis);
    }
    this.#queue.run();
  }

  #discard(): void {
    stopTimer(this.#timer);
    this.#stopListening?.();
    const exchanges = [...this.#exchanges.values()];
    this.#exchanges.clear();
    for (const exchange of exchanges) exchange.cancel();
    this.#port = undefined;
  }
}
