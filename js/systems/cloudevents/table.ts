/**
 * The table that the engine fills when it scans an event: the fields of the event, its attributes, and the error if it is
 * rejected. `src/cloudevents/table.rs` defines the layout.
 *
 * A JavaScript engine replaces a constant by its number only if it is neither exported nor a member of an object. So all
 * readers of the table are in this file: with exported offsets, decoding was 4 % slower in Node 20.
 */
import { codeOf, FerryError, REASONS, sentenceOf } from "../../engine/errors.js";
import { engine } from "../../engine/instance.js";
import { formatValue } from "../../engine/messages.js";
import { deepFreeze, type ExtensionValue } from "./attribute.js";
import { type EventFields, type Extensions, eventText, HAS_DEFAULT_CONTENT_TYPE } from "./event-fields.js";
import { isJson } from "./media-type.js";

// The first twelve words are one for each member, in the order of `MEMBERS`. The word of a string member holds its
// position in the text, `start << 12 | length`: 0 if it is absent, `UNPACKED` if it does not fit.
const ID = 1;
const SOURCE = 2;
const TYPE = 3;
const TIME = 4;
const SUBJECT = 5;
const CONTENT_TYPE = 6;
const DATA_SCHEMA = 7;
const SCHEMA_URL = 8;
const UNPACKED = 1;

// Members that are not strings to cut out. Their words hold other positions.
const DATA_CONTENT_ENCODING = 9;
const DATA_BASE64 = 11;
export const EVENT_START = 0;
export const EVENT_END = 9;
const PAYLOAD_START = 10;
const PAYLOAD_END = 11;

/** A set with one bit for each member that is present. */
const PRESENT = 12;
/** The members of `PRESENT` that make the payload Base64. */
const BASE64_MEMBERS = (1 << DATA_BASE64) | (1 << DATA_CONTENT_ENCODING);
/** A set with one bit for each member whose text has escapes. */
const ESCAPED = 13;
/** 10 for 1.0, 3 for 0.3. */
const VERSION = 14;
const EXTENSION_COUNT = 15;
/** The number of words in a row. A batch has one row for each event; the table starts with one. */
export const ROW_WORDS = 16;

// Only in the table, after a rejection.
export const REASON = 16;
const TARGET = 17;
const TARGET_DOCUMENT = 254;
const TARGET_NAME = 255;
const AT = 18;
const NAME_END = 19;
/** Only in the table: the index of the rejected event, or the number of events in the batch. */
export const INDEX = 20;

/** Only in the table: start and end of each member, and five words more. */
const SPANS = 21;
const SPAN_WORDS = 7;
/** Only in the table: start and end of name and value, the flags and a checksum of each extension attribute. */
const EXTENSIONS = SPANS + 12 * SPAN_WORDS;
const EXTENSION_WORDS = 6;

const MEMBERS = [
  "specversion",
  "id",
  "source",
  "type",
  "time",
  "subject",
  "datacontenttype",
  "dataschema",
  "schemaurl",
  "datacontentencoding",
  "data",
  "data_base64",
] as const;

// Places of these sentences in `REASONS`.
const TRAILING = 15;
const NOT_ARRAY = 22;

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

/** Whether the row describes all of its event, so that the event need not be scanned again. */
export function isComplete(rows: Uint32Array, offset: number): boolean {
  if (rows[offset + EXTENSION_COUNT] !== 0) return false;
  for (let member: number = ID; member <= SCHEMA_URL; member++) if (rows[offset + member] === UNPACKED) return false;
  return true;
}

/** The attribute `id`. */
export function idOf(fields: EventFields): string {
  const { id } = fields;
  if (typeof id !== "number") return id!;
  const text = cutString(fields, id, ID)!;
  fields.id = text;
  return text;
}

/** The attribute `source`. */
export function sourceOf(fields: EventFields): string {
  const { source } = fields;
  if (typeof source !== "number") return source!;
  const text = cutString(fields, source, SOURCE)!;
  fields.source = text;
  return text;
}

/** The attribute `type`. */
export function typeOf(fields: EventFields): string {
  const { type } = fields;
  if (typeof type !== "number") return type!;
  const text = cutString(fields, type, TYPE)!;
  fields.type = text;
  return text;
}

/** The attribute `time`. */
export function timeOf(fields: EventFields): string | undefined {
  const { time } = fields;
  if (typeof time !== "number") return time;
  const text = cutString(fields, time, TIME);
  fields.time = text;
  return text;
}

/** The attribute `subject`. */
export function subjectOf(fields: EventFields): string | undefined {
  const { subject } = fields;
  if (typeof subject !== "number") return subject;
  const text = cutString(fields, subject, SUBJECT);
  fields.subject = text;
  return text;
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
  const { extensions } = fields;
  if (!(extensions instanceof Uint32Array)) return extensions;
  const text = eventText(fields);
  const map = new Map<string, ExtensionValue>();
  for (let at = 0; at < extensions.length; at += EXTENSION_WORDS) {
    const name = text.slice(extensions[at], extensions[at + 1]);
    const value = text.slice(extensions[at + 2], extensions[at + 3]);
    const flags = extensions[at + 4]!;
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

/** A string attribute from its position in the text. */
function cutString(fields: EventFields, position: number, member: number): string | undefined {
  if (position === 0) return undefined;
  const start = position >>> 12;
  const text = (fields.text ?? eventText(fields)).substring(start, start + (position & 0xfff));
  return (fields.escaped >>> member) & 1 ? JSON.parse(`"${text}"`) : text;
}

/**
 * The error for the input that the engine has just rejected.
 *
 * @param number the number that the engine returned
 * @param where the event in its batch, for the message
 */
export function rejected(number: number, source: string | Uint8Array, where = ""): FerryError {
  const { table } = engine();
  const code = codeOf(number);
  const [reason, target, at, end] = [REASONS[table[REASON]!], table[TARGET]!, table[AT]!, table[NAME_END]!];
  if (target === TARGET_DOCUMENT) {
    const position = code === "ERR_INVALID_EVENT" || code === "ERR_INVALID_BATCH" ? ` (at position ${at})` : "";
    // These two are about the batch and not about an event in it.
    const isAboutBatch = table[REASON] === TRAILING || table[REASON] === NOT_ARRAY;
    return new FerryError(code, `${sentenceOf(code)}: ${isAboutBatch ? "it" : where || "it"} ${reason}${position}`);
  }
  let attribute: string = MEMBERS[target] ?? "";
  if (target === TARGET_NAME) {
    const text = typeof source === "string" ? source : new TextDecoder().decode(source);
    const name = text.slice(at, end & 0x7fffffff);
    attribute = end >>> 31 ? JSON.parse(`"${name}"`) : name;
  }
  const noun = attribute === "data" || attribute === "data_base64" ? "member" : "attribute";
  return new FerryError(code, `${where && `${where}: `}the ${noun} ${formatValue(attribute)} ${reason}`, { attribute });
}
