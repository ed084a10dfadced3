/**
 * What a stored segment remembers of its requests, see `src/outbox/progress.rs`: how many requests failed in a row, until
 * when the next one has to wait, and for each event its attempts, until when a request may be in flight, and until when
 * it waits for a retry. The machine counts times from now, the store has Unix times in milliseconds; 0 is none.
 *
 * A request whose page has ended before the answer is repeated only by a page that is open for a while, if possible:
 * where all page views are shorter than the answers take, each repetition would be in vain too.
 *
 * ```text
 *   sent ──page ends──> may be in flight ──timeoutMs──> repeated by a page that is open for 5 s ──1 min──> by any page
 * ```
 */
import { unixNow } from "../platform/clock.js";

const MAX_U32 = 2 ** 32 - 1;
/** How long a page is open before it repeats a request that was lost with another one. */
const SETTLED_PAGE_MS = 5000;
/** After this time it does not wait for that. */
const LONG_AGO_MS = 60_000;

/** The machine's numbers as the store keeps them. Undefined if there are none. */
export function toStoredProgress(numbers: Uint32Array): number[] | undefined {
  const now = unixNow();
  return numbers.length > 0
    ? Array.from(numbers, (value, at) => (isTime(at) && value > 0 ? now + value : value))
    : undefined;
}

/** The numbers of a stored segment as the machine takes them. Empty if there are none, or they are damaged. */
export function fromStoredProgress(progress: unknown): Uint32Array {
  if (!Array.isArray(progress)) return new Uint32Array(0);
  const now = unixNow();
  return Uint32Array.from(progress as unknown[], (value, at) => {
    const number = typeof value === "number" ? value : 0;
    const rest = isTime(at) ? number - now : number;
    const isLost = isEndOfRequest(at) && number > 0 && rest > -LONG_AGO_MS;
    return Math.min(Math.max(isLost ? SETTLED_PAGE_MS : 0, rest), MAX_U32);
  });
}

/** Whether there is at this place until when a request may be in flight. */
function isEndOfRequest(at: number): boolean {
  return at > 2 && at % 3 === 0;
}

/** Whether there is a time at this place. */
function isTime(at: number): boolean {
  return at === 1 || (at > 2 && at % 3 !== 2);
}
