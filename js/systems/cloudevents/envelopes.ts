/**
 * Envelopes of clouds, which are named by the option `from` and never guessed:
 *
 * | envelope | attribute | from |
 * |---|---|---|
 * | `"event-grid"`: Azure Event Grid's own schema | `id`, `subject`, `data` | the same |
 * | | `source`, `type`, `time` | `topic`, `eventType`, `eventTime` |
 * | | extension `dataversion` | `dataVersion`, if it is not empty |
 * | `"pubsub-push"`: Google Pub/Sub | `id`, `time` | `messageId`, `publishTime` |
 * | | `source` | `//pubsub.googleapis.com/` and `subscription` |
 * | | `type` | `google.cloud.pubsub.topic.v1.messagePublished` |
 * | | extension `partitionkey` | `orderingKey`, if it is not empty |
 * | | `data` | all of the envelope, as this type has it |
 *
 * A Pub/Sub message whose attributes are those of a CloudEvent in binary or structured mode is that event.
 * `envelope-writers.ts` has the way back.
 */
import { FerryError } from "../../engine/errors.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { fromStrictBase64 } from "./bytes.js";
import { dataError } from "./event-data.js";
import { encodeHeader } from "./headers.js";
import { membersOf, splitJson } from "./json-split.js";

/** An envelope that is not one of CloudEvents. */
export type Envelope = "event-grid" | "pubsub-push";

/** What is in the body of a message. */
export interface EnvelopeOptions {
  /**
   * The envelope around the events: Azure Event Grid's own schema, or that of Google Pub/Sub push. A body without this
   * envelope is rejected. @default none: the body is one of CloudEvents
   */
  from?: Envelope | undefined;
}

/** What was in an envelope: events as they were written and in the JSON format, or a message with headers of HTTP. */
export type Opened =
  | { readonly texts: readonly string[]; toJson(text: string): string }
  | { readonly headers: [string, string][]; readonly body: Uint8Array | undefined };

export const MESSAGE_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished";
export const PUBSUB = "//pubsub.googleapis.com/";
const GRID_ATTRIBUTES: Record<string, string> = {
  id: "id",
  topic: "source",
  subject: "subject",
  eventType: "type",
  eventTime: "time",
  data: "data",
  dataVersion: "dataversion",
};
const GRID_REQUIRED = ["id", "topic", "subject", "eventType", "eventTime"];

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for an envelope that does not exist. */
export function checkEnvelope({ from }: EnvelopeOptions): Envelope | undefined {
  if (from !== undefined && from !== "event-grid" && from !== "pubsub-push")
    throw mustBe("from", '"event-grid" or "pubsub-push"', from);
  return from;
}

/** @throws {FerryError} `ERR_INVALID_EVENT` for a body that is not this envelope. */
export function openEnvelope(from: Envelope, body: string | Uint8Array | undefined): Opened {
  const text = textOf(from, body);
  const value = parse(from, text);
  return from === "event-grid" ? openEventGrid(text) : openPubSub(text, value as PubSubPush);
}

function openEventGrid(text: string): Opened {
  const parts = splitJson(text, "[");
  if (!parts) throw notEnvelope("event-grid", "it must be an array of events");
  return { texts: parts.map(([start, end]) => text.slice(start, end).trim()), toJson: eventGridToJson };
}

/** The members get the names of CloudEvents. Their values stay as they are written, so no digit is lost. */
function eventGridToJson(text: string): string {
  const members: string[] = ['"specversion":"1.0"'];
  const missing = new Set(GRID_REQUIRED);
  for (const { name, value } of membersOf(text) ?? []) {
    const member = JSON.parse(name) as string;
    const attribute = Object.hasOwn(GRID_ATTRIBUTES, member) ? GRID_ATTRIBUTES[member] : undefined;
    const isEmpty = value === '""' || value === "null";
    if (!isEmpty || member === "subject") missing.delete(member);
    if (attribute !== undefined && (!isEmpty || member === "data")) members.push(`"${attribute}":${value}`);
  }
  const [member] = missing;
  if (member !== undefined) throw missingMember("event-grid", member);
  return `{${members.join(",")}}`;
}

