/**
 * What an event keeps, and how its attributes and its payload are read out of it. `event.ts` is the face of this.
 */
import { FerryError, REASONS } from "../../engine/errors.js";
import { call, engine, isWellFormed, putBytes } from "../../engine/instance.js";
import { type ExtensionValue, charsetOf, deepFreeze, fromBase64, isJson, isTextual, toBase64 } from "./attribute.js";
import { T } from "./table.js";
import { formatValue } from "../../engine/messages.js";

/** How the payload is kept. */
export const enum Kept {
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

/** Strings that need no escapes in JSON. */
export const QUOTABLE = /^[ !#-[\]-~]*$/;

/** A string attribute: its text, or its place in the text of the event (`start << 12 | length`, 0 for absent). */
type Cut = string | number | undefined;
export type Extensions = ReadonlyMap<string, ExtensionValue>;

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

export interface Payload {
  kept: Kept;
  text?: string | undefined;
  from?: number;
  to?: number;
  bytes?: Uint8Array | undefined;
}

/** In the set of members with escapes: the places of `specversion` and `data`, which are never cut. */
export const IMPLIED = 1;
export const QUOTABLE_ALL = 1 << T.Data;
export const NO_PAYLOAD: Payload = { kept: Kept.Nothing };
/**
 * What an event keeps. One object instead of private fields of the event: engines make an object literal in one
 * go, but every private field on its own.
 */
export interface Inside {
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
export function fromWords(t: Uint32Array, source: string | Uint8Array, o: number): Inside {
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
    kept:
      to === 0
        ? Kept.Nothing
        : t[o + T.Present]! & ((1 << T.DataBase64) | (1 << T.DataContentEncoding))
          ? Kept.Base64
          : Kept.Json,
    from: t[o + T.Data]!,
    to,
    value: undefined,
  };
}

/** From parts that were checked. */
export function fromChecked(parts: Parts): Inside {
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

/** Whether a string attribute is too far away or too long for the packed form. */
export function hasWide(it: Inside): boolean {
  return (
    it.id === T.Wide ||
    it.source === T.Wide ||
    it.type === T.Wide ||
    it.time === T.Wide ||
    it.subject === T.Wide ||
    it.contentType === T.Wide ||
    it.schema === T.Wide
  );
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The JSON text of the whole event. */
export function wholeText(it: Inside): string {
  return (it.text ??= utf8.decode(it.bytes!));
}

/** What `from` and `to` stand around. */
export function sliceOf(it: Inside): string {
  return (it.whole ? wholeText(it) : it.text!).slice(it.from, it.to);
}

/** A string attribute by its place in the text. */
export function cut(it: Inside, place: number, member: number): string | undefined {
  if (place === 0) return undefined;
  const start = place >>> 12;
  const text = (it.text ?? wholeText(it)).substring(start, start + (place & 0xfff));
  return (it.escaped >>> member) & 1 ? JSON.parse(`"${text}"`) : text;
}

/** Cuts all strings at once: some stand too far back, or are too long, for the packed form. */
export function cutWide(it: Inside, table: Uint32Array): void {
  const text = wholeText(it);
  const cut = (member: number) => {
    if (table[member] === 0) return undefined;
    const at = T.Places + member * T.PlaceSize;
    const raw = text.slice(table[at], table[at + 1]);
    return (it.escaped >>> member) & 1 ? JSON.parse(`"${raw}"`) : raw;
  };
  it.id = cut(T.Id);
  it.source = cut(T.Source);
  it.type = cut(T.Type);
  it.time = cut(T.Time);
  it.subject = cut(T.Subject);
  it.contentType = cut(T.ContentType);
  it.schema = cut(it.version === 10 ? T.DataSchema : T.SchemaUrl);
}

/** What the schema attribute is called in this version. */
export function schemaName(it: Inside): "dataschema" | "schemaurl" {
  return it.version === 10 ? "dataschema" : "schemaurl";
}

/** The schema of the data. */
export function schemaText(it: Inside): string | undefined {
  const { schema } = it;
  return typeof schema === "number"
    ? (it.schema = cut(it, schema, it.version === 10 ? T.DataSchema : T.SchemaUrl))
    : schema;
}

/** The media type, also the one that is implied. */
export function contentTypeOf(it: Inside): string | undefined {
  return writtenContentType(it) ?? (it.escaped & IMPLIED ? "application/json" : undefined);
}

/** The media type that stands in the event, not the one that is implied. */
export function writtenContentType(it: Inside): string | undefined {
  const { contentType } = it;
  return typeof contentType === "number" ? (it.contentType = cut(it, contentType, T.ContentType)) : contentType;
}

/** Whether the payload is a JSON value. */
export function holdsJson(it: Inside): boolean {
  const contentType = contentTypeOf(it);
  return contentType === undefined || isJson(contentType);
}

/** The extension attributes as values. */
export function extensionsIn(it: Inside): Extensions | undefined {
  const { extensions: words } = it;
  if (!(words instanceof Uint32Array)) return words;
  const text = wholeText(it);
  const map = new Map<string, ExtensionValue>();
  for (let at = 0; at < words.length; at += T.ExtensionSize) {
    const flags = words[at + 4]!;
    const name = text.slice(words[at], words[at + 1]);
    const value = text.slice(words[at + 2], words[at + 3]);
    map.set(
      flags & 4 ? JSON.parse(`"${name}"`) : name,
      flags & 1 ? deepFreeze(JSON.parse(value)) : flags & 2 ? JSON.parse(`"${value}"`) : value,
    );
  }
  return (it.extensions = map);
}

/** The payload as its user sees it; read once. */
export function dataOf(it: Inside): unknown {
  return it.value === undefined && it.kept !== Kept.Nothing ? (it.value = readData(it)) : it.value;
}

function readData(it: Inside): unknown {
  switch (it.kept) {
    case Kept.Json:
      return JSON.parse(sliceOf(it));
    case Kept.Text:
      return sliceOf(it);
    case Kept.Body: {
      const contentType = contentTypeOf(it) ?? "";
      if (isJson(contentType)) return parsedJson(bodyText(it));
      return isTextual(contentType) ? bodyText(it) : payloadBytes(it)!.slice();
    }
    default:
      return payloadBytes(it)!.slice();
  }
}

/** The payload as the text that its bytes stand for. */
export function bodyText(it: Inside): string {
  return it.kept === Kept.Body && it.text !== undefined ? it.text : decodeText(payloadBytes(it)!, contentTypeOf(it));
}

/** The payload as bytes, ours. */
export function payloadBytes(it: Inside): Uint8Array | undefined {
  switch (it.kept) {
    case Kept.Nothing:
      return undefined;
    case Kept.Json:
    case Kept.Text:
      return it.kept === Kept.Json && holdsJson(it)
        ? new TextEncoder().encode(sliceOf(it))
        : textBytes(dataOf(it) as string, contentTypeOf(it));
    case Kept.Base64: {
      const text = sliceOf(it);
      return fromBase64(text.includes("\\") ? JSON.parse(`"${text}"`) : text);
    }
    case Kept.Body:
      return it.bytes ?? new TextEncoder().encode(it.text);
    default:
      return it.bytes;
  }
}

/** Text in the charset of its media type, as far as platforms can write it: UTF-8 and ISO-8859-1. */
function textBytes(text: string, contentType: string | undefined): Uint8Array<ArrayBuffer> {
  const charset = charsetOf(contentType);
  if (isUtf8(charset) || /^[\0-\x7f]*$/.test(text)) return new TextEncoder().encode(text);
  if (/^(?:iso-?8859-1|latin-?1)$/i.test(charset) && /^[\0-\x7f\xa0-\xff]*$/.test(text))
    return Uint8Array.from(text, (char) => char.charCodeAt(0));
  throw new FerryError(
    "ERR_INVALID_DATA",
    `the data cannot be written in the charset ${formatValue(charset)} of its datacontenttype`,
    { attribute: "data", culprit: "caller" },
  );
}

function isUtf8(charset: string): boolean {
  return /^utf-?8$/i.test(charset);
}

/** What a message in binary mode carries. */
export function binaryBody(it: Inside): string | Uint8Array<ArrayBuffer> | undefined {
  if (it.kept === Kept.Body) return it.text ?? it.bytes!.slice();
  if (it.kept === Kept.Json && holdsJson(it)) return sliceOf(it);
  const isText = it.kept === Kept.Json || it.kept === Kept.Text;
  return isText && isUtf8(charsetOf(contentTypeOf(it))) ? (dataOf(it) as string) : payloadBytes(it)?.slice();
}

/** The payload for an event with that media type. */
export function payloadUnder(it: Inside, contentType: string | undefined): Payload {
  const json = contentType === undefined || isJson(contentType);
  switch (it.kept) {
    case Kept.Nothing:
      return NO_PAYLOAD;
    case Kept.Json: {
      const text = sliceOf(it);
      if (!json && text[0] !== '"') throw notString(contentType!);
      return { kept: Kept.Json, text, from: 0, to: text.length };
    }
    case Kept.Text: {
      const text = json ? JSON.stringify(sliceOf(it)) : sliceOf(it);
      return { kept: json ? Kept.Json : Kept.Text, text, from: 0, to: text.length };
    }
    case Kept.Body:
      return { kept: Kept.Body, bytes: it.bytes, text: it.text };
    default:
      return { kept: Kept.Bytes, bytes: payloadBytes(it) };
  }
}

/** `"data":…` or `"data_base64":…`: JSON format, section 3.1. */
export function dataMember(it: Inside, contentType: string | undefined): string {
  const json = contentType === undefined || isJson(contentType);
  switch (it.kept) {
    case Kept.Json:
      return `"data":${sliceOf(it)}`;
    case Kept.Text:
      return `"data":${asJson(sliceOf(it))}`;
  }
  const bytes = payloadBytes(it)!;
  // A body that is JSON, or text in UTF-8, is written as such, and what would not come back as it was is Base64. Only
  // white space around a JSON value is left behind: it is not part of the value, and a receiver who finds Base64
  // instead of an object because of a line break at the end would be surprised.
  // 0.3 wants a JSON value also of other bytes under a JSON media type.
  if (json && contentType !== undefined && (it.kept === Kept.Body || it.version === 3) && isJsonText(bytes)) {
    return `"data":${utf8.decode(bytes)}`;
  }
  if (
    it.kept === Kept.Body &&
    contentType !== undefined &&
    !json &&
    isTextual(contentType) &&
    isUtf8(charsetOf(contentType))
  ) {
    const text = utf8.decode(bytes);
    if (sameBytes(new TextEncoder().encode(text), bytes)) return `"data":${asJson(text)}`;
  }
  const base64 = toBase64(bytes);
  return it.version === 10 ? `"data_base64":"${base64}"` : `"datacontentencoding":"base64","data":"${base64}"`;
}

/** The payload that a body in binary mode is; bytes are not copied. No bytes at all are no payload. */
export function bodyPayload(body: string | Uint8Array | null | undefined): Payload {
  if (body === null || body === undefined || body.length === 0) return NO_PAYLOAD;
  if (typeof body !== "string") return { kept: Kept.Body, bytes: body };
  if (!isWellFormed(body))
    throw new FerryError("ERR_INVALID_DATA", "the body has half a surrogate pair in it", { attribute: "data" });
  return { kept: Kept.Body, text: body };
}

/** Text between quotes, with escapes where JSON needs them. */
export function asJson(text: string): string {
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
    throw new FerryError("ERR_INVALID_DATA", `the data is no text in the charset ${formatValue(charset)}`, {
      attribute: "data",
      cause,
    });
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (cause) {
    throw new FerryError(
      "ERR_INVALID_DATA",
      `the data is not JSON, although its datacontenttype says so: ${(cause as Error).message}`,
      { attribute: "data", cause },
    );
  }
}

/** The error for data that is not text under a media type that is not JSON. */
export function notString(contentType: string): FerryError {
  return new FerryError("ERR_INVALID_DATA", `the data ${REASONS[19]}: ${formatValue(contentType)}`, {
    attribute: "data",
  });
}
