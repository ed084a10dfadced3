/**
 * Attributes as JavaScript values: what a caller may pass, and what it becomes.
 *
 * The rules are in the engine (`src/cloudevents/attribute.rs`). Here are only short cuts in front of it that
 * accept a subset: printable ASCII is always a String, and a text that was accepted a moment ago still is.
 * Whatever a short cut does not accept is asked of the engine.
 */
import { FerryError, REASONS } from "../../engine/errors.js";
import { call, engine, putText } from "../../engine/instance.js";
import { formatValue } from "../../engine/messages.js";
import { unixNow } from "../../platform/clock.js";

/** The value of an extension attribute: String, Boolean or Integer; an object only in 0.3. */
export type ExtensionValue = string | boolean | number | Readonly<Record<string, unknown>>;

/** Numbers of `Form` in `src/cloudevents/attribute.rs`. */
export const enum Form {
  Text = 0,
  UriReference = 1,
  Uri = 2,
  Timestamp = 3,
  MediaType = 4,
}

const COMPLAINTS = [3, 5, 6, 4, 7];
const PRINTABLE = /^[ -~]*$/;
/** Days up to 28 exist in every month; the engine knows the others. */
const USUAL_TIME = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z$/;
/** A path of plain characters, or an absolute URL with a host of plain characters and no port. */
const USUAL_SOURCE = /^(?:(?!\/\/)[\w\-.~!$&'()*+,;=@/]+|https?:\/\/[\w.-]+(?:\/[\w\-.~!$&'()*+,;=@/:]*)?)$/;
const NAME = /^[a-z0-9]+$/;

/** The last text that was accepted for each form. Events of one producer repeat source and media type. */
const accepted: (string | undefined)[] = [];

/** An error about one attribute. */
export function badAttribute(
  attribute: string,
  problem: string,
  value?: unknown,
  code: "ERR_INVALID_ATTRIBUTE_VALUE" | "ERR_NOT_CONVERTIBLE" = "ERR_INVALID_ATTRIBUTE_VALUE",
): FerryError {
  const what = value === undefined ? "" : `: ${formatValue(value)}`;
  return new FerryError(code, `the attribute ${formatValue(attribute)} ${problem}${what}`, { attribute });
}

/** Whether `text` is of the usual kind that certainly has the form. */
export function isUsual(text: string, form: Form): boolean {
  switch (form) {
    case Form.Text:
      return PRINTABLE.test(text);
    case Form.UriReference:
      return USUAL_SOURCE.test(text);
    case Form.Timestamp:
      return USUAL_TIME.test(text);
    default:
      return false;
  }
}

/** Whether `text` has the form. */
export function fits(text: string, form: Form): boolean {
  if (form !== Form.Text && text === accepted[form]) return true;
  if (!isUsual(text, form)) {
    const len = putText(text);
    if (len < 0 || !call(() => engine().codecs.fits(len, form))) return false;
  }
  accepted[form] = text;
  return true;
}

/** Checks text that comes from a peer or a caller, and gives it back. */
export function checked(name: string, text: unknown, form: Form, mayBeEmpty = false): string {
  if (typeof text !== "string") throw badAttribute(name, "must be a string", text);
  if (text === "" && !mayBeEmpty) throw badAttribute(name, REASONS[1]);
  if (!fits(text, form)) throw badAttribute(name, REASONS[COMPLAINTS[form]!]!, text);
  return text;
}

/** Checks the name of an extension attribute. */
export function checkName(name: string): void {
  if (!NAME.test(name) || name === "data") {
    throw new FerryError("ERR_INVALID_ATTRIBUTE_NAME", `the attribute name ${formatValue(name)} ${REASONS[9]}`, {
      attribute: name,
    });
  }
}

/** How many extension attributes an event may have, as in the engine. */
const MAX_EXTENSIONS = 128;

