/** The best store that works here. */
import { FerryError } from "../engine/errors.js";
import { indexedDbStore } from "./indexeddb.js";
import { localStorageStore } from "./local-storage.js";
import { memoryStore } from "./memory.js";
import type { OutboxStore, StoreTraits } from "./store.js";
import { startTimer, stopTimer, type Timer } from "../platform/clock.js";

/** A store that is open, and what was better but did not work. */
export interface OpenedStore {
  readonly store: OutboxStore;
  readonly traits: StoreTraits;
  /** Why each better store was given up, best first. Empty: it is the best there is for this place. */
  readonly refused: readonly FerryError[];
}

/** How long a store may take to open. Browsers with a damaged profile never answer. */
const OPEN_TIMEOUT_MS = 5_000;

/**
 * Opens the best store for this place: in browsers IndexedDB, then `localStorage`, then memory; elsewhere memory, because no
 * other can be used without knowing where. Never rejects. A store that has not opened within 5 s counts as refused.
 */
export async function openAuto(name: string): Promise<OpenedStore> {
  const refused: FerryError[] = [];
  for (const store of isBrowser() ? [indexedDbStore(), localStorageStore()] : []) {
    try {
      return { store, traits: await openWithTimeout(store, name, OPEN_TIMEOUT_MS), refused };
    } catch (error) {
      refused.push(error as FerryError);
    }
  }
  const store = memoryStore();
  return { store, traits: await store.open(name), refused };
}

/** Servers may have a `localStorage` too, but only browsers have these. */
function isBrowser(): boolean {
  return "indexedDB" in globalThis || "document" in globalThis;
}

async function openWithTimeout(store: OutboxStore, name: string, ms: number): Promise<StoreTraits> {
  const opening = store.open(name);
  let timer: Timer | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = startTimer(() => {
      reject(new FerryError("ERR_STORE", `${store.kind}: it did not open within ${ms / 1000} s`));
      // Should it open after all, nobody waits for it any more.
      opening.then(() => store.close()).catch(() => undefined);
    }, ms);
  });
  return Promise.race([opening, tooLate]).finally(() => stopTimer(timer));
}
