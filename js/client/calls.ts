/**
 * Calls: one request, with retries, and a promise for its response. The clients of all systems use it; a classifier in
 * the engine decides what a response means. The machine is `src/engine/calls.rs`.
 */
import { codeOf, FerryError, isFerryError, messageOf } from "../engine/errors.js";
import { optionNumbers } from "../engine/machine-options.js";
import { mustBe } from "../engine/messages.js";
import type { EngineModule } from "../engine/module.js";
import { CALLS_OPTIONS, type CallsGlue, type CallsPort, PORT_INPUTS } from "../engine/ports.js";
import { Pump } from "../engine/pump.js";
import type { RequestPlan } from "../platform/fetch.js";
import { keepaliveBudget } from "../platform/keepalive-budget.js";
import { random } from "../platform/random.js";
import {
  aborted,
  type ClientOptions,
  checkOptionNames,
  DEFAULT_TIMEOUT_MS,
  type HeadersOption,
  headerLines,
} from "./options.js";
import { Secrets } from "./redact.js";
import { withLimits } from "./time-limit.js";
import type { RequestCredentials } from "../platform/web-types.js";
import { TextEncoder } from "../platform/text.js";

/** Options of a client that makes calls. */
export interface CallsOptions extends ClientOptions {
  /**
   * Retries after timeouts, network errors and the statuses 408, 425, 429, 500, 502-504, 507, 509 and 520-599, with
   * exponential backoff and full jitter. `Retry-After` is honoured; if it asks for more than `maxMs`, the call fails.
   * If only the response was lost, the server receives the request twice.
   */
  retry?: {
    /**
     * The number of requests for one call, 1 to 101. More hide longer outages, but failures are reported later.
     *
     * @default 1
     */
    attempts?: number;
    /** The upper limit of the first delay in milliseconds; it doubles with each retry. @default 200 */
    baseMs?: number;
    /** The upper limit of every delay in milliseconds. @default 30 000 */
    maxMs?: number;
  };
  /**
   * The number of calls in progress at the same time; more fail with `ERR_QUEUE_FULL`. More use more memory.
   *
   * @default 1 000
   */
  maxInFlight?: number;
}

/** Options of requests that only browsers know. */
export interface BrowserRequestOptions {
  /** Whether cookies and other credentials of the page are sent. @default "same-origin" */
  credentials?: RequestCredentials | undefined;
  /**
   * Whether requests go on when their page is closed. All requests of a page that do may have 64 KiB together; one that
   * does not fit is sent without it. @default true for sessions, false for `send`
   */
  keepalive?: boolean | undefined;
}

const CREDENTIALS = ["omit", "same-origin", "include"];

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkBrowserRequestOptions({ credentials, keepalive }: BrowserRequestOptions): void {
  if (credentials !== undefined && !CREDENTIALS.includes(credentials))
    throw mustBe("credentials", '"omit", "same-origin" or "include"', credentials);
  if (keepalive !== undefined && typeof keepalive !== "boolean") throw mustBe("keepalive", "a boolean", keepalive);
}

/** One call. */
export interface Call {
  /** @default "POST" */
  method?: "GET" | "POST";
  url: string;
  /** The headers of the system, which override all others. */
  headers?: Record<string, string>;
  body?: string | Uint8Array | undefined;
  /** The headers of the user for this call; they override those of the client. */
  userHeaders?: HeadersOption | undefined;
  signal?: AbortSignal | undefined;
  /** The timeout of each request. @default the one of the client */
  timeoutMs?: number | undefined;
  /** The maximum number of body bytes that are read. @default 16 KiB */
  maxResponseBytes?: number;
}

/**
 * More headers for one attempt of a call. `lines`: those that it has, as `name: value`. The result is lines as well.
 */
export type SignAttempt = (lines: string, body: Uint8Array) => Promise<string>;

/** What a system adds to its calls. */
export interface CallsExtras {
  /** Whether a response with status 2xx whose body breaks off fails with `ERR_NETWORK` or `ERR_TIMEOUT`. */
  needsBody?: boolean;
  /** Signs each attempt when it is made, because signatures have a time. */
  sign?: SignAttempt | undefined;
  /** More headers of the response, as lines of `name: value`. Does not throw. */
  responseHeaders?: (headers: Headers) => string;
}

