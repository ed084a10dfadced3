/** Consuming from a pipeline: one event, or all of them as they come. What is taken is gone from the server, so nothing that was taken is dropped here. */
import { Calls } from "../../client/calls.js";
import { FerryError, type FerryErrorCode, isFerryError } from "../../engine/errors.js";
import { DEFAULT_TIMEOUT_MS, aborted, checkOptionNames, checkSignal } from "../../client/options.js";
import type { OutboxStore } from "../../stores/store.js";
import { SinkDriver, type Taken, restAfter } from "./driver.js";
import { type PipelineEvent, readEvent } from "./event.js";
import { Journal, checkStore } from "./journal.js";
import { Endpoint, Pipeline, type PipelineCallOptions, type PipelineOptions } from "./pipeline.js";
import { checkedCall } from "./source.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";
import { CLASSIFIERS } from "../../engine/ports.js";

/** How a sink works. */
export interface PipelineDataSinkOptions extends PipelineOptions {
  /** Closes the sink when it aborts. */
  signal?: AbortSignal;
  /**
   * How long to rest before the next request when there was nothing to be had, on 429 and after errors: twice as long each time, with a tenth of `baseMs` of
   * jitter at most. An event ends it. `Retry-After` is a floor, up to an hour. One rest for both queues.
   */
  backoff?: {
    /** Half of the first rest, 1 to 86 400 000. @default 1 000 */
    baseMs?: number;
    /** The longest rest. More of it means fewer requests to an empty pipeline, and events that wait longer. @default 60 000 */
    maxMs?: number;
  };
  /**
   * The largest answer that is read as an event, 1 to 128 MiB. A larger one comes raw in the `body` of an `ERR_TOO_LARGE`, up to 64 MiB of it.
   * More takes more memory. @default 16 MiB
   */
  maxEventBytes?: number;
}

/** What a queue gave. */
export interface ConsumeResult<P = unknown, R = unknown> {
  /** 200: an event. 204: nothing there. 429: the server wants a slower pace. Others from 200 to 299 mean nothing to this client. */
  status: number;
  /** With 200. */
  event?: PipelineEvent<P, R>;
  /** With any other status from 200 to 299 whose answer had a body, because it may be an event all the same. */
  body?: Uint8Array;
}

/** What to iterate over, and how. */
export interface EventsOptions {
  /** Those that the transformation failed at. @default false */
  failed?: boolean;
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
  /**
   * Keeps each event from before it is handed out until `event.ack()`: what a crash or the end of the iteration left behind is handed out first the next
   * time, so nothing is lost and an event may come twice. Use one store for each queue, and for nothing else. An answer that cannot be read
   * goes to its dead letters.
   */
  store?: OutboxStore;
  /** With a store: how many events may be handed out and not acknowledged. More would fill the store unnoticed. @default 1 000 */
  maxUnacknowledged?: number;
  /** Told of each failure after which the iteration rests and goes on: time-outs, network errors, 429 and the 5xx. An event whose answer was lost is lost. */
  onRetry?: (error: FerryError, delayMs: number) => void;
}

const MIB = 1024 * 1024;
const DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024;
const MOST_EVENT_BYTES = 128 * MIB;
/** Up to here an answer is handed over even if it is larger than an event may be. */
const MAX_ANSWER_BYTES = 64 * MIB;
const DAY_MS = 86_400_000;

/**
 * Consumes the events of a GlassFlow pipeline, one request each and one after the other.
 *
 * @example
 * const sink = new PipelineDataSink({ pipelineId: "…", pipelineAccessToken: "…" });
 * for await (const event of sink) console.log(event.response);
 */
