/** Publishing over HTTP, now and without a buffer. The machine behind it is `src/cloudevents/publisher.rs`. */
import { FerryError, shown } from "../errors.js";
import { type Operation, Operations, type OperationsPort } from "../operations.js";
import type { FetchLike } from "../transport.js";
import type { OutboxOptions } from "../outbox/options.js";
import { SINGLES } from "../outbox/wire.js";
import { Outbox } from "../outbox/outbox.js";
import type { DeliveryInfo } from "../outbox/packet.js";
import type { EventSession } from "../outbox/session.js";
import { fullGlue } from "../wasm.js";
import { EventBatch, listOf } from "./batch.js";
import { CloudEvent } from "./event.js";
import { type ContentMode, type HttpMessage, toMode } from "./http.js";
import { CloudEventsWire } from "./wire.js";

/** The handle of the machine. */
export interface PublisherPort extends OperationsPort {
  send(now: number, url: string, headers: string, body: Uint8Array, patienceMs: number): number;
}

/** Headers to add, or a function that gives them, asked once for each message: for tokens that change. */
export type HeadersOption = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

/** How a publisher works. */
export interface PublisherOptions {
  /** Where to deliver: an absolute http or https URL. */
  url: string | URL;
  /**
   * How events travel. Binary and structured mode send one request for each event. Without it, sessions send batches, and go over to
   * single events in binary mode when a server answers 415.
   * Towards another origin a browser asks leave for every `ce-` header of binary mode; structured mode only
   * needs `content-type` allowed.
   * @default "binary" for one event, "batch" for several
   */
  mode?: ContentMode;
  /** Used instead of the global `fetch`: service bindings, tests. */
  fetch?: FetchLike;
  /** Aborts everything that the publisher has under way, and closes its outbox. */
  signal?: AbortSignal;
  /** How long each request may take, from its start to the end of the answer. @default 10 000 */
  timeoutMs?: number;
  headers?: HeadersOption;
  /**
   * What to do about timeouts, network errors and the statuses 408, 425, 429, 500, 502-504, 507, 509 and 520-599. A rest that the server asks for with
   * `Retry-After` is kept; if it is longer than `maxMs`, the error is reported instead. When only the answer
   * was lost, the event arrives twice, with the same id.
   */
  retry?: {
    /** Requests for one message in all, 1 to 101. @default 1 */
    attempts?: number;
    /** The longest first rest; it doubles each time, and a random part of it is taken. @default 200 */
    baseMs?: number;
    /** The longest rest. @default 30 000 */
    maxMs?: number;
  };
  /** How sessions and their outbox work; `send` does not use it. */
  outbox?: OutboxOptions;
  /** How many messages may be under way at once; more are refused with `ERR_QUEUE_FULL`. @default 1 000 */
  maxInFlight?: number;
}

/** Options of one call. */
export interface SendOptions {
  /** Aborts this call. */
  signal?: AbortSignal;
  timeoutMs?: number;
  mode?: ContentMode;
  headers?: HeadersOption;
}

/** What the machine says of a delivery. */
interface DoneSending {
  status: number;
  attempts: number;
}

