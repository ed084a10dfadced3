/** Errors that a handler throws to have them answered. */
import { type EventErrorType, checkErrorType } from "./names.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** What else is to be said of an exception. */
export interface EventExceptionOptions {
  /** What exactly went wrong, such as `INVALID_EMAIL`. @default the static `code` of the class */
  code?: string;
  /** Which type of error it is. @default the static `type` of the class */
  type?: EventErrorType;
  /** Whether it belongs to the normal course of things: `onError` is not told of it. @default false */
  expected?: boolean;
  /** For people; it is not sent. @default the code */
  message?: string;
  cause?: unknown;
}

const BRAND = Symbol.for("eventferry.EventException");

/**
 * An error that is answered with `NAME:TYPE` and `{ code, parameters }`.
 *
 * @example
 * class InvalidEmail extends EventException {
 *   static code = "INVALID_EMAIL";
 *   static type = "badRequest" as const;
 * }
 * throw new InvalidEmail({ email });
 * throw new EventException({ email }, { code: "INVALID_EMAIL", type: "badRequest" });
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` without a code, or for a type that the protocol does not have.
 */
export class EventException extends Error {
  static readonly code: string = "";
  static readonly type: EventErrorType = "error";
  readonly code: string;
  readonly type: EventErrorType;
  /** The particulars, as they are sent. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly expected: boolean;

  constructor(parameters: Record<string, unknown> = {}, options: EventExceptionOptions = {}) {
    const { code = new.target.code, type = new.target.type, expected = false, message = code, cause } = options;
    if (typeof code !== "string" || code === "")
      throw invalidArgument(
        `an EventException needs a code such as "INVALID_EMAIL", as an option or as a static field of its class, and not ${formatValue(code)}`,
      );
    checkErrorType(type);
    checkParameters(parameters);
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.type = type;
    this.parameters = parameters;
    this.expected = expected;
  }
}
Object.defineProperty(EventException.prototype, "name", {
  value: "EventException",
  configurable: true,
  writable: true,
});
Object.defineProperty(EventException.prototype, BRAND, { value: true });

/** Whether it is an exception of any copy of this package. */
export function isEventException(error: unknown): error is EventException {
  return typeof error === "object" && error !== null && BRAND in error;
}

/** Something that was asked for is not there: `notFound`, code `EVENT_NOT_FOUND`. */
export class EventNotFoundException extends EventException {
  static override readonly code: string = "EVENT_NOT_FOUND";
  static override readonly type: EventErrorType = "notFound";
  constructor(message: string, options: EventExceptionOptions = {}) {
    super({ message }, { message, ...options });
  }
}

/** Something is missing in the payload, or wrong: `badRequest`, code `MISSING_FIELDS`. */
export class MissingEventInformationException extends EventException {
  static override readonly code: string = "MISSING_FIELDS";
  static override readonly type: EventErrorType = "badRequest";
}

/** The event itself is wrong: `badProtocol`, code `INVALID_COMMUNICATION_PROTOCOL`. */
export class EventParsingException extends EventException {
  static override readonly code: string = "INVALID_COMMUNICATION_PROTOCOL";
  static override readonly type: EventErrorType = "badProtocol";
}

/** Somebody else who was needed has failed: `error`, code `FAILED_DEPENDENCY`. */
export class EventFailedDependencyException extends EventException {
  static override readonly code: string = "FAILED_DEPENDENCY";
  constructor(message: string, options: EventExceptionOptions = {}) {
    super({ message }, { message, ...options });
  }
}

/** It took too long: `error`, code `EVENT_TIMEOUT`. */
export class EventTimeoutException extends EventException {
  static override readonly code: string = "EVENT_TIMEOUT";
  constructor(message: string, options: EventExceptionOptions = {}) {
    super({ message }, { message, ...options });
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkParameters(parameters: unknown): asserts parameters is Record<string, unknown> {
  if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters))
    throw invalidArgument(`the parameters of an error are an object, not ${formatValue(parameters)}`);
}
