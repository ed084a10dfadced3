/** The errors of `sendEvent`. */
import { FerryError } from "../../engine/errors.js";
import { formatValue } from "../../engine/messages.js";
import type { RequestEvent, ResponseEvent } from "./event.js";

const FAILED_DEPENDENCY_BRAND = Symbol.for("eventferry.FailedDependencyException");
const ERROR_RESPONSE_BRAND = Symbol.for("eventferry.ErrorResponseException");

/**
 * No event came back. `code` is the reason, `status` the HTTP status, `body` the first 16 KiB of what the server sent
 * instead.
 */
export class FailedDependencyException extends FerryError {
  /** @internal */
  constructor({ code, message, status, cause }: FerryError, body: Uint8Array | undefined) {
    // The message does not quote the body: servers that repeat a request repeat its `auth`.
    super(code, message, { status, body, cause });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && FAILED_DEPENDENCY_BRAND in value;
  }
}
setUp(FailedDependencyException, "FailedDependencyException", FAILED_DEPENDENCY_BRAND);

/** The response is an error, for clients with `throwOnError`. Its `code` is `ERR_REJECTED`. */
export class ErrorResponseException extends FerryError {
  /** The response. */
  readonly response: ResponseEvent;

  /** @internal */
  constructor(request: RequestEvent, response: ResponseEvent) {
    const { errorCode } = response;
    const code = errorCode === undefined ? "" : `, code ${formatValue(errorCode)}`;
    super("ERR_REJECTED", `the response to ${formatValue(request.name)} is ${formatValue(response.name)}${code}`, {
      status: response.status,
    });
    this.response = response;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && ERROR_RESPONSE_BRAND in value;
  }
}
setUp(ErrorResponseException, "ErrorResponseException", ERROR_RESPONSE_BRAND);

/** The brand makes `instanceof` work across copies of this package. */
function setUp({ prototype }: { prototype: FerryError }, name: string, brand: symbol): void {
  Object.defineProperty(prototype, brand, { value: true });
  Object.defineProperty(prototype, "name", { value: name, configurable: true, writable: true });
}
