/**
 * Tells rows that this version can read from others: damaged ones, and those of a newer version. Internal.
 *
 * A row has the form 0, which is not written. A version that gives rows another meaning must write another form, with
 * the member `form` or the flags of codec.ts, so that earlier versions leave these rows alone. New members that may be
 * ignored need no new form.
 */
import type { DeadLetter, Segment } from "./store.js";

/** Returns a row if it is a segment. Throws otherwise; the message does not show what is in the row. */
export function readSegment(row: unknown): Segment {
  const { key, body, sizes, orderingKeys, at, form } = (row ?? {}) as Partial<Segment> & Form;
  ensure(form === undefined || form === 0, "it has the form of a newer version");
  ensure(
    typeof key === "string" && isArray(body, "Uint8Array") && isArray(sizes, "Uint32Array"),
    "it is not a segment",
  );
  ensure(Number.isFinite(at), "it has no time");
  ensure(
    orderingKeys === undefined || (isArray(orderingKeys, "Uint32Array") && orderingKeys.length === sizes!.length),
    "its ordering keys do not match its events",
  );
  let length = sizes!.length > 0 ? -1 : 0;
  for (const size of sizes!) length += size + 1;
  ensure(length === body!.length, "its sizes do not match its events");
  return row as Segment;
}

/** Returns a row if it is a dead letter. Throws otherwise; the message does not show what is in the row. */
export function readDeadLetter(row: unknown): DeadLetter {
  const { form, key, body, code, reason, ...numbers } = (row ?? {}) as Partial<DeadLetter> & Form;
  ensure(form === undefined || form === 0, "it has the form of a newer version");
  ensure(
    [key, code, reason].every((text) => typeof text === "string") &&
      isArray(body, "Uint8Array") &&
      [numbers.orderingKey, numbers.at, numbers.status, numbers.attempts].every(Number.isFinite),
    "it is not a dead letter",
  );
  return row as DeadLetter;
}

interface Form {
  readonly form?: unknown;
}

/** Throws unless a row fulfils a condition. */
export function ensure(isTrue: boolean, problem: string): void {
  if (!isTrue) throw new Error(problem);
}

/** Not by `instanceof`: the storage of a test may be of another realm. */
function isArray(value: unknown, type: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${type}]`;
}
