/**
 * The fields that an event stores, and how its attributes are read from them. `event.ts` has the public class,
 * `event-data.ts` reads the payload.
 */
import { deepFreeze, type ExtensionValue } from "./attribute.js";
import { isJson } from "./media-type.js";
import {
  BASE64_MEMBERS,
  CONTENT_TYPE,
  DATA_SCHEMA,
  ESCAPED,
  EXTENSION_COUNT,
  EXTENSION_WORDS,
  EXTENSIONS,
  ID,
  PAYLOAD_END,
  PAYLOAD_START,
  PRESENT,
  SCHEMA_URL,
  SOURCE,
  SPAN_WORDS,
  SPANS,
  SUBJECT,
  TIME,
  TYPE,
  UNPACKED,
  VERSION,
} from "./table.js";

/**
 * How the payload is stored:
 *
 * | kind | stored as |
 * |---|---|
 * | `none` | there is no payload |
 * | `json` | JSON text, `text` from `payloadStart` to `payloadEnd` |
 * | `text` | text of a media type that is not JSON, in the same place |
 * | `base64` | Base64 of the payload, in the same place |
 * | `bytes` | binary data, `bytes` |
 * | `body` | the body of a message in binary mode, `bytes` or `text`; the media type decides what it is |
 */
export type PayloadKind = "none" | "json" | "text" | "base64" | "bytes" | "body";

/** A string attribute: its text, or its position in the text of the event (`start << 12 | length`, 0 if absent). */
type StringField = string | number | undefined;
export type Extensions = ReadonlyMap<string, ExtensionValue>;

/** The parts of an event that was not scanned. All of them are checked. */
export interface EventParts {
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
  /** No media type was given and the payload is JSON. */
  hasDefaultContentType: boolean;
  /** No attribute has a character that JSON escapes, and there are no extension attributes. */
  isPlain: boolean;
}

/** A payload, with the members of `EventFields` that store it. */
export interface Payload {
  kind: PayloadKind;
  text?: string | undefined;
  start?: number;
  end?: number;
  bytes?: Uint8Array | undefined;
}

export const NO_PAYLOAD: Payload = { kind: "none" };

// Two flags in the set of members with escapes. Their bits are those of `specversion` and `data`, which are never
// cut out of the text.
/** The media type is the default one, which the JSON format need not name. */
export const HAS_DEFAULT_CONTENT_TYPE = 1;
/** All attributes can be written between quotes as they are. */
export const IS_PLAIN: number = 1 << PAYLOAD_START;

/**
 * The fields of an event. This is one object instead of private fields of the class: JavaScript engines create an
 * object literal in one step, but private fields one by one.
 */
export interface EventFields {
  /** 10 for 1.0, 3 for 0.3. */
  version: number;
  id: StringField;
  source: StringField;
  type: StringField;
  time: StringField;
  subject: StringField;
  contentType: StringField;
  schema: StringField;
  /** The members whose text has escapes, and the two flags. */
  escaped: number;
  /** As scanned, six words each; as values after they were first read. */
  extensions: Uint32Array | Extensions | undefined;
  /** If `hasEventText`, the JSON text of the whole event; else the payload. */
  text: string | undefined;
  bytes: Uint8Array | undefined;
  hasEventText: boolean;
  payloadKind: PayloadKind;
  payloadStart: number;
  payloadEnd: number;
  /** The payload as a value, after it was first read. */
  data: unknown;
}

/** The fields of the event that was scanned last, or of a row of a batch. */
export function fieldsFromRow(table: Uint32Array, source: string | Uint8Array, offset: number): EventFields {
  const extensionCount = table[offset + EXTENSION_COUNT]!;
  const payloadEnd = table[offset + PAYLOAD_END]!;
  const isText = typeof source === "string";
  return {
    version: table[offset + VERSION]!,
    id: table[offset + ID]!,
    source: table[offset + SOURCE]!,
    type: table[offset + TYPE]!,
    time: table[offset + TIME]!,
    subject: table[offset + SUBJECT]!,
    contentType: table[offset + CONTENT_TYPE]!,
    schema: table[offset + DATA_SCHEMA]! | table[offset + SCHEMA_URL]!,
    escaped: table[offset + ESCAPED]!,
    extensions:
      extensionCount === 0 ? undefined : table.slice(EXTENSIONS, EXTENSIONS + extensionCount * EXTENSION_WORDS),
    text: isText ? source : undefined,
    bytes: isText ? undefined : source,
    hasEventText: true,
    payloadKind: payloadEnd === 0 ? "none" : table[offset + PRESENT]! & BASE64_MEMBERS ? "base64" : "json",
    payloadStart: table[offset + PAYLOAD_START]!,
    payloadEnd,
    data: undefined,
  };
}

/** The fields of an event that was not scanned. */
export function fieldsFromParts(parts: EventParts): EventFields {
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
    escaped: (parts.hasDefaultContentType ? HAS_DEFAULT_CONTENT_TYPE : 0) | (parts.isPlain ? IS_PLAIN : 0),
    extensions: parts.extensions,
    text: payload.text,
    bytes: payload.bytes,
    hasEventText: false,
    payloadKind: payload.kind,
    payloadStart: payload.start ?? 0,
    payloadEnd: payload.end ?? 0,
    data: undefined,
  };
}

