/** The store for Node, Deno and Bun: a file. */
import { FerryError } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import { startTimer, stopTimer, type Timer } from "../platform/clock.js";
import {
  type Checksum,
  decodeRow,
  type Entry,
  encodeRecords,
  entryOf,
  KIND,
  type NewEntry,
  recordBytes,
  records,
} from "./file-format.js";
import type { DedupeStore } from "./dedupe.js";
import { FileLog, type OpenedLog, RESERVED_SUFFIX } from "./file-log.js";
import { fileMarks } from "./file-marks.js";
import type { LogRecord } from "./file-recovery.js";
import { isNoSpace, loadPlatform, type Platform } from "./file-system.js";
import { KeptRoom } from "./kept-room.js";
import { MemoryTables } from "./ordered-map.js";
import type {
  Change,
  DeadLetter,
  OutboxStore,
  PeekLimit,
  Segment,
  StoreCounts,
  StoreProblemListener,
  StoreTraits,
  UnreadableKeys,
} from "./store.js";
import { storeError } from "./store-error.js";

/** The options of `fileStore`. */
export interface FileStoreOptions {
  /**
   * When a change resolves. `disk`: when the disk has it, so that it survives a loss of power; concurrent changes share
   * one flush. `os`: when the operating system has it, so that it survives a crash of the process; there is no flush.
   * @default "disk"
   */
  durability?: "os" | "disk";
  /** For tests. @internal */
  platform?: Platform;
}

/**
 * Keeps events in a file, to which changes are appended. The directory must exist; it also gets `<path>.lock`, while the
 * file is rewritten `<path>.new`, and if the file was damaged `<path>.damaged`. Only the user of the process can read
 * these files. The content of the file is also in memory.
 *
 * The file is truncated when the outbox is empty, and rewritten when it is larger than 1 MiB and mostly outdated.
 * `open` drops an incomplete change at the end of the file. On a full disk, events can still be delivered and removed.
 *
 * Damaged bytes cost only the changes that they were part of. They are moved to `<path>.damaged`, which gets at most
 * 64 MiB, and the outbox has a `degraded` event. Removals behind them are not trusted, so some events may be delivered
 * again. If somebody removes, renames or truncates the file while it is in use, its content is written again within
 * 5 seconds, also with a `degraded` event.
 *
 * Only one process can use the file: `open` rejects while another running process has it. The lock of a process that
 * has ended is taken over. Do not share a file between machines or containers, which cannot see each other's processes.
 * Deno needs `--allow-read` and `--allow-write` for the directory, and `--allow-run` to take over the lock of another
 * process id.
 *
 * As the `dedupe` of a receiver it knows the deliveries to this process and to those before it. They are in another file,
 * `<path>.seen`, for which this store need not be open.
 *
 * @param path the path of a regular file, or where to create one. It must not end with `.lock`, `.new`, `.damaged` or
 * `.seen`
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad path. All methods: `ERR_STORE` with the `cause`. A change that
 * fails (for example because the disk is full) leaves the file unchanged; later changes work as soon as there is space.
 */
export function fileStore(path: string, options: FileStoreOptions = {}): OutboxStore & DedupeStore {
  if (typeof path !== "string" || path === "") throw mustBe("path", "the path of a file", path);
  if (RESERVED_SUFFIX.test(path))
    throw mustBe(
      "path",
      "a path that does not end with .lock, .new, .damaged or .seen, as files beside a store do",
      path,
    );
  return new FileStore(path, options);
}

/** The minimum size of a file that is rewritten, in bytes. */
const MIN_REWRITE_BYTES = 1024 * 1024;
/** How often a file with events is checked for whether it is still in place, in milliseconds. */
const CHECK_INTERVAL_MS = 5000;

interface PendingWrite {
  readonly change: Change;
  resolve(): void;
  reject(error: unknown): void;
}

class FileStore implements OutboxStore, DedupeStore {
  readonly kind = "file";
  readonly #path: string;
  readonly #durability: "os" | "disk";
  readonly #marks: ReturnType<typeof fileMarks>;
  #platform: Platform | undefined;
  #log: FileLog | undefined;
  #isOpening = false;
  #onProblem: StoreProblemListener | undefined;
  #tables = new MemoryTables();
  /** Entries that this version cannot read, by their kind and key. They stay in the file. */
  #unreadable = new Map<string, Entry>();
  /** The approximate bytes of the file that are not outdated. */
  #liveBytes = 0;
  /** The file size from which a rewrite is tried. */
  #rewriteFromBytes = MIN_REWRITE_BYTES;
  /** For the records of one change. */
  readonly #room = new KeptRoom();
  #waiting: PendingWrite[] = [];
  #flushing: Promise<void> | undefined;
  #checkTimer: Timer | undefined;
  /** Whether the last check has failed. */
  #isCheckFailing = false;

