/**
 * The option `dedupe`: each event is handed on once. The key of an event is a digest of its `source` and `id`, which
 * together are unique (CloudEvents 1.0.2, section "id"), and of the scope: two receivers that share a store handle the same
 * event once each.
 */
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { unixNow } from "../../platform/clock.js";
import { sha256, webCrypto } from "../../platform/crypto.js";
import { Waiters } from "../../platform/waiters.js";
import type { DedupeStore } from "../../stores/dedupe.js";
import type { CloudEvent } from "./event.js";

/** After this time a claim is over: its handler has died, or takes too long. */
const CLAIM_MS = 60_000;
/** A store that takes longer counts as failed. */
const STORE_TIMEOUT_MS = 10_000;
const DEFAULT_WINDOW_MS = 3 * 24 * 60 * 60 * 1000;

/** How repeated events are recognized. */
export interface DedupeOptions {
  /** Where the events are remembered: one of the stores of this package, or your own. */
  store: DedupeStore;
  /**
   * For how many milliseconds. A longer window needs more space in the store, a shorter one does not recognize events that
   * are repeated later. @default 259 200 000 (3 days)
   */
  windowMs?: number;
  /**
   * What belongs together: receivers of the same scope and store hand an event on once. Set it if one receiver has several
   * paths; else an event that is delivered to two of them is handed on twice. @default the path of the request
   */
  scope?: string;
}

/** What is known of an event, and how to end the claim of a new one. */
export type Begun =
  | { readonly state: "seen" | "busy" }
  | { readonly state: "new"; end(isHandled: boolean): Promise<void> };

/** Recognizes repeated events. */
export interface Dedupe {
  /** Claims an event. Rejects if the store fails. */
  begin(event: CloudEvent, request: Request): Promise<Begun>;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkDedupe(option: DedupeStore | DedupeOptions | undefined): Dedupe | undefined {
  if (option === undefined) return undefined;
  const {
    store,
    windowMs = DEFAULT_WINDOW_MS,
    scope,
  } = isStore(option) ? ({ store: option } as DedupeOptions) : ((option ?? {}) as DedupeOptions);
  if (!isStore(store)) {
    const advice = "localStorageStore has none, because two tabs could claim the same event at the same time";
    throw mustBe("dedupe", "a store with the methods claim and settle, or { store, windowMs }", store, advice);
  }
  if (!(typeof windowMs === "number" && windowMs > 0 && Number.isFinite(windowMs)))
    throw mustBe("dedupe.windowMs", "a number of milliseconds above 0", windowMs);
  if (scope !== undefined && typeof scope !== "string") throw mustBe("dedupe.scope", "a string", scope);
  if (!webCrypto()) throw invalidArgument("dedupe needs WebCrypto, which this runtime does not have; pages need https");
  return {
    async begin({ source, id }, request) {
      const key = await sha256(JSON.stringify([scope ?? new URL(request.url).pathname, source, id]));
      const busyUntilMs = unixNow() + CLAIM_MS;
      const state = await inTime(store.claim(key, busyUntilMs));
      if (state !== "new") return { state: state === "seen" ? "seen" : "busy" };
      return {
        state,
        async end(isHandled) {
          if (isHandled) await inTime(store.settle(key, unixNow() + windowMs, busyUntilMs));
          // If the claim is over, the event may be claimed by another delivery.
          else if (unixNow() < busyUntilMs) await inTime(store.settle(key, undefined, busyUntilMs));
        },
      };
    },
  };
}

function isStore(value: unknown): value is DedupeStore {
  const { claim, settle } = (value ?? {}) as Partial<DedupeStore>;
  return typeof claim === "function" && typeof settle === "function";
}

function inTime<T>(promise: Promise<T>): Promise<T> {
  return new Waiters().withTimeout(STORE_TIMEOUT_MS, promise);
}
