/** Creates an event from the values that a caller passes: defaults and checks. */
import { FerryError, REASONS } from "../../engine/errors.js";
import { isWellFormed } from "../../engine/instance.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { freshId } from "../../platform/uuid.js";
import {
  attributeError,
  checkExtensionCount,
  checkName,
  type ExtensionValue,
  Format,
  timestampNow,
  toExtensionValue,
  toTimestamp,
  validText,
} from "./attribute.js";
import { asBytes, fromBase64, isBytes, toBase64 } from "./bytes.js";
import { dataMustBeString } from "./event-data.js";
import { type EventParts, NO_PAYLOAD, needsNoEscapes, type Payload } from "./event-fields.js";
import { isJson } from "./media-type.js";

/** The versions of the specification. */
export type Specversion = "1.0" | "0.3";

/** The attributes and the data of a new event. */
export interface CloudEventInit<T = unknown> {
  /** What happened, usually with a reverse-DNS prefix: `com.example.order.created`. Must not be empty. */
  type: string;
  /** Where it happened: a URI-reference. Must not be empty. */
  source: string;
  /** Identifies the event within its source. @default a new UUID */
  id?: string;
  /** The version of the specification. @default "1.0" */
  specversion?: Specversion;
  /** When it happened: RFC 3339 text or a Date; `null` omits it. @default now */
  time?: string | Date | null;
  /** The object within the source that the event is about. Must not be empty. */
  subject?: string | null;
  /** The media type of `data`. @default "application/json" if `data` is a JSON value and not bytes */
  datacontenttype?: string | null;
  /** The absolute URI of the schema of `data`. In 0.3 it is called `schemaurl`. */
  dataschema?: string | null;
  /** Only in 0.3: the URI-reference of the schema of `data`. */
  schemaurl?: string | null;
  /**
   * The payload. Bytes are binary data. All else is a JSON value and is serialized immediately, so later changes of an
   * object do not change the event. If `datacontenttype` is not JSON, it must be a string or bytes.
   */
  data?: T | Uint8Array | ArrayBuffer;
  /** Extension attributes: names of `a-z0-9`, values string, boolean, 32-bit integer, Date, Uint8Array or URL. */
  [extension: string]: unknown;
}

/**
 * The checked parts of a new event. Its errors have the codes of errors in received events, but with the culprit
 * `caller`.
 */
export function partsFromInit(init: CloudEventInit): EventParts {
  try {
    return readInit(init);
  } catch (error) {
    if (!(error instanceof FerryError) || error.culprit !== "peer") throw error;
    const { code, message, attribute } = error;
    throw new FerryError(code, message, {
      attribute,
      culprit: "caller",
      ...(error.cause !== undefined && { cause: error.cause }),
    });
  }
}

function readInit(init: CloudEventInit): EventParts {
  if (typeof init !== "object" || init === null) throw mustBe("init", "an object", init);
  const specversion = init.specversion ?? "1.0";
  if (specversion !== "1.0" && specversion !== "0.3") throw unsupportedVersion(specversion);
  const isV1 = specversion === "1.0";
  let id: string | undefined;
  let source: string | undefined;
  let type: string | undefined;
  let time: string | null | undefined;
  let subject: string | undefined;
  let contentType: string | undefined;
  let schema: string | undefined;
  let isBase64 = false;
  // URIs and timestamps never have characters that JSON escapes.
  let isPlain = true;
  let extensions: Map<string, ExtensionValue> | undefined;
  for (const name in init) {
    const value = init[name];
    if (value === undefined) continue;
    if (value === null) {
      if (name === "time") time = null;
      else if (name !== "data") checkName(name);
      continue;
    }
    switch (name) {
      case "specversion":
      case "data":
        break;
      case "id":
        if (isPlainText(value)) id = value;
        else [id, isPlain] = [validText(name, value, Format.Text), false];
        break;
      case "source":
        source = validText(name, value, Format.UriReference, !isV1);
        break;
      case "type":
        if (isPlainText(value)) type = value;
        else [type, isPlain] = [validText(name, value, Format.Text), false];
        break;
      case "time":
        time = value instanceof Date ? toTimestamp(name, value) : validText(name, value, Format.Timestamp);
        break;
      case "subject":
        if (isPlainText(value)) subject = value;
        else [subject, isPlain] = [validText(name, value, Format.Text), false];
        break;
      case "datacontenttype":
        contentType = validText(name, value, Format.MediaType);
        if (contentType !== "application/json" && !isPlainText(contentType)) isPlain = false;
        break;
      default:
        // Inherited properties are not attributes, for example those added to Object.prototype.
        if (!Object.hasOwn(init, name)) break;
        if (name === (isV1 ? "dataschema" : "schemaurl")) {
          schema = validText(name, value, isV1 ? Format.Uri : Format.UriReference, !isV1);
        } else if (!isV1 && name === "datacontentencoding") {
          if (typeof value !== "string" || value.toLowerCase() !== "base64")
            throw attributeError(name, REASONS[21], value);
          isBase64 = true;
        } else {
          checkName(name);
          extensions ??= new Map();
          extensions.set(name, toExtensionValue(name, value, !isV1));
        }
    }
  }
  checkExtensionCount(extensions);
  if (source === undefined) throw missingAttribute("source");
  if (type === undefined) throw missingAttribute("type");
  if (init.id === null) throw missingAttribute("id");
  const payload = toPayload(init.data, contentType, isBase64);
  return {
    version: isV1 ? 10 : 3,
    id: id ?? freshId(),
    source,
    type,
    time: time === undefined ? timestampNow() : (time ?? undefined),
    subject,
    contentType,
    schema,
    extensions,
    payload,
    hasDefaultContentType: contentType === undefined && payload.kind === "json",
    isPlain: isPlain && extensions === undefined,
  };
}

