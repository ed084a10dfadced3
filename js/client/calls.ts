/**
 * Calls: one request with as many tries as were asked for, and a promise for its answer. For the clients of all rooms; what an answer means is for
 * the room's judge in the engine to say. The machine behind it is `src/engine/calls.rs`.
 */
import { FerryError, codeOf } from "../engine/errors.js";
import { type ClientOptions, DEFAULT_TIMEOUT_MS, type HeadersOption, aborted, headerLines } from "./options.js";
import { Pump } from "../engine/pump.js";
import { fullGlue } from "../engine/instance.js";
import { formatValue, invalidArgument } from "../engine/messages.js";
import type { CallsPort } from "../engine/ports.js";
import { random } from "../platform/random.js";

/** Options of a client that makes calls. */
export interface CallsOptions extends ClientOptions {
  /**
   * What to do about timeouts, network errors and the statuses 408, 425, 429, 500, 502-504, 507, 509 and 520-599. A rest that the server asks for with
   * `Retry-After` is kept; if it is longer than `maxMs`, the error is reported instead. When only the answer
   * was lost, the server sees the request twice.
   */
  retry?: {
    /** Requests for one call in all, 1 to 101. @default 1 */
    attempts?: number;
    /** The longest first rest; it doubles each time, and a random part of it is taken. @default 200 */
    baseMs?: number;
    /** The longest rest. @default 30 000 */
    maxMs?: number;
  };
  /** How many calls may be under way at once; more are refused with `ERR_QUEUE_FULL`. @default 1 000 */
  maxInFlight?: number;
}

/** One call. */
export interface Call {
  /** @default "POST" */
  method?: "GET" | "POST";
  url: string;
  /** Headers of the room, which win over all others. */
  headers?: Record<string, string>;
  body?: string | Uint8Array | undefined;
  /** Headers that the user gave for this call; they win over those of the client. */
  userHeaders?: HeadersOption | undefined;
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
  /** How much of the answer is read; what is beyond is cut off. @default 16 KiB */
  maxResponseBytes?: number;
}

/** What the server said. */
export interface CallResponse {
  /** 0: there was no answer, or it was a redirect that a browser hides. */
  status: number;
  /** How many requests it took. */
  attempts: number;
  /** Lower case, without parameters; empty where there is none. */
  mediaType: string;
  body: Uint8Array;
}

interface Waiting {
  resolve(answer: CallResponse): void;
  reject(error: FerryError): void;
}

const MAX_ANSWER_BYTES = 16 * 1024;
const NOTHING = new Uint8Array(0);
const answers = new WeakMap<FerryError, CallResponse>();

/** What the server had said when a call failed. Kept beside the error, because it may hold what no log should show. */
export function responseOf(error: FerryError): CallResponse | undefined {
  return answers.get(error);
}

