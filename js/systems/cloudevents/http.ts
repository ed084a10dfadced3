/** The HTTP protocol binding 1.0.2: events to messages and back, in binary, structured and batched content mode. */
import type { Bytes } from "../../platform/bytes.js";
import { FerryError } from "../../engine/errors.js";
import { formatValue, invalidArgument, mustBe } from "../../engine/messages.js";
import { attributeError } from "./attribute.js";
import { EventBatch } from "./batch.js";
import { batchBody } from "./batch-body.js";
import { decodeEach } from "./batch-each.js";
import { type BatchOptions, checkOnInvalid } from "./batch-options.js";
import { type BinaryDetails, collectHeaders, eventFromHeaders } from "./binary-mode.js";
import { type Body, copyBody, type ReadOptions, readDecodedBody } from "./body.js";
import { checkEvent, toArray } from "./check-event.js";
import { checkSchema, type SchemaOptions, validateData } from "./data-schema.js";
import { checkEnvelope, type EnvelopeOptions, openEnvelope } from "./envelopes.js";
import { CloudEvent, scanBytes, scanText } from "./event.js";
import { binaryPayload, receivedJson } from "./event-payload.js";
import { encodeHeader, type HeadersLike, headerOf, pairsOf } from "./headers.js";
import { adviseLenient, checkLenient, type LenientOptions, type LenientReader } from "./lenient.js";
import type { RequestMode } from "../../platform/web-types.js";

/** The content modes: how events are sent in HTTP messages. */
export type ContentMode = "binary" | "structured" | "batch";

/** A message for `fetch(url, { method: "POST", ...message })`. */
export interface HttpMessage {
  /** The headers, with names in lower case. */
  headers: Record<string, string>;
  /** The body. `undefined` if the event has no data. */
  body: string | Bytes | undefined;
}

export const STRUCTURED_TYPE = "application/cloudevents+json; charset=utf-8";
export const BATCH_TYPE = "application/cloudevents-batch+json; charset=utf-8";
/** The start of the media types of structured and batched mode. */
export const CLOUDEVENT_TYPE: RegExp = /^\s*application\/cloudevents/i;

/**
 * Encodes one event in binary mode: attributes in headers, data in the body.
 *
 * @throws {FerryError} `ERR_INVALID_ATTRIBUTE_VALUE` if the `datacontenttype` is that of a CloudEvent, because a
 * receiver would take the data for the event itself. `ERR_NOT_CONVERTIBLE` if an extension attribute is an object.
 */
export function toBinary(event: CloudEvent): HttpMessage {
  checkEvent(event);
  const headers: Record<string, string> = {
    "ce-specversion": event.specversion,
    "ce-id": encodeHeader(event.id),
    "ce-source": encodeHeader(event.source),
    "ce-type": encodeHeader(event.type),
  };
  const { time, subject, dataschema, schemaurl } = event;
  if (time !== undefined) headers["ce-time"] = encodeHeader(time);
  if (subject !== undefined) headers["ce-subject"] = encodeHeader(subject);
  if (dataschema !== undefined) headers["ce-dataschema"] = encodeHeader(dataschema);
  if (schemaurl !== undefined) headers["ce-schemaurl"] = encodeHeader(schemaurl);
  for (const name in event.extensions) {
    const value = event.extensions[name]!;
    if (typeof value === "object")
      throw attributeError(name, "is an object, which a header cannot carry", undefined, "ERR_NOT_CONVERTIBLE");
    headers[`ce-${name}`] = encodeHeader(String(value));
  }
  const { contentType, body } = binaryPayload(event);
  if (contentType !== undefined) {
    if (CLOUDEVENT_TYPE.test(contentType)) {
      const problem =
        "makes a binary message look like a structured one; use structured mode, or application/json for an event within an event";
      throw new FerryError(
        "ERR_INVALID_ATTRIBUTE_VALUE",
        `the attribute "datacontenttype" ${problem}: ${formatValue(contentType)}`,
        { attribute: "datacontenttype", culprit: "caller" },
      );
    }
    headers["content-type"] = contentType;
  }
  return { headers, body };
}

/** Encodes one event in structured mode: all of it in the body, in the JSON format. */
export function toStructured(event: CloudEvent): HttpMessage {
  checkEvent(event);
  return { headers: { "content-type": STRUCTURED_TYPE }, body: receivedJson(event) ?? event.toString() };
}

/**
 * Encodes several events in one message. Events that were decoded from JSON are copied byte for byte.
 *
 * @throws {FerryError} `ERR_INVALID_BATCH` if the events do not have the same specversion.
 */
export function toBatch(events: Iterable<CloudEvent> | EventBatch): HttpMessage {
  return { headers: { "content-type": BATCH_TYPE }, body: batchBody(events) };
}

