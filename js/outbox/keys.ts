/** Keys of stored segments: within a scope they sort by age, and they are unique among all writers of a store. */

const WRITER_BYTES = 5;

export class Keys {
  readonly #scope: string;
  /** Drawn when the first key is made, because edge runtimes allow no randomness at module scope. */
  #writer = "";
  #lastUnixMs = 0;
  #count = 0;

  constructor(scope: string) {
    this.#scope = scope;
  }

  /** A key that sorts after all keys made here before, even if the clock was set back. */
  next(unixMs: number): string {
    this.#writer ||= Array.from(crypto.getRandomValues(new Uint8Array(WRITER_BYTES)), (byte) =>
      byte.toString(36).padStart(2, "0"),
    ).join("");
    if (unixMs > this.#lastUnixMs) {
      this.#lastUnixMs = unixMs;
      this.#count = 0;
    }
    const time = this.#lastUnixMs.toString(36).padStart(9, "0");
    return `${this.#scope}.${time}-${(this.#count++).toString(36).padStart(6, "0")}-${this.#writer}`;
  }
}
