/**
 * What was published, for those who come later: the replay log. Ids grow and leave gaps, as those of Salesforce do,
 * and an id is of use as long as its event is kept.
 *
 * ```text
 *   -1 ─> nothing of the past     -2 ─> all that is kept     n ─> all behind the event n, if that is kept
 * ```
 */
import { type EventMetadata, type Subscription, eventData, retentionMs } from "./channels.js";

/** An event that was published. */
export interface StoredEvent {
  readonly channel: string;
  /** As text: an id may be larger than what a number of JavaScript holds. Undefined for an event that has none. */
  readonly replayId: string | undefined;
  /** When, in milliseconds since 1970. */
  readonly publishedAt: number;
  /** What it carries. */
  readonly data: unknown;
  /** The whole Bayeux message as it goes out. */
  readonly text: string;
}

/** Which events to throw away. */
export interface EventSelection {
  /** Only those of this channel. @default all channels */
  channel?: string;
  /** Only those up to the event with this id, which goes too. @default all */
  upTo?: number | string;
}

/** Ids are one, two or five apart, so that nobody can count on the next one. */
const ID_STEPS = [1, 1, 2, 1, 5] as const;
/** How many may be gone at the start of the list before it is cut. */
const COMPACT_AFTER = 1024;

/** The events that are kept, oldest first, up to a number, a size and an age. */
export class ReplayLog {
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #now: () => number;
  #events: StoredEvent[] = [];
  /** How many at the start of the list are gone. */
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

  /** All that is kept. A fresh list. */
  all(): StoredEvent[] {
    const now = this.#now();
    // Kinds are kept for different times, so what is over need not stand at the start.
    const kept = this.#events
      .slice(this.#removed)
      .filter(({ channel, publishedAt }) => now - publishedAt < retentionMs(channel));
    if (kept.length < this.#events.length - this.#removed) this.#replace(kept);
    return kept;
  }

  /** Adds an event in the shape that its channel asks for. */
  add(channel: string, content: unknown, particulars: EventMetadata): StoredEvent {
    const replayId = particulars.replayId ?? this.#nextId();
    if (Number(replayId) > this.#lastId) this.#lastId = Number(replayId);
    const data = eventData(channel, content, particulars, replayId, this.#now());
    return this.#append(channel, String(replayId), data, JSON.stringify(data));
  }

  /** Adds an event that carries exactly this. As JSON text it may hold what `JSON.stringify` cannot write. */
  addData(channel: string, data: unknown): StoredEvent {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    return this.#append(channel, /"replayId"\s*:\s*"?([^",}\s]+)/.exec(text)?.[1], JSON.parse(text), text);
  }

  /** The events that a subscription asks for with a replay id; undefined if no event with that id is kept. */
  since(id: string, { matchesChannel: covers, matchesFilter: admits }: Subscription): StoredEvent[] | undefined {
    if (id === "-1") return [];
    const events = this.all().filter(({ channel }) => covers(channel));
    const last = id === "-2" ? -1 : events.findLastIndex(({ replayId }) => replayId === id);
    if (last < 0 && id !== "-2") return undefined;
    return events.slice(last + 1).filter(({ data }) => admits(data));
  }

  /** Throws events away as if their time had come. */
  forget({ channel, upTo }: EventSelection = {}): void {
    const events = this.all();
    const isMeant = (event: StoredEvent) => channel === undefined || event.channel === channel;
    const last =
      upTo === undefined
        ? events.length
        : events.findLastIndex((event) => isMeant(event) && event.replayId === String(upTo));
    this.#replace(events.filter((event, at) => at > last || !isMeant(event)));
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