interface PubSubPush {
  message?: {
    data?: unknown;
    attributes?: unknown;
    messageId?: unknown;
    message_id?: unknown;
    publishTime?: unknown;
    publish_time?: unknown;
    orderingKey?: unknown;
  } | null;
  subscription?: unknown;
}

function openPubSub(text: string, { message, subscription }: PubSubPush): Opened {
  if (typeof message !== "object" || message === null) throw missingMember("pubsub-push", "message");
  if (typeof subscription !== "string" || subscription === "") throw missingMember("pubsub-push", "subscription");
  const id = message.messageId ?? message.message_id;
  if (typeof id !== "string" || id === "") throw missingMember("pubsub-push", "message.messageId");
  const body = bytesOfPubSub(message.data);
  const headers = headersOfPubSub(message.attributes ?? {});
  const isEvent = headers.some(([name, value]) =>
    name === "content-type" ? /^\s*application\/cloudevents\b/i.test(value) : name === "ce-specversion",
  );
  if (isEvent) return { headers, body };
  const time = message.publishTime ?? message.publish_time;
  const { orderingKey } = message;
  const members = {
    specversion: "1.0",
    id,
    source: PUBSUB + subscription,
    type: MESSAGE_PUBLISHED,
    // Some versions of the emulator of Pub/Sub send none.
    ...(time !== undefined && { time }),
    datacontenttype: "application/json",
    ...(orderingKey !== undefined && orderingKey !== "" && { partitionkey: orderingKey }),
  };
  return { texts: [text], toJson: (text) => `${JSON.stringify(members).slice(0, -1)},"data":${text.trim()}}` };
}

/** The attributes that are those of a CloudEvent. Their values are not percent-encoded, and headers are. */
function headersOfPubSub(attributes: unknown): [string, string][] {
  const headers: [string, string][] = [];
  let dataContentType: string | undefined;
  for (const [key, value] of Object.entries(attributes as object)) {
    if (typeof attributes !== "object" || typeof value !== "string")
      throw notEnvelope("pubsub-push", "message.attributes must be an object of strings");
    const name = key.toLowerCase();
    if (name === "content-type") headers.push([name, value]);
    else if (name === "ce-datacontenttype") dataContentType = value;
    else if (name.startsWith("ce-")) headers.push([name, encodeHeader(value)]);
  }
  const hasType = headers.some(([name]) => name === "content-type");
  if (!hasType && dataContentType !== undefined) headers.push(["content-type", dataContentType]);
  return headers;
}

function bytesOfPubSub(data: unknown): Uint8Array | undefined {
  if (data === undefined || data === null || data === "") return undefined;
  const bytes = fromStrictBase64(data);
  if (!bytes) throw dataError(`the member "message.data" of the envelope "pubsub-push" is not Base64`);
  return bytes;
}

function textOf(from: Envelope, body: string | Uint8Array | undefined): string {
  if (typeof body === "string") return body;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    throw notEnvelope(from, "it is not UTF-8", cause);
  }
}

function parse(from: Envelope, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw notEnvelope(from, "it is not JSON", cause);
  }
  if (typeof value !== "object" || value === null) throw notEnvelope(from, "it is not an object");
  return value;
}

function missingMember(from: Envelope, member: string): FerryError {
  return new FerryError("ERR_INVALID_EVENT", `the envelope ${formatValue(from)} lacks ${formatValue(member)}`, {
    attribute: member,
  });
}

function notEnvelope(from: Envelope, problem: string, cause?: unknown): FerryError {
  return new FerryError("ERR_INVALID_EVENT", `the body is not an envelope ${formatValue(from)}: ${problem}`, { cause });
}
