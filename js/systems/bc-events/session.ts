/// <reference lib="esnext.disposable" preserve="true" />
/** Sessions: who has done something, for which job. Their events are staged until they are flushed or rolled back. */
import { FerryError } from "../../engine/errors.js";
import { checkOptionNames } from "../../client/options.js";
import type { FlushReport } from "../../outbox/report.js";
import type { EventReceipt, EventSession as BufferedSession, FlushOptions } from "../../outbox/session.js";
import type { Encoded } from "../../outbox/wire.js";
import { freshId } from "../../platform/uuid.js";
import type { EventClient } from "./client.js";
import { snapshot } from "./data.js";
import { type ActorType, type BcEvent, type Problem, actorProblem, dataProblem, nameProblem } from "./envelope.js";
import { isMagic } from "./names.js";
import { Topic, type TopicTable } from "./topics.js";
import type { IsConstant, MagicCalls, PublishOf, TopicSource } from "./types.js";
import { EncodedEvent } from "./wire.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** Options of one session. */
export interface SessionOptions {
  /** Hands each event to the outbox when it is published: there is nothing to flush and nothing to roll back. @default false */
  publishImmediately?: boolean | undefined;
}

/** A session with the calls of its topics: typed ones where the topics are a constant, any where they are not. */
export type Session<T extends TopicSource = TopicSource> =
  IsConstant<T> extends true ? EventSession<T> & MagicCalls<T> : UntypedSession<T>;

/** A session of topics that TypeScript does not know. */
export interface UntypedSession<T extends TopicSource = TopicSource> extends EventSession<T> {
  // With anything else the methods would not fit.
  readonly [magic: string]: any;
}

/** What a session needs to know. */
interface Particulars {
  client: EventClient<TopicSource>;
  topics: TopicTable;
  buffer: BufferedSession<Encoded>;
  actor: { id: string; type: ActorType };
  jobId: string | null | undefined;
  options: SessionOptions;
}

/** How many broken rules a message names. */
const MOST_PROBLEMS = 3;

/**
 * Publishes events of one actor for one job. Besides its methods it has a call for each topic of the default category, in four spellings:
 * `session.createdPolicyHolder(data)`, `policyHolderCreated`, `created_policy_holder`, `policy_holder_created`.
 */
export class EventSession<T extends TopicSource = TopicSource> {
  readonly #particulars: Particulars;
  #jobId: string | undefined;

  /** @internal */
  constructor(particulars: Particulars) {
    const { jobId, options } = particulars;
    this.#particulars = particulars;
    checkOptionNames("a session", options, ["publishImmediately"]);
    if (options.publishImmediately !== undefined && typeof options.publishImmediately !== "boolean")
      throw invalidArgument(`publishImmediately is true or false, not ${formatValue(options.publishImmediately)}`);
    this.#jobId = checkedJobId(jobId);
  }

  /** The client it belongs to. */
  get client(): EventClient<T> {
    return this.#particulars.client as unknown as EventClient<T>;
  }

  /** Who acts: the id of a user, or the name of a service. */
  get actorId(): string {
    return this.#particulars.actor.id;
  }

  get actorType(): ActorType {
    return this.#particulars.actor.type;
  }

