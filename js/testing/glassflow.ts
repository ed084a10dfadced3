/**
 * GlassFlow pipelines, API `v1`: takes events, transforms them, and gives them away, once.
 *
 * ```text
 *   POST /glassflow/v1/pipelines/<id>/topics/input/events              200
 *   POST /glassflow/v1/pipelines/<id>/topics/output/events/consume     200 and the event, 204 if there is none
 *   POST /glassflow/v1/pipelines/<id>/topics/failed/events/consume     the same for those that the transformation threw at
 *   GET  /glassflow/v1/pipelines/<id>/status/access_token              200
 *
 *   401 wrong token, 404 no such pipeline, 400 no JSON, 413 too large, 429 too many requests, 503 no room
 * ```
 *
 * An event goes through in the order of arrival:
 *
 * ```text
 *   input ──transform──> output ──consume──> gone
 *                └─throws─> failed ──consume──> gone
 * ```
 */
import { readBody } from "../systems/cloudevents/body.js";
import { FerryError, isFerryError } from "../engine/errors.js";
import { type Service, integer } from "./service.js";
import { formatValue } from "../engine/messages.js";
import { monotonicNow, unixNow } from "../platform/clock.js";

/** How the GlassFlow service of an emulator works. */
export interface GlassFlowEmulatorOptions {
  /** The largest event that is taken; more is answered with 413. @default 16 MiB */
  maxBodyBytes?: number;
}

/** What a pipeline does with an event: its return value goes to the output, what it throws makes a failed event. `log` is kept in `logs`. */
export type Transformation = (data: never, log: (message: unknown) => void) => unknown;

/** How a pipeline works. */
export interface EmulatedPipelineOptions {
  /** @default a fresh UUID */
  id?: string;
  /** The access tokens that are good for it. @default one fresh UUID */
  accessTokens?: readonly string[];
  /** May be async. @default gives back what it gets */
  transform?: Transformation;
  /** How many requests are answered in a time, all together; more get 429 with `Retry-After`. @default no limit */
  rateLimit?: { requests: number; perMs: number };
  /** Events that may wait in all queues together; more are answered with 503. @default 100 000 */
  maxEvents?: number;
  /** Bytes of such events. @default 256 MiB */
  maxBytes?: number;
  /** How many of the last events `published` and `logs` keep. @default 1 000 */
  maxKept?: number;
}

/** An event as it was published. */
export interface PublishedEvent {
  /** The `request_id` that it is consumed with. */
  readonly requestId: string;
  readonly receivedAt: Date;
  /** Its JSON text, as it came. */
  readonly text: string;
  /** Parsed, a fresh value each time. */
  readonly payload: unknown;
  /** Headers of the request but the token, with names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

const PREFIX = "/glassflow";
const MIB = 1024 * 1024;
const TOKEN_HEADER = "x-pipeline-access-token";

/** The GlassFlow service of an emulator. */
export class GlassFlowEmulator implements Service {
  readonly prefix = PREFIX;
  readonly #maxBodyBytes: number;
  readonly #pipelines = new Map<string, EmulatedPipeline>();

  /** @internal */
  constructor(options: GlassFlowEmulatorOptions) {
    this.#maxBodyBytes = integer("maxBodyBytes", options.maxBodyBytes, 16 * MIB, 1);
  }

