import { TextDecoder } from "../platform/text.js";

/**
 * Who caused an error, and can therefore fix it: the application (`caller`), the other end of the connection (`peer`),
 * the `network` between, or this package (`internal`).
 */
export type Culprit = "caller" | "peer" | "network" | "internal";

/**
 * Each code, its culprit, whether the same call may succeed later, and its sentence. The order is that of
 * `src/base/error.rs`: the engine passes a code as the number of its row. A test compares the two.
 */
const TABLE = [
  ["ERR_MISSING_ATTRIBUTE", "peer", false, "a required attribute is missing"],
  ["ERR_INVALID_ATTRIBUTE_NAME", "peer", false, "an attribute has a name that CloudEvents does not allow"],
  ["ERR_INVALID_ATTRIBUTE_VALUE", "peer", false, "an attribute has a value that its type does not allow"],
  ["ERR_UNSUPPORTED_SPECVERSION", "peer", false, "the specversion is neither 1.0 nor 0.3"],
  ["ERR_INVALID_EVENT", "peer", false, "the text is not an event in the JSON format"],
  ["ERR_INVALID_BATCH", "peer", false, "the text is not a batch in the JSON batch format"],
  ["ERR_INVALID_DATA", "peer", false, "the data of the event does not match its format"],
  ["ERR_INVALID_HEADER_VALUE", "peer", false, "a header value cannot be decoded"],
  ["ERR_UNSUPPORTED_FORMAT", "peer", false, "the event format is not supported"],
  ["ERR_NOT_A_CLOUDEVENT", "peer", false, "the message is not a CloudEvent"],
  ["ERR_NOT_CONVERTIBLE", "caller", false, "the event cannot be expressed in that version"],
  ["ERR_TOO_LARGE", "peer", false, "the input is larger than the limit"],
  ["ERR_INVALID_ARGUMENT", "caller", false, "an argument or option is invalid"],
  ["ERR_NOT_INITIALIZED", "caller", false, "the engine is not loaded yet"],
  ["ERR_WASM_INIT", "caller", false, "this runtime refused to start the WebAssembly module"],
  ["ERR_CLOSED", "caller", false, "the client is closed"],
  ["ERR_ABORTED", "caller", false, "the operation was aborted"],
  ["ERR_TIMEOUT", "network", true, "no response within the timeout"],
  ["ERR_NETWORK", "network", true, "the request did not reach the server, or its response was lost"],
  ["ERR_REDIRECTED", "peer", false, "the server responded with a redirect, which is not followed"],
  ["ERR_UNAUTHORIZED", "peer", false, "the server refused the credentials"],
  ["ERR_REJECTED", "peer", false, "the server refused the request"],
  ["ERR_NOT_FOUND", "peer", false, "there is no such resource"],
  ["ERR_CONFLICT", "peer", false, "the state of the resource does not allow the request"],
  ["ERR_NOT_READY", "peer", true, "the resource is not ready yet"],
  ["ERR_GONE", "peer", false, "the target is gone for good"],
  ["ERR_RATE_LIMITED", "peer", true, "the server limits the rate of requests"],
  ["ERR_UNAVAILABLE", "peer", true, "the server could not handle the request"],
  ["ERR_QUEUE_FULL", "caller", true, "too many operations are waiting"],
  ["ERR_STORE", "caller", true, "the store could not be read or written"],
  ["ERR_ROLLED_BACK", "caller", false, "the event was rolled back before it was flushed"],
  ["ERR_EXPIRED", "network", false, "the event was not delivered within its maximum age"],
  ["ERR_EXPIRYTIME", "network", false, "the expirytime of the event has passed"],
  ["ERR_DROPPED", "caller", false, "the event was dropped at the sign-out of its identity"],
  ["ERR_INTERNAL", "internal", false, "the engine stopped because of a bug and was reset"],
] as const;

/** A stable error code. Match on this, never on the message. */
export type FerryErrorCode = (typeof TABLE)[number][0];

/** What is exactly wrong with an event, in the order of `Reason` in `src/cloudevents/rejection.rs`. */
export const REASONS = [
  "is missing",
  "must not be empty",
  "has a JSON value of the wrong kind",
  "contains a control character, a noncharacter or a lone surrogate",
  "is not an RFC 3339 timestamp",
  "is not a URI-reference (RFC 3986)",
  "is not an absolute URI (RFC 3986)",
  "is not a media type such as text/plain (RFC 2046)",
  "is not a 32-bit integer",
  "has an invalid name: only a-z and 0-9 are allowed, and data is reserved",
  "appears more than once",
  "is not JSON",
  "is not UTF-8",
  "is nested too deeply",
  "is not a JSON object",
  "has more text after its end",
  "has more than 128 extension attributes",
  "cannot be combined with data_base64",
  "is not Base64 (RFC 4648 section 4, with padding)",
  "must be a string, because the datacontenttype is not JSON",
  'is neither "1.0" nor "0.3"',
  'is not "base64"',
  "is not a JSON array",
  "has another specversion than the events before it",
] as const;

