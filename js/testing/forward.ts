/** Sends received events on to another server. */
import { type ContentMode, toHttp } from "../systems/cloudevents/http.js";
import { FerryError } from "../engine/errors.js";
import { type Lifetime, integer } from "./service.js";
import type { EventStore, ReceivedEvent } from "./store.js";
import { formatValue } from "../engine/messages.js";
import { startTimer, stopTimer } from "../platform/clock.js";

/** How events are sent on. */
export interface ForwardOptions {
  /** One event a message in each mode; a batch has one event in it. @default as each event came */
  mode?: ContentMode;
  /** Used instead of the global one. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Added to every message. */
  headers?: Record<string, string>;
  /** How long one message may take, in milliseconds. @default 10 000 */
  timeoutMs?: number;
}

/** Events on their way to another server. */
export interface Forwarding {
  readonly url: string;
  /** How many the server has answered with 2xx. */
  readonly delivered: number;
  /** How many it refused, did not answer, or that were gone before their turn. */
  readonly failed: number;
  /** What went wrong last. */
  readonly lastError: unknown;
  /** Resolves when all that have come so far are delivered or have failed. */
  idle(): Promise<void>;
  /** Sends no more, and gives up the message on its way. */
  stop(): void;
}

/** The only implementation; apart from the interface so that its constructor is not public. */
export class Forwarder implements Forwarding {
  readonly url: string;
  readonly #options: ForwardOptions;
  readonly #timeoutMs: number;
  readonly #store: EventStore;
  readonly #leave: () => void;
  #sending: AbortController | undefined;
  #isStopped = false;
  #cursor: number;
  #running: Promise<void> | undefined;
  #delivered = 0;
  #failed = 0;
  #lastError: unknown;

  constructor(url: string | URL, options: ForwardOptions, store: EventStore, lifetime: Lifetime) {
    try {
      this.url = new URL(url).href;
    } catch {
      throw new FerryError("ERR_INVALID_ARGUMENT", `events are forwarded to a URL, not ${formatValue(url)}`);
    }
    const { mode } = options;
    if (mode !== undefined && !["binary", "structured", "batch"].includes(mode)) {
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `the content mode is binary, structured or batch, not ${formatValue(mode)}`,
      );
    }
    this.#options = options;
    this.#timeoutMs = integer("timeoutMs", options.timeoutMs, 10_000, 1, 2 ** 31 - 1);
    this.#store = store;
    this.#cursor = store.lastSeq;
    const unwatch = store.watchers.add(() => void this.idle());
    const end = () => {
      unwatch();
      this.#isStopped = true;
      this.#sending?.abort();
    };
    const leave = lifetime.join(end);
    this.#leave = () => {
      leave();
      end();
    };
  }

  get delivered(): number {
    return this.#delivered;
  }

  get failed(): number {
    return this.#failed;
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  idle(): Promise<void> {
    return (this.#running ??= this.#run());
  }

  stop(): void {
    this.#leave();
  }

  async #run(): Promise<void> {
    await undefined; // until the caller has put down that this runs
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      try {
        await this.#send(next);
        this.#delivered++;
      } catch (error) {
        this.#failed++;
        this.#lastError = error;
      }
    }
    this.#running = undefined;
  }

  #next(): ReceivedEvent | undefined {
    if (this.#isStopped) return undefined;
    const [next] = this.#store.after(this.#cursor, 1);
    const seq = next?.seq ?? this.#store.lastSeq;
    const missed = seq - this.#cursor - (next ? 1 : 0);
    if (missed > 0) {
      this.#failed += missed;
      this.#lastError = new FerryError(
        "ERR_QUEUE_FULL",
        `${missed} events left the emulator before they could be forwarded`,
      );
    }
    this.#cursor = seq;
    return next;
  }

  async #send({ event, mode }: ReceivedEvent): Promise<void> {
    const { fetch: send = fetch, headers = {} } = this.#options;
    const message = toHttp(event, this.#options.mode ?? mode);
    // As bytes: to text the platform would add a content type.
    const body = typeof message.body === "string" ? new TextEncoder().encode(message.body) : message.body;
    const sending = (this.#sending = new AbortController());
    const late = () => sending.abort(new FerryError("ERR_TIMEOUT", `no answer within ${this.#timeoutMs} ms`));
    const timer = startTimer(late, this.#timeoutMs);
    try {
      const answer = await send(this.url, {
        method: "POST",
        headers: { ...headers, ...message.headers },
        body: (body ?? null) as Uint8Array<ArrayBuffer> | null,
        redirect: "manual", // web hooks forbid to follow
        signal: sending.signal,
      });
      await answer.body?.cancel();
      if (!answer.ok)
        throw new FerryError("ERR_REJECTED", `the server answered ${answer.status}`, { status: answer.status });
    } finally {
      stopTimer(timer);
    }
  }
}
