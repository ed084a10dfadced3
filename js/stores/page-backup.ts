/**
 * What a page has not stored yet when it is hidden or left, in `localStorage`: IndexedDB may not store it any more, which
 * Safari never does. The next start of an outbox with the same destination takes it.
 *
 * ```text
 *   page is left ──save──> localStorage ──the write is done after all──> deleted
 *                                  └─────next start─────────────────> stored, then deleted
 * ```
 */
import { hasPage } from "../platform/page-lifecycle.js";
import { runAsLeader } from "../platform/leader.js";
import { decodeRow, encodeRow } from "./json-row.js";
import { ensure, readSegment } from "./readable-row.js";
import type { Change, OutboxStore, Segment, StoreProblemListener } from "./store.js";
import { UnreadableRows } from "./unreadable-rows.js";

/** The maximum number of characters in keys and values. An origin has at least 2.5 million. */
const MAX_CHARACTERS = 1024 * 1024;

export class PageBackup {
  readonly #prefix: string;
  readonly #unreadable = new UnreadableRows("localStorage");

  /** @param name as that of `OutboxStore.open` */
  constructor(name: string) {
    this.#prefix = `eventferry-left/${name}/`;
  }

  /** Saves segments, the last ones first. Returns how many events found no room. */
  save(segments: readonly Segment[]): number {
    let free = MAX_CHARACTERS;
    const newKeys = new Set(segments.map(({ key }) => this.#prefix + key));
    for (const [key, text] of this.#entries()) if (!newKeys.has(key)) free -= key.length + text.length;
    let unsaved = 0;
    for (const segment of [...segments].reverse()) {
      const [key, text] = [this.#prefix + segment.key, encodeRow(segment)];
      const size = key.length + text.length;
      try {
        ensure(size <= free, "no room");
        localStorage.setItem(key, text);
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
  async moveTo(store: OutboxStore, onProblem: StoreProblemListener): Promise<void> {
    if (this.#entries().length === 0) return;
    this.#unreadable.listen(onProblem);
    const scope = { name: `restore:${this.#prefix}`, isShared: true, lease: undefined };
    await runAsLeader(scope, async () => {
      const put: Segment[] = [];
      for (const [key, text] of this.#entries()) {
        const segmentKey = key.slice(this.#prefix.length);
        const segment = this.#unreadable.read("segments", segmentKey, () => readSegment(decodeRow(text)));
        if (segment) put.push(segment);
      }
      const change = { put, remove: [], deadPut: [], deadRemove: [] };
      if (put.length > 0) await store.write(change);
      this.written(change);
    }).catch(onProblem);
    this.#unreadable.tell();
  }

  /** The entries, oldest first. None where there is no page, or where storage is blocked. */
  #entries(): [key: string, text: string][] {
    if (!hasPage()) return [];
    try {
      return Object.keys(localStorage)
        .filter((key) => key.startsWith(this.#prefix))
        .sort()
        .map((key) => [key, localStorage.getItem(key) ?? ""]);
    } catch {
      return [];
    }
  }
}