const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Delivers CloudEvents over HTTP.
 *
 * @example
 * const publisher = new Publisher({ url: "https://example.com/events", retry: { attempts: 3 } });
 * await publisher.send(new CloudEvent({ type: "com.example.made", source: "/orders" }));
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #url: string;
  readonly #operations: Operations<PublisherPort, DoneSending>;
  #outbox: Outbox<CloudEvent> | undefined;
  #isClosed = false;

  constructor(options: PublisherOptions) {
    if (typeof options !== "object" || options === null) throw invalid("a Publisher takes an object of options");
    this.#url = checkedUrl(options.url);
    checkTimeout(options.timeoutMs);
    if (options.fetch !== undefined && typeof options.fetch !== "function") throw invalid("fetch is a function");
    this.#options = { ...options };
    const config = checkedConfig(options);
    // Nothing is made yet: at module scope of a Worker there is no randomness.
    this.#operations = new Operations((glue) => new glue.PublisherPort(config, Math.random()), options.fetch);
    if (options.outbox !== undefined) this.#outbox = this.#makeOutbox();
  }

  /**
   * Delivers one event or several, and resolves when the server has taken them all. Rejects with what the server said.
   * Several events in binary or structured mode go one after the other; the first failure ends the call, and
   * its message says how many were delivered.
   *
   * @throws {FerryError} `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_ABORTED`, `ERR_REDIRECTED` (redirects are not
   * followed), `ERR_UNAUTHORIZED`, `ERR_REJECTED`, `ERR_GONE`, `ERR_TOO_LARGE`, `ERR_UNSUPPORTED_FORMAT`,
   * `ERR_RATE_LIMITED`, `ERR_UNAVAILABLE`, `ERR_QUEUE_FULL`, `ERR_CLOSED`; `status` has the HTTP status.
   */
  async send(events: CloudEvent | Iterable<CloudEvent> | EventBatch, options: SendOptions = {}): Promise<DeliveryInfo> {
    checkTimeout(options.timeoutMs);
    const mode = options.mode ?? this.#options.mode;
    if (events instanceof CloudEvent) return this.#deliver(toMode(events, mode), [events.id], options);
    const all = listOf(events);
    if (all.length === 0) return { status: 0, attempts: 0, ids: [] };
    if (mode === undefined || mode === "batch") {
      return this.#deliver(toMode(events instanceof EventBatch ? events : all, "batch"), all.map((event) => event.id), options);
    }
    const done: DeliveryInfo = { status: 0, attempts: 0, ids: [] };
    for (const event of all) {
      try {
        const { status, attempts } = await this.#deliver(toMode(event, mode), [event.id], options);
        done.status = status;
        done.attempts += attempts;
        done.ids.push(event.id);
      } catch (error) {
        if (!(error instanceof FerryError)) throw error;
        const { code, message, status, attribute, cause } = error;
        throw new FerryError(code, `${message} (${done.ids.length} of ${all.length} events were delivered before)`, { status, attribute, ...(cause !== undefined && { cause }) });
      }
    }
    return done;
  }

  /**
   * A session: what is published is buffered until `flush`, and dropped by `rollback`. What was flushed is delivered by the outbox, or kept.
   * Pages that are hidden or end flush their sessions.
   *
   * @example
   * const session = publisher.session();
   * session.publish(new CloudEvent({ type: "com.example.made", source: "/orders" }));
   * await session.flush();
   *
   * @throws {FerryError} `ERR_CLOSED`
   */
  session(): EventSession<CloudEvent> {
    return this.outbox.session();
  }

  /** Keeps what sessions have flushed until it is delivered. It is made when it is first asked for, or with the publisher if that has the option `outbox`. */
  get outbox(): Outbox<CloudEvent> {
    if (!this.#outbox && this.#isClosed) throw new FerryError("ERR_CLOSED");
    return (this.#outbox ??= this.#makeOutbox());
  }

  /** Gives up what `send` has under way and refuses further calls. An outbox is closed as by its own `close`, and what it keeps stays. */
  close(): void {
    this.#isClosed = true;
    this.#operations.close();
    // Somebody who wants to know how that ends calls it on the outbox.
    this.#outbox?.close().catch(() => undefined);
  }

  #makeOutbox(): Outbox<CloudEvent> {
    const { mode, outbox: settings = {}, headers, fetch, timeoutMs = 10_000, signal } = this.#options;
    const { origin, pathname } = new URL(this.#url);
    const outbox = new Outbox(settings, {
      wire: new CloudEventsWire(this.#url, mode),
      name: origin + pathname,
      fetch,
      timeoutMs,
      headers: { ask: () => (typeof headers === "function" ? headers() : headers), lines: (given, own) => merged([given], own) },
      config: mode === undefined || mode === "batch" ? { concurrency: 1 } : SINGLES,
    });
    const close = () => void outbox.close().catch(() => undefined);
    if (signal?.aborted) close();
    else signal?.addEventListener("abort", close, { once: true });
    return outbox;
  }

  async #deliver(message: HttpMessage, ids: string[], options: SendOptions): Promise<DeliveryInfo> {
    const signals = [this.#options.signal, options.signal].filter((signal) => signal !== undefined);
    for (const signal of signals) if (signal.aborted) throw aborted(signal);
    const headers = await headerLines([this.#options.headers, options.headers], message.headers);
    for (const signal of signals) if (signal.aborted) throw aborted(signal);
    const body = typeof message.body === "string" ? new TextEncoder().encode(message.body) : (message.body ?? new Uint8Array(0));
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? 10_000;
    return new Promise<DeliveryInfo>((resolve, reject) => {
      let op: number | undefined;
      let reason: AbortSignal | undefined;
      const giveUp = (event: Event) => {
        reason = event.target as AbortSignal;
        if (op !== undefined) this.#operations.cancel(op);
      };
      const tidy = () => signals.forEach((signal) => signal.removeEventListener("abort", giveUp));
      for (const signal of signals) signal.addEventListener("abort", giveUp);
      const operation: Operation<DoneSending> = {
        resolve: ({ status, attempts }) => {
          tidy();
          resolve({ status, attempts, ids });
        },
        reject: (error) => {
          tidy();
          reject(reason && error.code === "ERR_ABORTED" ? aborted(reason) : this.#placed(error));
        },
      };
      try {
        op = this.#operations.start((port, now) => port.send(now, this.#url, headers, body, timeoutMs), operation);
      } catch (error) {
        tidy();
        reject(error);
      }
    });
  }

  /** The message with the place it is about, without what may be secret in a URL. */
  #placed(error: FerryError): FerryError {
    const { code, message, status, cause } = error;
    const { origin, pathname } = new URL(this.#url);
    return new FerryError(code, `POST ${origin}${pathname}: ${message}`, { status, ...(cause !== undefined && { cause }) });
  }
}

/** Headers as `name: value` lines; at once, unless a function has to be waited for. Those of the event win over those of the user. */
function headerLines(given: readonly (HeadersOption | undefined)[], own: Record<string, string>): string | Promise<string> {
  const asked = given.map((option) => (typeof option === "function" ? option() : option));
  return asked.some((headers) => typeof (headers as Promise<HeadersInit> | undefined)?.then === "function") ? Promise.all(asked).then((all) => merged(all, own)) : merged(asked as (HeadersInit | undefined)[], own);
}

function merged(given: readonly (HeadersInit | undefined)[], own: Record<string, string>): string {
  const headers = new Headers();
  for (const some of given) {
    try {
      new Headers(some).forEach((value, name) => headers.set(name, value));
    } catch {
      // The message of the platform may quote a value, and the value may be a token.
      throw invalid("the headers given have a name or value that HTTP does not allow");
    }
  }
  for (const name in own) headers.set(name, own[name]!);
  const lines: string[] = [];
  headers.forEach((value, name) => lines.push(`${name}: ${value}`));
  return lines.join("\n");
}

function checkedUrl(given: string | URL): string {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    // Not shown: it may have a password or a token in it.
    throw invalid("url must be an absolute URL");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw invalid(`url must be http or https, not ${shown(url.protocol)}`);
  if (url.username || url.password) throw invalid("url must not have a user name or password in it; give an authorization header");
  return url.href;
}

/** The numbers for the machine; their ranges are checked in `src/wasm/config.rs`. */
function checkedConfig({ retry = {}, maxInFlight }: PublisherOptions): Record<string, number> {
  const config: Record<string, number> = {};
  for (const [name, value] of [...Object.entries(retry).map(([name, value]) => [`retry.${name}`, value] as const), ["maxInFlight", maxInFlight] as const]) {
    if (value === undefined) continue;
    const field = /^(?:retry\.(attempts|baseMs|maxMs)|(maxInFlight))$/.exec(name);
    if (!field) throw invalid(`there is no option ${name}`);
    if (typeof value !== "number") throw invalid(`${name} is a number, not ${shown(value)}`);
    config[(field[1] ?? field[2])!] = value;
  }
  try {
    fullGlue().PublisherPort.check(config);
  } catch (error) {
    throw error instanceof FerryError ? error : invalid((error as Error).message);
  }
  return config;
}

function checkTimeout(timeoutMs: unknown): void {
  if (timeoutMs === undefined) return;
  if (!(typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS)) {
    throw invalid(`timeoutMs is a number of milliseconds above 0 and up to ${LONGEST_TIMEOUT_MS}, not ${shown(timeoutMs)}`);
  }
}

function aborted(signal: AbortSignal): FerryError {
  return new FerryError("ERR_ABORTED", undefined, { cause: signal.reason });
}

function invalid(sentence: string): FerryError {
  return new FerryError("ERR_INVALID_ARGUMENT", sentence);
}

// Where the runtime knows it, `await using publisher = …` closes.
if (Symbol.dispose) Object.defineProperty(Publisher.prototype, Symbol.dispose, { value: Publisher.prototype.close });
