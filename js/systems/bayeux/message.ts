/** Messages of a stream: texts whose parts are cut out when somebody looks. */
import { CloudEvent } from "../cloudevents/event.js";
import type { Chunk } from "../../client/inbox.js";
import { freshId } from "../../platform/uuid.js";

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
const WORDS = 8;
/** What its word for the replay id says of the two behind it. */
const AS_NUMBER = 1;
const AS_ESCAPED_TEXT = 3;
const UNREAD = Symbol("unread");

const decoder = new TextDecoder();

/** The messages of one answer or frame. Nothing is decoded for those who only want to know where they are from. */
export class Messages implements Chunk<Message> {
  readonly length: number;
  readonly home: MessageHome;
  readonly table: Uint32Array;
  readonly channels: readonly string[];
  #answer: Uint8Array | string;

  constructor(home: MessageHome, answer: Uint8Array | string, table: Uint32Array, channels: readonly string[]) {
    this.home = home;
    this.table = table;
    this.channels = channels;
    this.length = table.length / WORDS;
    this.#answer = answer;
  }

  at(index: number): Message {
    return new Message(this, index * WORDS);
  }

  /** Those of some indexes. */
  some(indexes: readonly number[]): Chunk<Message> {
    return { length: indexes.length, at: (index) => this.at(indexes[index]!) };
  }

  /** The number of the channel of a message, among `channels`. */
  channelOf(index: number): number {
    return this.table[index * WORDS]!;
  }

  /** A part of the answer's text. */
  slice(start: number, end: number): string {
    if (typeof this.#answer !== "string") this.#answer = decoder.decode(this.#answer);
    return this.#answer.slice(start, end);
  }
}

export class Message implements StreamMessage {
  readonly #all: Messages;
  readonly #row: number;
  #data: unknown = UNREAD;
  #raw: Readonly<Record<string, unknown>> | undefined;

  constructor(all: Messages, row: number) {
    this.#all = all;
    this.#row = row;
  }

  get channel(): string {
    return this.#all.channels[this.#all.table[this.#row]!]!;
  }

  get data(): unknown {
    if (this.#data === UNREAD) this.#data = JSON.parse(this.dataText);
    return this.#data;
  }

  get dataText(): string {
    return this.#part(3);
  }

  get raw(): Readonly<Record<string, unknown>> {
    return (this.#raw ??= JSON.parse(this.#part(1)) as Record<string, unknown>);
  }

  get replayId(): string | undefined {
    const { table } = this.#all;
    const at = this.#row + 5;
    const how = table[at]!;
    if (how === AS_NUMBER) return String(table[at + 1]! * 2 ** 32 + table[at + 2]!);
    if (how === 0) return undefined;
    const id = this.#part(6);
    return how === AS_ESCAPED_TEXT ? (JSON.parse(`"${id}"`) as string) : id;
  }

  get createdDate(): string | undefined {
    const { event, payload } = (this.data ?? {}) as {
      event?: { createdDate?: unknown };
      payload?: { ChangeEventHeader?: { commitTimestamp?: unknown }; CreatedDate?: unknown };
    };
    const date = event?.createdDate ?? payload?.ChangeEventHeader?.commitTimestamp ?? payload?.CreatedDate;
    if (typeof date === "string") return date;
    return typeof date === "number" && Math.abs(date) <= 8.64e15 ? new Date(date).toISOString() : undefined;
  }

  ack(): Promise<void> {
    return this.#all.home.ack(this);
  }

  toCloudEvent(): CloudEvent {
    const { replayId, createdDate } = this;
    const { EventUuid } = ((this.data as { event?: object } | null)?.event ?? {}) as { EventUuid?: unknown };
    const { type, source } = this.#all.home.origin(this);
    const given = (this.raw as { id?: unknown }).id;
    const id = [EventUuid, replayId, given].find((id) => typeof id === "string" && id !== "") ?? freshId();
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

  /** What stands in the text from one word of its row to the next. */
  #part(word: number): string {
    const { table } = this.#all;
    return this.#all.slice(table[this.#row + word]!, table[this.#row + word + 1]!);
  }
}
