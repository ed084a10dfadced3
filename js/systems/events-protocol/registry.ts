/** Which handler takes which event. */
import { FerryError } from "../../engine/errors.js";
import { checkOptionNames } from "../../client/options.js";
import type { RequestEvent, ResponseEvent } from "./event.js";
import { type EventException, EventNotFoundException } from "./exceptions.js";
import { checkName, checkVersion } from "./names.js";
import { type EventSchema, type PayloadOf, type StandardSchema, checkSchema } from "./schema.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** What a handler knows beside the event. Given to `sendEvent` as `parent`, it makes the event one of the same flow. */
export interface HandlerContext {
  /** Aborts when the time of the handler is over or nobody waits for the answer any more. Hand it on to `fetch`. */
  readonly signal: AbortSignal;
  readonly id: string;
  readonly flowId: string;
  readonly eventName: string;
  readonly eventVersion: number;
  /** See `RequestEvent.userId`. */
  readonly userId: string | undefined;
  readonly userType: string | undefined;
  /** The request that brought the event, if it came over `fetch`. Its body has been read. */
  readonly request: Request | undefined;
  /** What the runtime gave to `fetch` behind the request: the bindings of a Worker. */
  readonly env: any;
  /** What the runtime gave to `fetch` behind that: the context of a Worker, with `waitUntil`. */
  readonly ctx: any;
}

/** One handler, for payloads of this type. */
export interface Registration<P = any> {
  /** Which event, such as `get:user:name`. */
  name: string;
  /** @default 1 */
  version?: number;
  /** What the payload has to look like. What does not fit is answered with `badRequest`, `MISSING_FIELDS`. @default everything fits */
  schema?: EventSchema<P>;
  /** Turns the names of all members of the payload into camel case before the schema sees it, as Python servers do. @default false */
  camelCase?: boolean;
  /** Takes the place of the handler that is there. @default false: two for one event are a mistake */
  replace?: boolean;
  /**
   * Gives back the payload of the answer, any JSON; nothing is `{}`. Or a whole answer of `EventBuilder`.
   * An `EventException` that it throws is answered as what it says; everything else that it throws is answered with `error`, `UNHANDLED_ERROR`.
   */
  handle(event: RequestEvent, payload: P, context: HandlerContext): unknown;
}

/** Makes an answer, or an exception that says it, of what a handler has thrown. */
export type ExceptionHandler<E = any> = (
  error: E,
  event: RequestEvent,
) => EventException | ResponseEvent | Promise<EventException | ResponseEvent>;

/** How a registry works. */
export interface RegistryOptions {
  /** Whether names have to be words of a-z and _ with colons between them. @default true */
  checkNames?: boolean;
}

interface Mapping {
  fits: (error: unknown) => boolean;
  map: ExceptionHandler;
}

const OPTIONS = ["name", "version", "schema", "camelCase", "replace", "handle"];

/**
 * The handlers of a server. A handler may be registered at any time; from then on it takes its events.
 *
 * @example
 * const events = new EventRegistry();
 * events.register({ name: "get:user:name", version: 1, schema, handle: async (event, { userId }) => ({ name: await nameOf(userId) }) });
 */
export class EventRegistry {
  readonly #handlers = new Map<string, Map<number, Registration>>();
  readonly #mappings: Mapping[] = [];
  readonly #checksNames: boolean;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  constructor(options: RegistryOptions = {}) {
    checkOptionNames("EventRegistry", options, ["checkNames"]);
    this.#checksNames = options.checkNames ?? true;
  }

  /**
   * Adds a handler. TypeScript knows its payload by its schema.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, also for a second handler for one event, unless it says `replace`
   */
  register<P>(registration: Omit<Registration<P>, "schema"> & { schema: StandardSchema<P> }): this;
  register<R>(registration: Omit<Registration<PayloadOf<R>>, "schema"> & { schema: (payload: any) => R }): this;
  register(registration: Omit<Registration, "schema"> & { schema?: undefined }): this;
  register(given: object): this {
    checkOptionNames("register", given, OPTIONS);
    const registration = given as Registration;
    const { name, version = 1, schema, handle, replace = false } = registration;
    if (this.#checksNames) checkName(name);
    else if (typeof name !== "string")
      throw new FerryError("ERR_INVALID_ARGUMENT", `the name of an event is text, not ${formatValue(name)}`, {
        attribute: "name",
      });
    checkVersion(version);
    if (schema !== undefined) checkSchema(schema);
    if (typeof handle !== "function")
      throw invalidArgument(
        `handle is a function that takes the event, its payload and a context, and not ${formatValue(handle)}`,
      );
    const versions = this.#handlers.get(name) ?? new Map<number, Registration>();
    if (versions.has(version) && !replace)
      throw invalidArgument(
        `there is a handler for version ${version} of ${formatValue(name)} already; replace: true puts this one in its place`,
      );
    this.#handlers.set(name, versions.set(version, registration));
    return this;
  }

  /**
   * What is to be answered when a handler throws an error that is no `EventException`. Those that were given first are asked first.
   *
   * @param type a class of errors, or a function that says whether it is about this error
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  onException<E>(
    type: (abstract new (...args: any[]) => E) | ((error: unknown) => boolean),
    map: ExceptionHandler<E>,
  ): this {
    if (typeof type !== "function" || typeof map !== "function")
      throw invalidArgument(
        "onException takes a class of errors or a function that picks them, and a function that makes an EventException or an answer of one",
      );
    const isClass =
      (type as unknown) === Error ||
      type.prototype instanceof Error ||
      /^class\b/.test(Function.prototype.toString.call(type));
    this.#mappings.push({
      fits: isClass ? (error) => error instanceof type : (type as (error: unknown) => boolean),
      map,
    });
    return this;
  }

  /** Whether an event has a handler. */
  has(name: string, version = 1): boolean {
    return this.find(name, version) !== undefined;
  }

  /** The handler of an event. @throws {EventNotFoundException} if there is none */
  get(name: string, version = 1): Registration {
    const found = this.find(name, version);
    if (!found) throw new EventNotFoundException(`Event Name ${name} of version ${version} was not found`);
    return found;
  }

  /** All events that have a handler, in the order in which their names came. */
  get events(): { name: string; version: number }[] {
    return [...this.#handlers].flatMap(([name, versions]) =>
      [...versions.keys()].map((version) => ({ name, version })),
    );
  }

  /** @internal */
  find(name: string, version: number): Registration | undefined {
    return this.#handlers.get(name)?.get(version);
  }

  /** @internal What is to be answered for an error, if somebody has said it. */
  async mapped(error: unknown, event: RequestEvent): Promise<EventException | ResponseEvent | undefined> {
    for (const { fits, map } of this.#mappings) if (fits(error)) return map(error, event);
    return undefined;
  }
}
