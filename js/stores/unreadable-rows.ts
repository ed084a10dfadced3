/** The rows of a store that cannot be read: they are left out, and told of once. Internal. */
import { FerryError } from "../engine/errors.js";
import { storeError } from "./store-error.js";
import type { StoreProblemListener, UnreadableKeys } from "./store.js";

type Table = keyof UnreadableKeys;

export class UnreadableRows {
  readonly #storage: string;
  readonly #rows: { readonly [table in Table]: Set<string> } = { segments: new Set(), deadLetters: new Set() };
  /** What is not told yet. */
  #news: string[] = [];
  #onProblem: StoreProblemListener | undefined;

  /** @param storage the storage in messages */
  constructor(storage: string) {
    this.#storage = storage;
  }

  /** The keys of the rows that were found. */
  get keys(): UnreadableKeys {
    return { segments: [...this.#rows.segments], deadLetters: [...this.#rows.deadLetters] };
  }

  listen(onProblem: StoreProblemListener | undefined): void {
    this.#onProblem = onProblem;
  }

  /** Tells of a problem other than rows. */
  problem(text: string): void {
    this.#onProblem?.(new FerryError("ERR_STORE", `${this.#storage}: ${text}`));
  }

  /** The result of `decode`; undefined if it throws, which is noted. `decode` must not access the storage. */
  read<T>(table: Table, key: string, decode: () => T): T | undefined {
    try {
      return decode();
    } catch (cause) {
      this.add(table, key, cause);
      return undefined;
    }
  }

  add(table: Table, key: string, cause: unknown): void {
    if (this.#rows[table].has(key)) return;
    this.#rows[table].add(key);
    this.#news.push(`${table === "segments" ? "segment" : "dead letter"} ${key}: ${(cause as Error)?.message}`);
  }

  /**
   * Makes one access to the storage, then tells of the rows that it has found.
   *
   * @throws {FerryError} `ERR_STORE` if `body` throws or rejects
   */
  async attempt<T>(body: () => T | Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (cause) {
      throw storeError(this.#storage, cause);
    } finally {
      this.tell();
    }
  }

  /** The rows were removed or replaced. */
  forget(table: Table, keys: Iterable<string>): void {
    if (this.#rows[table].size > 0) for (const key of keys) this.#rows[table].delete(key);
  }

  /** Tells of what was found since the last call. */
  tell(): void {
    const [first] = this.#news;
    if (first === undefined) return;
    const others = this.#news.length > 1 ? `, and ${this.#news.length - 1} more` : "";
    this.#news = [];
    this.problem(`a row cannot be read and is left out (${first})${others}`);
  }
}
