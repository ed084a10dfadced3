/** The entry point `eventferry/bc-events`. It is the only one that loads YAML and JSON Schema. */
export {
  BriteEventsClient,
  type BriteEventsClientOptions,
} from "./client.js";
export {
  BriteEventsSession,
  type SessionClient,
  type SessionOptions,
  type SessionWithCalls,
  type UntypedSession,
} from "./session.js";
export type { Topic } from "./topics.js";
export type { ActorType, BriteEvent } from "./envelope.js";
export type {
  DataOf,
  MagicCalls,
  PublishOf,
  TopicDefinition,
  TopicDefinitions,
  TopicSource,
} from "./types.js";
export type { BriteEventsLogEntry } from "./wire.js";
export type { ClientOptions, HeadersOption } from "../../client/options.js";
export type { FetchLike } from "../../platform/fetch.js";
export type { OutboxOptions } from "../../outbox/options.js";
export type { Outbox } from "../../outbox/outbox.js";
export type { DrainReport, KeepAliveOptions, OutboxEvents, OutboxStats } from "../../outbox/outbox-types.js";
export type { DeliveryInfo } from "../../outbox/segment-outcomes.js";
export type { DeadEvent } from "../../outbox/dead-letters.js";
export type { FlushReport } from "../../outbox/report.js";
export type { EventReceipt, FlushOptions } from "../../outbox/session.js";
export type { WaitOptions } from "../../outbox/wait-options.js";
export { denoKvStore } from "../../stores/deno-kv.js";
export { durableObjectStore } from "../../stores/durable-object.js";
export { fileStore, type FileStoreOptions } from "../../stores/file.js";
export { indexedDbStore, type IndexedDbOptions } from "../../stores/indexeddb.js";
export { localStorageStore } from "../../stores/local-storage.js";
export { memoryStore } from "../../stores/memory.js";
export type { Durability, OutboxStore } from "../../stores/store.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../../engine/errors.js";
