/** The store for Node, Deno and Bun: a file. */
import { FerryError } from "../engine/errors.js";
import type { Bytes } from "./codec.js";
import { MAGIC, readRecords, recordBytes, records } from "./file-format.js";
import { lockFile } from "./file-lock.js";
import { codeOf, type FileHandle, loadPlatform, type Platform } from "./file-system.js";
import { MemoryTables } from "./ordered-map.js";
import type { Change, DeadLetter, OutboxStore, PeekLimit, Segment, StoreCounts, StoreTraits } from "./store.js";
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
 * Keeps events in a file, to which changes are appended. The directory must exist; it also gets `<path>.lock` and,
 * while the file is rewritten, `<path>.new`. The content of the file is also in memory.
 *
 * The file is truncated when the outbox is empty, and rewritten when it is larger than 1 MiB and mostly outdated.
 * `open` drops an incomplete change at the end of the file.
 *
 * Only one process can use the file: `open` rejects while another running process has it. The lock of a process that
 * has ended is taken over. Do not share a file between machines or containers, which cannot see each other's processes.
 * Deno needs `--allow-read` and `--allow-write` for the directory, and `--allow-run` to take over a lock.
 *
 * @throws {FerryError} from all methods: `ERR_STORE` with the `cause`. A change that fails (for example because the
 * disk is full) leaves the file unchanged; later changes work as soon as there is space.
 */
export function fileStore(path: string, options: FileStoreOptions = {}): OutboxStore {
  return new FileStore(path, options);
}

/** The minimum size of a file that is rewritten, in bytes. */
const MIN_REWRITE_BYTES = 1024 * 1024;

interface PendingWrite {
  readonly change: Change;
  resolve(): void;
  reject(error: unknown): void;
}

class FileStore implements OutboxStore {
  readonly kind = "file";
  readonly #path: string;
  readonly #durability: "os" | "disk";
  #platform: Platform | undefined;
  #tables = new MemoryTables();
  #handle: FileHandle | undefined;
  #unlock: (() => Promise<void>) | undefined;
  /** The position of the next record. */
  #length = 0;
  /** The approximate bytes of the file that are not outdated. */
  #liveBytes = 0;
  /** Whether an incomplete record may follow `#length`. It must be cut off before the next append. */
  #hasPartialRecord = false;
  /** Whether the file was replaced and the directory is not flushed yet. */
  #isFolderDirty = false;
  /** The file size from which a rewrite is tried. */
  #rewriteFromBytes = MIN_REWRITE_BYTES;
  #waiting: PendingWrite[] = [];
  #flushing: Promise<void> | undefined;

  constructor(path: string, { durability = "disk", platform }: FileStoreOptions) {
    this.#path = path;
    this.#durability = durability;
    this.#platform = platform;
  }

  open(): Promise<StoreTraits> {
    return this.#attempt(async () => {
      if (this.#handle) throw new FerryError("ERR_STORE", `${this.#description} is open already`);
      this.#platform ??= await loadPlatform();
      this.#unlock = await lockFile(this.#platform, this.#path);
      try {
        await this.#load();
      } catch (error) {
        await this.#release().catch(() => undefined);
        throw error;
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

  close(): Promise<void> {
    return this.#attempt(async () => {
      await this.#flushing;
      await this.#release();
    });
  }

  get #description(): string {
    return `the file ${this.#path}`;
  }

