/** A pipeline of the emulated GlassFlow service: its queues, its transformation, and what it records for assertions. */
import { mustBe } from "../../engine/messages.js";
import { monotonicNow, unixNow } from "../../platform/clock.js";
import { integer } from "../service.js";
import { defaultSettings, type EmulatedPipelineSettings } from "./settings.js";

/**
 * Transforms an event. The return value goes to the output; an exception makes a failed event. `log` adds a message to
 * `logs`.
 */
export type Transformation = (data: never, log: (message: unknown) => void) => unknown;

/** Options of a pipeline. */
export interface EmulatedPipelineOptions {
  /** Id of the pipeline. @default a fresh UUID */
  id?: string;
  /** The valid access tokens. @default one fresh UUID */
  accessTokens?: readonly string[];
  /** The transformation, which may be async. @default returns the event unchanged */
  transform?: Transformation;
  /** Limit of requests to all endpoints in each period of `perMs`; more get 429 with `Retry-After`. @default no limit */
  rateLimit?: {
    /** Requests in each period. */
    requests: number;
    /** The period, in milliseconds. */
    perMs: number;
  };
  /** Limit of events in all queues together; more get 503. @default 100 000 */
  maxEvents?: number;
  /** Limit of the bytes of these events. @default 256 MiB */
  maxBytes?: number;
  /** How many of the last events and messages `published` and `logs` contain. @default 1 000 */
  maxKept?: number;
  /** What the management API knows of the pipeline. */
  settings?: Partial<EmulatedPipelineSettings>;
}

/** An event as it was published. */
export interface PublishedEvent {
  /** The `request_id` of the consumed event. */
  readonly requestId: string;
  /** When it was received. */
  readonly receivedAt: Date;
  /** The JSON text as received. */
  readonly text: string;
  /** The parsed text, a fresh value each time. */
  readonly payload: unknown;
  /** Headers of the request without the token, with names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** An entry of the log that the management API returns. */
export interface EmulatedLogEntry {
  /** Unix time in milliseconds. */
  readonly at: number;
  /** Whether the transformation has failed. */
  readonly isError: boolean;
  /** What was logged, or the error. */
  readonly message: unknown;
}

const MIB = 1024 * 1024;

const identity: Transformation = (data) => data;
/** The result of `identity`, which needs no parsing. */
const UNCHANGED = Symbol("unchanged");

/** One pipeline, with a record of its requests for assertions. */
export class EmulatedPipeline {
  /** The id of the pipeline. */
  readonly id: string;
  /** The valid access tokens. */
  readonly accessTokens: string[];
  /** The transformation of further events; it may be replaced at any time. */
  transform: Transformation;
  /** What the management API knows of the pipeline. */
  readonly settings: EmulatedPipelineSettings;
  /** When the pipeline was created, in RFC 3339. */
  readonly createdAt: string = new Date(unixNow()).toISOString();
  /** The clock of the rate limit, in milliseconds; tests may replace it. */
  now: () => number = () => monotonicNow();
  readonly #queues = { input: new Queue<PublishedEvent>(), output: new Queue<string>(), failed: new Queue<string>() };
  readonly #published: PublishedEvent[] = [];
  readonly #logs: EmulatedLogEntry[] = [];
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #maxKept: number;
  readonly #rateLimit: { requests: number; perMs: number } | undefined;
  #period = { since: -Infinity, requests: 0 };
  #transforming: Promise<void> | undefined;
  #isPaused = false;

  /** @internal */
  constructor({
    id = crypto.randomUUID(),
    accessTokens = [crypto.randomUUID()],
    transform = identity,
    rateLimit,
    settings,
    ...limits
  }: EmulatedPipelineOptions) {
    if (typeof id !== "string" || id === "") throw mustBe("id", "a non-empty string", id);
    if (typeof transform !== "function") throw mustBe("transform", "a function", transform);
    this.id = id;
    this.accessTokens = [...accessTokens];
    this.transform = transform;
    this.settings = { ...defaultSettings(id), ...settings };
    this.#maxEvents = integer("maxEvents", limits.maxEvents, 100_000, 1);
    this.#maxBytes = integer("maxBytes", limits.maxBytes, 256 * MIB, 1);
    this.#maxKept = integer("maxKept", limits.maxKept, 1000, 0);
    if (rateLimit)
      this.#rateLimit = {
        requests: integer("rateLimit.requests", rateLimit.requests, 1, 1),
        perMs: integer("rateLimit.perMs", rateLimit.perMs, 1000, 1),
      };
  }

  /** The first valid access token. */
  get accessToken(): string {
    return this.accessTokens[0] ?? "";
  }

  /** The events published last, oldest first. A fresh array. */
  get published(): readonly PublishedEvent[] {
    return this.#maxKept === 0 ? [] : this.#published.slice(-this.#maxKept);
  }

  /** The messages that transformations have logged last, oldest first. A fresh array. */
  get logs(): readonly unknown[] {
    return this.logEntries.filter(({ isError }) => !isError).map(({ message }) => message);
  }

  /** These messages, and the errors of transformations. @internal */
  get logEntries(): readonly EmulatedLogEntry[] {
    return this.#maxKept === 0 ? [] : this.#logs.slice(-this.#maxKept);
  }

  /** Whether the transformation is stopped. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** How many events wait in each queue: `input` for the transformation, the others for a consumer. */
  get waiting(): {
    /** Events that are not transformed yet. */
    input: number;
    /** Events that `consume` returns. */
    output: number;
    /** Events that `consumeFailed` returns. */
    failed: number;
  } {
    const { input, output, failed } = this.#queues;
    return { input: input.length, output: output.length, failed: failed.length };
  }

