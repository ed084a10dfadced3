/** What the engine writes of a scanned event, and the errors for what it refuses. The layout is that of `src/cloudevents/event.rs`. */
import { FerryError, REASONS, codeOf, sentenceOf } from "../../engine/errors.js";
import { engine } from "../../engine/instance.js";
import { formatValue } from "../../engine/messages.js";

/** Words of the table, see `Table` in `src/cloudevents/event.rs`; its first sixteen are those of a row. */
export const enum T {
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

/** How many words a row has. */
export const ROW_WORDS = 16;

/** Whether a row says all of its event, so that nothing has to be scanned again. */
export function isComplete(rows: Uint32Array, at: number): boolean {
  if (rows[at + T.Extensions] !== 0) return false;
  for (let member: number = T.Id; member <= T.SchemaUrl; member++) if (rows[at + member] === T.Wide) return false;
  return true;
}

/** The error for what the engine has just refused. */
export function refused(number: number, source: string | Uint8Array, where = ""): FerryError {
  const { table } = engine();
  const code = codeOf(number);
  const [reason, culprit, at, end] = [REASONS[table[T.Reason]!], table[T.Culprit]!, table[T.At]!, table[T.NameEnd]!];
  if (culprit === 254) {
    const place = code === "ERR_INVALID_EVENT" || code === "ERR_INVALID_BATCH" ? ` (at position ${at})` : "";
    // No array, or something behind it: that is about the batch and not about an event in it.
    const isWhole = table[T.Reason] === 15 || table[T.Reason] === 22;
    return new FerryError(code, `${sentenceOf(code)}: ${isWhole ? "it" : where || "it"} ${reason}${place}`);
  }
  let attribute: string = MEMBERS[culprit] ?? "";
  if (culprit === 255) {
    const text = typeof source === "string" ? source : new TextDecoder().decode(source);
    const name = text.slice(at, end & 0x7fffffff);
    attribute = end >>> 31 ? JSON.parse(`"${name}"`) : name;
  }
  const noun = attribute === "data" || attribute === "data_base64" ? "member" : "attribute";
  return new FerryError(code, `${where && `${where}: `}the ${noun} ${formatValue(attribute)} ${reason}`, { attribute });
}
