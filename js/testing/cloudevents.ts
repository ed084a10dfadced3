/**
 * CloudEvents over HTTP: receives events in all three modes, stores them, and returns them.
 *
 * ```text
 *   POST    /cloudevents                           to the channel "default"
 *   POST    /cloudevents/<channel>                 204, or 400, 413, 415 with the reason
 *   OPTIONS /cloudevents[/<channel>]               web hook handshake
 *   GET     /cloudevents/<channel>/events          ?after=<seq>&limit=<n>: a JSON batch
 *   GET     /cloudevents/<channel>/events/<seq>    ?mode=binary|structured: one event
 *   GET     /cloudevents/<channel>/stream          ?after=<seq>&sql=<CESQL>|filter=<JSON>: server-sent events
 * ```
 */
import { EventBatch } from "../systems/cloudevents/batch.js";
import { readBody } from "../systems/cloudevents/body.js";
import { batchFromHttp, contentMode, toBinary, toStructured } from "../systems/cloudevents/http.js";
import type { SubscriptionFilter } from "../systems/cloudevents/filter/dialect.js";
import { Filter } from "../systems/cloudevents/filter/filter.js";
import { webhook } from "../systems/cloudevents/webhook.js";
import { type FerryError, isFerryError } from "../engine/errors.js";
import { Forwarder, type Forwarding, type ForwardOptions } from "./forward.js";
import { type Lifetime, type Service, integer, textResponse } from "./service.js";
import { eventStream } from "./sse.js";
import { EventStore, type ReceivedEvent } from "./event-store.js";
import { formatValue, mustBe } from "../engine/messages.js";
import { unixNow } from "../platform/clock.js";
import { TextEncoder } from "../platform/text.js";

/** Options of the CloudEvents service of an emulator. */
export interface CloudEventsEmulatorOptions {
  /** Status of the response to a delivery: 204 means processed, 202 means accepted. @default 204 */
  status?: 202 | 204;
  /** Number of events that are stored; the oldest are evicted first. @default 10 000 */
  maxEvents?: number;
  /** Bytes of messages that are stored, headers included; the last event is never evicted. @default 67 108 864 */
  maxBytes?: number;
  /** Largest body that is accepted, in bytes; a larger one gets 413. @default 16 777 216 */
  maxBodyBytes?: number;
  /** Longest time that a stream is silent before it sends a comment, in milliseconds. @default 15 000 */
  heartbeatMs?: number;
}

const DEFAULT_CHANNEL = "default";
const READ_METHODS = "GET, OPTIONS";
const WRITE_METHODS = "POST, OPTIONS";
const MAX_PAGE_EVENTS = 1000;

/** The CloudEvents service of an emulator, and what it received. */
export class CloudEventsEmulator implements Service {
  readonly prefix = "/cloudevents";
  readonly #store: EventStore;
  readonly #lifetime: Lifetime;
  readonly #status: number;
  readonly #maxBodyBytes: number;
  readonly #heartbeatMs: number;
  readonly #handshake = webhook({ allowedOrigins: "*", onEvent: () => undefined });

