/**
 * Leads while it has a lease in the store, which it renews. A process that ends, or hangs, loses it with time.
 *
 * ```text
 *   waiting ──lease acquired──> leading ──not renewed in time, or refused──> waiting
 * ```
 */
import type { Candidate } from "./candidate.js";
import { monotonicNow, startTimer, stopTimer, type Timer, unixNow } from "./clock.js";
import { random } from "./random.js";

export const LEASE_MS = 10_000;
/** How often the leader renews its lease, and those who wait ask for it: a dead leader is replaced within 15 s. */
const RENEW_MS = LEASE_MS / 2;
const MAX_EXTRA_MS = 500;

export interface LeaseCandidateOptions {
  /** Resolves with whether `owner` has the lease; never rejects. */
  lease(owner: string, durationMs: number): Promise<boolean>;
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

  constructor(options: LeaseCandidateOptions) {
    this.#options = options;
    void this.#renew();
  }

  confirm(): boolean | Promise<boolean> {
    const { monotonicMs, unixMs } = this.#until;
    const unixLeftMs = unixMs - unixNow();
    // After the clock was set back, the others take the lease for one that is over.
    const isOver = monotonicNow() >= monotonicMs || unixLeftMs <= 0 || unixLeftMs > LEASE_MS;
    return this.#isLeader && !isOver ? true : this.#ask();
  }

  withdraw(): void {
    this.#isWithdrawn = true;
    stopTimer(this.#timer);
    if (this.#isLeader) void this.#options.lease(this.#options.owner, 0);
  }

  async #renew(): Promise<void> {
    const isLeader = await this.#ask();
    if (this.#isWithdrawn) return;
    this.#timer = startTimer(() => void this.#renew(), isLeader ? RENEW_MS : RENEW_MS + random() * MAX_EXTRA_MS);
    // Without it, Node would not exit.
    (this.#timer as { unref?: () => void }).unref?.();
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
    const until = { monotonicMs: monotonicNow() + LEASE_MS, unixMs: unixNow() + LEASE_MS };
    const isLeader = await lease(owner, LEASE_MS);
    if (this.#isWithdrawn) {
      // It was released while this call was under way.
      if (isLeader) void lease(owner, 0);
      return false;
    }
    this.#isLeader = isLeader;
    if (isLeader) this.#until = until;
    onChange(isLeader);
    return isLeader;
  }
}
