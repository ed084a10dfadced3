/**
 * The event. It is immutable and valid by construction, and lazy: an event that was decoded from JSON is its
 * text and a few numbers that say where things stand in it. Strings are cut out when they are read, `data` is
 * parsed by the engine of the runtime when it is read, and an event that is only passed on is never taken apart.
 */
import { FerryError, REASONS } from "../../engine/errors.js";
import { call, engine, putBytes, putText, trapped } from "../../engine/instance.js";
import { type ExtensionValue, Form, asBytes, badAttribute, checked, isBytes } from "./attribute.js";
import { type CloudEventInit, type Specversion, readCallers, stringified, unsupportedVersion } from "./init.js";
import {
  type Extensions,
  IMPLIED,
  type Inside,
  Kept,
  type Parts,
  QUOTABLE_ALL,
  asJson,
  binaryBody,
  bodyText,
  contentTypeOf,
  cut,
  cutWide,
  dataMember,
  dataOf,
  extensionsIn,
  fromChecked,
  fromWords,
  hasWide,
  holdsJson,
  payloadBytes,
  payloadUnder,
  schemaName,
  schemaText,
  sliceOf,
  wholeText,
  writtenContentType,
} from "./event-data.js";
import { T, refused } from "./table.js";
import { formatValue } from "../../engine/messages.js";

/** Tells the constructor to take over what the engine has just scanned. */
const SCANNED = Symbol();
type Scanned = new (tag: symbol, words: Uint32Array, source: string | Uint8Array, at: number) => CloudEvent;
/** Tells the constructor to take over parts that were checked. */
const CHECKED = Symbol();

/**
 * One event, immutable.
 *
 * @example
 * const event = new CloudEvent({ type: "com.example.order.created", source: "/orders", data: { orderId: 7 } });
 */
export class CloudEvent<T = unknown> {
  readonly #it: Inside;

