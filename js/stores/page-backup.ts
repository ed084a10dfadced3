/**
 * What a page has not stored yet when it is hidden or left, in `localStorage`: IndexedDB may not store it any more, which
 * Safari never does. The next start of an outbox with the same destination takes it. If the page cannot come back, so does
 * an outbox that is open in another page.
 *
 * ```text
 *   page is left ──save──> localStorage ──the write is done after all──────────────────> deleted
 *                                  ├─────next start────────────────────────────────> stored, then deleted
 *                                  └─────another page, if this one cannot come back──> stored, then deleted
 * ```
 *
 * A page that may come back would write its events again, so other open pages leave alone what it has saved.
 */
import { startTimer, stopTimer, type Timer } from "../platform/clock.js";
import { hasPage } from "../platform/page-lifecycle.js";
import { runAsLeader, runInTurn } from "../platform/leader.js";
import { watchStorage } from "../platform/storage-events.js";
import { decodeRow, encodeRow } from "./json-row.js";
import { ensure, readSegment } from "./readable-row.js";
import type { Change, Segment, StoreProblemListener } from "./store.js";
import { UnreadableRows } from "./unreadable-rows.js";

/** The maximum number of characters in keys and values. An origin has at least 2.5 million. */
const MAX_CHARACTERS = 1024 * 1024;
/**
 * How long another page waits: in some browsers the last write of a page that is closed does reach the store. What it
 * stores later would be delivered twice.
 */
const ADOPT_DELAY_MS = 1000;
/** How the text of an entry begins whose page cannot come back. Earlier versions ignore the member. */
const GONE = '{"isGone":true,';

/** Where saved segments are moved to. */
export interface BackupTarget {
  /** The segments with these keys that are stored. */
  find(keys: ReadonlySet<string>): Promise<ReadonlyMap<string, Segment>>;
  put(segments: readonly Segment[]): Promise<void>;
  onProblem: StoreProblemListener;
}

export class PageBackup {
  readonly #prefix: string;
  readonly #unreadable = new UnreadableRows("localStorage");
  #timer: Timer | undefined;
  #isUnwatched = false;
  #stopWatching: () => void = () => undefined;

  /** @param name as that of `OutboxStore.open` */
  constructor(name: string) {
    this.#prefix = `eventferry-left/${name}/`;
  }

  /**
   * Saves segments, the last ones first. Returns how many events found no room.
   *
   * @param isGone whether the page cannot come back
   */
  save(segments: readonly Segment[], isGone: boolean): number {
    let free = MAX_CHARACTERS;
    const newKeys = new Set(segments.map(({ key }) => this.#prefix + key));
    const present = new Map(this.#entries());
    for (const [key, text] of present) if (!newKeys.has(key)) free -= key.length + text.length;
    let unsaved = 0;
    for (const segment of [...segments].reverse()) {
      const [key, text] = [
        this.#prefix + segment.key,
        encodeRow(isGone ? ({ isGone, ...segment } as Segment) : segment),
      ];
      const size = key.length + text.length;
      try {
        ensure(size <= free, "no room");
        if (present.get(key) !== text) localStorage.setItem(key, text);
        free -= size;
      } catch {
        unsaved += segment.sizes.length;
      }
    }
    return unsaved;
  }

  /** A change is stored: deletes what was saved of its segments. */
  written({ put, remove }: Change): void {
    if (!hasPage()) return;
    try {
      for (const { key } of put) localStorage.removeItem(this.#prefix + key);
      for (const key of remove) localStorage.removeItem(this.#prefix + key);
    } catch {
      // It is blocked, so nothing was saved.
    }
  }

  /**
   * Moves what was saved into a store. One page at a time does it. What cannot be read stays, and is told of; so does
   * what the store does not take.
   */
  async moveTo(target: BackupTarget): Promise<void> {
    if (this.#entries().length === 0) return;
    const scope = { name: this.#lockName, isShared: true, lease: undefined };
    await runAsLeader(scope, async () => void (await this.#move(target, this.#entries()))).catch(target.onProblem);
    this.#unreadable.tell();
  }

  /**
   * From now on moves what pages save that cannot come back. `onMoved` is called when this page has moved events, and when
   * another page may have.
   */
  watch(target: BackupTarget, onMoved: (isOwn: boolean) => void): void {
    const look = async () => {
      this.#timer = undefined;
      let moved = 0;
      // In turn: of several pages that notice it, the first one finds it.
      await runInTurn(this.#lockName, async () => {
        const gone = this.#entries().filter(([, text]) => isGone(text));
        if (!this.#isUnwatched) moved = await this.#move(target, gone);
      });
      this.#unreadable.tell();
      onMoved(moved > 0);
    };
    this.#stopWatching = watchStorage((key, text) => {
      // It was saved for others; or it is gone, because it is stored now.
      const isNews = key.startsWith(this.#prefix) && (text === null || isGone(text));
      if (isNews) this.#timer ??= startTimer(() => void look().catch(target.onProblem), ADOPT_DELAY_MS);
    });
  }

  unwatch(): void {
    this.#isUnwatched = true;
    this.#stopWatching();
    stopTimer(this.#timer);
  }

  get #lockName(): string {
    return `restore:${this.#prefix}`;
  }

  /** Returns how many segments were moved. */
  async #move({ find, put, onProblem }: BackupTarget, entries: readonly Entry[]): Promise<number> {
    this.#unreadable.listen(onProblem);
    const saved: Segment[] = [];
    for (const [key, text] of entries) {
      const segmentKey = key.slice(this.#prefix.length);
      const segment = this.#unreadable.read("segments", segmentKey, () => readSaved(text));
      if (segment) saved.push(segment);
    }
    if (saved.length === 0) return 0;
    // The write of the page may be done after all, and some of these events delivered since.
    const stored = await find(new Set(saved.map(({ key }) => key)));
    const missing = saved.filter(({ key }) => !stored.has(key));
    if (missing.length > 0) await put(missing);
    this.written({ put: saved, remove: [], deadPut: [], deadRemove: [] });
    return missing.length;
  }

  /** The entries, oldest first. None where there is no page, or where storage is blocked. */
  #entries(): Entry[] {
    if (!hasPage()) return [];
    try {
      return Object.keys(localStorage)
        .filter((key) => key.startsWith(this.#prefix))
        .sort()
        .map((key): Entry => [key, localStorage.getItem(key) ?? ""]);
    } catch {
      return [];
    }
  }
}

type Entry = readonly [key: string, text: string];

function isGone(text: string): boolean {
  return text.startsWith(GONE);
}

function readSaved(text: string): Segment {
  const { isGone: _, ...segment } = decodeRow(text) as { isGone?: unknown };
  return readSegment(segment);
}
