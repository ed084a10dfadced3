/** Sends events and returns the responses. */
import { eventsProtocol } from "../../engine/modules/events-protocol.js";
import { type Call, Calls, type CallsOptions, responseOf } from "../../client/calls.js";
import {
  type HeadersOption,
  checkClientOptions,
  checkOptionNames,
  checkSignal,
  checkTimeout,
  checkedUrl,
} from "../../client/options.js";
import { FerryError, traced } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import { CLASSIFIERS } from "../../engine/ports.js";
import { ErrorResponseException, FailedDependencyException } from "./client-errors.js";
import { ENVELOPE_RULE, readEvent } from "./engine.js";
import { EVENT_MEMBERS, type EventInit, type FlowIds, checkFlowIds } from "./event-init.js";
import { RequestEvent, ResponseEvent } from "./event.js";
import { checkName } from "./names.js";
import { RunningTrace, type TraceHook } from "./trace.js";

/** Options of an `EventsProtocolClient`. */
export interface EventsProtocolClientOptions extends CallsOptions {
  /** The URL that accepts events, by convention one that ends with `/events`. It is used unchanged. */
  url: string | URL;
  /** Time limit of each request in milliseconds, including the response body. @default 15 000 */
  timeoutMs?: number;
  /** Whether a response that is an error rejects with an {@link ErrorResponseException}. @default false */
  throwOnError?: boolean;
  /** Whether names must consist of parts of a-z and _ separated by colons. @default true */
  checkNames?: boolean;
  /**
   * Called when an event is sent, and again when it has ended: for logs and traces. See {@link TraceHook}.
   *
   * @default none
   */
  trace?: TraceHook;
  /** Size limit of a response in bytes, below 128 MiB. A higher limit lets a server use more memory. @default 4 MiB */
  maxResponseBytes?: number;
}

/** Options of one call. */
export interface SendEventOptions {
  /** Time limit in milliseconds. @default that of the client */
  timeoutMs?: number;
  /** Aborts this call. */
  signal?: AbortSignal;
  /** Headers of this call, which override those of the client. */
  headers?: HeadersOption;
  /** @default that of the client */
  throwOnError?: boolean;
  /** The event that is being handled, or the context of its handler. Supplies `id` and `flowId` if they are not given. */
  parent?: FlowIds;
}

/** An event to send, and the options of the call. */
export type SendEventInit = EventInit & SendEventOptions;

const DEFAULT_TIMEOUT_MS = 15_000;
const MIB = 1024 * 1024;
const DEFAULT_MAX_RESPONSE_BYTES = 4 * MIB;
const MAX_ERROR_BODY_BYTES = 16 * 1024;
const OPTIONS = ["url", "throwOnError", "trace", "checkNames", "maxResponseBytes", "retry", "maxInFlight"];
const SEND_OPTIONS = ["timeoutMs", "signal", "headers", "throwOnError", "parent"];

/**
 * Sends events over HTTP.
 *
 * @example
 * const client = new EventsProtocolClient({ url: "https://example.com/events" });
 * const response = await client.sendEvent({ name: "get:user:name", version: 1, payload: { userId: 7 } });
 * if (response.isSuccess) console.log(response.payload);
 */
