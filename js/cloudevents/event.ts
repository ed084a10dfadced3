/**
 * The event. It is immutable and valid by construction, and lazy: an event that was decoded from JSON is its
 * text and a few numbers that say where things stand in it. Strings are cut out when they are read, `data` is
 * parsed by the engine of the runtime when it is read, and an event that is only passed on is never taken apart.
 */
import { FerryError, REASONS, codeOf, sentenceOf, shown } from "../errors.js";
import { call, engine, isWellFormed, putBytes, putText, trapped } from "../wasm.js";
import {
  type ExtensionValue,
  Form,
  asBytes,
  badAttribute,
  charsetOf,
  checkName,
  checked,
  deepFreeze,
  freshId,
  fromBase64,
  isBytes,
  isJson,
  isTextual,
  timestampNow,
  toBase64,
  toExtensionValue,
  toTimestamp,
} from "./attribute.js";

/** The versions of the specification. */
export type Specversion = "1.0" | "0.3";

/** What an event is made from. */
export interface CloudEventInit<T = unknown> {
  /** What happened, best with a reverse-DNS prefix: `com.example.order.created`. Not empty. */
  type: string;
  /** Where it happened: a URI-reference. Not empty. */
  source: string;
  /** Names the event; `source` and `id` together are unique. @default a fresh UUID */
  id?: string;
  /** @default "1.0" */
  specversion?: Specversion;
  /** RFC 3339 text or a Date; `null` leaves it out. @default now */
  time?: string | Date | null;
  /** What it is about, within the source. Not empty. */
  subject?: string | null;
  /** Media type of `data`. @default "application/json" when data is a JSON value and no bytes */
  datacontenttype?: string | null;
  /** Absolute URI of the schema of `data`. In 0.3 it is called `schemaurl`. */
  dataschema?: string | null;
  /** 0.3 only: URI-reference of the schema of `data`. */
  schemaurl?: string | null;
  /**
   * The payload. Bytes are binary data. Everything else is a JSON value and is written down at once, so later
   * changes to an object do not reach the event; under a `datacontenttype` that is not JSON it must be a string.
   */
  data?: T | Uint8Array | ArrayBuffer;
  /** Extension attributes: names of `a-z0-9`, values string, boolean, 32-bit integer, Date, Uint8Array or URL. */
  [extension: string]: unknown;
}

/** How the payload is kept. */
const enum Kept {
  /** There is none. */
  Nothing,
  /** `text` from `from` to `to` is its JSON text. */
  Json,
  /** `text` from `from` to `to` is the payload itself, of a media type that is not JSON. */
  Text,
  /** `text` from `from` to `to` is Base64 of the payload. */
  Base64,
  /** `bytes` are the payload, and binary. */
  Bytes,
  /** `bytes` or `text` are the body of a message in binary mode; the media type says what they mean. */
  Body,
}

/** Words of the table, see `Table` in `src/cloudevents/event.rs`; its first sixteen are those of a row. */
const enum T {
  Id = 1,
  Source = 2,
  Type = 3,
  Time = 4,
  Subject = 5,
  ContentType = 6,
  DataSchema = 7,
  SchemaUrl = 8,
  Present = 12,
  Escaped = 13,
  Version = 14,
  Extensions = 15,
  Reason = 16,
  Culprit = 17,
  At = 18,
  NameEnd = 19,
  Index = 20,
  Places = 21,
  PlaceSize = 7,
  /** `data`, and where the payload starts. */
  Data = 10,
  /** `data_base64`, and where the payload ends. */
  DataBase64 = 11,
  DataContentEncoding = 9,
  FirstExtension = 21 + 12 * 7,
  ExtensionSize = 6,
  Wide = 1,
}

const MEMBERS = [
  "specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "schemaurl",
  "datacontentencoding", "data", "data_base64",
] as const;

