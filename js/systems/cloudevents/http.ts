/** The HTTP protocol binding 1.0.2: events to messages and back, in binary, structured and batched mode. */
import { FerryError } from "../../engine/errors.js";
import { concat } from "../../platform/bytes.js";
import {
  type ExtensionValue,
  Form,
  asBytes,
  badAttribute,
  checkCount,
  checkName,
  checked,
  isBytes,
} from "./attribute.js";
import { EventBatch, checkEvent, listOf } from "./batch.js";
import { CloudEvent, scanBytes, scanText } from "./event.js";
import { missing } from "./init.js";
import { bodyPayload } from "./event-data.js";
import { type HeadersLike, attributeFrom, decodeHeader, encodeHeader, headerOf, pairsOf } from "./headers.js";
import { formatValue } from "../../engine/messages.js";

/** How events travel in HTTP messages. */
export type ContentMode = "binary" | "structured" | "batch";

/** A message for `fetch(url, { method: "POST", ...message })`. */
export interface HttpMessage {
  /** Names in lower case. */
  headers: Record<string, string>;
  /** `undefined` where the event has no data. */
  body: string | Uint8Array<ArrayBuffer> | undefined;
}

/** A body as platforms hand it out. */
export type Body = string | Uint8Array | ArrayBuffer | null | undefined;

/** Limits for reading. */
export interface ReadOptions {
  /** The largest body that is read, in bytes. More is refused with `ERR_TOO_LARGE`. @default 16 MiB */
  maxBytes?: number;
}

const STRUCTURED = "application/cloudevents+json; charset=UTF-8";
const BATCHED = "application/cloudevents-batch+json; charset=UTF-8";
/** How the media types of structured and batched mode begin. */
const CLOUDEVENT_TYPE = /^\s*application\/cloudevents/i;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;

/**
 * One event in binary mode: attributes in headers, data in the body as it is.
 *
 * @throws {FerryError} `ERR_INVALID_ATTRIBUTE_VALUE` if the `datacontenttype` is that of a CloudEvent: every
 * receiver would take the data for the event itself.
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
  CloudEvent.extensionsOf(event)?.forEach((value, name) => {
    if (typeof value === "object")
      throw badAttribute(name, "is an object, which a header cannot carry", undefined, "ERR_NOT_CONVERTIBLE");
    headers[`ce-${name}`] = encodeHeader(String(value));
  });
  const { contentType, body } = CloudEvent.binaryPayload(event);
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

/** One event in structured mode: all of it in the body, in the JSON format. */
export function toStructured(event: CloudEvent): HttpMessage {
  checkEvent(event);
  return { headers: { "content-type": STRUCTURED }, body: CloudEvent.arrivedAs(event) ?? event.toString() };
}

/**
 * Several events in one message. Untouched events are copied byte for byte.
 *
 * @throws {FerryError} `ERR_INVALID_BATCH` if they are not all of one version.
 */
export function toBatch(events: Iterable<CloudEvent> | EventBatch): HttpMessage {
  return { headers: { "content-type": BATCHED }, body: EventBatch.textOf(events) };
}

/**
 * How a message carries events, by its headers alone. `undefined`: it is no CloudEvent.
 * A structured mode of another format than JSON is still `"structured"`.
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
 * Reads one event from a message in binary or structured mode.
 *
 * @throws {FerryError} naming the attribute; `ERR_NOT_A_CLOUDEVENT` if there is no event in the message,
 * `ERR_UNSUPPORTED_FORMAT` if it is in a format other than JSON.
 */
export function fromHttp<T = unknown>(headers: HeadersLike, body?: Body): CloudEvent<T> {
  return read<T>(headers, ownBody(body));
}

/** Reads the events of a message in any of the three modes. */
export function batchFromHttp(headers: HeadersLike, body?: Body): EventBatch {
  return readBatch(headers, ownBody(body));
}

/**
 * Reads one event from a Request or Response. The body is always read to its end or cancelled.
 *
 * @example
 * export default { async fetch(request) { const event = await fromRequest(request); … } }
 */
