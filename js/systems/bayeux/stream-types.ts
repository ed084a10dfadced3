/// <reference lib="esnext.disposable" preserve="true" />
/** Public types of the clients of streams. */
import type { FerryError } from "../../engine/errors.js";
import type { StreamMessage } from "./message.js";
import type { AddEventListenerOptions, EventListenerOrEventListenerObject } from "../../platform/web-types.js";

/** State of the connection. `connecting` also while the client reconnects. */
export type StreamState = "connecting" | "connected" | "disconnected";

/** How messages are exchanged with the server. */
export type StreamTransport = "websocket" | "long-polling";

/** Receives the messages of a subscription. If it returns a promise, the next message waits for it. */
export type MessageListener<T = unknown> = (message: StreamMessage<T>) => unknown;

/**
 * What a notice is about:
 * - `session_replaced`: the server had forgotten the session, so the client opened another one.
 * - `possible_gap`: messages of `channel` may have been lost.
 * - `replay_gap`: the server no longer had the replay position of `channel`, so `replayFallback` was used.
 * - `replay_unsupported`: the server offers no replay.
 * - `subscription_lost`: the server refused to renew the subscription to `channel`.
 * - `channel_held`: answers with messages of `channel` cannot be read, so it is unsubscribed for a while, longer each
 *   time, and the other channels go on. No message is skipped.
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
  | "channel_held"
  | "transport_fallback"
  | "multiple_clients"
  | "closed_by_server"
  | "transient_error";

/** An incident that does not end the client. */
export interface StreamNotice {
  /** What happened. */
  readonly kind: StreamNoticeKind;
  /** The channel concerned, if it is one. */
  readonly channel?: string;
  /** The cause, if there was an error. */
  readonly error?: FerryError;
}

/** Events of a client, for `addEventListener`. */
export interface StreamEvents {
  /** The state of the connection has changed. */
  state: CustomEvent<{
    /** The new state. */
    readonly state: StreamState;
  }>;
  /** Something happened that the program may want to know; see {@link StreamNotice}. */
  notice: CustomEvent<StreamNotice>;
  /**
   * The listener of a subscription threw, or a replay position could not be saved. Without a listener for this event the
   * error is reported as uncaught. Also, only where there is a listener: an answer of the server, or a message in it, could
   * not be read.
   */
  error: CustomEvent<{
    /** What was thrown. */
    readonly error: unknown;
  }>;
}

/** One subscription. */
export interface Subscription {
  /** The channel, or the pattern of channels. */
  readonly channel: string;
  /**
   * Ends this subscription. The server is informed only if it was the last one to the channel.
   *
   * @throws {FerryError} as `subscribe`
   */
  unsubscribe(): Promise<void>;
}

