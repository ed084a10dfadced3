/** The store for Node, Deno and Bun: a file. */
import { FerryError } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import type { DedupeStore } from "./dedupe.js";
import { FileContent } from "./file-content.js";
import { FileLog, type OpenedLog, RESERVED_SUFFIX } from "./file-log.js";
import { fileMarks } from "./file-marks.js";
import { loadPlatform, type Platform } from "./file-system.js";
import { FileWriter } from "./file-writer.js";
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
   * one flush, and the removal of delivered events waits for the next one: after a loss of power they may be delivered
   * again. `os`: when the operating system has it, so that it survives a crash of the process; there is no flush.
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

class FileStore implements OutboxStore, DedupeStore {
  readonly kind = "file";
  readonly #path: string;
  readonly #durability: "os" | "disk";
  readonly #marks: ReturnType<typeof fileMarks>;
  #platform: Platform | undefined;
  #opened: { log: FileLog; content: FileContent; writer: FileWriter } | undefined;
  #isOpening = false;
  #onProblem: StoreProblemListener | undefined;

  constructor(path: string, options: FileStoreOptions) {
    const { durability = "disk", platform } = options;
    this.#path = path;
    this.#marks = fileMarks(() => new FileStore(`${path}.seen`, options));
    this.#durability = durability;
    this.#platform = platform;
  }

  open(_name?: string, onProblem?: StoreProblemListener): Promise<StoreTraits> {
    return this.#attempt(async () => {
      if (this.#opened || this.#isOpening) throw new FerryError("ERR_STORE", `${this.#description} is open already`);
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
    return this.#opened?.writer.write(change) ?? Promise.reject(this.#notOpen());
  }

  peek(limit: PeekLimit): Promise<Segment[]> {
    return this.#attempt(async () => this.#content.tables.peek(limit));
  }

  dead(limit: number, prefix?: string): Promise<DeadLetter[]> {
    return this.#attempt(async () => this.#content.tables.dead(limit, prefix));
  }

  count(prefix?: string): Promise<StoreCounts> {
    return this.#attempt(async () => this.#content.tables.count(prefix));
  }

  unreadable(): Promise<UnreadableKeys> {
    return this.#attempt(async () => this.#content.unreadableKeys);
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
      await this.#opened?.writer.end();
      const log = this.#opened?.log;
      this.#opened = undefined;
      await log?.close();
    });
  }

  get #description(): string {
    return `the file ${this.#path}`;
  }

  get #content(): FileContent {
    if (!this.#opened) throw this.#notOpen();
    return this.#opened.content;
  }

  #notOpen(): FerryError {
    return new FerryError("ERR_STORE", `${this.#description} is not open`);
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
    const content = new FileContent();
    const log = new FileLog(this.#platform, this.#path, this.#durability === "disk");
    let foundRecords = 0;
    const opened = await log.open((record) => {
      foundRecords += Number(record.isFound);
      content.load(record);
    });
    try {
      await this.#repair(log, content, opened, foundRecords);
    } catch (error) {
      await log.close().catch(() => undefined);
      throw error;
    }
    const [description, onProblem] = [this.#description, (problem: unknown) => this.#tell(problem)];
    this.#opened = { log, content, writer: new FileWriter({ log, content, description, onProblem }) };
  }

  /** Removes damaged bytes from the file, once they are kept elsewhere, and tells of them. */
  async #repair(log: FileLog, content: FileContent, opened: OpenedLog, found: number): Promise<void> {
    const { spans, end, isHeaderDamaged, isFirstForm } = opened;
    const rewrite = () => log.replace((checksum) => content.records(checksum));
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
    if (content.unreadableCount > 0)
      this.#tell(
        new FerryError(
          "ERR_STORE",
          `${this.#description} has ${content.unreadableCount} rows that this version cannot read`,
        ),
      );
  }
}
