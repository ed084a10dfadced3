/**
 * Drives the machine of a sink (`src/glassflow/sink.rs`). The machine decides when to send a request; this file has the
 * requests, their responses and the promises of the calls.
 *
 * ```text
 *   consume() ──consume──> machine ──send──> exchange ──response──> machine ──settled──> promise
 *                                                                      └─call was cancelled─> onUnclaimed
 * ```
 */
import { glassflow } from "../../engine/modules/glassflow.js";
import { aborted } from "../../client/options.js";
import { FerryError, type FerryErrorCode, codeOf } from "../../engine/errors.js";
import { FAILURE, type GlassflowGlue, type PipelineSinkPort, PORT_INPUTS } from "../../engine/ports.js";
import { Pump } from "../../engine/pump.js";
import { joined } from "../../platform/bytes.js";
import type { ExchangeOutcome, FetchLike, RequestPlan } from "../../platform/fetch.js";
import { random } from "../../platform/random.js";
import type { PipelineAccess } from "./pipeline-access.js";

/** The response to a consume request. */
export interface ConsumeResponse {
  /** 429, or 200 to 299. */
  status: number;
  body: Uint8Array;
  /** Delay before the next request, in milliseconds. */
  delayMs: number;
}

export interface SinkDriverOptions {
  pipeline: PipelineAccess;
  /** The URLs that consume events of the output, and failed events. */
  urls: readonly [output: string, failed: string];
  fetch: FetchLike | undefined;
  baseMs: number;
  maxMs: number;
  maxResponseBytes: number;
  /** Receives a response with a body whose call was cancelled. */
  onUnclaimed(isFailed: boolean, response: ConsumeResponse): void;
}

interface PendingCall {
  resolve(response: ConsumeResponse): void;
  reject(error: FerryError): void;
}

const EMPTY = new Uint8Array(0);
const delays = new WeakMap<FerryError, number>();

/** The delay before the request after this error, in milliseconds. */
export function delayAfter(error: FerryError): number {
  return delays.get(error) ?? 0;
}