  /** @internal */
  constructor(options: CloudEventsEmulatorOptions, lifetime: Lifetime) {
    const { status = 204 } = options;
    if (status !== 202 && status !== 204) throw mustBe("status", "202 or 204", status);
    this.#status = status;
    this.#store = new EventStore(
      integer("maxEvents", options.maxEvents, 10_000, 1),
      integer("maxBytes", options.maxBytes, 64 * 1024 * 1024, 1),
    );
    this.#maxBodyBytes = integer("maxBodyBytes", options.maxBodyBytes, 16 * 1024 * 1024, 1);
    this.#heartbeatMs = integer("heartbeatMs", options.heartbeatMs, 15_000, 1, 2 ** 31 - 1);
    this.#lifetime = lifetime;
  }

  /** The received events that are still stored, oldest first. A new array each time. */
  get received(): readonly ReceivedEvent[] {
    return this.#store.all();
  }

  /** Number of events that were evicted from `received` since the last `clear()`. */
  get dropped(): number {
    return this.#store.dropped;
  }

  /** Removes all events. Sequence numbers continue, so that open streams keep their position. */
  clear(): void {
    this.#store.clear();
  }

  /**
   * Resolves with `received` once `count` events have been received since the last `clear()`, including those before the
   * call.
   *
   * @param options.timeoutMs how long to wait, in milliseconds @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT` after that time, `ERR_CLOSED` if the emulator is closed first.
   */
  async waitFor(count: number, options: { timeoutMs?: number } = {}): Promise<readonly ReceivedEvent[]> {
    integer("count", count, 1, 1);
    const store = this.#store;
    return store.watchers.until(
      () => (store.count >= count ? store.all() : undefined),
      options.timeoutMs,
      this.#lifetime,
      () => `received ${store.count} of ${count} events`,
    );
  }

  /**
   * Forwards each event received from now on to another server, in order and one at a time, without retries. If the
   * target is slower than the events arrive, events that are evicted from `received` meanwhile count as failed.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an invalid URL or mode.
   */
  forwardTo(url: string | URL, options: ForwardOptions = {}): Forwarding {
    return new Forwarder(url, options, this.#store, this.#lifetime);
  }

  /** Answers a request below the prefix. */
  async handle(request: Request, url: URL): Promise<Response> {
    try {
      const [channel = DEFAULT_CHANNEL, view, seq, ...more] = pathSegments(url.pathname.slice(this.prefix.length));
      if (more.length > 0) return notFound();
      if (view === undefined) return await this.#receive(request, channel);
      if (view !== "events" && (view !== "stream" || seq !== undefined)) return notFound();
      if (request.method !== "GET") return textResponse(405, "this address is read with GET", { allow: READ_METHODS });
      if (view === "stream") return this.#stream(request, url, channel);
      return seq === undefined ? this.#listEvents(url, channel) : this.#getEvent(url, channel, seq);
    } catch (error) {
      if (!isFerryError(error) || error.culprit === "internal") throw error;
      return textResponse(statusFor(error, request), error.message);
    }
  }

  async #receive(request: Request, channel: string): Promise<Response> {
    if (request.method === "OPTIONS") return this.#handshake(request);
    if (request.method !== "POST")
      return textResponse(405, "send events here with POST; read them at /events and /stream", {
        allow: WRITE_METHODS,
      });
    const rawBody = await readBody(request, { maxBytes: this.#maxBodyBytes });
    const events = [...batchFromHttp(request.headers, rawBody)];
    const headers = Object.freeze(Object.fromEntries(request.headers));
    this.#store.add(
      { mode: contentMode(headers)!, headers, rawBody, channel, receivedAt: new Date(unixNow()), url: request.url },
      events,
    );
    return new Response(null, { status: this.#status });
  }

  /** All events of a batch have one specversion, so a page ends before the first event with another. */
  #listEvents(url: URL, channel: string): Response {
    const query = url.searchParams;
    const after = integer("after", query.get("after"), 0, 0);
    const limit = integer("limit", query.get("limit"), MAX_PAGE_EVENTS, 1, MAX_PAGE_EVENTS);
    const found = this.#store.after(after, limit + 1, channel);
    const end = found.findIndex(({ event }, at) => at === limit || event.specversion !== found[0]!.event.specversion);
    const page = end < 0 ? found : found.slice(0, end);
    const headers: Record<string, string> = {
      "content-type": "application/cloudevents-batch+json; charset=utf-8",
      "cache-control": "no-store",
    };
    if (page.length < found.length) {
      headers["link"] = `<${url.pathname}?after=${page.at(-1)!.seq}&limit=${limit}>; rel="next"`;
    }
    return new Response(EventBatch.of(page.map(({ event }) => event)).toBytes() as Uint8Array<ArrayBuffer>, {
      headers,
    });
  }

  #getEvent(url: URL, channel: string, seq: string): Response {
    const found = this.#store.get(channel, integer("sequence number", seq, 0, 0));
    if (!found)
      return textResponse(404, `the channel ${formatValue(channel)} has no event ${seq}, or no longer stores it`);
    const mode = url.searchParams.get("mode") ?? (found.mode === "binary" ? "binary" : "structured");
    if (mode !== "binary" && mode !== "structured") throw mustBe("mode", '"binary" or "structured"', mode);
    const { headers, body } = mode === "binary" ? toBinary(found.event) : toStructured(found.event);
    // As bytes, because the platform adds a content type to text.
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    return new Response((bytes ?? null) as Uint8Array<ArrayBuffer> | null, {
      headers: { ...headers, "cache-control": "no-store" },
    });
  }

  #stream(request: Request, url: URL, channel: string): Response {
    const store = this.#store;
    // Without `after` only new events are sent. A browser that reconnects sends its position in a header.
    const requested = integer("after", url.searchParams.get("after"), store.lastSeq, 0);
    const lastEventId = request.headers.get("last-event-id") ?? "";
    const position = /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : requested;
    // A position beyond the last event belongs to an earlier emulator, so the reader has seen nothing of this one.
    const after = position > store.lastSeq ? 0 : position;
    const body = eventStream({
      store,
      channel,
      after,
      heartbeatMs: this.#heartbeatMs,
      lifetime: this.#lifetime,
      filter: filterOf(url.searchParams),
      request,
    });
    return new Response(body, {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        connection: "keep-alive",
      },
    });
  }
}

function pathSegments(path: string): string[] {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    throw mustBe("path", "correctly percent-encoded", path);
  }
}

/** The filter of a stream: `?sql=` has a CESQL expression, `?filter=` has JSON of the Subscriptions API. */
function filterOf(query: URLSearchParams): Filter | undefined {
  const [sql, json] = [query.get("sql"), query.get("filter")];
  if (sql !== null) return Filter.sql(sql);
  if (json === null) return undefined;
  let filter: SubscriptionFilter;
  try {
    filter = JSON.parse(json);
  } catch {
    throw mustBe("filter", "JSON", json);
  }
  return Filter.from(filter);
}

function notFound(): Response {
  return textResponse(404, "not found; the addresses are /cloudevents/<channel>[/events[/<seq>] | /stream]");
}

/** The status for an error, as in the web hook specification. */
function statusFor(error: FerryError, request: Request): number {
  switch (error.code) {
    case "ERR_TOO_LARGE":
      return 413;
    case "ERR_UNSUPPORTED_FORMAT":
      return 415;
    case "ERR_NOT_A_CLOUDEVENT":
      return request.headers.has("content-type") ? 415 : 400;
    case "ERR_NOT_CONVERTIBLE":
      return 406;
    default:
      return 400;
  }
}
