/** Dates in headers, and the delay that `Retry-After` asks for. */
import { unixNow } from "./clock.js";

/**
 * Unix milliseconds of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7). NaN for the two obsolete
 * forms, dates before 1970 and days that do not exist.
 */
export function readHttpDate(text: string): number {
  // JavaScript has no leap seconds.
  const date = text.replace(":60 GMT", ":59 GMT");
  const at = Date.parse(date);
  // `Date.parse` reads other forms too, and the 29 February of any year. The name of the day is not checked.
  return at >= 0 && new Date(at).toUTCString().slice(4) === date.slice(4) ? at : Number.NaN;
}

/**
 * The delay that the value of a `Retry-After` header asks for (RFC 9110 section 10.2.3), in milliseconds: whole seconds, or
 * the time until a date, 0 if it has passed. -1 for anything else.
 */
export function readRetryAfter(value: string): number {
  const text = value.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = readHttpDate(text);
  return at >= 0 ? Math.max(0, at - unixNow()) : -1;
}
