/** The payload of an event: as a value, as text, as bytes, in the JSON format and in binary mode. */
import type { Bytes } from "../../platform/bytes.js";
import { codecs } from "../../engine/modules/codecs.js";
import { type ErrorDetails, FerryError, REASONS } from "../../engine/errors.js";
import { isWellFormed } from "../../engine/text-module.js";
import { formatValue } from "../../engine/messages.js";
import { fromBase64, isEqualBytes, toBase64 } from "./bytes.js";
import { NO_PAYLOAD, type Payload, quoteJson, type StoredPayload } from "./event-fields.js";
import { charsetOf, isJson, isTextual } from "./media-type.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";

/** Keeps a byte order mark, as the text of an event must. */
export const utf8: TextDecoder = /* @__PURE__ */ new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = /* @__PURE__ */ new TextEncoder();

/** Whether a payload of the kind `json` or `text` is a JSON value. Without a media type it is (JSON format, section 3.1). */
function hasJsonType(contentType: string | undefined): boolean {
  return contentType === undefined || isJson(contentType);
}

/** The payload as a value, decoded anew. Bytes are a copy. */
export function decodeData(payload: Payload): unknown {
  const { rawKind, rawData, datacontenttype = "" } = payload;
  switch (rawKind) {
    case "none":
      return undefined;
    case "json":
      return JSON.parse(rawData as string);
    case "text":
      return rawData;
    case "bytes":
      return bytesOf(payload)!.slice();
    default:
      // The same event has the same data in binary mode and as Base64 in the JSON format.
      if (isJson(datacontenttype)) return parseBody(textOf(payload));
      return rawKind === "body" && isTextual(datacontenttype) ? textOf(payload) : bytesOf(payload)!.slice();
  }
}

/** The payload as text: JSON text as it arrived, or the bytes decoded by their charset. */
export function textOf(payload: Payload): string {
  const { rawKind, rawData, datacontenttype } = payload;
  if (typeof rawData === "string") {
    if (rawKind === "json") return hasJsonType(datacontenttype) ? rawData : JSON.parse(rawData);
    if (rawKind !== "base64") return rawData;
  }
  return decodeText(bytesOf(payload)!, datacontenttype);
}

/** The payload as bytes. They may be those of the event, so a caller must copy them before it hands them out. */
export function bytesOf(payload: Payload): Uint8Array | undefined {
  const { rawKind, rawData, datacontenttype } = payload;
  if (typeof rawData !== "string") return rawData;
  switch (rawKind) {
    case "base64":
      return fromBase64(rawData);
    case "body":
      return encoder.encode(rawData);
    default:
      return rawKind === "json" && hasJsonType(datacontenttype)
        ? encoder.encode(rawData)
        : encodeText(textOf(payload), datacontenttype);
  }
}

/** The body of a message in binary mode. */
export function binaryBody(payload: Payload): string | Bytes | undefined {
  const { rawKind, rawData, datacontenttype } = payload;
  if (typeof rawData === "string") {
    // `fetch` adds a media type to text that has none, so such text is sent as bytes.
    if (rawKind === "body") return datacontenttype === undefined ? encoder.encode(rawData) : rawData;
    if (rawKind !== "base64") {
      if (rawKind === "json" && hasJsonType(datacontenttype)) return rawData;
      if (isUtf8(charsetOf(datacontenttype))) return textOf(payload);
    }
  }
  return bytesOf(payload)?.slice();
}

/** The payload of a body in binary mode. Bytes are not copied. An empty body is no payload. */
export function payloadOfBody(body: string | Uint8Array | null | undefined): StoredPayload {
  if (body === null || body === undefined || body.length === 0) return NO_PAYLOAD;
  if (typeof body === "string" && !isWellFormed(body)) throw dataError("the body contains half a surrogate pair");
  return { rawKind: "body", rawData: body };
}

