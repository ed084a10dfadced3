/**
 * Attribute values in headers: HTTP protocol binding 1.0.2, section 3.1.3.2. The rules of decoding are in
 * `src/cloudevents/http.rs`; a value without quotes and percent signs in printable ASCII needs none of them.
 */
import { FerryError, REASONS, shown } from "../errors.js";
import { call, engine, isWellFormed, putText, takeScratch } from "../wasm.js";

/** Headers in any of the shapes that platforms hand out. Names count without regard to case. */
export type HeadersLike =
  | Headers
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>;

const NEEDS_NO_DECODING = /^[ !#$&-~]*$/;
const NEEDS_NO_ENCODING = /^[!#$&-~]*$/;
const REASON_WORD = 16;

/** Calls `take` for each header, with its name in lower case. */
export function forEachHeader(headers: HeadersLike, take: (name: string, value: string) => void): void {
  if (typeof headers !== "object" || headers === null) {
    throw new FerryError("ERR_INVALID_ARGUMENT", `headers are a Headers object, pairs or a plain object, not ${shown(headers)}`);
  }
  if (Symbol.iterator in headers) {
    for (const [name, value] of headers) take(name.toLowerCase(), value);
    return;
  }
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value !== undefined && value !== null) take(name.toLowerCase(), typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : String(value));
  }
}

/** The value of one header. */
export function headerOf(headers: HeadersLike, name: string): string | undefined {
  if (typeof (headers as Headers)?.get === "function") return (headers as Headers).get(name) ?? undefined;
  let found: string | undefined;
  forEachHeader(headers, (other, value) => {
    if (other === name) found = value;
  });
  return found;
}

/** The attribute value that a header value stands for. */
export function decodeHeader(attribute: string, value: string): string {
  if (NEEDS_NO_DECODING.test(value)) return value;
  const len = putText(value);
  const decoded = len < 0 ? -1 : call(() => engine().codecs.decode_header(len));
  if (decoded < 0) {
    const reason = len < 0 ? REASONS[12] : REASONS[engine().table[REASON_WORD]!];
    throw new FerryError("ERR_INVALID_HEADER_VALUE", `the header of the attribute ${shown(attribute)} ${reason}: ${shown(value)}`, { attribute });
  }
  return call(() => takeScratch(decoded));
}

/** The header value that stands for an attribute value: space, `"`, `%` and all but printable ASCII are escaped. */
export function encodeHeader(value: string): string {
  if (NEEDS_NO_ENCODING.test(value)) return value;
  // encodeURIComponent escapes the UTF-8 bytes as demanded, but also printable characters that must stay.
  return value.replace(/[^!#$&-~]+/gu, encodeURIComponent);
}

/** Whether text can be encoded at all; attribute values always can. */
export const isEncodable = isWellFormed;
