/**
 * The table that the engine fills when it scans an event, and the errors for what it rejects. `src/cloudevents/table.rs`
 * defines the layout.
 *
 * The offsets are module constants and not members of an object, because minifiers and JavaScript engines replace
 * constants by their numbers.
 */
import { codeOf, FerryError, REASONS, sentenceOf } from "../../engine/errors.js";
import { engine } from "../../engine/instance.js";
import { formatValue } from "../../engine/messages.js";

// The first twelve words are one for each member, in the order of `MEMBERS`. The word of a string member holds its
// position in the text, `start << 12 | length`: 0 if it is absent, `UNPACKED` if it does not fit.
export const ID = 1;
export const SOURCE = 2;
export const TYPE = 3;
export const TIME = 4;
export const SUBJECT = 5;
export const CONTENT_TYPE = 6;
export const DATA_SCHEMA = 7;
export const SCHEMA_URL = 8;
export const UNPACKED = 1;

// Members that are not strings to cut out. Their words hold other positions.
const DATA_CONTENT_ENCODING = 9;
const DATA_BASE64 = 11;
export const EVENT_START = 0;
export const EVENT_END = 9;
export const PAYLOAD_START = 10;
export const PAYLOAD_END = 11;

/** A set with one bit for each member that is present. */
export const PRESENT = 12;
/** The members of `PRESENT` that make the payload Base64. */
export const BASE64_MEMBERS: number = (1 << DATA_BASE64) | (1 << DATA_CONTENT_ENCODING);
/** A set with one bit for each member whose text has escapes. */
export const ESCAPED = 13;
/** 10 for 1.0, 3 for 0.3. */
export const VERSION = 14;
export const EXTENSION_COUNT = 15;
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
export const SPANS = 21;
export const SPAN_WORDS = 7;
/** Only in the table: start and end of name and value, the flags and a checksum of each extension attribute. */
export const EXTENSIONS: number = SPANS + 12 * SPAN_WORDS;
export const EXTENSION_WORDS = 6;

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

/** Whether the row describes all of its event, so that the event need not be scanned again. */
export function isComplete(rows: Uint32Array, offset: number): boolean {
  if (rows[offset + EXTENSION_COUNT] !== 0) return false;
  for (let member: number = ID; member <= SCHEMA_URL; member++) if (rows[offset + member] === UNPACKED) return false;
  return true;
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
