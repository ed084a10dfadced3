/** GlassFlow pipelines: a source publishes events, a sink consumes them. */
export { PipelineDataSource, type PipelineDataSourceOptions, type PublishResult } from "./source.js";
export { PipelineDataSink, type EventsOptions, type PipelineDataSinkOptions } from "./sink.js";
export type { ConsumeResult } from "./response.js";
export { PipelineEvent } from "./event.js";
export type { PipelineCallOptions, PipelineOptions, TokenOption } from "./options.js";
export type { FailedPublish, PublishAllOptions, PublishReport } from "./publish-all.js";
export type { HeadersOption } from "../../client/options.js";
export { CloudEvent } from "../cloudevents/event.js";
export type { OutboxOptions } from "../../outbox/options.js";
export {
  Outbox,
  type DrainReport,
  type KeepAliveOptions,
  type OutboxEvents,
  type OutboxStats,
} from "../../outbox/outbox.js";
export type { DeliveryInfo } from "../../outbox/tracked-segment.js";
export type { DeadEvent } from "../../outbox/dead-letters.js";
export type { FlushReport } from "../../outbox/report.js";
export { EventSession, type EventReceipt, type FlushOptions } from "../../outbox/session.js";
export type { WaitOptions } from "../../outbox/wait-options.js";
export { denoKvStore } from "../../stores/deno-kv.js";
export { durableObjectStore } from "../../stores/durable-object.js";
export { fileStore, type FileStoreOptions } from "../../stores/file.js";
export { indexedDbStore, type IndexedDbOptions } from "../../stores/indexeddb.js";
export { localStorageStore } from "../../stores/local-storage.js";
export { memoryStore } from "../../stores/memory.js";
export type { OutboxStore } from "../../stores/store.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../../engine/errors.js";
