/// <reference lib="esnext.disposable" preserve="true" />
/** Sessions: one actor and one job. Events are staged until they are flushed or rolled back. */
import { checkOptionNames } from "../../client/options.js";
import { FerryError } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import type { Outbox } from "../../outbox/outbox.js";
import type { FlushReport } from "../../outbox/report.js";
import type { EventSession as OutboxSession, EventReceipt, FlushOptions } from "../../outbox/session.js";
import type { Encoded } from "../../outbox/wire.js";
import { freshId } from "../../platform/uuid.js";
import {
  type ActorType,
  type BriteEvent,
  type Problem,
  actorProblem,
  dataProblem,
  formatProblem,
  nameProblem,
} from "./envelope.js";
import { serializeData } from "./serialize.js";
import type { Topic, TopicTable } from "./topics.js";
import type { IsConstant, MagicCalls, PublishOf, TopicSource } from "./types.js";
import { EncodedEvent, eventTextOf } from "./wire.js";

/** Options of one session. */
export interface SessionOptions {
  /**
   * Passes each event to the outbox when it is published, so there is nothing to flush and nothing to roll back.
   *
   * @default false
   */
  publishImmediately?: boolean | undefined;
}

/** A session with its magic calls: typed if the topics are a constant, otherwise any name. */
export type SessionWithCalls<T extends TopicSource = TopicSource> =
  IsConstant<T> extends true ? BriteEventsSession<T> & MagicCalls<T> : UntypedSession<T>;

/** A session whose topics TypeScript does not know. */
export interface UntypedSession<T extends TopicSource = TopicSource> extends BriteEventsSession<T> {
  // biome-ignore lint/suspicious/noExplicitAny: with any other type the methods above would not fit
  readonly [magic: string]: any;
}

/** The client of a session: the public members of `BriteEventsClient`. */
export interface SessionClient<T extends TopicSource = TopicSource> {
  /** The actor of service and third-party sessions. */
  readonly serviceName: string;
  /** Where single events are sent; `null` in local mode. */
  readonly publishUrl: string | null;
  /** Where batches are sent; `null` in local mode. */
  readonly publishBulkUrl: string | null;
  /** The category of calls such as `createdOrder`. */
  readonly defaultCategory: string | undefined;
  /** All topics. */
  readonly topics: Topic[];
  /** The outbox behind all sessions. */
  readonly outbox: Outbox<Encoded>;
  /** The topic of these names. @throws {FerryError} `ERR_INVALID_ARGUMENT` if there is none */
  getTopic(category: string, entity: string, action: string): Topic;
  /** Checks the schema of each topic. @throws {FerryError} `ERR_INVALID_ARGUMENT` with all problems */
  checkTopics(): void;
  /** A session whose actor is a user. */
  userSession(userId: string, jobId?: string | null, options?: SessionOptions): SessionWithCalls<T>;
  /** A session whose actor is this service. */
  serviceSession(jobId?: string | null, options?: SessionOptions): SessionWithCalls<T>;
  /** A session whose actor is a third party. */
  thirdPartySession(jobId?: string | null, options?: SessionOptions): SessionWithCalls<T>;
  /** Flushes and stops the outbox. */
  close(): Promise<void>;
}

interface SessionInit {
  client: SessionClient<never>;
  topics: TopicTable;
  buffer: OutboxSession<Encoded>;
  actor: { id: string; type: ActorType };
  jobId: string | null | undefined;
  options: SessionOptions;
}

/** How many broken rules a message names. */
const MAX_REPORTED_PROBLEMS = 3;

/**
 * Publishes events of one actor for one job. In addition to its methods it has a call for each topic of the default
 * category, in four spellings: `session.createdPolicyHolder(data)`, `policyHolderCreated`, `created_policy_holder`,
 * `policy_holder_created`.
 */
export class BriteEventsSession<T extends TopicSource = TopicSource> {
  readonly #init: SessionInit;
  #jobId: string | undefined;

  /** @internal */
  constructor(init: SessionInit) {
    const { jobId, options } = init;
    this.#init = init;
    checkOptionNames("a session", options, ["publishImmediately"]);
    if (options.publishImmediately !== undefined && typeof options.publishImmediately !== "boolean")
      throw mustBe("publishImmediately", "true or false", options.publishImmediately);
    this.#jobId = validateJobId(jobId);
  }

  /** The client that made this session. */
  get client(): SessionClient<T> {
    return this.#init.client as unknown as SessionClient<T>;
  }

  /** The id of the user, or the name of the service. */
  get actorId(): string {
    return this.#init.actor.id;
  }

  /** The kind of actor. */
  get actorType(): ActorType {
    return this.#init.actor.type;
  }

  /** The job of every event, sent in the header `x-britecore-job-id`. @default a fresh UUID */
  get jobId(): string {
    this.#jobId ??= freshId();
    return this.#jobId;
  }

  /** Whether events go to the outbox when they are published. */
  get publishImmediately(): boolean {
    return this.#init.options.publishImmediately ?? false;
  }

  /** How many events are staged. */
  get staged(): number {
    return this.#init.buffer.staged;
  }

  /** The staged events as they will be sent, oldest first: a copy of the queue. */
  get events(): BriteEvent[] {
    return this.#init.buffer.stagedTexts().map((text) => JSON.parse(eventTextOf(text)) as BriteEvent);
  }

