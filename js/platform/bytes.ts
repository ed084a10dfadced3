/** Byte arrays, and their types. */

/** Bytes in a buffer of their own. Before TypeScript 5.7, where `Uint8Array` has no parameter, it is that. */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/** Numbers in a buffer of their own. */
export type Uint32s = ReturnType<Uint32Array["slice"]>;

/** The number of bytes in all chunks. */
export function totalLength(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((length, chunk) => length + chunk.length, 0);
}

/** Copies the bytes of all chunks, in order, to the start of `target`. */
export function copyInto(target: Uint8Array, chunks: readonly Uint8Array[]): void {
  let offset = 0;
  for (const chunk of chunks) {
    target.set(chunk, offset);
    offset += chunk.length;
  }
}

/** One array with the bytes of all chunks, in order. */
export function concat(chunks: readonly Uint8Array[]): Bytes {
  const bytes = new Uint8Array(totalLength(chunks));
  copyInto(bytes, chunks);
  return bytes;
}

/** The same, without a copy if there is only one chunk. */
export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? chunks[0]! : concat(chunks);
}
