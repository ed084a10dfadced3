/** Creates an event from the values that a caller passes: defaults and checks. */
import { FerryError, REASONS } from "../../engine/errors.js";
import { isWellFormed } from "../../engine/text-module.js";
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
import { asBytes, fromStrictBase64, isBytes, toBase64 } from "./bytes.js";
import { dataError, dataMustBeString, isJsonText, payloadFor } from "./event-data.js";
import {
  type EventParts,
  type Extensions,
  NO_EXTENSIONS,
  NO_PAYLOAD,
  needsNoEscapes,
  type Specversion,
  type StoredPayload,
} from "./event-fields.js";
import { stringifyData } from "./json-data.js";
import { isJson } from "./media-type.js";
import { TextEncoder } from "../../platform/text.js";

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
  /** The payload as Base64, instead of `data`: so have it events in the JSON format, and binary events of other SDKs. */
  data_base64?: string | null;
  /** Events of one partition keep their order in the outbox. Must not be empty. */
  partitionkey?: string | null;
  /** The trace that the event belongs to, in the syntax of W3C Trace Context. @default see `Publisher` */
  traceparent?: string | null;
  /** What tracing systems have added to the trace. */
  tracestate?: string | null;
  /** The position among the events of the source: texts that are ordered as texts are. Must not be empty. */
  sequence?: string | null;
  /** The id that all events of one conversation share. `event.reply(…)` sets it. */
  correlationid?: string | null;
  /** The id of the event that has led to this one. `event.reply(…)` sets it. */
  causationid?: string | null;
  /** From when on the event is of no use, not before `time`. */
  expirytime?: string | Date | null;
  /** When the event was recorded, which may be later than it happened. */
  recordedtime?: string | Date | null;
  /** How many similar events this one stands for, an integer above 0. */
  sampledrate?: number | null;
  /** The severity in words: `ERROR`. */
  severitytext?: string | null;
  /** The severity as a number, an integer from 0; 1 to 24 as in OpenTelemetry. */
  severitynumber?: number | null;
  /** Where the data are, if they are not in the event: a URI-reference. */
  dataref?: string | URL | null;
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
      cause: error.cause,
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
  // A copy of an event, as `{ ...event }` makes it: what it does not have stays absent.
  const isCopy = "rawKind" in init && Object.hasOwn(init, "rawKind");
  let extensions: Record<string, ExtensionValue> | undefined;
  if (isCopy) {
    time = null;
    extensions = Object.assign(Object.create(null), init["extensions"]);
  }
  for (const name in init) {
    const value = init[name];
    if (value === undefined || (isCopy && COPIED_MEMBERS.has(name))) continue;
    if (value === null) {
      if (name === "time") time = null;
      else if (name !== "data" && name !== "data_base64") checkName(name);
      if (extensions) delete extensions[name];
      continue;
    }
    switch (name) {
      case "specversion":
      case "data":
      case "data_base64":
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
        if (typeof value === "number") throw attributeError(name, "must be a string or a Date", value);
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
          extensions ??= Object.create(null) as Record<string, ExtensionValue>;
          extensions[name] = toExtensionValue(name, value, !isV1);
        }
    }
  }
  if (source === undefined) throw missingAttribute("source");
  if (type === undefined) throw missingAttribute("type");
  if (init.id === null || (isCopy && id === undefined)) throw missingAttribute("id");
  const hasNewData = !isCopy || Object.hasOwn(init, "data");
  const { rawKind, rawData } = !hasNewData
    ? copiedPayload(init, contentType)
    : typeof init.data_base64 === "string"
      ? { rawKind: "bytes" as const, rawData: decodeBase64(init.data_base64) }
      : toPayload(init.data, contentType, isBase64);
  return {
    specversion,
    id: id ?? freshId(),
    source,
    type,
    time: time === undefined ? timestampNow() : (time ?? undefined),
    subject,
    contentType,
    schema,
    extensions: extensions ? checkedExtensions(extensions, isCopy, isV1) : NO_EXTENSIONS,
    rawKind,
    rawData,
    hasDefaultContentType: contentType === undefined && rawKind === "json" && hasNewData,
    isPlain: isPlain && extensions === undefined,
  };
}

/** Members of an event that are not attributes. */
const COPIED_MEMBERS = new Set(["extensions", "problems", "rawKind", "rawData"]);

/** The extension attributes, frozen. Those of a copy may have been changed. */
function checkedExtensions(extensions: Record<string, ExtensionValue>, isCopy: boolean, isV1: boolean): Extensions {
  if (isCopy) {
    for (const name in extensions) {
      checkName(name);
      extensions[name] = toExtensionValue(name, extensions[name], !isV1);
    }
  }
  checkExtensionCount(Object.keys(extensions).length);
  return Object.freeze(extensions);
}

/** The payload of a copied event. It may have been changed, so it is checked. */
function copiedPayload({ rawKind, rawData }: CloudEventInit, contentType: string | undefined): StoredPayload {
  switch (rawKind) {
    case "none":
      return NO_PAYLOAD;
    case "json":
      if (typeof rawData === "string" && isWellFormed(rawData) && isJsonText(new TextEncoder().encode(`[${rawData}]`)))
        return payloadFor({ rawKind, rawData }, contentType);
      break;
    case "text":
      if (typeof rawData === "string" && isWellFormed(rawData)) return payloadFor({ rawKind, rawData }, contentType);
      break;
    case "base64":
      if (typeof rawData === "string") return { rawKind, rawData: toBase64(decodeBase64(rawData)) };
      break;
    case "bytes":
    case "body":
      if (isBytes(rawData)) return { rawKind, rawData: asBytes(rawData).slice() };
      if (rawKind === "body" && typeof rawData === "string" && isWellFormed(rawData)) return { rawKind, rawData };
  }
  throw mustBe("rawData", "the payload of an event, unchanged", rawData, "pass data to replace it");
}

/** Whether the value is text that JSON does not escape. Such text is also a valid String attribute. */
function isPlainText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && needsNoEscapes(value);
}

/** The error for a required attribute that is absent. */
export function missingAttribute(name: string): FerryError {
  return attributeError(name, REASONS[0], undefined, "ERR_MISSING_ATTRIBUTE");
}

/** The error for a version other than 1.0 and 0.3. */
export function unsupportedVersion(version: unknown): FerryError {
  return new FerryError(
    "ERR_UNSUPPORTED_SPECVERSION",
    `the attribute "specversion" ${REASONS[20]}: ${formatValue(version)}`,
    { attribute: "specversion" },
  );
}

function toPayload(data: unknown, contentType: string | undefined, isBase64: boolean): StoredPayload {
  if (data === undefined) return NO_PAYLOAD;
  if (isBytes(data)) return { rawKind: "bytes", rawData: asBytes(data).slice() };
  if (isBase64 && typeof data === "string") return { rawKind: "bytes", rawData: decodeBase64(data) };
  if (contentType === undefined || isJson(contentType)) {
    if (typeof data === "number" && !Number.isFinite(data))
      throw dataError(`the data ${data} cannot be expressed in JSON`, { culprit: "caller" });
    // The event stores the text and not the object, so that later changes of the object do not change the event.
    return { rawKind: "json", rawData: stringifyData(data) };
  }
  if (typeof data !== "string") throw dataMustBeString(contentType);
  if (!isWellFormed(data)) throw dataError("the data contains a lone surrogate", { culprit: "caller" });
  return { rawKind: "text", rawData: data };
}

function decodeBase64(text: string): Uint8Array {
  const bytes = fromStrictBase64(text);
  if (!bytes) throw dataError(`the data ${REASONS[18]}`);
  return bytes;
}
