/** Answers made by hand. */
import type { EventRef } from "./engine.js";
import { type EventInit, RequestEvent, ResponseEvent } from "./event.js";
import { type EventException, checkParameters, isEventException } from "./exceptions.js";
import { type EventErrorType, checkErrorType } from "./names.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** What an answer may say of the one who answers. `auth` is never part of an answer. */
export interface ResponseOptions {
  /** @default {} */
  identity?: object;
  /** @default {} */
  metadata?: object;
}

/** The payload of a redirect. */
export interface RedirectPayload {
  url: string;
  queryParameters: Record<string, unknown>;
}

/** Makes events. All of its functions stand alone. */
export const EventBuilder = {
  /** A request, for `sendEvent` or for a test of a handler. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  event(init: EventInit): RequestEvent {
    return new RequestEvent(init);
  },

  /** Success: `NAME:response` with the ids of the request. The payload is any JSON. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  responseFor(event: EventRef, payload: unknown, options: ResponseOptions = {}): ResponseEvent {
    return makeResponse(checkEventRef(event), "response", payload, options);
  },

  /**
   * An error: `NAME:TYPE` with `{ code, parameters }`, or only `TYPE` where no event is known.
   *
   * @example
   * EventBuilder.errorFor(event, "userDenied", "INVALID_EMAIL", { email });
   * EventBuilder.errorFor(event, new EventNotFoundException("no such user"));
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, also for types that the protocol does not have
   */
  errorFor(
    event: EventRef | undefined,
    type: EventErrorType | EventException,
    code?: string,
    parameters: Record<string, unknown> = {},
    options: ResponseOptions = {},
  ): ResponseEvent {
    if (isEventException(type)) return EventBuilder.errorFor(event, type.type, type.code, { ...type.parameters });
    checkErrorType(type);
    if (typeof code !== "string" || code === "")
      throw invalidArgument(`an error has a code such as "INVALID_EMAIL", and not ${formatValue(code)}`);
    checkParameters(parameters);
    return makeResponse(
      event === undefined || event === null ? undefined : checkEventRef(event),
      type,
      { code, parameters },
      options,
    );
  },

  /** A redirect: `NAME:redirect` with `{ url, queryParameters }`. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  redirectFor(
    event: EventRef,
    to: string | URL | RedirectPayload,
    queryParameters: Record<string, unknown> = {},
    options: ResponseOptions = {},
  ): ResponseEvent {
    const isPlace = typeof to === "string" || to instanceof URL;
    const { url, queryParameters: query = {} } = isPlace ? { url: String(to), queryParameters } : to;
    if (typeof url !== "string" || url === "")
      throw invalidArgument(`a redirect leads to a url, and not to ${formatValue(url)}`);
    return makeResponse(checkEventRef(event), "redirect", { url, queryParameters: query }, options);
  },
} as const;

function makeResponse(
  subject: EventRef | undefined,
  suffix: string,
  payload: unknown,
  { identity, metadata }: ResponseOptions,
): ResponseEvent {
  return new ResponseEvent({
    ...(subject ? { version: subject.version, id: subject.id, flowId: subject.flowId } : { version: 1 }),
    name: subject?.name ? `${subject.name}:${suffix}` : suffix,
    // JSON has no word for nothing, and receivers of the protocol's older ports take objects only.
    payload: payload === undefined ? {} : payload,
    ...(identity !== undefined && { identity }),
    ...(metadata !== undefined && { metadata }),
  });
}

function checkEventRef(event: EventRef): EventRef {
  const { name, version, id, flowId } = (event ?? {}) as Partial<EventRef>;
  const isOne =
    typeof name === "string" && typeof version === "number" && typeof id === "string" && typeof flowId === "string";
  if (!isOne)
    throw invalidArgument(
      `an answer is about an event with name, version, id and flowId, and not about ${formatValue(event)}`,
    );
  return event;
}
