/**
 * Leads while it has a lease in the store, which it renews. A process that ends, or hangs, loses it with time.
 *
 * ```text
 *   waiting ──lease acquired, or the store fails and nobody is known to have it──> leading
 *      ▲                                                                             │
 *      └────────────────────── not renewed in time, or refused ──────────────────────┘
 * ```
 *
 * A store that fails gives no lease to anybody. Then everyone leads, because a full store can be emptied only by sending.
 * But one that fails for a moment, or has refused lately, may have the lease of another one.
 */
import type { Candidate } from "./candidate.js";
import { monotonicNow, startIdleTimer, stopTimer, type Timer, unixNow } from "./clock.js";
import { random } from "./random.js";

export const LEASE_MS = 10_000;
/** How often the leader renews its lease, and those who wait ask for it: a dead leader is replaced within 15 s. */
const RENEW_MS = LEASE_MS / 2;
const MAX_EXTRA_MS = 500;
/** The delay after the n-th failure of the store in a row is this times 2^n. */
const RETRY_MS = 100;
/** A store that has failed for so long does not fail for a moment only. */
const FAILING_MS = 500;

export interface LeaseCandidateOptions {
  /**
   * Resolves with whether `owner` has the lease; with `undefined` if the store fails. Never rejects. The calls reach the
   * store one after the other.
   */
  lease(owner: string, durationMs: number): Promise<boolean | undefined>;
  owner: string;
  onChange(isLeader: boolean): void;
}

export class LeaseCandidate implements Candidate {
  readonly #options: LeaseCandidateOptions;
  #timer: Timer | undefined;
  #isWithdrawn = false;
  #isLeader = false;
  /** Until when the lease lasts, by both clocks: a suspended machine stops the first, its user may set the second. */
  #until = { monotonicMs: 0, unixMs: 0 };
  #asking: Promise<boolean> | undefined;
  /** How often the store has failed since its last answer, and since when. */
  #failures = 0;
  #failingSince = 0;
  /** Whether another one had the lease at the last answer. */
  #wasRefused = false;

  constructor(options: LeaseCandidateOptions) {
    this.#options = options;
    void this.#renew();
  }

  confirm(): boolean | Promise<boolean> {
    return this.#isLeader && !this.#isOver ? true : this.#ask();
  }

  withdraw(): void {
    this.#isWithdrawn = true;
    stopTimer(this.#timer);
    // What is asked for may still be given.
    if (this.#isLeader || this.#asking) void this.#options.lease(this.#options.owner, 0);
  }

  get #isOver(): boolean {
    const { monotonicMs, unixMs } = this.#until;
    const unixLeftMs = unixMs - unixNow();
    // After the clock was set back, the others take the lease for one that is over.
    return monotonicNow() >= monotonicMs || unixLeftMs <= 0 || unixLeftMs > LEASE_MS;
  }

  async #renew(): Promise<void> {
    const isLeader = await this.#ask();
    if (this.#isWithdrawn) return;
    const retryMs = this.#failures > 0 ? RETRY_MS * 2 ** this.#failures : Infinity;
    const renewMs = isLeader ? RENEW_MS : RENEW_MS + random() * MAX_EXTRA_MS;
    this.#timer = startIdleTimer(() => void this.#renew(), Math.min(renewMs, retryMs));
  }

  /** Asks the store for the lease. Returns whether it has it. */
  #ask(): Promise<boolean> {
    this.#asking ??= this.#askOnce().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askOnce(): Promise<boolean> {
    if (this.#isWithdrawn) return false;
    const { lease, owner, onChange } = this.#options;
    const askedAt = monotonicNow();
    const until = { monotonicMs: askedAt + LEASE_MS, unixMs: unixNow() + LEASE_MS };
    const answer = await lease(owner, LEASE_MS);
    if (this.#isWithdrawn) return false;
    if (answer === undefined) {
      if (this.#failures++ === 0) this.#failingSince = askedAt;
      if (this.#isLeader && !this.#isOver) return true;
      // Another one may have renewed its lease just before.
      const isForMoment = monotonicNow() - this.#failingSince < (this.#wasRefused ? LEASE_MS : FAILING_MS);
      // Until something is known, the listener is told nothing.
      if (!this.#isLeader && isForMoment) return false;
      this.#isLeader = !isForMoment;
    } else {
      this.#failures = 0;
      this.#isLeader = answer;
      this.#wasRefused = !answer;
    }
    if (this.#isLeader) this.#until = until;
    onChange(this.#isLeader);
    return this.#isLeader;
  }
}
