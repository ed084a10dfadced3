/// <reference lib="esnext.disposable" preserve="true" />
/** The client of BriteEvents. An application has one client, and makes a session for each request it handles. */
import {
  type ClientOptions,
  DEFAULT_TIMEOUT_MS,
  checkClientOptions,
  checkedUrl,
  mergeHeaders,
} from "../../client/options.js";
import { type Classify, checkClassify } from "../../client/classify.js";
import { FerryError } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import type { OutboxOptions } from "../../outbox/options.js";
import { Outbox } from "../../outbox/outbox.js";
import type { Encoded } from "../../outbox/wire.js";
import { dynamicMethods } from "./dynamic-methods.js";
import type { ActorType } from "./envelope.js";
import { BriteEventsSession, type SessionClient, type SessionOptions, type SessionWithCalls } from "./session.js";
import { type Topic, TopicTable } from "./topics.js";
import type { TopicSource } from "./types.js";
import { type BriteEventsLogEntry, BriteEventsWire } from "./wire.js";

/** Options of a `BriteEventsClient`. */
export interface BriteEventsClientOptions<T extends TopicSource = TopicSource> extends ClientOptions {
  /**
   * The URL of the API, absolute, http or https; `/events` and `/events/bulk/` are appended. Without it, or with an
   * empty string, the client works in local mode: events are checked and count as delivered, and nothing is sent.
   *
   * @default local mode
   */
  apiUrl?: string | URL | null | undefined;
  /** The name of this service, and the actor of its service sessions: at least five characters. */
  serviceName: string;
  /** The topics, as an object or as YAML text. If they are a constant, calls and data are typed. */
  topics: T;
  /** The category of topics and calls that name none. @default `DefaultCategory` of the topics */
  defaultCategory?: string | undefined;
  /**
   * What a response means, where its status does not tell: for all events of a request, or for each; `undefined` for
   * what the status says. `expectJsonOrEmpty` is ready to use. @default the status
   */
  classify?: Classify | undefined;
  /**
   * Called before each request, with what the original logs. For the fate of events see the events of `outbox`.
   *
   * @default none
   */
  log?: ((entry: BriteEventsLogEntry) => void) | undefined;
  /** How flushed events are stored until they are delivered. @default a store that fits the runtime */
  outbox?: OutboxOptions | undefined;
}

/** The outbox needs a URL; in local mode no request reaches it. */
const LOCAL_MODE_URL = "http://localhost/";
/** Fits 250 events of 4 KiB. */
const MAX_BATCH_BYTES = 1024 * 1024;
const RETRY_BASE_MS = 200;
/** How many jobs are sent at the same time. The events of one job are always sent one request after the other. */
const MAX_CONCURRENT_REQUESTS = 6;

/**
 * Publishes events to BriteEvents.
 *
 * @example
 * const client = new BriteEventsClient({ apiUrl: "https://events.example.com", serviceName: "orders", topics });
 * const session = client.userSession("user-4711", jobId);
 * session.createdOrder({ id: "7" });
 * await session.flush();
 */
export class BriteEventsClient<const T extends TopicSource = TopicSource> implements SessionClient<T> {
  /** The actor of service and third-party sessions. */
  readonly serviceName: string;
  /** The URL for single events; `null` in local mode. */
  readonly publishUrl: string | null;
  /** The URL for batches; `null` in local mode. */
  readonly publishBulkUrl: string | null;
  readonly #options: Omit<BriteEventsClientOptions, "topics">;
  readonly #topics: TopicTable;
  readonly #sessionPrototype: object;
  #outbox: Outbox<Encoded> | undefined;
  #isClosed = false;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the option, or with every mistake in the topics */
  constructor(options: BriteEventsClientOptions<T>) {
    checkClientOptions("BriteEventsClient", options, [
      "apiUrl",
      "serviceName",
      "topics",
      "defaultCategory",
      "outbox",
      "classify",
      "log",
    ]);
    checkClassify(options.classify);
    if (options.log !== undefined && typeof options.log !== "function") throw mustBe("log", "a function", options.log);
    const { apiUrl, serviceName, topics, defaultCategory, outbox } = options;
    if (typeof serviceName !== "string" || serviceName === "")
      throw mustBe("serviceName", "a non-empty string", serviceName);
    if (defaultCategory !== undefined && (typeof defaultCategory !== "string" || defaultCategory === ""))
      throw mustBe("defaultCategory", "a non-empty string", defaultCategory);
    this.serviceName = serviceName;
    [this.publishUrl, this.publishBulkUrl] = endpointsOf(apiUrl);
    this.#topics = new TopicTable(topics, defaultCategory);
    this.#sessionPrototype = dynamicMethods(this.#topics);
    this.#options = { ...options };
    // Events that an earlier process stored are sent without waiting for the first session.
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
    for (const [name, value] of Object.entries({ category, entity, action }))
      if (typeof value !== "string") throw mustBe(name, "a string", value);
    return this.#topics.get(category, { entity, action });
  }

