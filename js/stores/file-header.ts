/**
 * The first 20 bytes of the file of a file store. Internal.
 *
 *     header:       magic (8 bytes) | salt u32 | salt u32 | salt u32
 *     first form:   a text of 20 bytes; the salt is 0
 *
 * The salt is a random number that seeds the checksum of every record, so that the bytes of an event never pass as a
 * record. It is there three times, so that one damaged copy does not matter.
 */
import type { Bytes } from "../platform/bytes.js";
import { TextEncoder } from "../platform/text.js";

/** The length of the header. The first record follows. */
export const HEADER_BYTES = 20;

/** What the header of a file says. */
export interface Header {
  /** The seed of the checksums. Undefined: the file has no records yet, and gets a new salt. */
  readonly salt: number | undefined;
  readonly isDamaged: boolean;
}

const MAGIC = "efbox 2\n";
const FIRST_FORM = "eventferry outbox 1\n";

/** The header with this salt; 0 is that of the first form. */
export function headerOf(salt: number): Bytes {
  if (salt === 0) return bytesOf(FIRST_FORM);
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes.set(bytesOf(MAGIC));
  const view = new DataView(bytes.buffer);
  for (let at = MAGIC.length; at < HEADER_BYTES; at += 4) view.setUint32(at, salt, true);
  return bytes;
}

/**
 * Reads the header of a file. A damaged one is accepted if `hasRecords` finds records with one of its salts.
 *
 * @param bytes the whole file
 * @returns undefined if the file is not an outbox
 */
export function readHeader(bytes: Uint8Array, hasRecords: (salt: number) => boolean): Header | undefined {
  const hasMagic = startsLike(bytes, MAGIC);
  const isFirstForm = startsLike(bytes, FIRST_FORM);
  // The process may have ended while it created the file.
  if (bytes.length < HEADER_BYTES) return hasMagic || isFirstForm ? { salt: undefined, isDamaged: false } : undefined;
  if (isFirstForm) return { salt: bytes.length === HEADER_BYTES ? undefined : 0, isDamaged: false };
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const salts = [8, 12, 16].map((at) => view.getUint32(at, true));
  const common = salts.find((salt, at) => salt !== 0 && salts.indexOf(salt, at + 1) > 0);
  if (hasMagic && common !== undefined) return { salt: common, isDamaged: !salts.every((salt) => salt === common) };
  for (const salt of new Set([common ?? 0, ...salts, 0])) if (hasRecords(salt)) return { salt, isDamaged: true };
  const isEmptyFile = bytes.length === HEADER_BYTES;
  const isAlmost = hasMagic || (common !== undefined && damagedBytes(bytes, MAGIC) === 1);
  return isEmptyFile && (isAlmost || damagedBytes(bytes, FIRST_FORM) === 1)
    ? { salt: undefined, isDamaged: true }
    : undefined;
}

/** Whether the bytes start with the text, or are a part of it. */
function startsLike(bytes: Uint8Array, text: string): boolean {
  return damagedBytes(bytes, text) === 0;
}

function damagedBytes(bytes: Uint8Array, text: string): number {
  let damaged = 0;
  for (let at = 0; at < Math.min(bytes.length, text.length); at++) damaged += +(bytes[at] !== text.charCodeAt(at));
  return damaged;
}

function bytesOf(text: string): Bytes {
  return new TextEncoder().encode(text);
}
