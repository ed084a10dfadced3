/** Bytes that are used again, so that a change does not allocate what it writes: large buffers cost garbage collections. */

/** A larger buffer is not kept. */
const MAX_KEPT_BYTES = 512 * 1024;

export class KeptRoom {
  #kept = new Uint8Array(0);

  /** So many bytes, with any content. They are valid until the next call. */
  readonly take = (length: number): Uint8Array => {
    if (length > MAX_KEPT_BYTES) return new Uint8Array(length);
    if (length > this.#kept.length)
      this.#kept = new Uint8Array(Math.min(MAX_KEPT_BYTES, Math.max(length, 2 * this.#kept.length)));
    return this.#kept.subarray(0, length);
  };
}