export async function fromRequest<T = unknown>(
  message: Request | Response,
  options?: ReadOptions,
): Promise<CloudEvent<T>> {
  return read<T>(message.headers, await readBody(message, options));
}

/** Reads the events of a Request or Response in any of the three modes. */
export async function batchFromRequest(message: Request | Response, options?: ReadOptions): Promise<EventBatch> {
  return readBatch(message.headers, await readBody(message, options));
}

/**
 * A Request that carries one event or several: by default in binary mode, and several as a batch.
 * The method is POST unless `init` says otherwise; headers of `init` are added.
 */
export function toRequest(
  url: string | URL,
  events: CloudEvent | Iterable<CloudEvent> | EventBatch,
  init: Omit<RequestInit, "mode"> & { mode?: RequestMode | ContentMode } = {},
): Request {
  const { mode, ...rest } = init;
  const isContentMode = mode === "binary" || mode === "structured" || mode === "batch";
  const message = toMode(events, isContentMode ? mode : undefined);
  const headers = new Headers(rest.headers);
  for (const name in message.headers) headers.set(name, message.headers[name]!);
  const requestInit: RequestInit = { method: "POST", ...rest, headers, body: message.body ?? null };
  if (mode !== undefined && !isContentMode) requestInit.mode = mode;
  try {
    return new Request(url, requestInit);
  } catch (cause) {
    throw new FerryError("ERR_INVALID_ARGUMENT", "the platform makes no Request of this URL and these options", {
      cause,
    });
  }
}

/** Events as a message in the wanted mode; by default one in binary mode, several as a batch. */
export function toMode(events: CloudEvent | Iterable<CloudEvent> | EventBatch, mode?: ContentMode): HttpMessage {
  const isOne = events instanceof CloudEvent;
  switch (mode ?? (isOne ? "binary" : "batch")) {
    case "binary":
      return toBinary(onlyOne(events));
    case "structured":
      return toStructured(onlyOne(events));
    case "batch":
      return toBatch(isOne ? [events] : events);
    default:
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `the content mode is binary, structured or batch, not ${formatValue(mode)}`,
      );
  }
}

function onlyOne(events: CloudEvent | Iterable<CloudEvent>): CloudEvent {
  if (events instanceof CloudEvent) return events;
  const [first, second] = listOf(events);
  if (first === undefined || second !== undefined) {
    throw new FerryError(
      "ERR_INVALID_ARGUMENT",
      "binary and structured mode carry exactly one event; use batch mode for others",
    );
  }
  return first;
}

function read<T>(headers: HeadersLike, body: string | Uint8Array | undefined): CloudEvent<T> {
  const found = collect(pairsOf(headers));
  const { contentType } = found;
  if (contentType === undefined || !CLOUDEVENT_TYPE.test(contentType)) return fromHeaders<T>(found, body);
  if (modeOf(contentType) === "batch") {
    throw new FerryError(
      "ERR_INVALID_EVENT",
      "the message carries a batch of events; read it with batchFromHttp or batchFromRequest",
    );
  }
  checkFormat(contentType);
  return typeof body === "string" ? scanText<T>(body) : scanBytes<T>(body ?? new Uint8Array(0));
}

function readBatch(headers: HeadersLike, body: string | Uint8Array | undefined): EventBatch {
  const contentType = headerOf(headers, "content-type");
  if (modeOf(contentType) !== "batch") return EventBatch.of([read(headers, body)]);
  checkFormat(contentType!);
  return EventBatch.scan(body ?? "", "batch");
}

/** Only the JSON format is spoken; nothing else is guessed to be it. */
function checkFormat(contentType: string): void {
  if (!/^\s*application\/cloudevents(?:-batch)?\+json\s*(?:;|$)/i.test(contentType)) {
    throw new FerryError(
      "ERR_UNSUPPORTED_FORMAT",
      `the event format of ${formatValue(contentType)} is not supported, only +json is`,
    );
  }
}

