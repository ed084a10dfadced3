/** The store for programs on a machine with a disk: Node, Deno and Bun. */
import { FerryError } from "../engine/errors.js";
import type { Bytes } from "./codec.js";
import { storeError } from "./store-error.js";
import { MAGIC, readRecords, records, weight } from "./file-format.js";
import { lockFile } from "./file-lock.js";
import { type FileHandle, type Platform, codeOf, loadPlatform } from "./file-system.js";
import { MemoryTables } from "./ordered-map.js";
import type { Change, DeadLetter, OutboxStore, PeekLimit, Segment, StoreCounts, StoreTraits } from "./store.js";

export interface FileStoreOptions {
  /**
   * `disk`: a change counts as made when the disk has it, so that not even a loss of power loses it; changes that come
   * together wait for the disk once. `os`: when the operating system has it, which survives a crash of the process and is
   * faster by the time that the disk takes. @default "disk"
   */
  durability?: "os" | "disk";
  /** For tests. @internal */
  platform?: Platform;
}

/**
 * Keeps events in one file, to which changes are appended. The folder must be there; `<path>.lock` and, while the file is
 * rewritten, `<path>.new` stand beside it. What the file has in it is in memory too.
 *
 * The file is emptied whenever the outbox is empty, and rewritten when it has more than 1 MiB, most of it out of date.
 * What was half written when the machine stopped is dropped at the next `open`.
 *
 * One process at a time: `open` rejects while another that runs has the file. The lock of a process that is gone is taken over. Do not
 * share a file between machines or containers, which do not see each other's processes. Deno needs `--allow-read` and
 * `--allow-write` for the folder, and `--allow-run` to take over a lock.
 *
 * @throws {FerryError} all calls: `ERR_STORE` with the `cause`. A change that the disk did not take (it is full, say) leaves the
 * file as it was; later ones work as soon as there is space.
 */
export function fileStore(path: string, options: FileStoreOptions = {}): OutboxStore {
  return new FileStore(path, options);
}

/** Files below this are not rewritten, whatever is in them. */
const REWRITE_FROM = 1024 * 1024;

interface Waiting {
  readonly change: Change;
  resolve(): void;
  reject(error: unknown): void;
}

class FileStore implements OutboxStore {
  readonly kind = "file";
  readonly #path: string;
  readonly #durability: "os" | "disk";
  #platform: Platform | undefined;
  #shelves = new MemoryTables();
  #handle: FileHandle | undefined;
  #unlock: (() => Promise<void>) | undefined;
  /** Where the next record goes. */
  #length = 0;
  /** How much of that is not out of date. */
  #live = 0;
  /** Something may stand behind `#length`, which must go before anything is appended. */
  #hasRemains = false;
  /** The file was replaced, and the disk may not know it yet. */
  #isMoved = false;
  /** The length from which rewriting is tried. */
  #rewriteFrom = REWRITE_FROM;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;

  constructor(path: string, { durability = "disk", platform }: FileStoreOptions) {
    this.#path = path;
    this.#durability = durability;
    this.#platform = platform;
  }

  open(): Promise<StoreTraits> {
    return this.#attempt(async () => {
      if (this.#handle) throw new FerryError("ERR_STORE", "it is open already");
      this.#platform ??= await loadPlatform();
      this.#unlock = await lockFile(this.#platform, this.#path);
      try {
        await this.#load();
      } catch (error) {
        await this.#release().catch(() => undefined);
        throw error;
      }
      return { durability: this.#durability, isShared: false };
    });
  }

