/**
 * A server of the events protocol, as strict about requests as the Kotlin original, with example handlers and those of the
 * application.
 *
 * ```text
 *   POST /events     200 and an event, whatever the outcome; paths below /events work too
 *
 *   get:event:example   { example: text }                  { got }
 *   echo:event          any payload                        the same payload
 *   redirect:event      { url?, queryParameters? }         a redirect
 *   raise:error         { type?, code?, parameters? }      that error
 *   crash:event         any payload                        the response to an unhandled error
 * ```
 *
 * It does not use the engine, so that tests that compare the two find misreadings of the protocol in either.
 */
import { isFerryError } from "../engine/errors.js";
import { unixNow } from "../platform/clock.js";
import { readBody } from "../systems/cloudevents/body.js";
import { EventBuilder } from "../systems/events-protocol/builder.js";
import { ProtocolEvent, RequestEvent, ResponseEvent } from "../systems/events-protocol/event.js";
import { EventException, isEventException } from "../systems/events-protocol/exceptions.js";
import type { EventErrorType } from "../systems/events-protocol/names.js";
import { EventRegistry, type HandlerContext, type Registration } from "../systems/events-protocol/registry.js";
import type { StandardSchema } from "../client/standard-schema.js";
import { type PayloadOf, toCamelCase, validate } from "../systems/events-protocol/schema.js";
import { type Lifetime, type Service, integer, textResponse } from "./service.js";
import { Watchers } from "./watchers.js";
import { TextDecoder } from "../platform/text.js";

/** Options of the events protocol service of an emulator. */
export interface EventsProtocolEmulatorOptions {
  /** How many requests are kept. The oldest are dropped first. @default 10 000 */
  maxEvents?: number;
  /** How many bytes of requests and responses are kept; the last request always is. @default 64 MiB */
  maxBytes?: number;
  /** Size limit of a request body in bytes. Larger ones are answered with `badProtocol`. @default 16 MiB */
  maxBodyBytes?: number;
}

/** A request that the emulator received, and its response. */
export interface ReceivedRequest {
  /** The number of the request, from 1. `clear()` does not reset it. */
  readonly seq: number;
  /** The event, including its `auth`; undefined if the request was not an event. */
  readonly event: RequestEvent | undefined;
  /** The answer. */
  readonly response: ResponseEvent;
  /** The headers of the request, with lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body of the request. */
  readonly rawBody: Uint8Array;
  /** When it was received. */
  readonly receivedAt: Date;
  /** The URL the request was sent to. */
  readonly url: string;
}

const PREFIX = "/events";
const MIB = 1024 * 1024;
const MAX_INT = 2 ** 31 - 1;

/** The events protocol service of an emulator, with the requests it received. */
export class EventsProtocolEmulator implements Service {
  readonly prefix: string = PREFIX;
  readonly #registry = new EventRegistry({ checkNames: false });
  readonly #kept: { received: ReceivedRequest; bytes: number }[] = [];
  readonly #watchers = new Watchers();
  readonly #lifetime: Lifetime;
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #maxBodyBytes: number;
  #bytes = 0;
  #dropped = 0;
  #seq = 0;

  /** @internal */
  constructor(options: EventsProtocolEmulatorOptions, lifetime: Lifetime) {
    this.#maxEvents = integer("maxEvents", options.maxEvents, 10_000, 1);
    this.#maxBytes = integer("maxBytes", options.maxBytes, 64 * MIB, 1);
    this.#maxBodyBytes = integer("maxBodyBytes", options.maxBodyBytes, 16 * MIB, 1);
    this.#lifetime = lifetime;
    addExamples(this);
  }

  /**
   * Adds a handler, or replaces the existing one.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  register<P>(registration: Omit<Registration<P>, "schema"> & { schema: StandardSchema<P> }): this;
  // biome-ignore lint/suspicious/noExplicitAny: the function declares the type of its parameter
  register<R>(registration: Omit<Registration<PayloadOf<R>>, "schema"> & { schema: (payload: any) => R }): this;
  register(registration: Omit<Registration, "schema"> & { schema?: undefined }): this;
  register(registration: object): this {
    this.#registry.register({ replace: true, ...(registration as Omit<Registration, "schema">) });
    return this;
  }

  /** The received requests that are still kept, oldest first. A new list each time. */
  get received(): readonly ReceivedRequest[] {
    return this.#kept.map(({ received }) => received);
  }

  /** How many requests were dropped from `received` since the last `clear()`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Forgets all requests. Handlers are kept. */
  clear(): void {
    this.#kept.length = 0;
    this.#bytes = 0;
    this.#dropped = 0;
  }

