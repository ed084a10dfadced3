/// <reference lib="esnext.disposable" preserve="true" />
/** The client of BriteEvents: made once per process; its sessions are made once per request. */
import { FerryError } from "../../engine/errors.js";
import {
  type ClientOptions,
  DEFAULT_TIMEOUT_MS,
  checkClientOptions,
  checkedUrl,
  mergeHeaders,
} from "../../client/options.js";
import type { OutboxOptions } from "../../outbox/options.js";
import { Outbox } from "../../outbox/outbox.js";
import type { Encoded } from "../../outbox/wire.js";
import type { ActorType } from "./envelope.js";
import { EventSession, type Session, type SessionOptions, magicPrototype } from "./session.js";
import { type Topic, TopicTable } from "./topics.js";
import type { TopicSource } from "./types.js";
import { BcEventsWire } from "./wire.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** How a client works. */
export interface EventClientOptions<T extends TopicSource = TopicSource> extends ClientOptions {
  /**
   * Where the API is: an absolute http or https URL, to which `/events` and `/events/bulk/` are added. Without it, or with an empty text, the client
   * works in local mode: events are checked and count as delivered, and nothing is sent.
   */
  apiUrl?: string | URL | null | undefined;
  /** The name of this service, which is the actor of service sessions: five characters at least. */
  serviceName: string;
  /** The topics, as an object or as YAML text. Given as a constant, they give types to calls and data. */
  topics: T;
  /** The category of topics and calls that name none. @default `DefaultCategory` of the topics */
  defaultCategory?: string | undefined;
  /** How what was flushed is kept until it is delivered. */
  outbox?: OutboxOptions | undefined;
}

/** A URL that nothing is sent to. */
const LOCAL_URL = "http://localhost/";
/** Lots of 250 events stay whole up to events of 4 KiB. */
const BATCH_BYTES = 1024 * 1024;
const FIRST_REST_MS = 200;
/** Jobs whose events are under way at once; the events of one job always go one request after the other. */
const CONCURRENCY = 6;

/**
 * Publishes events to BriteEvents.
 *
 * @example
 * const client = new EventClient({ apiUrl: "https://events.example.com", serviceName: "orders", topics });
 * const session = client.userSession("user-4711", jobId);
 * session.createdOrder({ id: "7" });
 * await session.flush();
 */
export class EventClient<const T extends TopicSource = TopicSource> {
  readonly serviceName: string;
  /** Where single events go; `null` in local mode. */
  readonly publishUrl: string | null;
  /** Where lots go; `null` in local mode. */
  readonly publishBulkUrl: string | null;
  readonly #options: ClientOptions & { outbox?: OutboxOptions | undefined };
  readonly #topics: TopicTable;
  readonly #prototype: object;
  #outbox: Outbox<Encoded> | undefined;
  #isClosed = false;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the option, or everything that is wrong with the topics */
  constructor(options: EventClientOptions<T>) {
    checkClientOptions("an EventClient", options, ["apiUrl", "serviceName", "topics", "defaultCategory", "outbox"]);
    const { apiUrl, serviceName, topics, defaultCategory, outbox } = options;
    if (typeof serviceName !== "string" || serviceName === "")
      throw invalidArgument(`serviceName is a text, not ${formatValue(serviceName)}`);
    if (defaultCategory !== undefined && (typeof defaultCategory !== "string" || defaultCategory === ""))
      throw invalidArgument(`defaultCategory is a text, not ${formatValue(defaultCategory)}`);
    this.serviceName = serviceName;
    [this.publishUrl, this.publishBulkUrl] = urlsOf(apiUrl);
    this.#topics = new TopicTable(topics, defaultCategory);
    this.#prototype = magicPrototype(this.#topics);
    this.#options = { ...options };
    // What an earlier process has left goes out without being asked for.
    if (outbox !== undefined) this.#outbox = this.#makeOutbox();
  }

  /** The category of topics and calls that name none. */
  get defaultCategory(): string | undefined {
    return this.#topics.defaultCategory;
  }