  /**
   * Makes a pipeline. Its address is `<url of the emulator>/glassflow/v1`, the `baseUrl` of clients.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an option out of its range, and for an id that is taken
   */
  createPipeline(options: EmulatedPipelineOptions = {}): EmulatedPipeline {
    const pipeline = new EmulatedPipeline(options);
    if (this.#pipelines.has(pipeline.id))
      throw new FerryError("ERR_INVALID_ARGUMENT", `there is a pipeline ${formatValue(pipeline.id)} already`);
    this.#pipelines.set(pipeline.id, pipeline);
    return pipeline;
  }

  /** The pipeline with that id. */
  pipeline(id: string): EmulatedPipeline | undefined {
    return this.#pipelines.get(id);
  }

  /** Takes a pipeline away, with all that is in it. */
  deletePipeline(id: string): boolean {
    return this.#pipelines.delete(id);
  }

  /** Takes all away. */
  clear(): void {
    this.#pipelines.clear();
  }

  /** Answers what the emulator has found to be for this service. */
  async handle(request: Request, url: URL): Promise<Response> {
    const [, id, endpoint] = /^\/glassflow(?:\/v1)?\/pipelines\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    const method = METHODS.get(endpoint ?? "");
    if (id === undefined || !method)
      return detail(404, `there is ${PREFIX}/v1/pipelines/<id>/ and below it ${[...METHODS.keys()].join(", ")}`);
    if (request.method !== method) return detail(405, `this address takes ${method}`, { allow: method });
    const pipeline = this.#pipelines.get(decoded(id));
    if (!pipeline) return detail(404, "pipeline not found");
    const token = request.headers.get(TOKEN_HEADER);
    if (token === null || !pipeline.accessTokens.includes(token)) return detail(401, "unauthorized");
    const waitMs = pipeline.limit();
    if (waitMs > 0) return detail(429, "too many requests", { "retry-after": String(Math.ceil(waitMs / 1000)) });
    if (endpoint === "status/access_token") return json(200, "{}");
    if (endpoint === "topics/input/events") return this.#publish(request, pipeline);
    const body = pipeline.take(endpoint === "topics/failed/events/consume");
    return body === undefined ? new Response(null, { status: 204 }) : json(200, body);
  }

  async #publish(request: Request, pipeline: EmulatedPipeline): Promise<Response> {
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(
        await readBody(request, { maxBytes: this.#maxBodyBytes }),
      );
      JSON.parse(text);
    } catch (error) {
      const isLarge = isFerryError(error, "ERR_TOO_LARGE");
      return detail(
        isLarge ? 413 : 400,
        isLarge ? `an event has at most ${this.#maxBodyBytes} bytes` : "the body is not JSON",
      );
    }
    const headers = Object.fromEntries([...request.headers].filter(([name]) => name !== TOKEN_HEADER));
    return pipeline.publish(text, headers)
      ? json(200, "{}")
      : detail(503, "the pipeline is full", { "retry-after": "1" });
  }
}

const unchanged: Transformation = (data) => data;

/** One pipeline, and what it has seen. */
export class EmulatedPipeline {
  readonly id: string;
  /** Those that are good. */
  readonly accessTokens: string[];
  /** May be changed at any time, for events that come from then on. */
  transform: Transformation;
  /** The clock of the rate limit, in milliseconds; tests may put their own in its place. */
  now: () => number = () => monotonicNow();
  readonly #queues = { input: new Line<PublishedEvent>(), output: new Line<string>(), failed: new Line<string>() };
  readonly #published: PublishedEvent[] = [];
  readonly #logs: unknown[] = [];
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #maxKept: number;
  readonly #rateLimit: { requests: number; perMs: number } | undefined;
  #window = { since: -Infinity, requests: 0 };
  #working: Promise<void> | undefined;
  #isPaused = false;

  /** @internal */
  constructor({
    id = crypto.randomUUID(),
    accessTokens = [crypto.randomUUID()],
    transform = unchanged,
    rateLimit,
    ...limits
  }: EmulatedPipelineOptions) {
    if (typeof id !== "string" || id === "")
      throw new FerryError("ERR_INVALID_ARGUMENT", `the id of a pipeline is a text, not ${formatValue(id)}`);
    if (typeof transform !== "function")
      throw new FerryError("ERR_INVALID_ARGUMENT", `transform is a function, not ${formatValue(transform)}`);
    this.id = id;
    this.accessTokens = [...accessTokens];
    this.transform = transform;
    this.#maxEvents = integer("maxEvents", limits.maxEvents, 100_000, 1);
    this.#maxBytes = integer("maxBytes", limits.maxBytes, 256 * MIB, 1);
    this.#maxKept = integer("maxKept", limits.maxKept, 1000, 0);
    if (rateLimit)
      this.#rateLimit = {
        requests: integer("rateLimit.requests", rateLimit.requests, 1, 1),
        perMs: integer("rateLimit.perMs", rateLimit.perMs, 1000, 1),
      };
  }

  /** The first token that is good. */
  get accessToken(): string {
    return this.accessTokens[0] ?? "";
  }

  /** The last events that were published, oldest first. A fresh list. */
  get published(): readonly PublishedEvent[] {
    return this.#maxKept === 0 ? [] : this.#published.slice(-this.#maxKept);
  }

  /** What transformations have logged last, oldest first. A fresh list. */
  get logs(): readonly unknown[] {
    return this.#maxKept === 0 ? [] : this.#logs.slice(-this.#maxKept);
  }

  /** How many events wait: for the transformation, and to be consumed. */
  get waiting(): { input: number; output: number; failed: number } {
    const { input, output, failed } = this.#queues;
    return { input: input.length, output: output.length, failed: failed.length };
  }

