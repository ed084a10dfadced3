/** Publishing to a pipeline: one event, many events, or buffered in sessions with an outbox. */
import { publish } from "../../engine/modules/publish.js";
import { Calls, type CallsOptions } from "../../client/calls.js";
import { type Classify, checkClassify, classifyCall } from "../../client/classify.js";
import { FerryError, traced } from "../../engine/errors.js";
import { DEFAULT_TIMEOUT_MS, mergeHeaders } from "../../client/options.js";
import type { OutboxOptions } from "../../outbox/options.js";
import { Outbox } from "../../outbox/outbox.js";
import type { EventSession } from "../../outbox/session.js";
import { eventToJson } from "./json.js";
import { type PipelineCallOptions, type PipelineOptions, checkCallOptions } from "./options.js";
import { ENDPOINT, PipelineAccess, TOKEN_HEADER } from "./pipeline-access.js";
import { type PublishAllOptions, type PublishReport, publishAll } from "./publish-all.js";
import { PipelineWire } from "./wire.js";
import { mustBe } from "../../engine/messages.js";
import { CLASSIFIERS } from "../../engine/ports.js";

/** Options of a source. */
export interface PipelineDataSourceOptions extends PipelineOptions, CallsOptions {
  /**
   * What a response means, where its status does not tell: for all events of a request, or for each; `undefined` for
   * what the status says. `expectJsonOrEmpty` is ready to use. @default the status
   */
  classify?: Classify;
  /** Aborts all requests of the source, and closes its outbox. */
  signal?: AbortSignal;
  /**
   * Options of the outbox of sessions; `publish` and `publishAll` do not use it. Each request sends one event, and with
   * the default `concurrency` of 1 events are sent one after the other.
   */
  outbox?: OutboxOptions;
}

/** The pipeline has accepted an event. */
export interface PublishResult {
  /** The status of the response, 200 to 299. */
  status: number;
}

/**
 * Publishes events to a GlassFlow pipeline.
 *
 * @example
 * const source = new PipelineDataSource({ pipelineId: "…", pipelineAccessToken: "…" });
 * await source.publish({ orderId: 7 });
 */
