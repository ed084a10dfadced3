/**
 * The event. It is immutable and valid by construction, and lazy: an event that was decoded from JSON stores its text
 * and the positions of its attributes. Strings are cut out and `data` is parsed on first use, and an event that is only
 * passed on is never parsed.
 */
import { FerryError, REASONS } from "../../engine/errors.js";
import { call, engine, putBytes, putText, trapped } from "../../engine/instance.js";
import { mustBe } from "../../engine/messages.js";
import { attributeError, type ExtensionValue, Format, validText } from "./attribute.js";
import { asBytes, isBytes } from "./bytes.js";
import { binaryBody, bytesOf, dataMember, dataOf, payloadFor, textOf } from "./event-data.js";
import {
  type EventFields,
  type EventParts,
  type Extensions,
  eventText,
  fieldsFromParts,
  HAS_DEFAULT_CONTENT_TYPE,
  IS_PLAIN,
  quoteJson,
} from "./event-fields.js";
import { type CloudEventInit, partsFromInit, type Specversion, stringifyData, unsupportedVersion } from "./init.js";
import {
  contentTypeOf,
  cutAllStrings,
  explicitContentType,
  extensionsOf,
  fieldsFromRow,
  hasUnpacked,
  idOf,
  rejected,
  schemaName,
  schemaOf,
  sourceOf,
  subjectOf,
  timeOf,
  typeOf,
} from "./table.js";

/** Tells the constructor that its arguments are a table, the scanned source, and an offset in the table. */
const SCANNED = Symbol();
type ScannedConstructor = new (
  tag: symbol,
  table: Uint32Array,
  source: string | Uint8Array,
  offset: number,
) => CloudEvent;
/** Tells the constructor that its argument is `EventParts`. */
const CHECKED = Symbol();

/**
 * One event, immutable.
 *
 * @example
 * const event = new CloudEvent({ type: "com.example.order.created", source: "/orders", data: { orderId: 7 } });
 */
export class CloudEvent<T = unknown> {
  readonly #fields: EventFields;

