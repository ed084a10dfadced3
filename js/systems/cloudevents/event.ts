/**
 * The event. It is immutable and valid by construction, and lazy: `data` is parsed on first use, and an event that is
 * only passed on is never parsed.
 *
 * Attributes and payload are own members, which are enumerable and frozen: so different events are different for deep
 * equality, and a spread copies all of them. A member that is computed for each event, like `data`, would cost a third
 * of the decoding.
 */
import type { Bytes } from "../../platform/bytes.js";
import { codecs } from "../../engine/modules/codecs.js";
import { FerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import type { ExtensionValue } from "./attribute.js";
import { bytesOf, decodeData, textOf, utf8, withoutBom } from "./event-data.js";
import {
  attributeOf,
  type EventParts,
  type Extensions,
  type Payload,
  type PayloadKind,
  type Problem,
  type Specversion,
} from "./event-fields.js";
import {
  currentPayload,
  dataOf,
  EventState,
  explicitContentType,
  flagsOf,
  HAS_DEFAULT_CONTENT_TYPE,
  IS_PLAIN,
  type Received,
  receivedOf,
} from "./event-state.js";
import { eventText } from "./event-text.js";
import { changedParts } from "./event-copies.js";
import { convertedParts } from "./conversion.js";
import { isSameData, hasSameAttributes } from "./equality.js";
import { type CloudEventInit, partsFromInit } from "./init.js";
import type { LenientOptions, LenientReader } from "./lenient.js";
import { scanSifted } from "./lenient-scan.js";
import { checkPointer, pointerFinder, walk } from "./pointer.js";
import { readEvent, rejected, type ScannedConstructor } from "./table.js";

/** Tells the constructor that its other arguments are the members of an event that was scanned. */
const SCANNED = Symbol();
/** Tells the constructor that its second argument is `EventParts`. */
const CHECKED = Symbol();

const NO_PROBLEMS: readonly Problem[] = /* @__PURE__ */ Object.freeze([]);

/**
 * One event, immutable.
 *
 * Two events that were made from the same values, or decoded from the same message, are deeply equal; `equals` also
 * compares a made event with a decoded one. `{ ...event }` and `structuredClone(event)` have all attributes and, as
 * `rawData`, the payload, so `new CloudEvent({ ...event, type: "other" })` is a complete copy.
 *
 * @example
 * const event = new CloudEvent({ type: "com.example.order.created", source: "/orders", data: { orderId: 7 } });
 */
export class CloudEvent<T = unknown> implements Payload {
  /** The version of the specification that the event follows. */
  declare readonly specversion: Specversion;
  /** Identifies the event within its source. */
  declare readonly id: string;
  /** Where it happened, exactly as written: a URI-reference. */
  declare readonly source: string;
  /** What happened. */
  declare readonly type: string;
  /** When it happened: RFC 3339 text exactly as written, with all its digits. */
  declare readonly time: string | undefined;
  /** The object within the source that the event is about. */
  declare readonly subject: string | undefined;
  /** The media type of the data, exactly as written. */
  declare readonly datacontenttype: string | undefined;
  /** The URI of the schema of the data (1.0). */
  declare readonly dataschema: string | undefined;
  /** The URI-reference of the schema of the data (0.3). */
  declare readonly schemaurl: string | undefined;
  /** All extension attributes, by name. The object is frozen and has no prototype. */
  declare readonly extensions: Extensions;
  /** How `rawData` stores the payload. */
  declare readonly rawKind: PayloadKind;
  /** The payload as it is stored, for copies. Read `data`, `dataText` or `dataBytes` instead. */
  declare readonly rawData: string | Uint8Array | undefined;
  /** The attributes that a lenient reader left off, because they are not valid. No encoder writes them. */
  declare readonly problems: readonly Problem[];

  /**
   * Decodes an event in the JSON format from its text, its bytes, or an object that `JSON.parse` returned.
   *
   * The entry points give it to the class, see `from-json.ts`.
   *
   * @throws {FerryError} `ERR_INVALID_EVENT` for text that is not an event, and the errors of the constructor.
   */
  declare static readonly fromJSON: <T = unknown>(
    json: string | Uint8Array | object,
    options?: LenientOptions,
  ) => CloudEvent<T>;

  /**
   * Only one private field, because engines add each in a step of its own; and only what arrived, without flags and data,
   * until the data are read: another object for each event would cost a tenth of the decoding.
   */
  #state: EventState | Received;

  /**
   * @throws {FerryError} `ERR_MISSING_ATTRIBUTE`, `ERR_INVALID_ATTRIBUTE_NAME`, `ERR_INVALID_ATTRIBUTE_VALUE`,
   * `ERR_UNSUPPORTED_SPECVERSION` or `ERR_INVALID_DATA`, with the name of the attribute; `ERR_TOO_LARGE` for more than
   * 128 extension attributes.
   */
  constructor(init: CloudEventInit<T>);
  constructor(
    init: CloudEventInit<T> | symbol,
    versionOrParts?: Specversion | EventParts,
    id?: string,
    source?: string,
    type?: string,
    time?: string,
    subject?: string,
    contentType?: string,
    schema?: string,
    extensions?: Extensions,
    rawKind?: PayloadKind,
    rawData?: string | Uint8Array,
    problems?: readonly Problem[],
    received?: string | Uint8Array,
  ) {
    if (!isPrototypeComplete) completePrototype();
    let specversion = versionOrParts as Specversion;
    let flags = 0;
    if (init !== SCANNED) {
      const parts = init === CHECKED ? (versionOrParts as EventParts) : partsFromInit(init as CloudEventInit);
      ({ specversion, id, source, type, time, subject, contentType, schema, extensions, rawKind, rawData } = parts);
      if (parts.problems?.length) problems = parts.problems;
      if (parts.isPlain) flags = IS_PLAIN;
      if (parts.hasDefaultContentType) {
        flags |= HAS_DEFAULT_CONTENT_TYPE;
        contentType ??= "application/json";
      }
    }
    // All events add the same members in the same order: engines give such objects one layout.
    this.specversion = specversion;
    this.id = id!;
    this.source = source!;
    this.type = type!;
    this.time = time;
    this.subject = subject;
    this.datacontenttype = contentType;
    if (specversion === "1.0") this.dataschema = schema;
    else this.schemaurl = schema;
    this.extensions = extensions!;
    this.rawKind = rawKind!;
    this.rawData = rawData;
    if (problems !== undefined) this.problems = problems;
    this.#state = flags === 0 ? received : new EventState(flags, received);
    Object.freeze(this);
  }

  /**
   * The payload. JSON is parsed on first use, text is a string, all else is a Uint8Array. `undefined` means that there
   * is no payload; a payload of `null` is `null`. If the object or the bytes are changed, the event is written with the
   * changed data; `dataText` and `dataBytes` stay as they arrived.
   *
   * @throws {FerryError} `ERR_INVALID_DATA` if a message has a JSON media type and its bytes are not JSON.
   */
  get data(): T | undefined {
    let data = dataOf(this.#state);
    if (data === undefined && this.rawKind !== "none") {
      data = decodeData(this);
      CloudEvent.setData(this, data);
    }
    return data as T | undefined;
  }

  /**
   * One member of the data by its JSON Pointer (RFC 6901), such as `"/order/total"`. It is what a walk through `data` would
   * find: `undefined` if there is no such member; of several with one name, the last. Once a `Filter` was made, data that
   * was not read before is scanned for the member and not parsed.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for text that is no JSON Pointer; `ERR_INVALID_DATA` as `data` does
   */
  at(pointer: string): unknown {
    checkPointer(pointer);
    const finder = pointerFinder();
    return finder && dataOf(this.#state) === undefined
      ? finder.find(this, pointer, receivedOf(this.#state))
      : walk(this.data, pointer);
  }

  /** A copy of the payload as bytes, exactly as they arrived: for data in JSON, the bytes of its JSON text. */
  get dataBytes(): Bytes | undefined {
    return bytesOf(this)?.slice();
  }

  /**
   * The payload as text: JSON text as it arrived, or the bytes decoded by the charset of the media type.
   *
   * @throws {FerryError} `ERR_INVALID_DATA` if the bytes are not text in this charset.
   */
  get dataText(): string | undefined {
    return this.rawKind === "none" ? undefined : textOf(this);
  }

  /** The value of a core or extension attribute by its name. `data` is not an attribute. */
  get(name: string): ExtensionValue | undefined {
    return attributeOf(this, name);
  }

  /**
   * Whether another event has the same attributes and the same data, however it was made or arrived: extension
   * attributes are compared as text, because headers have no types, and JSON data as values.
   */
  equals(other: unknown): boolean {
    if (!(other instanceof CloudEvent)) return false;
    if (this === other) return true;
    return hasSameAttributes(this, other) && isSameData(CloudEvent.#current(this), CloudEvent.#current(other));
  }

  /**
   * A copy with other attributes or other data. `null` and `undefined` remove an attribute.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` if `changes` is not an object, and the errors of the constructor.
   */
  with<U = T>(changes: Partial<CloudEventInit<U>>): CloudEvent<U> {
    if (typeof changes !== "object" || changes === null) throw mustBe("changes", "an object", changes);
    const version = changes.specversion ?? this.specversion;
    if (version !== this.specversion) return this.toVersion(version).with(changes);
    const contentType = explicitContentType(this, this.#state);
    return CloudEvent.fromParts<U>(changedParts(this, CloudEvent.#current(this), contentType, changes));
  }

  /**
   * An event that follows from this one: its `causationid` is the id of this event, its `correlationid` that of this event
   * or else also its id, and it belongs to the same trace. What `init` has takes precedence.
   *
   * @throws {FerryError} the errors of the constructor
   * @example
   * const paid = ordered.reply({ type: "com.example.order.paid", source: "/payments", data: { orderId: 7 } });
   */
  reply<U = unknown>(init: CloudEventInit<U>): CloudEvent<U> {
    const { specversion, id, extensions } = this;
    const correlationid = String(extensions["correlationid"] ?? id);
    const { traceparent, tracestate } = extensions;
    const trace = traceparent !== undefined && { traceparent, tracestate };
    return new CloudEvent<U>({ specversion, ...trace, correlationid, causationid: id, ...init } as CloudEventInit<U>);
  }

  /**
   * The event in the other version of the specification.
   *
   * @throws {FerryError} `ERR_NOT_CONVERTIBLE` for an event of 0.3 that 1.0 cannot express (an object as an extension
   * attribute, a relative `schemaurl`, an empty source), and for an extension attribute whose name has another meaning
   * in the other version.
   */
  toVersion(version: Specversion): CloudEvent<T> {
    if (version === this.specversion) return this;
    const contentType = explicitContentType(this, this.#state);
    return CloudEvent.fromParts(convertedParts(this, CloudEvent.#current(this), contentType, version));
  }

  /** The event in the JSON format as an object. Numbers above 2^53 in `data` lose digits; `toString` keeps them. */
  toJSON(): object {
    return JSON.parse(this.toString());
  }

  /**
   * The event in the JSON format as text. An event that was decoded from JSON returns exactly the text that arrived,
   * unless its data were changed.
   */
  toString(): string {
    const payload = CloudEvent.#current(this);
    const received = receivedOf(this.#state);
    if (received !== undefined && payload === this)
      return typeof received === "string" ? received : utf8.decode(received);
    const isPlain = (flagsOf(this.#state) & IS_PLAIN) !== 0;
    return eventText(this, payload, explicitContentType(this, this.#state), isPlain);
  }

  /** The payload as it is written: this event itself, unless the data were handed out and then changed. */
  static #current(event: CloudEvent): Payload {
    return currentPayload(event, dataOf(event.#state));
  }

  /** What the event has beside its members, see `event-payload.ts`. @internal */
  static stateOf(event: CloudEvent): EventState | Received {
    return event.#state;
  }

  /** Sets what `data` hands out, to the value that a schema has made of it. @internal */
  static setData(event: CloudEvent, data: unknown): void {
    const state = event.#state;
    const full = state instanceof EventState ? state : new EventState(0, state);
    full.data = data;
    event.#state = full;
  }

  /** The event that is at this offset in the table of the engine or in the rows of a batch. @internal */
  static fromRow<T>(
    table: Uint32Array,
    source: string | Uint8Array,
    offset: number,
    problems?: readonly Problem[],
  ): CloudEvent<T> {
    const text = typeof source === "string" ? source : utf8.decode(source);
    const eventClass = CloudEvent as unknown as ScannedConstructor<CloudEvent<T>>;
    return readEvent(eventClass, SCANNED, table, text, offset, problems, source);
  }

  /** An event from checked parts. @internal */
  static fromParts<T>(parts: EventParts): CloudEvent<T> {
    return new (CloudEvent as unknown as new (tag: symbol, parts: EventParts) => CloudEvent<T>)(CHECKED, parts);
  }
}

let isPrototypeComplete = false;

/** With the first event, not at module scope: a bundler could not leave a class out that is changed there. */
function completePrototype(): void {
  isPrototypeComplete = true;
  // Only an event with problems has them as a member of its own.
  Object.defineProperty(CloudEvent.prototype, "problems", { value: NO_PROBLEMS, writable: true });
  // The text that the consoles of Node and Deno show. Outside the class: `isolatedDeclarations` allows no computed name.
  Object.defineProperty(CloudEvent.prototype, Symbol.for("nodejs.util.inspect.custom"), {
    value(this: CloudEvent): string {
      return `CloudEvent ${this.toString()}`;
    },
  });
}

/** Decodes text that is one event. */
export function scanText<T>(text: string, lenient?: LenientReader): CloudEvent<T> {
  const length = codecs.putText(text);
  if (length < 0) throw new FerryError("ERR_INVALID_EVENT", "the text contains a lone surrogate");
  let code: number;
  try {
    code = codecs.exports.scan(length);
  } catch (error) {
    throw codecs.trapped(error);
  }
  if (code !== 0) return siftAndScan<T>(text, rejected(code, text), lenient);
  return CloudEvent.fromRow(codecs.table, text, 0);
}

/** Decodes bytes that are one event. The event keeps the bytes, so nobody else may change them. */
export function scanBytes<T>(bytes: Uint8Array, lenient?: LenientReader): CloudEvent<T> {
  const body = withoutBom(bytes);
  const length = codecs.putBytes(body);
  const code = codecs.call(() => codecs.exports.scan(length));
  if (code !== 0) return siftAndScan<T>(body, rejected(code, body), lenient);
  return CloudEvent.fromRow(codecs.table, body, 0);
}

/** Decodes an event that was rejected without the attributes that are not valid. */
function siftAndScan<T>(
  source: string | Uint8Array,
  error: FerryError,
  lenient: LenientReader | undefined,
): CloudEvent<T> {
  const { text, problems } = scanSifted(source, error, lenient);
  return CloudEvent.fromRow(codecs.table, text, 0, problems);
}
