/**
 * Several events at once: the JSON batch format and NDJSON. The engine checks all of them in one pass and
 * writes down where each stands; an event becomes an object when it is asked for.
 */
import { FerryError } from "../../engine/errors.js";
import { call, engine, putBytes, putText } from "../../engine/instance.js";
import { asBytes, isBytes } from "./attribute.js";
import { CloudEvent, scanBytes, scanText, withoutBom } from "./event.js";
import { ROW_WORDS, isComplete, refused } from "./table.js";
import { formatValue } from "../../engine/messages.js";

/** The two ways to write several events as text. */
export type BatchFormat = "batch" | "ndjson";

/** In the table: how many events there are. In a row: where the event starts and ends. */
const INDEX_WORD = 20;
const START = 0;
const END = 9;
const SCANNED = Symbol();

/** Events in their order. Immutable; every event in it is valid. */
export class EventBatch implements Iterable<CloudEvent> {
  /** The text or bytes that the batch was read from, and what the engine has written of each event in it. */
  readonly #source: string | Uint8Array | undefined;
  readonly #rows: Uint32Array | undefined;
  /** The source as text, made on first use, if all of its bytes are ASCII, so that places in both are the same. */
  #ascii: string | undefined;
  /** Where there is no source: the events themselves. */
  readonly #events: readonly CloudEvent[] | undefined;

  private constructor(
    tag: symbol,
    source: string | Uint8Array | undefined,
    rows: Uint32Array | undefined,
    events: readonly CloudEvent[] | undefined,
  ) {
    if (tag !== SCANNED)
      throw new FerryError("ERR_INVALID_ARGUMENT", "an EventBatch is made with EventBatch.parse or EventBatch.of");
    this.#source = source;
    this.#rows = rows;
    this.#events = events;
  }

  /**
   * Reads a batch from its text or bytes.
   *
   * @param options.format `"batch"` is a JSON array, `"ndjson"` one event a line. @default "batch"
   * @throws {FerryError} `ERR_INVALID_BATCH`, or what is wrong with the first bad event; the message says which.
   */
  static parse(json: string | Uint8Array, options: { format?: BatchFormat } = {}): EventBatch {
    if (typeof json !== "string" && !isBytes(json)) {
      throw new FerryError("ERR_INVALID_ARGUMENT", `EventBatch.parse takes text or bytes, not ${formatValue(json)}`);
    }
    const { format = "batch" } = options;
    checkFormat(format);
    return EventBatch.scan(typeof json === "string" ? json : asBytes(json).slice(), format);
  }

  /** A batch of events that exist already. */
  static of(events: Iterable<CloudEvent>): EventBatch {
    const all = listOf(events);
    all.forEach(checkEvent);
    return new EventBatch(SCANNED, undefined, undefined, all);
  }

  /** Like `parse`, for a source that nobody else can change. @internal */
  static scan(input: string | Uint8Array, format: BatchFormat): EventBatch {
    const source = typeof input === "string" ? input : withoutBom(input);
    const inBytes = typeof source !== "string";
    const len = inBytes ? putBytes(source) : putText(source);
    if (len < 0) throw new FerryError("ERR_INVALID_BATCH", "the text has half a surrogate pair in it");
    const now = engine();
    const code = call(() => now.codecs.scan_all(len, +(format === "ndjson"), +inBytes));
    const count = now.table[INDEX_WORD]!;
    if (code !== 0) throw refused(code, source, `event ${count} of the batch`);
    return new EventBatch(
      SCANNED,
      source,
      new Uint32Array(now.codecs.memory.buffer, now.codecs.rows(), ROW_WORDS * count).slice(),
      undefined,
    );
  }

  /** The JSON batch text of events, and of an untouched batch the bytes that arrived. @internal */
  static textOf(events: Iterable<CloudEvent> | EventBatch): string | Uint8Array<ArrayBuffer> {
    const batch = events instanceof EventBatch ? events : EventBatch.of(events);
    return typeof batch.#source === "string" || batch.#source === undefined
      ? batch.#write("batch")
      : batch.toBytes("batch");
  }

  /** How many events there are. */
  get length(): number {
    return this.#rows ? this.#rows.length / ROW_WORDS : this.#events!.length;
  }

