/** Messages of a stream: texts whose parts are cut out when somebody looks. */
import { CloudEvent } from "../cloudevents/event.js";
import type { Chunk } from "../feed.js";

/** An event that came by a stream. */
export interface StreamMessage<T = unknown> {
  readonly channel: string;
  /** Parsed when it is first read. */
  readonly data: T;
  /** The JSON text of `data`, as it came. */
  readonly dataText: string;
  /** The whole message, parsed when it is first read: what else a server has put into it. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** Where to go on after it, as text: numbers of Salesforce do not fit into numbers of JavaScript. */
  readonly replayId?: string | undefined;
  /** When it was made, as far as it says so, in ISO 8601. */
  readonly createdDate?: string | undefined;
  /** Says that it was dealt with. With the replay policy `manual` that saves how far its channel got; otherwise it does nothing. */
  ack(): Promise<void>;
  toCloudEvent(): CloudEvent<T>;
}

/** What a message needs of its client. */
export interface MessageHome {
  ack(message: Message): Promise<void>;
  /** The `type` and `source` of CloudEvents. */
  origin(message: Message): { type: string; source: string };
}

/** Words for each message in the table, see `table` in `src/wasm/stream.rs`. */
const WORDS = 9;

/** The messages of one answer or frame. */
export class Messages implements Chunk<Message> {
  readonly length: number;
  readonly #home: MessageHome;
  readonly #text: string;
  readonly #table: Uint32Array;

  constructor(home: MessageHome, text: string, table: Uint32Array) {
    this.#home = home;
    this.#text = text;
    this.#table = table;
    this.length = table.length / WORDS;
  }

  at(index: number): Message {
    return new Message(this.#home, this.#text, this.#table, index * WORDS);
  }

  /** Those of some indexes. */
  some(indexes: readonly number[]): Chunk<Message> {
    return { length: indexes.length, at: (index) => this.at(indexes[index]!) };
  }
}

export class Message implements StreamMessage {
  readonly #home: MessageHome;
  readonly #text: string;
  readonly #table: Uint32Array;
  readonly #row: number;
  #data: { value: unknown } | undefined;
  #raw: Readonly<Record<string, unknown>> | undefined;

  constructor(home: MessageHome, text: string, table: Uint32Array, row: number) {
    this.#home = home;
    this.#text = text;
    this.#table = table;
    this.#row = row;
  }

  get channel(): string {
    const row = this.#row;
    const channel = this.#text.slice(this.#table[row + 2]!, this.#table[row + 3]!);
    return this.#table[row + 8]! & 1 ? (JSON.parse(`"${channel}"`) as string) : channel;
  }

  get data(): unknown {
    return (this.#data ??= { value: JSON.parse(this.dataText) }).value;
  }

  get dataText(): string {
    return this.#text.slice(this.#table[this.#row + 4]!, this.#table[this.#row + 5]!);
  }

  get raw(): Readonly<Record<string, unknown>> {
    return (this.#raw ??= JSON.parse(this.#text.slice(this.#table[this.#row]!, this.#table[this.#row + 1]!)) as Record<string, unknown>);
  }

  get replayId(): string | undefined {
    const row = this.#row;
    const end = this.#table[row + 7]!;
    if (end === 0) return undefined;
    const id = this.#text.slice(this.#table[row + 6]!, end);
    return this.#table[row + 8]! & 2 ? (JSON.parse(`"${id}"`) as string) : id;
  }

  get createdDate(): string | undefined {
    const { event, payload } = (this.data ?? {}) as { event?: { createdDate?: unknown }; payload?: { ChangeEventHeader?: { commitTimestamp?: unknown }; CreatedDate?: unknown } };
    const date = event?.createdDate ?? payload?.ChangeEventHeader?.commitTimestamp ?? payload?.CreatedDate;
    if (typeof date === "string") return date;
    return typeof date === "number" && Math.abs(date) <= 8.64e15 ? new Date(date).toISOString() : undefined;
  }

  ack(): Promise<void> {
    return this.#home.ack(this);
  }

  toCloudEvent(): CloudEvent {
    const { replayId, createdDate } = this;
    const { EventUuid } = ((this.data as { event?: object } | null)?.event ?? {}) as { EventUuid?: unknown };
    const { type, source } = this.#home.origin(this);
    const given = (this.raw as { id?: unknown }).id;
    const id = [EventUuid, replayId, given].find((id) => typeof id === "string" && id !== "") ?? crypto.randomUUID();
    const time = createdDate === undefined ? NaN : Date.parse(createdDate);
    const envelope = {
      specversion: "1.0",
      id,
      type,
      source,
      subject: this.channel,
      datacontenttype: "application/json",
      ...(!Number.isNaN(time) && { time: new Date(time).toISOString() }),
      ...(replayId !== undefined && { replayid: replayId }),
    };
    // The data goes over as it came: numbers that JavaScript cannot hold stay what they are.
    return CloudEvent.fromJSON(`${JSON.stringify(envelope).slice(0, -1)},"data":${this.dataText}}`);
  }

  toJSON(): object {
    return this.raw;
  }
}
