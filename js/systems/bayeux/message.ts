/**
 * Messages of a stream. They are offsets into the text of a response, and each part is cut out and parsed when it is
 * first read.
 */
import type { Chunk } from "../../client/inbox.js";
import { mustBe } from "../../engine/messages.js";
import { freshId } from "../../platform/uuid.js";
import { type CloudEvent, scanText } from "../cloudevents/event.js";
import type { MessageText } from "./message-text.js";

/** An event that arrived on a channel. */
export interface StreamMessage<T = unknown> {
  /** The channel it was published on, without wildcards and filters. */
  readonly channel: string;
  /** Parsed when it is first read. */
  readonly data: T;
  /** The JSON text of `data`, byte for byte as it arrived. */
  readonly dataText: string;
  /** The whole Bayeux message, with the fields that a server adds. Parsed when it is first read. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** The replay position behind this message. A string, because ids of Salesforce exceed the integers of JavaScript. */
  readonly replayId?: string | undefined;
  /** When the event was created, in ISO 8601, if the message says so. */
  readonly createdDate?: string | undefined;
  /**
   * Acknowledges the message. With the replay policy `manual` that saves the replay position of its channel; otherwise
   * it does nothing.
   *
   * @throws {FerryError} `ERR_STORE` if the position could not be saved
   */
  ack(): Promise<void>;
  /**
   * Calls a function with the message, and acknowledges the message unless the function throws or its promise rejects.
   * Resolves with the result of the function.
   *
   * @throws what the function throws; {FerryError} `ERR_STORE` as `ack`
   */
  use<R>(work: (message: StreamMessage<T>) => R | Promise<R>): Promise<R>;
  /** The message as a CloudEvent, whose `data` is the text that arrived. */
  toCloudEvent(): CloudEvent<T>;
}

/** What messages need from their client. */
export interface MessageHost {
  ack(message: Message): Promise<void>;
  /** The `type` and `source` of the CloudEvent. */
  originOf(message: Message): { type: string; source: string };
}

/**
 * Columns of a row of the table, see `table` in `src/wasm/stream.rs`: channel number, then start and end of each part.
 */
const COLUMN = { channel: 0, message: 1, data: 3, replayIdForm: 5, replayId: 6 } as const;
const COLUMNS = 8;
/** How the table has a replay id: as the upper and lower half of a number, or as a part of the text. */
const REPLAY_ID_FORM = { none: 0, number: 1, text: 2, escapedText: 3 } as const;
const UNPARSED = Symbol("unparsed");

/** The messages of one response or WebSocket frame. */
export class MessageChunk implements Chunk<Message> {
  readonly length: number;
  readonly host: MessageHost;
  readonly table: Uint32Array;
  readonly channels: readonly string[];
  readonly text: MessageText;

  constructor(host: MessageHost, text: MessageText, table: Uint32Array, channels: readonly string[]) {
    this.host = host;
    this.table = table;
    this.channels = channels;
    this.length = table.length / COLUMNS;
    this.text = text;
  }

  at(index: number): Message {
    return new Message(this, index * COLUMNS);
  }

  /** Only the messages at these indexes. */
  pick(indexes: readonly number[]): Chunk<Message> {
    return { length: indexes.length, at: (index) => this.at(indexes[index]!) };
  }

  /** The index in `channels` of a message's channel. */
  channelIndexAt(index: number): number {
    return this.table[index * COLUMNS + COLUMN.channel]!;
  }
}

/** One message of a chunk. */
export class Message implements StreamMessage {
  readonly #chunk: MessageChunk;
  /** Where its row starts in the table. */
  readonly #row: number;
  #data: unknown = UNPARSED;
  #raw: Readonly<Record<string, unknown>> | undefined;

  constructor(chunk: MessageChunk, row: number) {
    this.#chunk = chunk;
    this.#row = row;
  }

  get channel(): string {
    return this.#chunk.channels[this.#cell(COLUMN.channel)]!;
  }

  get data(): unknown {
    if (this.#data === UNPARSED) this.#data = JSON.parse(this.dataText);
    return this.#data;
  }

  get dataText(): string {
    return this.#text(COLUMN.data);
  }

  get raw(): Readonly<Record<string, unknown>> {
    this.#raw ??= JSON.parse(this.#text(COLUMN.message)) as Record<string, unknown>;
    return this.#raw;
  }

  get replayId(): string | undefined {
    const form = this.#cell(COLUMN.replayIdForm);
    if (form === REPLAY_ID_FORM.none) return undefined;
    if (form === REPLAY_ID_FORM.number)
      return String(this.#cell(COLUMN.replayId) * 2 ** 32 + this.#cell(COLUMN.replayId + 1));
    const id = this.#text(COLUMN.replayId);
    return form === REPLAY_ID_FORM.escapedText ? (JSON.parse(`"${id}"`) as string) : id;
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
    return this.#chunk.host.ack(this);
  }

  async use<R>(work: (message: StreamMessage) => R | Promise<R>): Promise<R> {
    if (typeof work !== "function") throw mustBe("work", "a function", work);
    const result = await work(this);
    await this.ack();
    return result;
  }

  toCloudEvent(): CloudEvent {
    const { replayId, createdDate } = this;
    const { EventUuid } = ((this.data as { event?: object } | null)?.event ?? {}) as { EventUuid?: unknown };
    const { type, source } = this.#chunk.host.originOf(this);
    const messageId = (this.raw as { id?: unknown }).id;
    const id = [EventUuid, replayId, messageId].find((id) => typeof id === "string" && id !== "") ?? freshId();
    const time = createdDate === undefined ? NaN : Date.parse(createdDate);
    const attributes = {
      specversion: "1.0",
      id,
      type,
      source,
      subject: this.channel,
      datacontenttype: "application/json",
      ...(!Number.isNaN(time) && { time: new Date(time).toISOString() }),
      ...(replayId !== undefined && { replayid: replayId }),
    };
    // The data is copied as text, so that numbers which JavaScript cannot represent stay unchanged.
    return scanText(`${JSON.stringify(attributes).slice(0, -1)},"data":${this.dataText}}`);
  }

  toJSON(): object {
    return this.raw;
  }

  #cell(column: number): number {
    return this.#chunk.table[this.#row + column]!;
  }

  /** The text between the offsets in this column and the next one. */
  #text(column: number): string {
    return this.#chunk.text(this.#cell(column), this.#cell(column + 1));
  }
}
