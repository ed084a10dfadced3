/**
 * A server of events, as a function from text to text and as a `fetch` handler.
 *
 * ```text
 *   body ──readEvent──┬─ event ─> handler registered? ─> capacity? ─> schema ─> handler ──┬──writeResponse──> body
 *                     └─ error ───────────────────────────────────────────────────────────┘
 * ```
 *
 * The engine reads requests and writes responses. Handlers run in between, concurrently; the state of a request is in the
 * call that answers it and nowhere else.
 */
import { ignoreErrors } from "../../client/ignore-errors.js";
import { isFerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import { readBody } from "../cloudevents/body.js";
import { type EventRef, READ_ERROR, REQUEST_OUTCOME, readEvent } from "./engine.js";
import { ProtocolEvent, RequestEvent } from "./event.js";
import { isEventException } from "./exceptions.js";
import { type Invocation, callHandler } from "./handler-call.js";
import { type ProcessorOptions, type ProcessorSettings, settingsOf } from "./processor-options.js";
import { EventRegistry, type HandlerContext, type Registration } from "./registry.js";
import {
  type Result,
  bodyOf,
  echoed,
  exceptionResult,
  invalidEvent,
  resultOf,
  summaryOf,
  unhandledError,
  unknownEvent,
} from "./result.js";
import { toCamelCase, validate } from "./schema.js";
import { RunningTrace } from "./trace.js";
import { TextDecoder } from "../../platform/text.js";

/** Options of one call of `process`. */
export interface ProcessOptions {
  /** Aborts the signal of the handler. The event is answered nevertheless. */
  signal?: AbortSignal;
}

const METHODS = "POST, OPTIONS";
/** How much of a request that is too large is read and discarded, so that the client receives the response. */
const MAX_DISCARDED_BYTES = 8 * 1024 * 1024;

/**
 * Answers events with the handlers of a registry. Every input is answered with an event, and no error of a handler stops
 * the server.
 *
 * @example
 * const processor = new EventProcessor(events);
 * export default { fetch: processor.fetch };
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export class EventProcessor {
  readonly #registry: EventRegistry;
  readonly #settings: ProcessorSettings;
  #inFlight = 0;

  constructor(registry: EventRegistry, options: ProcessorOptions = {}) {
    if (!(registry instanceof EventRegistry)) throw mustBe("registry", "an EventRegistry", registry);
    this.#registry = registry;
    this.#settings = settingsOf(options);
  }

  /** How many handlers are running. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Answers one event. Resolves for every input, also for one that is not an event. Rejects only with
   * `ERR_NOT_INITIALIZED` and `ERR_WASM_INIT`, if there is no engine.
   *
   * @param body the event as text, bytes or an object
   * @returns the response, an event as JSON text
   */
  async process(body: unknown, options: ProcessOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.#answer(body, { signal: options.signal }));
  }

  /**
   * Answers a request, on any path. The function can be detached: `export default { fetch: processor.fetch }`. It may
   * also be the `fetch` of a client, which calls it with a URL and options.
   *
   * The response is an event with status 200, as the protocol demands, also for errors; 405 for methods other than POST
   * and OPTIONS. Rejects only if the body of the request has already been read.
   *
   * @param env passed on to the handlers
   * @param ctx passed on to the handlers
   */
  readonly fetch = async (input: Request | string, env?: unknown, ctx?: unknown): Promise<Response> => {
    const isOfClient = typeof input === "string";
    const request = isOfClient ? new Request(input, env as RequestInit) : input;
    const headers = this.#corsHeaders(request);
    if (request.method === "OPTIONS")
      return new Response(null, { status: 204, headers: { allow: METHODS, ...headers } });
    if (request.method !== "POST") {
      await readBody(request, { maxBytes: 0 }, MAX_DISCARDED_BYTES).catch(() => undefined);
      return new Response("send events with POST\n", {
        status: 405,
        headers: { "content-type": "text/plain; charset=utf-8", allow: METHODS, ...headers },
      });
    }
    const response = await this.#answerRequest(request, isOfClient ? undefined : env, ctx);
    return new Response(response, { headers: { "content-type": "application/json; charset=utf-8", ...headers } });
  };

  async #answerRequest(request: Request, env: unknown, ctx: unknown): Promise<Uint8Array<ArrayBuffer>> {
    let body: Uint8Array;
    try {
      body = await readBody(request, { maxBytes: this.#settings.maxBytes }, MAX_DISCARDED_BYTES);
    } catch (error) {
      if (isFerryError(error, "ERR_INVALID_ARGUMENT")) throw error;
      // A body that was cut off is not JSON.
      return bodyOf(invalidEvent(isFerryError(error, "ERR_TOO_LARGE") ? READ_ERROR.tooLarge : READ_ERROR.notJson));
    }
    return this.#answer(body, { request, env, ctx, signal: request.signal });
  }

  async #answer(body: unknown, invocation: Invocation): Promise<Uint8Array<ArrayBuffer>> {
    let result: Result;
    let trace: RunningTrace | undefined;
    try {
      const event = this.#read(body);
      if (event instanceof RequestEvent) {
        trace = this.#startTrace(event);
        result = await this.#process(event, invocation, trace);
      } else {
        trace = this.#startTrace(event[0]);
        result = event;
      }
    } catch {
      // The engine trapped. It restarts by itself, and the event is answered.
      result = unhandledError(unknownEvent());
    }
    const [written, text] = this.#write(result);
    trace?.end(summaryOf(written));
    return text;
  }

  /** A result with its text. One that is larger than the engine can write becomes an unhandled error. */
  #write(result: Result): [Result, Uint8Array<ArrayBuffer>] {
    try {
      return [result, bodyOf(result)];
    } catch (error) {
      const [event] = result;
      if (event instanceof RequestEvent) this.#reportError(error, event);
      const instead = unhandledError(event, this.#settings.exposeErrors ? { error } : undefined);
      return [instead, bodyOf(instead)];
    }
  }

  #startTrace(event: EventRef): RunningTrace | undefined {
    const { trace } = this.#settings;
    return trace && new RunningTrace(trace, "server", event);
  }

  /** The event in a body, or the result for one that is no event. Throws only if the engine traps. */
  #read(body: unknown): RequestEvent | Result {
    const { maxBytes, rule } = this.#settings;
    const text = toBody(body);
    if (text.length > maxBytes) return invalidEvent(READ_ERROR.tooLarge);
    const members = readEvent(text, rule);
    return typeof members === "number" ? invalidEvent(members) : new RequestEvent(undefined, members);
  }

  /** Rejects only if the engine traps. */
  async #process(event: RequestEvent, invocation: Invocation, trace: RunningTrace | undefined): Promise<Result> {
    const { maxInFlight, echo, handlerTimeoutMs } = this.#settings;
    const registration = this.#registry.find(event.name, event.version);
    if (!registration) return [event, REQUEST_OUTCOME.noHandler];
    if (this.#inFlight >= maxInFlight) return [event, REQUEST_OUTCOME.tooManyEvents];
    this.#inFlight++;
    try {
      const result = await callHandler<Result>({
        event,
        invocation,
        run: (context) => {
          const run = () => this.#run(event, registration, context);
          return trace ? trace.run(run) : run();
        },
        timeoutMs: handlerTimeoutMs,
        timeoutResult: [event, REQUEST_OUTCOME.timedOut, String(handlerTimeoutMs)],
        onTimeout: (error) => this.#reportError(error, event),
      });
      return echo ? echoed(event, result) : result;
    } finally {
      this.#inFlight--;
    }
  }

  /** Never rejects. */
  async #run(
    event: RequestEvent,
    { schema, camelCase, ...registration }: Registration,
    context: HandlerContext,
  ): Promise<Result> {
    try {
      const received = camelCase ? toCamelCase(event.payload) : event.payload;
      const payload = schema === undefined ? received : await validate(schema, received);
      return resultOf(event, await registration.handle(event, payload, context));
    } catch (error) {
      return this.#resultOfError(event, error);
    }
  }

  async #resultOfError(event: RequestEvent, thrown: unknown): Promise<Result> {
    let error = thrown;
    try {
      if (isEventException(error)) {
        if (!error.expected) this.#reportError(error, event);
        return exceptionResult(event, error);
      }
      const mapped = await this.#registry.mapException(error, event);
      if (isEventException(mapped)) return exceptionResult(event, mapped);
      if (mapped !== undefined) return resultOf(event, mapped);
    } catch (mappingError) {
      error = mappingError;
    }
    this.#reportError(error, event);
    return unhandledError(event, this.#settings.exposeErrors ? { error } : undefined);
  }

  #reportError(error: unknown, event: RequestEvent): void {
    // An error in onError itself has no further receiver.
    ignoreErrors(() => this.#settings.onError?.(error, event));
  }

  #corsHeaders(request: Request): Record<string, string> {
    const { allowedOrigins } = this.#settings;
    const origin = request.headers.get("origin");
    if (allowedOrigins === undefined || origin === null || !(allowedOrigins === "*" || allowedOrigins.includes(origin)))
      return {};
    return {
      "access-control-allow-origin": origin,
      vary: "origin",
      ...(request.method === "OPTIONS" && {
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": request.headers.get("access-control-request-headers") ?? "content-type",
        "access-control-max-age": "600",
      }),
    };
  }
}

/** The input of `process` as text or bytes. Input that cannot be an event becomes text that is not JSON. */
function toBody(body: unknown): string | Uint8Array {
  if (typeof body === "string" || body instanceof Uint8Array) return body;
  if (body instanceof ProtocolEvent) return body.toText();
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  try {
    return JSON.stringify(body) ?? "";
  } catch {
    return "";
  }
}
