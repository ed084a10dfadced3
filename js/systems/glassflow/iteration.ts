/** One iteration over the events of a sink, with or without a store. */
import { FerryError, isFerryError } from "../../engine/errors.js";
import { type ConsumeResponse, delayAfter } from "./driver.js";
import type { DurableInbox } from "./durable-inbox.js";
import type { PipelineEvent } from "./event.js";
import type { PipelineCallOptions } from "./options.js";
import type { ResponseReader } from "./response.js";

/** The part of a sink that an iteration uses. */
export interface IterationSource {
  readonly reader: ResponseReader;
  /** The functions that end the iterations in progress. */
  readonly iterations: Set<() => void>;
  /** Receives one response, after the current delay. */
  receive(isFailed: boolean, options: PipelineCallOptions): Promise<ConsumeResponse>;
  /** Makes a response the next one that `receive` returns. */
  putBack(isFailed: boolean, response: ConsumeResponse): void;
}

export interface IterationOptions {
  isFailed: boolean;
  signal: AbortSignal | undefined;
  maxUnacknowledged: number;
  onRetry: ((error: FerryError, delayMs: number) => void) | undefined;
}

export class Iteration implements AsyncIterableIterator<PipelineEvent> {
  readonly #source: IterationSource;
  readonly #options: IterationOptions;
  readonly #inbox: DurableInbox | undefined;
  /** Aborts when the iteration ends, for any reason. */
  readonly #end = new AbortController();
  /** The previous call of `next`: calls run one after the other. */
  #previous: Promise<unknown> = Promise.resolve();
  #hasStarted = false;

  constructor(source: IterationSource, options: IterationOptions, inbox: DurableInbox | undefined) {
    this.#source = source;
    this.#options = options;
    this.#inbox = inbox;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<PipelineEvent, undefined>> {
    try {
      if (!this.#isOver && !this.#hasStarted) this.#start();
    } catch (error) {
      this.#finish();
      return Promise.reject(error);
    }
    const next = this.#previous.then(() => this.#next());
    this.#previous = next.catch(() => undefined);
    return next;
  }

  async return(): Promise<IteratorResult<PipelineEvent, undefined>> {
    this.#finish();
    return { done: true, value: undefined };
  }

  /** Called by the first `next`: an iterator that is never used holds nothing. */
  #start(): void {
    const { signal } = this.#options;
    if (signal?.aborted) {
      this.#finish();
      return;
    }
    this.#inbox?.startIteration();
    this.#hasStarted = true;
    this.#source.iterations.add(this.#finish);
    signal?.addEventListener("abort", this.#finish);
  }

  async #next(): Promise<IteratorResult<PipelineEvent, undefined>> {
    try {
      while (!this.#isOver) {
        const event = await (this.#inbox ? this.#nextStored(this.#inbox) : this.#nextReceived());
        if (event) return { done: false, value: event };
      }
    } catch (error) {
      // The end of the iteration aborts its own request; that is not an error of the caller.
      if (!this.#isOver || !isFerryError(error) || (error.code !== "ERR_ABORTED" && error.code !== "ERR_CLOSED")) {
        this.#finish();
        throw error;
      }
    }
    return { done: true, value: undefined };
  }

  /** The next event of the server, if it has one. */
  async #nextReceived(): Promise<PipelineEvent | undefined> {
    const response = await this.#receive();
    return response && this.#source.reader.event(this.#options.isFailed, response.body);
  }

  /** The next event of the store; if it has none, the next event of the server after it was stored. */
  async #nextStored(inbox: DurableInbox): Promise<PipelineEvent | undefined> {
    const { maxUnacknowledged, isFailed } = this.#options;
    if (inbox.unacknowledgedCount >= maxUnacknowledged) {
      throw new FerryError(
        "ERR_QUEUE_FULL",
        `${inbox.unacknowledgedCount} events are not acknowledged; call ack() of each event after processing it`,
      );
    }
    const entry = await inbox.next(this.#end.signal);
    if (this.#isOver) return undefined;
    if (entry) return this.#read(inbox, entry.body, entry.key, () => inbox.acknowledge(entry.key));
    const response = await this.#receive();
    if (!response) return undefined;
    let key = "";
    const event = await this.#read(inbox, response.body, undefined, () => inbox.acknowledge(key));
    try {
      key = await inbox.add(response.body);
    } catch (error) {
      this.#source.putBack(isFailed, response);
      throw isFerryError(error) ? this.#source.reader.notStored(isFailed, error, response) : error;
    }
    return event;
  }

  /** Reads an event; an unreadable response becomes a dead letter. `key`: the key of a response that is stored. */
  async #read(
    inbox: DurableInbox,
    body: Uint8Array,
    key: string | undefined,
    acknowledge: () => Promise<void>,
  ): Promise<PipelineEvent> {
    try {
      return this.#source.reader.event(this.#options.isFailed, body, acknowledge);
    } catch (error) {
      // The error contains the body, so a failure of the store loses nothing.
      await inbox.addDeadLetter(body, error as FerryError, key).catch(() => undefined);
      throw error;
    }
  }

  /** The next response with an event; `undefined` if the queue is empty, or after a failure that a retry may fix. */
  async #receive(): Promise<ConsumeResponse | undefined> {
    const { isFailed, onRetry } = this.#options;
    try {
      const response = await this.#source.receive(isFailed, { signal: this.#end.signal });
      if (response.status === 200) return response;
      if (response.status === 429)
        onRetry?.(new FerryError("ERR_RATE_LIMITED", undefined, { status: 429 }), response.delayMs);
      else if (response.status !== 204) throw this.#source.reader.unexpectedStatus(isFailed, response);
    } catch (error) {
      if (!isFerryError(error) || !error.retryable) throw error;
      onRetry?.(error, delayAfter(error));
    }
    return undefined;
  }

  get #isOver(): boolean {
    return this.#end.signal.aborted;
  }

  readonly #finish = (): void => {
    this.#options.signal?.removeEventListener("abort", this.#finish);
    this.#source.iterations.delete(this.#finish);
    if (this.#isOver) return;
    this.#end.abort();
    if (this.#hasStarted) this.#inbox?.endIteration();
  };
}