  /**
   * Stages an event. Its topic, envelope and data are checked and serialized now, so later changes to the data have no
   * effect.
   *
   * @param event `action` and `entity` of the topic; `data`, an object; `category`, if it is not the default one
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an unknown topic, with the nearest names, and for data that JSON
   * cannot express; `ERR_INVALID_DATA` for data that breaks its schema, with topic, path and rule in the message and the
   * path as `attribute`; `ERR_QUEUE_FULL`, `ERR_CLOSED`
   */
  publish(event: PublishOf<T>): EventReceipt {
    // biome-ignore lint/complexity/noArguments: a rest parameter would change the declared signature
    const isSingle = arguments.length === 1 && typeof event === "object" && event !== null && !Array.isArray(event);
    if (!isSingle) throw invalidArgument("publish takes one object: { action, entity, data, category? }");
    return this.#stage([this.#parse(event)])[0]!;
  }

  /**
   * Stages several events, after all of them were checked: if one is invalid, none is staged. With `publishImmediately`
   * they share requests, as in a flush.
   *
   * @throws {FerryError} as `publish`; `ERR_INVALID_ARGUMENT` if `events` is not iterable; after `ERR_QUEUE_FULL` those
   * that fitted are staged
   */
  publishBulk(events: Iterable<PublishOf<T>>): EventReceipt[] {
    if (typeof (events as Iterable<unknown> | null)?.[Symbol.iterator] !== "function" || typeof events === "string")
      throw mustBe("events", "an array of { action, entity, data, category? }", events);
    return this.#stage(Array.from(events, (event) => this.#parse(event)));
  }

  #parse(event: unknown): EncodedEvent {
    checkOptionNames("publish", event as object, ["action", "entity", "data", "category"]);
    const { action, entity, data, category } = event as Record<string, unknown>;
    const { topics } = this.#init;
    for (const [name, value, example] of [
      ["action", action, "Created"],
      ["entity", entity, "PolicyHolder"],
    ] as const) {
      if (typeof value !== "string" || value === "") throw mustBe(name, `a non-empty string such as ${example}`, value);
    }
    if (category !== undefined && category !== null && typeof category !== "string")
      throw mustBe("category", "a string", category);
    const topicCategory = category || topics.defaultCategory;
    if (topicCategory === undefined)
      throw invalidArgument("publish needs category, because there is no default category");
    return this.#encode(topics.get(topicCategory, { action: action as string, entity: entity as string }), data);
  }

  /**
   * Passes the staged events to the outbox, all or none, and waits until they are stored, or with
   * `{ until: "delivered" }` until the server has accepted them. Up to five events are sent one by one, more in batches
   * of 250.
   */
  flush(options?: FlushOptions): Promise<FlushReport> {
    return this.#init.buffer.flush(options);
  }

  /** Drops the staged events and returns their ids, oldest first. Flushed events are not affected. */
  rollback(): string[] {
    return this.#init.buffer.rollback();
  }

  /** Flushes the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }

  /** The function of a magic call. @internal */
  static callFor(session: BriteEventsSession, topic: Topic, name: string): (...args: unknown[]) => EventReceipt {
    return (...args) => {
      if (args.length !== 1)
        throw invalidArgument(`${name} takes one argument, the data of the event; received ${args.length} arguments`);
      return session.#stage([session.#encode(topic, args[0])])[0]!;
    };
  }

  #encode(topic: Topic, data: unknown): EncodedEvent {
    const { actor } = this.#init;
    const { action, category, entity } = topic;
    const { json, parsed } = serializeData(topic.name, data);
    const problem = nameProblem({ action, category, entity }) ?? dataProblem(parsed) ?? actorProblem(actor);
    if (problem) throw invalidData(topic, [problem]);
    const problems = topic.dataProblems(parsed);
    if (problems.length > 0) throw invalidData(topic, problems);
    const envelope = JSON.stringify({ action, category, entity, data: 0, actor } satisfies Record<
      keyof BriteEvent,
      unknown
    >);
    // Action, category and entity consist of letters, so the first match is the member.
    const event = envelope.replace('"data":0', () => `"data":${json}`);
    return new EncodedEvent(freshId(), this.jobId, event);
  }

  #stage(events: readonly EncodedEvent[]): EventReceipt[] {
    const { buffer } = this.#init;
    const receipts = events.map((event) => buffer.publish(event));
    if (this.publishImmediately) buffer.commit();
    return receipts;
  }
}

function invalidData(topic: Topic, problems: readonly Problem[]): FerryError {
  const [{ path }] = problems as [Problem];
  const reported = problems.slice(0, MAX_REPORTED_PROBLEMS).map(formatProblem);
  const message = `${topic.name}: ${reported.join("; ")}${problems.length > reported.length ? "; and more" : ""}`;
  return new FerryError("ERR_INVALID_DATA", message, { attribute: path, culprit: "caller" });
}

function validateJobId(jobId: unknown): string | undefined {
  if (jobId === undefined || jobId === null) return undefined;
  if (typeof jobId !== "string" || !/^[!-~](?:[ -~]*[!-~])?$/.test(jobId))
    throw mustBe(
      "jobId",
      "a string of printable ASCII characters without surrounding spaces",
      jobId,
      "it is sent in a header",
    );
  return jobId;
}