export class PipelineDataSink implements AsyncIterable<PipelineEvent> {
  readonly #options: PipelineDataSinkOptions;
  readonly #pipeline: Pipeline;
  readonly #driver: SinkDriver;
  readonly #maxEventBytes: number;
  /** How much of an answer is read. */
  readonly #maxResponseBytes: number;
  readonly #journals = new Map<OutboxStore, Journal>();
  /** How to end each iteration that goes on. No AbortController: at module scope of a Worker none can be made. */
  readonly #iterations = new Set<() => void>();
  /** Answers that came when nobody waited any more: of the output, and of those that failed. */
  readonly #strays: Record<Queue, Taken[]> = { output: [], failed: [] };
  #keeping: Promise<unknown> = Promise.resolve();
  #calls: Calls | undefined;
  #closing: Promise<ConsumeResult[]> | undefined;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` naming the option that is missing, unknown or not usable */
  constructor(options: PipelineDataSinkOptions = {}) {
    this.#pipeline = new Pipeline("a PipelineDataSink", options, ["backoff", "maxEventBytes"]);
    this.#options = { ...options };
    const { backoff = {}, maxEventBytes = DEFAULT_MAX_EVENT_BYTES, fetch, signal } = options;
    checkOptionNames("backoff", backoff, ["baseMs", "maxMs"]);
    const { baseMs = 1000, maxMs = 60_000 } = backoff;
    checkWhole("backoff.baseMs", baseMs, DAY_MS);
    checkWhole("backoff.maxMs", maxMs, DAY_MS);
    checkWhole("maxEventBytes", maxEventBytes, MOST_EVENT_BYTES);
    this.#maxEventBytes = maxEventBytes;
    this.#maxResponseBytes = Math.max(maxEventBytes + 1, MAX_ANSWER_BYTES);
    this.#driver = new SinkDriver({
      pipeline: this.#pipeline,
      urls: [this.#pipeline.url(Endpoint.Consume), this.#pipeline.url(Endpoint.ConsumeFailed)],
      fetch,
      baseMs,
      maxMs,
      maxResponseBytes: this.#maxResponseBytes,
      stray: (isFailed, taken) => this.#stray(isFailed, taken),
    });
    const close = () => void this.close().catch(() => undefined);
    if (signal?.aborted) close();
    else signal?.addEventListener("abort", close, { once: true });
  }

  /** Which pipeline it is. */
  get pipelineId(): string {
    return this.#pipeline.id;
  }

  /**
   * Takes one event, if there is one. Rests first if the last answer was none; calls wait for each other.
   *
   * When the signal aborts, a request that is under way goes on, and the next call gets what it brings: aborted, it would take its event with it.
   * A time-out does.
   *
   * @throws {FerryError} `ERR_INVALID_EVENT` or `ERR_TOO_LARGE` for an answer that cannot be read: it is in `body`, byte for byte, because the server has it
   * no more. `ERR_UNAUTHORIZED`, `ERR_REJECTED` with `status` 404 for a pipeline that is not there, `ERR_REDIRECTED`, `ERR_UNAVAILABLE`, `ERR_TIMEOUT`,
   * `ERR_NETWORK`, `ERR_ABORTED`, `ERR_QUEUE_FULL`, `ERR_CLOSED`.
   */
  async consume<P = unknown, R = unknown>(options: PipelineCallOptions = {}): Promise<ConsumeResult<P, R>> {
    return (await this.#consume(false, checkedCall("consume", options))) as ConsumeResult<P, R>;
  }

  /** The same for an event that the transformation failed at: it has its `payload`, `errorDetails` and `stackTrace`. */
  async consumeFailed<P = unknown>(options: PipelineCallOptions = {}): Promise<ConsumeResult<P>> {
    return (await this.#consume(true, checkedCall("consumeFailed", options))) as ConsumeResult<P>;
  }

  /** The events of the output, as they come. */
  [Symbol.asyncIterator](): AsyncIterator<PipelineEvent> {
    return this.events()[Symbol.asyncIterator]();
  }

  /**
   * Events as they come, without an end: it ends with `break`, the signal, or the sink. Each is asked for when the loop wants it and not before. When
   * there is nothing to be had it rests, and it goes on after failures that time can mend.
   *
   * What the iterator throws ends a `for await`; a new one goes on with the next event.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`; when it is iterated, all that `consume` throws and time cannot mend; `ERR_STORE`, and then the event comes again in the next
   * iteration of this sink; `ERR_QUEUE_FULL` for too many events that are not acknowledged
   */
  events<P = unknown, R = unknown>(options: EventsOptions = {}): AsyncIterable<PipelineEvent<P, R>> {
    if (this.#closing) throw new FerryError("ERR_CLOSED");
    checkOptionNames("events", options, ["failed", "signal", "store", "maxUnacknowledged", "onRetry"]);
    const { failed = false, signal, store, maxUnacknowledged = 1000, onRetry } = options;
    if (typeof failed !== "boolean") throw invalidArgument(`failed is true or false, not ${formatValue(failed)}`);
    if (onRetry !== undefined && typeof onRetry !== "function")
      throw invalidArgument(`onRetry is a function, not ${formatValue(onRetry)}`);
    checkSignal(signal);
    checkWhole("maxUnacknowledged", maxUnacknowledged, 1_000_000);
    if (store !== undefined) checkStore(store);
    const iterate = () =>
      new Iteration(
        this,
        { failed, signal, onRetry, ends: this.#iterations, maxUnacknowledged },
        store && this.#journal(store, failed),
      );
    return { [Symbol.asyncIterator]: () => iterate() as unknown as AsyncIterator<PipelineEvent<P, R>> };
  }

  /**
   * Resolves if the pipeline is there and takes the token.
   *
   * @throws {FerryError} `ERR_UNAUTHORIZED`, `ERR_REJECTED` with `status` 404, `ERR_RATE_LIMITED`, and what a request may come to
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
      CLASSIFIERS.webhook,
    );
    await this.#pipeline.validateCredentials(this.#calls, checkedCall("validateCredentials", options));
  }

  /**
   * Refuses further calls, ends iterations, and waits for the request that is under way, if there is one. Resolves with what it and those before it brought
   * when nobody wanted it any more: as a rule nothing. With a store it is kept there.
   */
  close(): Promise<ConsumeResult[]> {
    return (this.#closing ??= this.#close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Takes what there is. @internal */
  async take(isFailed: boolean, { signal, timeoutMs }: PipelineCallOptions): Promise<Taken> {
    if (this.#closing) throw new FerryError("ERR_CLOSED");
    if (signal?.aborted) throw aborted(signal);
    const limitMs = timeoutMs ?? this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return this.#strays[queueOf(isFailed)].shift() ?? this.#driver.take(isFailed, limitMs, signal);
  }

  /** An answer that has to be taken once more. @internal */
  putBack(isFailed: boolean, taken: Taken): void {
    this.#strays[queueOf(isFailed)].unshift(taken);
  }

  /** Reads an answer of 200. Whatever it throws has the answer in it. @internal */
  read(isFailed: boolean, body: Uint8Array, acknowledge?: () => Promise<void>): PipelineEvent {
    if (body.length > this.#maxEventBytes) {
      const isCut = body.length >= this.#maxResponseBytes;
      const inside = `${isCut ? "its first" : "all"} ${body.length} bytes are in the body of this error`;
      throw this.#lost(
        isFailed,
        "ERR_TOO_LARGE",
        `the event is larger than the ${this.#maxEventBytes} bytes of maxEventBytes; ${inside}`,
        { status: 200, body },
      );
    }
    let event: PipelineEvent | undefined;
    try {
      event = readEvent(this.#pipeline, isFailed, body, acknowledge);
    } catch (cause) {
      throw this.#lost(
        isFailed,
        isFerryError(cause) ? cause.code : "ERR_INTERNAL",
        (cause as Error).message,
        { status: 200, body },
        cause,
      );
    }
    if (event) return event;
    const sentence =
      body.length === 0
        ? "the answer is empty"
        : "the answer is not an event that can be read; its bytes are in the body of this error";
    throw this.#lost(isFailed, "ERR_INVALID_EVENT", sentence, { status: 200, body });
  }

  /** An answer that nobody knows what to do with. @internal */
  unexpected(isFailed: boolean, taken: Taken): FerryError {
    return this.#lost(isFailed, "ERR_REJECTED", "the server neither gave an event nor said that there is none", taken);
  }

  /** An event that the store did not take. @internal */
  unstored(isFailed: boolean, cause: FerryError, taken: Taken): FerryError {
    return this.#lost(
      isFailed,
      cause.code,
      `${cause.message}; the event comes again in the next iteration of this sink`,
      taken,
      cause,
    );
  }

  #lost(
    isFailed: boolean,
    code: FerryErrorCode,
    sentence: string,
    { status, body }: Omit<Taken, "delayMs">,
    cause?: unknown,
  ): FerryError {
    return this.#pipeline.lost(isFailed ? "consume a failed event of" : "consume from", code, sentence, {
      status,
      body,
      cause,
    });
  }

  async #consume(isFailed: boolean, options: PipelineCallOptions): Promise<ConsumeResult> {
    return this.#result(isFailed, await this.take(isFailed, options));
  }

  #result(isFailed: boolean, { status, body }: Taken): ConsumeResult {
    if (status === 200) return { status, event: this.read(isFailed, body) };
    return status === 204 || status === 429 || body.length === 0 ? { status } : { status, body };
  }

  #journal(store: OutboxStore, isFailed: boolean): Journal {
    let journal = this.#journals.get(store);
    if (!journal) {
      const { origin, pathname } = new URL(this.#pipeline.url(isFailed ? Endpoint.ConsumeFailed : Endpoint.Consume));
      journal = new Journal(store, origin + pathname, isFailed);
      this.#journals.set(store, journal);
    }
    if (journal.isFailed !== isFailed)
      throw invalidArgument("this store is in use for the other queue of the pipeline; give each a store of its own");
    return journal;
  }

  /** Where there is a store, it goes there; then the next iteration finds it. */
  #stray(isFailed: boolean, taken: Taken): void {
    const journal = [...this.#journals.values()].find((journal) => journal.isFailed === isFailed);
    if (!journal || taken.status !== 200) return void this.#strays[queueOf(isFailed)].push(taken);
    const keeping = journal.keepForLater(taken.body).catch(() => this.#strays[queueOf(isFailed)].push(taken));
    this.#keeping = Promise.all([this.#keeping, keeping]);
  }

  async #close(): Promise<ConsumeResult[]> {
    for (const end of [...this.#iterations]) end();
    this.#calls?.close();
    await this.#driver.close();
    await this.#keeping;
    for (const journal of this.#journals.values()) await journal.close().catch(() => undefined);
    const left = [false, true].flatMap((isFailed) =>
      this.#strays[queueOf(isFailed)].map((taken): ConsumeResult => {
        try {
          return this.#result(isFailed, taken);
        } catch {
          return { status: taken.status, body: taken.body };
        }
      }),
    );
    Object.assign(this.#strays, { output: [], failed: [] });
    return left;
  }
}

interface IterationOptions {
  failed: boolean;
  signal: AbortSignal | undefined;
  /** Where to be told that the sink ends. */
  ends: Set<() => void>;
  maxUnacknowledged: number;
  onRetry: ((error: FerryError, delayMs: number) => void) | undefined;
}

/** One walk over the events. */
class Iteration implements AsyncIterableIterator<PipelineEvent> {
  readonly #sink: PipelineDataSink;
  readonly #options: IterationOptions;
  readonly #journal: Journal | undefined;
  /** Ends it, for whichever reason. */
  readonly #end = new AbortController();
  /** Calls of `next` come one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #hasBegun = false;

  constructor(sink: PipelineDataSink, options: IterationOptions, journal: Journal | undefined) {
    this.#sink = sink;
    this.#options = options;
    this.#journal = journal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<PipelineEvent, undefined>> {
    try {
      if (!this.#isOver && !this.#hasBegun) this.#begin();
    } catch (error) {
      this.#finish();
      return Promise.reject(error);
    }
    const next = this.#last.then(() => this.#next());
    this.#last = next.catch(() => undefined);
    return next;
  }

  async return(): Promise<IteratorResult<PipelineEvent, undefined>> {
    this.#finish();
    return { done: true, value: undefined };
  }

  async #next(): Promise<IteratorResult<PipelineEvent, undefined>> {
    try {
      while (!this.#isOver) {
        const event = await (this.#journal ? this.#kept(this.#journal) : this.#fresh());
        if (event) return { done: false, value: event };
      }
    } catch (error) {
      // What is over ends without a word.
      if (!this.#isOver || !isFerryError(error) || (error.code !== "ERR_ABORTED" && error.code !== "ERR_CLOSED")) {
        this.#finish();
        throw error;
      }
    }
    return { done: true, value: undefined };
  }

  /** Not before it is asked for something: many an iterator is made and never used. */
  #begin(): void {
    const { signal, ends } = this.#options;
    if (signal?.aborted) return this.#finish();
    this.#journal?.begin();
    this.#hasBegun = true;
    ends.add(this.#finish);
    signal?.addEventListener("abort", this.#finish);
  }

  /** The next event of the server, if it has one. */
  async #fresh(): Promise<PipelineEvent | undefined> {
    const taken = await this.#take();
    return taken && this.#sink.read(this.#options.failed, taken.body);
  }

  /** The next event of the store; and of the server, once it is in the store. */
  async #kept(journal: Journal): Promise<PipelineEvent | undefined> {
    const { maxUnacknowledged, failed } = this.#options;
    if (journal.inHand >= maxUnacknowledged) {
      throw new FerryError(
        "ERR_QUEUE_FULL",
        `${journal.inHand} events were handed out and not acknowledged; call ack() of each event when the work on it is done`,
      );
    }
    const entry = await journal.next(this.#end.signal);
    if (this.#isOver) return undefined;
    if (entry) return this.#readKept(journal, entry.body, entry.key);
    const taken = await this.#take();
    if (!taken) return undefined;
    let key = "";
    const event = await this.#readKept(journal, taken.body, undefined, () => journal.acknowledge(key));
    try {
      key = await journal.keep(taken.body);
    } catch (error) {
      this.#sink.putBack(failed, taken);
      throw isFerryError(error) ? this.#sink.unstored(failed, error, taken) : error;
    }
    return event;
  }

  /** Reads an answer, or makes it a dead letter. `key`: it is in the store already. */
  async #readKept(
    journal: Journal,
    body: Uint8Array,
    key: string | undefined,
    acknowledge = () => journal.acknowledge(key!),
  ): Promise<PipelineEvent> {
    try {
      return this.#sink.read(this.#options.failed, body, acknowledge);
    } catch (error) {
      // The error has the body; of a store that fails as well there is no more to be told.
      await journal.bury(body, error as FerryError, key).catch(() => undefined);
      throw error;
    }
  }

  /** An answer with an event in it, if this time there is one. */
  async #take(): Promise<Taken | undefined> {
    const { failed, onRetry } = this.#options;
    try {
      const taken = await this.#sink.take(failed, { signal: this.#end.signal });
      if (taken.status === 200) return taken;
      if (taken.status === 429)
        onRetry?.(new FerryError("ERR_RATE_LIMITED", undefined, { status: 429 }), taken.delayMs);
      else if (taken.status !== 204) throw this.#sink.unexpected(failed, taken);
    } catch (error) {
      if (!isFerryError(error) || !error.retryable) throw error;
      onRetry?.(error, restAfter(error));
    }
    return undefined;
  }

  get #isOver(): boolean {
    return this.#end.signal.aborted;
  }

  readonly #finish = (): void => {
    this.#options.signal?.removeEventListener("abort", this.#finish);
    this.#options.ends.delete(this.#finish);
    if (this.#isOver) return;
    this.#end.abort();
    if (this.#hasBegun) this.#journal?.end();
  };
}

type Queue = "output" | "failed";

function queueOf(isFailed: boolean): Queue {
  return isFailed ? "failed" : "output";
}

function checkWhole(name: string, value: unknown, most: number): void {
  if (!(Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most))
    throw invalidArgument(`${name} is a whole number from 1 to ${most}, not ${formatValue(value)}`);
}