  /** Stops the transformation until `resume`; events are still accepted. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Transforms events again, after a pause. */
  resume(): void {
    this.#isPaused = false;
    this.#transformAll();
  }

  /** Resolves when all published events are transformed. */
  async idle(): Promise<void> {
    while (this.#transforming) await this.#transforming;
  }

  /** Counts a request for the rate limit. Returns 0, or how many milliseconds the client has to wait. @internal */
  countRequest(): number {
    if (!this.#rateLimit) return 0;
    const { requests, perMs } = this.#rateLimit;
    const now = this.now();
    if (now - this.#period.since >= perMs) this.#period = { since: now, requests: 0 };
    return this.#period.requests++ < requests ? 0 : this.#period.since + perMs - now;
  }

  /** Accepts an event. False: the queues are full. @internal */
  publish(text: string, headers: Record<string, string>): boolean {
    const { input, output, failed } = this.#queues;
    if (
      input.length + output.length + failed.length >= this.#maxEvents ||
      input.bytes + output.bytes + failed.bytes + text.length > this.#maxBytes
    )
      return false;
    const event = publishedEvent(text, headers);
    appendBounded(this.#published, event, this.#maxKept);
    input.add(event, text.length);
    this.#transformAll();
    return true;
  }

  /** Removes the oldest event of a queue and returns it as JSON text. @internal */
  consume(isFailed: boolean): string | undefined {
    return this.#queues[isFailed ? "failed" : "output"].take();
  }

  /** Transforms one event that does not enter the queues. Returns it as if it was consumed. @internal */
  async test(text: string): Promise<string> {
    const event = publishedEvent(text, {});
    try {
      return this.#transformed(event, await this.#transform(event));
    } catch (error) {
      return this.#failed(event, error);
    }
  }

  /** Transforms the events of the input in order; synchronously unless the transformation returns a promise. */
  #transformAll(): void {
    const { input } = this.#queues;
    while (input.length > 0 && !this.#isPaused && !this.#transforming) {
      const event = input.take()!;
      let result: unknown;
      try {
        result = this.#transform(event);
      } catch (error) {
        this.#fail(event, error);
        continue;
      }
      if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") {
        this.#succeed(event, result);
        continue;
      }
      this.#transforming = Promise.resolve(result)
        .then(
          (result) => this.#succeed(event, result),
          (error: unknown) => this.#fail(event, error),
        )
        .finally(() => {
          this.#transforming = undefined;
          this.#transformAll();
        });
    }
  }

  #transform(event: PublishedEvent): unknown {
    if (this.transform === identity) return UNCHANGED;
    return this.transform(event.payload as never, (message) => this.#log(message, false));
  }

  #log(message: unknown, isError: boolean): void {
    appendBounded(this.#logs, { at: unixNow(), isError, message }, this.#maxKept);
  }

  #succeed(event: PublishedEvent, result: unknown): void {
    let body: string;
    try {
      body = this.#transformed(event, result);
    } catch (error) {
      this.#fail(event, error);
      return;
    }
    this.#queues.output.add(body, body.length);
  }

  #fail(event: PublishedEvent, error: unknown): void {
    const body = this.#failed(event, error);
    this.#queues.failed.add(body, body.length);
  }

  /** @throws if the result cannot be JSON */
  #transformed(event: PublishedEvent, result: unknown): string {
    if (result === UNCHANGED) return consumedBody(event, `"status":"success","response":${event.text}`);
    const text = JSON.stringify(result) as string | undefined;
    // An unchanged event keeps all digits of its numbers.
    const response = text === JSON.stringify(event.payload) ? event.text : text;
    return consumedBody(event, `"status":"success"${response === undefined ? "" : `,"response":${response}`}`);
  }

  #failed(event: PublishedEvent, error: unknown): string {
    const { name = "Error", message = String(error), stack = "" } = (error ?? {}) as Partial<Error>;
    this.#log(`${name}: ${message}`, true);
    return consumedBody(
      event,
      `"status":"error","error_details":${JSON.stringify(`${name}: ${message}`)},"stack_trace":${JSON.stringify(stack)}`,
    );
  }
}

function publishedEvent(text: string, headers: Record<string, string>): PublishedEvent {
  return {
    requestId: crypto.randomUUID(),
    receivedAt: new Date(unixNow()),
    text,
    get payload() {
      return JSON.parse(text) as unknown;
    },
    headers: Object.freeze(headers),
  };
}

/** A queue that removes its first item in constant time. */
class Queue<T> {
  #items: ({ item: T; bytes: number } | undefined)[] = [];
  #first = 0;
  bytes = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  add(item: T, bytes: number): void {
    this.#items.push({ item, bytes });
    this.bytes += bytes;
  }

  take(): T | undefined {
    const oldest = this.#items[this.#first];
    if (!oldest) return undefined;
    this.#items[this.#first++] = undefined;
    if (this.#first > 1000 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    this.bytes -= oldest.bytes;
    return oldest.item;
  }
}

/** The body of a consumed event, with the deprecated fields that versions of the SDK before 2.1 require. */
function consumedBody({ requestId, receivedAt, text }: PublishedEvent, outcome: string): string {
  const [id, time] = [JSON.stringify(requestId), JSON.stringify(receivedAt.toISOString())];
  return `{"req_id":${id},"receive_time":${time},"payload":${text},"event_context":{"request_id":${id},"external_id":null,"receive_time":${time}},${outcome}}`;
}

/** Appends an item and removes old ones, in batches because each removal moves all remaining items. */
function appendBounded<T>(list: T[], item: T, maxLength: number): void {
  list.push(item);
  if (list.length >= maxLength * 2 + 1) list.splice(0, list.length - maxLength);
}
