/**
 * Attribute values in headers: HTTP protocol binding 1.0.2, section 3.1.3.2. The rules of decoding are in
 * `src/cloudevents/http.rs`; a value without quotes and percent signs in printable ASCII needs none of them.
 */
import { FerryError, REASONS } from "../../engine/errors.js";
import { call, engine, putText, takeScratch } from "../../engine/instance.js";
import { Form, checked, isUsual } from "./attribute.js";
import { formatValue } from "../../engine/messages.js";

/** Headers in any of the shapes that platforms hand out. Names count without regard to case. */
export type HeadersLike =
  | Headers
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>;

const NEEDS_NO_DECODING = /^[ !#$&-~]*$/;
const NEEDS_NO_ENCODING = /^[!#$&-~]*$/;
const REASON_WORD = 16;
/** Deno iterates over Headers ten times slower than forEach does; browsers the other way round. */
const IS_DENO = "Deno" in globalThis;

/** The headers as pairs, with names in lower case. */
export function pairsOf(headers: HeadersLike): Iterable<readonly [string, string]> {
  if (typeof headers !== "object" || headers === null) {
    throw new FerryError(
      "ERR_INVALID_ARGUMENT",
      `headers are a Headers object, pairs or a plain object, not ${formatValue(headers)}`,
    );
  }
  const pairs: [string, string][] = [];
  if (isHeaders(headers)) {
    if (!IS_DENO) return headers;
    headers.forEach((value, name) => pairs.push([name, value]));
    return pairs;
  }
  const isIterable = Symbol.iterator in headers;
  for (const [name, value] of isIterable ? headers : Object.entries(headers)) {
    if (value === undefined || value === null) continue;
    pairs.push([name.toLowerCase(), Array.isArray(value) ? value.join(", ") : String(value)]);
  }
  return pairs;
}

/** The value of one header. */
export function headerOf(headers: HeadersLike, name: string): string | undefined {
  if (isHeaders(headers)) return headers.get(name) ?? undefined;
  for (const [other, value] of pairsOf(headers)) if (other === name) return value;
  return undefined;
}

/** A Headers object, also of another realm. It gives its names in lower case. */
function isHeaders(headers: unknown): headers is Headers {
  return headers instanceof Headers || Object.prototype.toString.call(headers) === "[object Headers]";
}

/** The checked attribute value that a header value stands for. */
export function attributeFrom(attribute: string, value: string, form: Form, mayBeEmpty = false): string {
  // What is usual for a form has neither quotes nor percent signs in it, and so stands for itself.
  if (form === Form.Text ? NEEDS_NO_DECODING.test(value) && value !== "" : isUsual(value, form)) return value;
  return checked(attribute, decodeHeader(attribute, value), form, mayBeEmpty);
}

/** The attribute value that a header value stands for. */
export function decodeHeader(attribute: string, value: string): string {
  if (NEEDS_NO_DECODING.test(value)) return value;
  const len = putText(value);
  const decoded = len < 0 ? -1 : call(() => engine().codecs.decode_header(len));
  if (decoded < 0) {
    const reason = len < 0 ? REASONS[12] : REASONS[engine().table[REASON_WORD]!];
    throw new FerryError(
      "ERR_INVALID_HEADER_VALUE",
      `the header of the attribute ${formatValue(attribute)} ${reason}: ${formatValue(value)}`,
      { attribute },
    );
  }
  return call(() => takeScratch(decoded));
}

/** The header value that stands for an attribute value: space, `"`, `%` and all but printable ASCII are escaped. */
export function encodeHeader(value: string): string {
  if (NEEDS_NO_ENCODING.test(value)) return value;
  // encodeURIComponent escapes the UTF-8 bytes as demanded, but also printable characters that must stay.
  return value.replace(/[^!#$&-~]+/gu, encodeURIComponent);
}
