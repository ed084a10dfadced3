/** Exceptions that handlers throw to answer with an error. */
import { mustBe } from "../../engine/messages.js";
import { type EventErrorType, checkErrorType } from "./names.js";

/** Options of an `EventException`. */
export interface EventExceptionOptions {
  /** The error code, such as `INVALID_EMAIL`. @default the static `code` of the class */
  code?: string;
  /** The type of error. @default the static `type` of the class */
  type?: EventErrorType;
  /** Whether the exception is a normal outcome, which is not reported to `onError`. @default false */
  expected?: boolean;
  /** The message for logs; it is not sent. @default the code */
  message?: string;
  /** The error that caused this one; it is not sent. */
  cause?: unknown;
}

const BRAND = Symbol.for("eventferry.EventException");

/**
 * An error that the server answers with `NAME:TYPE` and `{ code, parameters }`.
 *
 * @example
 * class InvalidEmail extends EventException {
 *   static code = "INVALID_EMAIL";
 *   static type = "badRequest" as const;
 * }
 * throw new InvalidEmail({ email });
 * throw new EventException({ email }, { code: "INVALID_EMAIL", type: "badRequest" });
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` without a code, or for a type that the protocol does not have
 */
export class EventException extends Error {
  /** The code of exceptions that give none; a subclass sets its own. */
  static readonly code: string = "";
  /** The type of exceptions that give none; a subclass sets its own. */
  static readonly type: EventErrorType = "error";
  /** The error code that is sent. */
  readonly code: string;
  /** The type of error, the last part of the response's name. */
  readonly type: EventErrorType;
  /** Details, as they are sent. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Whether `onError` ignores it. */
  readonly expected: boolean;

  constructor(parameters: Record<string, unknown> = {}, options: EventExceptionOptions = {}) {
    const { code = new.target.code, type = new.target.type, expected = false, message = code, cause } = options;
    if (typeof code !== "string" || code === "")
      throw mustBe(
        "code",
        'a non-empty string such as "INVALID_EMAIL"',
        code,
        "set the option or the static field of the class",
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

/** Whether a value is an `EventException`, also of another copy of this package. */
export function isEventException(error: unknown): error is EventException {
  return typeof error === "object" && error !== null && BRAND in error;
}

/** The requested thing does not exist: `notFound`, code `EVENT_NOT_FOUND`. */
export class EventNotFoundException extends EventException {
  static override readonly code: string = "EVENT_NOT_FOUND";
  static override readonly type: EventErrorType = "notFound";
  constructor(message: string, options: EventExceptionOptions = {}) {
    super({ message }, { message, ...options });
  }
}

/** The payload is incomplete or invalid: `badRequest`, code `MISSING_FIELDS`. */
export class MissingEventInformationException extends EventException {
  static override readonly code: string = "MISSING_FIELDS";
  static override readonly type: EventErrorType = "badRequest";
}

/** The event is malformed: `badProtocol`, code `INVALID_COMMUNICATION_PROTOCOL`. */
export class EventParsingException extends EventException {
  static override readonly code: string = "INVALID_COMMUNICATION_PROTOCOL";
  static override readonly type: EventErrorType = "badProtocol";
}

/** A service that the handler depends on has failed: `error`, code `FAILED_DEPENDENCY`. */
export class EventFailedDependencyException extends EventException {
  static override readonly code: string = "FAILED_DEPENDENCY";
  constructor(message: string, options: EventExceptionOptions = {}) {
    super({ message }, { message, ...options });
  }
}

/** The handler took too long: `error`, code `EVENT_TIMEOUT`. */
export class EventTimeoutException extends EventException {
  static override readonly code: string = "EVENT_TIMEOUT";
  constructor(message: string, options: EventExceptionOptions = {}) {
    super({ message }, { message, ...options });
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkParameters(parameters: unknown): asserts parameters is Record<string, unknown> {
  if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters))
    throw mustBe("parameters", "an object", parameters);
}