/**
 * The content mode of a message, by its headers alone. `undefined` if it is not a CloudEvent.
 * Structured mode in another format than JSON is `"structured"` as well.
 */
export function contentMode(headers: HeadersLike): ContentMode | undefined {
  const mode = modeOf(headerOf(headers, "content-type"));
  if (mode !== "binary") return mode;
  return ["ce-specversion", "ce-id", "ce-source", "ce-type"].some((name) => headerOf(headers, name) !== undefined)
    ? mode
    : undefined;
}

function modeOf(contentType: string | undefined): ContentMode {
  if (contentType === undefined || !CLOUDEVENT_TYPE.test(contentType)) return "binary";
  return /^\s*application\/cloudevents-batch/i.test(contentType) ? "batch" : "structured";
}

/**
 * Decodes one event from a message in binary or structured mode.
 *
 * @throws {FerryError} with the name of the attribute that is wrong; `ERR_NOT_A_CLOUDEVENT` if the message has no event,
 * `ERR_UNSUPPORTED_FORMAT` if it is in another format than JSON.
 */
export function fromHttp<T = unknown>(
  headers: HeadersLike,
  body?: Body,
  options: LenientOptions & EnvelopeOptions = {},
): CloudEvent<T> {
  return decodeOne<T>(headers, copyBody(body), options);
}

/** Decodes the events of a message in any content mode. */
export function batchFromHttp(
  headers: HeadersLike,
  body?: Body,
  options: BatchOptions & EnvelopeOptions = {},
): EventBatch {
  return decodeBatch(headers, copyBody(body), options);
}

/**
 * Decodes one event from a Request or Response. The body is read to its end or cancelled. Content encodings that the
 * platform knows are undone: gzip and deflate everywhere.
 *
 * @throws {FerryError} as `fromHttp`; `ERR_TOO_LARGE` for a body above `maxBytes`, `ERR_UNSUPPORTED_FORMAT` for an unknown
 * content encoding, `ERR_NETWORK` for a body that breaks off, `ERR_INVALID_DATA` with status 422 and the path for data that
 * does not match the schema.
 *
 * @example
 * export default { async fetch(request) { const event = await fromRequest(request); … } }
 */
export async function fromRequest<T = unknown>(
  message: Request | Response,
  options: ReadOptions & SchemaOptions<T> = {},
): Promise<CloudEvent<T>> {
  const { schema } = options;
  checkLenient(options);
  checkEnvelope(options);
  checkSchema(schema);
  const body = await readDecodedBody(message, options);
  const event = decodeOne<T>(message.headers, body, options);
  return schema ? validateData(event, schema) : event;
}

/** Decodes the events of a Request or Response in any content mode, with the errors of `fromRequest`. */
export async function batchFromRequest(message: Request | Response, options: ReadOptions = {}): Promise<EventBatch> {
  const body = await readDecodedBody(message, options);
  return decodeBatch(message.headers, body, options);
}

/**
 * Creates a Request with one event or several. The default is binary mode for one event and a batch for several.
 * The method is POST unless `init` has another one; headers of `init` are added.
 */
export function toRequest(
  url: string | URL,
  events: CloudEvent | Iterable<CloudEvent> | EventBatch,
  init: Omit<RequestInit, "mode"> & { mode?: RequestMode | ContentMode } = {},
): Request {
  const { mode, ...options } = init;
  const isContentMode = mode === "binary" || mode === "structured" || mode === "batch";
  const message = toHttp(events, isContentMode ? mode : undefined);
  const headers = new Headers(options.headers);
  for (const name in message.headers) headers.set(name, message.headers[name]!);
  const requestInit: RequestInit = { method: "POST", ...options, headers, body: message.body ?? null };
  if (mode !== undefined && !isContentMode) requestInit.mode = mode;
  try {
    return new Request(url, requestInit);
  } catch (cause) {
    if (!REQUEST_MODES.includes(requestInit.mode)) checkMode(mode);
    throw new FerryError("ERR_INVALID_ARGUMENT", "could not construct a Request from this URL and these options", {
      cause,
    });
  }
}

const REQUEST_MODES: readonly (RequestMode | undefined)[] = [undefined, "cors", "no-cors", "same-origin"];

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a content mode that does not exist. */
export function checkMode(mode: unknown): void {
  if (mode !== undefined && mode !== "binary" && mode !== "structured" && mode !== "batch")
    throw mustBe(
      "mode",
      '"binary", "structured" or "batch"',
      mode,
      mode === "json" ? 'did you mean "structured"?' : undefined,
    );
}

