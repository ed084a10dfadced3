/** The handlers of a server, by name and version of the event. */
import { checkOptionNames } from "../../client/options.js";
import { formatValue, invalidArgument, mustBe } from "../../engine/messages.js";
import type { RequestEvent, ResponseEvent } from "./event.js";
import { type EventException, EventNotFoundException } from "./exceptions.js";
import { checkName, checkVersion, memberMustBe } from "./names.js";
import type { StandardSchema } from "../../client/standard-schema.js";
import { type EventSchema, type PayloadOf, checkSchema } from "./schema.js";

/** The context of a handler. As the `parent` of `sendEvent` it makes the sent event part of the same flow. */
export interface HandlerContext {
  /** Aborts when the handler runs out of time or the caller disconnects. Pass it on to `fetch`. */
  readonly signal: AbortSignal;
  /** The id of the event. */
  readonly id: string;
  /** The id of its flow. */
  readonly flowId: string;
  /** The name of the event. */
  readonly eventName: string;
  /** The version of the event. */
  readonly eventVersion: number;
  /** See `RequestEvent.userId`. */
  readonly userId: string | undefined;
  /** See `RequestEvent.userType`. */
  readonly userType: string | undefined;
  /** The HTTP request, if the event came through `EventProcessor.fetch`. Its body has been read. */
  readonly request: Request | undefined;
  /** The second argument of `EventProcessor.fetch`: the bindings of a Worker. */
  // biome-ignore lint/suspicious/noExplicitAny: its type depends on the runtime
  readonly env: any;
  /** The third argument of `EventProcessor.fetch`: the context of a Worker, with `waitUntil`. */
  // biome-ignore lint/suspicious/noExplicitAny: its type depends on the runtime
  readonly ctx: any;
}

/** One handler, for payloads of type `P`. */
// biome-ignore lint/suspicious/noExplicitAny: without a schema the type of the payload is unknown
export interface Registration<P = any> {
  /** The name of the event, such as `get:user:name`. */
  name: string;
  /** The version of the event, a 32-bit integer. @default 1 */
  version?: number;
  /** Validates the payload. An invalid one is answered with `badRequest`, `MISSING_FIELDS`. @default no validation */
  schema?: EventSchema<P>;
  /** Converts all member names of the payload to camel case before validation, as Python servers do. @default false */
  camelCase?: boolean;
  /** Replaces an existing handler. @default false: a second handler for one event is refused */
  replace?: boolean;
  /**
   * Returns the payload of the response, any JSON, with `{}` for nothing; or a whole response of `EventBuilder`. An
   * `EventException` that it throws becomes a response with its type and code. Any other error becomes `error`,
   * `UNHANDLED_ERROR`.
   */
  handle(event: RequestEvent, payload: P, context: HandlerContext): unknown;
}

/** Converts an error of a handler to a response, or to an exception that becomes one. */
// biome-ignore lint/suspicious/noExplicitAny: anything can be thrown
export type ExceptionHandler<E = any> = (
  error: E,
  event: RequestEvent,
) => EventException | ResponseEvent | Promise<EventException | ResponseEvent>;

/** Options of an `EventRegistry`. */
export interface RegistryOptions {
  /** Whether names must consist of parts of a-z and _ separated by colons. @default true */
  checkNames?: boolean;
}

interface ExceptionMapping {
  matches: (error: unknown) => boolean;
  map: ExceptionHandler;
}

const OPTIONS = ["name", "version", "schema", "camelCase", "replace", "handle"];

/**
 * The handlers of a server. Handlers can be registered at any time.
 *
 * @example
 * const events = new EventRegistry();
 * events.register({
 *   name: "get:user:name",
 *   schema,
 *   handle: async (event, { userId }) => ({ name: await nameOf(userId) }),
 * });
 */
export class EventRegistry {
  readonly #handlers = new Map<string, Map<number, Registration>>();
  readonly #mappings: ExceptionMapping[] = [];
  readonly #checksNames: boolean;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  constructor(options: RegistryOptions = {}) {
    checkOptionNames("EventRegistry", options, ["checkNames"]);
    this.#checksNames = options.checkNames ?? true;
  }

  /**
   * Adds a handler. TypeScript infers the type of the payload from the schema.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, also for a second handler for one event without `replace`
   */
  register<P>(registration: Omit<Registration<P>, "schema"> & { schema: StandardSchema<P> }): this;
  // biome-ignore lint/suspicious/noExplicitAny: the function declares the type of its parameter
  register<R>(registration: Omit<Registration<PayloadOf<R>>, "schema"> & { schema: (payload: any) => R }): this;
  register(registration: Omit<Registration, "schema"> & { schema?: undefined }): this;
  register(given: object): this {
    checkOptionNames("register", given, OPTIONS);
    const registration = given as Registration;
    const { name, version = 1, schema, handle, replace = false } = registration;
    if (this.#checksNames) checkName(name);
    else if (typeof name !== "string") throw memberMustBe("name", "a string", name);
    checkVersion(version);
    if (schema !== undefined) checkSchema(schema);
    if (typeof handle !== "function") throw mustBe("handle", "a function (event, payload, context)", handle);
    const versions = this.#handlers.get(name) ?? new Map<number, Registration>();
    if (versions.has(version) && !replace)
      throw invalidArgument(
        `a handler for version ${version} of ${formatValue(name)} is already registered; set replace: true to replace it`,
      );
    this.#handlers.set(name, versions.set(version, registration));
    return this;
  }

  /**
   * Converts the errors of handlers that are not an `EventException`. The first mapping that matches an error is used, in
   * the order of the calls.
   *
   * @param type an error class, or a predicate
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  onException<E>(
    // biome-ignore lint/suspicious/noExplicitAny: classes with any constructor
    type: (abstract new (...args: any[]) => E) | ((error: unknown) => boolean),
    map: ExceptionHandler<E>,
  ): this {
    if (typeof type !== "function") throw mustBe("type", "an error class or a predicate", type);
    if (typeof map !== "function")
      throw mustBe("map", "a function that returns an EventException or a ResponseEvent", map);
    const isClass =
      (type as unknown) === Error ||
      type.prototype instanceof Error ||
      /^class\b/.test(Function.prototype.toString.call(type));
    this.#mappings.push({
      matches: isClass ? (error) => error instanceof type : (type as (error: unknown) => boolean),
      map,
    });
    return this;
  }

  /** Whether a handler is registered for an event. */
  has(name: string, version = 1): boolean {
    return this.find(name, version) !== undefined;
  }

  /** The handler of an event. @throws {EventNotFoundException} if none is registered */
  get(name: string, version = 1): Registration {
    const found = this.find(name, version);
    if (!found) throw new EventNotFoundException(`Event Name ${name} of version ${version} was not found`);
    return found;
  }

  /** All events with a handler, in the order in which their names were first registered. */
  get events(): {
    /** The name of the event. */
    name: string;
    /** The version of the event. */
    version: number;
  }[] {
    return [...this.#handlers].flatMap(([name, versions]) =>
      [...versions.keys()].map((version) => ({ name, version })),
    );
  }

  /** @internal */
  find(name: string, version: number): Registration | undefined {
    return this.#handlers.get(name)?.get(version);
  }

  /** The result of the first mapping that matches an error. @internal */
  async mapException(error: unknown, event: RequestEvent): Promise<EventException | ResponseEvent | undefined> {
    for (const { matches, map } of this.#mappings) if (matches(error)) return map(error, event);
    return undefined;
  }
}
