/**
 * What a stored segment remembers of its requests, see `src/outbox/progress.rs`: how many requests failed in a row, until
 * when the next one has to wait, and for each event its attempts, until when a request may be in flight, and until when
 * it waits for a retry. The machine counts times from now, the store has Unix times in milliseconds; 0 is none.
 */
import { unixNow } from "../platform/clock.js";

const MAX_U32 = 2 ** 32 - 1;

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
    return Math.min(Math.max(0, isTime(at) ? number - now : number), MAX_U32);
  });
}

/** Whether there is a time at this place. */
function isTime(at: number): boolean {
  return at === 1 || (at > 2 && at % 3 !== 2);
}