/** The response of a call. */
export interface CallResponse {
  /** The HTTP status. 0: there was no response, or a redirect that the browser hides. */
  status: number;
  /** The number of requests that were sent. */
  attempts: number;
  /** The media type in lower case, without parameters; empty if there is none. */
  mediaType: string;
  /** The headers that were read, as lines of `name: value`. */
  headers: string;
  /** The body, up to `maxResponseBytes`. */
  body: Uint8Array;
}

interface PendingCall {
  resolve(response: CallResponse): void;
  reject(error: FerryError): void;
}

const DEFAULT_MAX_RESPONSE_BYTES = 16 * 1024;
const NO_BODY = /* @__PURE__ */ new Uint8Array(0);
const responses = new WeakMap<FerryError, CallResponse>();

/** The response of a failed call. Not a member of the error, because its body may be too secret for a log. */
export function responseOf(error: FerryError): CallResponse | undefined {
  return responses.get(error);
}

/** Makes calls. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #pump: Pump<CallsPort, CallsGlue>;
  #pending = new Map<number, PendingCall>();
  /** What a server may repeat in its errors. */
  readonly #secrets = new Secrets();
  readonly #closeListeners = new Set<() => void>();
  #isClosed = false;

  /**
   * @param options the options of a client; all but `retry` and `maxInFlight` have been checked
   * @param module the module of the engine that makes the calls
   * @param classifier a value of `CLASSIFIERS`
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad `retry` or `maxInFlight`
   */
  constructor(
    options: CallsOptions & BrowserRequestOptions,
    module: EngineModule<CallsGlue>,
    classifier: number,
    extras: CallsExtras = {},
  ) {
    const { needsBody = false, sign, responseHeaders: moreHeaders } = extras;
    const machine = machineOptions(options);
    // That an engine cannot start is said here and not with the first call.
    void module.glue;
    const { credentials } = options;
    this.#options = options;
    this.#pump = new Pump<CallsPort, CallsGlue>({
      module,
      // Called before the first call only: at module scope, a Worker has no randomness.
      makePort: (glue, effects) => new glue.CallsPort(machine, classifier, random(), effects),
      fetch: options.fetch,
      handlers: {
        send: (
          id: number,
          method: "GET" | "POST",
          url: string,
          headers: string,
          body: Uint8Array,
          timeoutMs: number,
          maxResponseBytes: number,
          responseHeaders: string,
        ) => {
          const plan = (headers: string): RequestPlan => ({
            ...{ method, url, headers, body, timeoutMs, maxResponseBytes, responseHeaders, moreHeaders, needsBody },
            credentials,
            keepalive: options.keepalive ? keepaliveBudget.take(body.length) : undefined,
          });
          const signed = sign?.(headers, body).then((more) => {
            this.#secrets.addHeaders(more);
            return plan(`${headers}\n${more}`);
          });
          this.#pump.startExchange(id, signed ?? plan(headers), undefined, timeoutMs);
        },
        settled: (
          op: number,
          code: number,
          detail: string,
          attempts: number,
          status: number,
          headers: string,
          body: Uint8Array,
        ) => {
          const pending = this.#pending.get(op);
          this.#pending.delete(op);
          const mediaType = /^content-type: ([^;\n]*)/.exec(headers)?.[1]?.trim().toLowerCase() ?? "";
          const response = { status, attempts, mediaType, headers, body };
          if (code === 0) return pending?.resolve(response);
          const cause = this.#secrets.redactError(this.#pump.cause);
          // What prevented the request says more than that there was no response.
          if (isFerryError(cause, "ERR_INVALID_ARGUMENT")) return pending?.reject(cause);
          const message = messageOf(codeOf(code), status, this.#secrets.redact(detail));
          const error = new FerryError(codeOf(code), message, {
            status: status || undefined,
            cause,
          });
          responses.set(error, response);
          pending?.reject(error);
        },
      },
      onReset: () => {
        // The new machine does not know the calls in progress.
        const lost = [...this.#pending.values()];
        this.#pending.clear();
        for (const pending of lost) pending.reject(new FerryError("ERR_INTERNAL"));
      },
    });
  }

  /**
   * Makes a call. The message of an error has the URL without its query; `responseOf` has the response.
   *
   * @throws {FerryError} the code of the classifier, `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_QUEUE_FULL` or
   * `ERR_CLOSED`
   */
  async call(call: Call): Promise<CallResponse> {
    const signals = [this.#options.signal, call.signal].filter((signal) => signal !== undefined);
    for (const signal of signals) if (signal.aborted) throw aborted(signal);
    const lines = headerLines([this.#options.headers, call.userHeaders], call.headers ?? {});
    const headers = typeof lines === "string" ? lines : await this.withLimits("the function headers", lines, call);
    for (const signal of signals) if (signal.aborted) throw aborted(signal);
    this.#secrets.addHeaders(headers);
    const { method = "POST", url, maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES } = call;
    const body = typeof call.body === "string" ? new TextEncoder().encode(call.body) : (call.body ?? NO_BODY);
    const timeoutMs = this.#timeoutMs(call);
    return new Promise<CallResponse>((resolve, reject) => {
      let op: number | undefined;
      let abortedBy: AbortSignal | undefined;
      const onAbort = (event: Event) => {
        abortedBy = event.target as AbortSignal;
        if (op !== undefined) this.#cancel(op);
      };
      const stopListening = () => {
        for (const signal of signals) signal.removeEventListener("abort", onAbort);
      };
      for (const signal of signals) signal.addEventListener("abort", onAbort);
      const pending: PendingCall = {
        resolve: (response) => {
          stopListening();
          resolve(response);
        },
        reject: (error) => {
          stopListening();
          reject(abortedBy && error.code === "ERR_ABORTED" ? aborted(abortedBy) : withUrl(error, method, url));
        },
      };
      try {
        if (this.#isClosed) throw new FerryError("ERR_CLOSED");
        // The machine may settle the call before `send` returns.
        this.#pump.send((port, now) => {
          op = port.send(now, method === "GET", url, headers, body, timeoutMs, maxResponseBytes);
          this.#pending.set(op, pending);
        });
      } catch (error) {
        stopListening();
        reject(error);
      }
    });
  }

  /**
   * The result of a function of the application that prepares a call. Ends with the timeout and the signals of the call,
   * and when the client is closed.
   *
   * @throws {FerryError} `ERR_TIMEOUT`, `ERR_ABORTED`, `ERR_CLOSED`
   */
  withLimits<T>(
    what: string,
    promise: Promise<T>,
    call: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined },
  ): Promise<T> {
    const signals = [this.#options.signal, call.signal].filter((signal) => signal !== undefined);
    return withLimits(what, promise, {
      timeoutMs: this.#timeoutMs(call),
      signals,
      onClose: (listener) => {
        if (this.#isClosed) listener();
        this.#closeListeners.add(listener);
        return () => this.#closeListeners.delete(listener);
      },
    });
  }

  /** Aborts all calls in progress. Later calls fail with `ERR_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const listener of [...this.#closeListeners]) listener();
    if (this.#pump.isRunning) this.#pump.sendInBackground((port, now) => port.input(PORT_INPUTS.close, now));
    this.#pump.close();
  }

  #timeoutMs({ timeoutMs }: { timeoutMs?: number | undefined }): number {
    return timeoutMs ?? this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  #cancel(op: number): void {
    if (this.#pending.has(op)) this.#pump.sendInBackground((port, now) => port.input(PORT_INPUTS.cancel, now, op));
  }
}

/** The error with method and URL in its message. The query and fragment of the URL may be secret and are left out. */
function withUrl(error: FerryError, method: string, url: string): FerryError {
  const { code, message, status, cause } = error;
  const { origin, pathname } = new URL(url);
  const located = new FerryError(code, `${method} ${origin}${pathname}: ${message}`, {
    status,
    cause,
  });
  const response = responses.get(error);
  if (response) responses.set(located, response);
  return located;
}

function retryAdvice(retry: unknown): string | undefined {
  const attempts = retry === false ? 1 : retry;
  return typeof attempts === "number" ? `pass { attempts: ${attempts} }` : undefined;
}

/** The options of the machine. */
function machineOptions({ retry = {}, maxInFlight }: CallsOptions): Float64Array {
  if (typeof retry !== "object" || retry === null) throw mustBe("retry", "an object", retry, retryAdvice(retry));
  checkOptionNames("retry", retry, ["attempts", "baseMs", "maxMs"]);
  const { attempts, baseMs, maxMs } = retry;
  return optionNumbers(CALLS_OPTIONS, {
    "retry.attempts": attempts,
    "retry.baseMs": baseMs,
    "retry.maxMs": maxMs,
    maxInFlight,
  });
}
