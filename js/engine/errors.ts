import { CODES, REASONS } from "./generated/tables.js";
import { TextDecoder } from "../platform/text.js";

export { REASONS };

/**
 * Who caused an error, and can therefore fix it: the application (`caller`), the other end of the connection (`peer`),
 * the `network` between, or this package (`internal`).
 */
export type Culprit = "caller" | "peer" | "network" | "internal";

/** A stable error code. Match on this, never on the message. */
export type FerryErrorCode = (typeof CODES)[number][0];

/** The page of the documentation with one anchor for each code. It is below `homepage` in `package.json`. */
const ERROR_PAGE = "https://example.invalid/eventferry/docs/errors.html";

const BRAND = Symbol.for("eventferry.FerryError");

/** What an error has beside its code and its message. */
export interface ErrorDetails {
  status?: number | undefined;
  attribute?: string | undefined;
  /** `undefined` is none. */
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
    const row = CODES.find((row) => row[0] === code) ?? CODES[CODES.length - 1]!;
    super(message ?? row[3], details.cause === undefined ? undefined : { cause: details.cause });
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
  return CODES[number - 1]?.[0] ?? "ERR_INTERNAL";
}

/** The message of an error of the engine: the sentence of its code, the HTTP status unless it is 0, and the detail. */
export function messageOf(code: FerryErrorCode, status: number, detail: string): string {
  return `${sentenceOf(code)}${status ? ` (HTTP ${status})` : ""}${detail && `: ${detail}`}`;
}

/** The sentence of a code. */
export function sentenceOf(code: FerryErrorCode): string {
  return CODES.find((row) => row[0] === code)![3];
}
