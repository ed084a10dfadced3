/** Publishing to a pipeline: now, many at once, or buffered in sessions whose outbox keeps what has to be kept. */
import { Calls, type CallsOptions } from "../../client/calls.js";
import { FerryError } from "../../engine/errors.js";
import { DEFAULT_TIMEOUT_MS, checkOptionNames, checkSignal, checkTimeout, mergeHeaders } from "../../client/options.js";
import type { OutboxOptions } from "../../outbox/options.js";
import { Outbox } from "../../outbox/outbox.js";
import type { EventSession } from "../../outbox/session.js";
import { jsonOf } from "./json.js";
import { Endpoint, Pipeline, type PipelineCallOptions, type PipelineOptions, TOKEN_HEADER } from "./pipeline.js";
import { type PublishAllOptions, type PublishReport, publishAll } from "./publish-all.js";
import { PipelineWire } from "./wire.js";
import { formatValue } from "../../engine/messages.js";
import { CLASSIFIERS } from "../../engine/ports.js";

/** How a source works. */
export interface PipelineDataSourceOptions extends PipelineOptions, CallsOptions {
  /** Aborts everything that the source has under way, and closes its outbox. */
  signal?: AbortSignal;
  /** How sessions and their outbox work; `publish` and `publishAll` do not use it. Events go one in a request, and one after the other unless `concurrency` says otherwise. */
  outbox?: OutboxOptions;
}

/** The pipeline has taken an event. */
export interface PublishResult {
  /** 200, or another from 200 to 299. */
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
  readonly #pipeline: Pipeline;
  readonly #calls: Calls;
  readonly #url: string;
  #outbox: Outbox<unknown> | undefined;
  #isClosed = false;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the option that is missing, unknown or not usable */
  constructor(options: PipelineDataSourceOptions = {}) {
    this.#pipeline = new Pipeline("a PipelineDataSource", options, ["retry", "maxInFlight", "outbox"]);
    this.#options = { ...options };
    this.#calls = new Calls(this.#options, CLASSIFIERS.webhook);
    this.#url = this.#pipeline.url(Endpoint.Publish);
    if (options.outbox !== undefined) this.#outbox = this.#makeOutbox();
  }

  /** Which pipeline it is. */
  get pipelineId(): string {
    return this.#pipeline.id;
  }

  /**
   * Publishes one event, any JSON value but `null`, and resolves when the pipeline has taken it. BigInts become digits. Every request is made once,
   * unless the option `retry` says otherwise.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for what JSON cannot say; `ERR_UNAUTHORIZED` for a token that was refused; `ERR_REJECTED`, with `status`
   * 404 for a pipeline that is not there; `ERR_RATE_LIMITED` for 429, of which the original says nothing; `ERR_REDIRECTED` (redirects are not followed);
   * `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_FORMAT`, `ERR_GONE`, `ERR_UNAVAILABLE`, `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_QUEUE_FULL`, `ERR_CLOSED`.
   * `body` has what the server said.
   */
  async publish(event: unknown, options: PipelineCallOptions = {}): Promise<PublishResult> {
    return this.publishText(jsonOf(event), options);
  }

  /**
   * Publishes all events of an array, an iterable or an async iterable, taking the next one when there is room for it. Never rejects because of an
   * event: the report has those that failed, and why.
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
   * A session: what is published is buffered until `flush`, and dropped by `rollback`. What was flushed is delivered by the outbox in the order of
   * the flushes, or kept.
   *
   * @throws {FerryError} `ERR_CLOSED`
   */
  session(): EventSession<unknown> {
    return this.outbox.session();
  }

  /** Keeps what sessions have flushed until it is delivered. It is made when it is first asked for, or with the source if that has the option `outbox`. */
  get outbox(): Outbox<unknown> {
    if (!this.#outbox && this.#isClosed) throw new FerryError("ERR_CLOSED");
    return (this.#outbox ??= this.#makeOutbox());
  }

  /**
   * Resolves if the pipeline is there and takes the token.
   *
   * @throws {FerryError} `ERR_UNAUTHORIZED`, `ERR_REJECTED` with `status` 404, and all that `publish` may reject with; also for 429, which the original takes for a yes
   */
  async validateCredentials(options: PipelineCallOptions = {}): Promise<void> {
    await this.#pipeline.validateCredentials(this.#calls, checkedCall("validateCredentials", options));
  }

  /** Gives up what `publish` has under way and refuses further calls. An outbox is closed as by its own `close`, and what it keeps stays. */
  close(): void {
    this.#isClosed = true;
    this.#calls.close();
    // Somebody who wants to know how that ends calls it on the outbox.
    this.#outbox?.close().catch(() => undefined);
  }

  /** Publishes an event that is JSON text already. @internal */
  async publishText(text: string, options: PipelineCallOptions): Promise<PublishResult> {
    const call = {
      url: this.#url,
      headers: { "content-type": "application/json" },
      body: text,
      ...checkedCall("publish", options),
    };
    const { status } = await this.#pipeline.call("publish to", this.#calls, call);
    return { status };
  }

  #makeOutbox(): Outbox<unknown> {
    const { outbox: settings = {}, headers, fetch, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = this.#options;
    const { origin, pathname } = new URL(this.#url);
    let token = "";
    const use = (given: string) => {
      token = given;
      return typeof headers === "function" ? headers() : headers;
    };
    const outbox = new Outbox<unknown>(settings, {
      wire: new PipelineWire(this.#url),
      name: origin + pathname,
      fetch,
      timeoutMs,
      headers: {
        ask: () => {
          const given = this.#pipeline.token();
          return typeof given === "string" ? use(given) : given.then(use);
        },
        lines: (given, own) => mergeHeaders([given], { ...own, [TOKEN_HEADER]: token }),
      },
      config: { maxEvents: 1, concurrency: 1 },
    });
    const close = () => void outbox.close().catch(() => undefined);
    if (signal?.aborted) close();
    else signal?.addEventListener("abort", close, { once: true });
    return outbox;
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkedCall(what: string, options: PipelineCallOptions): PipelineCallOptions {
  checkOptionNames(what, options, ["signal", "timeoutMs"]);
  checkSignal(options.signal);
  checkTimeout(options.timeoutMs);
  return options;
}

/** By its shape: it may come from another copy of this package. */
export function checkedSource(source: unknown): PipelineDataSource {
  if (typeof (source as PipelineDataSource | undefined)?.publishText === "function")
    return source as PipelineDataSource;
  throw new FerryError(
    "ERR_INVALID_ARGUMENT",
    `republish takes the PipelineDataSource to publish to, not ${formatValue(source)}`,
  );
}

// Where the runtime knows it, `await using source = …` closes.
if (Symbol.dispose)
  Object.defineProperty(PipelineDataSource.prototype, Symbol.dispose, { value: PipelineDataSource.prototype.close });