/** Whether the value is text that JSON does not escape. Such text is also a valid String attribute. */
function isPlainText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && needsNoEscapes(value);
}

/** The error for a required attribute that is absent. */
export function missingAttribute(name: string): FerryError {
  return new FerryError("ERR_MISSING_ATTRIBUTE", `the attribute ${formatValue(name)} is missing`, { attribute: name });
}

/** The error for a version other than 1.0 and 0.3. */
export function unsupportedVersion(version: unknown): FerryError {
  return new FerryError(
    "ERR_UNSUPPORTED_SPECVERSION",
    `the attribute "specversion" ${REASONS[20]}: ${formatValue(version)}`,
    { attribute: "specversion" },
  );
}

function toPayload(data: unknown, contentType: string | undefined, isBase64: boolean): Payload {
  if (data === undefined) return NO_PAYLOAD;
  if (isBytes(data)) return { kind: "bytes", bytes: asBytes(data).slice() };
  if (isBase64 && typeof data === "string") return { kind: "bytes", bytes: decodeBase64(data) };
  if (contentType === undefined || isJson(contentType)) {
    if (typeof data === "number" && !Number.isFinite(data))
      throw new FerryError("ERR_INVALID_DATA", `the data ${data} cannot be expressed in JSON`, {
        attribute: "data",
        culprit: "caller",
      });
    // The event stores the text and not the object, so that later changes of the object do not change the event.
    const text = stringifyData(data);
    return { kind: "json", text, start: 0, end: text.length };
  }
  if (typeof data !== "string") throw dataMustBeString(contentType);
  if (!isWellFormed(data))
    throw new FerryError("ERR_INVALID_DATA", "the data contains a lone surrogate", {
      attribute: "data",
      culprit: "caller",
    });
  return { kind: "text", text: data, start: 0, end: data.length };
}

function decodeBase64(text: string): Uint8Array {
  try {
    const bytes = fromBase64(text);
    if (toBase64(bytes) === text) return bytes;
  } catch {
    // Throws the error below.
  }
  throw new FerryError("ERR_INVALID_DATA", `the data ${REASONS[18]}`, { attribute: "data" });
}

/** Serializes data, or a whole event, as JSON text. */
export function stringifyData(value: unknown): string {
  try {
    const text = JSON.stringify(value);
    if (text !== undefined) return text;
  } catch (cause) {
    throw new FerryError("ERR_INVALID_DATA", `the data cannot be expressed in JSON: ${(cause as Error).message}`, {
      attribute: "data",
      cause,
      culprit: "caller",
    });
  }
  throw new FerryError("ERR_INVALID_DATA", `the data cannot be expressed in JSON: received a ${typeof value}`, {
    attribute: "data",
    culprit: "caller",
  });
}
