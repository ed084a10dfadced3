/** The received events of the CloudEvents service: a bounded list in order of arrival. */
import type { CloudEvent } from "../systems/cloudevents/event.js";
import type { ContentMode } from "../systems/cloudevents/http.js";
import { Watchers } from "./watchers.js";

/** One event as the emulator received it. */
export interface ReceivedEvent {
  /** Sequence number, from 1, over all channels. `clear()` does not reset it. */
  readonly seq: number;
  /** The event. */
  readonly event: CloudEvent;
  /** Content mode of the message. */
  readonly mode: ContentMode;
  /** Headers of the message, with names in lower case. The same object for all events of one message. */
  readonly headers: Readonly<Record<string, string>>;
  /** Body of the message, byte for byte. The same array for all events of one message. */
  readonly rawBody: Uint8Array;
  /** The channel it was sent to. */
  readonly channel: string;
  /** When it was received. */
  readonly receivedAt: Date;
  /** The URL the message was sent to. */
  readonly url: string;
}

/** What all events of one message have in common. */
export type ReceivedMessage = Omit<ReceivedEvent, "seq" | "event">;

interface Entry {
  readonly received: ReceivedEvent;
  readonly bytes: number;
}

/** The most recent events, limited in number and bytes. */
export class EventStore {
  readonly #entries: Entry[] = [];
  /** Notified after each message. */
  readonly watchers: Watchers = new Watchers();
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  #bytes = 0;
  #dropped = 0;
  #lastSeq = 0;

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents;
    this.#maxBytes = maxBytes;
  }

  /** Number of events that were evicted since the last `clear`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Number of events that were received since the last `clear`. */
  get count(): number {
    return this.#entries.length + this.#dropped;
  }

  /** Sequence number of the last event; 0 before the first. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Sequence number of the oldest stored event, or that of the next event if none is stored. */
  get firstSeq(): number {
    return this.#lastSeq - this.#entries.length + 1;
  }

  /** All stored events, oldest first. */
  all(): ReceivedEvent[] {
    return this.#entries.map((entry) => entry.received);
  }

  /** Adds the events of one message. */
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

  /** The event of a channel with this sequence number, if it is still stored. */
  get(channel: string, seq: number): ReceivedEvent | undefined {
    const found = this.#entries[seq - this.firstSeq]?.received;
    return found?.channel === channel ? found : undefined;
  }

  /** At most `limit` events after a sequence number, of one channel or of all. */
  after(seq: number, limit: number, channel?: string): ReceivedEvent[] {
    const found: ReceivedEvent[] = [];
    for (let at = Math.max(0, seq - this.firstSeq + 1); at < this.#entries.length && found.length < limit; at++) {
      const { received } = this.#entries[at]!;
      if (channel === undefined || received.channel === channel) found.push(received);
    }
    return found;
  }

  /** Removes all events. Sequence numbers continue. */
  clear(): void {
    this.#entries.length = 0;
    this.#bytes = 0;
    this.#dropped = 0;
  }
}
