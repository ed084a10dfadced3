/**
 * A server of events, as a function from text to text and as a handler for `fetch`.
 *
 * ```text
 *   body ──accept──┬─ event ─> handler? ─> room? ─> schema ─> handle ──┐
 *                  └─ fault ───────────────────────────────────────────┴──settle──> body
 * ```
 *
 * The two steps are in the engine; what lies between them belongs to the user, and takes its time there. Nothing of an event is kept anywhere but in
 * the call that answers it.
 */
import { readBody } from "../cloudevents/http.js";
import { FerryError, isFerryError } from "../../engine/errors.js";
import { checkOptionNames, checkTimeout } from "../../client/options.js";
import { freshId } from "../../platform/uuid.js";
import { Fault, Outcome, Rule, type Subject, accept, settle } from "./engine.js";
import { ProtocolEvent, RequestEvent, ResponseEvent, carried } from "./event.js";
import { type EventException, isEventException } from "./exceptions.js";
import { EventRegistry, type HandlerContext, type Registration } from "./registry.js";
import { fitted, inCamelCase } from "./schema.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import { startTimer, stopTimer, type Timer } from "../../platform/clock.js";

/** How a server works. */
export interface ProcessorOptions {
  /**
   * How much of an event has to be there. `"usual"`: `identity`, `auth` and `metadata` may be missing or null, and `flow_id` stands for a missing
   * `flowId`. `"strict"`: all eight members, as Kotlin servers want it. `"lenient"`: ids and payload may be missing too, and the version may be
   * text. Whatever is there has to be of the right kind. @default "usual"
   */
  envelope?: "usual" | "strict" | "lenient";
  /** How long a handler may take, its schema included; then its signal aborts and `error`, `EVENT_TIMEOUT` is answered. `Infinity` for no limit. @default 30 000 */
  handlerTimeoutMs?: number;
  /**
   * How many handlers may be under way at once. Events beyond are answered with `error`, `TOO_MANY_EVENTS`. A handler whose time is over no longer
   * counts, so one that does not look at its signal may still be at work. @default 1 000
   */
  maxInFlight?: number;
  /** The largest request that is read, up to 128 MiB. Larger ones are answered with `badProtocol`. @default 1 MiB */
  maxBytes?: number;
  /** Called with what handlers throw, but for exceptions that are `expected`. What it throws itself is ignored. */
  onError?: (error: unknown, event: RequestEvent) => void;
  /** Whether answers to errors that nobody has handled show name, message and stack of the error. For development. @default false */
  exposeErrors?: boolean;
  /** Whether answers repeat `identity` and `metadata` of the request. `auth` is never repeated. @default false */
  echo?: boolean;
  /** Which pages may send events from other origins: origins such as `https://example.com`, or `"*"`. @default none */
  allowedOrigins?: readonly string[] | "*";
}

/** Options of one call of `process`. */
export interface ProcessOptions {
  /** Aborts the signal that the handler has. The event is answered all the same. */
  signal?: AbortSignal;
}

/** The options with their defaults. */
type Settings = {
  [K in keyof Omit<ProcessorOptions, "envelope">]-?:
    | ProcessorOptions[K]
    | (K extends "onError" | "allowedOrigins" ? undefined : never);
} & { rule: Rule };

/** What the runtime tells of a request. */
interface Surroundings {
  request?: Request | undefined;
  env?: unknown;
  ctx?: unknown;
  signal?: AbortSignal | undefined;
}

type Bytes = Uint8Array<ArrayBuffer>;
/** An outcome and the texts that it needs. */
type End = [subject: Subject, outcome: number, ...pieces: string[]];

const RULES: Record<string, Rule> = { usual: Rule.Usual, strict: Rule.Strict, lenient: Rule.Lenient };
const OPTIONS = [
  "envelope",
  "handlerTimeoutMs",
  "maxInFlight",
  "maxBytes",
  "onError",
  "exposeErrors",
  "echo",
  "allowedOrigins",
];
const MIB = 1024 * 1024;
const METHODS = "POST, OPTIONS";
/** So much of a request that is too large is read to its end, so that its answer arrives. */
const SPARE_BYTES = 8 * MIB;

