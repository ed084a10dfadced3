/**
 * Encodes segments and dead letters as bytes, and splits these into chunks for places that limit the size of a value.
 * Numbers are little-endian, as on all machines that JavaScript runs on. Internal.
 *
 *     segment:      length u32 | events u32 | at f64 | flags u32 | sizes u32… | orderingKeys u32… | body
 *     dead letter:  length u32 | length of the JSON u32 | JSON of all but key and body | body
 *
 * The flag 1: there are ordering keys. The flag 2: the events are replayed. All others are 0: a newer version may use
 * them.
 */
import type { Bytes } from "../platform/bytes.js";
import { ensure, readDeadLetter, readSegment } from "./readable-row.js";
import type { DeadLetter, Segment } from "./store.js";
import { TextDecoder, TextEncoder } from "../platform/text.js";

const SEGMENT_HEAD = 20;
const DEAD_LETTER_HEAD = 8;
const HAS_ORDERING_KEYS = 1;
const IS_REPLAYED = 2;

/** A segment as bytes. */
export function encodeSegment(segment: Segment): Bytes {
  const bytes = new Uint8Array(encodedBytes(segment));
  writeSegment(segment, bytes);
  return bytes;
}

/** The number of bytes of an encoded segment. */
export function encodedBytes({ sizes, orderingKeys, body }: Segment): number {
  return SEGMENT_HEAD + sizes.byteLength + (orderingKeys?.byteLength ?? 0) + body.length;
}

/** Encodes a segment. `bytes` has `encodedBytes` of it, with any content. */
export function writeSegment({ sizes, orderingKeys, at, body, isReplayed }: Segment, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, sizes.length, true);
  view.setFloat64(8, at, true);
  view.setUint32(16, (orderingKeys ? HAS_ORDERING_KEYS : 0) | (isReplayed ? IS_REPLAYED : 0), true);
  bytes.set(raw(sizes), SEGMENT_HEAD);
  if (orderingKeys) bytes.set(raw(orderingKeys), SEGMENT_HEAD + sizes.byteLength);
  bytes.set(body, bytes.length - body.length);
}

/** The segment of these bytes. Its arrays are copies. Throws if the bytes are damaged or of a newer version. */
export function decodeSegment(key: string, bytes: Uint8Array): Segment {
  const view = viewOf(bytes, SEGMENT_HEAD);
  const events = view.getUint32(4, true);
  const flags = view.getUint32(16, true);
  ensure(flags <= (HAS_ORDERING_KEYS | IS_REPLAYED), "it has the form of a newer version");
  const hasOrderingKeys = (flags & HAS_ORDERING_KEYS) !== 0;
  const end = SEGMENT_HEAD + 4 * events;
  ensure((hasOrderingKeys ? end + 4 * events : end) <= bytes.length, "its sizes do not match its events");
  return readSegment({
    key,
    body: copy(bytes, hasOrderingKeys ? end + 4 * events : end, bytes.length),
    sizes: new Uint32Array(copy(bytes, SEGMENT_HEAD, end).buffer),
    ...(hasOrderingKeys && { orderingKeys: new Uint32Array(copy(bytes, end, end + 4 * events).buffer) }),
    at: view.getFloat64(8, true),
    ...(flags & IS_REPLAYED && { isReplayed: true }),
  });
}

/** A dead letter as bytes. */
export function encodeDeadLetter({ key, body, ...rest }: DeadLetter): Bytes {
  const head = new TextEncoder().encode(JSON.stringify(rest));
  const bytes = new Uint8Array(DEAD_LETTER_HEAD + head.length + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, head.length, true);
  bytes.set(head, DEAD_LETTER_HEAD);
  bytes.set(body, DEAD_LETTER_HEAD + head.length);
  return bytes;
}

/** The dead letter of these bytes. Its body is a copy. Throws if the bytes are damaged or of a newer version. */
export function decodeDeadLetter(key: string, bytes: Uint8Array): DeadLetter {
  const end = DEAD_LETTER_HEAD + viewOf(bytes, DEAD_LETTER_HEAD).getUint32(4, true);
  ensure(end <= bytes.length, "its length does not match its event");
  return readDeadLetter({
    ...(parseJson(new TextDecoder().decode(bytes.subarray(DEAD_LETTER_HEAD, end))) as object),
    key,
    body: copy(bytes, end, bytes.length),
  });
}

/** Parses JSON. The error does not show the text, which may be private. */
export function parseJson(text: string, reviver?: (name: string, value: unknown) => unknown): unknown {
  try {
    return JSON.parse(text, reviver);
  } catch {
    throw new Error("it is not JSON");
  }
}

/** A view of bytes that start with their length. */
function viewOf(bytes: Uint8Array, minLength: number): DataView {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  ensure(bytes.length >= minLength && view.getUint32(0, true) === bytes.length, "its length is wrong");
  return view;
}

/** Chunks of at most `limit` bytes; at least one. */
export function splitChunks(bytes: Bytes, limit: number): Bytes[] {
  if (bytes.length <= limit) return [bytes];
  return Array.from({ length: Math.ceil(bytes.length / limit) }, (_, index) =>
    bytes.slice(index * limit, (index + 1) * limit),
  );
}

/** The number of chunks, from the length in the first chunk. Throws if that is damaged or of a newer version. */
export function chunkCount(first: unknown, limit: number): number {
  ensure(ArrayBuffer.isView(first) && first.byteLength >= 4, "it has no bytes");
  const { buffer, byteOffset, byteLength } = first as Uint8Array;
  const length = new DataView(buffer, byteOffset).getUint32(0, true);
  ensure(length === byteLength || (length > limit && byteLength === limit), "its length is wrong");
  return Math.ceil(length / limit);
}

/** Throws if a chunk is missing, or something else than bytes. */
export function completeChunks(chunks: readonly unknown[]): Uint8Array[] {
  ensure(
    chunks.every((chunk) => ArrayBuffer.isView(chunk)),
    "a part of it is missing",
  );
  return chunks as Uint8Array[];
}

/** Whether two chunks are the same. */
export function isSameChunk(one: unknown, other: unknown): boolean {
  const [a, b] = [one, other] as Uint8Array[];
  return (
    ArrayBuffer.isView(a) && ArrayBuffer.isView(b) && a.length === b.length && a.every((byte, at) => byte === b[at])
  );
}

/** Not `slice`: that of a Node `Buffer` does not copy. */
function copy(bytes: Uint8Array, start: number, end: number): Bytes {
  return new Uint8Array(bytes.subarray(start, end));
}

function raw(numbers: Uint32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}
