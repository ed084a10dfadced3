/**
 * BriteEvents: takes events one by one and in lots, as the Python package `bc_events` sends them, and answers what that understands.
 *
 * ```text
 *   POST   /brite-events/events         one event       201 {"eventId":"…","jobId":"…"}, or 400 {"errorType":"ValidationException","message":"…"}
 *   POST   /brite-events/events/bulk/   1 to 250        201 {"failedRecords":0,"records":["Success",…]}
 *   GET    /brite-events/events         ?after=<seq>    what has come, oldest first
 * ```
 *
 * No description of the server is public: this one checks what the client promises to send.
 */
import { type BcEvent, envelopeProblem } from "../systems/bc-events/envelope.js";
import { readBody } from "../systems/cloudevents/body.js";
import { FerryError, isFerryError } from "../engine/errors.js";
import { freshId } from "../platform/uuid.js";
import { type Lifetime, type Service, integer, textResponse } from "./service.js";
import { Watchers } from "./watchers.js";
import { formatValue } from "../engine/messages.js";
import { unixNow } from "../platform/clock.js";

/** How the BriteEvents service of an emulator works. */
export interface BriteEventsEmulatorOptions {
  /** How many events are kept; the oldest go first. @default 10 000 */
  maxEvents?: number;
  /** How many bytes of requests are kept; at least the last request stays. @default 64 MiB */
  maxBytes?: number;
  /** The largest body that is taken; more is answered with 413. @default 16 MiB */
  maxBodyBytes?: number;
}

/** One event as the emulator received it. */
export interface ReceivedBcEvent {
  /** Counts all events of the emulator from 1, and goes on after `clear()`. */
  readonly seq: number;
  readonly event: BcEvent;
  /** What the answer called it. */
  readonly eventId: string;
  /** From the header `x-britecore-job-id`; the original sends none with a lot. */
  readonly jobId: string | undefined;
  readonly mode: "single" | "bulk";
  /** Headers of the request, with names in lower case. The same object for all events of one request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Body of the request, byte for byte. The same array for all events of one request. */
  readonly rawBody: Uint8Array;
  readonly receivedAt: Date;
}

/** Events that the service shall refuse. */
export interface Refusal {
  /** `InternalFailureException` and `ProvisionedThroughputExceededException` pass; clients give up at all others. */
  errorType: string;
  /** Which events. @default all */
  match?: (event: BcEvent) => boolean;
  /** How many events at most. @default 1 */
  times?: number;
}

const PATH = "/brite-events";
const MOST_IN_BULK = 250;
const MAX_PAGE = 1000;
const INVALID = "ValidationException";

/** The BriteEvents service of an emulator, and what it has seen. */
export class BriteEventsEmulator implements Service {
  /** The path of the API: `${url}/brite-events` is the `apiUrl` of clients. */
  readonly prefix = PATH;
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  readonly #maxBodyBytes: number;
  readonly #lifetime: Lifetime;
  readonly #watchers = new Watchers();
  #received: ReceivedBcEvent[] = [];
  #bytes = 0;
  #count = 0;
  #lastSeq = 0;
  #refusals: Required<Refusal>[] = [];

  /** @internal */
  constructor(options: BriteEventsEmulatorOptions, lifetime: Lifetime) {
    this.#maxEvents = integer("maxEvents", options.maxEvents, 10_000, 1);
    this.#maxBytes = integer("maxBytes", options.maxBytes, 64 * 1024 * 1024, 1);
    this.#maxBodyBytes = integer("maxBodyBytes", options.maxBodyBytes, 16 * 1024 * 1024, 1);
    this.#lifetime = lifetime;
  }

