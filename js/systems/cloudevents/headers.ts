/**
 * Attribute values in headers: HTTP protocol binding 1.0.2, section 3.1.3.2. `src/cloudevents/http.rs` has the rules of
 * decoding. A value of printable ASCII without quotes and percent signs is the same decoded, so it is returned as it is.
 */
import { codecs } from "../../engine/modules/codecs.js";
import { FerryError, REASONS } from "../../engine/errors.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { Format, isCommon, validText } from "./attribute.js";
import { REASON } from "./table.js";
import { TextDecoder } from "../../platform/text.js";

/** Headers in any of the shapes that platforms have. The case of names does not matter. */
export type HeadersLike =
  | Headers
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>;

const NEEDS_NO_DECODING = /^[ !#$&-~]*$/;
const NEEDS_NO_ENCODING = /^[!#$&-~]*$/;
/** Deno iterates over Headers ten times more slowly than forEach does; in browsers it is the other way round. */
const IS_DENO = "Deno" in globalThis;

/** The headers as pairs, with names in lower case. */
export function pairsOf(headers: HeadersLike): Iterable<readonly [string, string]> {
  const inner: unknown = (headers as { headers?: unknown } | null)?.headers;
  if (typeof headers !== "object" || headers === null || typeof inner === "object") {
    const advice = inner ? "pass the headers of the message, and its body" : undefined;
    throw mustBe("headers", "a Headers object, pairs or a plain object", headers, advice);
  }
  const pairs: [string, string][] = [];
  if (isHeaders(headers)) {
    if (!IS_DENO) return headers;
    headers.forEach((value, name) => {
      pairs.push([name, value]);
    });
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

/** Whether it is a Headers object, also of another realm. Such an object has its names in lower case. */
function isHeaders(headers: unknown): headers is Headers {
  return (
    (typeof Headers === "function" && headers instanceof Headers) ||
    Object.prototype.toString.call(headers) === "[object Headers]"
  );
}

/** The value of an attribute from its header, checked. */
export function attributeFrom(attribute: string, value: string, format: Format, canBeEmpty = false): string {
  // A common value has neither quotes nor percent signs, so it needs no decoding.
  if (format === Format.Text ? NEEDS_NO_DECODING.test(value) && value !== "" : isCommon(value, format)) return value;
  return validText(attribute, decodeHeader(attribute, value), format, canBeEmpty);
}

/** Decodes a header value, without a check of what it means. */
export function decodeHeader(attribute: string, value: string): string {
  if (NEEDS_NO_DECODING.test(value)) return value;
  const text = readRawUtf8(value);
  const length = text === undefined ? -1 : codecs.putText(text);
  const decodedLength = length < 0 ? -1 : codecs.call(() => codecs.exports.decode_header(length));
  if (decodedLength < 0) {
    const reason = length < 0 ? REASONS[12] : REASONS[codecs.table[REASON]!];
    throw new FerryError(
      "ERR_INVALID_HEADER_VALUE",
      `the header of the attribute ${formatValue(attribute)} ${reason}: ${formatValue(value)}`,
      { attribute },
    );
  }
  return codecs.call(() => codecs.takeScratch(decodedLength));
}

/**
 * Platforms show the bytes of headers as ISO-8859-1, one character for each. SDKs that do not percent-encode send raw
 * UTF-8, which is read as such. `undefined` if the bytes are not UTF-8.
 */
function readRawUtf8(value: string): string | undefined {
  if (!/[\x80-\xff]/.test(value) || /[^\0-\xff]/.test(value)) return value;
  try {
    const bytes = Uint8Array.from(value, (char) => char.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Encodes a header value: space, `"`, `%` and all characters other than printable ASCII are percent-encoded. */
export function encodeHeader(value: string): string {
  if (NEEDS_NO_ENCODING.test(value)) return value;
  // encodeURIComponent alone would also encode printable characters that must stay.
  return value.replace(/[^!#$&-~]+/gu, encodeURIComponent);
}
