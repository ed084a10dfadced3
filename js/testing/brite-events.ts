/**
 * BriteEvents: accepts single events and batches from this package and from the Python package `bc_events`.
 *
 * ```text
 *   POST   /brite-events/events         one event          201 {"eventId":"…","jobId":"…"}
 *                                                          400 {"errorType":"ValidationException","message":"…"}
 *   POST   /brite-events/events/bulk/   1 to 250 events    201 {"failedRecords":0,"records":["Success",…]}
 *   GET    /brite-events/events         ?after=<seq>       the received events, oldest first
 * ```
 *
 * The server has no public description, so this service checks what the original client promises to send.
 */
import { FerryError, isFerryError } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import { unixNow } from "../platform/clock.js";
import { freshId } from "../platform/uuid.js";
import { type BriteEvent, envelopeProblem } from "../systems/bc-events/envelope.js";
import { readBody } from "../systems/cloudevents/body.js";
import { type Lifetime, type Service, integer, textResponse } from "./service.js";
import { Watchers } from "./watchers.js";
import { TextDecoder } from "../platform/text.js";

/** Options of the BriteEvents service of an emulator. */
export interface BriteEventsEmulatorOptions {
  /** How many events are kept. The oldest are dropped first. @default 10 000 */
  maxEvents?: number;
  /** How many bytes of requests are kept; the last request always is. @default 64 MiB */
  maxBytes?: number;
  /** Size limit of a request body in bytes. Larger ones are answered with 413. @default 16 MiB */
  maxBodyBytes?: number;
}

/** An event that the emulator received. */
export interface ReceivedBriteEvent {
  /** The number of the event, from 1. `clear()` does not reset it. */
  readonly seq: number;
  /** The event as it was sent. */
  readonly event: BriteEvent;
  /** The id that the response gave the event. */
  readonly eventId: string;
  /** The header `x-britecore-job-id`. The original does not send it with a batch. */
  readonly jobId: string | undefined;
  /** Whether it came alone or in a batch. */
  readonly mode: "single" | "bulk";
  /** The headers of the request, with lower-case names. The same object for all events of one request. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body of the request. The same array for all events of one request. */
  readonly rawBody: Uint8Array;
  /** When it was received. */
  readonly receivedAt: Date;
}

/** Which events the service refuses. */
export interface RefuseRule {
  /** Clients retry after `InternalFailureException` and `ProvisionedThroughputExceededException`, and fail after all others. */
  errorType: string;
  /** Selects the events. @default all */
  match?: (event: BriteEvent) => boolean;
  /** How many events are refused. @default 1 */
  times?: number;
}

const PATH = "/brite-events";
const MAX_BULK_EVENTS = 250;
const MAX_PAGE_EVENTS = 1000;
const VALIDATION_ERROR = "ValidationException";

/** The BriteEvents service of an emulator, with the events it received. */
export class BriteEventsEmulator implements Service {
  /** The path of the API. The `apiUrl` of clients is `${url}/brite-events`. */
  readonly prefix: string = PATH;
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #maxBodyBytes: number;
  readonly #lifetime: Lifetime;
  readonly #watchers = new Watchers();
  #received: ReceivedBriteEvent[] = [];
  #bytes = 0;
  #count = 0;
  #lastSeq = 0;
  #refusals: Required<RefuseRule>[] = [];

  /** @internal */
  constructor(options: BriteEventsEmulatorOptions, lifetime: Lifetime) {
    this.#maxEvents = integer("maxEvents", options.maxEvents, 10_000, 1);
    this.#maxBytes = integer("maxBytes", options.maxBytes, 64 * 1024 * 1024, 1);
    this.#maxBodyBytes = integer("maxBodyBytes", options.maxBodyBytes, 16 * 1024 * 1024, 1);
    this.#lifetime = lifetime;
  }

