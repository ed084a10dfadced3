/** Events in the envelopes of clouds, for tests, replays, and topics of Azure Event Grid. `envelopes.ts` reads them. */
import { FerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import { toBase64 } from "./bytes.js";
import { checkEvent, toArray } from "./check-event.js";
import { MESSAGE_PUBLISHED, PUBSUB } from "./envelopes.js";
import { CloudEvent } from "./event.js";
import { quoteJson } from "./event-fields.js";
import { decodeHeader } from "./headers.js";
import { type HttpMessage, toBinary } from "./http.js";
import { membersOf } from "./json-split.js";

const JSON_TYPE = "application/json; charset=utf-8";

/**
 * A message with events in Azure Event Grid's own schema, as a subscription delivers it and a topic takes it. The option
 * `from: "event-grid"` reads it. An event without `subject` gets an empty one.
 *
 * @throws {FerryError} `ERR_NOT_CONVERTIBLE` for an event that this schema cannot express: without `time`, with data that
 * are not `application/json`, with `dataschema`, with an extension other than `dataversion`, or of another version than 1.0.
 */
export function toEventGrid(events: CloudEvent | Iterable<CloudEvent>): HttpMessage {
  const texts = toArray(events instanceof CloudEvent ? [events] : events).map(eventGridOf);
  return { headers: { "content-type": JSON_TYPE }, body: `[${texts.join(",")}]` };
}

function eventGridOf(event: CloudEvent): string {
  checkEvent(event);
  const { id, source, type, time, subject = "", datacontenttype = "", dataschema } = event;
  const { dataversion = "", ...others } = event.extensions;
  const [name] = Object.keys(others);
  if (name !== undefined) throw notConvertible(name, "is an extension, which Event Grid's schema does not have");
  if (event.specversion !== "1.0") throw notConvertible("specversion", "must be 1.0");
  if (time === undefined) throw notConvertible("time", "is required by Event Grid's schema");
  if (dataschema !== undefined) throw notConvertible("dataschema", "is not in Event Grid's schema");
  // As the JSON format has it: JSON values with every digit.
  const written = membersOf(event.toString()) ?? [];
  const data = written.find(({ name }) => name === '"data"')?.value;
  const isJson = /^(?:application\/json\s*(?:;.*)?)?$/i.test(datacontenttype);
  if (!isJson || written.some(({ name }) => name === '"data_base64"'))
    throw notConvertible("data", "must be JSON with the media type application/json");
  const members = { id, topic: source, subject, eventType: type, eventTime: time };
  const text = JSON.stringify(members).slice(0, -1);
  const dataMember = data === undefined ? "" : `"data":${data},`;
  return `${text},${dataMember}"dataVersion":${quoteJson(String(dataversion))},"metadataVersion":"1"}`;
}

/**
 * A message as a push subscription of Google Pub/Sub delivers it. The option `from: "pubsub-push"` reads it. An event that
 * came in such an envelope becomes this envelope again; any other becomes a message with its attributes in binary mode.
 *
 * @param subscription the subscription, `projects/<project>/subscriptions/<name>`, for an event that did not come from one
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an event of another source without `subscription`
 */
export function toPubSubPush(event: CloudEvent, subscription?: string): HttpMessage {
  checkEvent(event);
  const headers = { "content-type": JSON_TYPE };
  const isPushed = event.type === MESSAGE_PUBLISHED && event.source.startsWith(PUBSUB);
  if (isPushed && event.dataText !== undefined) return { headers, body: event.dataText };
  if (typeof subscription !== "string" || subscription === "")
    throw mustBe("subscription", "projects/<project>/subscriptions/<name>", subscription);
  const message = toBinary(event);
  const attributes: Record<string, string> = {};
  // Attributes of Pub/Sub are text, and not percent-encoded.
  for (const [name, value] of Object.entries(message.headers))
    attributes[name] = name === "content-type" ? value : decodeHeader(name.slice(3), value);
  const bytes = typeof message.body === "string" ? new TextEncoder().encode(message.body) : message.body;
  const data = bytes === undefined ? {} : { data: toBase64(bytes) };
  const time = event.time === undefined ? {} : { publishTime: event.time };
  const envelope = { message: { ...data, attributes, messageId: event.id, ...time }, subscription };
  return { headers, body: JSON.stringify(envelope) };
}

function notConvertible(attribute: string, problem: string): FerryError {
  return new FerryError("ERR_NOT_CONVERTIBLE", `the attribute "${attribute}" ${problem}`, { attribute });
}
