/** Sessions, the outbox behind them, and its stores. */

export {
  type ClassifiableResponse,
  type Classified,
  type Classify,
  type EventOutcome,
  expectJsonOrEmpty,
  type SentEvent,
} from "../client/classify.js";
export { type Culprit, FerryError, type FerryErrorCode, isFerryError } from "../engine/errors.js";
export { denoKvStore } from "../stores/deno-kv.js";
export { durableObjectStore } from "../stores/durable-object.js";
export { type FileStoreOptions, fileStore } from "../stores/file.js";
export { type IndexedDbOptions, indexedDbStore } from "../stores/indexeddb.js";
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
  StoreProblemListener,
  StoreTraits,
  UnreadableKeys,
} from "../stores/store.js";
export type { DedupeStore } from "../stores/dedupe.js";
export type { DeadEvent } from "./dead-letters.js";
export type { IdentityOption } from "./identity.js";
export type { OutboxOptions } from "./options.js";
export { Outbox } from "./outbox.js";
export type {
  DeadLetters,
  DrainReport,
  KeepAliveOptions,
  OutboxEvents,
  OutboxStats,
  SignOutOptions,
  SignOutReport,
} from "./outbox-types.js";
export type { PendingEvent } from "./pending-events.js";
export type { FlushReport } from "./report.js";
export { type EventReceipt, EventSession, type FlushOptions, type EventSessionOptions } from "./session.js";
export type { DeliveryInfo } from "./segment-outcomes.js";
export type { WaitOptions } from "./wait-options.js";
