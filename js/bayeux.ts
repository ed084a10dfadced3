/** Bayeux: clients for CometD, faye and other servers of that protocol. */
export { BayeuxClient, type BayeuxOptions, type StreamOptions } from "./bayeux/client.js";
export type { BayeuxExtension, RawMessage } from "./bayeux/extensions.js";
export type { StreamState } from "./bayeux/driver.js";
export type { StreamMessage } from "./bayeux/message.js";
export type { SocketLike, SocketMaker } from "./bayeux/socket.js";
export type { MessageListener, StreamEvents, StreamNotice, Subscription } from "./bayeux/stream.js";
export type { FetchLike } from "./transport.js";
export type { HeadersOption } from "./options.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "./errors.js";
