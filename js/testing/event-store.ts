/** The memory of the CloudEvents service: a bounded list in the order of arrival. */
import type { CloudEvent } from "../systems/cloudevents/event.js";
import type { ContentMode } from "../systems/cloudevents/http.js";
import { Watchers } from "./watchers.js";

/** One event as the emulator received it. */
export interface ReceivedEvent {
  /** Counts all events of the emulator from 1, over all channels, and goes on after `clear()`. */
  readonly seq: number;
  readonly event: CloudEvent;
  /** How the message carried it. */
  readonly mode: ContentMode;
  /** Headers of the message, with names in lower case. The same object for all events of one message. */
  readonly headers: Readonly<Record<string, string>>;
  /** Body of the message, byte for byte. The same array for all events of one message. */
  readonly rawBody: Uint8Array;
  /** The channel that it was sent to. */
  readonly channel: string;
  readonly receivedAt: Date;
  /** Where the message was sent to. */
  readonly url: string;
}

/** What all events of one message have in common. */
export type ReceivedMessage = Omit<ReceivedEvent, "seq" | "event">;

interface Entry {
  readonly received: ReceivedEvent;
  readonly bytes: number;
}

/** The last events, up to a number and a size. */
export class EventStore {
  readonly #entries: Entry[] = [];
  /** Told after each message. */
  readonly watchers = new Watchers();
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  #bytes = 0;
  #dropped = 0;
  #lastSeq = 0;

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents;
    this.#maxBytes = maxBytes;
  }

  /** How many were pushed out by later ones since the last `clear`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many came since the last `clear`. */
  get count(): number {
    return this.#entries.length + this.#dropped;
  }

  /** Number of the last event that came; 0 before the first. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Number of the oldest event that is still there, or that the next one will have. */
  get firstSeq(): number {
    return this.#lastSeq - this.#entries.length + 1;
  }

  /** Everything that is there, oldest first. */
  all(): ReceivedEvent[] {
    return this.#entries.map((entry) => entry.received);
  }

  /** Takes in the events of one message. */
  add(message: ReceivedMessage, events: readonly CloudEvent[]): void {
    let size = message.rawBody.length;
    for (const name in message.headers) size += name.length + message.headers[name]!.length;
    const bytes = Math.ceil(size / Math.max(events.length, 1));
    for (const event of events) {
      this.#entries.push({ received: { seq: ++this.#lastSeq, event, ...message }, bytes });
      this.#bytes += bytes;
    }
    while (this.#entries.length > this.#maxEvents || (this.#bytes > this.#maxBytes && this.#entries.length > 1)) {
      this.#bytes -= this.#entries.shift()!.bytes;
      this.#dropped++;
    }
    this.watchers.notify();
  }

  /** The event with that number in that channel, if it is still there. */
  get(channel: string, seq: number): ReceivedEvent | undefined {
    const found = this.#entries[seq - this.firstSeq]?.received;
    return found?.channel === channel ? found : undefined;
  }

  /** At most `limit` events behind a number, of one channel or of all. */
  after(seq: number, limit: number, channel?: string): ReceivedEvent[] {
    const found: ReceivedEvent[] = [];
    for (let at = Math.max(0, seq - this.firstSeq + 1); at < this.#entries.length && found.length < limit; at++) {
      const { received } = this.#entries[at]!;
      if (channel === undefined || received.channel === channel) found.push(received);
    }
    return found;
  }

  /** Forgets all events. Numbers go on. */
  clear(): void {
    this.#entries.length = 0;
    this.#bytes = 0;
    this.#dropped = 0;
  }
}
