/** Selects the best store that works on this platform. */
import { FerryError } from "../engine/errors.js";
import { startTimer, stopTimer, type Timer } from "../platform/clock.js";
import { indexedDbOutbox } from "./indexeddb-outbox.js";
import { localStorageStore } from "./local-storage.js";
import { memoryOutbox } from "./memory.js";
import type { OutboxStore, StoreProblemListener, StoreTraits } from "./store.js";

/** An open store, and the better stores that did not work. */
export interface OpenedStore {
  readonly store: OutboxStore;
  readonly traits: StoreTraits;
  /** Why each better store was not used, best first. Empty if this is the best store for the platform. */
  readonly refused: readonly FerryError[];
}

/** The time limit for opening a store. In a browser with a damaged profile, the request may never settle. */
const OPEN_TIMEOUT_MS = 5_000;

/**
 * Opens the best store for this platform. In browsers: IndexedDB, else `localStorage`, else memory. Elsewhere: memory,
 * because the other stores need a path or an object. Never rejects. A store that does not open within 5 s is not used.
 *
 * @param onProblem as that of `OutboxStore.open`
 */
export async function openAuto(name: string, onProblem?: StoreProblemListener): Promise<OpenedStore> {
  const refused: FerryError[] = [];
  for (const store of isBrowser() ? [indexedDbOutbox().store, localStorageStore()] : []) {
    try {
      return {
        store,
        traits: await openWithTimeout(store, () => store.open(name, onProblem), OPEN_TIMEOUT_MS),
        refused,
      };
    } catch (error) {
      refused.push(error as FerryError);
    }
  }
  const store = memoryOutbox();
  return { store, traits: await store.open(name), refused };
}

/** Not by `localStorage`, which servers may have too. */
function isBrowser(): boolean {
  return "indexedDB" in globalThis || "document" in globalThis;
}

async function openWithTimeout(
  store: OutboxStore,
  open: () => Promise<StoreTraits>,
  timeoutMs: number,
): Promise<StoreTraits> {
  const opening = open();
  let timer: Timer | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = startTimer(() => {
      reject(new FerryError("ERR_STORE", `${store.kind}: did not open within ${timeoutMs / 1000} s`));
      // If it opens later, it is not used.
      opening.then(() => store.close()).catch(() => undefined);
    }, timeoutMs);
  });
  return Promise.race([opening, tooLate]).finally(() => stopTimer(timer));
}
