/** Salesforce: clients of the Streaming API, ways to log in, replay storage, and a proxy for pages. */
export type { HeadersOption } from "../../client/options.js";
export { type Culprit, FerryError, type FerryErrorCode, isFerryError } from "../../engine/errors.js";
export type { FetchLike } from "../../platform/fetch.js";
export { denoKvStore } from "../../stores/deno-kv.js";
export { durableObjectStore } from "../../stores/durable-object.js";
export { type FileStoreOptions, fileStore } from "../../stores/file.js";
export { type IndexedDbOptions, indexedDbStore } from "../../stores/indexeddb.js";
export { localStorageStore } from "../../stores/local-storage.js";
export { memoryStore } from "../../stores/memory.js";
export type { OutboxStore } from "../../stores/store.js";
export type { StreamMessage } from "../bayeux/message.js";
export type { StreamOptions } from "../bayeux/options.js";
export type {
  MessageListener,
  StreamClient,
  StreamEvents,
  StreamNotice,
  StreamNoticeKind,
  StreamState,
  StreamTransport,
  Subscription,
} from "../bayeux/stream-types.js";
export {
  type ClientCredentialsOptions,
  clientCredentialsAuth,
  type JwtBearerOptions,
  jwtBearerAuth,
  type LoginHost,
  type PasswordOptions,
  passwordAuth,
  type RefreshTokenOptions,
  refreshTokenAuth,
  type SalesforceAuth,
  type SessionOptions,
  sessionAuth,
  type TokenOptions,
  tokenAuth,
} from "./auth.js";
export {
  SalesforceClient,
  type SalesforceCredentials,
  type SalesforceOptions,
  SalesforceStreamingClient,
  type SalesforceStreamingOptions,
} from "./client.js";
export { salesforceProxy } from "./proxy.js";
export type { SalesforceProxyOptions } from "./proxy/options.js";
export type { ReplayMarker, ReplayPolicy, ReplayStorage } from "./replay.js";
export { type ReplayStoreOptions, replayStore } from "./replay-store.js";