/** The payload as an event with another media type stores it. */
export function payloadFor(payload: StoredPayload, contentType: string | undefined): StoredPayload {
  const { rawKind, rawData } = payload;
  const isJsonType = hasJsonType(contentType);
  switch (rawKind) {
    case "json":
      if (!isJsonType && (rawData as string)[0] !== '"') throw dataMustBeString(contentType!);
      return payload;
    case "text":
      return isJsonType ? { rawKind: "json", rawData: JSON.stringify(rawData) } : payload;
    default:
      return payload;
  }
}

/**
 * `"data":…` or `"data_base64":…` (JSON format, section 3.1).
 *
 * @param contentType the media type that the event names itself
 */
export function dataMember(payload: Payload, contentType: string | undefined): string {
  const { rawKind, rawData, specversion } = payload;
  if (rawKind === "json") return `"data":${rawData}`;
  if (rawKind === "text") return `"data":${quoteJson(rawData as string)}`;
  const bytes = bytesOf(payload)!;
  // A body that is JSON, or text in UTF-8, is written as such. Base64 is for what a receiver could not restore byte
  // for byte. White space around a JSON value and a byte order mark are dropped all the same: they are not part of the
  // value, and a receiver does not expect Base64 instead of an object because of a line break at the end.
  if (rawKind === "body" && contentType !== undefined) {
    if (isJson(contentType)) {
      const json = withoutBom(bytes);
      if (isJsonText(json)) return `"data":${utf8.decode(json)}`;
    } else if (isTextual(contentType) && isUtf8(charsetOf(contentType))) {
      const text = utf8.decode(bytes);
      if (isEqualBytes(encoder.encode(text), bytes)) return `"data":${quoteJson(text)}`;
    }
  }
  const base64 = toBase64(bytes);
  return specversion === "1.0" ? `"data_base64":"${base64}"` : `"datacontentencoding":"base64","data":"${base64}"`;
}

/** The bytes without a byte order mark, which a JSON parser may skip (RFC 8259 section 8.1). */
export function withoutBom(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/** The error for data that is not a string although its media type is not JSON. */
export function dataMustBeString(contentType: string): FerryError {
  return dataError(`the data ${REASONS[19]}: ${formatValue(contentType)}`);
}

/** The error for data that the event cannot have. */
export function dataError(message: string, details: ErrorDetails = {}): FerryError {
  return new FerryError("ERR_INVALID_DATA", message, { attribute: "data", ...details });
}

/** Encodes text in the charset of its media type, if it is one that platforms can write: UTF-8 or ISO-8859-1. */
function encodeText(text: string, contentType: string | undefined): Bytes {
  const charset = charsetOf(contentType);
  if (isUtf8(charset) || isAscii(text)) return encoder.encode(text);
  if (/^(?:iso-?8859-1|latin-?1)$/i.test(charset) && isLatin1(text))
    return Uint8Array.from(text, (char) => char.charCodeAt(0));
  throw dataError(`the data cannot be encoded in the charset ${formatValue(charset)} of its datacontenttype`, {
    culprit: "caller",
  });
}

function isUtf8(charset: string): boolean {
  return /^utf-?8$/i.test(charset);
}

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}

/** Whether all characters are in ISO-8859-1. `TextDecoder` reads 0x80 to 0x9f as windows-1252, so these are not. */
function isLatin1(text: string): boolean {
  return /^[\0-\x7f\xa0-\xff]*$/.test(text);
}

function decodeText(bytes: Uint8Array, contentType: string | undefined): string {
  const charset = charsetOf(contentType);
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw dataError(`the data is not text in the charset ${formatValue(charset)}`, { cause });
  }
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (cause) {
    throw dataError(`the data is not JSON, although its datacontenttype is: ${(cause as Error).message}`, { cause });
  }
}

/** Whether the bytes are exactly one JSON value, nested at most as deeply as the engine reads. */
export function isJsonText(bytes: Uint8Array): boolean {
  const length = codecs.putBytes(bytes);
  return codecs.call(() => codecs.exports.is_json(length)) !== 0;
}
