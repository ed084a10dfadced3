/**
 * The marks of a file store. They are the rows of a file of their own, `<path>.seen`, which is written, locked and mended
 * like any other store. Only what was seen is written: the claims of a process end with it.
 */
import type { DedupeStore } from "./dedupe.js";
import { Marks } from "./marks.js";
import type { OutboxStore } from "./store.js";
import { TextEncoder } from "../platform/text.js";

const NO_TEXT = new TextEncoder().encode("0");
const PREFIX = "seen.";

/** @param store makes the store of the file, which nobody else uses */
export function fileMarks(store: () => OutboxStore): DedupeStore & { close(): Promise<void> } {
  let opened: Promise<{ rows: OutboxStore; marks: Marks; ended: Set<string> }> | undefined;

  async function open() {
    const rows = store();
    await rows.open("dedupe");
    /** The keys that are forgotten and still have a row. */
    const ended = new Set<string>();
    const marks = new Marks((key) => ended.add(key));
    const found = await rows.peek({ events: Infinity, bytes: Infinity, skip: new Set() });
    for (const { key, at } of found.sort((a, b) => a.at - b.at))
      marks.set(key.slice(PREFIX.length), { isSeen: true, untilMs: at });
    return { rows, marks, ended };
  }

  function whenOpen() {
    opened ??= open().catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  }

  return {
    async claim(key, busyUntilMs) {
      const { marks } = await whenOpen();
      return marks.claim(key, busyUntilMs);
    },

    async settle(key, seenUntilMs, busyUntilMs) {
      const { rows, marks, ended } = await whenOpen();
      if (seenUntilMs !== undefined) {
        ended.delete(key);
        const forgotten = [...ended];
        ended.clear();
        const remove = forgotten.map((one) => PREFIX + one);
        const put = [{ key: PREFIX + key, at: seenUntilMs, body: NO_TEXT, sizes: new Uint32Array([NO_TEXT.length]) }];
        try {
          await rows.write({ put, remove, deadPut: [], deadRemove: [] });
        } catch (error) {
          for (const one of forgotten) ended.add(one);
          throw error;
        }
      }
      await marks.settle(key, seenUntilMs, busyUntilMs);
    },

    async close() {
      const closing = opened;
      opened = undefined;
      // Whoever waits for it is told if it could not be opened.
      await (await closing?.catch(() => undefined))?.rows.close();
    },
  };
}
