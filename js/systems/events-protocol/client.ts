/** Sends events and gives back how they were answered. */
import { type Call, Calls, type CallsOptions, responseOf } from "../../client/calls.js";
import { FerryError } from "../../engine/errors.js";
import {
  type HeadersOption,
  checkClientOptions,
  checkOptionNames,
  checkSignal,
  checkTimeout,
  checkedUrl,
} from "../../client/options.js";
import { Rule, accept } from "./engine.js";
import { type EventInit, type FlowIds, RequestEvent, ResponseEvent, checkFlow } from "./event.js";
import { checkName } from "./names.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import { CLASSIFIERS } from "../../engine/ports.js";

/** How a client works. */
export interface EventClientOptions extends CallsOptions {
  /** Where the other side takes events, by convention an address that ends with `/events`. It is used as it is. */
  url: string | URL;
  /** How long each request may take, from its start to the end of the answer. @default 15 000 */
  timeoutMs?: number;
  /** Whether an answer that is an error rejects, with an {@link ErrorResponseException}. @default false */
  throwOnError?: boolean;
  /** Whether names have to be words of a-z and _ with colons between them. @default true */
  checkNames?: boolean;
  /** The largest answer that is read. @default 4 MiB */
  maxResponseBytes?: number;
}

/** Options of one call. */
export interface SendEventOptions {
  timeoutMs?: number;
  /** Aborts this call. */
  signal?: AbortSignal;
  headers?: HeadersOption;
  throwOnError?: boolean;
  /** The event that is being handled, or the context of its handler: `id` and `flowId` are taken from it, unless they are given. */
  parent?: FlowIds;
}

/** An event to be sent, and how. */
export type SendEventInit = EventInit & SendEventOptions;

const DEFAULT_TIMEOUT_MS = 15_000;
const MIB = 1024 * 1024;
const MAX_BODY_BYTES = 16 * 1024;
const OPTIONS = ["url", "throwOnError", "checkNames", "maxResponseBytes", "retry", "maxInFlight"];
const SEND_OPTIONS = ["timeoutMs", "signal", "headers", "throwOnError", "parent"];

const DEPENDENCY = Symbol.for("eventferry.FailedDependencyException");
const ERROR_RESPONSE = Symbol.for("eventferry.ErrorResponseException");

/** There was no event for an answer. `code` says why, `status` has the HTTP status, `body` the first 16 KiB of what was said instead. */
export class FailedDependencyException extends FerryError {
  /** @internal */
  constructor({ code, message, status, cause }: FerryError, body: Uint8Array | undefined) {
    // It stands in no message: servers that repeat a request repeat its `auth`.
    super(code, message, { status, body, ...(cause !== undefined && { cause }) });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && DEPENDENCY in value;
  }
}
Object.defineProperty(FailedDependencyException.prototype, DEPENDENCY, { value: true });
Object.defineProperty(FailedDependencyException.prototype, "name", {
  value: "FailedDependencyException",
  configurable: true,
  writable: true,
});

/** An answer that is an error, for clients that want it thrown. Its `code` is `ERR_REJECTED`. */
export class ErrorResponseException extends FerryError {
  /** The answer. */
  readonly response: ResponseEvent;

  /** @internal */
  constructor(request: RequestEvent, response: ResponseEvent) {
    const { errorCode } = response;
    super(
      "ERR_REJECTED",
      `${formatValue(request.name)} was answered with ${formatValue(response.name)}${errorCode === undefined ? "" : `, code ${formatValue(errorCode)}`}`,
      { status: response.status },
    );
    this.response = response;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && ERROR_RESPONSE in value;
  }
}
Object.defineProperty(ErrorResponseException.prototype, ERROR_RESPONSE, { value: true });
Object.defineProperty(ErrorResponseException.prototype, "name", {
  value: "ErrorResponseException",
  configurable: true,
  writable: true,
});

/**
 * Sends events over HTTP.
 *
 * @example
 * const client = new EventClient({ url: "https://example.com/events" });
 * const response = await client.sendEvent({ name: "get:user:name", version: 1, payload: { userId: 7 } });
 * if (response.isSuccess) console.log(response.payload);
 */
