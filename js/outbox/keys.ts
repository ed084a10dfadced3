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

  /** Makes later keys sort after this one, if it is a key of this scope. Returns whether that changes them. */
  follow(key: string | undefined): boolean {
    const [, time, count] = /^[^.]*\.([0-9a-z]{9})-([0-9a-z]+)-/.exec(key ?? "") ?? [];
    if (time === undefined || !key!.startsWith(`${this.#scope}.`)) return false;
    const [unixMs, number] = [parseInt(time, 36), parseInt(count!, 36)];
    if (unixMs < this.#lastUnixMs || (unixMs === this.#lastUnixMs && number < this.#count)) return false;
    this.#lastUnixMs = unixMs;
    this.#count = number + 1;
    return true;
  }

  /** A key that sorts after all keys made or followed here before, even if the clock was set back. */
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
