/** The machine of an outbox (`src/outbox/machine.rs`), and everybody who waits for it. */
import { publish } from "../engine/modules/publish.js";
import { isFerryError } from "../engine/errors.js";
import { optionNumbers } from "../engine/machine-options.js";
import {
  COUNTERS,
  OUTBOX_CLASSIFIERS,
  OUTBOX_INPUTS,
  OUTBOX_OPTIONS,
  type OutboxEffects,
  type OutboxPort,
  type PublishGlue,
} from "../engine/ports.js";
import { Pump } from "../engine/pump.js";
import type { ExchangeOutcome, FetchLike, RequestPlan } from "../platform/fetch.js";
import { random } from "../platform/random.js";
import type { Waiters } from "../platform/waiters.js";
import type { MachineConfig } from "./options.js";

export type Counters = Record<(typeof COUNTERS)[number], number>;

/** An input that asks the machine something. */
type Question = typeof OUTBOX_INPUTS.isDrained | typeof OUTBOX_INPUTS.isSettled;

export interface OutboxMachineOptions {
  config: MachineConfig;
  /** See `Wire.classifier`. */
  classifier: number | undefined;
  fetch: FetchLike | undefined;
  /** For what depends on the machine or the store. */
  waiters: Waiters;
  effects: OutboxEffects;
  /** The engine was discarded after a trap, and the machine with it. */
  onReset(): void;
  /** A machine was created. */
  onStart(port: OutboxPort, now: number): void;
}

export class OutboxMachine {
  /** Whether it is gone for good. */
  isStopped = false;
  readonly #pump: Pump<OutboxPort, PublishGlue>;
  readonly #waiters: Waiters;
  /** Those at the end. */
  #lastCounters: Counters | undefined;

  constructor({ config, classifier, fetch, waiters, effects, onReset, onStart }: OutboxMachineOptions) {
    this.#waiters = waiters;
    this.#pump = new Pump<OutboxPort, PublishGlue>({
      module: publish,
      makePort: (glue, queue) =>
        new glue.OutboxPort(
          optionNumbers(OUTBOX_OPTIONS, config),
          classifier ?? OUTBOX_CLASSIFIERS.byStatus,
          random(),
          queue,
        ),
      fetch,
      onReset,
      onStart,
      handlers: effects,
    });
  }

  /** Whether a machine exists. */
  get isRunning(): boolean {
    return this.#pump.isRunning;
  }

  /** The machine, for calls that are so frequent that a closure is too slow. Errors must go through `publish.trapped`. */
  get port(): OutboxPort {
    return this.#pump.port;
  }

  /** The cause of the failure that is being reported to the machine. */
  get cause(): unknown {
    return this.#pump.cause;
  }

  /** Gives the machine an input, then rechecks what waits for it. */
  send<T>(input: (port: OutboxPort, now: number) => T): T {
    const result = this.#pump.send(input);
    this.#waiters.recheck();
    return result;
  }

  /** The same, for an input that no caller waits for. */
  sendInBackground(input: (port: OutboxPort, now: number) => void): void {
    this.#pump.sendInBackground(input);
    this.#waiters.recheck();
  }

  query<T>(question: (port: OutboxPort) => T): T {
    return this.#pump.query(question);
  }

  /** Whether the machine answers a question with true. False if there is no machine. */
  isTrue(question: Question): boolean {
    try {
      return this.#pump.isRunning && this.query((port) => port.input(question, 0)) === 1;
    } catch (error) {
      // The engine trapped. The next one is asked again.
      if (!isFerryError(error, "ERR_INTERNAL")) throw error;
      return false;
    }
  }

  /** Resolves with true when the machine answers a question with true, with false when the wait ends earlier. */
  untilTrue(question: Question, signal?: AbortSignal, deadlineMs?: number): Promise<boolean> {
    return this.#waiters.until(() => this.isTrue(question), signal, deadlineMs);
  }

  counters(): Counters {
    return this.#lastCounters ?? this.query(countersOf);
  }

  /** Makes a request. `report` tells the machine how it ended; `setCause` gets the cause of a failure. */
  startExchange(
    id: number,
    plan: RequestPlan | Promise<RequestPlan>,
    planTimeoutMs: number,
    report: (port: OutboxPort, now: number, outcome: ExchangeOutcome, setCause: (cause: unknown) => void) => void,
  ): void {
    const setCause = (cause: unknown) => {
      this.#pump.cause = cause;
    };
    const reportAndRecheck = (port: OutboxPort, now: number, outcome: ExchangeOutcome) => {
      report(port, now, outcome, setCause);
      // After the effects of the outcome. Not with queueMicrotask, for which Node creates an async context.
      void Promise.resolve().then(() => this.#waiters.recheck());
    };
    this.#pump.startExchange(id, plan, reportAndRecheck, planTimeoutMs);
  }

  /** Frees the machine and aborts its requests. Its counters stay. */
  stop(): void {
    this.#lastCounters = this.#pump.isRunning ? this.query(countersOf) : countersOf();
    this.isStopped = true;
    this.#pump.close();
  }
}

/** All 0 without a machine. */
function countersOf(port?: OutboxPort): Counters {
  return Object.fromEntries(
    COUNTERS.map((name, at) => [name, port?.input(OUTBOX_INPUTS.counter, 0, at) ?? 0]),
  ) as Counters;
}
