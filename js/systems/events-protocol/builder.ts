/** Answers made by hand. */
import type { Subject } from "./engine.js";
import { type EventInit, RequestEvent, ResponseEvent } from "./event.js";
import { type EventException, checkParameters, isEventException } from "./exceptions.js";
import { type EventErrorType, checkErrorType } from "./names.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** What an answer may say of the one who answers. `auth` is never part of an answer. */
export interface AnswerOptions {
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
  responseFor(event: Subject, payload: unknown, options: AnswerOptions = {}): ResponseEvent {
    return answer(checkedSubject(event), "response", payload, options);
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
    event: Subject | undefined,
    type: EventErrorType | EventException,
    code?: string,
    parameters: Record<string, unknown> = {},
    options: AnswerOptions = {},
  ): ResponseEvent {
    if (isEventException(type)) return EventBuilder.errorFor(event, type.type, type.code, { ...type.parameters });
    checkErrorType(type);
    if (typeof code !== "string" || code === "")
      throw invalidArgument(`an error has a code such as "INVALID_EMAIL", and not ${formatValue(code)}`);
    checkParameters(parameters);
    return answer(
      event === undefined || event === null ? undefined : checkedSubject(event),
      type,
      { code, parameters },
      options,
    );
  },

  /** A redirect: `NAME:redirect` with `{ url, queryParameters }`. @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  redirectFor(
    event: Subject,
    to: string | URL | RedirectPayload,
    queryParameters: Record<string, unknown> = {},
    options: AnswerOptions = {},
  ): ResponseEvent {
    const isPlace = typeof to === "string" || to instanceof URL;
    const { url, queryParameters: query = {} } = isPlace ? { url: String(to), queryParameters } : to;
    if (typeof url !== "string" || url === "")
      throw invalidArgument(`a redirect leads to a url, and not to ${formatValue(url)}`);
    return answer(checkedSubject(event), "redirect", { url, queryParameters: query }, options);
  },
} as const;

function answer(
  subject: Subject | undefined,
  suffix: string,
  payload: unknown,
  { identity, metadata }: AnswerOptions,
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

function checkedSubject(event: Subject): Subject {
  const { name, version, id, flowId } = (event ?? {}) as Partial<Subject>;
  const isOne =
    typeof name === "string" && typeof version === "number" && typeof id === "string" && typeof flowId === "string";
  if (!isOne)
    throw invalidArgument(
      `an answer is about an event with name, version, id and flowId, and not about ${formatValue(event)}`,
    );
  return event;
}