  /** The job of every event, on the wire the header `x-britecore-job-id`. A fresh UUID if none was given. */
  get jobId(): string {
    return (this.#jobId ??= freshId());
  }

  get publishImmediately(): boolean {
    return this.#particulars.options.publishImmediately ?? false;
  }

  /** How many events are staged. */
  get staged(): number {
    return this.#particulars.buffer.staged;
  }

  /**
   * Stages an event: its topic, envelope and data are checked and it is turned into bytes at once, so later changes to the data have no effect.
   *
   * @param event `action` and `entity`, as in the topic; `data`, an object; `category`, if it is not the default one
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an unknown topic, with the nearest, and for what JSON cannot express; `ERR_INVALID_DATA` for data
   * that break their schema, with the topic, the path and the rule in the message and the path as `attribute`; `ERR_QUEUE_FULL`, `ERR_CLOSED`
   */
  publish(event: PublishOf<T>): EventReceipt {
    if (arguments.length !== 1 || typeof event !== "object" || event === null || Array.isArray(event))
      throw invalidArgument(
        "publish takes one object with action, entity, data, and category if it is not the default one",
      );
    checkOptionNames("publish", event, ["action", "entity", "data", "category"]);
    const { action, entity, data, category } = event as {
      action?: unknown;
      entity?: unknown;
      data?: unknown;
      category?: unknown;
    };
    const { topics } = this.#particulars;
    for (const [name, value] of [
      ["action", action],
      ["entity", entity],
    ] as const) {
      if (typeof value !== "string" || value === "")
        throw invalidArgument(
          `publish needs ${name}, a text such as ${name === "action" ? "Created" : "PolicyHolder"}, not ${formatValue(value)}`,
        );
    }
    if (category !== undefined && category !== null && typeof category !== "string")
      throw invalidArgument(`category is a text, not ${formatValue(category)}`);
    const its = category || topics.defaultCategory;
    if (its === undefined) throw invalidArgument("publish needs category, because there is no default one");
    return this.#publish(topics.get(its, { action: action as string, entity: entity as string }), data);
  }

  /**
   * Hands what is staged over to the outbox, all or nothing, and waits until it is stored, or with `{ until: "delivered" }` until the server has it.
   * Up to five events go one by one, more in lots of 250.
   */
  async flush(options?: FlushOptions): Promise<FlushReport> {
    return this.#particulars.buffer.flush(options);
  }

  /** Drops what is staged and gives the ids, the oldest first. What was flushed stays. */
  rollback(): string[] {
    return this.#particulars.buffer.rollback();
  }

  /** Flushes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }

  /** The call behind a magic name. @internal */
  static call(session: EventSession, topic: Topic, name: string): (...given: unknown[]) => EventReceipt {
    return (...given) => {
      if (given.length !== 1)
        throw invalidArgument(
          `${name} takes the data of one event and nothing else; it was given ${given.length} arguments`,
        );
      return session.#publish(topic, given[0]);
    };
  }

  #publish(topic: Topic, data: unknown): EventReceipt {
    const { buffer, actor } = this.#particulars;
    const { action, category, entity } = topic;
    const { text, seen } = snapshot(topic.name, data);
    const problem = nameProblem({ action, category, entity }) ?? dataProblem(seen) ?? actorProblem(actor);
    if (problem) throw refused(topic, [problem]);
    const problems = topic.problems(seen);
    if (problems.length > 0) throw refused(topic, problems);
    const envelope = JSON.stringify({ action, category, entity, data: 0, actor } satisfies Record<
      keyof BcEvent,
      unknown
    >);
    // Everything before the data is words of letters, so the place is the first.
    const event = envelope.replace('"data":0', () => `"data":${text}`);
    const receipt = buffer.publish(new EncodedEvent(freshId(), this.jobId, event));
    if (this.publishImmediately) buffer.commit();
    return receipt;
  }
}

/**
 * What the sessions of a client inherit from: the methods, and behind every other name the call of a topic. Symbols have nothing behind them, nor
 * has `then`, so that a session can be awaited, nor names that a runtime may look for.
 */
export function magicPrototype(topics: TopicTable): object {
  return new Proxy(Object.create(EventSession.prototype) as object, {
    has: (target, name) =>
      Reflect.has(target, name) || (typeof name === "string" && topics.resolve(name) instanceof Topic),
    get(target, name, session: EventSession) {
      if (typeof name === "symbol" || Reflect.has(target, name)) return Reflect.get(target, name, session);
      const found = topics.resolve(name);
      if (found instanceof Topic) return EventSession.call(session, found, name);
      if (!isMagic(name)) return undefined;
      return () => {
        throw invalidArgument(topics.unresolved(name, found ?? []));
      };
    },
  });
}

function refused(topic: Topic, problems: readonly Problem[]): FerryError {
  const [{ path }] = problems as [Problem];
  const sentences = problems
    .slice(0, MOST_PROBLEMS)
    .map(({ path, rule, says }) => `${path} breaks the rule ${rule}: it ${says}`);
  const message = `${topic.name}: ${sentences.join("; ")}${problems.length > sentences.length ? "; and more" : ""}`;
  return new FerryError("ERR_INVALID_DATA", message, { attribute: path, culprit: "caller" });
}

/** Job ids travel in a header. */
function checkedJobId(jobId: unknown): string | undefined {
  if (jobId === undefined || jobId === null) return undefined;
  if (typeof jobId !== "string" || !/^[!-~](?:[ -~]*[!-~])?$/.test(jobId))
    throw invalidArgument(
      `jobId is a text of ASCII characters without spaces around it, because it travels in a header, not ${formatValue(jobId)}`,
    );
  return jobId;
}