  /**
   * Resolves with `received` once `count` requests were answered since the last `clear()`, including those before the
   * call.
   *
   * @param options.timeoutMs The longest wait in milliseconds. @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT`, or `ERR_CLOSED` if the emulator is closed meanwhile
   */
  async waitFor(count: number, options: { timeoutMs?: number } = {}): Promise<readonly ReceivedRequest[]> {
    integer("count", count, 1, 1);
    const answered = () => this.#kept.length + this.#dropped;
    return this.#watchers.until(
      () => (answered() >= count ? this.received : undefined),
      options.timeoutMs,
      this.#lifetime,
      () => `${answered()} of ${count} requests arrived`,
    );
  }

  /** Answers a request whose path starts with `prefix`. */
  async handle(request: Request): Promise<Response> {
    if (request.method !== "POST") return textResponse(405, "send events with POST", { allow: "POST" });
    let rawBody = new Uint8Array(0) as Uint8Array;
    let event: RequestEvent | undefined;
    let response: ResponseEvent;
    try {
      rawBody = await readBody(request, { maxBytes: this.#maxBodyBytes });
      event = parseEvent(rawBody);
      response = await this.#answer(event, request);
    } catch (error) {
      if (!(error instanceof InvalidRequest) && !isFerryError(error, "ERR_TOO_LARGE")) throw error;
      const parameters =
        error instanceof InvalidRequest && error.property
          ? { propertyName: error.property }
          : { message: error.message };
      response = EventBuilder.errorFor(undefined, "badProtocol", "INVALID_COMMUNICATION_PROTOCOL", parameters);
    }
    // `toJSON` leaves `auth` out.
    const text = JSON.stringify(response);
    this.#store(
      {
        event,
        response,
        headers: Object.freeze(Object.fromEntries(request.headers)),
        rawBody,
        receivedAt: new Date(unixNow()),
        url: request.url,
      },
      rawBody.length + text.length,
    );
    return new Response(text, { headers: { "content-type": "application/json" } });
  }

  async #answer(event: RequestEvent, request: Request): Promise<ResponseEvent> {
    const { name, version, id, flowId, userId, userType } = event;
    const registration = this.#registry.find(name, version);
    if (!registration)
      return EventBuilder.errorFor({ name: "", version: 1, id, flowId }, "eventNotFound", "NO_EVENT_HANDLER_FOUND", {
        event: name,
        version,
      });
    const context: HandlerContext = {
      signal: request.signal,
      id,
      flowId,
      eventName: name,
      eventVersion: version,
      userId,
      userType,
      request,
      env: undefined,
      ctx: undefined,
    };
    try {
      const { schema, camelCase } = registration;
      const received = camelCase ? toCamelCase(event.payload) : event.payload;
      const payload = schema ? await validate(schema, received) : received;
      const result = await registration.handle(event, payload, context);
      return result instanceof ResponseEvent
        ? result
        : EventBuilder.responseFor(event, result instanceof ProtocolEvent ? result.payload : result);
    } catch (error) {
      return isEventException(error)
        ? EventBuilder.errorFor(event, error)
        : EventBuilder.errorFor(event, "error", "UNHANDLED_ERROR");
    }
  }

  #store(request: Omit<ReceivedRequest, "seq">, bytes: number): void {
    this.#kept.push({ received: { seq: ++this.#seq, ...request }, bytes });
    this.#bytes += bytes;
    while (this.#kept.length > this.#maxEvents || (this.#bytes > this.#maxBytes && this.#kept.length > 1)) {
      this.#bytes -= this.#kept.shift()!.bytes;
      this.#dropped++;
    }
    this.#watchers.notify();
  }
}

function addExamples(events: EventsProtocolEmulator): void {
  const isExample = (payload: { example?: unknown } | null) => {
    if (typeof payload?.example !== "string")
      throw { issues: [{ message: "example must be a string", path: ["example"] }] };
  };
  events.register({ name: "get:event:example", schema: isExample, handle: (_, { example }) => ({ got: example }) });
  events.register({ name: "echo:event", handle: (_, payload) => payload });
  events.register({
    name: "redirect:event",
    handle: (event, payload) =>
      EventBuilder.redirectFor(event, { url: "https://example.com/", queryParameters: {}, ...payload }),
  });
  events.register({
    name: "raise:error",
    handle: (_, payload) => {
      const {
        type = "error",
        code = "RAISED",
        parameters = {},
      } = (payload ?? {}) as { type?: EventErrorType; code?: string; parameters?: Record<string, unknown> };
      throw new EventException(parameters, { type, code });
    },
  });
  events.register({
    name: "crash:event",
    handle: () => {
      throw new Error("crash:event always fails");
    },
  });
}

/** The request is not an event. */
class InvalidRequest extends Error {
  readonly property: string | undefined;

  constructor(message: string, property?: string) {
    super(message);
    this.property = property;
  }
}

/** The members in the order in which the original checks them. */
const MEMBER_CHECKS: [member: string, isValid: (value: unknown) => boolean][] = [
  ["name", isString],
  ["version", (value) => Number.isInteger(value) && Math.abs(value as number) <= MAX_INT],
  ["id", isString],
  ["flowId", isString],
  ["payload", (value) => value !== undefined],
  ["identity", isObject],
  ["auth", isObject],
  ["metadata", isObject],
];

/** @throws {InvalidRequest} */
function parseEvent(body: Uint8Array): RequestEvent {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new InvalidRequest("the request is not JSON");
  }
  if (!isObject(parsed)) throw new InvalidRequest("the request is not a JSON object");
  const event = parsed;
  for (const [member, isValid] of MEMBER_CHECKS)
    if (!isValid(event[member]))
      throw new InvalidRequest(`the member ${member} is missing or of the wrong type`, member);
  const members = event as unknown as { name: string; version: number; id: string; flowId: string };
  const texts = Object.fromEntries(
    ["payload", "identity", "auth", "metadata"].map((member) => [member, JSON.stringify(event[member])]),
  );
  return new RequestEvent(undefined, {
    name: members.name,
    version: members.version,
    id: members.id,
    flowId: members.flowId,
    ...texts,
  });
}

function isString(value: unknown): boolean {
  return typeof value === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
