/**
 * The table that the engine fills when it scans an event: the fields of the event, its attributes, and the error if it is
 * rejected. `src/cloudevents/table.rs` defines the layout.
 *
 * A JavaScript engine replaces a constant by its number only if it is neither exported nor a member of an object. So all
 * readers of the table are in this file: with exported offsets, decoding was 4 % slower in Node 20.
 */
import { codecs } from "../../engine/modules/codecs.js";
import { codeOf, FerryError, REASONS, sentenceOf } from "../../engine/errors.js";
import { formatValue } from "../../engine/messages.js";
import { deepFreeze, type ExtensionValue } from "./attribute.js";
import { type Extensions, NO_EXTENSIONS, type PayloadKind, type Problem, type Specversion } from "./event-fields.js";
import { TextDecoder } from "../../platform/text.js";

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

/** Makes an event of the members that were scanned. They are arguments, because an object of them would cost a tenth more. */
export type ScannedConstructor<E> = new (
  tag: symbol,
  specversion: Specversion,
  id: string,
  source: string,
  type: string,
  time: string | undefined,
  subject: string | undefined,
  contentType: string | undefined,
  schema: string | undefined,
  extensions: Extensions,
  rawKind: PayloadKind,
  rawData: string | undefined,
  problems: readonly Problem[] | undefined,
  received: string | Uint8Array,
) => E;

/**
 * Makes an event of the members that were scanned last, or of a row of a batch.
 *
 * @param text the text that was scanned
 * @param offset 0 for the table; the start of the row, which has no extension attributes
 */
export function readEvent<E>(
  Event: ScannedConstructor<E>,
  tag: symbol,
  table: Uint32Array,
  text: string,
  offset: number,
  problems: readonly Problem[] | undefined,
  received: string | Uint8Array,
): E {
  const escaped = table[offset + ESCAPED]!;
  const isV1 = table[offset + VERSION] === 10;
  const payloadEnd = table[offset + PAYLOAD_END]!;
  const isBase64 = (table[offset + PRESENT]! & BASE64_MEMBERS) !== 0;
  const payload = payloadEnd === 0 ? undefined : text.substring(table[offset + PAYLOAD_START]!, payloadEnd);
  return new Event(
    tag,
    isV1 ? "1.0" : "0.3",
    cut(table, text, offset, ID, escaped)!,
    cut(table, text, offset, SOURCE, escaped)!,
    cut(table, text, offset, TYPE, escaped)!,
    cut(table, text, offset, TIME, escaped),
    cut(table, text, offset, SUBJECT, escaped),
    cut(table, text, offset, CONTENT_TYPE, escaped),
    cut(table, text, offset, isV1 ? DATA_SCHEMA : SCHEMA_URL, escaped),
    table[offset + EXTENSION_COUNT] === 0 ? NO_EXTENSIONS : readExtensions(table, text),
    payload === undefined ? "none" : isBase64 ? "base64" : "json",
    // Base64 has no characters that must be escaped, but a sender may escape its slashes.
    isBase64 && payload?.includes("\\") ? JSON.parse(`"${payload}"`) : payload,
    problems,
    received,
  );
}

/** The first character of the payload of the event that was scanned last. */
export const payloadStart = (table: Uint32Array): number => table[PAYLOAD_START]!;

/** The version of the event of a row. */
export function specversionAt(rows: Uint32Array, offset: number): Specversion {
  return rows[offset + VERSION] === 10 ? "1.0" : "0.3";
}

/** The rows at these places. Those that stand side by side are copied together. */
export function rowsAt(rows: Uint32Array, places: ArrayLike<number>): Uint32Array {
  const some = new Uint32Array(places.length * ROW_WORDS);
  for (let at = 0, end = 0; at < places.length; at = end) {
    const first = places[at]!;
    for (end = at + 1; places[end] === first + end - at; ) end++;
    some.set(rows.subarray(ROW_WORDS * first, ROW_WORDS * (first + end - at)), ROW_WORDS * at);
  }
  return some;
}

/** A string attribute by its position in the text. */
function cut(table: Uint32Array, text: string, offset: number, member: number, escaped: number): string | undefined {
  const position = table[offset + member]!;
  return position === 0 ? undefined : cutPresent(table, text, position, member, escaped);
}

/** The same for one that is present. A function of its own, so that engines inline the check for all members. */
function cutPresent(table: Uint32Array, text: string, position: number, member: number, escaped: number): string {
  const start = position >>> 12;
  const raw = position === UNPACKED ? cutSpan(table, text, member) : text.substring(start, start + (position & 0xfff));
  return (escaped >>> member) & 1 ? JSON.parse(`"${raw}"`) : raw;
}

/** A string attribute by its span in the table, because its position does not fit into one word. */
function cutSpan(table: Uint32Array, text: string, member: number): string {
  const span = SPANS + member * SPAN_WORDS;
  return text.substring(table[span]!, table[span + 1]!);
}

/** Whether the row describes all of its event, so that the event need not be scanned again. */
export function isComplete(rows: Uint32Array, offset: number): boolean {
  if (rows[offset + EXTENSION_COUNT] !== 0) return false;
  for (let member: number = ID; member <= SCHEMA_URL; member++) if (rows[offset + member] === UNPACKED) return false;
  return true;
}

// The flags of an extension attribute in the table.
const IS_JSON_VALUE = 1;
const IS_VALUE_ESCAPED = 2;
const IS_NAME_ESCAPED = 4;

/** The extension attributes as values. */
function readExtensions(table: Uint32Array, text: string): Extensions {
  const all: Record<string, ExtensionValue> = Object.create(null);
  const end = EXTENSIONS + table[EXTENSION_COUNT]! * EXTENSION_WORDS;
  for (let at = EXTENSIONS; at < end; at += EXTENSION_WORDS) {
    const name = text.slice(table[at], table[at + 1]);
    const value = text.slice(table[at + 2], table[at + 3]);
    const flags = table[at + 4]!;
    all[flags & IS_NAME_ESCAPED ? JSON.parse(`"${name}"`) : name] =
      flags & IS_JSON_VALUE
        ? deepFreeze(JSON.parse(value))
        : flags & IS_VALUE_ESCAPED
          ? JSON.parse(`"${value}"`)
          : value;
  }
  return Object.freeze(all);
}

/**
 * The error for the input that the engine has just rejected.
 *
 * @param number the number that the engine returned
 * @param where the event in its batch, for the message
 * @param table of the module that has scanned it
 */
export function rejected(
  number: number,
  source: string | Uint8Array,
  where = "",
  table: Uint32Array = codecs.table,
): FerryError {
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

/** The place of this sentence in `REASONS`. */
const MIXED_VERSIONS = 23;

/** The error for an event of another version than the events before it in its batch. */
export function mixedVersions(index: number): FerryError {
  return new FerryError("ERR_INVALID_BATCH", `event ${index} of the batch ${REASONS[MIXED_VERSIONS]}`);
}
