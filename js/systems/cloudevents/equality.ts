/** Whether two events say the same, although one was made here and the other was decoded. */
import type { ExtensionValue } from "./attribute.js";
import { isEqualBytes } from "./bytes.js";
import { bytesOf, textOf } from "./event-data.js";
import { type EventAttributes, type Payload, schemaOf } from "./event-fields.js";
import { isJson } from "./media-type.js";

/** The attributes that all events may have, without those of the data. */
const CORE_ATTRIBUTES = ["specversion", "id", "source", "type", "time", "subject"] as const;

/** Whether two events have the same attributes, apart from the media type: `isSameData` compares it. */
export function hasSameAttributes(a: EventAttributes, b: EventAttributes): boolean {
  for (const name of CORE_ATTRIBUTES) if (a[name] !== b[name]) return false;
  const extensions = Object.entries(a.extensions);
  return (
    schemaOf(a) === schemaOf(b) &&
    extensions.length === Object.keys(b.extensions).length &&
    extensions.every(([name, value]) => isSameAttribute(value, b.extensions[name]))
  );
}

/** Whether two values of an extension attribute are the same in headers, which have no types. */
function isSameAttribute(a: ExtensionValue, b: ExtensionValue | undefined): boolean {
  if (b === undefined) return false;
  return typeof a === "object" || typeof b === "object" ? isSameValue(a, b) : String(a) === String(b);
}

/** Whether two payloads are the same: JSON by its value, all else by its bytes and media type. */
export function isSameData(a: Payload, b: Payload): boolean {
  if (a.rawKind === "none" || b.rawKind === "none")
    return a.rawKind === b.rawKind && a.datacontenttype === b.datacontenttype;
  const [typeOfA, typeOfB] = [contentTypeOf(a), contentTypeOf(b)];
  if (typeOfA !== typeOfB) return false;
  if (typeOfA !== undefined && isJson(typeOfA)) {
    try {
      return isSameJson(textOf(a), textOf(b));
    } catch {
      // Data that are not JSON, although the media type says so, are compared as bytes.
    }
  }
  return isEqualBytes(bytesOf(a)!, bytesOf(b)!);
}

/** The media type. That of JSON data has a default (JSON format, section 3.1). */
function contentTypeOf({ datacontenttype, rawKind }: Payload): string | undefined {
  return datacontenttype ?? (rawKind === "json" ? "application/json" : undefined);
}

function isSameJson(a: string, b: string): boolean {
  return a === b || isSameValue(JSON.parse(withExactNumbers(a)), JSON.parse(withExactNumbers(b)));
}

/** The JSON text with numbers that JavaScript could round as strings, so that they are compared digit by digit. */
function withExactNumbers(text: string): string {
  const json = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  if (!/[\d.]{16}/.test(json)) return json;
  return json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/gs, (token) =>
    token[0] === '"' || token.length < 16 ? token : `"number ${token}"`,
  );
}

/** Whether two values that JSON.parse returned are the same. The order of members does not matter. */
function isSameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSameValue(a[name as never], b[name as never]))
  );
}