export class EventClient {
  /** Where events are sent to. */
  readonly #url: string;
  readonly #options: EventClientOptions;
  readonly #calls: Calls;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  constructor(options: EventClientOptions) {
    checkClientOptions("EventClient", options, OPTIONS);
    this.#url = checkedUrl(options.url);
    const { maxResponseBytes } = options;
    if (
      maxResponseBytes !== undefined &&
      !(Number.isInteger(maxResponseBytes) && maxResponseBytes > 0 && maxResponseBytes < 128 * MIB)
    ) {
      throw invalidArgument(
        `maxResponseBytes is a whole number of bytes above 0 and below 128 MiB, not ${formatValue(maxResponseBytes)}`,
      );
    }
    this.#options = { ...options };
    this.#calls = new Calls(this.#options, CLASSIFIERS.eventsProtocol, true);
  }

  /**
   * Sends an event and resolves with its answer, whatever that says: look at `isSuccess`, `isRedirect`, `isError` and `errorType`. An event is an
   * answer whatever the HTTP status is.
   *
   * @throws {FerryError} A {@link FailedDependencyException} when no event came back: `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_REDIRECTED`, `ERR_UNAUTHORIZED`,
   * `ERR_REJECTED`, `ERR_GONE`, `ERR_RATE_LIMITED`, `ERR_UNAVAILABLE`, `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_FORMAT`, by the status; `ERR_INVALID_EVENT` for
   * an answer with a good status that is no event. Besides `ERR_INVALID_ARGUMENT`, `ERR_ABORTED`, `ERR_QUEUE_FULL`, `ERR_CLOSED`. With
   * `throwOnError` an {@link ErrorResponseException} for answers that are errors.
   */
  async sendEvent<T = any>(
    event: RequestEvent | SendEventInit,
    options: SendEventOptions = {},
  ): Promise<ResponseEvent<T>> {
    checkOptionNames("sendEvent", options, SEND_OPTIONS);
    const [request, own] = event instanceof RequestEvent ? [event, options] : requestOf(event, options);
    const {
      timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      signal,
      headers,
      throwOnError = this.#options.throwOnError ?? false,
    } = own;
    if (this.#options.checkNames ?? true) checkName(request.name);
    checkTimeout(timeoutMs);
    checkSignal(signal);
    const response = await this.#asked<T>(request, {
      url: this.#url,
      headers: { "content-type": "application/json" },
      body: request.toText(),
      userHeaders: headers,
      signal,
      timeoutMs,
    });
    if (throwOnError && response.isError) throw new ErrorResponseException(request, response);
    return response;
  }

  /** Gives up everything that is under way. Further calls are refused with `ERR_CLOSED`. */
  close(): void {
    this.#calls.close();
  }

  async #asked<T>(request: RequestEvent, call: Call): Promise<ResponseEvent<T>> {
    const { maxResponseBytes = 4 * MIB } = this.#options;
    try {
      // One byte more, to see that there are more.
      const { body, status } = await this.#calls.call({ ...call, maxResponseBytes: maxResponseBytes + 1 });
      if (body.length > maxResponseBytes) throw tooLarge(maxResponseBytes, status);
      const members = accept(body, Rule.Answer);
      if (typeof members === "number") throw new FerryError("ERR_INTERNAL");
      return new ResponseEvent<T>(undefined, members, status, request);
    } catch (error) {
      if (!(error instanceof FerryError) || error.culprit === "caller" || error.culprit === "internal") throw error;
      const answer = responseOf(error);
      const isCut = (answer?.body.length ?? 0) > maxResponseBytes && error.code === "ERR_INVALID_EVENT";
      throw new FailedDependencyException(
        isCut ? tooLarge(maxResponseBytes, answer!.status) : error,
        answer?.status ? answer.body.slice(0, MAX_BODY_BYTES) : undefined,
      );
    }
  }
}

/** The request that an object describes, and what it says of how to send it. */
function requestOf(event: SendEventInit, options: SendEventOptions): [RequestEvent, SendEventOptions] {
  checkOptionNames("sendEvent", event, [
    "name",
    "version",
    "payload",
    "id",
    "flowId",
    "identity",
    "auth",
    "metadata",
    ...SEND_OPTIONS,
  ]);
  const { timeoutMs, signal, headers, throwOnError, parent, ...init } = event;
  const own = { ...definedOf({ timeoutMs, signal, headers, throwOnError, parent }), ...definedOf(options) };
  if (own.parent !== undefined) checkFlow("parent", own.parent);
  const { id = own.parent?.id, flowId = own.parent?.flowId } = init;
  return [new RequestEvent({ ...init, ...(id !== undefined && { id }), ...(flowId !== undefined && { flowId }) }), own];
}

function definedOf(options: { [K in keyof SendEventOptions]: SendEventOptions[K] | undefined }): SendEventOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function tooLarge(maxResponseBytes: number, status: number): FerryError {
  return new FerryError(
    "ERR_TOO_LARGE",
    `the answer has more than the ${maxResponseBytes} bytes allowed; maxResponseBytes allows more`,
    { status },
  );
}

// Where the runtime knows it, `await using client = …` closes.
if (Symbol.dispose)
  Object.defineProperty(EventClient.prototype, Symbol.dispose, { value: EventClient.prototype.close });