export class PipelineDataSource {
  readonly #options: PipelineDataSourceOptions;
  readonly #pipeline: PipelineAccess;
  readonly #calls: Calls;
  readonly #url: string;
  #outbox: Outbox<unknown> | undefined;
  #isClosed = false;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` if an option is missing, unknown or invalid */
  constructor(options: PipelineDataSourceOptions = {}) {
    this.#pipeline = new PipelineAccess("a PipelineDataSource", options, [
      "retry",
      "maxInFlight",
      "outbox",
      "classify",
    ]);
    checkClassify(options.classify);
    this.#options = { ...options };
    this.#calls = new Calls(this.#options, publish, CLASSIFIERS.webhook);
    this.#url = this.#pipeline.url(ENDPOINT.publish);
    if (options.outbox !== undefined) this.#outbox = this.#createOutbox();
  }

  /** Id of the pipeline. */
  get pipelineId(): string {
    return this.#pipeline.id;
  }

  /**
   * Publishes one event, any JSON value except `null`, and resolves when the pipeline has accepted it. A BigInt becomes
   * an integer with all its digits. A failed request is repeated only with the option `retry`.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for values that JSON cannot represent; `ERR_UNAUTHORIZED` for a refused
   * token; `ERR_REJECTED`, with `status` 404 for an unknown pipeline; `ERR_RATE_LIMITED` for 429, which the original
   * does not report; `ERR_REDIRECTED` (redirects are not followed); `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_FORMAT`,
   * `ERR_GONE`, `ERR_UNAVAILABLE`, `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_QUEUE_FULL`, `ERR_CLOSED`. `body`
   * is the body of the response.
   */
  async publish(event: unknown, options: PipelineCallOptions = {}): Promise<PublishResult> {
    return await traced(this.publishText(eventToJson(event), options));
  }

  /**
   * Publishes all events of an array, an iterable or an async iterable, with at most `concurrency` requests in flight.
   * An event that fails does not reject the promise: the report contains it with its error.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  async publishAll<E>(
    events: Iterable<E> | AsyncIterable<E>,
    options: PublishAllOptions<E> = {},
  ): Promise<PublishReport<E>> {
    return publishAll(events, options, (event, call) => this.publish(event, call));
  }

  /**
   * Starts a session: published events are buffered until `flush`, and dropped by `rollback`. The outbox delivers
   * flushed events in the order of the flushes, and keeps them until then.
   *
   * @throws {FerryError} `ERR_CLOSED`
   */
  session(): EventSession<unknown> {
    return this.outbox.session();
  }

  /**
   * Keeps the flushed events of sessions until they are delivered. It is created on first use, or together with the
   * source if that has the option `outbox`.
   */
  get outbox(): Outbox<unknown> {
    if (!this.#outbox && this.#isClosed) throw new FerryError("ERR_CLOSED");
    this.#outbox ??= this.#createOutbox();
    return this.#outbox;
  }

  /**
   * Resolves if the pipeline exists and accepts the token.
   *
   * @throws {FerryError} the errors of `publish`, also `ERR_RATE_LIMITED` for 429, which the original treats as valid
   */
  async validateCredentials(options: PipelineCallOptions = {}): Promise<void> {
    await traced(this.#pipeline.validateCredentials(this.#calls, checkCallOptions("validateCredentials", options)));
  }

  /**
   * Aborts the requests of `publish` and refuses further calls. Closes the outbox, which keeps its events; to wait for
   * that, call `outbox.close()`.
   */
  close(): void {
    this.#isClosed = true;
    this.#calls.close();
    this.#outbox?.close().catch(() => undefined);
  }

  /** Publishes an event that is JSON text. @internal */
  async publishText(text: string, options: PipelineCallOptions): Promise<PublishResult> {
    const call = {
      url: this.#url,
      headers: { "content-type": "application/json" },
      body: text,
      ...checkCallOptions("publish", options),
    };
    const { status } = await this.#pipeline.call("publish to", this.#calls, call, (response) =>
      classifyCall(this.#options.classify, response, () => [{ id: "", text }]),
    );
    return { status };
  }

  #createOutbox(): Outbox<unknown> {
    const { outbox: settings = {}, headers, fetch, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = this.#options;
    let token = "";
    const headersAfter = (nextToken: string) => {
      token = nextToken;
      return typeof headers === "function" ? headers() : headers;
    };
    const outbox = new Outbox<unknown>(settings, {
      wire: new PipelineWire(this.#url),
      system: "glassflow",
      url: this.#url,
      // The tokens of a pipeline change; its events stay its own.
      identity: { text: this.pipelineId },
      classify: this.#options.classify,
      fetch,
      timeoutMs,
      headers: {
        resolve: () => {
          const nextToken = this.#pipeline.token();
          return typeof nextToken === "string" ? headersAfter(nextToken) : nextToken.then(headersAfter);
        },
        lines: (headers, required) => mergeHeaders([headers], { ...required, [TOKEN_HEADER]: token }),
      },
      config: { "batch.maxEvents": 1, concurrency: 1 },
    });
    outbox.closeOnAbort(signal);
    return outbox;
  }
}

/**
 * Checks the shape and not the class: the source may come from another copy of this package.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function checkSource(source: unknown): PipelineDataSource {
  if (typeof (source as PipelineDataSource | undefined)?.publishText === "function")
    return source as PipelineDataSource;
  throw mustBe("source", "a PipelineDataSource", source);
}

// For `using source = …`, where the runtime has `Symbol.dispose`.
if (Symbol.dispose)
  Object.defineProperty(PipelineDataSource.prototype, Symbol.dispose, { value: PipelineDataSource.prototype.close });
