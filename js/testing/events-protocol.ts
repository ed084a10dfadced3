/**
 * A server of the events protocol: as strict about events as the origin (Kotlin), with an example registry, to which you add your own.
 *
 * ```text
 *   POST /events     200 and the answer, an event, whatever it says; every path below will do
 *
 *   get:event:example   { example: text }                  { got }
 *   echo:event          anything                           the same
 *   redirect:event      { url?, queryParameters? }         a redirect
 *   raise:error         { type?, code?, parameters? }      that error
 *   crash:event         anything                           what becomes of a handler that throws something else
 * ```
 *
 * Written beside the engine and not with it: what one of the two misreads the other shows.
 */
import { readBody } from "../systems/cloudevents/body.js";
import { isFerryError } from "../engine/errors.js";
import { EventBuilder } from "../systems/events-protocol/builder.js";
import { ProtocolEvent, RequestEvent, ResponseEvent } from "../systems/events-protocol/event.js";
import { EventException, isEventException } from "../systems/events-protocol/exceptions.js";
import type { EventErrorType } from "../systems/events-protocol/names.js";
import { EventRegistry, type HandlerContext, type Registration } from "../systems/events-protocol/registry.js";
import { type PayloadOf, type StandardSchema, fitted, inCamelCase } from "../systems/events-protocol/schema.js";
import { type Lifetime, type Service, integer, textResponse } from "./service.js";
import { Watchers } from "./watchers.js";
import { unixNow } from "../platform/clock.js";

/** How the events protocol service of an emulator works. */
export interface EventsProtocolEmulatorOptions {
  /** How many requests are kept; the oldest go first. @default 10 000 */
  maxEvents?: number;
  /** How many bytes of requests and answers are kept; at least the last one stays. @default 64 MiB */
  maxBytes?: number;
  /** The largest request that is taken; more is answered with `badProtocol`. @default 16 MiB */
  maxBodyBytes?: number;
}

/** A request as the emulator received it, and its answer. */
export interface ReceivedRequest {
  /** Counts from 1, and goes on after `clear()`. */
  readonly seq: number;
  /** The request; undefined if it was none. `auth` is in it, for those who ask. */
  readonly event: RequestEvent | undefined;
  readonly answer: ResponseEvent;
  /** Headers of the request, with names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Body of the request, byte for byte. */
  readonly rawBody: Uint8Array;
  readonly receivedAt: Date;
  readonly url: string;
}

const PREFIX = "/events";
const MIB = 1024 * 1024;
const MAX_INT = 2 ** 31 - 1;

/** The events protocol service of an emulator, and what it has seen. */
export class EventsProtocolEmulator implements Service {
  readonly prefix = PREFIX;
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
   * Adds a handler, or puts it in the place of the one that is there.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  register<P>(registration: Omit<Registration<P>, "schema"> & { schema: StandardSchema<P> }): this;
  register<R>(registration: Omit<Registration<PayloadOf<R>>, "schema"> & { schema: (payload: any) => R }): this;
  register(registration: Omit<Registration, "schema"> & { schema?: undefined }): this;
  register(registration: object): this {
    this.#registry.register({ replace: true, ...(registration as Omit<Registration, "schema">) });
    return this;
  }

  /** The requests that came and are still kept, oldest first. A fresh list. */
  get received(): readonly ReceivedRequest[] {
    return this.#kept.map(({ received }) => received);
  }

  /** How many requests were pushed out of `received` since the last `clear()`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Forgets all requests. Handlers stay. */
  clear(): void {
    this.#kept.length = 0;
    this.#bytes = 0;
    this.#dropped = 0;
  }

  /**
   * Resolves with `received` once `count` requests have been answered since the last `clear()`, those included that came before the call.
   *
   * @param options.timeoutMs How long to wait, in milliseconds. @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT` after that time, `ERR_CLOSED` if the emulator is closed meanwhile.
   */
  async waitFor(count: number, options: { timeoutMs?: number } = {}): Promise<readonly ReceivedRequest[]> {
    integer("count", count, 1, 1);
    const found = () => this.#kept.length + this.#dropped;
    return this.#watchers.until(
      () => (found() >= count ? this.received : undefined),
      options.timeoutMs,
      this.#lifetime,
      () => `${found()} of ${count} requests came`,
    );
  }

  /** Answers what the emulator has found to be for this service. */
  async handle(request: Request): Promise<Response> {
    if (request.method !== "POST") return textResponse(405, "events are sent here with POST", { allow: "POST" });
    let rawBody = new Uint8Array(0) as Uint8Array;
    let event: RequestEvent | undefined;
    let answer: ResponseEvent;
    try {
      rawBody = await readBody(request, { maxBytes: this.#maxBodyBytes });
      event = eventIn(rawBody);
      answer = await this.#answer(event, request);
    } catch (error) {
      if (!(error instanceof Malformed) && !isFerryError(error, "ERR_TOO_LARGE")) throw error;
      const parameters =
        error instanceof Malformed && error.property ? { propertyName: error.property } : { message: error.message };
      answer = EventBuilder.errorFor(undefined, "badProtocol", "INVALID_COMMUNICATION_PROTOCOL", parameters);
    }
    // `auth` is left out of what is written.
    const text = JSON.stringify(answer);
    this.#keep(
      {
        event,
        answer,
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
    const found = this.#registry.find(name, version);
    if (!found)
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
      const sent = found.camelCase ? inCamelCase(event.payload) : event.payload;
      const result = await found.handle(event, found.schema ? await fitted(found.schema, sent) : sent, context);
      return result instanceof ResponseEvent
        ? result
        : EventBuilder.responseFor(event, result instanceof ProtocolEvent ? result.payload : result);
    } catch (error) {
      return isEventException(error)
        ? EventBuilder.errorFor(event, error)
        : EventBuilder.errorFor(event, "error", "UNHANDLED_ERROR");
    }
  }

  #keep(request: Omit<ReceivedRequest, "seq">, bytes: number): void {
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
    if (typeof payload?.example !== "string") throw { issues: [{ message: "the example is text", path: ["example"] }] };
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
      throw new Error("asked for");
    },
  });
}

/** What is no event. */
class Malformed extends Error {
  constructor(
    message: string,
    readonly property?: string,
  ) {
    super(message);
  }
}

/** The members in the order in which the origin looks at them. */
const RULES: [member: string, fits: (value: unknown) => boolean][] = [
  ["name", isText],
  ["version", (value) => Number.isInteger(value) && Math.abs(value as number) <= MAX_INT],
  ["id", isText],
  ["flowId", isText],
  ["payload", (value) => value !== undefined],
  ["identity", isObject],
  ["auth", isObject],
  ["metadata", isObject],
];

/** @throws {Malformed} */
function eventIn(body: Uint8Array): RequestEvent {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new Malformed("the request is not JSON");
  }
  if (!isObject(found)) throw new Malformed("the request is not a JSON object");
  for (const [member, fits] of RULES)
    if (!fits(found[member])) throw new Malformed(`the member ${member} is missing or of the wrong kind`, member);
  const members = found as unknown as { name: string; version: number; id: string; flowId: string };
  const texts = Object.fromEntries(
    ["payload", "identity", "auth", "metadata"].map((member) => [member, JSON.stringify(found[member])]),
  );
  return new RequestEvent(undefined, {
    name: members.name,
    version: members.version,
    id: members.id,
    flowId: members.flowId,
    ...texts,
  });
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
