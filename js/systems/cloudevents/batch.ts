/**
 * Batches of events: the JSON batch format and NDJSON. The engine checks all events in one pass and records the
 * position of each; an event becomes an object when it is first read.
 */
import { FerryError } from "../../engine/errors.js";
import { call, engine, putBytes, putText } from "../../engine/instance.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { asBytes, isBytes } from "./bytes.js";
import { CloudEvent, scanBytes, scanText, withoutBom } from "./event.js";
import { EVENT_END, EVENT_START, INDEX, isComplete, ROW_WORDS, rejected } from "./table.js";

/** The formats of a batch: a JSON array, or one event per line. */
export type BatchFormat = "batch" | "ndjson";

/** Tells the constructor that the call is internal. */
const INTERNAL = Symbol();

/** An immutable list of valid events. */
export class EventBatch implements Iterable<CloudEvent> {
  /** The text or bytes that the batch was decoded from. `undefined` if it was created from events. */
  readonly #source: string | Uint8Array | undefined;
  /** The row of each event in the source. */
  readonly #rows: Uint32Array | undefined;
  /** The bytes of the source as text, decoded on first use. Empty if they are not ASCII and so have other positions. */
  #ascii: string | undefined;
  /** The events that the batch was created from. */
  readonly #events: readonly CloudEvent[] | undefined;

  private constructor(
    tag: symbol,
    source: string | Uint8Array | undefined,
    rows: Uint32Array | undefined,
    events: readonly CloudEvent[] | undefined,
  ) {
    if (tag !== INTERNAL)
      throw invalidArgument("EventBatch has no public constructor; use EventBatch.parse or EventBatch.of");
    this.#source = source;
    this.#rows = rows;
    this.#events = events;
  }

  /**
   * Decodes a batch from its text or bytes.
   *
   * @param options.format `"batch"` is a JSON array, `"ndjson"` is one event per line. @default "batch"
   * @throws {FerryError} `ERR_INVALID_BATCH`, or the error of the first invalid event, with its index in the message.
   */
  static parse(json: string | Uint8Array, options: { format?: BatchFormat } = {}): EventBatch {
    if (typeof json !== "string" && !isBytes(json)) throw mustBe("json", "a string or bytes", json);
    const { format = "batch" } = options;
    checkFormat(format);
    return EventBatch.scan(typeof json === "string" ? json : asBytes(json).slice(), format);
  }

  /** Creates a batch from events. */
  static of(events: Iterable<CloudEvent>): EventBatch {
    const all = toArray(events);
    all.forEach(checkEvent);
    return new EventBatch(INTERNAL, undefined, undefined, all);
  }

  /** Like `parse`, but keeps the input without a copy, so nobody else may change it. @internal */
  static scan(input: string | Uint8Array, format: BatchFormat): EventBatch {
    const source = typeof input === "string" ? input : withoutBom(input);
    const hasBytes = typeof source !== "string";
    const length = hasBytes ? putBytes(source) : putText(source);
    if (length < 0) throw new FerryError("ERR_INVALID_BATCH", "the text contains a lone surrogate");
    const { codecs, table } = engine();
    const code = call(() => codecs.scan_all(length, +(format === "ndjson"), +hasBytes));
    const count = table[INDEX]!;
    if (code !== 0) throw rejected(code, source, `event ${count} of the batch`);
    return new EventBatch(
      INTERNAL,
      source,
      new Uint32Array(codecs.memory.buffer, codecs.rows(), ROW_WORDS * count).slice(),
      undefined,
    );
  }

  /** The events in the JSON batch format: bytes if the batch arrived as bytes, else text. @internal */
  static encode(events: Iterable<CloudEvent> | EventBatch): string | Uint8Array<ArrayBuffer> {
    const batch = events instanceof EventBatch ? events : EventBatch.of(events);
    return typeof batch.#source === "string" || batch.#source === undefined
      ? batch.#write("batch")
      : batch.toBytes("batch");
  }

  /** The number of events. */
  get length(): number {
    return this.#rows ? this.#rows.length / ROW_WORDS : this.#events!.length;
  }

