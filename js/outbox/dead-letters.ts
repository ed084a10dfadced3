/** Dead letters: what is kept of events that will not be delivered unless they are replayed. */
import type { FerryError, FerryErrorCode } from "../engine/errors.js";
import type { DeadLetter, Segment } from "../stores/store.js";
import { joinTexts } from "./json-texts.js";
import type { TrackedSegment } from "./tracked-segment.js";
import type { Wire } from "./wire.js";
import { unixNow } from "../platform/clock.js";

/** An event that will not be delivered unless it is replayed. */
export interface DeadEvent {
  readonly id: string;
  /** Its JSON text; empty in the report of a flush if another tab has buried it. `outbox.dead.list()` has it. */
  readonly text: string;
  /** When it died. */
  readonly at: Date;
  readonly code: FerryErrorCode;
  /** The HTTP status, 0 if there was none. */
  readonly status: number;
  readonly reason: string;
  /** How many requests had it in them. */
  readonly attempts: number;
}

/** The letter of an event of a packet. */
export function toDeadLetter(
  packet: TrackedSegment,
  index: number,
  { code, message: reason }: FerryError,
  status: number,
  attempts: number,
): DeadLetter {
  const body = packet.slice(index, index + 1).slice();
  // Not by the place alone: when a segment was written anew with what is left of it, other events have that place.
  const key = `${packet.key}.${index}.${fingerprint(body)}`;
  return { key, body, orderingKey: packet.lanes[index] ?? 0, at: unixNow(), code, status, reason, attempts };
}

/** How a letter looks from outside. */
export function deadEvent<E>(wire: Wire<E>, { body, at, code, status, reason, attempts }: DeadLetter): DeadEvent {
  return {
    id: wire.idOf(body),
    text: wire.textOf?.(body) ?? new TextDecoder().decode(body),
    at: new Date(at),
    code,
    status,
    reason,
    attempts,
  };
}

/** Letters as segments again, each of one kin. */
export function segmentsOf<E>(
  wire: Wire<E>,
  letters: readonly DeadLetter[],
  nextKey: (at: number) => string,
): Segment[] {
  const at = unixNow();
  const byKin = new Map<string | undefined, DeadLetter[]>();
  for (const letter of letters) {
    const name = wire.grouping?.(letter.body).batchKey;
    byKin.set(name, [...(byKin.get(name) ?? []), letter]);
  }
  return Array.from(byKin.values(), (kin) => ({
    key: nextKey(at),
    at,
    body: joinTexts(kin.map(({ body }) => body)),
    sizes: Uint32Array.from(kin, ({ body }) => body.length),
    orderingKeys: Uint32Array.from(kin, ({ orderingKey }) => orderingKey),
  }));
}

/** The same for the same bytes, and hardly ever for others: FNV-1a, with two primes. */
function fingerprint(bytes: Uint8Array): string {
  let [one, two] = [0x811c9dc5, 0x1b873593];
  for (const byte of bytes) {
    one = Math.imul(one ^ byte, 0x01000193);
    two = Math.imul(two ^ byte, 0x85ebca6b);
  }
  return (one >>> 0).toString(36) + (two >>> 0).toString(36);
}
