/** Salesforce: the Streaming API, with login and replay. */
export {
  SalesforceClient,
  SalesforceStreamingClient,
  type SalesforceOptions,
  type SalesforceStreamingOptions,
} from "./client.js";
export {
  clientCredentialsAuth,
  jwtBearerAuth,
  passwordAuth,
  refreshTokenAuth,
  sessionAuth,
  type ClientCredentialsOptions,
  type JwtBearerOptions,
  type LoginHost,
  type PasswordOptions,
  type RefreshTokenOptions,
  type SalesforceAuth,
  type SessionOptions,
} from "./auth.js";
export { salesforceProxy, type SalesforceProxyOptions } from "./proxy.js";
export {
  replayStore,
  type ReplayMarker,
  type ReplayPolicy,
  type ReplayStorage,
  type ReplayStoreOptions,
} from "./replay.js";
export type { StreamOptions } from "../bayeux/options.js";

export type { StreamMessage } from "../bayeux/message.js";
export type {
  MessageListener,
  StreamEvents,
  StreamNotice,
  StreamNoticeKind,
  StreamState,
  Subscription,
} from "../bayeux/stream-types.js";
export { denoKvStore } from "../../stores/deno-kv.js";
export { durableObjectStore } from "../../stores/durable-object.js";
export { fileStore, type FileStoreOptions } from "../../stores/file.js";
export { indexedDbStore, type IndexedDbOptions } from "../../stores/indexeddb.js";
export { localStorageStore } from "../../stores/local-storage.js";
export { memoryStore } from "../../stores/memory.js";
export type { OutboxStore } from "../../stores/store.js";
export type { FetchLike } from "../../platform/fetch.js";
export type { HeadersOption } from "../../client/options.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../../engine/errors.js";