/** Refuses more extension attributes than our own reader takes. */
export function checkCount(extensions: ReadonlyMap<string, unknown> | undefined): void {
  if (extensions && extensions.size > MAX_EXTENSIONS) {
    throw new FerryError(
      "ERR_TOO_LARGE",
      `the event has ${extensions.size} extension attributes, more than the ${MAX_EXTENSIONS} allowed`,
    );
  }
}

/** The canonical value of an extension attribute that a caller passes: CloudEvents 1.0.2, "Type System". */
export function toExtensionValue(name: string, value: unknown, mayBeMap: boolean): ExtensionValue {
  switch (typeof value) {
    case "string":
      return checked(name, value, Form.Text, true);
    case "boolean":
      return value;
    case "number":
      if ((value | 0) !== value) throw badAttribute(name, REASONS[8], value);
      return value | 0;
    case "object":
      if (value instanceof Date) return toTimestamp(name, value);
      if (value instanceof URL) return value.href;
      if (isBytes(value)) return toBase64(asBytes(value));
      if (mayBeMap && value) return frozenCopy(name, value);
  }
  throw badAttribute(name, "must be a string, a boolean, an integer, a Date, a URL or bytes", value);
}

function frozenCopy(name: string, value: object): Readonly<Record<string, unknown>> {
  try {
    return deepFreeze(JSON.parse(JSON.stringify(value)));
  } catch {
    throw badAttribute(name, "cannot be expressed in JSON");
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
    throw badAttribute(name, "is not a Date that RFC 3339 can express", date);
  return date.toISOString();
}

let clock = 0;
let clockText = "";

/** The timestamp of this moment. Formatting costs more than all else in a new event, so it is kept for its millisecond. */
export function timestampNow(): string {
  const now = unixNow();
  if (now !== clock) clockText = new Date((clock = now)).toISOString();
  return clockText;
}

/** Whether a media type means JSON: subtype `json`, or ending in `+json`. None given counts as JSON in the JSON format. */
export function isJson(mediaType: string): boolean {
  return mediaType === "application/json" || /^[^/;]+\/(?:[^;]*\+)?json\s*(?:;|$)/i.test(mediaType);
}

/** Whether a media type means text, so that `data` is a string. Everything else that is not JSON is bytes. */
export function isTextual(mediaType: string): boolean {
  return /^(?:text\/|[^;]*(?:[/+](?:xml|yaml|json-seq|csv)|\/(?:x-)?(?:ndjson|jsonlines|javascript|ecmascript|graphql|sql|toml|www-form-urlencoded))\s*(?:;|$)|[^;]*;.*charset=)/i.test(
    mediaType,
  );
}

/** The charset parameter of a media type, for `TextDecoder`. */
export function charsetOf(mediaType: string | undefined): string {
  return /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(mediaType ?? "")?.[1] ?? "utf-8";
}

/** Bytes as a caller may pass them. */
export type Bytes = Uint8Array | ArrayBuffer;

/** Whether a value is bytes: an ArrayBuffer, also of another realm, or any view on one. */
export function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  if (typeof value !== "object" || value === null) return false;
  return (
    ArrayBuffer.isView(value) ||
    (Object.getPrototypeOf(value) !== Object.prototype &&
      !Array.isArray(value) &&
      Object.prototype.toString.call(value) === "[object ArrayBuffer]")
  );
}

/** A view on the same bytes. */
export function asBytes(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}

/** Base64 with the engine's own encoder where it has one. */
export function toBase64(bytes: Uint8Array): string {
  if ("toBase64" in bytes) return (bytes as Uint8Array & { toBase64(): string }).toBase64();
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x2000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
  }
  return btoa(binary);
}

/** The bytes behind Base64 text that was checked before. */
export function fromBase64(text: string): Uint8Array {
  const native = Uint8Array as typeof Uint8Array & { fromBase64?(text: string): Uint8Array };
  if (native.fromBase64) return native.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