/** Makes calls. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #pump: Pump<CallsPort>;
  #all = new Map<number, Waiting>();
  #isClosed = false;

  /**
   * The options of a client, of which all but `retry` and `maxInFlight` have been checked.
   *
   * @param needsBody whether a good status is worth nothing without all of its body; one that breaks off is then `ERR_NETWORK` or `ERR_TIMEOUT`
   */
  constructor(options: CallsOptions, judge: number, needsBody = false) {
    const config = checkedConfig(options);
    this.#options = options;
    this.#pump = new Pump<CallsPort>({
      // Nothing is made yet: at module scope of a Worker there is no randomness.
      makePort: (glue) => new glue.CallsPort(config, judge, random()),
      fetch: options.fetch,
      handlers: {
        send: (
          id: number,
          method: "GET" | "POST",
          url: string,
          headers: string,
          body: Uint8Array,
          timeoutMs: number,
          maxResponseBytes: number,
          wanted: string,
        ) =>
          this.#pump.startExchange(id, {
            method,
            url,
            headers,
            body,
            timeoutMs,
            maxResponseBytes,
            responseHeaders: wanted,
            needsBody,
          }),
        settled: (
          op: number,
          code: number,
          message: string,
          attempts: number,
          status: number,
          headers: string,
          body: Uint8Array,
        ) => {
          const waiting = this.#all.get(op);
          this.#all.delete(op);
          const mediaType = /^content-type: ([^;\n]*)/.exec(headers)?.[1]?.trim().toLowerCase() ?? "";
          const answer = { status, attempts, mediaType, body };
          if (code === 0) return waiting?.resolve(answer);
          const { cause } = this.#pump;
          const error = new FerryError(codeOf(code), message, {
            status: status || undefined,
            ...(cause !== undefined && { cause }),
          });
          answers.set(error, answer);
          waiting?.reject(error);
        },
      },
      onReset: () => {
        // Nobody else will settle what is under way.
        const lost = [...this.#all.values()];
        this.#all.clear();
        for (const waiting of lost) waiting.reject(new FerryError("ERR_INTERNAL"));
      },
    });
  }

  /**
   * Makes a call. Its error says which URL it was about, without what may be secret in it; `answerOf` knows what the server said.
   *
   * @throws {FerryError} what the judge made of the answer; `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_QUEUE_FULL`, `ERR_CLOSED`
   */
  async call(call: Call): Promise<CallResponse> {
    const signals = [this.#options.signal, call.signal].filter((signal) => signal !== undefined);
    for (const signal of signals) if (signal.aborted) throw aborted(signal);
    const lines = headerLines([this.#options.headers, call.userHeaders], call.headers ?? {});
    const headers = typeof lines === "string" ? lines : await lines;
    for (const signal of signals) if (signal.aborted) throw aborted(signal);
    const { method = "POST", url, maxResponseBytes = MAX_ANSWER_BYTES } = call;
    const body = typeof call.body === "string" ? new TextEncoder().encode(call.body) : (call.body ?? NOTHING);
    const timeoutMs = call.timeoutMs ?? this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return new Promise<CallResponse>((resolve, reject) => {
      let op: number | undefined;
      let reason: AbortSignal | undefined;
      const giveUp = (event: Event) => {
        reason = event.target as AbortSignal;
        if (op !== undefined) this.#cancel(op);
      };
      const tidy = () => signals.forEach((signal) => signal.removeEventListener("abort", giveUp));
      for (const signal of signals) signal.addEventListener("abort", giveUp);
      const waiting: Waiting = {
        resolve: (answer) => {
          tidy();
          resolve(answer);
        },
        reject: (error) => {
          tidy();
          reject(reason && error.code === "ERR_ABORTED" ? aborted(reason) : withUrl(error, method, url));
        },
      };
      try {
        if (this.#isClosed) throw new FerryError("ERR_CLOSED");
        // The machine may settle it before `tell` returns.
        this.#pump.send((port, now) => {
          op =
            method === "GET"
              ? port.get(now, url, headers, timeoutMs, maxResponseBytes)
              : port.post(now, url, headers, body, timeoutMs, maxResponseBytes);
          this.#all.set(op, waiting);
        });
      } catch (error) {
        tidy();
        reject(error);
      }
    });
  }

  /** Gives up everything that is under way. Further calls are refused with `ERR_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#pump.isRunning) this.#pump.sendInBackground((port) => port.close());
    this.#pump.close();
  }

  #cancel(op: number): void {
    if (this.#all.has(op)) this.#pump.sendInBackground((port) => port.cancel(op));
  }
}

/** The message with the place it is about, without what may be secret in a URL. */
function withUrl(error: FerryError, method: string, url: string): FerryError {
  const { code, message, status, cause } = error;
  const { origin, pathname } = new URL(url);
  const placed = new FerryError(code, `${method} ${origin}${pathname}: ${message}`, {
    status,
    ...(cause !== undefined && { cause }),
  });
  const answer = answers.get(error);
  if (answer) answers.set(placed, answer);
  return placed;
}

/** The numbers for the machine; their ranges are checked in `src/wasm/config.rs`. */
function checkedConfig({ retry = {}, maxInFlight }: CallsOptions): Record<string, number> {
  const config: Record<string, number> = {};
  for (const [name, value] of [
    ...Object.entries(retry).map(([name, value]) => [`retry.${name}`, value] as const),
    ["maxInFlight", maxInFlight] as const,
  ]) {
    if (value === undefined) continue;
    const field = /^(?:retry\.(attempts|baseMs|maxMs)|(maxInFlight))$/.exec(name);
    if (!field) throw invalidArgument(`there is no option ${name}`);
    if (typeof value !== "number") throw invalidArgument(`${name} is a number, not ${formatValue(value)}`);
    config[(field[1] ?? field[2])!] = value;
  }
  try {
    fullGlue().CallsPort.check(config);
  } catch (error) {
    throw error instanceof FerryError ? error : invalidArgument((error as Error).message);
  }
  return config;
}