  /** The event at a place, counted from 0, or from the end if negative. `undefined` where there is none. */
  at(index: number): CloudEvent | undefined {
    const at = index < 0 ? this.length + Math.trunc(index) : Math.trunc(index);
    if (!(at >= 0 && at < this.length)) return undefined;
    if (this.#events) return this.#events[at];
    const part = this.#part(at);
    if (isComplete(this.#rows!, at * ROW_WORDS)) return CloudEvent.scanned(this.#rows!, part, at * ROW_WORDS);
    return typeof part === "string" ? scanText(part) : scanBytes(part);
  }

  *[Symbol.iterator](): Iterator<CloudEvent> {
    for (let at = 0; at < this.length; at++) yield this.at(at)!;
  }

  /** The events that `keep` keeps. They stay as they arrived. */
  filter(keep: ((event: CloudEvent) => boolean) | { matches(event: CloudEvent): boolean }): EventBatch {
    if (typeof keep !== "function" && typeof keep?.matches !== "function") {
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `a filter is a function, or has one called matches; ${formatValue(keep)} is neither`,
      );
    }
    const test = typeof keep === "function" ? keep : (event: CloudEvent) => keep.matches(event);
    const kept: number[] = [];
    for (let at = 0; at < this.length; at++) if (test(this.at(at)!)) kept.push(at);
    if (this.#events) return EventBatch.of(kept.map((at) => this.#events![at]!));
    const rows = new Uint32Array(kept.length * ROW_WORDS);
    kept.forEach((at, to) => rows.set(this.#rows!.subarray(ROW_WORDS * at, ROW_WORDS * (at + 1)), ROW_WORDS * to));
    return new EventBatch(SCANNED, this.#source, rows, undefined);
  }

  /** The events as UTF-8 text. Those that arrived as JSON are copied byte for byte. */
  toBytes(format: BatchFormat = "batch"): Uint8Array<ArrayBuffer> {
    checkFormat(format);
    const source = this.#source;
    if (source === undefined || typeof source === "string") return new TextEncoder().encode(this.#write(format));
    const rows = this.#rows!;
    let size = 2;
    for (let at = 0; at < rows.length; at += ROW_WORDS) size += rows[at + END]! - rows[at + START]! + 1;
    const bytes = new Uint8Array(size);
    let to = 0;
    if (format === "batch") bytes[to++] = 0x5b;
    for (let at = 0; at < rows.length; at += ROW_WORDS) {
      if (at > 0) bytes[to++] = format === "batch" ? 0x2c : 0x0a;
      const part = source.subarray(rows[at + START], rows[at + END]);
      bytes.set(format === "batch" ? part : onOneLine(part), to);
      to += part.length;
    }
    if (format === "batch") bytes[to++] = 0x5d;
    else if (rows.length > 0) bytes[to++] = 0x0a;
    return bytes.slice(0, to);
  }

  #write(format: BatchFormat): string {
    const parts: string[] = [];
    let version: string | undefined;
    for (let at = 0; at < this.length; at++) {
      const event = this.#events?.[at];
      if (event !== undefined) {
        if (format === "batch" && event.specversion !== (version ??= event.specversion)) {
          throw new FerryError(
            "ERR_INVALID_BATCH",
            "all events of a batch must be of one version; convert them with toVersion",
          );
        }
      }
      const text = event ? event.toString() : (this.#part(at) as string);
      // Line breaks can only be white space between tokens: in strings JSON demands escapes.
      parts.push(format === "batch" ? text : text.replace(/[\r\n]/g, " "));
    }
    return format === "batch" ? `[${parts.join(",")}]` : parts.map((part) => `${part}\n`).join("");
  }

  /** An event as it arrived: text where that is at hand, also for bytes if all of them are ASCII. */
  #part(at: number): string | Uint8Array {
    const start = this.#rows![at * ROW_WORDS + START]!;
    const end = this.#rows![at * ROW_WORDS + END]!;
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
  if (format !== "batch" && format !== "ndjson")
    throw new FerryError("ERR_INVALID_ARGUMENT", `the format is batch or ndjson, not ${formatValue(format)}`);
}

/** Refuses what is no event, with a sentence instead of what the engine would say. */
export function checkEvent(event: unknown): void {
  if (!(event instanceof CloudEvent))
    throw new FerryError("ERR_INVALID_ARGUMENT", `a CloudEvent is needed here, not ${formatValue(event)}`);
}

/** The events of something that can be walked over. */
export function listOf<T>(events: Iterable<T>): T[] {
  if (typeof events?.[Symbol.iterator] !== "function") {
    throw new FerryError(
      "ERR_INVALID_ARGUMENT",
      `events are a CloudEvent, an EventBatch or a list, not ${formatValue(events)}`,
    );
  }
  return [...events];
}

/** The engine has checked that it is UTF-8, so as many characters as bytes means that all are ASCII. */
const ascii = new TextDecoder("utf-8", { ignoreBOM: true });

function onOneLine(part: Uint8Array): Uint8Array {
  return part.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte));
}
