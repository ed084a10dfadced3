/**
 * The log of a file store: a sequence of records with checksums, one for each change. Internal.
 *
 *     file:    header record…
 *     record:  length of the entries u32 | their CRC-32 u32 | entry…
 *     entry:   kind u8 | 0 u8 | length of the key u16 | length of the value u32 | key | value
 *
 * The CRC-32 is seeded with the salt of the header.
 */
import { decodeDeadLetter, decodeSegment, encodedBytes, encodeDeadLetter, writeSegment } from "./codec.js";
import type { Change, DeadLetter, Segment } from "./store.js";
import { TextDecoder, TextEncoder } from "../platform/text.js";

/** Computes a CRC-32. */
export type Crc32 = (bytes: Uint8Array, seed?: number) => number;
/** Computes the checksum of the records of one file. */
export type Checksum = (bytes: Uint8Array) => number;

/** Provides so many bytes, with any content. */
export type Room = (length: number) => Uint8Array;

/** The bytes of a record before its entries. */
export const RECORD_HEAD = 8;
const ENTRY_HEAD = 8;
const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** What an entry does. Newer versions may have more kinds. */
export const KIND = { put: 1, remove: 2, deadPut: 3, deadRemove: 4, erased: 5 } as const;

/** A part of a record. */
export interface Entry {
  readonly kind: number;
  readonly key: string;
  readonly value: Uint8Array;
}

/** An entry to be written: the value of one that puts a segment is encoded when it is written. */
export interface NewEntry {
  readonly kind: number;
  readonly key: string;
  readonly value: Uint8Array | Segment;
}

/**
 * Encodes changes as records. An empty change has no record.
 *
 * @param room returns so many bytes, with any content. The result is in them
 */
export function records(changes: readonly Change[], checksum: Checksum, room?: Room): Uint8Array {
  return encodeRecords(changes.map(entriesOf), checksum, room);
}

/** Encodes one record for each list of entries. An empty list has none. `room`: see `records`. */
export function encodeRecords(
  lists: readonly (readonly NewEntry[])[],
  checksum: Checksum,
  room: Room = (length) => new Uint8Array(length),
): Uint8Array {
  const named = lists
    .filter((entries) => entries.length > 0)
    .map((entries) => entries.map(({ kind, key, value }) => ({ kind, name: encoder.encode(key), value })));
  let length = 0;
  for (const entries of named) {
    length += RECORD_HEAD;
    for (const { name, value } of entries) length += ENTRY_HEAD + name.length + valueBytes(value);
  }
  const bytes = room(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let at = 0;
  for (const entries of named) {
    const start = at + RECORD_HEAD;
    at = start;
    for (const { kind, name, value } of entries) {
      const size = valueBytes(value);
      // The kind, and the byte 0.
      view.setUint16(at, kind, true);
      view.setUint16(at + 2, name.length, true);
      view.setUint32(at + 4, size, true);
      at += ENTRY_HEAD;
      bytes.set(name, at);
      at += name.length;
      if ("sizes" in value) writeSegment(value, bytes.subarray(at, at + size));
      else bytes.set(value, at);
      at += size;
    }
    view.setUint32(start - RECORD_HEAD, at - start, true);
    view.setUint32(start - RECORD_HEAD + 4, checksum(bytes.subarray(start, at)), true);
  }
  return bytes;
}

function valueBytes(value: Uint8Array | Segment): number {
  return "sizes" in value ? encodedBytes(value) : value.length;
}

/** The entries of an intact record that starts at `at`, and its end; undefined if there is none. */
export function recordAt(
  bytes: Uint8Array,
  at: number,
  checksum: Checksum,
): { entries: Entry[]; end: number } | undefined {
  const end = announcedEnd(bytes, at);
  if (end === undefined) return undefined;
  const content = bytes.subarray(at + RECORD_HEAD, end);
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  if (lastEntryEnd(bytes, at + RECORD_HEAD, end) !== end) return undefined;
  return checksum(content) === view.getUint32(4, true) ? { entries: decodeEntries(content), end } : undefined;
}

/** The end that the length of a record announces; undefined if it is impossible. */
export function announcedEnd(bytes: Uint8Array, at: number): number | undefined {
  if (at + RECORD_HEAD + ENTRY_HEAD > bytes.length) return undefined;
  const length = readU32(bytes, at);
  const end = at + RECORD_HEAD + length;
  // After a loss of power, the end of the file may be zeros.
  return length < ENTRY_HEAD || end > bytes.length ? undefined : end;
}

/**
 * The end of the last entry that starts before `end`, if entries follow each other from `at` on. It is larger than `end`
 * if the last one is incomplete, and undefined if something else is in between.
 */
export function lastEntryEnd(bytes: Uint8Array, at: number, end: number): number | undefined {
  let position = at;
  while (position < end) {
    if (position + ENTRY_HEAD > end) return position + ENTRY_HEAD;
    if (bytes[position] === 0 || bytes[position + 1] !== 0) return undefined;
    const keyBytes = bytes[position + 2]! + 256 * bytes[position + 3]!;
    position += ENTRY_HEAD + keyBytes + readU32(bytes, position + 4);
  }
  return position;
}

/** The start of each entry of an intact record that starts at `at`. */
export function* entryStarts(bytes: Uint8Array, at: number): Generator<number> {
  const end = announcedEnd(bytes, at)!;
  for (let position = at + RECORD_HEAD; position < end; ) {
    yield position;
    position += ENTRY_HEAD + bytes[position + 2]! + 256 * bytes[position + 3]! + readU32(bytes, position + 4);
  }
}

/** The segment or dead letter of an entry that puts one. Throws if it is damaged or from a newer version. */
export function decodeRow({ kind, key, value }: Entry): Segment | DeadLetter {
  return kind === KIND.put ? decodeSegment(key, value) : decodeDeadLetter(key, value);
}

/** The entry that puts a segment or dead letter. */
export function entryOf(row: Segment | DeadLetter): NewEntry {
  return "sizes" in row
    ? { kind: KIND.put, key: row.key, value: row }
    : { kind: KIND.deadPut, key: row.key, value: encodeDeadLetter(row) };
}

/** The approximate size of a segment or dead letter in the file. */
export function recordBytes(item: Segment | DeadLetter): number {
  return "sizes" in item
    ? item.body.length + 4 * item.sizes.length * (item.orderingKeys ? 2 : 1) + 64
    : item.body.length + 256;
}

function entriesOf({ put, remove, deadPut, deadRemove }: Change): NewEntry[] {
  return [
    ...put.map(entryOf),
    ...remove.map((key) => ({ kind: KIND.remove, key, value: NOTHING })),
    ...deadPut.map(entryOf),
    ...deadRemove.map((key) => ({ kind: KIND.deadRemove, key, value: NOTHING })),
  ];
}

function decodeEntries(content: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const decoder = new TextDecoder();
  for (let at = 0; at < content.length; ) {
    const keyEnd = at + ENTRY_HEAD + view.getUint16(at + 2, true);
    const end = keyEnd + view.getUint32(at + 4, true);
    const key = decoder.decode(content.subarray(at + ENTRY_HEAD, keyEnd));
    entries.push({ kind: view.getUint8(at), key, value: content.subarray(keyEnd, end) });
    at = end;
  }
  return entries;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
