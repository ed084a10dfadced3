/**
 * The log of a file store: a sequence of records with checksums, one for each change. Internal.
 *
 *     file:    MAGIC record…
 *     record:  length of the entries u32 | their CRC-32 u32 | entry…
 *     entry:   kind u8 | 0 u8 | length of the key u16 | length of the value u32 | key | value
 */
import { concat } from "../platform/bytes.js";
import { type Bytes, decodeDeadLetter, decodeSegment, encodeDeadLetter, encodeSegment } from "./codec.js";
import type { Change, DeadLetter, Segment } from "./store.js";

/** The start of every file. */
export const MAGIC: Bytes = new TextEncoder().encode("eventferry outbox 1\n");

/** Computes a CRC-32. */
export type Crc32 = (bytes: Uint8Array) => number;

const RECORD_HEAD = 8;
const ENTRY_HEAD = 8;
const PUT = 1;
const REMOVE = 2;
const DEAD_PUT = 3;
const DEAD_REMOVE = 4;
const NOTHING = new Uint8Array(0);

/** Encodes changes as records. An empty change has no record. */
export function records(changes: readonly Change[], crc32: Crc32): Bytes {
  const parts: Uint8Array[] = [];
  const heads: { view: DataView; start: number; end: number }[] = [];
  let length = 0;
  const add = (part: Uint8Array) => {
    parts.push(part);
    length += part.length;
  };
  for (const change of changes) {
    const head = new Uint8Array(RECORD_HEAD);
    const start = length + RECORD_HEAD;
    add(head);
    for (const segment of change.put) addEntry(add, PUT, segment.key, encodeSegment(segment));
    for (const key of change.remove) addEntry(add, REMOVE, key, NOTHING);
    for (const letter of change.deadPut) addEntry(add, DEAD_PUT, letter.key, encodeDeadLetter(letter));
    for (const key of change.deadRemove) addEntry(add, DEAD_REMOVE, key, NOTHING);
    if (length > start) {
      heads.push({ view: new DataView(head.buffer), start, end: length });
    } else {
      parts.pop();
      length -= RECORD_HEAD;
    }
  }
  const bytes = concat(parts);
  const view = new DataView(bytes.buffer);
  for (const { start, end } of heads) {
    view.setUint32(start - RECORD_HEAD, end - start, true);
    view.setUint32(start - RECORD_HEAD + 4, crc32(bytes.subarray(start, end)), true);
  }
  return bytes;
}

/**
 * Reads a file, and passes each intact change to `apply`, in order.
 *
 * An incomplete record is the last one. A damaged record before an intact one was damaged after it was written; it is
 * skipped.
 *
 * @returns the end of the last intact record; undefined if the file is not an outbox
 */
export function readRecords(bytes: Uint8Array, crc32: Crc32, apply: (change: Change) => void): number | undefined {
  const start = Math.min(bytes.length, MAGIC.length);
  for (let at = 0; at < start; at++) if (bytes[at] !== MAGIC[at]) return undefined;
  let intactEnd = start;
  let damaged = 0;
  for (let at = start; damaged < 2; ) {
    const record = recordAt(bytes, at, crc32);
    if (!record) break;
    if (record.isIntact) {
      apply(toChange(record.entries));
      intactEnd = record.end;
      damaged = 0;
    } else {
      damaged++;
    }
    at = record.end;
  }
  return intactEnd;
}

/** The approximate size of a segment or dead letter in the file. */
export function recordBytes(item: Segment | DeadLetter): number {
  return "sizes" in item
    ? item.body.length + 4 * item.sizes.length * (item.orderingKeys ? 2 : 1) + 64
    : item.body.length + 256;
}

function addEntry(add: (part: Uint8Array) => void, kind: number, key: string, value: Uint8Array): void {
  const name = new TextEncoder().encode(key);
  const head = new DataView(new ArrayBuffer(ENTRY_HEAD));
  head.setUint8(0, kind);
  head.setUint16(2, name.length, true);
  head.setUint32(4, value.length, true);
  add(new Uint8Array(head.buffer));
  add(name);
  add(value);
}

function recordAt(
  bytes: Uint8Array,
  at: number,
  crc32: Crc32,
): { entries: Uint8Array; end: number; isIntact: boolean } | undefined {
  if (at + RECORD_HEAD > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const length = view.getUint32(0, true);
  const end = at + RECORD_HEAD + length;
  // After a loss of power, the end of the file may be zeros.
  if (length === 0 || end > bytes.length) return undefined;
  const entries = bytes.subarray(at + RECORD_HEAD, end);
  return { entries, end, isIntact: crc32(entries) === view.getUint32(4, true) };
}

function toChange(entries: Uint8Array): Change {
  const change = {
    put: [] as Segment[],
    remove: [] as string[],
    deadPut: [] as DeadLetter[],
    deadRemove: [] as string[],
  };
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  const text = new TextDecoder();
  for (let at = 0; at < entries.length; ) {
    const kind = view.getUint8(at);
    const keyEnd = at + ENTRY_HEAD + view.getUint16(at + 2, true);
    const end = keyEnd + view.getUint32(at + 4, true);
    const key = text.decode(entries.subarray(at + ENTRY_HEAD, keyEnd));
    const value = entries.subarray(keyEnd, end);
    if (kind === PUT) change.put.push(decodeSegment(key, value));
    else if (kind === REMOVE) change.remove.push(key);
    else if (kind === DEAD_PUT) change.deadPut.push(decodeDeadLetter(key, value));
    else if (kind === DEAD_REMOVE) change.deadRemove.push(key);
    at = end;
  }
  return change;
}