/** The headers of a message that matter, not yet decoded. */
interface Found {
  contentType: string | undefined;
  version: string | undefined;
  id: string | undefined;
  source: string | undefined;
  type: string | undefined;
  time: string | undefined;
  subject: string | undefined;
  schema: string | undefined;
  schemaUrl: string | undefined;
  extensions: [name: string, value: string][] | undefined;
  /** A name that was there more than once: they count without regard to case, so a plain object may have two. */
  twice: string | undefined;
}

/** One walk over the headers: with a Headers object that costs more than all that follows. */
function collect(pairs: Iterable<readonly [string, string]>): Found {
  let contentType: string | undefined;
  let version: string | undefined;
  let id: string | undefined;
  let source: string | undefined;
  let type: string | undefined;
  let time: string | undefined;
  let subject: string | undefined;
  let schema: string | undefined;
  let schemaUrl: string | undefined;
  let extensions: [string, string][] | undefined;
  let twice: string | undefined;
  for (const [name, value] of pairs) {
    let before: string | undefined;
    // The hyphen of ce-; most headers have none there.
    if (name.charCodeAt(2) !== 0x2d) {
      if (name === "content-type") contentType = value;
      continue;
    }
    switch (name) {
      case "ce-id":
        before = id;
        id = value;
        break;
      case "ce-source":
        before = source;
        source = value;
        break;
      case "ce-type":
        before = type;
        type = value;
        break;
      case "ce-time":
        before = time;
        time = value;
        break;
      case "ce-specversion":
        before = version;
        version = value;
        break;
      case "ce-subject":
        before = subject;
        subject = value;
        break;
      case "ce-dataschema":
        before = schema;
        schema = value;
        break;
      case "ce-schemaurl":
        before = schemaUrl;
        schemaUrl = value;
        break;
      case "ce-datacontenttype": // belongs into Content-Type, which wins
      case "ce-datacontentencoding": // describes the JSON format of 0.3; a body is bytes
        break;
      default:
        if (name.startsWith("ce-")) (extensions ??= []).push([name.slice(3), value]);
    }
    if (before !== undefined) twice = name.slice(3);
  }
  return { contentType, version, id, source, type, time, subject, schema, schemaUrl, extensions, twice };
}

/**
 * The event of a message in binary mode. Extensions and all are checked now and not when somebody asks: an
 * event in hand is a valid event.
 */
function fromHeaders<T>(found: Found, body: string | Uint8Array | undefined): CloudEvent<T> {
  const { contentType, id, source, type, time, subject, schema, schemaUrl, twice } = found;
  let { version } = found;
  if (version === undefined && id === undefined && source === undefined && type === undefined) {
    throw new FerryError("ERR_NOT_A_CLOUDEVENT", "the message has no ce- headers and no content type of a CloudEvent");
  }
  if (twice !== undefined) throw moreThanOnce(twice);
  if (version === undefined) throw missing("specversion");
  if (version !== "1.0" && (version = decodeHeader("specversion", version)) !== "1.0" && version !== "0.3") {
    throw new FerryError(
      "ERR_UNSUPPORTED_SPECVERSION",
      `the attribute "specversion" is neither "1.0" nor "0.3": ${formatValue(version)}`,
      { attribute: "specversion" },
    );
  }
  if (id === undefined) throw missing("id");
  if (source === undefined) throw missing("source");
  if (type === undefined) throw missing("type");
  const v10 = version === "1.0";
  const [ours, foreign] = v10 ? [schema, schemaUrl] : [schemaUrl, schema];
  return CloudEvent.fromParts<T>({
    version: v10 ? 10 : 3,
    id: attributeFrom("id", id, Form.Text),
    source: attributeFrom("source", source, Form.UriReference, !v10),
    type: attributeFrom("type", type, Form.Text),
    time: time === undefined ? undefined : attributeFrom("time", time, Form.Timestamp),
    subject: subject === undefined ? undefined : attributeFrom("subject", subject, Form.Text),
    contentType: contentType === undefined ? undefined : checked("datacontenttype", contentType, Form.MediaType),
    schema: ours === undefined ? undefined : schemaOf(ours, v10),
    extensions:
      found.extensions || foreign !== undefined ? extensionsOf(found.extensions ?? [], foreign, v10) : undefined,
    payload: bodyPayload(body),
    implied: false,
    quotable: false,
  });
}