export class SinkDriver {
  readonly #options: SinkDriverOptions;
  readonly #pump: Pump<PipelineSinkPort, GlassflowGlue>;
  readonly #calls = new Map<number, PendingCall>();
  /** The last exchange that has ended; only one is in flight at a time. */
  #lastExchange: { id: number; outcome: ExchangeOutcome } | undefined;
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  constructor(options: SinkDriverOptions) {
    this.#options = options;
    const { urls, fetch, baseMs, maxMs } = options;
    this.#pump = new Pump<PipelineSinkPort, GlassflowGlue>({
      module: glassflow,
      makePort: (glue, effects) => new glue.PipelineSinkPort(...urls, baseMs, maxMs, random(), effects),
      fetch,
      handlers: {
        send: (id: number, url: string, headers: string, timeoutMs: number) => this.#send(id, url, headers, timeoutMs),
        settled: (...args: [number, boolean, number, number, number, number]) => this.#settle(...args),
      },
      onReset: () => {
        // The new machine does not know the pending calls.
        const pending = [...this.#calls.values()];
        this.#calls.clear();
        for (const call of pending) call.reject(new FerryError("ERR_INTERNAL"));
        this.#onIdle?.();
      },
    });
  }

  /**
   * Requests one event after the current delay. The signal cancels the call, but not a request that is in flight.
   *
   * @throws {FerryError} the error of the request
   */
  consume(isFailed: boolean, timeoutMs: number, signal: AbortSignal | undefined): Promise<ConsumeResponse> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new FerryError("ERR_CLOSED");
      if (signal?.aborted) throw aborted(signal);
      let op: number | undefined;
      let isCancelled = false;
      const cancel = () => {
        isCancelled = true;
        if (op === undefined || !this.#calls.has(op)) return;
        const cancelled = op;
        this.#pump.sendInBackground((port, now) => port.input(PORT_INPUTS.cancel, now, cancelled));
      };
      const removeListener = () => signal?.removeEventListener("abort", cancel);
      signal?.addEventListener("abort", cancel);
      const call: PendingCall = {
        resolve: (response) => {
          removeListener();
          resolve(response);
        },
        reject: (error) => {
          removeListener();
          if (error.code !== "ERR_ABORTED") reject(error);
          else reject(isCancelled ? aborted(signal!) : new FerryError("ERR_CLOSED"));
        },
      };
      try {
        // The machine may settle the call before `send` returns.
        this.#pump.send((port, now) => {
          op = port.consume(now, isFailed, timeoutMs);
          this.#calls.set(op, call);
        });
      } catch (error) {
        removeListener();
        throw error;
      }
    });
  }

  /** Refuses further calls and rejects pending ones with `ERR_CLOSED`. Resolves when the request in flight has ended. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#pump.isRunning) {
      this.#pump.sendInBackground((port, now) => port.input(PORT_INPUTS.close, now));
      if (this.#pump.isRunning && !this.#pump.query((port) => port.is_idle())) {
        await new Promise<void>((resolve) => {
          this.#onIdle = resolve;
        });
      }
    }
    this.#pump.close();
  }

  #send(id: number, url: string, headers: string, timeoutMs: number): void {
    const { pipeline, maxResponseBytes } = this.#options;
    const plan = withHeaders(
      () => pipeline.headers(),
      (lines) => ({ url, headers: `${headers}\n${lines}`, body: EMPTY, timeoutMs, maxResponseBytes }),
    );
    this.#pump.startExchange(id, plan, (port, now, outcome) => this.#finishExchange(port, now, id, outcome), timeoutMs);
  }

  #finishExchange(port: PipelineSinkPort, now: number, id: number, outcome: ExchangeOutcome): void {
    this.#lastExchange = { id, outcome };
    // The machine does not read the body.
    if (outcome.kind === "response") port.response(now, id, outcome.status, outcome.retryAfterMs, "", EMPTY);
    else port.input(PORT_INPUTS.failure, now, id, FAILURE[outcome.reason]);
    if (this.#onIdle && port.is_idle()) queueMicrotask(this.#onIdle);
  }

  #settle(op: number, isFailed: boolean, exchange: number, status: number, code: number, delayMs: number): void {
    const outcome = this.#lastExchange?.id === exchange ? this.#lastExchange.outcome : undefined;
    const body = outcome?.kind === "response" ? joined(outcome.chunks) : EMPTY;
    const call = this.#calls.get(op);
    this.#calls.delete(op);
    if (code === 0) {
      const response = { status, body, delayMs };
      if (call) call.resolve(response);
      else this.#options.onUnclaimed(isFailed, response);
      return;
    }
    const error = this.#errorOf(isFailed, codeOf(code), status, outcome);
    delays.set(error, delayMs);
    call?.reject(error);
  }

  #errorOf(isFailed: boolean, code: FerryErrorCode, status: number, outcome: ExchangeOutcome | undefined): FerryError {
    const cause = outcome?.kind === "failure" ? outcome.cause : undefined;
    // The token or the headers could not be determined: no request was made.
    if (cause instanceof FerryError) return cause;
    if (!outcome) return new FerryError(code);
    return this.#options.pipeline.requestError(consumeAction(isFailed), code, {
      status: status || undefined,
      cause,
      ...(outcome.kind === "response" && { body: joined(outcome.chunks) }),
    });
  }
}

/** The start of an error message, before the name of the pipeline. */
export function consumeAction(isFailed: boolean): string {
  return isFailed ? "consume a failed event of" : "consume from";
}

/** The plan of a request, as a promise only if its headers are one. */
function withHeaders(
  headers: () => string | Promise<string>,
  plan: (lines: string) => RequestPlan,
): RequestPlan | Promise<RequestPlan> {
  try {
    const lines = headers();
    return typeof lines === "string" ? plan(lines) : lines.then(plan);
  } catch (cause) {
    return Promise.reject(cause);
  }
}