  /**
   * Checks all topics, for tests and the start of an application. Without it, each mistake shows when an event of the
   * topic is published.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` with every unusable schema, every name that the envelope does not allow
   * and every ambiguous call
   */
  checkTopics(): void {
    const problems = this.#topics.problems();
    if (problems.length > 0) throw invalidArgument(problems.join("; "));
  }

  /**
   * A session of a user.
   *
   * @param userId at least five characters
   * @param jobId groups related events, such as those of one request. @default a fresh UUID
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`
   */
  userSession(userId: string, jobId?: string | null, options: SessionOptions = {}): SessionWithCalls<T> {
    if (typeof userId !== "string") throw mustBe("userId", "a string", userId);
    return this.#session(userId, "user", jobId, options);
  }

  /** A session of this service. @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED` */
  serviceSession(jobId?: string | null, options: SessionOptions = {}): SessionWithCalls<T> {
    return this.#session(this.serviceName, "service", jobId, options);
  }

  /** A session of this service as a third party. @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED` */
  thirdPartySession(jobId?: string | null, options: SessionOptions = {}): SessionWithCalls<T> {
    return this.#session(this.serviceName, "third-party", jobId, options);
  }

  /**
   * Stores flushed events until they are delivered. Created with the client if that has the option `outbox`, otherwise on
   * first use.
   *
   * @throws {FerryError} `ERR_CLOSED`
   */
  get outbox(): Outbox<Encoded> {
    if (!this.#outbox && this.#isClosed) throw new FerryError("ERR_CLOSED");
    this.#outbox ??= this.#makeOutbox();
    return this.#outbox;
  }

  /** Flushes the sessions, finishes writing to the store, and stops. A store in memory is lost: `outbox.drain()` first. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#outbox?.close();
  }

  /** Closes the client, as `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #session(
    id: string,
    type: ActorType,
    jobId: string | null | undefined,
    options: SessionOptions,
  ): SessionWithCalls<T> {
    const session = new BriteEventsSession<T>({
      client: this,
      topics: this.#topics,
      buffer: this.outbox.session(),
      actor: { id, type },
      jobId,
      options,
    });
    return Object.setPrototypeOf(session, this.#sessionPrototype) as SessionWithCalls<T>;
  }

  #makeOutbox(): Outbox<Encoded> {
    const { outbox: settings = {}, headers, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = this.#options;
    const isLocal = this.publishUrl === null;
    const url = new URL(this.publishUrl ?? LOCAL_MODE_URL);
    // Local mode has a store of its own: events that are stored for a server must not count as delivered here.
    const outbox = new Outbox<Encoded>(isLocal ? { ...settings, store: "memory" } : settings, {
      wire: new BriteEventsWire({ publish: url.href, publishBulk: this.publishBulkUrl ?? url.href }, this.#options.log),
      system: "bc-events",
      url: url.href,
      identity: { text: this.serviceName },
      classify: this.#options.classify,
      fetch: isLocal ? acceptLocally : this.#options.fetch,
      timeoutMs,
      headers: {
        resolve: () => (typeof headers === "function" ? headers() : headers),
        lines: (given, own) => mergeHeaders([given], own),
      },
      config: {
        concurrency: MAX_CONCURRENT_REQUESTS,
        "batch.maxBytes": MAX_BATCH_BYTES,
        "batch.maxAgeMs": 0,
        "retry.baseMs": RETRY_BASE_MS,
      },
    });
    outbox.closeOnAbort(signal);
    return outbox;
  }
}

/** The server of local mode: accepts every request. */
async function acceptLocally(): Promise<Response> {
  return new Response(null, { status: 204 });
}

/** The URLs for single events and for batches. */
function endpointsOf(apiUrl: unknown): [string, string] | [null, null] {
  if (apiUrl === undefined || apiUrl === null || apiUrl === "") return [null, null];
  const url = new URL(checkedUrl(apiUrl, "apiUrl"));
  url.hash = "";
  const base = url.pathname.replace(/\/+$/, "");
  const withPath = (path: string) => {
    url.pathname = base + path;
    return url.href;
  };
  return [withPath("/events"), withPath("/events/bulk/")];
}
