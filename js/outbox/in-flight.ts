/**
 * The requests that are in flight when a page ends, in `localStorage`: what IndexedDB is given then, WebKit does not store,
 * and the write that notes the start of a request may not be done yet. Later pages read it before they send, see
 * `progress.ts`.
 *
 * ```text
 *   start ──> in flight ──answer─────> end
 *                 └─────page ends────> localStorage ──the page is back──────────> deleted
 *                                           ├─────────a later page sends again──> of no account there
 *                                           └─────────a minute after its end────> deleted
 * ```
 */
import { unixNow } from "../platform/clock.js";
import { hasPage } from "../platform/page-lifecycle.js";
import { freshId } from "../platform/uuid.js";

/** Some events of a segment: its key, how many events it has, and which ones. */
export type SentRange = readonly [key: string, count: number, from: number, to: number];
type SavedRange = readonly [...SentRange, untilMs: number];

const PREFIX = "eventferry-in-flight/";
/** As long as `progress.ts` cares about it. */
const KEPT_MS = 60_000;
/** What a page saves at most. The events of other requests may arrive once more. */
const MAX_RANGES = 2000;

export class InFlight {
  /** How long a request may be in flight; 0 if nothing is to be remembered. */
  readonly #durationMs: number;
  readonly #requests = new Map<number, { untilMs: number; ranges: readonly SentRange[] }>();
  /** What earlier pages have saved, by the key of the segment. */
  readonly #saved = new Map<string, SavedRange[]>();
  #knownItems: ReadonlySet<string> = new Set();
  #ownItem: string | undefined;

  constructor(durationMs: number) {
    this.#durationMs = hasPage() ? durationMs : 0;
  }

  /** A request has started. */
  start(id: number, ranges: () => readonly SentRange[]): void {
    if (this.#durationMs === 0) return;
    const now = unixNow();
    // Those that were given up.
    for (const [other, { untilMs }] of this.#requests) if (untilMs <= now) this.#requests.delete(other);
    const request = { untilMs: now + this.#durationMs, ranges: ranges() };
    this.#requests.set(id, request);
    for (const [key] of request.ranges) this.#saved.delete(key);
  }

  /** A request has ended. */
  end(id: number): void {
    this.#requests.delete(id);
  }

  /** The page ends: saves its requests. */
  save(): void {
    const now = unixNow();
    const ranges: SavedRange[] = [];
    for (const { untilMs, ranges: sent } of this.#requests.values())
      if (untilMs > now) for (const range of sent) ranges.push([...range, untilMs]);
    if (ranges.length === 0) return;
    this.#ownItem ??= PREFIX + freshId();
    try {
      localStorage.setItem(this.#ownItem, JSON.stringify(ranges.slice(0, MAX_RANGES)));
    } catch {
      // It is blocked or full: events may arrive once more.
    }
  }

  /** The page is back, and knows its requests. */
  forget(): void {
    if (this.#ownItem !== undefined) remove(this.#ownItem);
  }

  /** Reads what pages have saved since the last time. */
  load(): void {
    if (this.#durationMs === 0) return;
    const items = savedItems();
    for (const name of items) if (!this.#knownItems.has(name) && name !== this.#ownItem) this.#loadItem(name);
    this.#knownItems = new Set(items);
  }

  /** The progress of a stored segment with what other pages have saved. */
  withSaved(key: string, count: number, progress: unknown): unknown {
    const saved = this.#saved.get(key)?.filter((range) => range[1] === count) ?? [];
    if (saved.length === 0) return progress;
    const length = 2 + 3 * count;
    const numbers: number[] =
      Array.isArray(progress) && progress.length === length ? [...progress] : new Array<number>(length).fill(0);
    for (const [, , from, to, untilMs] of saved) {
      for (let at = 2 + 3 * from; at < Math.min(2 + 3 * to, length); at += 3) {
        numbers[at] = Math.max(1, numbers[at]!);
        numbers[at + 1] = Math.max(untilMs, numbers[at + 1]!);
      }
    }
    return numbers;
  }

  #loadItem(name: string): void {
    const oldest = unixNow() - KEPT_MS;
    const ranges = readItem(name).filter(([, , , , untilMs]) => untilMs > oldest);
    if (ranges.length === 0) remove(name);
    for (const range of ranges) this.#saved.set(range[0], [...(this.#saved.get(range[0]) ?? []), range]);
  }
}

function savedItems(): string[] {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
  } catch {
    return [];
  }
}

/** Empty if it is gone or damaged. */
function readItem(name: string): SavedRange[] {
  try {
    const ranges = JSON.parse(localStorage.getItem(name) ?? "[]") as SavedRange[];
    const isRange = (range: SavedRange) => typeof range[0] === "string" && range.slice(1).every(Number.isInteger);
    return ranges.filter((range) => range.length === 5 && isRange(range));
  } catch {
    return [];
  }
}

function remove(name: string): void {
  try {
    localStorage.removeItem(name);
  } catch {
    // It is blocked, so nothing was saved.
  }
}
