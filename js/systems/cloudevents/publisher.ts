/** Publishes CloudEvents over HTTP: directly with `send`, or through sessions and an outbox. */
import { publish } from "../../engine/modules/publish.js";
import {
  type BrowserRequestOptions,
  Calls,
  type CallsOptions,
  checkBrowserRequestOptions,
} from "../../client/calls.js";
import { type Classify, checkClassify, classifyCall } from "../../client/classify.js";
import {
  checkClientOptions,
  checkedUrl,
  checkSignal,
  checkTimeout,
  DEFAULT_TIMEOUT_MS,
  type HeadersOption,
  mergeHeaders,
} from "../../client/options.js";
import { FerryError, traced } from "../../engine/errors.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { CLASSIFIERS } from "../../engine/ports.js";
import { identityOfHeaders } from "../../outbox/identity.js";
import type { OutboxOptions } from "../../outbox/options.js";
import { Outbox } from "../../outbox/outbox.js";
import type { FlushReport } from "../../outbox/report.js";
import type { EventReceipt, EventSession, FlushOptions, EventSessionOptions } from "../../outbox/session.js";
import { SINGLE_EVENT_LIMITS } from "../../outbox/wire.js";
import type { EventBatch } from "./batch.js";
import { isBatch } from "./batch-body.js";
import { checkEvent, toArray } from "./check-event.js";
import { CloudEvent, scanBytes } from "./event.js";
import { type ContentMode, checkMode, type HttpMessage, toHttp } from "./http.js";
import { readReply, replyHeaders, type SendInfo } from "./reply.js";
import { checkSigner, requestId, signatureHeaders } from "./signatures/sign.js";
import type { Signer } from "./signatures/signature.js";
import { withTraceContext } from "./trace-context.js";
import { CloudEventsWire, multiStatus } from "./wire.js";

/** Options of a publisher. */
export interface PublisherOptions extends CallsOptions, BrowserRequestOptions {
  /** The URL that events are sent to: an http or https URL. In a page it may be relative. */
  url: string | URL;
  /**
   * The content mode. Binary and structured mode need one request for each event. Without a mode, sessions send batches,
   * and change to single events in the mode for one event if the server answers 415.
   *
   * For a server of another origin a browser asks by a CORS preflight whether every `ce-` header of binary mode is
   * allowed; structured mode only needs `content-type`.
   * @default "binary" for one event ("structured" with `sign`), "batch" for several
   */
  mode?: ContentMode;
  /**
   * Signs each request when it is sent, for example `standardWebhooks(secret)`. The `webhook-id` is a digest of the
   * `source` and `id` of the events in the request. Without a mode, single events are sent in structured mode: a
   * signature covers the body, but not the headers, where binary mode has the attributes. A secret does not belong in a
   * page. Events that a page cannot sign before it is closed stay in the store for the next visit.
   * @default requests are not signed
   */
  sign?: Signer;
  /**
   * Called once for each event that is published, before it is staged: returns the event to publish in its place, or
   * `null`, which drops it: its receipt rejects with `ERR_DROPPED`. Must answer at once. `send` does not call it.
   * @default events are published as they are
   */
  beforeSend?: (event: CloudEvent) => CloudEvent | null;
  /**
   * What a response means, where its status does not tell: for all events of a request, or for each; `undefined` for
   * what the status says. `expectJsonOrEmpty` is ready to use. @default the status
   */
  classify?: Classify;
  /** Aborts all requests of the publisher, and closes its outbox. */
  signal?: AbortSignal;
  /** Options of the outbox, which sessions use and `send` does not. */
  outbox?: OutboxOptions;
}

/** Options of one call of `send`. */
export interface SendOptions {
  /** Aborts this call. */
  signal?: AbortSignal;
  /** The time limit of each request, in milliseconds. @default that of the publisher */
  timeoutMs?: number;
  /** The content mode. @default that of the publisher */
  mode?: ContentMode;
  /** Headers to add to those of the publisher. */
  headers?: HeadersOption;
}