  /** Takes events, but does nothing with them, until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#work();
  }

  /** Resolves when all that was published has been transformed. */
  async idle(): Promise<void> {
    while (this.#working) await this.#working;
  }

  /** Whether a request may be answered: 0, or how long to wait. @internal */
  limit(): number {
    if (!this.#rateLimit) return 0;
    const { requests, perMs } = this.#rateLimit;
    const now = this.now();
    if (now - this.#window.since >= perMs) this.#window = { since: now, requests: 0 };
    return this.#window.requests++ < requests ? 0 : this.#window.since + perMs - now;
  }

  /** Takes an event. False: there is no room. @internal */
  publish(text: string, headers: Record<string, string>): boolean {
    const { input, output, failed } = this.#queues;
    if (
      input.length + output.length + failed.length >= this.#maxEvents ||
      input.bytes + output.bytes + failed.bytes + text.length > this.#maxBytes
    )
      return false;
    const event: PublishedEvent = {
      requestId: crypto.randomUUID(),
      receivedAt: new Date(unixNow()),
      text,
      get payload() {
        return JSON.parse(text) as unknown;
      },
      headers: Object.freeze(headers),
    };
    keep(this.#published, event, this.#maxKept);
    input.add(event, text.length);
    this.#work();
    return true;
  }

  /** Gives the oldest event away. @internal */
  take(isFailed: boolean): string | undefined {
    return this.#queues[isFailed ? "failed" : "output"].take();
  }

  /** Transforms what is there, one after the other; at once, as long as the transformation is not async. */
  #work(): void {
    const { input } = this.#queues;
    while (input.length > 0 && !this.#isPaused && !this.#working) {
      const event = input.take()!;
      if (this.transform === unchanged) {
        this.#done(event, event.text);
        continue;
      }
      let result: unknown;
      try {
        result = this.transform(event.payload as never, (message) => keep(this.#logs, message, this.#maxKept));
      } catch (error) {
        this.#fail(event, error);
        continue;
      }
      if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") {
        this.#change(event, result);
        continue;
      }
      this.#working = Promise.resolve(result)
        .then(
          (result) => this.#change(event, result),
          (error: unknown) => this.#fail(event, error),
        )
        .finally(() => {
          this.#working = undefined;
          this.#work();
        });
    }
  }

  #change(event: PublishedEvent, result: unknown): void {
    let response: string | undefined;
    try {
      response = JSON.stringify(result);
    } catch (error) {
      return this.#fail(event, error);
    }
    // What was not changed keeps its digits.
    this.#done(event, response === JSON.stringify(event.payload) ? event.text : response);
  }

  #done(event: PublishedEvent, response: string | undefined): void {
    const body = consumed(event, `"status":"success"${response === undefined ? "" : `,"response":${response}`}`);
    this.#queues.output.add(body, body.length);
  }

  #fail(event: PublishedEvent, error: unknown): void {
    const { name = "Error", message = String(error), stack = "" } = (error ?? {}) as Partial<Error>;
    const body = consumed(
      event,
      `"status":"error","error_details":${JSON.stringify(`${name}: ${message}`)},"stack_trace":${JSON.stringify(stack)}`,
    );
    this.#queues.failed.add(body, body.length);
  }
}

/** A queue that gives away in constant time. */
class Line<T> {
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

const METHODS = new Map([
  ["topics/input/events", "POST"],
  ["topics/output/events/consume", "POST"],
  ["topics/failed/events/consume", "POST"],
  ["status/access_token", "GET"],
]);

/** The body of a consumed event, with the names that are marked as outdated: versions before 2.1 insist on them. */
function consumed({ requestId, receivedAt, text }: PublishedEvent, outcome: string): string {
  const [id, time] = [JSON.stringify(requestId), JSON.stringify(receivedAt.toISOString())];
  return `{"req_id":${id},"receive_time":${time},"payload":${text},"event_context":{"request_id":${id},"external_id":null,"receive_time":${time}},${outcome}}`;
}

function keep<T>(list: T[], item: T, most: number): void {
  list.push(item);
  // Not one by one: that would move all of them each time.
  if (list.length >= most * 2 + 1) list.splice(0, list.length - most);
}

function detail(status: number, message: string, headers: Record<string, string> = {}): Response {
  return json(status, JSON.stringify({ detail: message }), headers);
}

function json(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status, headers: { "content-type": "application/json", ...headers } });
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