  write(change: Change): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject: (error) => reject(storeError(this.#place, error)) });
      this.#flushing ??= this.#flush();
    });
  }

  peek(limit: PeekLimit): Promise<Segment[]> {
    return this.#attempt(async () => this.#opened.shelves.peek(limit));
  }

  dead(limit: number): Promise<DeadLetter[]> {
    return this.#attempt(async () => this.#opened.shelves.dead(limit));
  }

  count(): Promise<StoreCounts> {
    return this.#attempt(async () => this.#opened.shelves.count());
  }

  close(): Promise<void> {
    return this.#attempt(async () => {
      await this.#flushing;
      await this.#release();
    });
  }

  get #place(): string {
    return `the file ${this.#path}`;
  }

  get #opened(): { platform: Platform; handle: FileHandle; shelves: MemoryTables } {
    if (!this.#platform || !this.#handle) throw new FerryError("ERR_STORE", `${this.#place} is not open`);
    return { platform: this.#platform, handle: this.#handle, shelves: this.#shelves };
  }

  async #attempt<T>(body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      throw storeError(this.#place, error);
    }
  }

  async #load(): Promise<void> {
    const { fs, crc32 } = this.#platform!;
    await fs.unlink(`${this.#path}.new`).catch(() => undefined);
    this.#handle = await openOrCreate(this.#platform!, this.#path);
    const bytes = await fs.readFile(this.#path);
    this.#shelves = new MemoryTables();
    this.#live = 0;
    const good = readRecords(bytes, crc32, (change) => this.#apply(change));
    if (good === undefined) throw new FerryError("ERR_STORE", `${this.#place} is there, and is not an outbox`);
    this.#length = Math.max(good, MAGIC.length);
    this.#hasRemains = good < bytes.length;
    // It also shows that the file can be written.
    await writeAll(this.#handle, MAGIC, 0);
    await this.#cutRemains();
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

  /** Writes what waits, all at once; what comes in the meantime goes together too. Never rejects. */
  async #flush(): Promise<void> {
    // Whoever writes in the same breath comes along.
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
      // If that fails, the file is longer than it needs to be, and nothing else.
      await this.#tidy().catch(() => undefined);
    }
    this.#flushing = undefined;
  }

  /** All of it or nothing. */
  async #append(bytes: Bytes): Promise<void> {
    if (bytes.length === 0) return;
    await this.#cutRemains();
    if (this.#isMoved) await this.#syncFolder();
    this.#hasRemains = true;
    try {
      await writeAll(this.#opened.handle, bytes, this.#length);
      await this.#sync();
    } catch (error) {
      // If this fails too, the next one does it.
      await this.#cutRemains().catch(() => undefined);
      throw error;
    }
    this.#length += bytes.length;
    this.#hasRemains = false;
  }

  async #cutRemains(): Promise<void> {
    if (!this.#hasRemains) return;
    await this.#opened.handle.truncate(this.#length);
    this.#hasRemains = false;
  }

  #apply(change: Change): void {
    const { segments, deadLetters: letters } = this.#shelves;
    const weigh = (item: Segment | DeadLetter | undefined) => (item ? weight(item) : 0);
    for (const segment of change.put) this.#live += weight(segment) - weigh(segments.get(segment.key));
    for (const letter of change.deadPut) this.#live += weight(letter) - weigh(letters.get(letter.key));
    this.#shelves.apply({ put: change.put, remove: [], deadPut: change.deadPut, deadRemove: [] });
    for (const key of change.remove) this.#live -= weigh(segments.get(key));
    for (const key of change.deadRemove) this.#live -= weigh(letters.get(key));
    this.#shelves.apply({ put: [], remove: change.remove, deadPut: [], deadRemove: change.deadRemove });
  }

  async #tidy(): Promise<void> {
    const { handle, shelves } = this.#opened;
    if (shelves.segments.items.length + shelves.deadLetters.items.length === 0) {
      if (this.#length === MAGIC.length) return;
      // The disk need not know yet: the removals are in what is cut off.
      await handle.truncate(MAGIC.length);
      this.#length = MAGIC.length;
      this.#rewriteFrom = REWRITE_FROM;
    } else if (this.#length > this.#rewriteFrom && 2 * this.#live < this.#length) {
      // Should it fail, it is not tried again at once.
      this.#rewriteFrom = 2 * this.#length;
      await this.#rewrite();
      this.#rewriteFrom = REWRITE_FROM;
    }
  }

  /** A new file takes the place of the old one when the disk has all of it. */
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
      for (const change of this.#inParts()) await add(records([change], crc32));
      if (this.#durability === "disk") await fresh.sync();
      await fs.rename(path, this.#path);
    } catch (error) {
      await fresh.close().catch(() => undefined);
      await fs.unlink(path).catch(() => undefined);
      throw error;
    }
    this.#handle = fresh;
    this.#length = length;
    this.#hasRemains = false;
    this.#isMoved = true;
    await handle.close().catch(() => undefined);
    await this.#syncFolder();
  }

  /** Everything that is there, as changes of about a megabyte. */
  *#inParts(): Generator<Change> {
    let part = { put: [] as Segment[], remove: [], deadPut: [] as DeadLetter[], deadRemove: [] };
    let size = 0;
    for (const { items } of [this.#shelves.segments, this.#shelves.deadLetters]) {
      for (const item of items) {
        if ("sizes" in item) part.put.push(item);
        else part.deadPut.push(item);
        size += weight(item);
        if (size < REWRITE_FROM) continue;
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

  /** Makes the disk know which file stands under the name. */
  async #syncFolder(): Promise<void> {
    const { platform } = this.#opened;
    // Windows does not open folders, and has no need to.
    const folder =
      this.#durability === "disk"
        ? await platform.fs.open(platform.folderOf(this.#path), "r").catch(() => undefined)
        : undefined;
    try {
      await folder?.sync();
      this.#isMoved = false;
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
