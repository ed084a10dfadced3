/** What writers of messages and batches ask of an event. Not methods, so that only who uses a function downloads it. */
import type { Bytes } from "../../platform/bytes.js";
import { CloudEvent } from "./event.js";
import { binaryBody } from "./event-data.js";
import type { Payload } from "./event-fields.js";
import { currentPayload, dataOf, receivedOf } from "./event-state.js";

/** The payload as it is written: the event itself, unless the data were handed out and then changed. */
function currentPayloadOf(event: CloudEvent): Payload {
  return currentPayload(event, dataOf(CloudEvent.stateOf(event)));
}

/** Whether the data of the event were handed out and then changed. */
export function isChanged(event: CloudEvent): boolean {
  return currentPayloadOf(event) !== event;
}

/** Whether the data of the event were handed out as an object, which may be changed later. */
export function isRead(event: CloudEvent): boolean {
  return typeof dataOf(CloudEvent.stateOf(event)) === "object";
}

/** Media type and body of the event in binary mode. */
export function binaryPayload(event: CloudEvent): {
  contentType: string | undefined;
  body: string | Bytes | undefined;
} {
  const payload = currentPayloadOf(event);
  // Only the JSON format has a default media type, so binary mode has to name it.
  return {
    contentType: event.datacontenttype ?? (payload.rawKind === "json" ? "application/json" : undefined),
    body: binaryBody(payload),
  };
}

/** The text or bytes of an event that arrived in the JSON format and is unchanged. */
export function receivedJson(event: CloudEvent): string | Bytes | undefined {
  const received = receivedOf(CloudEvent.stateOf(event));
  if (received === undefined || isChanged(event)) return undefined;
  return typeof received === "string" ? received : received.slice();
}
