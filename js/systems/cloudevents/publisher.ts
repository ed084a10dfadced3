/** Publishing over HTTP, now and without a buffer; sessions and their outbox keep what has to be kept. */
import { Calls, type CallsOptions } from "../../client/calls.js";
import { FerryError } from "../../engine/errors.js";
import {
  DEFAULT_TIMEOUT_MS,
  type HeadersOption,
  checkClientOptions,
  checkSignal,
  checkTimeout,
  checkedUrl,
  mergeHeaders,
} from "../../client/options.js";
import type { OutboxOptions } from "../../outbox/options.js";
import { Outbox } from "../../outbox/outbox.js";
import type { DeliveryInfo } from "../../outbox/tracked-segment.js";
import type { EventSession } from "../../outbox/session.js";
import { SINGLES } from "../../outbox/wire.js";
import { EventBatch, listOf } from "./batch.js";
import { CloudEvent } from "./event.js";
import { type ContentMode, type HttpMessage, toMode } from "./http.js";
import { CloudEventsWire } from "./wire.js";
import { CLASSIFIERS } from "../../engine/ports.js";

/** How a publisher works. */
export interface PublisherOptions extends CallsOptions {
  /** Where to deliver: an absolute http or https URL. */
  url: string | URL;
  /**
   * How events travel. Binary and structured mode send one request for each event. Without it, sessions send batches, and go over to
   * single events in binary mode when a server answers 415.
   * Towards another origin a browser asks leave for every `ce-` header of binary mode; structured mode only
   * needs `content-type` allowed.
   * @default "binary" for one event, "batch" for several
   */
  mode?: ContentMode;
  /** Aborts everything that the publisher has under way, and closes its outbox. */
  signal?: AbortSignal;
  /** How sessions and their outbox work; `send` does not use it. */
  outbox?: OutboxOptions;
}

/** Options of one call. */
export interface SendOptions {
  /** Aborts this call. */
  signal?: AbortSignal;
  timeoutMs?: number;
  mode?: ContentMode;
  headers?: HeadersOption;
}

/**
 * Delivers CloudEvents over HTTP.
 *
 * @example
 * const publisher = new Publisher({ url: "https://example.com/events", retry: { attempts: 3 } });
 * await publisher.send(new CloudEvent({ type: "com.example.made", source: "/orders" }));
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #url: string;
  readonly #calls: Calls;
  #outbox: Outbox<CloudEvent> | undefined;
  #isClosed = false;

  constructor(options: PublisherOptions) {
    checkClientOptions("a Publisher", options, ["url", "mode", "outbox", "retry", "maxInFlight"]);
    this.#url = checkedUrl(options.url);
    this.#options = { ...options };
    this.#calls = new Calls(this.#options, CLASSIFIERS.webhook);
    if (options.outbox !== undefined) this.#outbox = this.#makeOutbox();
  }

  /**
   * Delivers one event or several, and resolves when the server has taken them all. Rejects with what the server said.
   * Several events in binary or structured mode go one after the other; the first failure ends the call, and
   * its message says how many were delivered.
   *
   * @throws {FerryError} `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_REDIRECTED` (redirects are not
   * followed), `ERR_UNAUTHORIZED`, `ERR_REJECTED`, `ERR_GONE`, `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_FORMAT`,
   * `ERR_RATE_LIMITED`, `ERR_UNAVAILABLE`, `ERR_QUEUE_FULL`, `ERR_CLOSED`; `status` has the HTTP status.
   */
  async send(events: CloudEvent | Iterable<CloudEvent> | EventBatch, options: SendOptions = {}): Promise<DeliveryInfo> {
    checkTimeout(options.timeoutMs);
    checkSignal(options.signal);
    const mode = options.mode ?? this.#options.mode;
    if (events instanceof CloudEvent) return this.#deliver(toMode(events, mode), [events.id], options);
    const all = listOf(events);
    if (all.length === 0) return { status: 0, attempts: 0, ids: [] };
    if (mode === undefined || mode === "batch") {
      return this.#deliver(
        toMode(events instanceof EventBatch ? events : all, "batch"),
        all.map((event) => event.id),
        options,
      );
    }
    const done: DeliveryInfo = { status: 0, attempts: 0, ids: [] };
    for (const event of all) {
      try {
        const { status, attempts } = await this.#deliver(toMode(event, mode), [event.id], options);
        done.status = status;
        done.attempts += attempts;
        done.ids.push(event.id);
      } catch (error) {
        if (!(error instanceof FerryError)) throw error;
        const { code, message, status, attribute, cause } = error;
        throw new FerryError(code, `${message} (${done.ids.length} of ${all.length} events were delivered before)`, {
          status,
          attribute,
          ...(cause !== undefined && { cause }),
        });
      }
    }
    return done;
  }

  /**
   * A session: what is published is buffered until `flush`, and dropped by `rollback`. What was flushed is delivered by the outbox, or kept.
   * Pages that are hidden or end flush their sessions.
   *
   * @example
   * const session = publisher.session();
   * session.publish(new CloudEvent({ type: "com.example.made", source: "/orders" }));
   * await session.flush();
   *
   * @throws {FerryError} `ERR_CLOSED`
   */
  session(): EventSession<CloudEvent> {
    return this.outbox.session();
  }

  /** Keeps what sessions have flushed until it is delivered. It is made when it is first asked for, or with the publisher if that has the option `outbox`. */
  get outbox(): Outbox<CloudEvent> {
    if (!this.#outbox && this.#isClosed) throw new FerryError("ERR_CLOSED");
    return (this.#outbox ??= this.#makeOutbox());
  }

  /** Gives up what `send` has under way and refuses further calls. An outbox is closed as by its own `close`, and what it keeps stays. */
  close(): void {
    this.#isClosed = true;
    this.#calls.close();
    // Somebody who wants to know how that ends calls it on the outbox.
    this.#outbox?.close().catch(() => undefined);
  }

  #makeOutbox(): Outbox<CloudEvent> {
    const { mode, outbox: settings = {}, headers, fetch, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = this.#options;
    const { origin, pathname } = new URL(this.#url);
    const outbox = new Outbox(settings, {
      wire: new CloudEventsWire(this.#url, mode),
      name: origin + pathname,
      fetch,
      timeoutMs,
      headers: {
        ask: () => (typeof headers === "function" ? headers() : headers),
        lines: (given, own) => mergeHeaders([given], own),
      },
      config: mode === undefined || mode === "batch" ? { concurrency: 1 } : SINGLES,
    });
    const close = () => void outbox.close().catch(() => undefined);
    if (signal?.aborted) close();
    else signal?.addEventListener("abort", close, { once: true });
    return outbox;
  }

  async #deliver(
    { headers, body }: HttpMessage,
    ids: string[],
    { headers: given, signal, timeoutMs }: SendOptions,
  ): Promise<DeliveryInfo> {
    const { status, attempts } = await this.#calls.call({
      url: this.#url,
      headers,
      body,
      userHeaders: given,
      signal,
      timeoutMs,
    });
    return { status, attempts, ids };
  }
}

// Where the runtime knows it, `await using publisher = …` closes.
if (Symbol.dispose) Object.defineProperty(Publisher.prototype, Symbol.dispose, { value: Publisher.prototype.close });