  /** The accepted events that are still kept, oldest first. A new list each time. */
  get received(): readonly ReceivedBriteEvent[] {
    return [...this.#received];
  }

  /** Forgets all events and refusals. */
  clear(): void {
    this.#received = [];
    this.#refusals = [];
    this.#bytes = this.#count = 0;
  }

  /**
   * Refuses events from now on: a single event with status 400 and the `errorType`, an event of a batch in `records`.
   *
   * @example emulator.briteEvents.refuse({ errorType: "InternalFailureException", times: 2 });
   */
  refuse(refusal: RefuseRule): void {
    const { errorType, match = () => true } = refusal;
    if (typeof errorType !== "string" || errorType === "") throw mustBe("errorType", "a non-empty string", errorType);
    if (typeof match !== "function") throw mustBe("match", "a function", match);
    this.#refusals.push({ errorType, match, times: integer("times", refusal.times, 1, 1) });
  }

  /**
   * Resolves with `received` once `count` events were accepted since the last `clear()`, including those before the call.
   *
   * @param options.timeoutMs The longest wait in milliseconds. @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT`, or `ERR_CLOSED` if the emulator is closed meanwhile
   */
  async waitFor(count: number, options: { timeoutMs?: number } = {}): Promise<readonly ReceivedBriteEvent[]> {
    integer("count", count, 1, 1);
    return this.#watchers.until(
      () => (this.#count >= count ? this.received : undefined),
      options.timeoutMs,
      this.#lifetime,
      () => `${this.#count} of ${count} events arrived`,
    );
  }

  /** Answers a request whose path starts with `prefix`. */
  async handle(request: Request, url: URL): Promise<Response> {
    const path = url.pathname.slice(PATH.length);
    const isBulk = path === "/events/bulk/" || path === "/events/bulk";
    if (path !== "/events" && !isBulk)
      return textResponse(404, `not found: send one event to ${PATH}/events, a batch to ${PATH}/events/bulk/`);
    if (request.method === "GET" && !isBulk) return this.#list(url);
    if (request.method !== "POST")
      return textResponse(405, "send events with POST", { allow: isBulk ? "POST, OPTIONS" : "GET, POST, OPTIONS" });
    try {
      const rawBody = await readBody(request, { maxBytes: this.#maxBodyBytes });
      const body = parseJson(rawBody);
      const common = {
        headers: Object.freeze(Object.fromEntries(request.headers)),
        rawBody,
        receivedAt: new Date(unixNow()),
        jobId: request.headers.get("x-britecore-job-id") ?? undefined,
      };
      return isBulk ? this.#acceptBatch(body, common) : this.#acceptOne(body, common);
    } catch (error) {
      if (!isFerryError(error)) throw error;
      return error.code === "ERR_TOO_LARGE" ? textResponse(413, error.message) : invalidResponse(error.message);
    }
  }

  #acceptOne(event: unknown, common: RequestFields): Response {
    const problem = envelopeProblem(event);
    if (problem) return invalidResponse(`${problem.path} ${problem.message}`.trim());
    const errorType = this.#refusalOf(event as BriteEvent);
    if (errorType) return jsonResponse(400, { errorType, message: "refused as configured with refuse()" });
    const eventId = this.#store(event as BriteEvent, "single", common);
    return jsonResponse(201, { eventId, jobId: common.jobId ?? null });
  }

  #acceptBatch(events: unknown, common: RequestFields): Response {
    if (!Array.isArray(events) || events.length === 0 || events.length > MAX_BULK_EVENTS)
      return invalidResponse(`the body must be a list of 1 to ${MAX_BULK_EVENTS} events`);
    const records = events.map((event) => {
      const errorType = envelopeProblem(event) ? VALIDATION_ERROR : this.#refusalOf(event as BriteEvent);
      if (errorType) return errorType;
      this.#store(event as BriteEvent, "bulk", common);
      return "Success";
    });
    return jsonResponse(201, { failedRecords: records.filter((record) => record !== "Success").length, records });
  }

  #list(url: URL): Response {
    const after = integer("after", url.searchParams.get("after"), 0, 0);
    const found = this.#received.filter(({ seq }) => seq > after).slice(0, MAX_PAGE_EVENTS);
    return jsonResponse(
      200,
      found.map(({ seq, event, eventId, jobId, mode }) => ({ seq, event, eventId, jobId, mode })),
      { "cache-control": "no-store" },
    );
  }

  #refusalOf(event: BriteEvent): string | undefined {
    const refusal = this.#refusals.find(({ match }) => match(event));
    if (!refusal) return undefined;
    if (--refusal.times === 0) this.#refusals.splice(this.#refusals.indexOf(refusal), 1);
    return refusal.errorType;
  }

  #store(event: BriteEvent, mode: "single" | "bulk", common: RequestFields): string {
    const eventId = freshId();
    this.#received.push({ seq: ++this.#lastSeq, event, eventId, mode, ...common });
    this.#count++;
    const previous = this.#received[this.#received.length - 2];
    if (previous?.rawBody !== common.rawBody) this.#bytes += common.rawBody.length;
    while (
      this.#received.length > this.#maxEvents ||
      (this.#bytes > this.#maxBytes && this.#received[0]!.rawBody !== common.rawBody)
    )
      this.#dropOldest();
    this.#watchers.notify();
    return eventId;
  }

  /** The bytes of a request are freed with the last of its events. */
  #dropOldest(): void {
    const { rawBody } = this.#received.shift()!;
    if (this.#received[0]?.rawBody !== rawBody) this.#bytes -= rawBody.length;
  }
}

type RequestFields = Pick<ReceivedBriteEvent, "headers" | "rawBody" | "receivedAt" | "jobId">;

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new FerryError("ERR_INVALID_DATA", "the body is not JSON");
  }
}

function invalidResponse(message: string): Response {
  return jsonResponse(400, { errorType: VALIDATION_ERROR, message });
}

function jsonResponse(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
}
