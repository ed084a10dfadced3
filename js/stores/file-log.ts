/**
 * The file of a file store on the disk: appends records, replaces the file, and notices when somebody else has changed
 * it. Knows nothing of what the records say. Internal.
 *
 * ```text
 *   <path>            the log
 *   <path>.lock       names the process that uses it, see file-lock.ts
 *   <path>.new        the next file, while it is written
 *   <path>.damaged    bytes that were found in the file and are no records
 * ```
 */
import { FerryError } from "../engine/errors.js";
import { keepDamaged } from "./file-damaged.js";
import { type Checksum, type Entry, entryStarts, KIND, RECORD_HEAD } from "./file-format.js";
import { HEADER_BYTES, headerOf, readHeader } from "./file-header.js";
import { type FileLock, lockFile } from "./file-lock.js";
import { extended, MAX_PROBE_BYTES, NO_PROBE, type Probe, PROBE_BYTES, probeOf } from "./file-probe.js";
import { type LogDamage, type LogRecord, readLog, type Span } from "./file-recovery.js";
import { type MakeRecords, replaceFile, syncFolder } from "./file-replacement.js";
import {
  checkRegular,
  codeOf,
  FILE_MODE,
  type FileHandle,
  type FileStat,
  isNoSpace,
  type Platform,
  readAt,
  statOf,
  writeAt,
} from "./file-system.js";
import { permanentStoreError } from "./store-error.js";

/** What may not be at the end of the path of a store, because it names a file beside another store. */
export const RESERVED_SUFFIX: RegExp = /\.(lock|new|damaged|seen|lock\.[0-9a-f]{8})$/i;

/** What `open` has found in a file. */
export interface OpenedLog extends LogDamage {
  readonly isHeaderDamaged: boolean;
  /** Whether the file has the form that an earlier version wrote. */
  readonly isFirstForm: boolean;
}

export class FileLog {
  /** The path in messages. */
  readonly name: string;
  readonly #platform: Platform;
  readonly #isFlushed: boolean;
  #path: string;
  #lock: FileLock | undefined;
  #handle: FileHandle | undefined;
  #identity: FileStat | undefined;
  #checksum: Checksum;
  #header: Uint8Array = new Uint8Array(0);
  /** The position of the next record. */
  #length = 0;
  /** Whether an incomplete record may follow `#length`. It must be cut off before the next append. */
  #hasPartialRecord = false;
  /** Bytes near the end of the file. They become zeros if somebody truncates the file before something is appended. */
  #probe: Probe = NO_PROBE;
  #nextProbe: Probe = NO_PROBE;
  /** Whether the file has records that the disk may not have. */
  #isFlushDue = false;
  /** Whether the file was replaced and the directory is not flushed yet. */
  #isFolderDirty = false;

  /** @param isFlushed whether writes resolve only when the disk has them */
  constructor(platform: Platform, path: string, isFlushed: boolean) {
    this.#platform = platform;
    this.#path = this.name = path;
    this.#isFlushed = isFlushed;
    this.#checksum = platform.crc32;
  }

  /** The size of the file. */
  get length(): number {
    return this.#length;
  }

  /** Whether the file has no records. */
  get isEmpty(): boolean {
    return this.#length <= HEADER_BYTES && !this.#hasPartialRecord;
  }

