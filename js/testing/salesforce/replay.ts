/**
 * The replay log: published events, for later subscribers. Ids increase with gaps, as those of Salesforce do, and an id
 * can be used as long as its event is stored.
 *
 * ```text
 *   -1 ─> no past events     -2 ─> all stored events     n ─> all events after n, if n is stored
 * ```
 */
import { type EventMetadata, type Subscription, eventData, retentionMs } from "./channels.js";

/** A published event. */
export interface StoredEvent {
  /** The channel. */
  readonly channel: string;
  /** A string, because an id may exceed the safe integers of JavaScript. Undefined for an event without one. */
  readonly replayId: string | undefined;
  /** Time of publication, in milliseconds since 1970. */
  readonly publishedAt: number;
  /** The data as they are delivered. */
  readonly data: unknown;
  /** The complete Bayeux message, as JSON text. */
  readonly text: string;
}

/** Which events to remove. */
export interface EventSelection {
  /** Only events of this channel. @default all channels */
  channel?: string;
  /** Only events up to and including the one with this id. @default all */
  upTo?: number | string;
}

/** Ids increase by one, two or five, so that no client can rely on consecutive ids. */
const ID_STEPS = [1, 1, 2, 1, 5] as const;
/** Number of removed events at the start of the array before it is compacted. */
const COMPACT_AFTER = 1024;

/** The stored events, oldest first, limited in number, bytes and age. */
export class ReplayLog {
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #now: () => number;
  #events: StoredEvent[] = [];
  /** Number of removed events at the start of the array. */
  #removed = 0;
  #bytes = 0;
  #lastId: number;
  #count = 0;

  constructor(maxEvents: number, maxBytes: number, firstId: number, now: () => number) {
    this.#maxEvents = maxEvents;
    this.#maxBytes = maxBytes;
    this.#lastId = firstId - ID_STEPS[0];
    this.#now = now;
  }

  /** All stored events. A new array each time. */
  all(): StoredEvent[] {
    const now = this.#now();
    // Kinds have different retention, so expired events are not necessarily at the start.
    const kept = this.#events
      .slice(this.#removed)
      .filter(({ channel, publishedAt }) => now - publishedAt < retentionMs(channel));
    if (kept.length < this.#events.length - this.#removed) this.#replace(kept);
    return kept;
  }

  /** Adds an event in the format of its channel. */
  add(channel: string, content: unknown, metadata: EventMetadata): StoredEvent {
    const replayId = metadata.replayId ?? this.#nextId();
    if (Number(replayId) > this.#lastId) this.#lastId = Number(replayId);
    const data = eventData(channel, content, metadata, replayId, this.#now());
    return this.#append(channel, String(replayId), data, JSON.stringify(data));
  }

  /** Adds an event with exactly this data. JSON text may contain what `JSON.stringify` cannot produce. */
  addData(channel: string, data: unknown): StoredEvent {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    return this.#append(channel, /"replayId"\s*:\s*"?([^",}\s]+)/.exec(text)?.[1], JSON.parse(text), text);
  }

  /** The events after a replay id that match a subscription; undefined if no event with that id is stored. */
  since(id: string, { matchesChannel: covers, matchesFilter: admits }: Subscription): StoredEvent[] | undefined {
    if (id === "-1") return [];
    const events = this.all().filter(({ channel }) => covers(channel));
    const last = id === "-2" ? -1 : events.findLastIndex(({ replayId }) => replayId === id);
    if (last < 0 && id !== "-2") return undefined;
    return events.slice(last + 1).filter(({ data }) => admits(data));
  }

  /** Removes events as if their retention had ended. */
  forget({ channel, upTo }: EventSelection = {}): void {
    const events = this.all();
    const isSelected = (event: StoredEvent) => channel === undefined || event.channel === channel;
    const last =
      upTo === undefined
        ? events.length
        : events.findLastIndex((event) => isSelected(event) && event.replayId === String(upTo));
    this.#replace(events.filter((event, at) => at > last || !isSelected(event)));
  }

  #append(channel: string, replayId: string | undefined, data: unknown, dataText: string): StoredEvent {
    const text = `{"data":${dataText},"channel":${JSON.stringify(channel)}}`;
    const event: StoredEvent = { channel, replayId, publishedAt: this.#now(), data, text };
    this.#events.push(event);
    this.#bytes += text.length;
    while (
      this.#events.length - this.#removed > this.#maxEvents ||
      (this.#bytes > this.#maxBytes && this.#events.length - this.#removed > 1)
    ) {
      this.#bytes -= this.#events[this.#removed++]!.text.length;
    }
    if (this.#removed > COMPACT_AFTER && this.#removed * 2 > this.#events.length)
      this.#replace(this.#events.slice(this.#removed));
    return event;
  }

  #replace(events: StoredEvent[]): void {
    this.#events = events;
    this.#removed = 0;
    this.#bytes = events.reduce((sum, { text }) => sum + text.length, 0);
  }

  #nextId(): number {
    return this.#lastId + ID_STEPS[this.#count++ % ID_STEPS.length]!;
  }
}
