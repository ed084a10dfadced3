/** The lease of a sender, as shared stores keep it. */

/** Who may send, and until when. */
export interface Lease {
  readonly owner: string;
  /** In Unix milliseconds. */
  readonly until: number;
  /** For how long it was acquired, in milliseconds. */
  readonly durationMs: number;
}

/** By how much the clocks of two machines may differ. */
const CLOCK_TOLERANCE_MS = 1000;

/**
 * Whether `owner` may take the lease: there is none, it is the owner's own, or it is over. One that ends later than its
 * duration from now was acquired before a clock was set back, so its end says nothing.
 */
export function isLeaseFree(lease: Lease | null | undefined, owner: string, nowMs: number): boolean {
  if (!lease || lease.owner === owner) return true;
  const leftMs = lease.until - nowMs;
  return leftMs <= 0 || leftMs > lease.durationMs + CLOCK_TOLERANCE_MS;
}
