/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Consuming from a pipeline: one event, or all events as they come. The server deletes an event when it returns it;
 * therefore a consumed event is never dropped here.
 */
import { publish } from "../../engine/modules/publish.js";
import { Calls } from "../../client/calls.js";
import { DEFAULT_TIMEOUT_MS, aborted, checkOptionNames, checkSignal } from "../../client/options.js";
import { closeOnAbort } from "../../client/time-limit.js";
import { FerryError, traced } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { CLASSIFIERS } from "../../engine/ports.js";
import { problemListener } from "../../stores/problem-listener.js";
import type { OutboxStore, StoreProblemListener } from "../../stores/store.js";
import { type ConsumeResponse, SinkDriver } from "./driver.js";
import { DurableInbox, checkStore } from "./durable-inbox.js";
import type { PipelineEvent } from "./event.js";
import { Iteration, type IterationSource } from "./iteration.js";
import { type PipelineCallOptions, type PipelineOptions, checkCallOptions, checkCount } from "./options.js";
import { ENDPOINT, PipelineAccess } from "./pipeline-access.js";
import { type ConsumeResult, ResponseReader } from "./response.js";

/** Options of a sink. */
export interface PipelineDataSinkOptions extends PipelineOptions {
  /** Closes the sink when it aborts. */
  signal?: AbortSignal;
  /**
   * The delay before the next request after 204, 429 and errors. It doubles each time, with jitter of at most a tenth
   * of `baseMs`; an event ends it. `Retry-After` is a minimum, up to an hour. Both queues share one delay.
   */
  backoff?: {
    /** Half of the first delay, in milliseconds, 1 to 86 400 000. @default 1 000 */
    baseMs?: number;
    /**
     * The longest delay, in milliseconds, 1 to 86 400 000. A longer one means fewer requests to an empty pipeline, and
     * events that wait longer.
     *
     * @default 60 000
     */
    maxMs?: number;
  };
  /**
   * The largest response that is read as an event, in bytes, 1 to 128 MiB. A larger one is the `body` of an
   * `ERR_TOO_LARGE`, up to 64 MiB or this option. A higher limit needs more memory.
   *
   * @default 16 MiB
   */
  maxEventBytes?: number;
}

/** Options of an iteration. */
export interface EventsOptions {
  /** Whether to consume the events that the transformation failed at. @default false */
  failed?: boolean;
  /** Ends the iteration without an error. */
  signal?: AbortSignal;
  /**
   * Stores each event before it is returned, until `event.ack()`. The next iteration first returns the events that a
   * crash or the end of an iteration has left in the store: no event is lost, and an event may come twice. Use one
   * store for each queue, and for nothing else. An unreadable response becomes a dead letter of the store.
   */
  store?: OutboxStore;
  /**
   * With a store: how many events may be unacknowledged. A higher limit lets the store grow further before a missing
   * `ack()` is noticed.
   *
   * @default 1 000
   */
  maxUnacknowledged?: number;
  /**
   * With a store: called when the store has found that something in it is damaged or was deleted, with an `ERR_STORE`.
   * All iterations over a store tell the first one's listener. @default the first problem is shown in the console
   */
  onProblem?: (error: FerryError) => void;
  /**
   * Called after each failure that a retry may fix, before the delay: timeouts, network errors, 429 and the 5xx
   * statuses. An event whose response was lost on the way is lost.
   */
  onRetry?: (error: FerryError, delayMs: number) => void;
}

const DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024;
const MAX_EVENT_BYTES = 128 * 1024 * 1024;
const DAY_MS = 86_400_000;

/**
 * Consumes the events of a GlassFlow pipeline, one request after the other.
 *
 * @example
 * const sink = new PipelineDataSink({ pipelineId: "…", pipelineAccessToken: "…" });
 * for await (const event of sink) console.log(event.response);
 */