/** Encodes events in a content mode. The default is binary mode for one event and a batch for several. */
export function toHttp(events: CloudEvent | Iterable<CloudEvent> | EventBatch, mode?: ContentMode): HttpMessage {
  checkMode(mode);
  const isOne = events instanceof CloudEvent;
  switch (mode ?? (isOne ? "binary" : "batch")) {
    case "binary":
      return toBinary(onlyEvent(events));
    case "structured":
      return toStructured(onlyEvent(events));
    default:
      return toBatch(isOne ? [events] : events);
  }
}

function onlyEvent(events: CloudEvent | Iterable<CloudEvent>): CloudEvent {
  if (events instanceof CloudEvent) return events;
  const [first, second] = toArray(events);
  if (first === undefined || second !== undefined)
    throw invalidArgument("binary and structured mode carry exactly one event; use batch mode for several");
  return first;
}

/** Decodes one event from headers with names in lower case. @internal */
export function decode<T>(
  pairs: Iterable<readonly [string, string]>,
  body: string | Uint8Array | undefined,
  lenient: LenientReader | undefined,
  types?: BinaryDetails["types"],
): CloudEvent<T> {
  const eventHeaders = collectHeaders(pairs);
  const { contentType } = eventHeaders;
  const isStructured = contentType !== undefined && CLOUDEVENT_TYPE.test(contentType);
  if (isStructured) {
    if (modeOf(contentType) === "batch") {
      throw new FerryError(
        "ERR_INVALID_EVENT",
        "the message carries a batch of events; read it with batchFromHttp or batchFromRequest",
      );
    }
    checkJsonFormat(contentType);
  }
  if (isStructured || lenient?.unlabelledMode(eventHeaders, body) === "structured")
    return typeof body === "string" ? scanText<T>(body, lenient) : scanBytes<T>(body ?? new Uint8Array(0), lenient);
  try {
    return eventFromHeaders<T>(eventHeaders, body, { types });
  } catch (error) {
    if (!(error instanceof FerryError)) throw error;
    if (!lenient) throw adviseLenient(error);
    const sifted = lenient.siftHeaders(pairs);
    if (!sifted) throw error;
    return eventFromHeaders<T>(collectHeaders(sifted.headers), body, { types, problems: sifted.problems });
  }
}

/** Decodes the only event of a message. */
function decodeOne<T>(
  headers: HeadersLike,
  body: string | Uint8Array | undefined,
  options: LenientOptions & EnvelopeOptions,
): CloudEvent<T> {
  const lenient = checkLenient(options);
  const from = checkEnvelope(options);
  if (from === undefined) return decode<T>(pairsOf(headers), body, lenient);
  const opened = openEnvelope(from, body);
  if ("headers" in opened) return decode<T>(pairsOf(opened.headers), opened.body, lenient);
  // Not through `EventBatch`, which an application that reads single events need not download.
  const { texts, toJson } = opened;
  if (texts.length === 1) return scanText<T>(toJson(texts[0]!), lenient);
  const advice = "read it with batchFromHttp or batchFromRequest";
  throw new FerryError("ERR_INVALID_EVENT", `the envelope has ${texts.length} events; ${advice}`);
}

function decodeBatch(
  headers: HeadersLike,
  body: string | Uint8Array | undefined,
  options: BatchOptions & EnvelopeOptions,
): EventBatch {
  const lenient = checkLenient(options);
  const onInvalid = checkOnInvalid(options);
  const from = checkEnvelope(options);
  if (from !== undefined) {
    const opened = openEnvelope(from, body);
    if ("headers" in opened) return decodeBatch(opened.headers, opened.body, { ...options, from: undefined });
    const { texts, toJson } = opened;
    const decodeAt = (index: number) => scanText(toJson(texts[index]!), lenient);
    return EventBatch.ofDecoded(decodeEach(texts.length, decodeAt, (index) => texts[index]!, onInvalid));
  }
  const pairs = pairsOf(headers);
  const eventHeaders = collectHeaders(pairs);
  const isBatch = modeOf(eventHeaders.contentType) === "batch";
  if (!isBatch && lenient?.unlabelledMode(eventHeaders, body) !== "batch")
    return EventBatch.of([decode(pairs, body, lenient)]);
  if (isBatch) checkJsonFormat(eventHeaders.contentType!);
  return EventBatch.scan(body ?? "", "batch", options);
}

/** Throws for an event format other than JSON. */
export function checkJsonFormat(contentType: string): void {
  if (!/^\s*application\/cloudevents(?:-batch)?\+json\s*(?:;|$)/i.test(contentType)) {
    throw new FerryError(
      "ERR_UNSUPPORTED_FORMAT",
      `the event format of ${formatValue(contentType)} is not supported, only +json is`,
    );
  }
}
