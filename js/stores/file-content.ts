/** What a file store contains, in memory: rows, and entries that this version cannot read. Internal. */
import {
  type Checksum,
  decodeRow,
  type Entry,
  encodeRecords,
  entryOf,
  KIND,
  type NewEntry,
  recordBytes,
} from "./file-format.js";
import type { LogRecord } from "./file-recovery.js";
import { MemoryTables } from "./ordered-map.js";
import type { Change, DeadLetter, Segment, UnreadableKeys } from "./store.js";

/** The size of the records of a file that is written anew, in bytes. */
const RECORD_BYTES = 1024 * 1024;

export class FileContent {
  readonly tables: MemoryTables = new MemoryTables();
  /** Entries that this version cannot read, by their kind and key. They stay in the file. */
  readonly #unreadable = new Map<string, Entry>();
  #bytes = 0;

  /** The approximate size of the records that would be written anew, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    const { segments, deadLetters } = this.tables;
    return segments.items.length + deadLetters.items.length + this.#unreadable.size === 0;
  }

  get unreadableCount(): number {
    return this.#unreadable.size;
  }

  get unreadableKeys(): UnreadableKeys {
    const entries = [...this.#unreadable.values()];
    const keysOf = (wanted: number) => entries.filter(({ kind }) => kind === wanted).map(({ key }) => key);
    return { segments: keysOf(KIND.put), deadLetters: keysOf(KIND.deadPut) };
  }

  /** Takes over a record of the file. */
  load({ entries, isFound }: LogRecord): void {
    const { segments, deadLetters } = this.tables;
    for (const entry of entries) {
      const { kind, key } = entry;
      if (kind === KIND.put || kind === KIND.deadPut) this.#loadRow(entry, isFound);
      // A record that was found behind damaged bytes removes nothing.
      else if (kind === KIND.remove || kind === KIND.deadRemove) {
        if (!isFound) this.#remove(kind === KIND.remove ? segments : deadLetters, kind - 1, key);
      } else if (kind !== KIND.erased) this.#addUnreadable(entry);
    }
  }

  apply({ put, remove, deadPut, deadRemove }: Change): void {
    const { segments, deadLetters } = this.tables;
    for (const row of [...put, ...deadPut]) this.#put(row);
    for (const key of remove) this.#remove(segments, KIND.put, key);
    for (const key of deadRemove) this.#remove(deadLetters, KIND.deadPut, key);
  }

  /** The whole content, as records of about 1 MiB. */
  *records(checksum: Checksum): Generator<Uint8Array> {
    let part: NewEntry[] = [...this.#unreadable.values()];
    let size = 0;
    for (const { items } of [this.tables.segments, this.tables.deadLetters]) {
      for (const row of items) {
        part.push(entryOf(row));
        size += recordBytes(row);
        if (size < RECORD_BYTES) continue;
        yield encodeRecords([part], checksum);
        part = [];
        size = 0;
      }
    }
    yield encodeRecords([part], checksum);
  }

  #loadRow(entry: Entry, isFound: boolean): void {
    let row: Segment | DeadLetter;
    try {
      row = decodeRow(entry);
    } catch {
      this.#addUnreadable(entry);
      return;
    }
    const known = this.tables.segments.get(entry.key);
    // Neither may it take events away from a segment.
    if (isFound && "sizes" in row && known && known.sizes.length > row.sizes.length) return;
    this.#put(row);
  }

  /** A row of a newer version, or a damaged one. It replaces an older one with its key. */
  #addUnreadable(entry: Entry): void {
    const { kind, key, value } = entry;
    if (kind === KIND.put) this.#remove(this.tables.segments, kind, key);
    else if (kind === KIND.deadPut) this.#remove(this.tables.deadLetters, kind, key);
    this.#unreadable.set(`${kind} ${key}`, { kind, key, value: value.slice() });
    this.#bytes += value.length;
  }

  #put(row: Segment | DeadLetter): void {
    const { segments, deadLetters } = this.tables;
    if ("sizes" in row) {
      this.#remove(segments, KIND.put, row.key);
      segments.set(row);
    } else {
      this.#remove(deadLetters, KIND.deadPut, row.key);
      deadLetters.set(row);
    }
    this.#bytes += recordBytes(row);
  }

  #remove(rows: MemoryTables["segments"] | MemoryTables["deadLetters"], kind: number, key: string): void {
    const row = rows.get(key);
    const name = `${kind} ${key}`;
    this.#bytes -= (row ? recordBytes(row) : 0) + (this.#unreadable.get(name)?.value.length ?? 0);
    if (row) rows.delete(key);
    this.#unreadable.delete(name);
  }
}