  /**
   * Locks and reads the file, or creates it. Afterwards records are appended behind everything that is in it, damaged
   * bytes included, until `cut` or `replace` is called.
   *
   * @throws if another process uses the file, or if it is something else than an outbox
   */
  async open(onRecord: (record: LogRecord) => void): Promise<OpenedLog> {
    const { fs } = this.#platform;
    this.#path = await fs.realpath(this.name).catch(() => this.#platform.resolve(this.name));
    // Before it is opened: that may wait for the other end of a pipe.
    checkRegular(this.name, await statOf(this.#platform, this.#path));
    this.#lock = await lockFile(this.#platform, this.#path);
    try {
      await fs.unlink(`${this.#path}.new`).catch(() => undefined);
      return await this.#load(onRecord);
    } catch (error) {
      await this.close().catch(() => undefined);
      throw error;
    }
  }

  /** Cuts off what follows `end`. */
  async cut(end: number): Promise<void> {
    if (end >= this.#length) return;
    this.#length = end;
    this.#hasPartialRecord = true;
    await this.#cutPartialRecord();
    await this.#sync();
    await this.#readProbe();
  }

  /**
   * Appends all records or nothing. Returns whether the file was found in place meanwhile, as `isInPlace` does.
   *
   * @param canWait whether a loss of power may undo it: nothing is flushed, and the file is taken to be in place. The
   * next append makes up for both, `close` for the flush
   */
  async append(make: MakeRecords, canWait = false): Promise<boolean> {
    await this.#cutPartialRecord();
    if (this.#isFolderDirty) await this.#syncFolder();
    this.#hasPartialRecord = true;
    let end = this.#length;
    const before = this.#nextProbe;
    let after = before;
    let isInPlace = false;
    try {
      for (const bytes of make(this.#checksum)) {
        await writeAt(this.#opened, end, bytes);
        end += bytes.length;
        after = canWait ? extended(after, bytes) : probeOf(bytes, end);
      }
      if (canWait && after.bytes.length <= MAX_PROBE_BYTES) {
        this.#isFlushDue = true;
        isInPlace = this.#probe === before;
      } else {
        after = probeOf(after.bytes, end);
        const looking = this.#isFoundInPlace(end).catch(() => false);
        await this.#sync();
        isInPlace = await looking;
      }
    } catch (error) {
      // If this fails too, the next append does it.
      await this.#cutPartialRecord().catch(() => undefined);
      throw error;
    }
    this.#length = end;
    this.#hasPartialRecord = false;
    this.#nextProbe = after;
    if (isInPlace) this.#probe = after;
    return isInPlace;
  }

  /**
   * Removes all records. No flush: what is cut off ends with the removal of everything. If somebody has truncated the
   * file, it has zeros for a header now, and `isInPlace` is false.
   */
  async clear(): Promise<void> {
    this.#hasPartialRecord = true;
    this.#length = HEADER_BYTES;
    this.#useProbe(probeOf(this.#header, HEADER_BYTES));
    await this.#cutPartialRecord();
  }

  /** Erases the entries that `isErased` selects. It overwrites them, which needs no space on a full disk. */
  async erase(isErased: (entry: Entry) => boolean): Promise<void> {
    await this.#cutPartialRecord();
    const bytes = await readAt(this.#opened, 0, this.#length);
    const changed: Span[] = [];
    readLog(bytes, this.#checksum, ({ start, end, entries }) => {
      const erased = [...entryStarts(bytes, start)].filter((_, index) => isErased(entries[index]!));
      for (const at of erased) bytes[at] = KIND.erased;
      if (erased.length === 0) return;
      const checksum = this.#checksum(bytes.subarray(start + RECORD_HEAD, end));
      new DataView(bytes.buffer, start).setUint32(4, checksum, true);
      changed.push({ from: start + 4, to: erased.at(-1)! + 1 });
    });
    for (const { from, to } of changed) await writeAt(this.#opened, from, bytes.subarray(from, to));
    await this.#sync();
    this.#useProbe(probeOf(bytes, bytes.length));
  }

  /**
   * Writes a new file, and replaces the old one when the disk has all of the new one.
   *
   * @param prepare called before the old file is replaced
   */
  async replace(make: MakeRecords, prepare?: () => Promise<void>): Promise<void> {
    const salt = this.#platform.randomSalt();
    const fresh = await replaceFile(this.#platform, {
      path: this.#path,
      salt,
      make,
      prepare,
      isFlushed: this.#isFlushed,
    });
    const old = this.#handle;
    this.#handle = fresh.handle;
    this.#identity = fresh.identity;
    this.#useSalt(salt);
    this.#length = fresh.length;
    this.#hasPartialRecord = false;
    this.#isFlushDue = false;
    this.#isFolderDirty = true;
    this.#useProbe(fresh.probe);
    await old?.close().catch(() => undefined);
    await this.#syncFolder();
  }

  /**
   * Whether the path still leads to this file, and it has the content that was written. It has not if somebody has
   * removed, renamed, replaced or truncated it before the last append or since.
   */
  async isInPlace(): Promise<boolean> {
    await this.#cutPartialRecord();
    if (!(await this.#isFoundInPlace(this.#length))) return false;
    this.#probe = this.#nextProbe;
    return true;
  }

  /**
   * Writes a new file where `isInPlace` is false. What somebody else has put there is kept with the damaged bytes.
   *
   * @throws if another process uses the path now
   */
  async restore(make: MakeRecords): Promise<void> {
    await this.replace(make, async () => {
      await this.#lock?.ensure();
      const found = await statOf(this.#platform, this.#path);
      if (!found) return;
      checkRegular(this.name, found);
      if (this.#isOurs(found)) return this.keep([{ from: this.#length, to: Number(found.size) }]);
      const other = await this.#platform.fs.open(this.#path, "r");
      try {
        await this.keep([{ from: 0, to: Number(found.size) }], other);
      } finally {
        await other.close();
      }
    });
  }

  /** Appends parts of a file to the file of damaged bytes. */
  keep(spans: readonly Span[], source: FileHandle = this.#opened): Promise<void> {
    return keepDamaged(
      this.#platform,
      { path: this.#path, name: this.name, isFlushed: this.#isFlushed },
      spans,
      source,
    );
  }

  /** Closes the file and releases the lock. */
  async close(): Promise<void> {
    // What can wait for the disk may also fail.
    if (this.#isFlushDue) await this.#sync().catch(() => undefined);
    const [handle, lock] = [this.#handle, this.#lock];
    this.#handle = this.#lock = undefined;
    try {
      await handle?.close();
    } finally {
      await lock?.release();
    }
  }

  get #opened(): FileHandle {
    if (!this.#handle) throw new FerryError("ERR_STORE", `the file ${this.name} is not open`);
    return this.#handle;
  }

  async #load(onRecord: (record: LogRecord) => void): Promise<OpenedLog> {
    const { fs, crc32, randomSalt } = this.#platform;
    const isNew = !(await this.#openHandle());
    const bytes = await readAt(this.#opened, 0, Number(this.#identity!.size));
    const header = readHeader(bytes, (salt) => {
      let count = 0;
      readLog(
        bytes,
        (content) => crc32(content, salt),
        () => count++,
      );
      return count > 0;
    });
    if (!header) throw permanentStoreError(`the file ${this.name} exists and is not an outbox`);
    const { salt, isDamaged } = header;
    const seed = salt ?? randomSalt();
    this.#useSalt(seed);
    this.#length = Math.max(bytes.length, HEADER_BYTES);
    try {
      // This also verifies that the file is writable.
      await writeAt(this.#opened, 0, this.#header);
      await this.#sync();
      await this.#syncFolder();
    } catch (error) {
      if (isNew) await fs.unlink(this.#path).catch(() => undefined);
      // A full outbox must open, because only delivery can empty it.
      if (salt === undefined || isDamaged || !isNoSpace(error)) throw error;
    }
    await this.#readProbe();
    const damage = salt === undefined ? { spans: [], end: HEADER_BYTES } : readLog(bytes, this.#checksum, onRecord);
    return { ...damage, isHeaderDamaged: isDamaged, isFirstForm: salt === 0 };
  }

  /** Opens the file, or creates it. Returns whether it existed. */
  async #openHandle(): Promise<boolean> {
    const { fs } = this.#platform;
    let isOld = true;
    try {
      this.#handle = await fs.open(this.#path, "r+");
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
      this.#handle = await fs.open(this.#path, "wx+", FILE_MODE);
      isOld = false;
    }
    this.#identity = await this.#handle.stat({ bigint: true });
    checkRegular(this.name, this.#identity);
    // An earlier version has let others read it. Only the owner can change that.
    if ((this.#identity.mode & 0o077n) !== 0n) await this.#handle.chmod(FILE_MODE).catch(() => undefined);
    return isOld;
  }

  #useSalt(salt: number): void {
    const { crc32 } = this.#platform;
    this.#header = headerOf(salt);
    this.#checksum = (bytes) => crc32(bytes, salt);
  }

  /** Whether the file has this length and the probe, under its path. */
  async #isFoundInPlace(length: number): Promise<boolean> {
    const { at, bytes } = this.#probe;
    const [found, there] = await Promise.all([
      statOf(this.#platform, this.#path),
      readAt(this.#opened, at, bytes.length),
    ]);
    if (!found || !this.#isOurs(found) || Number(found.size) !== length) return false;
    return there.length === bytes.length && there.every((byte, index) => byte === bytes[index]);
  }

  #isOurs({ dev, ino }: FileStat): boolean {
    return dev === this.#identity?.dev && ino === this.#identity.ino;
  }

  /** Takes the probe from the file. Only while it is opened: later somebody may have changed it. */
  async #readProbe(): Promise<void> {
    const at = Math.max(0, this.#length - PROBE_BYTES);
    this.#useProbe({ at, bytes: await readAt(this.#opened, at, this.#length - at) });
  }

  #useProbe(probe: Probe): void {
    this.#probe = this.#nextProbe = probe;
  }

  async #cutPartialRecord(): Promise<void> {
    if (!this.#hasPartialRecord) return;
    await this.#opened.truncate(this.#length);
    this.#hasPartialRecord = false;
  }

  async #sync(): Promise<void> {
    if (this.#isFlushed) await this.#opened.datasync();
    this.#isFlushDue = false;
  }

  async #syncFolder(): Promise<void> {
    if (this.#isFlushed) await syncFolder(this.#platform, this.#path);
    this.#isFolderDirty = false;
  }
}
