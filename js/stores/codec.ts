/**
 * Segments and dead letters as bytes, for places that keep bytes, in pieces if a place takes only so many at once.
 * Numbers are little-endian, as on all machines that JavaScript runs on. Not for applications.
 *
 *     segment:      length u32 | events u32 | at f64 | has orderingKeys u32 | sizes u32… | orderingKeys u32… | body
 *     dead letter:  length u32 | length of the JSON u32 | JSON of all but key and body | body
 */
import type { DeadLetter, Segment } from "./store.js";

const SEGMENT_HEAD = 20;
const LETTER_HEAD = 8;

export type Bytes = Uint8Array<ArrayBuffer>;

export function encodeSegment({ sizes, orderingKeys, at, body }: Segment): Bytes {
  const bytes = new Uint8Array(SEGMENT_HEAD + sizes.byteLength + (orderingKeys?.byteLength ?? 0) + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, sizes.length, true);
  view.setFloat64(8, at, true);
  view.setUint32(16, orderingKeys ? 1 : 0, true);
  bytes.set(raw(sizes), SEGMENT_HEAD);
  if (orderingKeys) bytes.set(raw(orderingKeys), SEGMENT_HEAD + sizes.byteLength);
  bytes.set(body, bytes.length - body.length);
  return bytes;
}

/** The arrays are copies: nothing of `bytes` is kept. */
export function decodeSegment(key: string, bytes: Uint8Array): Segment {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events = view.getUint32(4, true);
  const end = SEGMENT_HEAD + 4 * events;
  const hasLanes = view.getUint32(16, true) === 1;
  return {
    key,
    body: copy(bytes, hasLanes ? end + 4 * events : end, bytes.length),
    sizes: new Uint32Array(copy(bytes, SEGMENT_HEAD, end).buffer),
    ...(hasLanes && { orderingKeys: new Uint32Array(copy(bytes, end, end + 4 * events).buffer) }),
    at: view.getFloat64(8, true),
  };
}

export function encodeDeadLetter({ key, body, ...rest }: DeadLetter): Bytes {
  const head = new TextEncoder().encode(JSON.stringify(rest));
  const bytes = new Uint8Array(LETTER_HEAD + head.length + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, head.length, true);
  bytes.set(head, LETTER_HEAD);
  bytes.set(body, LETTER_HEAD + head.length);
  return bytes;
}

/** The body is a copy. */
export function decodeDeadLetter(key: string, bytes: Uint8Array): DeadLetter {
  const end = LETTER_HEAD + new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  return {
    ...JSON.parse(new TextDecoder().decode(bytes.subarray(LETTER_HEAD, end))),
    key,
    body: copy(bytes, end, bytes.length),
  };
}

/** Pieces of at most `limit` bytes, at least one. */
export function splitChunks(bytes: Bytes, limit: number): Bytes[] {
  if (bytes.length <= limit) return [bytes];
  return Array.from({ length: Math.ceil(bytes.length / limit) }, (_, at) => bytes.slice(at * limit, (at + 1) * limit));
}

/** How many pieces there are, as the first of them says. */
export function chunkCount(first: Uint8Array, limit: number): number {
  return Math.ceil(new DataView(first.buffer, first.byteOffset).getUint32(0, true) / limit);
}

/** `Buffer`, which Node gives in place of an array, has a `slice` that does not copy. */
function copy(bytes: Uint8Array, start: number, end: number): Bytes {
  return new Uint8Array(bytes.subarray(start, end));
}

function raw(numbers: Uint32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}
