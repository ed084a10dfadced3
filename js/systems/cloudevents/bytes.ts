/** Bytes as callers pass them, and Base64. */

/** Whether the value is bytes: an ArrayBuffer, also of another realm, or a view of one. */
export function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  if (typeof value !== "object" || value === null) return false;
  return (
    ArrayBuffer.isView(value) ||
    (Object.getPrototypeOf(value) !== Object.prototype &&
      !Array.isArray(value) &&
      Object.prototype.toString.call(value) === "[object ArrayBuffer]")
  );
}

/** A view of the same bytes. */
export function asBytes(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

/** The bytes themselves, or a copy where platforms refuse to decode them: shared memory, and memory that can be resized. */
export function unsharedBytes(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes;
  const isUsual =
    Object.prototype.toString.call(buffer) === "[object ArrayBuffer]" && !("resizable" in buffer && buffer.resizable);
  return isUsual ? bytes : new Uint8Array(bytes);
}

/** Encodes Base64, with `Uint8Array.prototype.toBase64` where the runtime has it. */
export function toBase64(bytes: Uint8Array): string {
  if ("toBase64" in bytes) return (bytes as Uint8Array & { toBase64(): string }).toBase64();
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x2000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
  }
  return btoa(binary);
}

/** Decodes Base64 that was checked before. */
export function fromBase64(text: string): Uint8Array {
  const native = Uint8Array as typeof Uint8Array & { fromBase64?(text: string): Uint8Array };
  if (native.fromBase64) return native.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** Decodes Base64 with padding; `undefined` for anything else. */
export function fromStrictBase64(text: unknown): Uint8Array | undefined {
  try {
    const bytes = fromBase64(text as string);
    return toBase64(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Whether two arrays have the same bytes. */
export function isEqualBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/**
 * The same bytes as a `Buffer`, where there is one: clients for Node write any other bytes as the text of their numbers.
 */
export function asBuffer(bytes: Uint8Array): Uint8Array {
  const { Buffer } = globalThis as {
    Buffer?: { from(buffer: ArrayBufferLike, at: number, length: number): Uint8Array };
  };
  return Buffer ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;
}
