/**
 * Why an outbox sends nothing: the application has paused it, or its identity is absent.
 *
 * ```text
 *   present ──hold──> no new requests ──those in flight have ended──> another tab may lead
 *      ▲                                                                      │
 *      └────────────────────────────unhold────────────────────────────────────┘
 * ```
 */
import { OUTBOX_INPUTS } from "../engine/ports.js";
import type { OutboxMachine } from "./machine.js";

export interface SendPauseOptions {
  machine: OutboxMachine;
  /** How long a request may take. */
  timeoutMs: number;
  /** Lets another tab lead. */
  resign(): void;
}

/** How long requests may go on after their identity is absent, beyond their own time limit. */
const SETTLE_EXTRA_MS = 10_000;

export class SendPause {
  /** Whether the application has paused it. */
  isPaused = false;
  /** Whether its identity is absent: it stores events and sends none. */
  isOnHold = false;
  readonly #options: SendPauseOptions;
  /** Resolves when the last request of an absent identity has ended, with the number of pending events. */
  #holding: Promise<number> | undefined;

  constructor(options: SendPauseOptions) {
    this.#options = options;
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    this.#update();
  }

  hold(): void {
    this.isOnHold = true;
    this.#update();
    this.#holding = this.#resignWhenSettled();
  }

  unhold(): void {
    this.isOnHold = false;
    this.#holding = undefined;
    this.#update();
  }

  /** Resolves once it is on hold and no request is in flight, with the number of its pending events. */
  async untilHeld(deadlineMs: number): Promise<number> {
    const { machine } = this.#options;
    await machine.untilTrue(OUTBOX_INPUTS.isSettled, undefined, deadlineMs);
    // After the resignation only events that were committed here are known.
    return (await Promise.race([this.#holding, undefined])) ?? machine.counters().pending;
  }

  /** Returns how many events were pending when the last request had ended. */
  async #resignWhenSettled(): Promise<number> {
    const { machine, timeoutMs, resign } = this.#options;
    await machine.untilTrue(OUTBOX_INPUTS.isSettled, undefined, timeoutMs + SETTLE_EXTRA_MS);
    const { pending } = machine.counters();
    if (this.isOnHold && !machine.isStopped) resign();
    return pending;
  }

  #update(): void {
    const isPaused = this.isPaused || this.isOnHold;
    this.#options.machine.send((port, now) => port.input(OUTBOX_INPUTS.pause, now, isPaused));
  }
}