  /** All topics. */
  get topics(): Topic[] {
    return [...this.#topics];
  }

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the nearest names if there is no such topic */
  getTopic(category: string, entity: string, action: string): Topic {
    for (const name of [category, entity, action])
      if (typeof name !== "string")
        throw invalidArgument(`getTopic takes category, entity and action, which are texts, not ${formatValue(name)}`);
    return this.#topics.get(category, { entity, action });
  }

  /**
   * Looks through all topics, for a test or for the start of a program. What this finds is otherwise found when somebody publishes.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` with every broken schema, every name that no event can have and every call that may mean two topics
   */
  checkTopics(): void {
    const problems = this.#topics.problems();
    if (problems.length > 0) throw invalidArgument(problems.join("; "));
  }

  /**
   * A session of a user.
   *
   * @param userId five characters at least
   * @param jobId joins what belongs together, such as the events of one request; a fresh UUID if there is none
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`
   */
  userSession(userId: string, jobId?: string | null, options: SessionOptions = {}): Session<T> {
    if (typeof userId !== "string") throw invalidArgument(`userId is a text, not ${formatValue(userId)}`);
    return this.#session(userId, "user", jobId, options);
  }

  /** A session of this service itself. */
  serviceSession(jobId?: string | null, options: SessionOptions = {}): Session<T> {
    return this.#session(this.serviceName, "service", jobId, options);
  }

  /** A session of this service as somebody else's. */
  thirdPartySession(jobId?: string | null, options: SessionOptions = {}): Session<T> {
    return this.#session(this.serviceName, "third-party", jobId, options);
  }

  /** Keeps what sessions have flushed until it is delivered. Made when it is first asked for, or with the client if that has the option `outbox`. */
  get outbox(): Outbox<Encoded> {
    if (!this.#outbox && this.#isClosed) throw new FerryError("ERR_CLOSED");
    return (this.#outbox ??= this.#makeOutbox());
  }

  /** Flushes the sessions, writes what is to be written, and stops. A store in memory keeps nothing, so `outbox.drain()` first. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#outbox?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #session(id: string, type: ActorType, jobId: string | null | undefined, options: SessionOptions): Session<T> {
    const client = this as unknown as EventClient<TopicSource>;
    const session = new EventSession<T>({
      client,
      topics: this.#topics,
      buffer: this.outbox.session(),
      actor: { id, type },
      jobId,
      options,
    });
    return Object.setPrototypeOf(session, this.#prototype) as Session<T>;
  }

  #makeOutbox(): Outbox<Encoded> {
    const { outbox: settings = {}, headers, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = this.#options;
    const isLocal = this.publishUrl === null;
    const url = new URL(this.publishUrl ?? LOCAL_URL);
    const outbox = new Outbox<Encoded>(isLocal ? { ...settings, store: "memory" } : settings, {
      wire: new BcEventsWire({ publish: url.href, publishBulk: this.publishBulkUrl ?? url.href }),
      name: isLocal ? "bc-events" : `bc-events ${url.origin}${url.pathname}`,
      // What is kept from a time with a server must not end here, so the store is another one too.
      fetch: isLocal ? nobody : this.#options.fetch,
      timeoutMs,
      headers: {
        ask: () => (typeof headers === "function" ? headers() : headers),
        lines: (given, own) => mergeHeaders([given], own),
      },
      config: { concurrency: CONCURRENCY, maxBatchBytes: BATCH_BYTES, maxAgeMs: 0, baseMs: FIRST_REST_MS },
    });
    const close = () => void outbox.close().catch(() => undefined);
    if (signal?.aborted) close();
    else signal?.addEventListener("abort", close, { once: true });
    return outbox;
  }
}

/** Local mode. */
async function nobody(): Promise<Response> {
  return new Response(null, { status: 204 });
}

function urlsOf(apiUrl: unknown): [string, string] | [null, null] {
  if (apiUrl === undefined || apiUrl === null || apiUrl === "") return [null, null];
  const url = new URL(checkedUrl(apiUrl, "apiUrl"));
  url.hash = "";
  const base = url.pathname.replace(/\/+$/, "");
  const at = (path: string) => {
    url.pathname = base + path;
    return url.href;
  };
  return [at("/events"), at("/events/bulk/")];
}
