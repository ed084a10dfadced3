/** Calls a handler: its context, its abort signal and its time limit. */
import { FerryError } from "../../engine/errors.js";
import { formatValue } from "../../engine/messages.js";
import { type Timer, startTimer, stopTimer } from "../../platform/clock.js";
import type { RequestEvent } from "./event.js";
import type { HandlerContext } from "./registry.js";

/** Where a request came from. */
export interface Invocation {
  request?: Request | undefined;
  env?: unknown;
  ctx?: unknown;
  /** Aborts when the caller disconnects. */
  signal?: AbortSignal | undefined;
}

/** A handler, and what happens when it does not finish in time. */
export interface HandlerCall<T> {
  event: RequestEvent;
  invocation: Invocation;
  /** Must not reject. */
  run: (context: HandlerContext) => Promise<T>;
  /** `Infinity` for no limit. */
  timeoutMs: number;
  timeoutResult: T;
  onTimeout: (error: FerryError) => void;
}

/** Resolves with the result of the handler, or with `timeoutResult` if it does not finish in time. */
export async function callHandler<T>(call: HandlerCall<T>): Promise<T> {
  const { event, invocation, run, timeoutMs, timeoutResult, onTimeout } = call;
  const { signal } = invocation;
  const abortSource = new LazyAbortController();
  const forwardAbort = () => abortSource.abort(signal?.reason);
  if (signal?.aborted) forwardAbort();
  else signal?.addEventListener("abort", forwardAbort, { once: true });
  // One timer for each request: in a Worker, the timer of another request may never fire.
  let timer: Timer | undefined;
  const timeout = new Promise<T>((resolve) => {
    if (timeoutMs === Number.POSITIVE_INFINITY) return;
    timer = startTimer(() => {
      const message = `the handler for ${formatValue(event.name)} did not finish within ${timeoutMs} ms`;
      const error = new FerryError("ERR_TIMEOUT", message);
      resolve(timeoutResult);
      abortSource.abort(error);
      onTimeout(error);
    }, timeoutMs);
  });
  try {
    return await Promise.race([run(contextOf(event, invocation, abortSource)), timeout]);
  } finally {
    stopTimer(timer);
    signal?.removeEventListener("abort", forwardAbort);
  }
}

function contextOf(
  event: RequestEvent,
  { request, env, ctx }: Invocation,
  abortSource: LazyAbortController,
): HandlerContext {
  return {
    id: event.id,
    flowId: event.flowId,
    eventName: event.name,
    eventVersion: event.version,
    request,
    env,
    ctx,
    get signal() {
      return abortSource.signal;
    },
    get userId() {
      return event.userId;
    },
    get userType() {
      return event.userType;
    },
  };
}

/** Creates its signal on first use: creating one takes a third of the time that an event takes in all. */
class LazyAbortController {
  #controller: AbortController | undefined;
  #aborted: { reason: unknown } | undefined;

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.#controller?.abort(reason);
  }
}
