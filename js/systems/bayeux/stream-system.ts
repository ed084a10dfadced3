/** What a system, such as Salesforce, adds to the client that all streams share. */
import type { FerryError } from "../../engine/errors.js";
import type { StreamPort } from "../../engine/ports.js";
import type { StreamDriverListener, StreamDriverOptions } from "./driver-options.js";
import type { Message } from "./message.js";

/** @internal */
export interface StreamSystem {
  driver: Omit<StreamDriverOptions, "listener">;
  listener: Pick<StreamDriverListener, "credentials">;
  signal: AbortSignal | undefined;
  /**
   * Called before a channel is subscribed to. Returns the command that sets where the channel starts, if it has a
   * replay position.
   */
  prepareSubscription?(channel: string): Promise<((port: StreamPort, now: number) => void) | undefined>;
  /** Called before `receive` returns a message. If it rejects, the message returns to the inbox. */
  beforeReceive?(message: Message): Promise<void> | undefined;
  /** Called when all listeners of a message are done. */
  afterListeners?(message: Message): Promise<void> | undefined;
  ack?(message: Message): Promise<void>;
  /** Saves what is still unsaved. Called after the connection has ended. */
  flush?(): Promise<void>;
  /** An iteration goes on although the connection is down. */
  onRetry?: ((error: FerryError, delayMs: number) => void) | undefined;
  /** The `type` of the CloudEvents of a channel. */
  eventTypeOf(channel: string): string;
}
