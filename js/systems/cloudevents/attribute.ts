/**
 * Attributes as JavaScript values: what a caller may pass, and how it is stored.
 *
 * The rules are in the engine (`src/cloudevents/attribute.rs`). Here are only fast paths that accept a subset: printable
 * ASCII is always a valid String, and a text that was accepted a moment ago is valid again. The engine checks the rest.
 */
import { codecs } from "../../engine/modules/codecs.js";
import { FerryError, type FerryErrorCode, REASONS } from "../../engine/errors.js";
import { formatValue } from "../../engine/messages.js";
import { unixNow } from "../../platform/clock.js";
import { asBytes, isBytes, toBase64 } from "./bytes.js";

/** The value of an extension attribute: String, Boolean or Integer; an object only in 0.3. */
export type ExtensionValue = string | boolean | number | Readonly<Record<string, unknown>>;

/** The formats of string attributes, by their numbers in `Format` of `src/cloudevents/attribute.rs`. */
export const Format = { Text: 0, UriReference: 1, Uri: 2, Timestamp: 3, MediaType: 4 } as const;
export type Format = (typeof Format)[keyof typeof Format];

/** For each format the place in `REASONS` of the sentence about text that does not match. */
const MISMATCH_REASONS = [3, 5, 6, 4, 7];
const PRINTABLE = /^[ -~]*$/;
/** Days up to 28 exist in every month; the engine knows the others. */
const COMMON_TIME = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z$/;
/** A path of plain characters, or an absolute URL with a host of plain characters and no port. */
const COMMON_SOURCE = /^(?:(?!\/\/)[\w\-.~!$&'()*+,;=@/]+|https?:\/\/[\w.-]+(?:\/[\w\-.~!$&'()*+,;=@/:]*)?)$/;
const NAME = /^[a-z0-9]+$/;

/** The last text that was accepted for each format. Events of one producer repeat source and media type. */
const lastAccepted: (string | undefined)[] = [];

/** The error for a bad attribute: `the attribute "<name>" <problem>: <value>`. */
export function attributeError(
  attribute: string,
  problem: string,
  value?: unknown,
  code: FerryErrorCode = "ERR_INVALID_ATTRIBUTE_VALUE",
  advice = "",
): FerryError {
  const received = value === undefined ? "" : `: ${formatValue(value)}`;
  const message = `the attribute ${formatValue(attribute)} ${problem}${received}${advice && `; ${advice}`}`;
  return new FerryError(code, message, { attribute });
}

/** The fast path of `matches`: true if the text certainly matches the format, false if the engine has to check it. */
export function isCommon(text: string, format: Format): boolean {
  switch (format) {
    case Format.Text:
      return PRINTABLE.test(text);
    case Format.UriReference:
      return COMMON_SOURCE.test(text);
    case Format.Timestamp:
      return COMMON_TIME.test(text);
    default:
      return false;
  }
}

/** Whether the text matches the format. */
export function matches(text: string, format: Format): boolean {
  if (format !== Format.Text && text === lastAccepted[format]) return true;
  if (!isCommon(text, format)) {
    const length = codecs.putText(text);
    if (length < 0 || !codecs.call(() => codecs.exports.matches_format(length, format))) return false;
  }
  lastAccepted[format] = text;
  return true;
}

/** Returns the value of a string attribute, or throws if it is not a string of this format. */
export function validText(name: string, value: unknown, format: Format, canBeEmpty = false): string {
  if (typeof value !== "string") throw attributeError(name, "must be a string", value);
  if (value === "" && !canBeEmpty) throw attributeError(name, REASONS[1]);
  if (!matches(value, format)) throw attributeError(name, REASONS[MISMATCH_REASONS[format]!]!, value);
  return value;
}

/** Throws if an extension attribute cannot have this name. */
export function checkName(name: string): void {
  if (!NAME.test(name) || name === "data") {
    const valid = name.toLowerCase().replace(/[-_. ]/g, "");
    const advice = NAME.test(valid) && valid !== "data" ? `did you mean ${formatValue(valid)}?` : "";
    throw attributeError(name, REASONS[9], undefined, "ERR_INVALID_ATTRIBUTE_NAME", advice);
  }
}

/** The most extension attributes that an event may have; the engine has the same limit. */
const MAX_EXTENSIONS = 128;

/** Throws if there are more extension attributes than the engine reads. */
export function checkExtensionCount(count: number): void {
  if (count > MAX_EXTENSIONS) {
    throw new FerryError(
      "ERR_TOO_LARGE",
      `the event has ${count} extension attributes, more than the ${MAX_EXTENSIONS} allowed`,
    );
  }
}

/** The canonical value of an extension attribute that a caller passes: CloudEvents 1.0.2, "Type System". */
export function toExtensionValue(name: string, value: unknown, canBeObject: boolean): ExtensionValue {
  switch (typeof value) {
    case "string":
      return validText(name, value, Format.Text, true);
    case "boolean":
      return value;
    case "number":
      if ((value | 0) !== value) throw attributeError(name, REASONS[8], value, undefined, "pass it as a string");
      return value | 0;
    case "object":
      if (value instanceof Date) return toTimestamp(name, value);
      if (value instanceof URL) return value.href;
      if (isBytes(value)) return toBase64(asBytes(value));
      if (canBeObject && value) return frozenCopy(name, value);
  }
  const expected = "must be a string, a boolean, an integer, a Date, a URL or bytes";
  throw attributeError(name, expected, value, undefined, "put other values into data");
}

function frozenCopy(name: string, value: object): Readonly<Record<string, unknown>> {
  try {
    return deepFreeze(JSON.parse(JSON.stringify(value)));
  } catch {
    throw attributeError(name, "cannot be expressed in JSON");
  }
}

/** Freezes an object and all objects in it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}

/** The RFC 3339 text of a Date, with milliseconds. */
export function toTimestamp(name: string, date: Date): string {
  const time = date.getTime();
  // Years outside 0000-9999 have no RFC 3339 form, and toISOString writes them with a sign.
  if (!(time >= -62167219200000 && time < 253402300800000))
    throw attributeError(name, "is not a Date that RFC 3339 can express", date);
  return date.toISOString();
}

let lastTimestampMs = 0;
let lastTimestamp = "";

/**
 * The current time as RFC 3339 text. Formatting is the most expensive part of a new event, so it is done once for each
 * millisecond.
 */
export function timestampNow(): string {
  const now = unixNow();
  if (now !== lastTimestampMs) {
    lastTimestampMs = now;
    lastTimestamp = new Date(now).toISOString();
  }
  return lastTimestamp;
}
