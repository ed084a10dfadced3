/** Byte arrays, and their types. */

/** Bytes in a buffer of their own. Before TypeScript 5.7, where `Uint8Array` has no parameter, it is that. */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/** Numbers in a buffer of their own. */
export type Uint32s = ReturnType<Uint32Array["slice"]>;

/** One array with the bytes of all chunks, in order. */
export function concat(chunks: readonly Uint8Array[]): Bytes {
  const bytes = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