/**
 * Delivers CloudEvents over HTTP. An event without `traceparent` gets the trace context of the active span, if the application
 * has registered OpenTelemetry.
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
  /** The session of `publish`. */
  #session: EventSession<CloudEvent> | undefined;
  /** Whether it is flushed at the end of this turn. */
  #isFlushing = false;
  #isClosed = false;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option. */
  constructor(options: PublisherOptions) {
    checkClientOptions("a Publisher", options, [
      "url",
      "mode",
      "outbox",
      "classify",
      "sign",
      "beforeSend",
      "retry",
      "maxInFlight",
      "credentials",
      "keepalive",
    ]);
    checkClassify(options.classify);
    checkBrowserRequestOptions(options);
    checkMode(options.mode);
    checkSigner(options.sign);
    const { beforeSend } = options;
    if (beforeSend !== undefined && typeof beforeSend !== "function")
      throw mustBe("beforeSend", "a function", beforeSend);
    this.#url = checkedUrl(options.url);
    this.#options = { ...options };
    const { sign } = options;
    this.#calls = new Calls(this.#options, publish, CLASSIFIERS.webhook, {
      sign: sign && ((...args) => signAttempt(sign, ...args)),
      responseHeaders: replyHeaders,
    });
    if (options.outbox !== undefined) this.#outbox = this.#createOutbox();
  }

  /**
   * Sends one event or several, and resolves once the server has accepted all of them.
   * Several events in binary or structured mode are sent one after the other; the first failure ends the call, and its
   * message tells how many were delivered. A response with status 207 that does not confirm every event of a batch
   * rejects as well, with the ids of those events in the message.
   *
   * @throws {FerryError} `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_REDIRECTED` (redirects are not
   * followed), `ERR_UNAUTHORIZED`, `ERR_REJECTED`, `ERR_GONE`, `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_FORMAT`,
   * `ERR_RATE_LIMITED`, `ERR_UNAVAILABLE`, `ERR_QUEUE_FULL`, `ERR_CLOSED`; `status` has the HTTP status.
   */
  send(events: CloudEvent | Iterable<CloudEvent> | EventBatch, options: SendOptions = {}): Promise<SendInfo> {
    return traced(this.#send(events, options));
  }

  async #send(events: CloudEvent | Iterable<CloudEvent> | EventBatch, options: SendOptions): Promise<SendInfo> {
    checkTimeout(options.timeoutMs);
    checkSignal(options.signal);
    const mode = options.mode ?? this.#options.mode;
    if (events instanceof CloudEvent) {
      const event = withTraceContext(events);
      return this.#deliver(toHttp(event, mode ?? this.#singleMode), [event], options);
    }
    const given = toArray(events);
    const all = isBatch(events) ? given : given.map((event) => withTraceContext(event));
    if (all.length === 0) return { status: 0, attempts: 0, ids: [] };
    if (mode === undefined || mode === "batch") {
      return this.#deliver(toHttp(isBatch(events) ? events : all, "batch"), all, options);
    }
    const delivered: SendInfo = { status: 0, attempts: 0, ids: [] };
    for (const event of all) {
      try {
        const { status, attempts, reply, replyError } = await this.#deliver(toHttp(event, mode), [event], options);
        delivered.status = status;
        delivered.attempts += attempts;
        delivered.ids.push(event.id);
        if (reply) delivered.reply = [...(delivered.reply ?? []), ...reply];
        if (replyError) delivered.replyError ??= replyError;
      } catch (error) {
        if (!(error instanceof FerryError)) throw error;
        const { code, message, status, attribute, cause } = error;
        throw new FerryError(
          code,
          `${message} (${delivered.ids.length} of ${all.length} events were delivered before)`,
          {
            status,
            attribute,
            cause,
          },
        );
      }
    }
    return delivered;
  }

  /**
   * Opens a session: published events are buffered until `flush`, and dropped by `rollback`. Flushed events are
   * delivered by the outbox, or stored in it. A page that is hidden or closed flushes its sessions.
   *
   * @example
   * const session = publisher.session();
   * session.publish(new CloudEvent({ type: "com.example.made", source: "/orders" }));
   * await session.flush();
   *
   * @throws {FerryError} `ERR_CLOSED` if the publisher is closed.
   */
  session(options?: EventSessionOptions): EventSession<CloudEvent> {
    return this.outbox.session(options);
  }

  /**
   * Publishes an event in one step: it is staged, and flushed at the end of this turn, together with the others of the
   * turn. If the store does not open, it stays staged for the next call of `publish` or `flush`.
   *
   * @returns its receipt, which tells when the event is stored, and when it is delivered
   * @throws {FerryError} as `publish` of a session
   * @example await publisher.publish(new CloudEvent({ type: "com.example.made", source: "/orders" })).accepted;
   */
  publish(event: CloudEvent): EventReceipt {
    this.#session ??= this.session();
    const session = this.#session;
    const receipt = session.publish(event);
    if (!this.#isFlushing) {
      this.#isFlushing = true;
      queueMicrotask(() => {
        this.#isFlushing = false;
        session.flushInBackground();
      });
    }
    return receipt;
  }

  /**
   * Waits until the events of `publish` are stored, or delivered. The report has those that were not flushed before.
   *
   * @throws {FerryError} as `flush` of a session
   */
  async flush(options?: FlushOptions): Promise<FlushReport> {
    this.#session ??= this.session();
    return this.#session.flush(options);
  }

  /**
   * The outbox, which stores flushed events until they are delivered. It is created on first use, or with the publisher
   * if that has the option `outbox`.
   *
   * @throws {FerryError} `ERR_CLOSED` if the publisher is closed and has no outbox yet.
   */
  get outbox(): Outbox<CloudEvent> {
    if (!this.#outbox && this.#isClosed) throw new FerryError("ERR_CLOSED");
    this.#outbox ??= this.#createOutbox();
    return this.#outbox;
  }

  /** Aborts running calls of `send` and rejects new ones. Closes the outbox as its own `close` does; stored events stay. */
  close(): void {
    this.#isClosed = true;
    this.#calls.close();
    // A caller who needs the result calls `close` of the outbox.
    this.#outbox?.close().catch(() => undefined);
  }

  /** The mode for one event, where none is given. */
  get #singleMode(): ContentMode {
    return this.#options.sign ? "structured" : "binary";
  }

  #createOutbox(): Outbox<CloudEvent> {
    const {
      mode,
      sign,
      beforeSend,
      outbox: settings = {},
      headers,
      fetch,
      timeoutMs = DEFAULT_TIMEOUT_MS,
      signal,
    } = this.#options;
    const outbox = new Outbox(settings, {
      wire: new CloudEventsWire(this.#url, mode, this.#singleMode),
      system: "cloudevents",
      url: this.#url,
      identity: identityOfHeaders(headers),
      classify: this.#options.classify,
      beforeSend: (event) => {
        const changed = beforeSend ? checkedBeforeSend(beforeSend, event) : event;
        return changed instanceof CloudEvent ? withTraceContext(changed) : changed;
      },
      sign:
        sign &&
        (async (batch, body) => {
          const id = await requestId(batch.texts().map((text) => scanBytes(text)));
          return signatureHeaders(sign, id, body);
        }),
      fetch,
      timeoutMs,
      credentials: this.#options.credentials,
      keepalive: this.#options.keepalive,
      headers: {
        resolve: () => (typeof headers === "function" ? headers() : headers),
        lines: (given, own) => mergeHeaders([given], own),
      },
      config: mode === undefined || mode === "batch" ? { concurrency: 1 } : SINGLE_EVENT_LIMITS,
    });
    outbox.closeOnAbort(signal);
    return outbox;
  }

  async #deliver(
    { headers, body }: HttpMessage,
    events: readonly CloudEvent[],
    { headers: given, signal, timeoutMs }: SendOptions,
  ): Promise<SendInfo> {
    const ids = events.map(({ id }) => id);
    const isSigned = this.#options.sign !== undefined;
    const call = this.#calls.call({
      url: this.#url,
      headers: isSigned ? { ...headers, "webhook-id": await requestId(events) } : headers,
      body,
      userHeaders: given,
      signal,
      timeoutMs,
      maxResponseBytes: MAX_REPLY_BYTES + ids.length * RESULT_BYTES,
    });
    const { classify } = this.#options;
    const response = await classifyCall(classify, call, () =>
      events.map((event) => ({ id: event.id, text: event.toString() })),
    );
    const { status, attempts } = response;
    if (status === 207 && !classify) checkResults(multiStatus(response.body, ids), ids);
    return { status, attempts, ids, ...readReply(response) };
  }
}

