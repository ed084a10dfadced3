/**
 * The contract between the emulator and its services. A service answers everything below its prefix and records what it
 * received. The emulator adds faults, CORS and sockets, so a service does not deal with them.
 */
import { mustBe } from "../engine/messages.js";
import type { Cors } from "./cors.js";

/** One group of routes. */
export interface Service {
  /** The path that it answers, with everything below: `/cloudevents`. `/` answers what no other service does. */
  readonly prefix: string;
  /** What pages of other origins may do with it. @default "open" */
  readonly cors?: Cors;
  /**
   * Answers one request. `request.signal` aborts when the client no longer waits for the response.
   * An error that it throws becomes a 500 response, except for `connectionReset()`, which breaks the connection.
   */
  handle(request: Request, url: URL): Response | Promise<Response>;
}

/** Ends what still runs when the emulator is closed. */
export class Lifetime {
  readonly #callbacks = new Set<() => void>();
  #isClosed = false;

  /** Whether the emulator was closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Calls `callback` once, when the emulator is closed or `signal` aborts; immediately if either has already happened.
   * Returns a function that removes it. This is a list of callbacks and not one AbortSignal for all, because Node warns
   * of a leak when eleven listen to one signal.
   */
  onClose(callback: () => void, signal?: AbortSignal): () => void {
    if (this.#isClosed || signal?.aborted) {
      callback();
      return () => undefined;
    }
    const remove = () => {
      this.#callbacks.delete(once);
      signal?.removeEventListener("abort", once);
    };
    const once = () => {
      remove();
      callback();
    };
    this.#callbacks.add(once);
    signal?.addEventListener("abort", once);
    return remove;
  }

  /** Calls all callbacks. */
  close(): void {
    this.#isClosed = true;
    for (const callback of [...this.#callbacks]) callback();
  }
}

/** A plain text response. */
export function textResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}

/**
 * An integer from an option or a query parameter.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` if the value is no integer from `min` to `max`.
 */
export function integer(
  name: string,
  value: unknown,
  defaultValue: number,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (value === undefined || value === null) return defaultValue;
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  if (Number.isSafeInteger(number) && (number as number) >= min && (number as number) <= max) return number as number;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw mustBe(name, `an integer ${range}`, value);
}