export class EventsProtocolClient {
  readonly #url: string;
  readonly #options: EventsProtocolClientOptions;
  readonly #calls: Calls;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  constructor(options: EventsProtocolClientOptions) {
    checkClientOptions("EventsProtocolClient", options, OPTIONS);
    this.#url = checkedUrl(options.url);
    const { maxResponseBytes, trace } = options;
    if (trace !== undefined && typeof trace !== "function") throw mustBe("trace", "a function", trace);
    if (
      maxResponseBytes !== undefined &&
      !(Number.isInteger(maxResponseBytes) && maxResponseBytes > 0 && maxResponseBytes < 128 * MIB)
    )
      throw mustBe("maxResponseBytes", "an integer above 0 and below 134217728 (128 MiB)", maxResponseBytes);
    this.#options = { ...options };
    this.#calls = new Calls(this.#options, eventsProtocol, CLASSIFIERS.eventsProtocol, { needsBody: true });
  }

  /**
   * Sends an event and resolves with the response, whatever its outcome: read `isSuccess`, `isRedirect`, `isError` and
   * `errorType`. A body that is an event is a response whatever the HTTP status.
   *
   * @throws {FerryError} a {@link FailedDependencyException} if no event came back: `ERR_NETWORK`, `ERR_TIMEOUT`, or by
   * the HTTP status `ERR_REDIRECTED`, `ERR_UNAUTHORIZED`, `ERR_REJECTED`, `ERR_GONE`, `ERR_RATE_LIMITED`,
   * `ERR_UNAVAILABLE`, `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_FORMAT`; `ERR_INVALID_EVENT` for a success status without an
   * event. Also `ERR_INVALID_ARGUMENT`, `ERR_ABORTED`, `ERR_QUEUE_FULL`, `ERR_CLOSED`, and with `throwOnError` an
   * {@link ErrorResponseException} for a response that is an error
   */
  // biome-ignore lint/suspicious/noExplicitAny: the caller declares the type of the payload
  async sendEvent<T = any>(
    event: RequestEvent | SendEventInit,
    options: SendEventOptions = {},
  ): Promise<ResponseEvent<T>> {
    checkOptionNames("sendEvent", options, SEND_OPTIONS);
    const [request, sendOptions] =
      event instanceof RequestEvent ? [event, options] : parseSendArguments(event, options);
    const {
      timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      signal,
      headers,
      throwOnError = this.#options.throwOnError ?? false,
    } = sendOptions;
    if (this.#options.checkNames ?? true) checkName(request.name);
    checkTimeout(timeoutMs);
    checkSignal(signal);
    const call: Call = {
      url: this.#url,
      headers: { "content-type": "application/json" },
      body: request.toText(),
      userHeaders: headers,
      signal,
      timeoutMs,
    };
    const { trace } = this.#options;
    const response = await traced(
      trace
        ? this.#tracedExchange<T>(request, call, new RunningTrace(trace, "client", request))
        : this.#exchange<T>(request, call),
    );
    if (throwOnError && response.isError) throw new ErrorResponseException(request, response);
    return response;
  }

  /** Aborts all calls in flight. Further calls reject with `ERR_CLOSED`. */
  close(): void {
    this.#calls.close();
  }

  async #tracedExchange<T>(request: RequestEvent, call: Call, trace: RunningTrace): Promise<ResponseEvent<T>> {
    try {
      const response = await trace.run(() => this.#exchange<T>(request, call));
      const { kind, errorType, errorCode, status } = response;
      trace.end({
        outcome: kind === "error" ? errorType! : kind,
        ...(errorCode !== undefined && { code: errorCode }),
        ...(status !== undefined && { status }),
      });
      return response;
    } catch (error) {
      const { code, status } = error as FerryError;
      trace.end({ outcome: "failed", code, ...(status !== undefined && { status }) });
      throw error;
    }
  }

  async #exchange<T>(request: RequestEvent, call: Call): Promise<ResponseEvent<T>> {
    const { maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES } = this.#options;
    try {
      // One more byte than allowed, to detect a larger response.
      const { body, status } = await this.#calls.call({ ...call, maxResponseBytes: maxResponseBytes + 1 });
      if (body.length > maxResponseBytes) throw tooLarge(maxResponseBytes, status);
      const members = readEvent(body, ENVELOPE_RULE.response);
      if (typeof members === "number") throw new FerryError("ERR_INTERNAL");
      return new ResponseEvent<T>(undefined, members, status, request);
    } catch (error) {
      if (!(error instanceof FerryError) || error.culprit === "caller" || error.culprit === "internal") throw error;
      const response = responseOf(error);
      const isTruncated = (response?.body.length ?? 0) > maxResponseBytes && error.code === "ERR_INVALID_EVENT";
      throw new FailedDependencyException(
        isTruncated ? tooLarge(maxResponseBytes, response!.status) : error,
        response?.status ? response.body.slice(0, MAX_ERROR_BODY_BYTES) : undefined,
      );
    }
  }
}

/** The request and the options in the arguments of `sendEvent`. */
function parseSendArguments(event: SendEventInit, options: SendEventOptions): [RequestEvent, SendEventOptions] {
  checkOptionNames("sendEvent", event, [...EVENT_MEMBERS, ...SEND_OPTIONS]);
  const { timeoutMs, signal, headers, throwOnError, parent, ...init } = event;
  const sendOptions = {
    ...withoutUndefined({ timeoutMs, signal, headers, throwOnError, parent }),
    ...withoutUndefined(options),
  };
  if (sendOptions.parent !== undefined) checkFlowIds("parent", sendOptions.parent);
  const { id = sendOptions.parent?.id, flowId = sendOptions.parent?.flowId } = init;
  const request = new RequestEvent({
    ...init,
    ...(id !== undefined && { id }),
    ...(flowId !== undefined && { flowId }),
  });
  return [request, sendOptions];
}

function withoutUndefined(
  options: { [K in keyof SendEventOptions]: SendEventOptions[K] | undefined },
): SendEventOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function tooLarge(maxResponseBytes: number, status: number): FerryError {
  return new FerryError(
    "ERR_TOO_LARGE",
    `the response is larger than ${maxResponseBytes} bytes; raise maxResponseBytes to allow more`,
    { status },
  );
}

// In runtimes that have explicit resource management, `using client = …` closes the client.
if (Symbol.dispose)
  Object.defineProperty(EventsProtocolClient.prototype, Symbol.dispose, {
    value: EventsProtocolClient.prototype.close,
  });