  /** @throws {FerryError} with the attribute that is wrong. */
  constructor(init: CloudEventInit<T>);
  constructor(init: CloudEventInit<T> | symbol, a?: unknown, b?: unknown, c?: unknown) {
    this.#it =
      init === SCANNED
        ? fromWords(a as Uint32Array, b as string | Uint8Array, c as number)
        : fromChecked(init === CHECKED ? (a as Parts) : readCallers(init as CloudEventInit));
    if (init === SCANNED && hasWide(this.#it)) cutWide(this.#it, a as Uint32Array);
  }

  /** Reads an event in the JSON format from its text, its bytes, or an object that `JSON.parse` has made of it. */
  static fromJSON<T = unknown>(json: string | Uint8Array | object): CloudEvent<T> {
    if (typeof json === "string") return scanText<T>(json);
    if (isBytes(json)) return scanBytes<T>(asBytes(json).slice());
    if (typeof json !== "object" || json === null) {
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `CloudEvent.fromJSON takes text, bytes or an object, not ${formatValue(json)}`,
      );
    }
    return scanText<T>(json instanceof CloudEvent ? json.toString() : stringified(json));
  }

  /** The version of the specification that the event follows. */
  get specversion(): Specversion {
    return this.#it.version === 10 ? "1.0" : "0.3";
  }

  /** Names the event within its source. */
  get id(): string {
    const it = this.#it;
    const { id } = it;
    return typeof id === "string" ? id : (it.id = cut(it, id!, T.Id))!;
  }

  /** Where it happened, exactly as written. */
  get source(): string {
    const it = this.#it;
    const { source } = it;
    return typeof source === "string" ? source : (it.source = cut(it, source!, T.Source))!;
  }

  /** What happened. */
  get type(): string {
    const it = this.#it;
    const { type } = it;
    return typeof type === "string" ? type : (it.type = cut(it, type!, T.Type))!;
  }

  /** When it happened: RFC 3339 text exactly as written, with all its digits. */
  get time(): string | undefined {
    const it = this.#it;
    const { time } = it;
    return typeof time === "number" ? (it.time = cut(it, time, T.Time)) : time;
  }

  /** What it is about. */
  get subject(): string | undefined {
    const it = this.#it;
    const { subject } = it;
    return typeof subject === "number" ? (it.subject = cut(it, subject, T.Subject)) : subject;
  }

  /** Media type of the data, exactly as written. */
  get datacontenttype(): string | undefined {
    return contentTypeOf(this.#it);
  }

  /** Schema of the data (1.0). */
  get dataschema(): string | undefined {
    return this.#it.version === 10 ? schemaText(this.#it) : undefined;
  }

  /** Schema of the data (0.3). */
  get schemaurl(): string | undefined {
    return this.#it.version === 10 ? undefined : schemaText(this.#it);
  }

  /**
   * The payload. JSON is parsed on first read and then kept, text is a string, everything else a Uint8Array.
   * `undefined` means that there is none; a payload of `null` is `null`.
   *
   * @throws {FerryError} `ERR_INVALID_DATA` if a message in binary mode said JSON and carried something else.
   */
  get data(): T | undefined {
    return dataOf(this.#it) as T | undefined;
  }

  /** The payload as bytes, exactly those that arrived: for data within JSON, its JSON text. A fresh copy. */
  get dataBytes(): Uint8Array<ArrayBuffer> | undefined {
    return payloadBytes(this.#it)?.slice();
  }

  /**
   * The payload as text: JSON text as it arrived, or the text that the bytes stand for by the charset.
   *
   * @throws {FerryError} `ERR_INVALID_DATA` if the bytes are no text.
   */
  get dataText(): string | undefined {
    switch (this.#it.kept) {
      case Kept.Nothing:
        return undefined;
      case Kept.Text:
        return sliceOf(this.#it);
      case Kept.Json:
        return holdsJson(this.#it) ? sliceOf(this.#it) : (this.data as string);
      default:
        return bodyText(this.#it);
    }
  }

  /** All extension attributes, by name. The object has no prototype. */
  get extensions(): Readonly<Record<string, ExtensionValue>> {
    const all: Record<string, ExtensionValue> = Object.create(null);
    extensionsIn(this.#it)?.forEach((value, name) => {
      all[name] = value;
    });
    return Object.freeze(all);
  }

  /** One attribute, whether it has a property of its own or is an extension. Never `data`. */
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
      case schemaName(this.#it):
        return schemaText(this.#it);
      default:
        return extensionsIn(this.#it)?.get(name);
    }
  }

  /** The same event with other attributes or other data. `null` and `undefined` remove. */
  with<U = T>(changes: Partial<CloudEventInit<U>>): CloudEvent<U> {
    const version = changes.specversion ?? this.specversion;
    if (version !== this.specversion) return this.toVersion(version).with(changes);
    const init: Record<string, unknown> = { ...this.extensions };
    for (const name of ["specversion", "id", "source", "type", "time", "subject"] as const)
      init[name] = this[name] ?? null;
    init["datacontenttype"] = writtenContentType(this.#it);
    init[schemaName(this.#it)] = schemaText(this.#it);
    for (const name in changes) init[name] = changes[name] ?? (name === "data" ? changes[name] : null);
    if ("data" in changes) return new CloudEvent(init as CloudEventInit<U>);
    const parts = readCallers(init as CloudEventInit);
    parts.payload = payloadUnder(this.#it, parts.contentType);
    parts.implied = parts.contentType === undefined && (this.#it.escaped & IMPLIED) !== 0 && !this.#it.whole;
    return CloudEvent.fromParts<U>(parts);
  }

  /**
   * The same event in the other version.
   *
   * @throws {FerryError} `ERR_NOT_CONVERTIBLE` where 1.0 has no place for what 0.3 allows: an object as an
   * extension, a relative `schemaurl`, an empty source; or where a name means something else there.
   */
  toVersion(version: Specversion): CloudEvent<T> {
    if (version === this.specversion) return this;
    if (version !== "1.0" && version !== "0.3") throw unsupportedVersion(version);
    const to10 = version === "1.0";
    const taken = to10 ? ["dataschema"] : ["schemaurl", "datacontentencoding"];
    const schema = schemaText(this.#it);
    if (to10 && this.source === "") throw notConvertible("source", REASONS[1]);
    if (to10 && schema !== undefined) {
      try {
        checked("schemaurl", schema, Form.Uri);
      } catch {
        throw notConvertible("schemaurl", REASONS[6], schema);
      }
    }
    const extensions = new Map<string, ExtensionValue>();
    extensionsIn(this.#it)?.forEach((value, name) => {
      if (typeof value === "object") throw notConvertible(name, "is an object, which 1.0 does not have");
      if (taken.includes(name))
        throw notConvertible(name, `is an extension that ${version} would read as something else`);
      // 0.3 has no Boolean.
      extensions.set(name, typeof value === "boolean" && !to10 ? String(value) : value);
    });
    return CloudEvent.fromParts({
      implied: false,
      quotable: false,
      version: to10 ? 10 : 3,
      id: this.id,
      source: this.source,
      type: this.type,
      time: this.time,
      subject: this.subject,
      contentType: writtenContentType(this.#it),
      schema,
      extensions,
      payload: payloadUnder(this.#it, writtenContentType(this.#it)),
    });
  }

  /** The event in the JSON format, as an object. Numbers beyond 2^53 in `data` lose digits here; `toString` keeps them. */
  toJSON(): object {
    return JSON.parse(this.toString());
  }

  /** The event in the JSON format, as text. An event that was decoded from JSON is exactly the text that arrived. */
  toString(): string {
    if (this.#it.whole) return wholeText(this.#it);
    const { specversion, id, source, type, time, subject } = this;
    const contentType = writtenContentType(this.#it);
    const schema = schemaText(this.#it);
    // Few and long pieces: making one text of many short ones costs more than all else here.
    let json: string;
    if (this.#it.escaped & QUOTABLE_ALL) {
      json = `{"specversion":"${specversion}","id":"${id}","source":"${source}","type":"${type}"`;
      if (time !== undefined) json += `,"time":"${time}"`;
      if (subject !== undefined) json += `,"subject":"${subject}"`;
      if (contentType !== undefined) json += `,"datacontenttype":"${contentType}"`;
      if (schema !== undefined) json += `,"${schemaName(this.#it)}":"${schema}"`;
    } else {
      json = `{"specversion":"${specversion}","id":${asJson(id)},"source":${asJson(source)},"type":${asJson(type)}`;
      if (time !== undefined) json += `,"time":${asJson(time)}`;
      if (subject !== undefined) json += `,"subject":${asJson(subject)}`;
      if (contentType !== undefined) json += `,"datacontenttype":${asJson(contentType)}`;
      if (schema !== undefined) json += `,"${schemaName(this.#it)}":${asJson(schema)}`;
      extensionsIn(this.#it)?.forEach((value, name) => {
        json += `,"${name}":${typeof value === "string" ? asJson(value) : JSON.stringify(value)}`;
      });
    }
    return this.#it.kept === Kept.Nothing ? `${json}}` : `${json},${dataMember(this.#it, contentType)}}`;
  }

  /** Shown in the console of Node and Deno. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `CloudEvent ${this.toString()}`;
  }

  /** What a message in binary mode carries. @internal */
  static binaryPayload(event: CloudEvent): {
    contentType: string | undefined;
    body: string | Uint8Array<ArrayBuffer> | undefined;
  } {
    const it = event.#it;
    // Outside the JSON format nobody else would know what is implied there.
    return {
      contentType: contentTypeOf(it) ?? (it.kept === Kept.Json ? "application/json" : undefined),
      body: binaryBody(it),
    };
  }

  /** The bytes or the text that the event arrived as, if it arrived in the JSON format. @internal */
  static arrivedAs(event: CloudEvent): string | Uint8Array<ArrayBuffer> | undefined {
    return event.#it.whole ? (event.#it.text ?? event.#it.bytes!.slice()) : undefined;
  }

  /** All extension attributes without a copy. @internal */
  static extensionsOf(event: CloudEvent): Extensions | undefined {
    return extensionsIn(event.#it);
  }

  /** An event from the words that the engine has written of it, from a place in them. @internal */
  static scanned<T>(words: Uint32Array, source: string | Uint8Array, at: number): CloudEvent<T> {
    return new (CloudEvent as unknown as Scanned)(SCANNED, words, source, at) as CloudEvent<T>;
  }

  /** An event from parts that were checked. @internal */
  static fromParts<T>(parts: Parts): CloudEvent<T> {
    return new (CloudEvent as unknown as new (tag: symbol, parts: Parts) => CloudEvent<T>)(CHECKED, parts);
  }
}

/** Reads text that is one event. */
export function scanText<T>(text: string): CloudEvent<T> {
  const len = putText(text);
  if (len < 0) throw new FerryError("ERR_INVALID_EVENT", "the text has half a surrogate pair in it");
  const now = engine();
  let code;
  try {
    code = now.codecs.scan(len);
  } catch (error) {
    throw trapped(error);
  }
  if (code !== 0) throw refused(code, text);
  return CloudEvent.scanned(now.table, text, 0);
}

/** Reads bytes that are one event and stay ours. */
export function scanBytes<T>(bytes: Uint8Array): CloudEvent<T> {
  const body = withoutBom(bytes);
  const len = putBytes(body);
  const now = engine();
  const code = call(() => now.codecs.scan(len));
  if (code !== 0) throw refused(code, body);
  return CloudEvent.scanned(now.table, body, 0);
}

/** A parser of JSON may skip a byte order mark (RFC 8259 section 8.1). */
export function withoutBom(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function notConvertible(attribute: string, problem: string, value?: unknown): FerryError {
  return badAttribute(attribute, problem, value, "ERR_NOT_CONVERTIBLE");
}
