/** Making an event from what a caller passes: defaults, and every check. */
import { FerryError, REASONS } from "../../engine/errors.js";
import { freshId } from "../../platform/uuid.js";
import { isWellFormed } from "../../engine/instance.js";
import {
  type ExtensionValue,
  Form,
  asBytes,
  badAttribute,
  checkCount,
  checkName,
  checked,
  fromBase64,
  isBytes,
  isJson,
  timestampNow,
  toBase64,
  toExtensionValue,
  toTimestamp,
} from "./attribute.js";
import { Kept, NO_PAYLOAD, type Parts, type Payload, QUOTABLE, notString } from "./event-data.js";
import { formatValue } from "../../engine/messages.js";

/** The versions of the specification. */
export type Specversion = "1.0" | "0.3";

/** What an event is made from. */
export interface CloudEventInit<T = unknown> {
  /** What happened, best with a reverse-DNS prefix: `com.example.order.created`. Not empty. */
  type: string;
  /** Where it happened: a URI-reference. Not empty. */
  source: string;
  /** Names the event; `source` and `id` together are unique. @default a fresh UUID */
  id?: string;
  /** @default "1.0" */
  specversion?: Specversion;
  /** RFC 3339 text or a Date; `null` leaves it out. @default now */
  time?: string | Date | null;
  /** What it is about, within the source. Not empty. */
  subject?: string | null;
  /** Media type of `data`. @default "application/json" when data is a JSON value and no bytes */
  datacontenttype?: string | null;
  /** Absolute URI of the schema of `data`. In 0.3 it is called `schemaurl`. */
  dataschema?: string | null;
  /** 0.3 only: URI-reference of the schema of `data`. */
  schemaurl?: string | null;
  /**
   * The payload. Bytes are binary data. Everything else is a JSON value and is written down at once, so later
   * changes to an object do not reach the event; under a `datacontenttype` that is not JSON it must be a string.
   */
  data?: T | Uint8Array | ArrayBuffer;
  /** Extension attributes: names of `a-z0-9`, values string, boolean, 32-bit integer, Date, Uint8Array or URL. */
  [extension: string]: unknown;
}

/** Checks everything that a caller passes. The codes are those of a peer's faults, but this one is the caller's. */
export function readCallers(init: CloudEventInit): Parts {
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

function readInit(init: CloudEventInit): Parts {
  if (typeof init !== "object" || init === null) {
    throw new FerryError("ERR_INVALID_ARGUMENT", `a CloudEvent is made from an object, not from ${formatValue(init)}`);
  }
  const specversion = init.specversion ?? "1.0";
  if (specversion !== "1.0" && specversion !== "0.3") throw unsupportedVersion(specversion);
  const v10 = specversion === "1.0";
  let id: string | undefined;
  let source: string | undefined;
  let type: string | undefined;
  let time: string | null | undefined;
  let subject: string | undefined;
  let contentType: string | undefined;
  let schema: string | undefined;
  let inBase64 = false;
  // URIs and timestamps cannot have characters that JSON escapes.
  let quotable = true;
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
        if (isQuotable(value)) id = value;
        else [id, quotable] = [checked(name, value, Form.Text), false];
        break;
      case "source":
        source = checked(name, value, Form.UriReference, !v10);
        break;
      case "type":
        if (isQuotable(value)) type = value;
        else [type, quotable] = [checked(name, value, Form.Text), false];
        break;
      case "time":
        time = value instanceof Date ? toTimestamp(name, value) : checked(name, value, Form.Timestamp);
        break;
      case "subject":
        if (isQuotable(value)) subject = value;
        else [subject, quotable] = [checked(name, value, Form.Text), false];
        break;
      case "datacontenttype":
        contentType = checked(name, value, Form.MediaType);
        if (contentType !== "application/json" && !isQuotable(contentType)) quotable = false;
        break;
      default:
        // What somebody has put on Object.prototype is no attribute.
        if (!Object.hasOwn(init, name)) break;
        if (name === (v10 ? "dataschema" : "schemaurl")) {
          schema = checked(name, value, v10 ? Form.Uri : Form.UriReference, !v10);
        } else if (!v10 && name === "datacontentencoding") {
          if (typeof value !== "string" || value.toLowerCase() !== "base64")
            throw badAttribute(name, REASONS[21], value);
          inBase64 = true;
        } else {
          checkName(name);
          (extensions ??= new Map()).set(name, toExtensionValue(name, value, !v10));
        }
    }
  }
  checkCount(extensions);
  if (source === undefined) throw missing("source");
  if (type === undefined) throw missing("type");
  if (init.id === null) throw missing("id");
  const payload = toPayload(init.data, contentType, inBase64);
  return {
    version: v10 ? 10 : 3,
    id: id ?? freshId(),
    source,
    type,
    time: time === undefined ? timestampNow() : (time ?? undefined),
    subject,
    contentType,
    schema,
    extensions,
    payload,
    implied: contentType === undefined && payload.kept === Kept.Json,
    quotable: quotable && extensions === undefined,
  };
}

/** Whether a value is text of printable ASCII that JSON does not escape, which makes it a String as well. */
function isQuotable(value: unknown): value is string {
  return typeof value === "string" && value !== "" && QUOTABLE.test(value);
}

/** The error for a required attribute that is not there. */
export function missing(name: string): FerryError {
  return new FerryError("ERR_MISSING_ATTRIBUTE", `the attribute ${formatValue(name)} is missing`, { attribute: name });
}

/** The error for a version that is neither. */
export function unsupportedVersion(version: unknown): FerryError {
  return new FerryError(
    "ERR_UNSUPPORTED_SPECVERSION",
    `the attribute "specversion" ${REASONS[20]}: ${formatValue(version)}`,
    { attribute: "specversion" },
  );
}

function toPayload(data: unknown, contentType: string | undefined, inBase64: boolean): Payload {
  if (data === undefined) return NO_PAYLOAD;
  if (isBytes(data)) return { kept: Kept.Bytes, bytes: asBytes(data).slice() };
  if (inBase64 && typeof data === "string") return { kept: Kept.Bytes, bytes: decodedBase64(data) };
  if (contentType === undefined || isJson(contentType)) {
    if (typeof data === "number" && !Number.isFinite(data))
      throw new FerryError("ERR_INVALID_DATA", `the data ${data} cannot be expressed in JSON`, {
        attribute: "data",
        culprit: "caller",
      });
    const text = stringified(data);
    // The object itself is not kept: what the caller does to it later must not reach the event.
    return { kept: Kept.Json, text, from: 0, to: text.length };
  }
  if (typeof data !== "string") throw notString(contentType);
  if (!isWellFormed(data))
    throw new FerryError("ERR_INVALID_DATA", "the data has half a surrogate pair in it", {
      attribute: "data",
      culprit: "caller",
    });
  return { kept: Kept.Text, text: data, from: 0, to: data.length };
}

function decodedBase64(text: string): Uint8Array {
  try {
    const bytes = fromBase64(text);
    if (toBase64(bytes) === text) return bytes;
  } catch {
    // The same refusal as for text that only nearly is Base64.
  }
  throw new FerryError("ERR_INVALID_DATA", `the data ${REASONS[18]}`, { attribute: "data" });
}

/** The JSON text of a value. */
export function stringified(value: unknown): string {
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
  throw new FerryError("ERR_INVALID_DATA", `the data cannot be expressed in JSON: it is a ${typeof value}`, {
    attribute: "data",
    culprit: "caller",
  });
}