  get #opened(): { platform: Platform; handle: FileHandle; tables: MemoryTables } {
    if (!this.#platform || !this.#handle) throw new FerryError("ERR_STORE", `${this.#description} is not open`);
    return { platform: this.#platform, handle: this.#handle, tables: this.#tables };
  }

  async #attempt<T>(body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      throw storeError(this.#description, error);
    }
  }

  async #load(): Promise<void> {
    const { fs, crc32 } = this.#platform!;
    await fs.unlink(`${this.#path}.new`).catch(() => undefined);
    this.#handle = await openOrCreate(this.#platform!, this.#path);
    const bytes = await fs.readFile(this.#path);
    this.#tables = new MemoryTables();
    this.#liveBytes = 0;
    const intactEnd = readRecords(bytes, crc32, (change) => this.#apply(change));
    if (intactEnd === undefined) throw new FerryError("ERR_STORE", `${this.#description} exists and is not an outbox`);
    this.#length = Math.max(intactEnd, MAGIC.length);
    this.#hasPartialRecord = intactEnd < bytes.length;
    // This also verifies that the file is writable.
    await writeAll(this.#handle, MAGIC, 0);
    await this.#cutPartialRecord();
    await this.#sync();
    await this.#syncFolder();
  }

  async #release(): Promise<void> {
    const handle = this.#handle;
    const unlock = this.#unlock;
    this.#handle = this.#unlock = undefined;
    await handle?.close();
    await unlock?.();
  }

  /** Writes all waiting changes together, then those that have arrived in the meantime. Never rejects. */
  async #flush(): Promise<void> {
    // Changes of the same turn are written together.
    await undefined;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#append(
          records(
            group.map(({ change }) => change),
            this.#opened.platform.crc32,
          ),
        );
      } catch (error) {
        for (const { reject } of group) reject(error);
        continue;
      }
      for (const { change, resolve } of group) {
        this.#apply(change);
        resolve();
      }
      // If this fails, the file is only longer than necessary.
      await this.#compact().catch(() => undefined);
    }
    this.#flushing = undefined;
  }

  /** Appends all bytes or nothing. */
  async #append(bytes: Bytes): Promise<void> {
    if (bytes.length === 0) return;
    await this.#cutPartialRecord();
    if (this.#isFolderDirty) await this.#syncFolder();
    this.#hasPartialRecord = true;
    try {
      await writeAll(this.#opened.handle, bytes, this.#length);
      await this.#sync();
    } catch (error) {
      // If this fails too, the next append does it.
      await this.#cutPartialRecord().catch(() => undefined);
      throw error;
    }
    this.#length += bytes.length;
    this.#hasPartialRecord = false;
  }

  async #cutPartialRecord(): Promise<void> {
    if (!this.#hasPartialRecord) return;
    await this.#opened.handle.truncate(this.#length);
    this.#hasPartialRecord = false;
  }

  #apply(change: Change): void {
    const { segments, deadLetters } = this.#tables;
    const bytesOf = (item: Segment | DeadLetter | undefined) => (item ? recordBytes(item) : 0);
    for (const segment of change.put) this.#liveBytes += recordBytes(segment) - bytesOf(segments.get(segment.key));
    for (const letter of change.deadPut) this.#liveBytes += recordBytes(letter) - bytesOf(deadLetters.get(letter.key));
    this.#tables.apply({ put: change.put, remove: [], deadPut: change.deadPut, deadRemove: [] });
    for (const key of change.remove) this.#liveBytes -= bytesOf(segments.get(key));
    for (const key of change.deadRemove) this.#liveBytes -= bytesOf(deadLetters.get(key));
    this.#tables.apply({ put: [], remove: change.remove, deadPut: [], deadRemove: change.deadRemove });
  }

  async #compact(): Promise<void> {
    const { handle, tables } = this.#opened;
    if (tables.segments.items.length + tables.deadLetters.items.length === 0) {
      if (this.#length === MAGIC.length) return;
      // No flush: the part that is cut off ends with the removal of everything.
      await handle.truncate(MAGIC.length);
      this.#length = MAGIC.length;
      this.#rewriteFromBytes = MIN_REWRITE_BYTES;
    } else if (this.#length > this.#rewriteFromBytes && 2 * this.#liveBytes < this.#length) {
      // If it fails, it is tried again only when the file has doubled.
      this.#rewriteFromBytes = 2 * this.#length;
      await this.#rewrite();
      this.#rewriteFromBytes = MIN_REWRITE_BYTES;
    }
  }

  /** Writes a new file, and replaces the old one when the disk has all of the new one. */
  async #rewrite(): Promise<void> {
    const { platform, handle } = this.#opened;
    const { fs, crc32 } = platform;
    const path = `${this.#path}.new`;
    const fresh = await fs.open(path, "w");
    let length = 0;
    const add = async (bytes: Bytes) => {
      await writeAll(fresh, bytes, length);
      length += bytes.length;
    };
    try {
      await add(MAGIC);
      for (const change of this.#asChanges()) await add(records([change], crc32));
      if (this.#durability === "disk") await fresh.sync();
      await fs.rename(path, this.#path);
    } catch (error) {
      await fresh.close().catch(() => undefined);
      await fs.unlink(path).catch(() => undefined);
      throw error;
    }
    this.#handle = fresh;
    this.#length = length;
    this.#hasPartialRecord = false;
    this.#isFolderDirty = true;
    await handle.close().catch(() => undefined);
    await this.#syncFolder();
  }

  /** The whole content, as changes of about 1 MiB. */
  *#asChanges(): Generator<Change> {
    let part = { put: [] as Segment[], remove: [], deadPut: [] as DeadLetter[], deadRemove: [] };
    let size = 0;
    for (const { items } of [this.#tables.segments, this.#tables.deadLetters]) {
      for (const item of items) {
        if ("sizes" in item) part.put.push(item);
        else part.deadPut.push(item);
        size += recordBytes(item);
        if (size < MIN_REWRITE_BYTES) continue;
        yield part;
        part = { put: [], remove: [], deadPut: [], deadRemove: [] };
        size = 0;
      }
    }
    yield part;
  }

  async #sync(): Promise<void> {
    if (this.#durability === "disk") await this.#opened.handle.datasync();
  }

  /** Flushes the directory, so that the disk has the new name of the file. */
  async #syncFolder(): Promise<void> {
    const { platform } = this.#opened;
    // Windows cannot open directories, and does not need this.
    const folder =
      this.#durability === "disk"
        ? await platform.fs.open(platform.folderOf(this.#path), "r").catch(() => undefined)
        : undefined;
    try {
      await folder?.sync();
      this.#isFolderDirty = false;
    } finally {
      await folder?.close();
    }
  }
}

async function openOrCreate({ fs }: Platform, path: string): Promise<FileHandle> {
  try {
    return await fs.open(path, "r+");
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    return fs.open(path, "wx+");
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new Error("nothing was written");
    done += bytesWritten;
  }
}
