/** Base64 in keys and signatures. */
import type { Bytes } from "../../../platform/bytes.js";
import { fromBase64 } from "../bytes.js";

/** The bytes of Base64 with padding (RFC 4648, section 4) of this many bytes; undefined if it is not. */
export function decodeBase64(text: string, length?: number): Bytes | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z\d+/]+={0,2}$/.test(text)) return undefined;
  const bytes = fromBase64(text) as Bytes;
  return length === undefined || bytes.length === length ? bytes : undefined;
}
