/**
 * Bodies of `@azure/service-bus`. It parses a Data section as JSON before it delivers the message, unless its receiver has
 * the option `skipParsingBodyAsJson`.
 */
import { invalidArgument } from "../../engine/messages.js";
import { asBytes, isBytes } from "./bytes.js";
import { stringifyData } from "./json-data.js";
import { isJson } from "./media-type.js";
import type { ReceivedServiceBusMessage } from "./message-types.js";

/** The data of a message: its bytes, or JSON text of the value that the client has parsed. */
export function bodyOfServiceBus(message: ReceivedServiceBusMessage): string | Uint8Array | null | undefined {
  const { body, contentType } = message;
  if (body === undefined) return body;
  if (isBytes(body)) return asBytes(body);
  const { bodyType } = (message as { _rawAmqpMessage?: { bodyType?: string } })._rawAmqpMessage ?? {};
  if (bodyType === "value" && typeof body === "string") return body;
  if (bodyType !== "value" && bodyType !== "sequence") {
    if (contentType !== undefined && isJson(contentType)) return stringifyData(body);
    // The client writes null for a message without a body.
    if (body === null) return body;
  }
  throw invalidArgument(
    "the body of a message of Service Bus must be bytes, unless its content type is JSON; " +
      "create the receiver with skipParsingBodyAsJson: true",
  );
}
