/** Public types of the clients of streams. */
import type { FerryError } from "../../engine/errors.js";
import type { StreamMessage } from "./message.js";

/** State of the connection. `connecting` also while the client reconnects. */
export type StreamState = "connecting" | "connected" | "disconnected";

/** Receives the messages of a subscription. If it returns a promise, the next message waits for it. */
export type MessageListener<T = unknown> = (message: StreamMessage<T>) => unknown;

/**
 * What a notice is about:
 * - `session_replaced`: the server had forgotten the session, so the client opened another one.
 * - `possible_gap`: messages of `channel` may have been lost.
 * - `replay_gap`: the server no longer had the replay position of `channel`, so `replayFallback` was used.
 * - `replay_unsupported`: the server offers no replay.
 * - `subscription_lost`: the server refused to renew the subscription to `channel`.
 * - `transport_fallback`: no WebSocket could be opened, so the client uses long polling.
 * - `multiple_clients`: another tab holds the connection to this server, so this client polls at intervals.
 * - `closed_by_server`: the server closed the connection.
 * - `transient_error`: something failed and will be retried.
 */
export type StreamNoticeKind =
  | "session_replaced"
  | "possible_gap"
  | "replay_gap"
  | "replay_unsupported"
  | "subscription_lost"
  | "transport_fallback"
  | "multiple_clients"
  | "closed_by_server"
  | "transient_error";

/** An incident that does not end the client. */
export interface StreamNotice {
  readonly kind: StreamNoticeKind;
  /** The channel concerned, if it is one. */
  readonly channel?: string;
  /** The cause, if there was an error. */
  readonly error?: FerryError;
}

/** Events of a client, for `addEventListener`. */
export interface StreamEvents {
  /** The state of the connection has changed. */
  state: CustomEvent<{ readonly state: StreamState }>;
  notice: CustomEvent<StreamNotice>;
  /**
   * The listener of a subscription threw, or a replay position could not be saved. Without a listener the error is
   * reported as uncaught.
   */
  error: CustomEvent<{ readonly error: unknown }>;
}

/** One subscription. */
export interface Subscription {
  readonly channel: string;
  /**
   * Ends this subscription. The server is informed only if it was the last one to the channel.
   *
   * @throws {FerryError} as `subscribe`
   */
  unsubscribe(): Promise<void>;
}
