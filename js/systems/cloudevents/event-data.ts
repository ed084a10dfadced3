/** The payload of an event: as a value, as text, as bytes, in the JSON format and in binary mode. */
import { FerryError, REASONS } from "../../engine/errors.js";
import { call, engine, isWellFormed, putBytes } from "../../engine/instance.js";
import { formatValue } from "../../engine/messages.js";
import { fromBase64, toBase64 } from "./bytes.js";
import { type EventFields, NO_PAYLOAD, type Payload, payloadText, quoteJson } from "./event-fields.js";
import { charsetOf, isJson, isTextual } from "./media-type.js";
import { contentTypeOf, hasJsonData } from "./table.js";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The payload as a value. It is decoded on first use. */
export function dataOf(fields: EventFields): unknown {
  if (fields.data === undefined && fields.payloadKind !== "none") fields.data = decodeData(fields);
  return fields.data;
}

function decodeData(fields: EventFields): unknown {
  switch (fields.payloadKind) {
    case "json":
      return JSON.parse(payloadText(fields));
    case "text":
      return payloadText(fields);
    case "body": {
      const contentType = contentTypeOf(fields) ?? "";
      if (isJson(contentType)) return parseBody(textOf(fields));
      return isTextual(contentType) ? textOf(fields) : bytesOf(fields)!.slice();
    }
    default:
      return bytesOf(fields)!.slice();
  }
}

/** The payload as text: JSON text as it arrived, or the bytes decoded by their charset. */
export function textOf(fields: EventFields): string {
  switch (fields.payloadKind) {
    case "text":
      return payloadText(fields);
    case "json":
      return hasJsonData(fields) ? payloadText(fields) : (dataOf(fields) as string);
    default:
      return fields.payloadKind === "body" && fields.text !== undefined
        ? fields.text
        : decodeText(bytesOf(fields)!, contentTypeOf(fields));
  }
}

/** The payload as bytes. They may be those of the event, so a caller must copy them before it hands them out. */
export function bytesOf(fields: EventFields): Uint8Array | undefined {
  switch (fields.payloadKind) {
    case "none":
      return undefined;
    case "json":
    case "text":
      return fields.payloadKind === "json" && hasJsonData(fields)
        ? new TextEncoder().encode(payloadText(fields))
        : encodeText(dataOf(fields) as string, contentTypeOf(fields));
    case "base64": {
      const text = payloadText(fields);
      return fromBase64(text.includes("\\") ? JSON.parse(`"${text}"`) : text);
    }
    case "body":
      return fields.bytes ?? new TextEncoder().encode(fields.text);
    default:
      return fields.bytes;
  }
}

/** The body of a message in binary mode. */
export function binaryBody(fields: EventFields): string | Uint8Array<ArrayBuffer> | undefined {
  if (fields.payloadKind === "body") return fields.text ?? fields.bytes!.slice();
  if (fields.payloadKind === "json" && hasJsonData(fields)) return payloadText(fields);
  const isText = fields.payloadKind === "json" || fields.payloadKind === "text";
  return isText && isUtf8(charsetOf(contentTypeOf(fields))) ? (dataOf(fields) as string) : bytesOf(fields)?.slice();
}

/** The payload of a body in binary mode. Bytes are not copied. An empty body is no payload. */
export function payloadOfBody(body: string | Uint8Array | null | undefined): Payload {
  if (body === null || body === undefined || body.length === 0) return NO_PAYLOAD;
  if (typeof body !== "string") return { kind: "body", bytes: body };
  if (!isWellFormed(body))
    throw new FerryError("ERR_INVALID_DATA", "the body contains half a surrogate pair", { attribute: "data" });
  return { kind: "body", text: body };
}

/** The payload as an event with another media type stores it. */
export function payloadFor(fields: EventFields, contentType: string | undefined): Payload {
  const isJsonType = contentType === undefined || isJson(contentType);
  switch (fields.payloadKind) {
    case "none":
      return NO_PAYLOAD;
    case "json": {
      const text = payloadText(fields);
      if (!isJsonType && text[0] !== '"') throw dataMustBeString(contentType);
      return { kind: "json", text, start: 0, end: text.length };
    }
    case "text": {
      const text = isJsonType ? JSON.stringify(payloadText(fields)) : payloadText(fields);
      return { kind: isJsonType ? "json" : "text", text, start: 0, end: text.length };
    }
    case "body":
      return { kind: "body", bytes: fields.bytes, text: fields.text };
    default:
      return { kind: "bytes", bytes: bytesOf(fields) };
  }
}

/** `"data":…` or `"data_base64":…` (JSON format, section 3.1). */
export function dataMember(fields: EventFields, contentType: string | undefined): string {
  const isJsonType = contentType === undefined || isJson(contentType);
  switch (fields.payloadKind) {
    case "json":
      return `"data":${payloadText(fields)}`;
    case "text":
      return `"data":${quoteJson(payloadText(fields))}`;
  }
  const bytes = bytesOf(fields)!;
  // A body that is JSON, or text in UTF-8, is written as such. Base64 is for what a receiver could not restore byte
  // for byte. White space around a JSON value is dropped all the same: it is not part of the value, and a receiver
  // does not expect Base64 instead of an object because of a line break at the end.
  // 0.3 requires a JSON value also for other bytes under a JSON media type.
  if (
    isJsonType &&
    contentType !== undefined &&
    (fields.payloadKind === "body" || fields.version === 3) &&
    isJsonText(bytes)
  ) {
    return `"data":${utf8.decode(bytes)}`;
  }
  if (
    fields.payloadKind === "body" &&
    contentType !== undefined &&
    !isJsonType &&
    isTextual(contentType) &&
    isUtf8(charsetOf(contentType))
  ) {
    const text = utf8.decode(bytes);
    if (isEqual(new TextEncoder().encode(text), bytes)) return `"data":${quoteJson(text)}`;
  }
  const base64 = toBase64(bytes);
  return fields.version === 10 ? `"data_base64":"${base64}"` : `"datacontentencoding":"base64","data":"${base64}"`;
}

/** The error for data that is not a string although its media type is not JSON. */
export function dataMustBeString(contentType: string): FerryError {
  return new FerryError("ERR_INVALID_DATA", `the data ${REASONS[19]}: ${formatValue(contentType)}`, {
    attribute: "data",
  });
}

/** Encodes text in the charset of its media type, if it is one that platforms can write: UTF-8 or ISO-8859-1. */
function encodeText(text: string, contentType: string | undefined): Uint8Array<ArrayBuffer> {
  const charset = charsetOf(contentType);
  if (isUtf8(charset) || isAscii(text)) return new TextEncoder().encode(text);
  if (/^(?:iso-?8859-1|latin-?1)$/i.test(charset) && isLatin1(text))
    return Uint8Array.from(text, (char) => char.charCodeAt(0));
  throw new FerryError(
    "ERR_INVALID_DATA",
    `the data cannot be encoded in the charset ${formatValue(charset)} of its datacontenttype`,
    { attribute: "data", culprit: "caller" },
  );
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
    throw new FerryError("ERR_INVALID_DATA", `the data is not text in the charset ${formatValue(charset)}`, {
      attribute: "data",
      cause,
    });
  }
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (cause) {
    throw new FerryError(
      "ERR_INVALID_DATA",
      `the data is not JSON, although its datacontenttype is: ${(cause as Error).message}`,
      { attribute: "data", cause },
    );
  }
}

function isJsonText(bytes: Uint8Array): boolean {
  const length = putBytes(bytes);
  return call(() => engine().codecs.is_json(length)) !== 0;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
