/**
 * CloudEvents over HTTP: takes events in all three modes, keeps them, and gives them back.
 *
 * ```text
 *   POST    /cloudevents                           to the channel "default"
 *   POST    /cloudevents/<channel>                 204, or 400, 413, 415 with what is wrong
 *   OPTIONS /cloudevents[/<channel>]               handshake of web hooks
 *   GET     /cloudevents/<channel>/events          ?after=<seq>&limit=<n>: a JSON batch
 *   GET     /cloudevents/<channel>/events/<seq>    ?mode=binary|structured: one event
 *   GET     /cloudevents/<channel>/stream          ?after=<seq>: server-sent events
 * ```
 */
import { EventBatch } from "../systems/cloudevents/batch.js";
import { readBody } from "../systems/cloudevents/body.js";
import { batchFromHttp, contentMode, toBinary, toStructured } from "../systems/cloudevents/http.js";
import { webhook } from "../systems/cloudevents/webhook.js";
import { FerryError, isFerryError } from "../engine/errors.js";
import { Forwarder, type Forwarding, type ForwardOptions } from "./forward.js";
import { type Lifetime, type Service, integer, plain } from "./service.js";
import { eventStream } from "./sse.js";
import { EventStore, type ReceivedEvent } from "./store.js";
import { formatValue } from "../engine/messages.js";
import { unixNow } from "../platform/clock.js";

/** How the CloudEvents service of an emulator works. */
export interface CloudEventsEmulatorOptions {
  /** How a delivery is answered: 204 means taken and processed, 202 only taken. @default 204 */
  status?: 202 | 204;
  /** How many events are kept; the oldest go first. @default 10 000 */
  maxEvents?: number;
  /** How many bytes of messages are kept, headers included; at least the last event stays. @default 64 MiB */
  maxBytes?: number;
  /** The largest body that is taken; more is answered with 413. @default 16 MiB */
  maxBodyBytes?: number;
  /** How long a stream may be silent before it sends a comment, in milliseconds. @default 15 000 */
  heartbeatMs?: number;
}

const DEFAULT_CHANNEL = "default";
const READ_METHODS = "GET, OPTIONS";
const WRITE_METHODS = "POST, OPTIONS";
const MAX_PAGE = 1000;

