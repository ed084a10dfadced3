/** What the driver of a stream needs from its client. */
import type { HeadersOption } from "../../client/options.js";
import type { FerryError } from "../../engine/errors.js";
import type { LoginEffects, StreamPort } from "../../engine/ports.js";
import type { FetchLike } from "../../platform/fetch.js";
import type { ExtensionRunner } from "./extension-runner.js";
import type { MessageText } from "./message-text.js";
import type { SocketMaker } from "./socket.js";
import type { StreamNoticeKind, StreamState } from "./stream-types.js";

/** Receives what the engine reports, apart from what the driver does itself. */
export interface StreamDriverListener {
  /** `table` has the offsets of each message in `text`, `channels` the channels that it refers to. */
  onMessages(text: MessageText, table: Uint32Array, channels: readonly string[]): void;
  onState(state: StreamState): void;
  /** `unreadable`: a `transient_error` with which messages may be lost. */
  onNotice(kind: StreamNoticeKind | "unreadable", channel: string | undefined, error: FerryError | undefined): void;
  /**
   * The connection has been down for `connectionTimeoutMs`, or a channel is held. `delayMs`: the time until the next
   * attempt.
   */
  onConnectionLost(error: FerryError, delayMs: number): void;
  /** The stream has ended; no other call follows. */
  onEnd(error: FerryError | undefined): void;
  /** Returns header lines for all requests, with Salesforce an access token. */
  credentials(renew: boolean): Promise<string>;
  /** A request is about to be sent to this URL. */
  onRequest(url: string): void;
}

export interface StreamDriverOptions {
  /** Options of the engine, by the names of `STREAM_NUMBERS` and `STREAM_TEXTS`. */
  config(): Record<string, unknown>;
  fetch: FetchLike | undefined;
  headers: HeadersOption | undefined;
  makeSocket: SocketMaker | undefined;
  extensions: ExtensionRunner | undefined;
  listener: StreamDriverListener;
  /** Carries out the effects of a login, for a system that has one. `send` gives the engine a command. */
  login?(send: (command: StreamCommand) => void): LoginEffects;
}

export type StreamCommand = (port: StreamPort, now: number) => void;
