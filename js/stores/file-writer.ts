/**
 * Writes the changes of a file store, and keeps the file in place. Internal.
 *
 * ```text
 *   write ──> waiting ──all that wait, in one append──> applied ──> resolved
 *                └─no space──> one after the other ──removals alone──> erased in place
 * ```
 */
import { FerryError } from "../engine/errors.js";
import { startIdleTimer, stopTimer, type Timer } from "../platform/clock.js";
import type { FileContent } from "./file-content.js";
import { KIND, records } from "./file-format.js";
import type { FileLog } from "./file-log.js";
import { isNoSpace } from "./file-system.js";
import { KeptRoom } from "./kept-room.js";
import type { Change } from "./store.js";
import { storeError } from "./store-error.js";

/** The minimum size of a file that is rewritten, in bytes. */
const MIN_REWRITE_BYTES = 1024 * 1024;
/** How often a file with events is checked for whether it is still in place, in milliseconds. */
const CHECK_INTERVAL_MS = 5000;

interface PendingWrite {
  readonly change: Change;
  resolve(): void;
  reject(error: unknown): void;
}

export interface FileWriterOptions {
  readonly log: FileLog;
  readonly content: FileContent;
  /** The file in messages. */
  readonly description: string;
  onProblem(problem: unknown): void;
}

export class FileWriter {
  readonly #options: FileWriterOptions;
  /** The file size from which a rewrite is tried. */
  #rewriteFromBytes = MIN_REWRITE_BYTES;
  /** For the records of one change. */
  readonly #room = new KeptRoom();
  #waiting: PendingWrite[] = [];
  #flushing: Promise<void> | undefined;
  #checkTimer: Timer | undefined;
  /** Whether the last check has failed. */
  #isCheckFailing = false;
  #hasEnded = false;

  constructor(options: FileWriterOptions) {
    this.#options = options;
    this.#scheduleCheck();
  }

  write(change: Change): Promise<void> {
    const { description } = this.#options;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject: (error) => reject(storeError(description, error)) });
      this.#flushing ??= this.#flush();
    });
  }

  /** Ends the changes that wait, and checks the file for the last time. `log.close` follows. */
  async end(): Promise<void> {
    await this.#flushing;
    stopTimer(this.#checkTimer);
    this.#checkTimer = undefined;
    this.#hasEnded = true;
    const { content, onProblem } = this.#options;
    // Nobody writes it again later.
    if (!content.isEmpty) await this.#ensureInPlace().catch(onProblem);
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
    const { log, content } = this.#options;
    const canWait = changes.every(({ isDelivered }) => isDelivered);
    const isInPlace =
      !changes.every(isEmptyChange) &&
      (await log.append((checksum) => [records(changes, checksum, this.#room.take)], canWait));
    for (const change of changes) content.apply(change);
    if (!isInPlace) await this.#ensureInPlace();
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
      const { log, content } = this.#options;
      if (!(await log.isInPlace())) throw groupError;
      const [segments, deadLetters] = [new Set(change.remove), new Set(change.deadRemove)];
      await log.erase(
        ({ kind, key }) => (kind === KIND.put && segments.has(key)) || (kind === KIND.deadPut && deadLetters.has(key)),
      );
      content.apply(change);
    } catch {
      throw groupError;
    }
  }

  /** Notices that somebody has removed, renamed or changed the file, and writes it again. */
  async #ensureInPlace(): Promise<void> {
    const { log, content, description, onProblem } = this.#options;
    if (await log.isInPlace()) return;
    await log.restore((checksum) => content.records(checksum));
    onProblem(
      new FerryError(
        "ERR_STORE",
        `${description} was removed, renamed or changed while it was in use; its content was written again`,
      ),
    );
  }

  /** Truncates an empty file; rewrites a large one that is mostly outdated. */
  async #compact(): Promise<void> {
    const { log, content } = this.#options;
    if (content.isEmpty) {
      if (log.isEmpty) return;
      await log.clear();
      this.#rewriteFromBytes = MIN_REWRITE_BYTES;
      // What somebody did to the file before it was emptied is told now: the next start would refuse a file without a header.
      await this.#ensureInPlace();
    } else if (log.length > this.#rewriteFromBytes && 2 * content.bytes < log.length) {
      // If it fails, it is tried again only when the file has doubled.
      this.#rewriteFromBytes = 2 * log.length;
      await log.replace((checksum) => content.records(checksum));
      this.#rewriteFromBytes = MIN_REWRITE_BYTES;
    }
  }

  /** While there are events, the file is checked also if nothing is written. */
  #scheduleCheck(): void {
    const { content, onProblem } = this.#options;
    if (this.#checkTimer !== undefined || this.#hasEnded || content.isEmpty) return;
    this.#checkTimer = startIdleTimer(() => {
      this.#checkTimer = undefined;
      this.write(NO_CHANGE).then(
        () => void (this.#isCheckFailing = false),
        (error: unknown) => {
          if (!this.#isCheckFailing && !this.#hasEnded) onProblem(error);
          this.#isCheckFailing = true;
        },
      );
    }, CHECK_INTERVAL_MS);
  }
}

const NO_CHANGE: Change = { put: [], remove: [], deadPut: [], deadRemove: [] };

function isEmptyChange({ put, remove, deadPut, deadRemove }: Change): boolean {
  return put.length + remove.length + deadPut.length + deadRemove.length === 0;
}