/** Whether the position of a string attribute does not fit into one word. */
export function hasUnpacked(fields: EventFields): boolean {
  return (
    fields.id === UNPACKED ||
    fields.source === UNPACKED ||
    fields.type === UNPACKED ||
    fields.time === UNPACKED ||
    fields.subject === UNPACKED ||
    fields.contentType === UNPACKED ||
    fields.schema === UNPACKED
  );
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The JSON text of an event that has it. */
export function eventText(fields: EventFields): string {
  fields.text ??= utf8.decode(fields.bytes!);
  return fields.text;
}

/** The text of a payload of the kind `json`, `text` or `base64`. */
export function payloadText(fields: EventFields): string {
  return (fields.hasEventText ? eventText(fields) : fields.text!).slice(fields.payloadStart, fields.payloadEnd);
}

/** A string attribute from its position in the text. */
export function cutString(fields: EventFields, position: number, member: number): string | undefined {
  if (position === 0) return undefined;
  const start = position >>> 12;
  const text = (fields.text ?? eventText(fields)).substring(start, start + (position & 0xfff));
  return (fields.escaped >>> member) & 1 ? JSON.parse(`"${text}"`) : text;
}

/** Reads all string attributes from the spans in the table, because a position of one of them is not packed. */
export function cutAllStrings(fields: EventFields, table: Uint32Array): void {
  const text = eventText(fields);
  const cut = (member: number) => {
    if (table[member] === 0) return undefined;
    const span = SPANS + member * SPAN_WORDS;
    const raw = text.slice(table[span], table[span + 1]);
    return (fields.escaped >>> member) & 1 ? JSON.parse(`"${raw}"`) : raw;
  };
  fields.id = cut(ID);
  fields.source = cut(SOURCE);
  fields.type = cut(TYPE);
  fields.time = cut(TIME);
  fields.subject = cut(SUBJECT);
  fields.contentType = cut(CONTENT_TYPE);
  fields.schema = cut(fields.version === 10 ? DATA_SCHEMA : SCHEMA_URL);
}

/** The name of the schema attribute in the version of the event. */
export function schemaName(fields: EventFields): "dataschema" | "schemaurl" {
  return fields.version === 10 ? "dataschema" : "schemaurl";
}

/** The schema of the data. */
export function schemaOf(fields: EventFields): string | undefined {
  const { schema } = fields;
  if (typeof schema !== "number") return schema;
  const text = cutString(fields, schema, fields.version === 10 ? DATA_SCHEMA : SCHEMA_URL);
  fields.schema = text;
  return text;
}

/** The media type, also the default one. */
export function contentTypeOf(fields: EventFields): string | undefined {
  return explicitContentType(fields) ?? (fields.escaped & HAS_DEFAULT_CONTENT_TYPE ? "application/json" : undefined);
}

/** The media type that the event names itself. */
export function explicitContentType(fields: EventFields): string | undefined {
  const { contentType } = fields;
  if (typeof contentType !== "number") return contentType;
  const text = cutString(fields, contentType, CONTENT_TYPE);
  fields.contentType = text;
  return text;
}

/** Whether the payload is a JSON value. */
export function hasJsonData(fields: EventFields): boolean {
  const contentType = contentTypeOf(fields);
  return contentType === undefined || isJson(contentType);
}

// The flags of an extension attribute in the table.
const IS_JSON_VALUE = 1;
const IS_VALUE_ESCAPED = 2;
const IS_NAME_ESCAPED = 4;

/** The extension attributes as values. */
export function extensionsOf(fields: EventFields): Extensions | undefined {
  const { extensions: words } = fields;
  if (!(words instanceof Uint32Array)) return words;
  const text = eventText(fields);
  const map = new Map<string, ExtensionValue>();
  for (let at = 0; at < words.length; at += EXTENSION_WORDS) {
    const name = text.slice(words[at], words[at + 1]);
    const value = text.slice(words[at + 2], words[at + 3]);
    const flags = words[at + 4]!;
    map.set(
      flags & IS_NAME_ESCAPED ? JSON.parse(`"${name}"`) : name,
      flags & IS_JSON_VALUE
        ? deepFreeze(JSON.parse(value))
        : flags & IS_VALUE_ESCAPED
          ? JSON.parse(`"${value}"`)
          : value,
    );
  }
  fields.extensions = map;
  return map;
}

const NEEDS_NO_ESCAPES = /^[ !#-[\]-~]*$/;

/** Whether JSON text can have the string between quotes as it is: printable ASCII without `"` and `\`. */
export function needsNoEscapes(text: string): boolean {
  return NEEDS_NO_ESCAPES.test(text);
}

/** The string as JSON text. */
export function quoteJson(text: string): string {
  return needsNoEscapes(text) ? `"${text}"` : JSON.stringify(text);
}