/** The CloudEvents service of an emulator, and what it has seen. */
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
    if (status !== 202 && status !== 204)
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `a delivery is answered with 202 or 204, not ${formatValue(status)}`,
      );
    this.#status = status;
    this.#store = new EventStore(
      integer("maxEvents", options.maxEvents, 10_000, 1),
      integer("maxBytes", options.maxBytes, 64 * 1024 * 1024, 1),
    );
    this.#maxBodyBytes = integer("maxBodyBytes", options.maxBodyBytes, 16 * 1024 * 1024, 1);
    this.#heartbeatMs = integer("heartbeatMs", options.heartbeatMs, 15_000, 1, 2 ** 31 - 1);
    this.#lifetime = lifetime;
  }

  /** The events that came and are still kept, oldest first. A fresh list. */
  get received(): readonly ReceivedEvent[] {
    return this.#store.all();
  }

  /** How many events were pushed out of `received` since the last `clear()`. */
  get dropped(): number {
    return this.#store.dropped;
  }

  /** Forgets all events. Their numbers go on, so that streams stay where they are. */
  clear(): void {
    this.#store.clear();
  }

  /**
   * Resolves with `received` once `count` events have come since the last `clear()`, those included that came before the call.
   *
   * @param options.timeoutMs How long to wait, in milliseconds. @default 10 000
   * @throws {FerryError} `ERR_TIMEOUT` after that time, `ERR_CLOSED` if the emulator is closed meanwhile.
   */
  async waitFor(count: number, options: { timeoutMs?: number } = {}): Promise<readonly ReceivedEvent[]> {
    integer("count", count, 1, 1);
    const store = this.#store;
    return store.watchers.until(
      () => (store.count >= count ? store.all() : undefined),
      options.timeoutMs,
      this.#lifetime,
      () => `${store.count} of ${count} events came`,
    );
  }

  /**
   * Sends each event that comes from now on to another server too, in order and one at a time. Nothing is tried twice.
   * A target that is slower than the events come misses those that leave `received` meanwhile; they count as failed.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a URL or a mode that cannot be.
   */
  forwardTo(url: string | URL, options: ForwardOptions = {}): Forwarding {
    return new Forwarder(url, options, this.#store, this.#lifetime);
  }

  /** Answers what the emulator has found to be for this service. */
  async handle(request: Request, url: URL): Promise<Response> {
    try {
      const [channel = DEFAULT_CHANNEL, view, seq, ...more] = segments(url.pathname.slice(this.prefix.length));
      if (more.length > 0) return notFound();
      if (view === undefined) return await this.#takeIn(request, channel);
      if (view !== "events" && (view !== "stream" || seq !== undefined)) return notFound();
      if (request.method !== "GET") return plain(405, "this address is for reading", { allow: READ_METHODS });
      if (view === "stream") return this.#stream(request, url, channel);
      return seq === undefined ? this.#page(url, channel) : this.#one(url, channel, seq);
    } catch (error) {
      if (!isFerryError(error) || error.culprit === "internal") throw error;
      return plain(statusOf(error, request), error.message);
    }
  }

  async #takeIn(request: Request, channel: string): Promise<Response> {
    if (request.method === "OPTIONS") return this.#handshake(request);
    if (request.method !== "POST")
      return plain(405, "events are sent here with POST and read at /events and /stream", { allow: WRITE_METHODS });
    const rawBody = await readBody(request, { maxBytes: this.#maxBodyBytes });
    const events = [...batchFromHttp(request.headers, rawBody)];
    const headers = Object.freeze(Object.fromEntries(request.headers));
    this.#store.add(
      { mode: contentMode(headers)!, headers, rawBody, channel, receivedAt: new Date(unixNow()), url: request.url },
      events,
    );
    return new Response(null, { status: this.#status });
  }

  /** All events of a batch are of one version, so a page ends before the first one of another. */
  #page(url: URL, channel: string): Response {
    const query = url.searchParams;
    const after = integer("after", query.get("after"), 0, 0);
    const limit = integer("limit", query.get("limit"), MAX_PAGE, 1, MAX_PAGE);
    const found = this.#store.after(after, limit + 1, channel);
    const end = found.findIndex(({ event }, at) => at === limit || event.specversion !== found[0]!.event.specversion);
    const page = end < 0 ? found : found.slice(0, end);
    const headers: Record<string, string> = {
      "content-type": "application/cloudevents-batch+json; charset=UTF-8",
      "cache-control": "no-store",
    };
    if (page.length < found.length) {
      headers["link"] = `<${url.pathname}?after=${page.at(-1)!.seq}&limit=${limit}>; rel="next"`;
    }
    return new Response(EventBatch.of(page.map(({ event }) => event)).toBytes() as Uint8Array<ArrayBuffer>, {
      headers,
    });
  }

  #one(url: URL, channel: string, seq: string): Response {
    const found = this.#store.get(channel, integer("the number of an event", seq, 0, 0));
    if (!found) return plain(404, `the channel ${formatValue(channel)} has no event ${seq}, or has it no more`);
    const mode = url.searchParams.get("mode") ?? (found.mode === "binary" ? "binary" : "structured");
    if (mode !== "binary" && mode !== "structured")
      throw new FerryError("ERR_INVALID_ARGUMENT", `the mode is binary or structured, not ${formatValue(mode)}`);
    const { headers, body } = mode === "binary" ? toBinary(found.event) : toStructured(found.event);
    // As bytes: to text the platform would add a content type.
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    return new Response((bytes ?? null) as Uint8Array<ArrayBuffer> | null, {
      headers: { ...headers, "cache-control": "no-store" },
    });
  }

  #stream(request: Request, url: URL, channel: string): Response {
    const store = this.#store;
    // Without a number only what is new; a browser that comes back says where it was in a header.
    const asked = integer("after", url.searchParams.get("after"), store.lastSeq, 0);
    const resumed = request.headers.get("last-event-id") ?? "";
    const wanted = /^\d{1,15}$/.test(resumed) ? Number(resumed) : asked;
    // A number from the future is of an emulator before this one; nothing of this one was seen.
    const after = wanted > store.lastSeq ? 0 : wanted;
    const body = eventStream({
      store,
      channel,
      after,
      heartbeatMs: this.#heartbeatMs,
      lifetime: this.#lifetime,
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

function segments(path: string): string[] {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    throw new FerryError(
      "ERR_INVALID_ARGUMENT",
      `the path has a percent sign that escapes nothing: ${formatValue(path)}`,
    );
  }
}

function notFound(): Response {
  return plain(404, "there is /cloudevents/<channel>, and below it /events, /events/<seq> and /stream");
}

/** The statuses of the web hook specification. */
function statusOf(error: FerryError, request: Request): number {
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
