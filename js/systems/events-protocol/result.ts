/** The results of requests: which outcome a request has, and the strings from which the engine writes the response. */
import { formatValue, invalidArgument } from "../../engine/messages.js";
import { freshId } from "../../platform/uuid.js";
import { type EventRef, REQUEST_OUTCOME, writeResponse } from "./engine.js";
import { ProtocolEvent, type RequestEvent, ResponseEvent, memberJson } from "./event.js";
import type { EventException } from "./exceptions.js";

/** An outcome and the strings it needs. */
export type Result = [event: EventRef, outcome: number, ...strings: string[]];

/** The body of the response. */
export function bodyOf(result: Result): Uint8Array<ArrayBuffer> {
  return writeResponse(...result);
}

/** The result of what a handler returned. @throws {FerryError} if it cannot be serialized as JSON */
export function resultOf(event: RequestEvent, returned: unknown): Result {
  if (returned instanceof ResponseEvent)
    return [
      returned,
      REQUEST_OUTCOME.response,
      memberJson(returned, "payload"),
      memberJson(returned, "identity"),
      memberJson(returned, "metadata"),
    ];
  // A handler that returns the request has not made a response: its payload is used, without the sender's identity.
  if (returned instanceof ProtocolEvent)
    return [returned, REQUEST_OUTCOME.response, memberJson(returned, "payload"), "{}", "{}"];
  const payload = returned === undefined ? "{}" : JSON.stringify(returned);
  if (payload === undefined)
    throw invalidArgument(
      `the handler for ${formatValue(event.name)} returned a value that cannot be serialized as JSON: ${formatValue(returned)}`,
    );
  return [event, REQUEST_OUTCOME.payload, payload];
}

/** The result with identity and metadata of the request, unless the handler made a whole response. */
export function echoed(event: RequestEvent, result: Result): Result {
  if (result[1] !== REQUEST_OUTCOME.payload) return result;
  const { version, id, flowId } = event;
  return [
    { name: `${event.name}:response`, version, id, flowId },
    REQUEST_OUTCOME.response,
    result[2]!,
    memberJson(event, "identity"),
    memberJson(event, "metadata"),
  ];
}

export function exceptionResult(event: RequestEvent, { type, code, parameters }: EventException): Result {
  return [event, REQUEST_OUTCOME.exception, type, JSON.stringify(code), JSON.stringify(parameters)];
}

/** @param exposed an error whose name, message and stack the response shows */
export function unhandledError(event: EventRef, exposed?: { error: unknown }): Result {
  return [event, REQUEST_OUTCOME.unhandledError, exposed ? errorDetails(exposed.error) : "{}"];
}

/** @param error the number of a `READ_ERROR` */
export function invalidEvent(error: number): Result {
  return [unknownEvent(), REQUEST_OUTCOME.invalidEvent + error];
}

/** Fresh ids, as from a Kotlin server, because those of an invalid request may be missing or of any type. */
export function unknownEvent(): EventRef {
  return { name: "", version: 1, id: freshId(), flowId: freshId() };
}

function errorDetails(error: unknown): string {
  const { name, message, stack } =
    error instanceof Error ? error : { name: "", message: formatValue(error), stack: "" };
  return JSON.stringify({ name, message, stack });
}
