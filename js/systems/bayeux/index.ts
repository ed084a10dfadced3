/** Bayeux: clients for CometD, faye and other servers of that protocol. */
export { BayeuxClient, type BayeuxOptions, type StreamOptions } from "./client.js";
export type { BayeuxExtension, RawMessage } from "./extensions.js";
export type { StreamState } from "./driver.js";
export type { StreamMessage } from "./message.js";
export type { SocketLike, SocketMaker } from "./socket.js";
export type { MessageListener, StreamEvents, StreamNotice, Subscription } from "./stream.js";
export type { FetchLike } from "../../platform/fetch.js";
export type { HeadersOption } from "../../client/options.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../../engine/errors.js";
