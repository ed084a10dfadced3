/** Sessions, the outbox behind them, and its stores. */
export type { OutboxOptions } from "./options.js";
export {
  type DeadLetters,
  type DrainReport,
  type KeepAliveOptions,
  Outbox,
  type OutboxEvents,
  type OutboxStats,
} from "./outbox.js";
export type { DeliveryInfo } from "./tracked-segment.js";
export type { DeadEvent } from "./dead-letters.js";
export type { FlushReport } from "./report.js";
export { type EventReceipt, EventSession, type FlushOptions } from "./session.js";
export type { WaitOptions } from "./wait-options.js";
export { denoKvStore } from "../stores/deno-kv.js";
export { durableObjectStore } from "../stores/durable-object.js";
export { fileStore, type FileStoreOptions } from "../stores/file.js";
export { indexedDbStore, type IndexedDbOptions } from "../stores/indexeddb.js";
export { localStorageStore } from "../stores/local-storage.js";
export { memoryStore } from "../stores/memory.js";
export type {
  Change,
  DeadLetter,
  Durability,
  OutboxStore,
  PeekLimit,
  Segment,
  StoreCounts,
  StoreTraits,
} from "../stores/store.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../engine/errors.js";
