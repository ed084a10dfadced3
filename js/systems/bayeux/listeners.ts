/**
 * Calls the listeners of subscriptions: one message after the other, without a delay unless a listener returns a
 * promise.
 */
import type { Chunk } from "../../client/inbox.js";
import { matchesChannel } from "./channels.js";
import type { Message, MessageChunk } from "./message.js";
import type { MessageListener } from "./stream-types.js";

export interface ListenerQueueOptions {
  /** All listeners of a message are done. */
  onDone(message: Message): Promise<void> | undefined;
  /** A message has left the queue. */
  onTaken(): void;
  onError(error: unknown): void;
}

/** A listener and its subscription. */
export interface ListenerEntry {
  readonly channel: string;
  /** The channel without its filter. */
  readonly name: string;
  readonly listener: MessageListener;
}

interface Batch {
  readonly messages: MessageChunk;
  /** For each channel of the chunk, the subscriptions whose listeners its messages go to. */
  readonly entries: readonly (readonly ListenerEntry[])[];
}

export class ListenerQueue {
  readonly #options: ListenerQueueOptions;
  #entries = new Set<ListenerEntry>();
  #batches: Batch[] = [];
  #size = 0;
  #isRunning = false;

  constructor(options: ListenerQueueOptions) {
    this.#options = options;
  }

  /** How many messages wait for their listeners, the current one included. */
  get size(): number {
    return this.#size;
  }

  add(entry: ListenerEntry): void {
    this.#entries.add(entry);
  }

  /** Ends a subscription: its listener is not called any more, not even with messages that have arrived. */
  remove(entry: ListenerEntry | undefined): void {
    if (entry) this.#entries.delete(entry);
  }

  removeChannel(channel: string): void {
    for (const entry of this.#entries) if (entry.channel === channel) this.#entries.delete(entry);
  }

  /** No listener is called any more. */
  clear(): void {
    this.#entries.clear();
  }

  /** Takes the messages that have a listener, and returns the others. */
  push(messages: MessageChunk): Chunk<Message> {
    if (this.#entries.size === 0) return messages;
    const entries = messages.channels.map((channel) =>
      [...this.#entries].filter((entry) => matchesChannel(entry.name, channel)),
    );
    const unclaimed: number[] = [];
    for (let index = 0; index < messages.length; index++)
      if (entries[messages.channelIndexAt(index)]!.length === 0) unclaimed.push(index);
    const count = messages.length - unclaimed.length;
    if (count > 0) this.#batches.push({ messages, entries });
    this.#size += count;
    return messages.pick(unclaimed);
  }

  /** Calls the listeners, until no message waits. Does nothing while it already runs. */
  async run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let batch = this.#batches.shift(); batch; batch = this.#batches.shift()) {
      const { messages, entries } = batch;
      for (let index = 0; index < messages.length; index++) {
        const claimed = entries[messages.channelIndexAt(index)]!;
        if (claimed.length === 0) continue;
        const message = messages.at(index);
        let isHandled = false;
        for (const entry of claimed) {
          // It may have been unsubscribed since the message arrived.
          if (!this.#entries.has(entry)) continue;
          isHandled = true;
          const { listener } = entry;
          try {
            const result = listener(message) as PromiseLike<unknown> | undefined;
            if (typeof result?.then === "function") {
              await result;
            }
          } catch (error) {
            this.#options.onError(error);
          }
        }
        const saved = isHandled ? this.#options.onDone(message) : undefined;
        if (saved) await saved.catch((error: unknown) => this.#options.onError(error));
        this.#size--;
        this.#options.onTaken();
      }
    }
    this.#isRunning = false;
  }
}
