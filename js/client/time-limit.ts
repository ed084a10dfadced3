/** Limits for functions of the application whose promises may never settle. */
import { FerryError } from "../engine/errors.js";
import { startTimer, stopTimer, type Timer } from "../platform/clock.js";
import { aborted } from "./options.js";

/** What ends the wait for a function of the application. */
export interface Limits {
  timeoutMs: number;
  signals: readonly AbortSignal[];
  /** Registers a function that is called when the client is closed. Returns the function that removes it. */
  onClose(listener: () => void): () => void;
}

/**
 * The result of `promise`.
 *
 * @param what the function that has returned it, for the message
 * @throws {FerryError} `ERR_TIMEOUT`, `ERR_ABORTED` with the reason as `cause`, `ERR_CLOSED`
 */
export async function withLimits<T>(what: string, promise: Promise<T>, limits: Limits): Promise<T> {
  const { timeoutMs, signals, onClose } = limits;
  let timer: Timer | undefined;
  const listeners: (() => void)[] = [];
  const ended = new Promise<never>((_, reject) => {
    timer = startTimer(
      () => reject(new FerryError("ERR_TIMEOUT", `${what} did not settle within ${timeoutMs} ms`)),
      timeoutMs,
    );
    listeners.push(onClose(() => reject(new FerryError("ERR_CLOSED"))));
    for (const signal of signals) {
      const onAbort = () => reject(aborted(signal));
      if (signal.aborted) onAbort();
      signal.addEventListener("abort", onAbort);
      listeners.push(() => signal.removeEventListener("abort", onAbort));
    }
  });
  // If it fails later, nobody is there to handle it.
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, ended]);
  } finally {
    stopTimer(timer);
    for (const remove of listeners) remove();
  }
}

/** Closes a client when a signal aborts. Returns the function that stops listening, for when the client is closed. */
export function closeOnAbort(signal: AbortSignal | undefined, close: () => void): () => void {
  if (signal?.aborted) close();
  else signal?.addEventListener("abort", close, { once: true });
  return () => signal?.removeEventListener("abort", close);
}
