/** Bayeux: clients for CometD, Faye and other servers of the protocol. */
export type { HeadersOption } from "../../client/options.js";
export { type Culprit, FerryError, type FerryErrorCode, isFerryError } from "../../engine/errors.js";
export type { FetchLike } from "../../platform/fetch.js";
export { BayeuxClient } from "./client.js";
export type { BayeuxExtension, ExtensionContext, RawMessage } from "./extensions.js";
export type { StreamMessage } from "./message.js";
export type { BayeuxOptions, StreamOptions } from "./options.js";
export type { SocketLike, SocketMaker } from "./socket.js";
export type {
  MessageListener,
  StreamClient,
  StreamEvents,
  StreamNotice,
  StreamNoticeKind,
  StreamState,
  StreamTransport,
  Subscription,
} from "./stream-types.js";
