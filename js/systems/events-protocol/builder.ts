/** Functions that make requests and responses. */
import { mustBe } from "../../engine/messages.js";
import type { EventRef } from "./engine.js";
import type { EventInit } from "./event-init.js";
import { RequestEvent, ResponseEvent } from "./event.js";
import { type EventException, checkParameters, isEventException } from "./exceptions.js";
import { type EventErrorType, checkErrorType } from "./names.js";

/** Further members of a response. `auth` is never part of a response. */
export interface ResponseOptions {
  /** Facts about the server. @default {} */
  identity?: object;
  /** Facts about the response. @default {} */
  metadata?: object;
}

/** The payload of a redirect. */
export interface RedirectPayload {
  /** Where the client is to go. */
  url: string;
  /** Parameters to add to the URL. */
  queryParameters: Record<string, unknown>;
}

/** Makes events. The functions do not use `this`, so they can be detached. */
export const EventBuilder = {
  /** A request, for `sendEvent` or for a test of a handler. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  event(init: EventInit): RequestEvent {
    return new RequestEvent(init);
  },

  /**
   * A successful response: `NAME:response` with the ids of the request. The payload is any JSON.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  responseFor(event: EventRef, payload: unknown, options: ResponseOptions = {}): ResponseEvent {
    return makeResponse(checkEventRef(event), "response", payload, options);
  },

  /**
   * An error: `NAME:TYPE` with `{ code, parameters }`, or only `TYPE` without an event.
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
      throw mustBe("code", 'a non-empty string such as "INVALID_EMAIL"', code);
    checkParameters(parameters);
    const ref = event === undefined || event === null ? undefined : checkEventRef(event);
    return makeResponse(ref, type, { code, parameters }, options);
  },

  /** A redirect: `NAME:redirect` with `{ url, queryParameters }`. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  redirectFor(
    event: EventRef,
    target: string | URL | RedirectPayload,
    queryParameters: Record<string, unknown> = {},
    options: ResponseOptions = {},
  ): ResponseEvent {
    const isUrl = typeof target === "string" || target instanceof URL;
    const { url, queryParameters: query = {} } = isUrl ? { url: String(target), queryParameters } : target;
    if (typeof url !== "string" || url === "") throw mustBe("url", "a non-empty string", url);
    return makeResponse(checkEventRef(event), "redirect", { url, queryParameters: query }, options);
  },
} as const;

function makeResponse(
  event: EventRef | undefined,
  suffix: string,
  payload: unknown,
  { identity, metadata }: ResponseOptions,
): ResponseEvent {
  return new ResponseEvent({
    ...(event ? { version: event.version, id: event.id, flowId: event.flowId } : { version: 1 }),
    name: event?.name ? `${event.name}:${suffix}` : suffix,
    // JSON has no undefined, and older ports of the protocol accept only objects.
    payload: payload === undefined ? {} : payload,
    ...(identity !== undefined && { identity }),
    ...(metadata !== undefined && { metadata }),
  });
}

function checkEventRef(event: EventRef): EventRef {
  const { name, version, id, flowId } = (event ?? {}) as Partial<EventRef>;
  const isValid =
    typeof name === "string" && typeof version === "number" && typeof id === "string" && typeof flowId === "string";
  if (!isValid) throw mustBe("event", "an event with name, version, id and flowId", event);
  return event;
}
