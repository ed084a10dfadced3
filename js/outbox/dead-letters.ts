/** Dead letters: events that will not be delivered unless they are replayed. */
import type { FerryError, FerryErrorCode } from "../engine/errors.js";
import { unixNow } from "../platform/clock.js";
import type { DeadLetter, Segment } from "../stores/store.js";
import { joinTexts } from "./json-texts.js";
import type { TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";
import { TextDecoder } from "../platform/text.js";

/** An event that will not be delivered unless it is replayed. */
export interface DeadEvent {
  /** The id of the event. */
  readonly id: string;
  /**
   * JSON text of the event. Empty in the report of a flush if another tab kept it as a dead letter;
   * `outbox.dead.list()` has it.
   */
  readonly text: string;
  /** When it became a dead letter. */
  readonly at: Date;
  /** The code of the error that ended its delivery. */
  readonly code: FerryErrorCode;
  /** HTTP status, 0 if there was none. */
  readonly status: number;
  /** The message of that error. */
  readonly reason: string;
  /** How many requests contained it. */
  readonly attempts: number;
  /**
   * Whether the event itself was refused, or given up. False if it died with its batch, because every event of the
   * batch that was sent alone was refused with the same status.
   */
  readonly refusedAlone: boolean;
}

/** The dead letter of one event of a segment. */
export function toDeadLetter(
  segment: TrackedSegment,
  index: number,
  { code, message: reason }: FerryError,
  status: number,
  attempts: number,
  refusedAlone = true,
): DeadLetter {
  const body = segment.slice(index, index + 1).slice();
  // The index alone is not unique: when a segment is rewritten with its remaining events, their indices change.
  const key = `${segment.key}.${index}.${fingerprint(body)}`;
  const orderingKey = segment.orderingKeys[index] ?? 0;
  const letter = { key, body, orderingKey, at: unixNow(), code, status, reason, attempts };
  return refusedAlone ? letter : { ...letter, refusedAlone };
}

/** A dead letter as applications see it. */
export function toDeadEvent<E>(
  wire: Wire<E>,
  { body, at, code, status, reason, attempts, refusedAlone = true }: DeadLetter,
): DeadEvent {
  return {
    id: wire.idOf(body),
    text: wire.textOf?.(body) ?? new TextDecoder().decode(body),
    at: new Date(at),
    code,
    status,
    reason,
    attempts,
    refusedAlone,
  };
}

/** Segments with the events of dead letters, one for each batch key. */
export function toSegments<E>(
  wire: Wire<E>,
  letters: readonly DeadLetter[],
  nextKey: (unixMs: number) => string,
): Segment[] {
  const at = unixNow();
  const byBatchKey = new Map<string | undefined, DeadLetter[]>();
  for (const letter of letters) {
    const batchKey = wire.grouping?.(letter.body).batchKey;
    byBatchKey.set(batchKey, [...(byBatchKey.get(batchKey) ?? []), letter]);
  }
  return Array.from(byBatchKey.values(), (group): Segment => {
    const texts = group.map(({ body }) => body);
    const body = joinTexts(texts);
    return {
      key: nextKey(at),
      at,
      body,
      sizes: Uint32Array.from(texts, ({ length }) => length),
      orderingKeys: Uint32Array.from(group, ({ orderingKey }) => orderingKey),
      ...(wire.expiryTimes?.(body, () => texts) && { isReplayed: true }),
    };
  });
}

/** A checksum of bytes: FNV-1a with two primes. */
function fingerprint(bytes: Uint8Array): string {
  let [one, two] = [0x811c9dc5, 0x1b873593];
  for (const byte of bytes) {
    one = Math.imul(one ^ byte, 0x01000193);
    two = Math.imul(two ^ byte, 0x85ebca6b);
  }
  return (one >>> 0).toString(36) + (two >>> 0).toString(36);
}