export class PipelineDataSink implements AsyncIterable<PipelineEvent> {
  readonly #options: PipelineDataSinkOptions;
  readonly #pipeline: PipelineAccess;
  readonly #driver: SinkDriver;
  readonly #reader: ResponseReader;
  readonly #inboxes = new Map<OutboxStore, DurableInbox>();
  /** Functions that end the iterations in progress. At module scope of a Worker no AbortController can be created. */
  readonly #iterations = new Set<() => void>();
  /** Responses whose call was cancelled. The next call for the queue gets them. */
  readonly #unclaimed: Record<Queue, ConsumeResponse[]> = { output: [], failed: [] };
  /** Settles when all unclaimed responses are stored. */
  #storing: Promise<unknown> = Promise.resolve();
  #calls: Calls | undefined;
  #stopListening: (() => void) | undefined;
  #closing: Promise<ConsumeResult[]> | undefined;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` if an option is missing, unknown or invalid */
  constructor(options: PipelineDataSinkOptions = {}) {
    this.#pipeline = new PipelineAccess("a PipelineDataSink", options, ["backoff", "maxEventBytes"]);
    this.#options = { ...options };
    const { backoff = {}, maxEventBytes = DEFAULT_MAX_EVENT_BYTES, fetch, signal } = options;
    checkOptionNames("backoff", backoff, ["baseMs", "maxMs"]);
    const { baseMs = 1000, maxMs = 60_000 } = backoff;
    checkCount("backoff.baseMs", baseMs, DAY_MS);
    checkCount("backoff.maxMs", maxMs, DAY_MS);
    checkCount("maxEventBytes", maxEventBytes, MAX_EVENT_BYTES);
    this.#reader = new ResponseReader(this.#pipeline, maxEventBytes);
    this.#driver = new SinkDriver({
      pipeline: this.#pipeline,
      urls: [this.#pipeline.url(ENDPOINT.consume), this.#pipeline.url(ENDPOINT.consumeFailed)],
      fetch,
      baseMs,
      maxMs,
      maxResponseBytes: this.#reader.maxResponseBytes,
      onUnclaimed: (isFailed, response) => this.#keepUnclaimed(isFailed, response),
    });
    this.#stopListening = closeOnAbort(signal, () => void this.close().catch(() => undefined));
  }

  /** Id of the pipeline. */
  get pipelineId(): string {
    return this.#pipeline.id;
  }

  /**
   * Consumes one event, if there is one, after the current delay. Calls run one after the other.
   *
   * The signal does not abort a request that is in flight, because the event would be lost: the next call returns it. A
   * timeout does abort the request.
   *
   * @throws {FerryError} `ERR_INVALID_EVENT` or `ERR_TOO_LARGE` for an unreadable response: its bytes are in `body`,
   * because the server has deleted the event. `ERR_UNAUTHORIZED`; `ERR_REJECTED`, with `status` 404 for an unknown
   * pipeline; `ERR_REDIRECTED`, `ERR_UNAVAILABLE`, `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_QUEUE_FULL`,
   * `ERR_CLOSED`
   */
  async consume<P = unknown, R = unknown>(options: PipelineCallOptions = {}): Promise<ConsumeResult<P, R>> {
    return (await traced(this.#consume(false, checkCallOptions("consume", options)))) as ConsumeResult<P, R>;
  }

  /**
   * Consumes one event that the transformation failed at: it has `payload`, `errorDetails` and `stackTrace`.
   *
   * @throws {FerryError} as `consume`
   */
  async consumeFailed<P = unknown>(options: PipelineCallOptions = {}): Promise<ConsumeResult<P>> {
    return (await traced(this.#consume(true, checkCallOptions("consumeFailed", options)))) as ConsumeResult<P>;
  }

  /** The events of the output as they come, like `events()`. */
  [Symbol.asyncIterator](): AsyncIterator<PipelineEvent> {
    return this.events()[Symbol.asyncIterator]();
  }

  /**
   * The events as they come. The iteration is endless: `break`, the signal, or closing the sink ends it. It requests an
   * event when the loop asks for one, waits while the queue is empty, and continues after failures that a retry may
   * fix.
   *
   * An error of the iterator ends a `for await`; a new iteration continues with the next event.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`. The iterator throws every error of `consume` that a
   *   retry cannot fix; `ERR_STORE`, after which the next iteration of this sink returns the event; `ERR_QUEUE_FULL`
   *   for too many unacknowledged events
   */
  events<P = unknown, R = unknown>(options: EventsOptions = {}): AsyncIterable<PipelineEvent<P, R>> {
    if (this.#closing) throw new FerryError("ERR_CLOSED");
    checkOptionNames("events", options, ["failed", "signal", "store", "maxUnacknowledged", "onProblem", "onRetry"]);
    const { failed: isFailed = false, signal, store, maxUnacknowledged = 1000, onRetry } = options;
    const onProblem = problemListener(options.onProblem);
    if (typeof isFailed !== "boolean") throw mustBe("failed", "a boolean", isFailed);
    if (onRetry !== undefined && typeof onRetry !== "function") throw mustBe("onRetry", "a function", onRetry);
    checkSignal(signal);
    checkCount("maxUnacknowledged", maxUnacknowledged, 1_000_000);
    if (store !== undefined) checkStore(store);
    const source: IterationSource = {
      reader: this.#reader,
      iterations: this.#iterations,
      receive: (isFailed, options) => this.#receive(isFailed, options),
      putBack: (isFailed, response) => void this.#unclaimed[queueOf(isFailed)].unshift(response),
    };
    const iterate = () =>
      new Iteration(
        source,
        { isFailed, signal, maxUnacknowledged, onRetry },
        store && this.#inbox(store, isFailed, onProblem),
      );
    return { [Symbol.asyncIterator]: () => iterate() as unknown as AsyncIterator<PipelineEvent<P, R>> };
  }

  /**
   * Resolves if the pipeline exists and accepts the token.
   *
   * @throws {FerryError} `ERR_UNAUTHORIZED`, `ERR_REJECTED` with `status` 404, `ERR_RATE_LIMITED`, `ERR_REDIRECTED`,
   * `ERR_UNAVAILABLE`, `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_CLOSED`
   */
  async validateCredentials(options: PipelineCallOptions = {}): Promise<void> {
    const { fetch, signal, timeoutMs, headers } = this.#options;
    if (this.#closing) throw new FerryError("ERR_CLOSED");
    this.#calls ??= new Calls(
      {
        ...(fetch && { fetch }),
        ...(signal && { signal }),
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(headers && { headers }),
      },
      publish,
      CLASSIFIERS.webhook,
    );
    await this.#pipeline.validateCredentials(this.#calls, checkCallOptions("validateCredentials", options));
  }

  /**
   * Refuses further calls, ends all iterations, and waits for the request in flight. Resolves with the results that no
   * call has claimed, usually none. An iteration with a store leaves them in the store instead.
   */
  close(): Promise<ConsumeResult[]> {
    this.#stopListening?.();
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Closes the sink, as `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #consume(isFailed: boolean, options: PipelineCallOptions): Promise<ConsumeResult> {
    return this.#reader.result(isFailed, await this.#receive(isFailed, options));
  }

  async #receive(isFailed: boolean, { signal, timeoutMs }: PipelineCallOptions): Promise<ConsumeResponse> {
    if (this.#closing) throw new FerryError("ERR_CLOSED");
    if (signal?.aborted) throw aborted(signal);
    const requestTimeoutMs = timeoutMs ?? this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return this.#unclaimed[queueOf(isFailed)].shift() ?? this.#driver.consume(isFailed, requestTimeoutMs, signal);
  }

  #inbox(store: OutboxStore, isFailed: boolean, onProblem: StoreProblemListener): DurableInbox {
    let inbox = this.#inboxes.get(store);
    if (!inbox) {
      const { origin, pathname } = new URL(this.#pipeline.url(isFailed ? ENDPOINT.consumeFailed : ENDPOINT.consume));
      inbox = new DurableInbox(store, origin + pathname, isFailed, onProblem);
      this.#inboxes.set(store, inbox);
    }
    if (inbox.isFailed !== isFailed)
      throw invalidArgument("this store is in use for the other queue of the pipeline; use one store for each queue");
    return inbox;
  }

  /** Keeps a response whose call was cancelled: in the store of the queue if there is one, otherwise in memory. */
  #keepUnclaimed(isFailed: boolean, response: ConsumeResponse): void {
    const unclaimed = this.#unclaimed[queueOf(isFailed)];
    const inbox = [...this.#inboxes.values()].find((inbox) => inbox.isFailed === isFailed);
    if (!inbox || response.status !== 200) {
      unclaimed.push(response);
      return;
    }
    const storing = inbox.addForLater(response.body).catch(() => unclaimed.push(response));
    this.#storing = Promise.all([this.#storing, storing]);
  }

  async #close(): Promise<ConsumeResult[]> {
    for (const end of [...this.#iterations]) end();
    this.#calls?.close();
    await this.#driver.close();
    await this.#storing;
    for (const inbox of this.#inboxes.values()) await inbox.close().catch(() => undefined);
    return [false, true].flatMap((isFailed) =>
      this.#unclaimed[queueOf(isFailed)].splice(0).map((response): ConsumeResult => {
        try {
          return this.#reader.result(isFailed, response);
        } catch {
          return { status: response.status, body: response.body };
        }
      }),
    );
  }
}

type Queue = "output" | "failed";

function queueOf(isFailed: boolean): Queue {
  return isFailed ? "failed" : "output";
}