/** The result of `beforeSend`, checked. */
function checkedBeforeSend(beforeSend: (event: CloudEvent) => CloudEvent | null, event: CloudEvent): CloudEvent | null {
  checkEvent(event);
  const result: unknown = beforeSend(event);
  if (result === null || result instanceof CloudEvent) return result;
  // Nobody else handles its rejection.
  if (result instanceof Promise) result.catch(() => undefined);
  throw mustBe("the result of beforeSend", "a CloudEvent or null", result);
}

/** The headers of the signature of one attempt. Its id was made with the request. */
async function signAttempt(signer: Signer, lines: string, body: Uint8Array): Promise<string> {
  const id = /^webhook-id: (.*)$/m.exec(lines)![1]!;
  return mergeHeaders([await signatureHeaders(signer, id, body)], {});
}

/** How much of a response is read: enough for a reply, and one result of each event in a response with status 207. */
const MAX_REPLY_BYTES = 1024 * 1024;
const RESULT_BYTES = 512;
/** More ids would make the message unreadable. */
const MAX_NAMED_IDS = 10;

/** Throws if the response to a batch does not confirm all of its events. */
function checkResults(statuses: readonly number[], ids: readonly string[]): void {
  const failed = ids.flatMap((id, at) => (statuses[at]! < 300 ? [] : [{ id, status: statuses[at]! }]));
  if (failed.length === 0) return;
  const canRetry = failed.every(({ status }) => status === 429 || status >= 500);
  const named = failed.slice(0, MAX_NAMED_IDS).map(({ id, status }) => `${formatValue(id)} with ${status}`);
  const more = failed.length > MAX_NAMED_IDS ? " and others" : "";
  throw new FerryError(
    canRetry ? "ERR_UNAVAILABLE" : "ERR_REJECTED",
    `the server did not accept ${failed.length} of ${ids.length} events: ${named.join(", ")}${more}`,
    { status: 207 },
  );
}

// For `using publisher = …`, in runtimes that support it.
if (Symbol.dispose) Object.defineProperty(Publisher.prototype, Symbol.dispose, { value: Publisher.prototype.close });