  /** The events that were taken and are still kept, oldest first. A fresh list. */
  get received(): readonly ReceivedBcEvent[] {
    return [...this.#received];
  }

  /** Forgets all events and refusals. */
  clear(): void {
    this.#received = [];
    this.#refusals = [];
    this.#bytes = this.#count = 0;
  }

  /**
   * Refuses events from now on: a single one with the status 400 and its `errorType`, one of a lot in `records`.
   *
   * @example emulator.briteEvents.refuse({ errorType: "InternalFailureException", times: 2 });
   */
  refuse(refusal: Refusal): void {
    const { errorType, match = () => true } = refusal;
    if (typeof errorType !== "string" || errorType === "")
      throw new FerryError("ERR_INVALID_ARGUMENT", `errorType is a text, not ${formatValue(errorType)}`);
    if (typeof match !== "function")
      throw new FerryError("ERR_INVALID_ARGUMENT", `match is a function, not ${formatValue(match)}`);
    this.#refusals.push({ errorType, match, times: integer("times", refusal.times, 1, 1) });
  }

  /**
   * Resolves with `received` once `count` events were taken since the last `clear()`, those included that came before the call.
   *
   * @param options.timeoutMs How long to wait, in milliseconds. @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT` after that time, `ERR_CLOSED` if the emulator is closed meanwhile.
   */
  async waitFor(count: number, options: { timeoutMs?: number } = {}): Promise<readonly ReceivedBcEvent[]> {
    integer("count", count, 1, 1);
    return this.#watchers.until(
      () => (this.#count >= count ? this.received : undefined),
      options.timeoutMs,
      this.#lifetime,
      () => `${this.#count} of ${count} events came`,
    );
  }

  /** Answers what the emulator has found to be for this service. */
  async handle(request: Request, url: URL): Promise<Response> {
    const path = url.pathname.slice(PATH.length);
    const isBulk = path === "/events/bulk/" || path === "/events/bulk";
    if (path !== "/events" && !isBulk)
      return textResponse(404, `there is ${PATH}/events for one event and ${PATH}/events/bulk/ for many`);
    if (request.method === "GET" && !isBulk) return this.#page(url);
    if (request.method !== "POST")
      return textResponse(405, "events are sent here with POST", {
        allow: isBulk ? "POST, OPTIONS" : "GET, POST, OPTIONS",
      });
    try {
      const rawBody = await readBody(request, { maxBytes: this.#maxBodyBytes });
      const body = parsed(rawBody);
      const common = {
        headers: Object.freeze(Object.fromEntries(request.headers)),
        rawBody,
        receivedAt: new Date(unixNow()),
        jobId: request.headers.get("x-britecore-job-id") ?? undefined,
      };
      return isBulk ? this.#takeMany(body, common) : this.#takeOne(body, common);
    } catch (error) {
      if (!isFerryError(error)) throw error;
      return error.code === "ERR_TOO_LARGE" ? textResponse(413, error.message) : invalid(error.message);
    }
  }

  #takeOne(event: unknown, common: Common): Response {
    const problem = envelopeProblem(event);
    if (problem) return invalid(`${problem.path} ${problem.says}`.trim());
    const errorType = this.#refused(event as BcEvent);
    if (errorType) return json(400, { errorType, message: "the emulator was asked to refuse this one" });
    const eventId = this.#keep(event as BcEvent, "single", common);
    return json(201, { eventId, jobId: common.jobId ?? null });
  }

  #takeMany(events: unknown, common: Common): Response {
    if (!Array.isArray(events) || events.length === 0 || events.length > MOST_IN_BULK)
      return invalid(`the body has to be a list of 1 to ${MOST_IN_BULK} events`);
    const records = events.map((event) => {
      const errorType = envelopeProblem(event) ? INVALID : this.#refused(event as BcEvent);
      if (errorType) return errorType;
      this.#keep(event as BcEvent, "bulk", common);
      return "Success";
    });
    return json(201, { failedRecords: records.filter((record) => record !== "Success").length, records });
  }

  #page(url: URL): Response {
    const after = integer("after", url.searchParams.get("after"), 0, 0);
    const found = this.#received.filter(({ seq }) => seq > after).slice(0, MAX_PAGE);
    return json(
      200,
      found.map(({ seq, event, eventId, jobId, mode }) => ({ seq, event, eventId, jobId, mode })),
      { "cache-control": "no-store" },
    );
  }

  #refused(event: BcEvent): string | undefined {
    const refusal = this.#refusals.find(({ match }) => match(event));
    if (!refusal) return undefined;
    if (--refusal.times === 0) this.#refusals.splice(this.#refusals.indexOf(refusal), 1);
    return refusal.errorType;
  }

  #keep(event: BcEvent, mode: "single" | "bulk", common: Common): string {
    const eventId = freshId();
    this.#received.push({ seq: ++this.#lastSeq, event, eventId, mode, ...common });
    this.#count++;
    const last = this.#received[this.#received.length - 2];
    if (last?.rawBody !== common.rawBody) this.#bytes += common.rawBody.length;
    while (
      this.#received.length > this.#maxEvents ||
      (this.#bytes > this.#maxBytes && this.#received[0]!.rawBody !== common.rawBody)
    )
      this.#drop();
    this.#watchers.notify();
    return eventId;
  }

  /** The oldest. Its request stays in memory until all its events are gone. */
  #drop(): void {
    const { rawBody } = this.#received.shift()!;
    if (this.#received[0]?.rawBody !== rawBody) this.#bytes -= rawBody.length;
  }
}

type Common = Pick<ReceivedBcEvent, "headers" | "rawBody" | "receivedAt" | "jobId">;

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new FerryError("ERR_INVALID_DATA", "the body is not JSON");
  }
}

function invalid(message: string): Response {
  return json(400, { errorType: INVALID, message });
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
}