function schemaOf(value: string, v10: boolean): string {
  const name = v10 ? "dataschema" : "schemaurl";
  return attributeFrom(name, value, v10 ? Form.Uri : Form.UriReference, !v10);
}

/** The schema attribute of the other version is an extension like any other. */
function extensionsOf(
  pairs: [string, string][],
  foreign: string | undefined,
  v10: boolean,
): Map<string, ExtensionValue> {
  if (foreign !== undefined) pairs.push([v10 ? "schemaurl" : "dataschema", foreign]);
  const extensions = new Map<string, ExtensionValue>();
  for (const [name, value] of pairs) {
    checkName(name);
    if (extensions.has(name)) throw moreThanOnce(name);
    extensions.set(name, attributeFrom(name, value, Form.Text, true));
  }
  checkCount(extensions);
  return extensions;
}

function moreThanOnce(name: string): FerryError {
  return new FerryError("ERR_INVALID_EVENT", `the attribute ${formatValue(name)} is there more than once`, {
    attribute: name,
  });
}

/** A body that nobody else can change any more. */
function ownBody(body: Body): string | Uint8Array | undefined {
  if (body === null || body === undefined) return undefined;
  if (typeof body === "string") return body;
  if (isBytes(body)) return asBytes(body).slice();
  throw new FerryError(
    "ERR_INVALID_ARGUMENT",
    `a body is a string, a Uint8Array or an ArrayBuffer, not ${formatValue(body)}`,
  );
}

/** Refuses a limit that would limit nothing. */
export function checkLimit(maxBytes: unknown): void {
  if (!(typeof maxBytes === "number" && maxBytes >= 0)) {
    throw new FerryError("ERR_INVALID_ARGUMENT", `maxBytes is a number of bytes, not ${formatValue(maxBytes)}`);
  }
}

/**
 * Reads a body up to the limit, and cancels it beyond.
 *
 * @param spare so many bytes more are read and thrown away before it is cancelled: a server that answers while the other side still writes breaks
 * the connection, and with it the answer and the requests behind it
 */
export async function readBody(message: Request | Response, options: ReadOptions = {}, spare = 0): Promise<Uint8Array> {
  const { maxBytes = DEFAULT_MAX_BYTES } = options;
  checkLimit(maxBytes);
  const tooLarge = () => new FerryError("ERR_TOO_LARGE", `the body has more than the ${maxBytes} bytes allowed`);
  const { body } = message;
  if (message.bodyUsed) throw new FerryError("ERR_INVALID_ARGUMENT", "the body of the message has been read before");
  if (body === null || body === undefined) {
    // Some runtimes have no stream on requests.
    const bytes = new Uint8Array(await message.arrayBuffer());
    if (bytes.length > maxBytes) throw tooLarge();
    return bytes;
  }
  const announced = Number(message.headers.get("content-length"));
  if (announced > maxBytes + spare) {
    await body.cancel().catch(() => undefined);
    throw tooLarge();
  }
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      // A stream of texts would become zeros below, one for each character.
      if (!(step.value instanceof Uint8Array))
        throw new FerryError("ERR_INVALID_ARGUMENT", "the body is a stream of something other than bytes");
      size += step.value.length;
      if (size > maxBytes + spare) throw tooLarge();
      if (size <= maxBytes) chunks.push(step.value);
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    throw error instanceof FerryError
      ? error
      : new FerryError("ERR_NETWORK", "the body broke off before its end", { cause: error });
  }
  if (size > maxBytes) throw tooLarge();
  return concat(chunks);
}