  /**
   * @throws {FerryError} `ERR_MISSING_ATTRIBUTE`, `ERR_INVALID_ATTRIBUTE_NAME`, `ERR_INVALID_ATTRIBUTE_VALUE`,
   * `ERR_UNSUPPORTED_SPECVERSION` or `ERR_INVALID_DATA`, with the name of the attribute; `ERR_TOO_LARGE` for more than
   * 128 extension attributes.
   */
  constructor(init: CloudEventInit<T>);
  constructor(init: CloudEventInit<T> | symbol, a?: unknown, b?: unknown, c?: unknown) {
    this.#fields =
      init === SCANNED
        ? fieldsFromRow(a as Uint32Array, b as string | Uint8Array, c as number)
        : fieldsFromParts(init === CHECKED ? (a as EventParts) : partsFromInit(init as CloudEventInit));
    if (init === SCANNED && hasUnpacked(this.#fields)) cutAllStrings(this.#fields, a as Uint32Array);
  }

  /**
   * Decodes an event in the JSON format from its text, its bytes, or an object that `JSON.parse` returned.
   *
   * @throws {FerryError} `ERR_INVALID_EVENT` for text that is not an event, and the errors of the constructor.
   */
  static fromJSON<T = unknown>(json: string | Uint8Array | object): CloudEvent<T> {
    if (typeof json === "string") return scanText<T>(json);
    if (isBytes(json)) return scanBytes<T>(asBytes(json).slice());
    if (typeof json !== "object" || json === null) throw mustBe("json", "a string, bytes or an object", json);
    return scanText<T>(json instanceof CloudEvent ? json.toString() : stringifyData(json));
  }

  /** The version of the specification that the event follows. */
  get specversion(): Specversion {
    return this.#fields.version === 10 ? "1.0" : "0.3";
  }

  /** Identifies the event within its source. */
  get id(): string {
    return idOf(this.#fields);
  }

  /** Where it happened, exactly as written: a URI-reference. */
  get source(): string {
    return sourceOf(this.#fields);
  }

  /** What happened. */
  get type(): string {
    return typeOf(this.#fields);
  }

  /** When it happened: RFC 3339 text exactly as written, with all its digits. */
  get time(): string | undefined {
    return timeOf(this.#fields);
  }

  /** The object within the source that the event is about. */
  get subject(): string | undefined {
    return subjectOf(this.#fields);
  }

  /** The media type of the data, exactly as written. */
  get datacontenttype(): string | undefined {
    return contentTypeOf(this.#fields);
  }

  /** The URI of the schema of the data (1.0). */
  get dataschema(): string | undefined {
    return this.#fields.version === 10 ? schemaOf(this.#fields) : undefined;
  }

  /** The URI-reference of the schema of the data (0.3). */
  get schemaurl(): string | undefined {
    return this.#fields.version === 10 ? undefined : schemaOf(this.#fields);
  }

  /**
   * The payload. JSON is parsed on first use, text is a string, all else is a Uint8Array. `undefined` means that there
   * is no payload; a payload of `null` is `null`.
   *
   * @throws {FerryError} `ERR_INVALID_DATA` if a message in binary mode has a JSON media type and another body.
   */
  get data(): T | undefined {
    return dataOf(this.#fields) as T | undefined;
  }

  /** A copy of the payload as bytes, exactly as they arrived: for data in JSON, the bytes of its JSON text. */
  get dataBytes(): Uint8Array<ArrayBuffer> | undefined {
    return bytesOf(this.#fields)?.slice();
  }

  /**
   * The payload as text: JSON text as it arrived, or the bytes decoded by the charset of the media type.
   *
   * @throws {FerryError} `ERR_INVALID_DATA` if the bytes are not text in this charset.
   */
  get dataText(): string | undefined {
    return this.#fields.payloadKind === "none" ? undefined : textOf(this.#fields);
  }

  /** All extension attributes, by name. The object has no prototype. */
  get extensions(): Readonly<Record<string, ExtensionValue>> {
    const all: Record<string, ExtensionValue> = Object.create(null);
    extensionsOf(this.#fields)?.forEach((value, name) => {
      all[name] = value;
    });
    return Object.freeze(all);
  }

  /** The value of a core or extension attribute by its name. `data` is not an attribute. */
  get(name: string): ExtensionValue | undefined {
    switch (name) {
      case "specversion":
      case "id":
      case "source":
      case "type":
      case "time":
      case "subject":
      case "datacontenttype":
        return this[name];
      case schemaName(this.#fields):
        return schemaOf(this.#fields);
      default:
        return extensionsOf(this.#fields)?.get(name);
    }
  }

  /** A copy with other attributes or other data. `null` and `undefined` remove an attribute. */
  with<U = T>(changes: Partial<CloudEventInit<U>>): CloudEvent<U> {
    const version = changes.specversion ?? this.specversion;
    if (version !== this.specversion) return this.toVersion(version).with(changes);
    const init: Record<string, unknown> = { ...this.extensions };
    for (const name of ["specversion", "id", "source", "type", "time", "subject"] as const)
      init[name] = this[name] ?? null;
    Object.assign(init, {
      datacontenttype: explicitContentType(this.#fields),
      [schemaName(this.#fields)]: schemaOf(this.#fields),
    });
    for (const name in changes) init[name] = changes[name] ?? (name === "data" ? changes[name] : null);
    if ("data" in changes) return new CloudEvent(init as CloudEventInit<U>);
    const parts = partsFromInit(init as CloudEventInit);
    parts.payload = payloadFor(this.#fields, parts.contentType);
    parts.hasDefaultContentType =
      parts.contentType === undefined &&
      (this.#fields.escaped & HAS_DEFAULT_CONTENT_TYPE) !== 0 &&
      !this.#fields.hasEventText;
    return CloudEvent.fromParts<U>(parts);
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
    if (version !== "1.0" && version !== "0.3") throw unsupportedVersion(version);
    const isToV1 = version === "1.0";
    const reserved = isToV1 ? ["dataschema"] : ["schemaurl", "datacontentencoding"];
    const schema = schemaOf(this.#fields);
    if (isToV1 && this.source === "") throw notConvertible("source", REASONS[1]);
    if (isToV1 && schema !== undefined) {
      try {
        validText("schemaurl", schema, Format.Uri);
      } catch {
        throw notConvertible("schemaurl", REASONS[6], schema);
      }
    }
    const extensions = new Map<string, ExtensionValue>();
    extensionsOf(this.#fields)?.forEach((value, name) => {
      if (typeof value === "object") throw notConvertible(name, "is an object, which 1.0 does not allow");
      if (reserved.includes(name))
        throw notConvertible(name, `is an extension attribute whose name has another meaning in ${version}`);
      // 0.3 has no Boolean.
      extensions.set(name, typeof value === "boolean" && !isToV1 ? String(value) : value);
    });
    return CloudEvent.fromParts({
      hasDefaultContentType: false,
      isPlain: false,
      version: isToV1 ? 10 : 3,
      id: this.id,
      source: this.source,
      type: this.type,
      time: this.time,
      subject: this.subject,
      contentType: explicitContentType(this.#fields),
      schema,
      extensions,
      payload: payloadFor(this.#fields, explicitContentType(this.#fields)),
    });
  }

  /** The event in the JSON format as an object. Numbers above 2^53 in `data` lose digits; `toString` keeps them. */
  toJSON(): object {
    return JSON.parse(this.toString());
  }

  /** The event in the JSON format as text. An event that was decoded from JSON returns exactly the text that arrived. */
  toString(): string {
    if (this.#fields.hasEventText) return eventText(this.#fields);
    const { specversion, id, source, type, time, subject } = this;
    const contentType = explicitContentType(this.#fields);
    const schema = schemaOf(this.#fields);
    // Few long concatenations: many short ones would cost more than all else here.
    let json: string;
    if (this.#fields.escaped & IS_PLAIN) {
      json = `{"specversion":"${specversion}","id":"${id}","source":"${source}","type":"${type}"`;
      if (time !== undefined) json += `,"time":"${time}"`;
      if (subject !== undefined) json += `,"subject":"${subject}"`;
      if (contentType !== undefined) json += `,"datacontenttype":"${contentType}"`;
      if (schema !== undefined) json += `,"${schemaName(this.#fields)}":"${schema}"`;
    } else {
      json = `{"specversion":"${specversion}","id":${quoteJson(id)},"source":${quoteJson(source)},"type":${quoteJson(type)}`;
      if (time !== undefined) json += `,"time":${quoteJson(time)}`;
      if (subject !== undefined) json += `,"subject":${quoteJson(subject)}`;
      if (contentType !== undefined) json += `,"datacontenttype":${quoteJson(contentType)}`;
      if (schema !== undefined) json += `,"${schemaName(this.#fields)}":${quoteJson(schema)}`;
      extensionsOf(this.#fields)?.forEach((value, name) => {
        json += `,"${name}":${typeof value === "string" ? quoteJson(value) : JSON.stringify(value)}`;
      });
    }
    return this.#fields.payloadKind === "none" ? `${json}}` : `${json},${dataMember(this.#fields, contentType)}}`;
  }

  /** Media type and body of the event in binary mode. @internal */
  static binaryPayload(event: CloudEvent): {
    contentType: string | undefined;
    body: string | Uint8Array<ArrayBuffer> | undefined;
  } {
    const fields = event.#fields;
    // Only the JSON format has a default media type, so binary mode has to name it.
    return {
      contentType: contentTypeOf(fields) ?? (fields.payloadKind === "json" ? "application/json" : undefined),
      body: binaryBody(fields),
    };
  }

  /** The text or bytes of an event that arrived in the JSON format. @internal */
  static receivedJson(event: CloudEvent): string | Uint8Array<ArrayBuffer> | undefined {
    const fields = event.#fields;
    return fields.hasEventText ? (fields.text ?? fields.bytes!.slice()) : undefined;
  }

  /** The extension attributes, not copied. @internal */
  static extensionsOf(event: CloudEvent): Extensions | undefined {
    return extensionsOf(event.#fields);
  }

  /** The event that is at this offset in the table of the engine or in the rows of a batch. @internal */
  static fromRow<T>(table: Uint32Array, source: string | Uint8Array, offset: number): CloudEvent<T> {
    return new (CloudEvent as unknown as ScannedConstructor)(SCANNED, table, source, offset) as CloudEvent<T>;
  }

  /** An event from checked parts. @internal */
  static fromParts<T>(parts: EventParts): CloudEvent<T> {
    return new (CloudEvent as unknown as new (tag: symbol, parts: EventParts) => CloudEvent<T>)(CHECKED, parts);
  }
}

// The text that the consoles of Node and Deno show. Outside the class: `isolatedDeclarations` allows no computed name.
Object.defineProperty(CloudEvent.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(this: CloudEvent): string {
    return `CloudEvent ${this.toString()}`;
  },
});

/** Decodes text that is one event. */
export function scanText<T>(text: string): CloudEvent<T> {
  const length = putText(text);
  if (length < 0) throw new FerryError("ERR_INVALID_EVENT", "the text contains a lone surrogate");
  const instance = engine();
  let code: number;
  try {
    code = instance.codecs.scan(length);
  } catch (error) {
    throw trapped(error);
  }
  if (code !== 0) throw rejected(code, text);
  return CloudEvent.fromRow(instance.table, text, 0);
}

/** Decodes bytes that are one event. The event keeps the bytes, so nobody else may change them. */
export function scanBytes<T>(bytes: Uint8Array): CloudEvent<T> {
  const body = withoutBom(bytes);
  const length = putBytes(body);
  const instance = engine();
  const code = call(() => instance.codecs.scan(length));
  if (code !== 0) throw rejected(code, body);
  return CloudEvent.fromRow(instance.table, body, 0);
}

/** The bytes without a byte order mark, which a JSON parser may skip (RFC 8259 section 8.1). */
export function withoutBom(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function notConvertible(attribute: string, problem: string, value?: unknown): FerryError {
  return attributeError(attribute, problem, value, "ERR_NOT_CONVERTIBLE");
}