/** The page of the documentation with one anchor for each code. It is below `homepage` in `package.json`. */
const ERROR_PAGE = "https://example.invalid/eventferry/docs/errors.html";

const BRAND = Symbol.for("eventferry.FerryError");

interface ErrorDetails {
  status?: number | undefined;
  attribute?: string | undefined;
  cause?: unknown;
  culprit?: Culprit | undefined;
  retryable?: boolean | undefined;
  body?: Uint8Array | undefined;
  serverArguments?: readonly string[] | undefined;
}

/** The error that this package throws or rejects with. Tokens and passwords never appear in it. */
export class FerryError extends Error {
  /** The stable code, `ERR_…`. */
  readonly code: FerryErrorCode;
  /** Who caused it, and can therefore fix it. */
  readonly culprit: Culprit;
  /** Whether the same call may succeed later without a change. */
  readonly retryable: boolean;
  /** The HTTP status, if there was a response. */
  declare readonly status?: number;
  /** The name of the invalid attribute of an event. */
  declare readonly attribute?: string;
  /**
   * The bytes of the response body, where a client keeps them: for example of an event that could not be read and that
   * the server does not have any more. Not enumerable, so that no log shows it by accident.
   */
  declare readonly body?: Uint8Array;
  /** The arguments of the error that a Bayeux server sent: `["/a", "/b"]` of `403:/a,/b:Denied`. */
  declare readonly serverArguments?: readonly string[];

  constructor(code: FerryErrorCode, message?: string, details: ErrorDetails = {}) {
    const row = TABLE.find((row) => row[0] === code) ?? TABLE[TABLE.length - 1]!;
    super(message ?? row[3], "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.culprit = details.culprit ?? row[1];
    this.retryable = details.retryable ?? row[2];
    if (details.status !== undefined) this.status = details.status;
    if (details.attribute !== undefined) this.attribute = details.attribute;
    if (details.serverArguments !== undefined) this.serverArguments = details.serverArguments;
    if (details.body !== undefined) Object.defineProperty(this, "body", { value: details.body });
  }

  /** The address of the documentation of the code: what it means, and what helps. */
  get docs(): string {
    return `${ERROR_PAGE}#${this.code.toLowerCase()}`;
  }

  /** `body` as text. */
  get bodyText(): string | undefined {
    return this.body && new TextDecoder().decode(this.body);
  }

  /** True for the errors of all copies of this package on the page. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && BRAND in value;
  }
}
Object.defineProperty(FerryError.prototype, "name", { value: "FerryError", configurable: true, writable: true });
Object.defineProperty(FerryError.prototype, BRAND, { value: true });

/** Whether `error` is a `FerryError`, and has the code if one is given. */
export function isFerryError(error: unknown, code?: FerryErrorCode): error is FerryError {
  return error instanceof FerryError && (code === undefined || error.code === code);
}

/**
 * The error with the functions in its stack that wait for it. An error that was made when a response arrived has none of
 * them. Call it in an asynchronous function, after the `await` that has failed. Only V8 can do this.
 */
export function withCallers<E>(error: E): E {
  const { captureStackTrace } = Error as { captureStackTrace?: (error: object, above: unknown) => void };
  if (error instanceof FerryError) captureStackTrace?.(error, withCallers);
  return error;
}

/**
 * Remembers who calls now, and returns the function that puts them into the stack of an error. It costs more than
 * `traced`, and also works for a promise that nobody awaits.
 */
export function callersOfNow(): <E>(error: E) => E {
  const { captureStackTrace } = Error as { captureStackTrace?: (target: object, above: unknown) => void };
  const now: { stack?: string } = {};
  captureStackTrace?.(now, callersOfNow);
  return (error) => {
    const frames = now.stack?.indexOf("\n") ?? -1;
    if (error instanceof FerryError && frames >= 0)
      error.stack = `${error.name}: ${error.message}${now.stack!.slice(frames)}`;
    return error;
  };
}

/** Settles as the promise does. An error gets the functions in its stack that wait for the result. */
export async function traced<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw withCallers(error);
  }
}

/** The code for a number of the engine. The first row is 1. */
export function codeOf(number: number): FerryErrorCode {
  return TABLE[number - 1]?.[0] ?? "ERR_INTERNAL";
}

/** The message of an error of the engine: the sentence of its code, the HTTP status unless it is 0, and the detail. */
export function messageOf(code: FerryErrorCode, status: number, detail: string): string {
  return `${sentenceOf(code)}${status ? ` (HTTP ${status})` : ""}${detail && `: ${detail}`}`;
}

/** The sentence of a code. */
export function sentenceOf(code: FerryErrorCode): string {
  return TABLE.find((row) => row[0] === code)![3];
}