  constructor(path: string, options: FileStoreOptions) {
    const { durability = "disk", platform } = options;
    this.#path = path;
    this.#marks = fileMarks(() => new FileStore(`${path}.seen`, options));
    this.#durability = durability;
    this.#platform = platform;
  }

  open(_name?: string, onProblem?: StoreProblemListener): Promise<StoreTraits> {
    return this.#attempt(async () => {
      if (this.#log || this.#isOpening) throw new FerryError("ERR_STORE", `${this.#description} is open already`);
      this.#isOpening = true;
      this.#onProblem = onProblem;
      try {
        await this.#open();
      } finally {
        this.#isOpening = false;
      }
      return { durability: this.#durability, isShared: false, supportsPrefix: true };
    });
  }

  write(change: Change): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject: (error) => reject(storeError(this.#description, error)) });
      this.#flushing ??= this.#flush();
    });
  }

  peek(limit: PeekLimit): Promise<Segment[]> {
    return this.#attempt(async () => this.#opened.tables.peek(limit));
  }

  dead(limit: number, prefix?: string): Promise<DeadLetter[]> {
    return this.#attempt(async () => this.#opened.tables.dead(limit, prefix));
  }

  count(prefix?: string): Promise<StoreCounts> {
    return this.#attempt(async () => this.#opened.tables.count(prefix));
  }

  unreadable(): Promise<UnreadableKeys> {
    return this.#attempt(async () => {
      const entries = [...this.#opened.unreadable.values()];
      const keysOf = (wanted: number) => entries.filter(({ kind }) => kind === wanted).map(({ key }) => key);
      return { segments: keysOf(KIND.put), deadLetters: keysOf(KIND.deadPut) };
    });
  }

  claim(key: string, busyUntilMs: number): Promise<"new" | "busy" | "seen"> {
    return this.#marks.claim(key, busyUntilMs);
  }

  settle(key: string, seenUntilMs: number | undefined, busyUntilMs?: number): Promise<void> {
    return this.#marks.settle(key, seenUntilMs, busyUntilMs);
  }

  close(): Promise<void> {
    return this.#attempt(async () => {
      await this.#marks.close();
      await this.#flushing;
      stopTimer(this.#checkTimer);
      this.#checkTimer = undefined;
      const log = this.#log;
      if (!log) return;
      // Nobody writes it again later.
      if (!this.#isEmpty) await this.#ensureInPlace(log).catch((error: unknown) => this.#tell(error));
      this.#log = undefined;
      await log.close();
    });
  }

  get #description(): string {
    return `the file ${this.#path}`;
  }

  get #opened(): { log: FileLog; tables: MemoryTables; unreadable: Map<string, Entry> } {
    if (!this.#log) throw new FerryError("ERR_STORE", `${this.#description} is not open`);
    return { log: this.#log, tables: this.#tables, unreadable: this.#unreadable };
  }

  get #isEmpty(): boolean {
    const { segments, deadLetters } = this.#tables;
    return segments.items.length + deadLetters.items.length + this.#unreadable.size === 0;
  }

  async #attempt<T>(body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      throw storeError(this.#description, error);
    }
  }

  #tell(problem: unknown): void {
    this.#onProblem?.(storeError(this.#description, problem));
  }

  async #open(): Promise<void> {
    this.#platform ??= await loadPlatform();
    this.#tables = new MemoryTables();
    this.#unreadable = new Map();
    this.#liveBytes = 0;
    this.#rewriteFromBytes = MIN_REWRITE_BYTES;
    const log = new FileLog(this.#platform, this.#path, this.#durability === "disk");
    let foundRecords = 0;
    const opened = await log.open((record) => {
      foundRecords += Number(record.isFound);
      this.#load(record);
    });
    try {
      await this.#repair(log, opened, foundRecords);
    } catch (error) {
      await log.close().catch(() => undefined);
      throw error;
    }
    this.#log = log;
    this.#scheduleCheck();
  }

  /** Removes damaged bytes from the file, once they are kept elsewhere, and tells of them. */
  async #repair(log: FileLog, { spans, end, isHeaderDamaged, isFirstForm }: OpenedLog, found: number): Promise<void> {
    const rewrite = () => log.replace((checksum) => this.#content(checksum));
    if (spans.length === 0) {
      await log.cut(end);
      // If this fails, the file keeps its form.
      if (isFirstForm) await rewrite().catch(() => undefined);
    } else {
      const size = spans.reduce((sum, { from, to }) => sum + to - from, 0);
      const isKept = await log.keep(spans).then(
        () => true,
        () => false,
      );
      if (isKept) {
        // If the file cannot be rewritten, the damaged bytes stay in it. They are skipped each time.
        if (spans[0]!.from < end) await rewrite().catch(() => undefined);
        else await log.cut(end);
      }
      this.#tell(
        new FerryError(
          "ERR_STORE",
          `${this.#description} is damaged: ${size} bytes cannot be read` +
            (isKept ? `, and were moved to ${this.#path}.damaged` : "; they stay in the file") +
            (found > 0 ? `. Of ${found} changes behind them the removals were ignored: events may be sent again` : ""),
        ),
      );
    }
    if (isHeaderDamaged) this.#tell(new FerryError("ERR_STORE", `${this.#description} had a damaged header`));
    if (this.#unreadable.size > 0)
      this.#tell(
        new FerryError(
          "ERR_STORE",
          `${this.#description} has ${this.#unreadable.size} rows that this version cannot read`,
        ),
      );
  }

  /** Takes over a record of the file. */
  #load({ entries, isFound }: LogRecord): void {
    const { segments, deadLetters } = this.#tables;
    for (const entry of entries) {
      const { kind, key } = entry;
      if (kind === KIND.put || kind === KIND.deadPut) this.#loadRow(entry, isFound);
      // A record that was found behind damaged bytes removes nothing.
      else if (kind === KIND.remove || kind === KIND.deadRemove) {
        if (!isFound) this.#remove(kind === KIND.remove ? segments : deadLetters, kind - 1, key);
      } else if (kind !== KIND.erased) this.#addUnreadable(entry);
    }
  }

  #loadRow(entry: Entry, isFound: boolean): void {
    let row: Segment | DeadLetter;
    try {
      row = decodeRow(entry);
    } catch {
      this.#addUnreadable(entry);
      return;
    }
    const known = this.#tables.segments.get(entry.key);
    // Neither may it take events away from a segment.
    if (isFound && "sizes" in row && known && known.sizes.length > row.sizes.length) return;
    this.#put(row);
  }

  /** A row of a newer version, or a damaged one. It replaces an older one with its key. */
  #addUnreadable(entry: Entry): void {
    const { kind, key, value } = entry;
    if (kind === KIND.put) this.#remove(this.#tables.segments, kind, key);
    else if (kind === KIND.deadPut) this.#remove(this.#tables.deadLetters, kind, key);
    this.#unreadable.set(`${kind} ${key}`, { kind, key, value: value.slice() });
    this.#liveBytes += value.length;
  }

  #put(row: Segment | DeadLetter): void {
    const { segments, deadLetters } = this.#tables;
    if ("sizes" in row) {
      this.#remove(segments, KIND.put, row.key);
      segments.set(row);
    } else {
      this.#remove(deadLetters, KIND.deadPut, row.key);
      deadLetters.set(row);
    }
    this.#liveBytes += recordBytes(row);
  }

  #remove(rows: MemoryTables["segments"] | MemoryTables["deadLetters"], kind: number, key: string): void {
    const row = rows.get(key);
    const name = `${kind} ${key}`;
    this.#liveBytes -= (row ? recordBytes(row) : 0) + (this.#unreadable.get(name)?.value.length ?? 0);
    if (row) rows.delete(key);
    this.#unreadable.delete(name);
  }

  #apply({ put, remove, deadPut, deadRemove }: Change): void {
    const { segments, deadLetters } = this.#tables;
    for (const row of [...put, ...deadPut]) this.#put(row);
    for (const key of remove) this.#remove(segments, KIND.put, key);
    for (const key of deadRemove) this.#remove(deadLetters, KIND.deadPut, key);
  }

  /** Writes all waiting changes together, then those that have arrived in the meantime. Never rejects. */
  async #flush(): Promise<void> {
    // Changes of the same turn are written together.
    await undefined;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#commit(group.map(({ change }) => change));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const pending of group) {
          await this.#commitAlone(pending.change, error, group.length > 1).then(pending.resolve, pending.reject);
        }
      }
      // If this fails, the file is only longer than necessary.
      await this.#compact().catch(() => undefined);
    }
    this.#flushing = undefined;
    this.#scheduleCheck();
  }

  /** Applies all changes or none. */
  async #commit(changes: readonly Change[]): Promise<void> {
    const { log } = this.#opened;
    if (!changes.every(isEmptyChange)) await log.append((checksum) => [records(changes, checksum, this.#room.take)]);
    for (const change of changes) this.#apply(change);
    await this.#ensureInPlace(log);
  }

  /**
   * Applies one change of a group that has failed because there is no space. A change that only removes needs none.
   *
   * @throws the error of the group
   */
  async #commitAlone(change: Change, groupError: unknown, isPart: boolean): Promise<void> {
    if (!isNoSpace(groupError)) throw groupError;
    try {
      if (isPart) return await this.#commit([change]);
    } catch {
      // The change is tried without space.
    }
    if (change.put.length + change.deadPut.length > 0) throw groupError;
    try {
      const { log } = this.#opened;
      if (!(await log.isInPlace())) throw groupError;
      const [segments, deadLetters] = [new Set(change.remove), new Set(change.deadRemove)];
      await log.erase(
        ({ kind, key }) => (kind === KIND.put && segments.has(key)) || (kind === KIND.deadPut && deadLetters.has(key)),
      );
      this.#apply(change);
    } catch {
      throw groupError;
    }
  }

  /** Notices that somebody has removed, renamed or changed the file, and writes it again. */
  async #ensureInPlace(log: FileLog): Promise<void> {
    if (await log.isInPlace()) return;
    await log.restore((checksum) => this.#content(checksum));
    this.#tell(
      new FerryError(
        "ERR_STORE",
        `${this.#description} was removed, renamed or changed while it was in use; its content was written again`,
      ),
    );
  }

  /** Truncates an empty file; rewrites a large one that is mostly outdated. */
  async #compact(): Promise<void> {
    const { log } = this.#opened;
    if (this.#isEmpty) {
      if (log.isEmpty) return;
      await log.clear();
      this.#rewriteFromBytes = MIN_REWRITE_BYTES;
      // What somebody did to the file before it was emptied is told now: the next start would refuse a file without a header.
      await this.#ensureInPlace(log);
    } else if (log.length > this.#rewriteFromBytes && 2 * this.#liveBytes < log.length) {
      // If it fails, it is tried again only when the file has doubled.
      this.#rewriteFromBytes = 2 * log.length;
      await log.replace((checksum) => this.#content(checksum));
      this.#rewriteFromBytes = MIN_REWRITE_BYTES;
    }
  }

  /** The whole content, as records of about 1 MiB. */
  *#content(checksum: Checksum): Generator<Uint8Array> {
    let part: NewEntry[] = [...this.#unreadable.values()];
    let size = 0;
    for (const { items } of [this.#tables.segments, this.#tables.deadLetters]) {
      for (const row of items) {
        part.push(entryOf(row));
        size += recordBytes(row);
        if (size < MIN_REWRITE_BYTES) continue;
        yield encodeRecords([part], checksum);
        part = [];
        size = 0;
      }
    }
    yield encodeRecords([part], checksum);
  }

  /** While there are events, the file is checked also if nothing is written. */
  #scheduleCheck(): void {
    if (this.#checkTimer !== undefined || !this.#log || this.#isEmpty) return;
    this.#checkTimer = startTimer(() => {
      this.#checkTimer = undefined;
      this.write(NO_CHANGE).then(
        () => void (this.#isCheckFailing = false),
        (error: unknown) => {
          if (!this.#isCheckFailing && this.#log) this.#tell(error);
          this.#isCheckFailing = true;
        },
      );
    }, CHECK_INTERVAL_MS);
    // It does not keep a process running.
    (this.#checkTimer as { unref?: () => void }).unref?.();
  }
}

const NO_CHANGE: Change = { put: [], remove: [], deadPut: [], deadRemove: [] };

function isEmptyChange({ put, remove, deadPut, deadRemove }: Change): boolean {
  return put.length + remove.length + deadPut.length + deadRemove.length === 0;
}