/** Strings that need no escapes in JSON. */
const QUOTABLE = /^[ !#-[\]-~]*$/;

/** A string attribute: its text, or its place in the text of the event (`start << 12 | length`, 0 for absent). */
type Cut = string | number | undefined;
type Extensions = ReadonlyMap<string, ExtensionValue>;

/** The parts of an event that is not made by scanning. */
export interface Parts {
  version: number;
  id: string;
  source: string;
  type: string;
  time: string | undefined;
  subject: string | undefined;
  contentType: string | undefined;
  schema: string | undefined;
  extensions: Extensions | undefined;
  payload: Payload;
  /** The media type was left to us, and is JSON. */
  implied: boolean;
  /** No attribute has a character in it that JSON would escape, and there are no extensions. */
  quotable: boolean;
}

interface Payload {
  kept: Kept;
  text?: string | undefined;
  from?: number;
  to?: number;
  bytes?: Uint8Array | undefined;
}

/** In the set of members with escapes: the places of `specversion` and `data`, which are never cut. */
const IMPLIED = 1;
const QUOTABLE_ALL = 1 << T.Data;
const NO_PAYLOAD: Payload = { kept: Kept.Nothing };
/** Tells the constructor to take over what the engine has just scanned. */
const SCANNED = Symbol();
type Scanned = new (tag: symbol, words: Uint32Array, source: string | Uint8Array, at: number) => CloudEvent;
/** Tells the constructor to take over parts that were checked. */
const CHECKED = Symbol();

/**
 * What an event keeps. One object instead of private fields of the event: engines make an object literal in one
 * go, but every private field on its own.
 */
interface Inside {
  version: number;
  id: Cut;
  source: Cut;
  type: Cut;
  time: Cut;
  subject: Cut;
  contentType: Cut;
  schema: Cut;
  /**
   * Members whose text has escapes. Also whether `datacontenttype` is the default, which the JSON format need not
   * write, and whether all attributes can be written between quotes as they are.
   */
  escaped: number;
  /** As scanned, six words each; as values once somebody asks. */
  extensions: Uint32Array | Extensions | undefined;
  /** The JSON text of the whole event if `whole`; else only what `kept` says. */
  text: string | undefined;
  bytes: Uint8Array | undefined;
  whole: boolean;
  kept: Kept;
  from: number;
  to: number;
  value: unknown;
}

/** From the words that the engine has written of an event, from a place in them. */
function fromWords(t: Uint32Array, source: string | Uint8Array, o: number): Inside {
  const count = t[o + T.Extensions]!;
  const to = t[o + T.DataBase64]!;
  const isText = typeof source === "string";
  return {
    version: t[o + T.Version]!,
    id: t[o + T.Id]!,
    source: t[o + T.Source]!,
    type: t[o + T.Type]!,
    time: t[o + T.Time]!,
    subject: t[o + T.Subject]!,
    contentType: t[o + T.ContentType]!,
    schema: t[o + T.DataSchema]! | t[o + T.SchemaUrl]!,
    escaped: t[o + T.Escaped]!,
    extensions: count === 0 ? undefined : t.slice(T.FirstExtension, T.FirstExtension + count * T.ExtensionSize),
    text: isText ? source : undefined,
    bytes: isText ? undefined : source,
    whole: true,
    kept: to === 0 ? Kept.Nothing : t[o + T.Present]! & ((1 << T.DataBase64) | (1 << T.DataContentEncoding)) ? Kept.Base64 : Kept.Json,
    from: t[o + T.Data]!,
    to,
    value: undefined,
  };
}

function fromChecked(parts: Parts): Inside {
  const { payload } = parts;
  return {
    version: parts.version,
    id: parts.id,
    source: parts.source,
    type: parts.type,
    time: parts.time,
    subject: parts.subject,
    contentType: parts.contentType,
    schema: parts.schema,
    escaped: (parts.implied ? IMPLIED : 0) | (parts.quotable ? QUOTABLE_ALL : 0),
    extensions: parts.extensions,
    text: payload.text,
    bytes: payload.bytes,
    whole: false,
    kept: payload.kept,
    from: payload.from ?? 0,
    to: payload.to ?? 0,
    value: undefined,
  };
}

function hasWide(it: Inside): boolean {
  return (
    it.id === T.Wide || it.source === T.Wide || it.type === T.Wide || it.time === T.Wide || it.subject === T.Wide ||
    it.contentType === T.Wide || it.schema === T.Wide
  );
}

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
    this.#it = init === SCANNED
      ? fromWords(a as Uint32Array, b as string | Uint8Array, c as number)
      : fromChecked(init === CHECKED ? (a as Parts) : readCallers(init as CloudEventInit));
    if (init === SCANNED && hasWide(this.#it)) this.#cutWide(a as Uint32Array);
  }

  /** Reads an event in the JSON format from its text, its bytes, or an object that `JSON.parse` has made of it. */
  static fromJSON<T = unknown>(json: string | Uint8Array | object): CloudEvent<T> {
    if (typeof json === "string") return scanText<T>(json);
    if (isBytes(json)) return scanBytes<T>(asBytes(json).slice());
    if (typeof json !== "object" || json === null) {
      throw new FerryError("ERR_INVALID_ARGUMENT", `CloudEvent.fromJSON takes text, bytes or an object, not ${shown(json)}`);
    }
    return scanText<T>(json instanceof CloudEvent ? json.toString() : stringified(json));
  }

  /** The version of the specification that the event follows. */
  get specversion(): Specversion {
    return this.#it.version === 10 ? "1.0" : "0.3";
  }

  /** Names the event within its source. */
  get id(): string {
    const it = this.#it.id;
    return typeof it === "string" ? it : (this.#it.id = this.#cut(it!, T.Id))!;
  }

  /** Where it happened, exactly as written. */
  get source(): string {
    const it = this.#it.source;
    return typeof it === "string" ? it : (this.#it.source = this.#cut(it!, T.Source))!;
  }

  /** What happened. */
  get type(): string {
    const it = this.#it.type;
    return typeof it === "string" ? it : (this.#it.type = this.#cut(it!, T.Type))!;
  }

  /** When it happened: RFC 3339 text exactly as written, with all its digits. */
  get time(): string | undefined {
    const it = this.#it.time;
    return typeof it === "number" ? (this.#it.time = this.#cut(it, T.Time)) : it;
  }

  /** What it is about. */
  get subject(): string | undefined {
    const it = this.#it.subject;
    return typeof it === "number" ? (this.#it.subject = this.#cut(it, T.Subject)) : it;
  }

  /** Media type of the data, exactly as written. */
  get datacontenttype(): string | undefined {
    const it = this.#it.contentType;
    if (typeof it === "number") return (this.#it.contentType = this.#cut(it, T.ContentType));
    return it === undefined && this.#it.escaped & IMPLIED ? "application/json" : it;
  }

  /** Schema of the data (1.0). */
  get dataschema(): string | undefined {
    return this.#it.version === 10 ? this.#schemaText() : undefined;
  }

  /** Schema of the data (0.3). */
  get schemaurl(): string | undefined {
    return this.#it.version === 10 ? undefined : this.#schemaText();
  }

  /**
   * The payload. JSON is parsed on first read and then kept, text is a string, everything else a Uint8Array.
   * `undefined` means that there is none; a payload of `null` is `null`.
   *
   * @throws {FerryError} `ERR_INVALID_DATA` if a message in binary mode said JSON and carried something else.
   */
  get data(): T | undefined {
    return (this.#it.value === undefined && this.#it.kept !== Kept.Nothing ? (this.#it.value = this.#readData()) : this.#it.value) as T | undefined;
  }

  /** The payload as bytes, exactly those that arrived: for data within JSON, its JSON text. A fresh copy. */
  get dataBytes(): Uint8Array<ArrayBuffer> | undefined {
    return this.#payloadBytes()?.slice();
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
        return this.#slice();
      case Kept.Json:
        return this.#isJson() ? this.#slice() : (this.data as string);
      default:
        return this.#bodyText();
    }
  }

  /** All extension attributes, by name. The object has no prototype. */
  get extensions(): Readonly<Record<string, ExtensionValue>> {
    const all: Record<string, ExtensionValue> = Object.create(null);
    this.#extensionMap()?.forEach((value, name) => {
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
      case this.#schemaName():
        return this.#schemaText();
      default:
        return this.#extensionMap()?.get(name);
    }
  }

  /** The same event with other attributes or other data. `null` and `undefined` remove. */
  with<U = T>(changes: Partial<CloudEventInit<U>>): CloudEvent<U> {
    const version = changes.specversion ?? this.specversion;
    if (version !== this.specversion) return this.toVersion(version).with(changes);
    const init: Record<string, unknown> = { ...this.extensions };
    for (const name of ["specversion", "id", "source", "type", "time", "subject"] as const) init[name] = this[name] ?? null;
    init["datacontenttype"] = this.#writtenContentType();
    init[this.#schemaName()] = this.#schemaText();
    for (const name in changes) init[name] = changes[name] ?? (name === "data" ? changes[name] : null);
    if ("data" in changes) return new CloudEvent(init as CloudEventInit<U>);
    const parts = readCallers(init as CloudEventInit);
    parts.payload = this.#payloadUnder(parts.contentType);
    parts.implied = parts.contentType === undefined && (this.#it.escaped & IMPLIED) !== 0 && !this.#it.whole;
    return fromParts<U>(parts);
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
    const schema = this.#schemaText();
    if (to10 && this.source === "") throw notConvertible("source", REASONS[1]);
    if (to10 && schema !== undefined) {
      try {
        checked("schemaurl", schema, Form.Uri);
      } catch {
        throw notConvertible("schemaurl", REASONS[6], schema);
      }
    }
    const extensions = new Map<string, ExtensionValue>();
    this.#extensionMap()?.forEach((value, name) => {
      if (typeof value === "object") throw notConvertible(name, "is an object, which 1.0 does not have");
      if (taken.includes(name)) throw notConvertible(name, `is an extension that ${version} would read as something else`);
      // 0.3 has no Boolean.
      extensions.set(name, typeof value === "boolean" && !to10 ? String(value) : value);
    });
    return fromParts({
      implied: false,
      quotable: false,
      version: to10 ? 10 : 3,
      id: this.id,
      source: this.source,
      type: this.type,
      time: this.time,
      subject: this.subject,
      contentType: this.#writtenContentType(),
      schema,
      extensions,
      payload: this.#payloadUnder(this.#writtenContentType()),
    });
  }

  /** The event in the JSON format, as an object. Numbers beyond 2^53 in `data` lose digits here; `toString` keeps them. */
  toJSON(): object {
    return JSON.parse(this.toString());
  }

  /** The event in the JSON format, as text. An event that was decoded from JSON is exactly the text that arrived. */
  toString(): string {
    if (this.#it.whole) return this.#wholeText();
    const { specversion, id, source, type, time, subject } = this;
    const contentType = this.#writtenContentType();
    const schema = this.#schemaText();
    // Few and long pieces: making one text of many short ones costs more than all else here.
    let json: string;
    if (this.#it.escaped & QUOTABLE_ALL) {
      json = `{"specversion":"${specversion}","id":"${id}","source":"${source}","type":"${type}"`;
      if (time !== undefined) json += `,"time":"${time}"`;
      if (subject !== undefined) json += `,"subject":"${subject}"`;
      if (contentType !== undefined) json += `,"datacontenttype":"${contentType}"`;
      if (schema !== undefined) json += `,"${this.#schemaName()}":"${schema}"`;
    } else {
      json = `{"specversion":"${specversion}","id":${asJson(id)},"source":${asJson(source)},"type":${asJson(type)}`;
      if (time !== undefined) json += `,"time":${asJson(time)}`;
      if (subject !== undefined) json += `,"subject":${asJson(subject)}`;
      if (contentType !== undefined) json += `,"datacontenttype":${asJson(contentType)}`;
      if (schema !== undefined) json += `,"${this.#schemaName()}":${asJson(schema)}`;
      this.#extensionMap()?.forEach((value, name) => {
        json += `,"${name}":${typeof value === "string" ? asJson(value) : JSON.stringify(value)}`;
      });
    }
    return this.#it.kept === Kept.Nothing ? `${json}}` : `${json},${this.#dataMember(contentType)}}`;
  }

  /** Shown in the console of Node and Deno. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `CloudEvent ${this.toString()}`;
  }

  /** What a message in binary mode carries. @internal */
  static binaryPayload(event: CloudEvent): { contentType: string | undefined; body: string | Uint8Array<ArrayBuffer> | undefined } {
    const contentType = event.datacontenttype;
    switch (event.#it.kept) {
      case Kept.Nothing:
        return { contentType, body: undefined };
      case Kept.Json:
        if (contentType === undefined) return { contentType: "application/json", body: event.#slice() };
        return { contentType, body: isJson(contentType) ? event.#slice() : (event.data as string) };
      case Kept.Text:
        return { contentType, body: event.#slice() };
      case Kept.Body:
        return { contentType, body: event.#it.text ?? event.dataBytes };
      default:
        return { contentType, body: event.dataBytes };
    }
  }

  /** The bytes or the text that the event arrived as, if it arrived in the JSON format. @internal */
  static arrivedAs(event: CloudEvent): string | Uint8Array<ArrayBuffer> | undefined {
    return event.#it.whole ? (event.#it.text ?? event.#it.bytes!.slice()) : undefined;
  }

  /** All extension attributes without a copy. @internal */
  static extensionsOf(event: CloudEvent): Extensions | undefined {
    return event.#extensionMap();
  }

  /** An event from the words that the engine has written of it, from a place in them. @internal */
  static scanned<T>(words: Uint32Array, source: string | Uint8Array, at: number): CloudEvent<T> {
    return new (CloudEvent as unknown as Scanned)(SCANNED, words, source, at) as CloudEvent<T>;
  }

  /** An event from parts that were checked. @internal */
  static fromParts<T>(parts: Parts): CloudEvent<T> {
    return new (CloudEvent as unknown as new (tag: symbol, parts: Parts) => CloudEvent<T>)(CHECKED, parts);
  }

  #wholeText(): string {
    return (this.#it.text ??= utf8.decode(this.#it.bytes!));
  }

  #slice(): string {
    return (this.#it.whole ? this.#wholeText() : this.#it.text!).slice(this.#it.from, this.#it.to);
  }

  #cut(place: number, member: number): string | undefined {
    if (place === 0) return undefined;
    const start = place >>> 12;
    const text = (this.#it.text ?? this.#wholeText()).substring(start, start + (place & 0xfff));
    return (this.#it.escaped >>> member) & 1 ? JSON.parse(`"${text}"`) : text;
  }

  /** Cuts all strings at once: some stand too far back, or are too long, for the packed form. */
  #cutWide(table: Uint32Array): void {
    const text = this.#wholeText();
    const cut = (member: number) => {
      if (table[member] === 0) return undefined;
      const at = T.Places + member * T.PlaceSize;
      const raw = text.slice(table[at], table[at + 1]);
      return (this.#it.escaped >>> member) & 1 ? JSON.parse(`"${raw}"`) : raw;
    };
    this.#it.id = cut(T.Id);
    this.#it.source = cut(T.Source);
    this.#it.type = cut(T.Type);
    this.#it.time = cut(T.Time);
    this.#it.subject = cut(T.Subject);
    this.#it.contentType = cut(T.ContentType);
    this.#it.schema = cut(this.#it.version === 10 ? T.DataSchema : T.SchemaUrl);
  }

  #schemaName(): "dataschema" | "schemaurl" {
    return this.#it.version === 10 ? "dataschema" : "schemaurl";
  }

  #schemaText(): string | undefined {
    const it = this.#it.schema;
    return typeof it === "number" ? (this.#it.schema = this.#cut(it, this.#it.version === 10 ? T.DataSchema : T.SchemaUrl)) : it;
  }

  /** The media type that stands in the event, not the one that is implied. */
  #writtenContentType(): string | undefined {
    const it = this.#it.contentType;
    return typeof it === "number" ? this.datacontenttype : it;
  }

  #isJson(): boolean {
    const contentType = this.datacontenttype;
    return contentType === undefined || isJson(contentType);
  }

  #extensionMap(): Extensions | undefined {
    const it = this.#it.extensions;
    if (!(it instanceof Uint32Array)) return it;
    const text = this.#wholeText();
    const map = new Map<string, ExtensionValue>();
    for (let at = 0; at < it.length; at += T.ExtensionSize) {
      const flags = it[at + 4]!;
      const name = text.slice(it[at], it[at + 1]);
      const value = text.slice(it[at + 2], it[at + 3]);
      map.set(
        flags & 4 ? JSON.parse(`"${name}"`) : name,
        flags & 1 ? deepFreeze(JSON.parse(value)) : flags & 2 ? JSON.parse(`"${value}"`) : value,
      );
    }
    return (this.#it.extensions = map);
  }

  #readData(): unknown {
    switch (this.#it.kept) {
      case Kept.Json:
        return JSON.parse(this.#slice());
      case Kept.Text:
        return this.#slice();
      case Kept.Body: {
        const contentType = this.datacontenttype ?? "";
        if (isJson(contentType)) return parsedJson(this.#bodyText());
        return isTextual(contentType) ? this.#bodyText() : this.dataBytes;
      }
      default:
        return this.#payloadBytes()!.slice();
    }
  }

  /** The payload as the text that its bytes stand for. */
  #bodyText(): string {
    return this.#it.kept === Kept.Body && this.#it.text !== undefined ? this.#it.text : decodeText(this.#payloadBytes()!, this.datacontenttype);
  }

  /** The payload as bytes, ours. */
  #payloadBytes(): Uint8Array | undefined {
    switch (this.#it.kept) {
      case Kept.Nothing:
        return undefined;
      case Kept.Json:
      case Kept.Text:
        return new TextEncoder().encode(this.#it.kept === Kept.Json && !this.#isJson() ? (this.data as string) : this.#slice());
      case Kept.Base64: {
        const text = this.#slice();
        return fromBase64(text.includes("\\") ? JSON.parse(`"${text}"`) : text);
      }
      case Kept.Body:
        return this.#it.bytes ?? new TextEncoder().encode(this.#it.text);
      default:
        return this.#it.bytes;
    }
  }

  /** The payload for an event with that media type. */
  #payloadUnder(contentType: string | undefined): Payload {
    const json = contentType === undefined || isJson(contentType);
    switch (this.#it.kept) {
      case Kept.Nothing:
        return NO_PAYLOAD;
      case Kept.Json: {
        const text = this.#slice();
        if (!json && text[0] !== '"') throw notString(contentType!);
        return { kept: Kept.Json, text, from: 0, to: text.length };
      }
      case Kept.Text: {
        const text = json ? JSON.stringify(this.#slice()) : this.#slice();
        return { kept: json ? Kept.Json : Kept.Text, text, from: 0, to: text.length };
      }
      case Kept.Body:
        return { kept: Kept.Body, bytes: this.#it.bytes, text: this.#it.text };
      default:
        return { kept: Kept.Bytes, bytes: this.#payloadBytes() };
    }
  }

  /** `"data":…` or `"data_base64":…`: JSON format, section 3.1. */
  #dataMember(contentType: string | undefined): string {
    const json = contentType === undefined || isJson(contentType);
    switch (this.#it.kept) {
      case Kept.Json:
        return `"data":${this.#slice()}`;
      case Kept.Text:
        return `"data":${asJson(this.#slice())}`;
    }
    const bytes = this.#payloadBytes()!;
    // A body that is JSON, or text in UTF-8, is written as such, and what would not come back as it was is Base64. Only
    // white space around a JSON value is left behind: it is not part of the value, and a receiver who finds Base64
    // instead of an object because of a line break at the end would be surprised.
    // 0.3 wants a JSON value also of other bytes under a JSON media type.
    if (json && contentType !== undefined && (this.#it.kept === Kept.Body || this.#it.version === 3) && isJsonText(bytes)) {
      return `"data":${utf8.decode(bytes)}`;
    }
    if (this.#it.kept === Kept.Body && contentType !== undefined && !json && isTextual(contentType) && /^utf-?8$/i.test(charsetOf(contentType))) {
      const text = utf8.decode(bytes);
      if (sameBytes(new TextEncoder().encode(text), bytes)) return `"data":${asJson(text)}`;
    }
    const base64 = toBase64(bytes);
    return this.#it.version === 10 ? `"data_base64":"${base64}"` : `"datacontentencoding":"base64","data":"${base64}"`;
  }
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const { fromParts } = CloudEvent;

/** How many words a row has. */
export const ROW_WORDS = 16;

/** Whether a row says all of its event, so that nothing has to be scanned again. */
export function isComplete(rows: Uint32Array, at: number): boolean {
  if (rows[at + T.Extensions] !== 0) return false;
  for (let member: number = T.Id; member <= T.SchemaUrl; member++) if (rows[at + member] === T.Wide) return false;
  return true;
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

/** The error for what the engine has just refused. */
export function refused(number: number, source: string | Uint8Array, where = ""): FerryError {
  const { table } = engine();
  const code = codeOf(number);
  const [reason, culprit, at, end] = [REASONS[table[T.Reason]!], table[T.Culprit]!, table[T.At]!, table[T.NameEnd]!];
  if (culprit === 254) {
    const place = code === "ERR_INVALID_EVENT" || code === "ERR_INVALID_BATCH" ? ` (at position ${at})` : "";
    return new FerryError(code, `${sentenceOf(code)}: ${where || "it"} ${reason}${place}`);
  }
  let attribute: string = MEMBERS[culprit] ?? "";
  if (culprit === 255) {
    const text = typeof source === "string" ? source : utf8.decode(source);
    const name = text.slice(at, end & 0x7fffffff);
    attribute = end >>> 31 ? JSON.parse(`"${name}"`) : name;
  }
  const noun = attribute.startsWith("data") && attribute.length !== 4 && !attribute.includes("_") ? "attribute" : attribute.startsWith("data") ? "member" : "attribute";
  return new FerryError(code, `${where && `${where}: `}the ${noun} ${shown(attribute)} ${reason}`, { attribute });
}

function stringified(value: unknown): string {
  try {
    const text = JSON.stringify(value);
    if (text !== undefined) return text;
  } catch (cause) {
    throw new FerryError("ERR_INVALID_DATA", `the data cannot be expressed in JSON: ${(cause as Error).message}`, { attribute: "data", cause, culprit: "caller" });
  }
  throw new FerryError("ERR_INVALID_DATA", `the data cannot be expressed in JSON: it is a ${typeof value}`, { attribute: "data", culprit: "caller" });
}

function asJson(text: string): string {
  return QUOTABLE.test(text) ? `"${text}"` : JSON.stringify(text);
}

function isJsonText(bytes: Uint8Array): boolean {
  const len = putBytes(bytes);
  return call(() => engine().codecs.is_json(len)) !== 0;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function decodeText(bytes: Uint8Array, contentType: string | undefined): string {
  const charset = charsetOf(contentType);
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FerryError("ERR_INVALID_DATA", `the data is no text in the charset ${shown(charset)}`, { attribute: "data", cause });
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (cause) {
    throw new FerryError("ERR_INVALID_DATA", `the data is not JSON, although its datacontenttype says so: ${(cause as Error).message}`, { attribute: "data", cause });
  }
}

function notString(contentType: string): FerryError {
  return new FerryError("ERR_INVALID_DATA", `the data ${REASONS[19]}: ${shown(contentType)}`, { attribute: "data" });
}

function notConvertible(attribute: string, problem: string, value?: unknown): FerryError {
  return badAttribute(attribute, problem, value, "ERR_NOT_CONVERTIBLE");
}

function unsupportedVersion(version: unknown): FerryError {
  return new FerryError("ERR_UNSUPPORTED_SPECVERSION", `the attribute "specversion" ${REASONS[20]}: ${shown(version)}`, { attribute: "specversion" });
}

/** Checks everything that a caller passes. The codes are those of a peer's faults, but this one is the caller's. */
function readCallers(init: CloudEventInit): Parts {
  try {
    return readInit(init);
  } catch (error) {
    if (!(error instanceof FerryError) || error.culprit !== "peer") throw error;
    const { code, message, attribute } = error;
    throw new FerryError(code, message, { attribute, culprit: "caller", ...(error.cause !== undefined && { cause: error.cause }) });
  }
}

function readInit(init: CloudEventInit): Parts {
  if (typeof init !== "object" || init === null) {
    throw new FerryError("ERR_INVALID_ARGUMENT", `a CloudEvent is made from an object, not from ${shown(init)}`);
  }
  const specversion = init.specversion ?? "1.0";
  if (specversion !== "1.0" && specversion !== "0.3") throw unsupportedVersion(specversion);
  const v10 = specversion === "1.0";
  let id: string | undefined;
  let source: string | undefined;
  let type: string | undefined;
  let time: string | null | undefined;
  let subject: string | undefined;
  let contentType: string | undefined;
  let schema: string | undefined;
  let inBase64 = false;
  // URIs and timestamps cannot have characters that JSON escapes.
  let quotable = true;
  let extensions: Map<string, ExtensionValue> | undefined;
  for (const name in init) {
    const value = init[name];
    if (value === undefined) continue;
    if (value === null) {
      if (name === "time") time = null;
      else if (name !== "data") checkName(name);
      continue;
    }
    switch (name) {
      case "specversion":
      case "data":
        break;
      case "id":
        if (isQuotable(value)) id = value;
        else [id, quotable] = [checked(name, value, Form.Text), false];
        break;
      case "source":
        source = checked(name, value, Form.UriReference, !v10);
        break;
      case "type":
        if (isQuotable(value)) type = value;
        else [type, quotable] = [checked(name, value, Form.Text), false];
        break;
      case "time":
        time = value instanceof Date ? toTimestamp(name, value) : checked(name, value, Form.Timestamp);
        break;
      case "subject":
        if (isQuotable(value)) subject = value;
        else [subject, quotable] = [checked(name, value, Form.Text), false];
        break;
      case "datacontenttype":
        contentType = checked(name, value, Form.MediaType);
        if (contentType !== "application/json" && !isQuotable(contentType)) quotable = false;
        break;
      default:
        // What somebody has put on Object.prototype is no attribute.
        if (!Object.hasOwn(init, name)) break;
        if (name === (v10 ? "dataschema" : "schemaurl")) {
          schema = checked(name, value, v10 ? Form.Uri : Form.UriReference, !v10);
        } else if (!v10 && name === "datacontentencoding") {
          if (typeof value !== "string" || value.toLowerCase() !== "base64") throw badAttribute(name, REASONS[21], value);
          inBase64 = true;
        } else {
          checkName(name);
          (extensions ??= new Map()).set(name, toExtensionValue(name, value, !v10));
        }
    }
  }
  if (source === undefined) throw missing("source");
  if (type === undefined) throw missing("type");
  if (init.id === null) throw missing("id");
  const payload = toPayload(init.data, contentType, inBase64);
  return {
    version: v10 ? 10 : 3,
    id: id ?? freshId(),
    source,
    type,
    time: time === undefined ? timestampNow() : (time ?? undefined),
    subject,
    contentType,
    schema,
    extensions,
    payload,
    implied: contentType === undefined && payload.kept === Kept.Json,
    quotable: quotable && extensions === undefined,
  };
}

/** Whether a value is text of printable ASCII that JSON does not escape, which makes it a String as well. */
function isQuotable(value: unknown): value is string {
  return typeof value === "string" && value !== "" && QUOTABLE.test(value);
}

/** The error for a required attribute that is not there. */
export function missing(name: string): FerryError {
  return new FerryError("ERR_MISSING_ATTRIBUTE", `the attribute ${shown(name)} is missing`, { attribute: name });
}

function toPayload(data: unknown, contentType: string | undefined, inBase64: boolean): Payload {
  if (data === undefined) return NO_PAYLOAD;
  if (isBytes(data)) return { kept: Kept.Bytes, bytes: asBytes(data).slice() };
  if (inBase64 && typeof data === "string") return { kept: Kept.Bytes, bytes: decodedBase64(data) };
  if (contentType === undefined || isJson(contentType)) {
    if (typeof data === "number" && !Number.isFinite(data)) throw new FerryError("ERR_INVALID_DATA", `the data ${data} cannot be expressed in JSON`, { attribute: "data", culprit: "caller" });
    const text = stringified(data);
    // The object itself is not kept: what the caller does to it later must not reach the event.
    return { kept: Kept.Json, text, from: 0, to: text.length };
  }
  if (typeof data !== "string") throw notString(contentType);
  if (!isWellFormed(data)) throw new FerryError("ERR_INVALID_DATA", "the data has half a surrogate pair in it", { attribute: "data", culprit: "caller" });
  return { kept: Kept.Text, text: data, from: 0, to: data.length };
}

function decodedBase64(text: string): Uint8Array {
  try {
    const bytes = fromBase64(text);
    if (toBase64(bytes) === text) return bytes;
  } catch {
    // The same refusal as for text that only nearly is Base64.
  }
  throw new FerryError("ERR_INVALID_DATA", `the data ${REASONS[18]}`, { attribute: "data" });
}

/** The payload that a body in binary mode is; bytes are not copied. No bytes at all are no payload. */
export function bodyPayload(body: string | Uint8Array | null | undefined): Payload {
  if (body === null || body === undefined || body.length === 0) return NO_PAYLOAD;
  if (typeof body !== "string") return { kept: Kept.Body, bytes: body };
  if (!isWellFormed(body)) throw new FerryError("ERR_INVALID_DATA", "the body has half a surrogate pair in it", { attribute: "data" });
  return { kept: Kept.Body, text: body };
}
