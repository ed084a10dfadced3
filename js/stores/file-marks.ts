/**
 * The marks of a file store. They are the rows of a file of their own, `<path>.seen`, which is written, locked and mended
 * like any other store. Only what was seen is written: the claims of a process end with it.
 */
import type { DedupeStore } from "./dedupe.js";
import { Marks } from "./marks.js";
import type { OutboxStore } from "./store.js";

const NO_TEXT = new TextEncoder().encode("0");
const PREFIX = "seen.";

/** @param store makes the store of the file, which nobody else uses */
export function fileMarks(store: () => OutboxStore): DedupeStore & { close(): Promise<void> } {
  let opened: Promise<{ rows: OutboxStore; marks: Marks }> | undefined;

  async function open() {
    const rows = store();
    await rows.open("dedupe");
    const marks = new Marks();
    for (const { key, at } of await rows.peek({ events: Infinity, bytes: Infinity, skip: new Set() }))
      marks.set(key.slice(PREFIX.length), { isSeen: true, untilMs: at });
    return { rows, marks };
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

    async settle(key, seenUntilMs) {
      const { rows, marks } = await whenOpen();
      if (seenUntilMs !== undefined) {
        const remove = marks.sweep().map((ended) => PREFIX + ended);
        const put = [{ key: PREFIX + key, at: seenUntilMs, body: NO_TEXT, sizes: new Uint32Array([NO_TEXT.length]) }];
        await rows.write({ put, remove: remove.filter((one) => one !== PREFIX + key), deadPut: [], deadRemove: [] });
      }
      await marks.settle(key, seenUntilMs);
    },

    async close() {
      const closing = opened;
      opened = undefined;
      await (await closing)?.rows.close();
    },
  };
}