/**
 * Answers events with the handlers of a registry. Whatever comes in is answered with an event, and no handler can take the server down.
 *
 * @example
 * const processor = new EventProcessor(events);
 * export default { fetch: processor.fetch };
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export class EventProcessor {
  readonly #registry: EventRegistry;
  readonly #options: Settings;
  #underWay = 0;

  constructor(registry: EventRegistry, options: ProcessorOptions = {}) {
    if (!(registry instanceof EventRegistry))
      throw invalidArgument(`an EventProcessor takes an EventRegistry, not ${formatValue(registry)}`);
    checkOptionNames("EventProcessor", options, OPTIONS);
    const {
      envelope = "usual",
      handlerTimeoutMs = 30_000,
      maxInFlight = 1000,
      maxBytes = MIB,
      exposeErrors = false,
      echo = false,
      onError,
      allowedOrigins,
    } = options;
    if (!Object.hasOwn(RULES, envelope))
      throw invalidArgument(`envelope is "usual", "strict" or "lenient", not ${formatValue(envelope)}`);
    if (handlerTimeoutMs !== Infinity) checkTimeout(handlerTimeoutMs, "handlerTimeoutMs");
    for (const [name, value] of [
      ["maxInFlight", maxInFlight],
      ["maxBytes", maxBytes],
    ] as const) {
      if (!(Number.isInteger(value) && value > 0 && value <= 128 * MIB))
        throw invalidArgument(`${name} is a whole number above 0 and up to ${128 * MIB}, not ${formatValue(value)}`);
    }
    if (onError !== undefined && typeof onError !== "function")
      throw invalidArgument(`onError is a function, not ${formatValue(onError)}`);
    if (allowedOrigins !== undefined && allowedOrigins !== "*" && !Array.isArray(allowedOrigins))
      throw invalidArgument('allowedOrigins is "*" or a list of origins such as https://example.com');
    this.#registry = registry;
    this.#options = {
      rule: RULES[envelope]!,
      handlerTimeoutMs,
      maxInFlight,
      maxBytes,
      exposeErrors,
      echo,
      onError,
      allowedOrigins,
    };
  }

  /** How many handlers are under way. */
  get underWay(): number {
    return this.#underWay;
  }

  /**
   * Answers one event. Resolves for every input, also for one that is no event; it rejects only with `ERR_NOT_INITIALIZED` and `ERR_WASM_INIT`, where
   * there is no engine.
   *
   * @param body the event as text, as bytes, or as an object
   * @returns the answer, an event as JSON text
   */
  async process(body: unknown, options: ProcessOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.#answer(body, { signal: options.signal }));
  }

  /**
   * Answers a request, for `fetch` events, servers and route modules. It can be taken off: `export default { fetch: processor.fetch }`. Every path will do.
   *
   * The answer is an event with status 200, as the protocol has it, also when it is an error; 405 for methods other than POST.
   * Rejects only if the body of the request was read before.
   *
   * @param env and `ctx` are handed on to the handlers
   */
  readonly fetch = async (request: Request, env?: unknown, ctx?: unknown): Promise<Response> => {
    const headers = this.#headersFor(request);
    if (request.method === "OPTIONS")
      return new Response(null, { status: 204, headers: { allow: METHODS, ...headers } });
    if (request.method !== "POST") {
      await readBody(request, { maxBytes: 0 }, SPARE_BYTES).catch(() => undefined);
      return new Response("events are sent here with POST\n", {
        status: 405,
        headers: { "content-type": "text/plain; charset=utf-8", allow: METHODS, ...headers },
      });
    }
    const answer = await this.#answerTo(request, env, ctx);
    return new Response(answer, { headers: { "content-type": "application/json; charset=utf-8", ...headers } });
  };

  async #answerTo(request: Request, env: unknown, ctx: unknown): Promise<Bytes> {
    let body: Uint8Array;
    try {
      body = await readBody(request, { maxBytes: this.#options.maxBytes }, SPARE_BYTES);
    } catch (error) {
      if (isFerryError(error, "ERR_INVALID_ARGUMENT")) throw error;
      // A body that breaks off is not JSON, and most likely nobody is there to hear of it.
      return written(malformed(isFerryError(error, "ERR_TOO_LARGE") ? Fault.TooLarge : 1));
    }
    return this.#answer(body, { request, env, ctx, signal: request.signal });
  }

  async #answer(body: unknown, surroundings: Surroundings): Promise<Bytes> {
    let end: End;
    try {
      end = await this.#end(body, surroundings);
    } catch {
      // The engine broke off; it starts anew by itself, and the event is answered.
      end = [nobody(), Outcome.Unhandled, "{}"];
    }
    return written(end);
  }

  /** How an event ends. Rejects only if the engine is broken. */
  async #end(body: unknown, surroundings: Surroundings): Promise<End> {
    const text = asBody(body);
    if (text.length > this.#options.maxBytes) return malformed(Fault.TooLarge);
    const members = accept(text, this.#options.rule);
    if (typeof members === "number") return malformed(members);
    const event = new RequestEvent(undefined, members);
    const registration = this.#registry.find(event.name, event.version);
    if (!registration) return [event, Outcome.NoHandler];
    if (this.#underWay >= this.#options.maxInFlight) return [event, Outcome.Busy];
    this.#underWay++;
    try {
      return this.#echoed(event, await this.#inTime(event, registration, surroundings));
    } finally {
      this.#underWay--;
    }
  }

  /** Lets the handler run until its time is over. A timer of its own: in a Worker, one of another request may never ring. */
  async #inTime(event: RequestEvent, registration: Registration, surroundings: Surroundings): Promise<End> {
    const { handlerTimeoutMs } = this.#options;
    const { signal, request, env, ctx } = surroundings;
    let controller: AbortController | undefined;
    let reason: { is: unknown } | undefined;
    const abort = (why: unknown) => {
      reason ??= { is: why };
      controller?.abort(why);
    };
    const giveUp = () => abort(signal?.reason);
    if (signal?.aborted) giveUp();
    else signal?.addEventListener("abort", giveUp, { once: true });
    const context: HandlerContext = {
      id: event.id,
      flowId: event.flowId,
      eventName: event.name,
      eventVersion: event.version,
      request,
      env,
      ctx,
      // Made when it is asked for: a signal costs a third of all that is done for an event.
      get signal() {
        if (!controller) {
          controller = new AbortController();
          if (reason) controller.abort(reason.is);
        }
        return controller.signal;
      },
      get userId() {
        return event.userId;
      },
      get userType() {
        return event.userType;
      },
    };
    let timer: Timer | undefined;
    const late = new Promise<End>((resolve) => {
      if (handlerTimeoutMs === Infinity) return;
      timer = startTimer(() => {
        const error = new FerryError(
          "ERR_TIMEOUT",
          `the handler of ${formatValue(event.name)} did not come to an end within ${handlerTimeoutMs} ms`,
        );
        resolve([event, Outcome.Late, String(handlerTimeoutMs)]);
        abort(error);
        this.#tell(error, event);
      }, handlerTimeoutMs);
    });
    try {
      return await Promise.race([this.#run(event, registration, context), late]);
    } finally {
      stopTimer(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /** Never rejects. */
  async #run(
    event: RequestEvent,
    { schema, camelCase, ...registration }: Registration,
    context: HandlerContext,
  ): Promise<End> {
    try {
      const sent = camelCase ? inCamelCase(event.payload) : event.payload;
      const payload = schema === undefined ? sent : await fitted(schema, sent);
      const result: unknown = await registration.handle(event, payload, context);
      return answered(event, result);
    } catch (error) {
      return this.#failed(event, error);
    }
  }

  async #failed(event: RequestEvent, error: unknown): Promise<End> {
    try {
      if (isEventException(error)) {
        if (!error.expected) this.#tell(error, event);
        return raised(event, error);
      }
      const mapped = await this.#registry.mapped(error, event);
      if (isEventException(mapped)) return raised(event, mapped);
      if (mapped !== undefined) return answered(event, mapped);
    } catch (another) {
      error = another;
    }
    this.#tell(error, event);
    return [event, Outcome.Unhandled, this.#options.exposeErrors ? exposed(error) : "{}"];
  }

  #tell(error: unknown, event: RequestEvent): void {
    try {
      this.#options.onError?.(error, event);
    } catch {
      // Nobody is left who could be told.
    }
  }

  #echoed(event: RequestEvent, end: End): End {
    // Answers that a handler made whole say what they want to say.
    if (!this.#options.echo || end[1] !== Outcome.Returned) return end;
    const { version, id, flowId } = event;
    return [
      { name: `${event.name}:response`, version, id, flowId },
      Outcome.Built,
      end[2]!,
      carried(event, "identity"),
      carried(event, "metadata"),
    ];
  }

  #headersFor(request: Request): Record<string, string> {
    const { allowedOrigins } = this.#options;
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

function answered(event: RequestEvent, result: unknown): End {
  if (result instanceof ResponseEvent)
    return [
      result,
      Outcome.Built,
      carried(result, "payload"),
      carried(result, "identity"),
      carried(result, "metadata"),
    ];
  // One that gives the request back has made no answer; what it says is the payload, and who sent it stays out of it.
  if (result instanceof ProtocolEvent) return [result, Outcome.Built, carried(result, "payload"), "{}", "{}"];
  const payload = result === undefined ? "{}" : JSON.stringify(result);
  if (payload === undefined)
    throw invalidArgument(
      `the handler of ${formatValue(event.name)} gave back what JSON cannot say: ${formatValue(result)}`,
    );
  return [event, Outcome.Returned, payload];
}

function raised(event: RequestEvent, { type, code, parameters }: EventException): End {
  return [event, Outcome.Raised, type, JSON.stringify(code), JSON.stringify(parameters)];
}

/** For a developer who asked for it. */
function exposed(error: unknown): string {
  const { name, message, stack } =
    error instanceof Error ? error : { name: "", message: formatValue(error), stack: "" };
  return JSON.stringify({ name, message, stack });
}

/** The other side gets fresh ids, as from a Kotlin server: those in the request may be missing or anything. */
function malformed(fault: number): End {
  return [nobody(), Outcome.Malformed + fault];
}

function nobody(): Subject {
  return { name: "", version: 1, id: freshId(), flowId: freshId() };
}

function written(end: End): Bytes {
  return settle(...end);
}

/** What somebody wants to be processed, as the engine takes it. What cannot be an event becomes text that is none. */
function asBody(body: unknown): string | Uint8Array {
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