/** What all clients of streams can do. */
export interface StreamClient extends EventTarget, AsyncIterable<StreamMessage> {
  /** State of the connection. */
  readonly state: StreamState;
  /** The transport in use, while connected. */
  readonly transport: StreamTransport | undefined;
  /**
   * Whether the client has ended: by `close`, by a signal, or by an error. Messages that have arrived can still be
   * received.
   */
  readonly closed: boolean;
  /** The channels that the server has accepted, and that were not unsubscribed since. */
  readonly subscriptions: ReadonlySet<string>;
  /** How many messages have arrived that were not yet received or handled by a listener. */
  readonly pendingCount: number;
  /** Whether `pendingCount` is above 0. */
  readonly hasPendingMessages: boolean;
  /**
   * Connects. Resolves once connected. `signal` ends the client.
   *
   * @throws {FerryError} `ERR_UNAUTHORIZED`, `ERR_REJECTED`, `ERR_RATE_LIMITED`, `ERR_NETWORK`, `ERR_TIMEOUT`,
   * `ERR_REDIRECTED`, `ERR_UNAVAILABLE`, `ERR_ABORTED`, `ERR_CLOSED`; `ERR_INVALID_ARGUMENT` if the client is already
   * open
   */
  open(options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Disconnects and ends the client. Never rejects because of the server. Pending operations reject with `ERR_CLOSED`;
   * messages that have arrived can still be received. Further calls return the same promise.
   *
   * @throws {FerryError} `ERR_STORE` if the last replay positions could not be saved
   */
  close(): Promise<void>;
  /**
   * Checks the connection now: retries at once if a delay runs, and replaces the poll that the server holds. Resolves
   * once the server has answered. For signs of a dead connection that only the program sees; `online`, a page that
   * becomes visible, and sleep are noticed without it. With a server that neither replays nor repeats messages, those
   * that were under way may be lost; a `possible_gap` tells so.
   *
   * @throws {FerryError} `ERR_NETWORK`, `ERR_TIMEOUT` and others if there was no answer (the client keeps trying);
   * `ERR_CLOSED`; `ERR_INVALID_ARGUMENT` before `open`
   */
  probe(): Promise<void>;
  /**
   * Subscribes to a channel, or to many with `/*` or `/**` at the end; possible before `open`. Messages go to the
   * listener, if there is one, otherwise to the inbox. Only the first subscription to a channel sends a request. While
   * all subscriptions have listeners and `receive` was never called, messages that are for no listener are dropped.
   * Messages of a channel under `/service/` come without a subscription, so none is sent for it.
   *
   * @throws {FerryError} `ERR_REJECTED` and others with the error of the server, its number in `status`, its arguments in
   * `serverArguments`, and the whole reply in `bodyText`; `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_CLOSED`,
   * `ERR_INVALID_ARGUMENT`; `ERR_STORE` if the replay position could not be read
   */
  subscribe<T = unknown>(channel: string, listener?: MessageListener<T>): Promise<Subscription>;
  /**
   * Subscribes to several channels, with one message where the server takes that (not Salesforce). If it refuses one of
   * them, none is subscribed.
   *
   * @throws {FerryError} as with one channel
   */
  subscribe<T = unknown>(channels: readonly string[], listener?: MessageListener<T>): Promise<Subscription[]>;
  /** Ends all subscriptions to a channel. @throws {FerryError} as `subscribe` */
  unsubscribe(channel: string): Promise<void>;
  /**
   * Publishes an event on a channel, without retries: after `ERR_TIMEOUT` or `ERR_NETWORK` it is unknown whether the
   * event arrived. Events that are published in the same turn share a request.
   *
   * @param data any JSON value
   * @throws {FerryError} `ERR_REJECTED` with the error of the server; `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_CLOSED`,
   * `ERR_INVALID_ARGUMENT`
   */
  publish(channel: string, data: unknown): Promise<void>;
  /**
   * Takes the next message from the inbox, and waits for one if it is empty.
   *
   * @throws {FerryError} `ERR_TIMEOUT` if the connection is down for longer than `connectionTimeoutMs`, `ERR_UNAVAILABLE`
   * and others if the messages of a channel cannot be read (the client keeps trying, so call it again); `ERR_REJECTED`,
   * `ERR_UNAUTHORIZED` and others if the server has ended the connection, or has refused to renew a subscription;
   * `ERR_STORE` if the replay position could not be saved (the next call returns the same message); `ERR_ABORTED`;
   * `ERR_CLOSED`
   */
  receive(options?: { signal?: AbortSignal }): Promise<StreamMessage>;
  /**
   * The messages of the inbox, until the client is closed. The loop goes on while the connection is down, or a channel
   * cannot be read; `onRetry` is told. Breaking out of it leaves the client open.
   *
   * @throws {FerryError} as `receive`, but for errors after which the client keeps trying
   */
  [Symbol.asyncIterator](): AsyncGenerator<StreamMessage, void, undefined>;
  /** Closes the client, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
  addEventListener<K extends keyof StreamEvents>(
    type: K,
    listener: (event: StreamEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
