/** Forwards received events to another server. */
import { type ContentMode, toHttp } from "../systems/cloudevents/http.js";
import { FerryError } from "../engine/errors.js";
import { type Lifetime, integer } from "./service.js";
import type { EventStore, ReceivedEvent } from "./event-store.js";
import { mustBe } from "../engine/messages.js";
import { startTimer, stopTimer } from "../platform/clock.js";
import { TextEncoder } from "../platform/text.js";

/** How events are forwarded. */
export interface ForwardOptions {
  /** Content mode. Each message carries one event, a batch too. @default the mode in which the event was received */
  mode?: ContentMode;
  /** Used in place of the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Added to every message. */
  headers?: Record<string, string>;
  /** Timeout of one message, in milliseconds. @default 10 000 */
  timeoutMs?: number;
}

/** A running forwarding. */
export interface Forwarding {
  /** Where events are forwarded to. */
  readonly url: string;
  /** Number of events that the server answered with 2xx. */
  readonly delivered: number;
  /** Number of events that the server refused or did not answer, or that were evicted before they could be sent. */
  readonly failed: number;
  /** The most recent error. */
  readonly lastError: unknown;
  /** Resolves when all events received so far are delivered or have failed. */
  idle(): Promise<void>;
  /** Stops forwarding and aborts the message in flight. */
  stop(): void;
}

/** The implementation. It is separate from the interface so that its constructor is not public. */
export class Forwarder implements Forwarding {
  readonly url: string;
  readonly #options: ForwardOptions;
  readonly #timeoutMs: number;
  readonly #store: EventStore;
  readonly #stop: () => void;
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
      throw mustBe("url", "an absolute URL", url);
    }
    const { mode } = options;
    if (mode !== undefined && !["binary", "structured", "batch"].includes(mode))
      throw mustBe("mode", '"binary", "structured" or "batch"', mode);
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
    const removeOnClose = lifetime.onClose(end);
    this.#stop = () => {
      removeOnClose();
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
    this.#running ??= this.#run();
    return this.#running;
  }

  stop(): void {
    this.#stop();
  }

  async #run(): Promise<void> {
    await undefined; // so that the caller has assigned `#running` first
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
        `${missed} events were evicted from the emulator before they could be forwarded`,
      );
    }
    this.#cursor = seq;
    return next;
  }

  async #send({ event, mode }: ReceivedEvent): Promise<void> {
    const { fetch: send = fetch, headers = {} } = this.#options;
    const message = toHttp(event, this.#options.mode ?? mode);
    // As bytes, because the platform adds a content type to text.
    const body = typeof message.body === "string" ? new TextEncoder().encode(message.body) : message.body;
    const sending = new AbortController();
    this.#sending = sending;
    const onTimeout = () => sending.abort(new FerryError("ERR_TIMEOUT", `no answer within ${this.#timeoutMs} ms`));
    const timer = startTimer(onTimeout, this.#timeoutMs);
    try {
      const answer = await send(this.url, {
        method: "POST",
        headers: { ...headers, ...message.headers },
        body: (body ?? null) as Uint8Array<ArrayBuffer> | null,
        redirect: "manual", // the web hook specification forbids following redirects
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
