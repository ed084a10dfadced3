/** The results of requests: which outcome a request has, and the strings from which the engine writes the response. */
import type { Bytes } from "../../platform/bytes.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import { freshId } from "../../platform/uuid.js";
import { type EventRef, REQUEST_OUTCOME, writeResponse } from "./engine.js";
import { ProtocolEvent, type RequestEvent, ResponseEvent, memberJson } from "./event.js";
import type { EventException } from "./exceptions.js";
import type { TracedResult } from "./trace.js";

/** An outcome and the strings it needs. */
export type Result = [event: EventRef, outcome: number, ...strings: string[]];

/** The body of the response. */
export function bodyOf(result: Result): Bytes {
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

/** @throws {FerryError} if the parameters cannot be serialized as JSON */
export function exceptionResult(event: RequestEvent, { type, code, parameters }: EventException): Result {
  const json = JSON.stringify(parameters);
  if (json?.[0] !== "{")
    throw invalidArgument(
      `the parameters of the exception ${formatValue(code)} for ${formatValue(event.name)} must be an object in JSON`,
    );
  return [event, REQUEST_OUTCOME.exception, type, JSON.stringify(code), json];
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

/** The kind of a response, and the code of one that is an error. */
export function summaryOf([event, outcome, ...strings]: Result): Pick<TracedResult, "outcome" | "code"> {
  switch (outcome) {
    case REQUEST_OUTCOME.payload:
      return { outcome: "success" };
    case REQUEST_OUTCOME.response: {
      if (!(event instanceof ResponseEvent)) return { outcome: "success" };
      const { kind, errorType, errorCode } = event;
      return kind === "error"
        ? { outcome: errorType!, ...(errorCode !== undefined && { code: errorCode }) }
        : { outcome: kind };
    }
    case REQUEST_OUTCOME.exception:
      return { outcome: strings[0] as TracedResult["outcome"], code: JSON.parse(strings[1]!) as string };
    case REQUEST_OUTCOME.unhandledError:
      return { outcome: "error", code: "UNHANDLED_ERROR" };
    case REQUEST_OUTCOME.timedOut:
      return { outcome: "error", code: "EVENT_TIMEOUT" };
    case REQUEST_OUTCOME.tooManyEvents:
      return { outcome: "error", code: "TOO_MANY_EVENTS" };
    case REQUEST_OUTCOME.noHandler:
      return { outcome: "eventNotFound", code: "NO_EVENT_HANDLER_FOUND" };
    default:
      return { outcome: "badProtocol", code: "INVALID_COMMUNICATION_PROTOCOL" };
  }
}

function errorDetails(error: unknown): string {
  const { name, message, stack } =
    error instanceof Error ? error : { name: "", message: formatValue(error), stack: "" };
  return JSON.stringify({ name, message, stack });
}
