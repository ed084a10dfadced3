/** Keys of segments: they sort by age and are unique among all who share a store. */

/** Makes keys. The random part is drawn when the first is made: at module scope of an edge runtime there is none. */
export class Keys {
  #writer = "";
  #last = 0;
  #count = 0;

  /** The next key, after all that were made here, whatever the clock does. */
  next(unixMs: number): string {
    this.#writer ||= Array.from(crypto.getRandomValues(new Uint8Array(5)), (byte) =>
      byte.toString(36).padStart(2, "0"),
    ).join("");
    if (unixMs > this.#last) [this.#last, this.#count] = [unixMs, 0];
    return `${this.#last.toString(36).padStart(9, "0")}-${(this.#count++).toString(36).padStart(6, "0")}-${this.#writer}`;
  }
}
