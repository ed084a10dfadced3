/**
 * Drives the machine of a sink (`src/glassflow/sink.rs`): it says when to ask, this file has the requests, the answers and the promises.
 *
 * ```text
 *   take ──consume──> machine ──send──> flight ──answer──> machine ──settled──> promise
 *                                                                 └─nobody waits─> stray
 * ```
 */
import { FerryError, type FerryErrorCode, codeOf } from "../../engine/errors.js";
import { aborted } from "../../client/options.js";
import { Pump } from "../../engine/pump.js";
import { type FetchLike, type RequestPlan, type ExchangeOutcome } from "../../platform/fetch.js";
import type { Pipeline } from "./pipeline.js";
import { FAILURE, type PipelineSinkPort } from "../../engine/ports.js";
import { random } from "../../platform/random.js";

/** What a server said to a request for an event. */
export interface Taken {
  /** 429, or 200 to 299. */
  status: number;
  body: Uint8Array;
  /** How long the next request will rest. */
  delayMs: number;
}

export interface SinkDriverOptions {
  pipeline: Pipeline;
  /** Where events come from: those of the output, and those that failed. */
  urls: readonly [string, string];
  fetch: FetchLike | undefined;
  baseMs: number;
  maxMs: number;
  /** How much of an answer is read. */
  maxResponseBytes: number;
  /** An answer with a body came, and whoever wanted it has given up. */
  stray(isFailed: boolean, taken: Taken): void;
}

interface Waiting {
  readonly isFailed: boolean;
  resolve(taken: Taken): void;
  reject(error: FerryError): void;
}

const NOTHING = new Uint8Array(0);
/** How long the next request rests after an error. */
const rests = new WeakMap<FerryError, number>();

/** How long the next request will rest after this error, in milliseconds. */
export function restAfter(error: FerryError): number {
  return rests.get(error) ?? 0;
}

export class SinkDriver {
  readonly #options: SinkDriverOptions;
  readonly #pump: Pump<PipelineSinkPort>;
  #all = new Map<number, Waiting>();
  /** The last answer; there is one exchange at a time. */
  #landed: { id: number; outcome: ExchangeOutcome } | undefined;
  #isClosed = false;
  #idle: (() => void) | undefined;

  constructor(options: SinkDriverOptions) {
    this.#options = options;
    const { pipeline, urls, fetch, baseMs, maxMs, maxResponseBytes } = options;
    this.#pump = new Pump<PipelineSinkPort>({
      makePort: (glue) => new glue.PipelineSinkPort(...urls, baseMs, maxMs, random()),
      fetch,
      handlers: {
        send: (id: number, url: string, headers: string, timeoutMs: number) => {
          const plan = (lines: string): RequestPlan => ({
            url,
            headers: `${headers}\n${lines}`,
            body: NOTHING,
            timeoutMs,
            maxResponseBytes,
          });
          this.#pump.startExchange(
            id,
            planned(() => pipeline.headers(), plan),
            (port, now, outcome) => this.#land(port, now, id, outcome),
          );
        },
        settled: (...particulars: [number, boolean, number, number, number, number]) => this.#settled(...particulars),
      },
      onReset: () => {
        // Nobody else will settle what is under way.
        const lost = [...this.#all.values()];
        this.#all.clear();
        for (const waiting of lost) waiting.reject(new FerryError("ERR_INTERNAL"));
        this.#idle?.();
      },
    });
  }

  /**
   * Asks for one event, after the rest that is due. When the signal aborts, the waiting ends, but not a request that is under way.
   *
   * @throws {FerryError} why there is no answer that means something
   */
  take(isFailed: boolean, timeoutMs: number, signal: AbortSignal | undefined): Promise<Taken> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new FerryError("ERR_CLOSED");
      if (signal?.aborted) throw aborted(signal);
      let op: number | undefined;
      let isGivenUp = false;
      const giveUp = () => {
        isGivenUp = true;
        if (op !== undefined && this.#all.has(op)) this.#pump.sendInBackground((port) => port.cancel(op!));
      };
      const tidy = () => signal?.removeEventListener("abort", giveUp);
      signal?.addEventListener("abort", giveUp);
      const waiting: Waiting = {
        isFailed,
        resolve: (taken) => {
          tidy();
          resolve(taken);
        },
        reject: (error) => {
          tidy();
          reject(error.code !== "ERR_ABORTED" ? error : isGivenUp ? aborted(signal!) : new FerryError("ERR_CLOSED"));
        },
      };
      try {
        // The machine may settle it before `tell` returns.
        this.#pump.send((port, now) => {
          op = port.consume(now, isFailed, timeoutMs);
          this.#all.set(op, waiting);
        });
      } catch (error) {
        tidy();
        throw error;
      }
    });
  }

  /** Refuses further calls, ends the waiting of all others with `ERR_CLOSED`, and resolves when the request that is under way has come to its end. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#pump.isRunning) {
      this.#pump.sendInBackground((port) => port.close());
      if (this.#pump.isRunning && !this.#pump.query((port) => port.is_idle()))
        await new Promise<void>((resolve) => (this.#idle = resolve));
    }
    this.#pump.close();
  }

  #land(port: PipelineSinkPort, now: number, id: number, outcome: ExchangeOutcome): void {
    this.#landed = { id, outcome };
    // What the server said stays here.
    if (outcome.kind === "response") port.response(now, id, outcome.status, outcome.retryAfterMs, "", NOTHING);
    else port.failure(now, id, FAILURE[outcome.reason]);
    if (this.#idle && port.is_idle()) queueMicrotask(this.#idle);
  }

  #settled(op: number, isFailed: boolean, exchange: number, status: number, code: number, delayMs: number): void {
    const outcome = this.#landed?.id === exchange ? this.#landed.outcome : undefined;
    const body = outcome?.kind === "response" ? outcome.body : NOTHING;
    const waiting = this.#all.get(op);
    this.#all.delete(op);
    if (code === 0) {
      const taken = { status, body, delayMs };
      return waiting ? waiting.resolve(taken) : this.#options.stray(isFailed, taken);
    }
    const error = this.#problem(isFailed, codeOf(code), status, outcome);
    rests.set(error, delayMs);
    waiting?.reject(error);
  }

  #problem(isFailed: boolean, code: FerryErrorCode, status: number, outcome: ExchangeOutcome | undefined): FerryError {
    const cause = outcome?.kind === "failure" ? outcome.cause : undefined;
    // A token or headers that cannot be had are more than a request that did not arrive.
    if (cause instanceof FerryError) return cause;
    if (!outcome) return new FerryError(code);
    const verb = isFailed ? "consume a failed event of" : "consume from";
    return this.#options.pipeline.problem(verb, code, {
      status: status || undefined,
      cause,
      ...(outcome.kind === "response" && { body: outcome.body }),
    });
  }
}

/** A plan for a flight; at once, unless the headers have to be waited for. */
function planned(
  ask: () => string | Promise<string>,
  plan: (lines: string) => RequestPlan,
): RequestPlan | Promise<RequestPlan> {
  try {
    const lines = ask();
    return typeof lines === "string" ? plan(lines) : lines.then(plan);
  } catch (cause) {
    return Promise.reject(cause);
  }
}
