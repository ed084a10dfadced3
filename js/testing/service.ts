/**
 * What the emulator is made of. A service is one file: it answers everything below its prefix and keeps what it
 * saw. It knows nothing of faults, CORS or sockets; the emulator does that for all of them.
 */
import { FerryError } from "../engine/errors.js";
import type { Cors } from "./cors.js";

/** One family of routes. */
export interface Service {
  /** The path that it answers, with everything below: `/cloudevents`. `/` answers what no other service does. */
  readonly prefix: string;
  /** What pages of other origins may do with it. @default "open" */
  readonly cors?: Cors;
  /**
   * Answers one request. `request.signal` aborts when nobody waits for the answer any more.
   * What it throws is answered with 500, but for `connectionReset()`, which breaks the connection.
   */
  handle(request: Request, url: URL): Response | Promise<Response>;
}

/** What still goes on and has to end when the emulator is closed. */
export class Lifetime {
  readonly #ends = new Set<() => void>();
  #isOver = false;

  /** Whether the emulator was closed. */
  get isClosed(): boolean {
    return this.#isOver;
  }

  /**
   * Calls `end` once: when the emulator is closed or `signal` aborts; at once if that has happened already.
   * Gives back how to leave before. A list of our own and not a signal for all: Node warns of a leak when
   * eleven listen to one.
   */
  onClose(close: () => void, signal?: AbortSignal): () => void {
    if (this.#isOver || signal?.aborted) {
      close();
      return () => undefined;
    }
    const leave = () => {
      this.#ends.delete(once);
      signal?.removeEventListener("abort", once);
    };
    const once = () => {
      leave();
      close();
    };
    this.#ends.add(once);
    signal?.addEventListener("abort", once);
    return leave;
  }

  /** Ends everything. */
  end(): void {
    this.#isOver = true;
    for (const end of [...this.#ends]) end();
  }
}

/** An answer in plain words. */
export function textResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}

/** A number of a query or an option, within its limits. */
export function integer(
  name: string,
  value: unknown,
  standard: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (value === undefined || value === null) return standard;
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  if (Number.isSafeInteger(number) && (number as number) >= least && (number as number) <= most)
    return number as number;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
  throw new FerryError("ERR_INVALID_ARGUMENT", `${name} is a whole number ${range}, not ${String(value)}`);
}
