/**
 * Batches of events: the JSON batch format and NDJSON. The engine checks all events in one pass and records the
 * position of each; an event becomes an object when it is first read.
 */
import type { Bytes } from "../../platform/bytes.js";
import { FerryError } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { batchText } from "./batch-body.js";
import { type DecodedEvents, rejectedLine, scanEach } from "./batch-each.js";
import {
  type BatchFormat,
  type BatchParseOptions,
  checkCheck,
  checkFormat,
  checkOnInvalid,
  type RejectedEvent,
} from "./batch-options.js";
import { type BatchStreamOptions, checkStream, piecesOf } from "./batch-stream.js";
import { type InvalidLine, invalidLines } from "./batch-lines.js";
import { bytesInScanner, isInMemory, scanBatch, scannedBytes } from "./batch-scanner.js";
import { BatchSource, cutSource, joinBytes, joinTexts } from "./batch-source.js";
import { positionsOf, type Scanned, subsetOf } from "./batch-subset.js";
import { asBytes, isBytes, unsharedBytes } from "./bytes.js";
import { checkEvent, toArray } from "./check-event.js";
import { CloudEvent, scanBytes, scanText } from "./event.js";
import { isChanged, isRead } from "./event-payload.js";
import { checkPredicate, type EventPredicate, type EventSelector } from "./event-selector.js";
import { withoutBom } from "./event-data.js";
import { adviseLenient, checkLenient } from "./lenient.js";
import { isComplete, mixedVersions, ROW_WORDS, rejected, rowsAt, specversionAt } from "./table.js";
import { TextEncoder } from "../../platform/text.js";

/** Tells the constructor that the call is internal. */
const INTERNAL = Symbol();

/** A list of valid events. */
export class EventBatch implements Iterable<CloudEvent> {
  #rejected: readonly RejectedEvent[];
  /** The lines that were left out, until `rejected` is read: most programs do not, and errors take time. */
  #invalid: readonly InvalidLine[] = [];
  /** The text or bytes that the batch was decoded from. `undefined` if it was created from events. */
  readonly #source: BatchSource | undefined;
  /** The row of each event in the source. */
  readonly #rows: Uint32Array | undefined;
  /** How the source was scanned, and which events of it the batch has. */
  #scanned: Scanned | undefined;
  /** The events that the batch was created from. */
  readonly #events: readonly CloudEvent[] | undefined;
  /** The events that were decoded and handed out, by index. Their data may be changed later. */
  readonly #handedOut = new Map<number, CloudEvent>();

  private constructor(
    tag: symbol,
    source: BatchSource | undefined,
    rows: Uint32Array | undefined,
    events: readonly CloudEvent[] | undefined,
    rejected: readonly RejectedEvent[] = NONE_REJECTED,
  ) {
    if (tag !== INTERNAL)
      throw invalidArgument("EventBatch has no public constructor; use EventBatch.parse or EventBatch.of");
    this.#source = source;
    this.#rows = rows;
    this.#events = events;
    this.#rejected = rejected;
  }

  /** The invalid events that were left out. Empty unless `onInvalid` allows it. */
  get rejected(): readonly RejectedEvent[] {
    if (this.#invalid.length > 0) {
      this.#rejected = Object.freeze(this.#invalid.map((line) => rejectedLine(this.#source!.input, line)));
      this.#invalid = [];
    }
    return this.#rejected;
  }