  /** The event at an index; a negative index counts from the end. `undefined` if there is none. */
  at(index: number): CloudEvent | undefined {
    const at = index < 0 ? this.length + Math.trunc(index) : Math.trunc(index);
    if (!(at >= 0 && at < this.length)) return undefined;
    if (this.#events) return this.#events[at];
    const source = this.#slice(at);
    if (isComplete(this.#rows!, at * ROW_WORDS)) return CloudEvent.fromRow(this.#rows!, source, at * ROW_WORDS);
    return typeof source === "string" ? scanText(source) : scanBytes(source);
  }

  /** The events in their order. */
  *[Symbol.iterator](): Iterator<CloudEvent> {
    for (let at = 0; at < this.length; at++) yield this.at(at)!;
  }

  /** A batch of the events for which the predicate returns true. Their text does not change. */
  filter(predicate: ((event: CloudEvent) => boolean) | { matches(event: CloudEvent): boolean }): EventBatch {
    if (typeof predicate !== "function" && typeof predicate?.matches !== "function")
      throw mustBe("filter", "a function or an object with a function matches", predicate);
    const test = typeof predicate === "function" ? predicate : (event: CloudEvent) => predicate.matches(event);
    const selected: number[] = [];
    for (let at = 0; at < this.length; at++) if (test(this.at(at)!)) selected.push(at);
    if (this.#events) return EventBatch.of(selected.map((at) => this.#events![at]!));
    const rows = new Uint32Array(selected.length * ROW_WORDS);
    selected.forEach((at, to) => {
      rows.set(this.#rows!.subarray(ROW_WORDS * at, ROW_WORDS * (at + 1)), ROW_WORDS * to);
    });
    return new EventBatch(INTERNAL, this.#source, rows, undefined);
  }

  /** The events as UTF-8 text. Events that arrived as JSON are copied byte for byte. */
  toBytes(format: BatchFormat = "batch"): Uint8Array<ArrayBuffer> {
    checkFormat(format);
    const source = this.#source;
    if (source === undefined || typeof source === "string") return new TextEncoder().encode(this.#write(format));
    const rows = this.#rows!;
    let size = 2;
    for (let at = 0; at < rows.length; at += ROW_WORDS) size += rows[at + EVENT_END]! - rows[at + EVENT_START]! + 1;
    const bytes = new Uint8Array(size);
    let to = 0;
    if (format === "batch") bytes[to++] = 0x5b;
    for (let at = 0; at < rows.length; at += ROW_WORDS) {
      if (at > 0) bytes[to++] = format === "batch" ? 0x2c : 0x0a;
      const event = source.subarray(rows[at + EVENT_START], rows[at + EVENT_END]);
      bytes.set(format === "batch" ? event : onOneLine(event), to);
      to += event.length;
    }
    if (format === "batch") bytes[to++] = 0x5d;
    else if (rows.length > 0) bytes[to++] = 0x0a;
    return bytes.slice(0, to);
  }

  #write(format: BatchFormat): string {
    const texts: string[] = [];
    const version = this.#events?.[0]?.specversion;
    for (let at = 0; at < this.length; at++) {
      const event = this.#events?.[at];
      if (format === "batch" && event !== undefined && event.specversion !== version) {
        throw new FerryError(
          "ERR_INVALID_BATCH",
          "all events of a batch must have the same specversion; convert them with toVersion",
        );
      }
      const text = event ? event.toString() : (this.#slice(at) as string);
      // A line break can only be white space between tokens, because strings in JSON must escape it.
      texts.push(format === "batch" ? text : text.replace(/[\r\n]/g, " "));
    }
    return format === "batch" ? `[${texts.join(",")}]` : texts.map((text) => `${text}\n`).join("");
  }

  /** The source of one event: text if the batch arrived as text or as ASCII bytes, else bytes. */
  #slice(at: number): string | Uint8Array {
    const start = this.#rows![at * ROW_WORDS + EVENT_START]!;
    const end = this.#rows![at * ROW_WORDS + EVENT_END]!;
    const source = this.#source!;
    if (typeof source === "string") return source.slice(start, end);
    if (this.#ascii === undefined) {
      const text = ascii.decode(source);
      this.#ascii = text.length === source.length ? text : "";
    }
    return this.#ascii.slice(start, end) || source.slice(start, end);
  }
}

function checkFormat(format: unknown): void {
  if (format !== "batch" && format !== "ndjson") throw mustBe("format", '"batch" or "ndjson"', format);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a value that is not a CloudEvent. */
export function checkEvent(event: unknown): void {
  if (!(event instanceof CloudEvent)) throw mustBe("event", "a CloudEvent", event);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a value that is not iterable. */
export function toArray<T>(events: Iterable<T>): T[] {
  if (typeof events?.[Symbol.iterator] !== "function")
    throw mustBe("events", "a CloudEvent, an EventBatch or another iterable of CloudEvents", events);
  return [...events];
}

/** The engine has checked that the bytes are UTF-8. If there are as many characters as bytes, all of them are ASCII. */
const ascii = new TextDecoder("utf-8", { ignoreBOM: true });

function onOneLine(event: Uint8Array): Uint8Array {
  return event.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte));
}