  /** The number of valid and invalid events that a batch was made of. @internal */
  static countOf(batch: EventBatch): number {
    return batch.length + (batch.#invalid.length || batch.#rejected.length);
  }

  /**
   * Decodes a batch from its text or bytes. Bytes are copied, but not for `check: "structure"`; with `filter: Filter` only those
   * of the events that it keeps.
   *
   * @throws {FerryError} `ERR_INVALID_BATCH`, or the error of the first invalid event, with its index in the message;
   * `ERR_INVALID_ARGUMENT`
   */
  static parse(json: string | Uint8Array, options: BatchParseOptions = {}): EventBatch {
    if (typeof json !== "string" && !isBytes(json))
      throw mustBe("json", "a string or bytes", json, Array.isArray(json) ? "for events use EventBatch.of" : undefined);
    const { format = "batch", filter } = options;
    checkFormat(format);
    if (filter !== undefined) checkPredicate(filter);
    if (typeof json === "string") return EventBatch.kept(EventBatch.scan(json, format, options), filter);
    const isCopied = options.check !== "structure";
    const bytes = asBytes(json);
    // Code of the user could change the bytes before all events are chosen.
    const selector = typeof filter === "object" && filter.runsNoUserCode ? filter : undefined;
    const batch = EventBatch.scan(isCopied ? bytes : unsharedBytes(bytes), format, options, 0, isCopied, selector);
    return batch.#scanned?.scan.isSelected ? batch : EventBatch.kept(batch, filter);
  }

  /** The events of a batch that a filter keeps. What was rejected stays. @internal */
  static kept(batch: EventBatch, filter: EventPredicate | undefined): EventBatch {
    if (filter === undefined) return batch;
    const some = batch.filter(filter);
    some.#invalid = batch.#invalid;
    some.#rejected = batch.#rejected;
    return some;
  }

  /**
   * Reads a stream of a JSON batch or of NDJSON without holding it all: yields the events in batches of about
   * `pieceBytes`, with `filter` those batches that keep events. When the iteration ends early, the stream is cancelled.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`; while iterating also the errors of `parse`, `ERR_TOO_LARGE` for an event
   * above `maxBytes`, and `ERR_NETWORK` if the stream fails
   */
  static stream(body: ReadableStream<Uint8Array>, options: BatchStreamOptions = {}): AsyncIterable<EventBatch> {
    const { format = "batch", check = "full", filter } = options;
    checkFormat(format);
    checkCheck(check);
    if (filter !== undefined) checkPredicate(filter);
    checkLenient(options);
    checkOnInvalid(options);
    checkStream(body, options);
    return batchesOf(body, format, options);
  }

  /** Creates a batch from events. */
  static of(events: Iterable<CloudEvent>): EventBatch {
    const all = toArray(events);
    all.forEach(checkEvent);
    return new EventBatch(INTERNAL, undefined, undefined, all);
  }

  /**
   * Like `parse`, but without a copy the input is kept, so nobody else may change it.
   *
   * @param firstIndex the index of the first event in the stream that the input is a piece of
   * @param isCopied the batch keeps a copy of the bytes
   * @param selector chooses among bytes, and the batch keeps a copy of what it has chosen; but not of valid lines among others
   * @internal
   */
  static scan(
    input: string | Uint8Array,
    format: BatchFormat,
    options: BatchParseOptions = {},
    firstIndex = 0,
    isCopied = false,
    selector?: EventSelector,
  ): EventBatch {
    const { check = "full" } = options;
    checkCheck(check);
    const lenient = checkLenient(options);
    const onInvalid = checkOnInvalid(options);
    const whole = typeof input === "string" ? input : withoutBom(input);
    const skipsInvalid = format === "ndjson" && onInvalid !== "reject" && !lenient;
    const scanOptions = { format, isTrusted: check === "structure", skipsInvalid };
    const scan = scanBatch(whole, scanOptions, skipsInvalid ? undefined : selector);
    const scanned = { scan, options: scanOptions, indices: undefined };
    if (scan.isSelected) {
      const selected = cutSource(bytesInScanner(whole.length), scan.rows, format);
      const batch = new EventBatch(INTERNAL, selected, scan.rows, undefined);
      batch.#scanned = scanned;
      return batch;
    }
    const source = isCopied ? scannedBytes(whole.length) : whole;
    if (scan.code !== 0) {
      const error =
        scan.code < 0
          ? new FerryError("ERR_INVALID_BATCH", "the text contains a lone surrogate")
          : rejected(scan.code, source, `event ${firstIndex + scan.count} of the batch`, scan.table);
      if (!lenient && onInvalid === "reject") throw adviseLenient(error);
      return EventBatch.ofDecoded(scanEach(source, format, { lenient, onInvalid }, error, firstIndex));
    }
    const batch = new EventBatch(INTERNAL, new BatchSource(source), scan.rows, undefined);
    batch.#scanned = scanned;
    if (!skipsInvalid) return batch;
    const invalid = invalidLines(source, scan.rows, firstIndex);
    if (!invalid) return EventBatch.ofDecoded(scanEach(source, format, { onInvalid }, undefined, firstIndex));
    batch.#invalid = invalid;
    if (typeof onInvalid === "function")
      for (const { error, text, index } of batch.rejected) onInvalid(error, text, index);
    return batch;
  }

  /** A batch of events that were decoded one by one. @internal */
  static ofDecoded({ events, rejected }: DecodedEvents): EventBatch {
    return new EventBatch(INTERNAL, undefined, undefined, events, rejected);
  }

  /** The version of the first event, which is not decoded for it. @internal */
  static versionOf(batch: EventBatch): string | undefined {
    if (batch.length === 0) return undefined;
    return batch.#rows ? specversionAt(batch.#rows, 0) : batch.#events![0]!.specversion;
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
    const event = this.#decode(at);
    this.#handedOut.set(at, event);
    return event;
  }

  /** The event at an index of a batch that was decoded. */
  #decode(at: number): CloudEvent {
    const known = this.#handedOut.size > 0 ? this.#handedOut.get(at) : undefined;
    if (known) return known;
    const source = this.#source!.slice(this.#rows!, at);
    if (isComplete(this.#rows!, at * ROW_WORDS)) return CloudEvent.fromRow(this.#rows!, source, at * ROW_WORDS);
    return typeof source === "string" ? scanText(source) : scanBytes(source);
  }

  /** The events whose data were changed after they were handed out, by index. */
  #changed(): Map<number, CloudEvent> {
    return new Map([...this.#handedOut].filter(([, event]) => isChanged(event)));
  }

  /** The events in their order. */
  *[Symbol.iterator](): Iterator<CloudEvent> {
    for (let at = 0; at < this.length; at++) yield this.at(at)!;
  }

  /**
   * A batch of the events that a filter matches, or for which a function returns true. Their text does not change. A
   * `Filter` is evaluated over the text of the batch, without making an event.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  filter(predicate: EventPredicate): EventBatch {
    checkPredicate(predicate);
    if (this.#scanned && typeof predicate !== "function" && predicate.selectEvents) {
      const { indices } = this.#scanned;
      const selected = predicate.selectEvents(indices ?? this.length, () => this.#ensureScanned());
      return this.subset(indices ? positionsOf(selected, indices) : selected);
    }
    const test = typeof predicate === "function" ? predicate : (event: CloudEvent) => predicate.matches(event);
    if (this.#events) return EventBatch.of(this.#events.filter(test));
    const selected: number[] = [];
    for (let at = 0; at < this.length; at++) {
      const event = this.#decode(at);
      const isSelected = test(event);
      // Most predicates read attributes only; such an event need not be kept.
      if (isRead(event)) this.#handedOut.set(at, event);
      if (isSelected) selected.push(at);
    }
    return this.subset(selected);
  }

  /** The events at these places of a batch that was decoded. Not private: in private methods, tsc writes the name of the class in
   * a way that bundlers keep. @internal */
  subset(places: ArrayLike<number>): EventBatch {
    const batch = new EventBatch(INTERNAL, this.#source, rowsAt(this.#rows!, places), undefined);
    batch.#scanned = subsetOf(this.#scanned!, places);
    if (this.#handedOut.size > 0)
      for (let at = 0; at < places.length; at++) {
        const event = this.#handedOut.get(places[at]!);
        if (event) batch.#handedOut.set(at, event);
      }
    return batch;
  }

  /** Brings the batch into the memory of the scanner, if it is not there any more. */
  #ensureScanned(): void {
    const scanned = this.#scanned!;
    if (isInMemory(scanned.scan)) return;
    // It was checked before. Invalid lines must be recognized again.
    scanned.scan = scanBatch(this.#source!.input, {
      ...scanned.options,
      isTrusted: scanned.options.isTrusted || !scanned.options.skipsInvalid,
    });
  }

  /** The body of a request in batch mode: bytes if the batch arrived as bytes, else text. @internal */
  toBatchBody(): string | Bytes {
    return typeof this.#source?.input === "object" ? this.toBytes() : this.#write("batch");
  }

  /** The events as UTF-8 text. Events that arrived as JSON are copied byte for byte. */
  toBytes(format: BatchFormat = "batch"): Bytes {
    checkFormat(format);
    const source = this.#source?.input;
    const changed = this.#changed();
    if (source === undefined || typeof source === "string" || changed.size > 0)
      return new TextEncoder().encode(this.#write(format, changed));
    return joinBytes(source, this.#rows!, format);
  }

  #write(format: BatchFormat, changed: ReadonlyMap<number, CloudEvent> = this.#changed()): string {
    if (this.#events && format === "batch") return batchText(this.#events);
    const texts: string[] = [];
    for (let at = 0; at < this.length; at++) {
      const event = this.#events?.[at] ?? changed.get(at);
      texts.push(event ? event.toString() : this.#source!.textAt(this.#rows!, at));
    }
    return joinTexts(texts, format);
  }
}

/** The batches of a stream, piece by piece. */
async function* batchesOf(
  body: ReadableStream<Uint8Array>,
  format: BatchFormat,
  options: BatchStreamOptions,
): AsyncGenerator<EventBatch, void, undefined> {
  let index = 0;
  let version: string | undefined;
  for await (const piece of piecesOf(body, format, options)) {
    const batch = EventBatch.scan(piece, format, options, index);
    const first = EventBatch.versionOf(batch) ?? version;
    if (format === "batch" && version !== undefined && first !== version) throw mixedVersions(index);
    version = first;
    const count = EventBatch.countOf(batch);
    index += count;
    const kept = EventBatch.kept(batch, options.filter);
    if (EventBatch.countOf(kept) > 0) yield kept;
  }
}

const NONE_REJECTED: readonly RejectedEvent[] = /* @__PURE__ */ Object.freeze([]);
