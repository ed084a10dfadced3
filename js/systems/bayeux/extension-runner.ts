/**
 * Runs the extensions of a client over what it sends and receives: in order, within a time limit, whatever they throw.
 *
 * ```text
 *   request ──> request ──┬─> plan ──> fetch ──> response ──> receive ──> engine
 *                         └─ every message dropped ──> answer ────────────────┘
 *   frame ────> send ──> WebSocket ──> frame ──> receive ──> engine
 * ```
 */
import { startTimer, stopTimer } from "../../platform/clock.js";
import type { ExchangeOutcome, RequestPlan } from "../../platform/fetch.js";
import { andThen, type BayeuxExtension, Extensions, isPromise, type RawMessage } from "./extensions.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";

/** The cause of an exchange that was not made, because an extension has dropped every message. */
export const ALL_DROPPED: Error = new Error("extensions have dropped every message");
/** The extensions did not let a text through in time. */
export const TIMED_OUT: unique symbol = Symbol("timed out");

type Result = string | undefined | typeof TIMED_OUT;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export class ExtensionRunner {
  readonly #extensions: Extensions;
  readonly #incoming: OrderedTasks;
  readonly #frames: OrderedTasks;

  constructor(extensions: readonly BayeuxExtension[], timeoutMs: number) {
    this.#extensions = new Extensions(extensions);
    this.#incoming = new OrderedTasks(timeoutMs);
    this.#frames = new OrderedTasks(timeoutMs);
  }

  /** The request with what the extensions make of its messages and headers. Rejects with `ALL_DROPPED`. */
  request(id: number, plan: RequestPlan): RequestPlan | Promise<RequestPlan> {
    const headers = headersOf(plan.headers);
    const run = () => this.#extensions.outgoing(id, decoder.decode(plan.body), headers);
    return andThen(guarded(run), (text) =>
      text === undefined
        ? Promise.reject(ALL_DROPPED)
        : { ...plan, headers: linesOf(headers), body: encoder.encode(text), responseHeaders: "*" },
    );
  }

  /** The response to a request whose messages were all dropped. */
  answer(id: number): ExchangeOutcome & { kind: "response" } {
    const chunks = [encoder.encode(JSON.stringify(this.#extensions.takeReplies(id)))];
    return { kind: "response", status: 200, retryAfterMs: -1, headers: "", chunks };
  }

  /** Drops the replies to dropped messages of a request that got no response. */
  forget(id: number): void {
    this.#extensions.takeReplies(id);
  }

  /** Passes on a frame to send, undefined if all of it was dropped, and the replies to dropped messages. */
  send(source: number, text: string, done: (text: string | undefined, replies: RawMessage[]) => void): void {
    this.#frames.run(
      () => this.#extensions.outgoing(source, text, undefined),
      (changed) => done(changed === TIMED_OUT ? undefined : changed, this.#extensions.takeReplies(source)),
    );
  }

  /**
   * Passes on what has arrived, now or later; undefined if an extension threw.
   *
   * @param headerLines the headers of the response
   */
  receive(
    source: number,
    text: string,
    headerLines: string | undefined,
    done: (text: Result, isLater: boolean) => void,
  ): void {
    const headers = headerLines === undefined ? undefined : headersOf(headerLines);
    this.#incoming.run(() => this.#extensions.incoming(source, text, headers), done);
  }
}

/** Runs tasks one after the other, without a delay unless a task returns a promise. */
class OrderedTasks {
  readonly #timeoutMs: number;
  #last: Promise<void> | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  run(task: () => string | undefined | Promise<string | undefined>, done: (result: Result, isLater: boolean) => void) {
    const result = this.#last ? this.#last.then(() => this.#limited(guarded(task))) : guarded(task);
    if (!isPromise(result)) {
      done(result, false);
      return;
    }
    const limited: Promise<Result> = this.#last ? result : this.#limited(result as Promise<string | undefined>);
    const last = limited.then((text) => {
      if (this.#last === last) this.#last = undefined;
      done(text, true);
    });
    this.#last = last;
  }

  async #limited(result: string | undefined | Promise<string | undefined>): Promise<Result> {
    let timer: ReturnType<typeof startTimer> | undefined;
    const timeout = new Promise<typeof TIMED_OUT>((resolve) => {
      timer = startTimer(() => resolve(TIMED_OUT), this.#timeoutMs);
    });
    try {
      return await Promise.race([result, timeout]);
    } finally {
      stopTimer(timer);
    }
  }
}

/** If an extension throws, the error is reported as uncaught. The result is undefined then. */
function guarded(run: () => string | undefined | Promise<string | undefined>): ReturnType<typeof run> {
  const report = (error: unknown) => {
    queueMicrotask(() => {
      throw error;
    });
    return undefined;
  };
  try {
    const result = run();
    return isPromise(result) ? result.catch(report) : result;
  } catch (error) {
    return report(error);
  }
}

function headersOf(lines: string): Headers {
  const headers = new Headers();
  for (const line of lines.split("\n")) {
    const at = line.indexOf(": ");
    if (at > 0) headers.append(line.slice(0, at), line.slice(at + 2));
  }
  return headers;
}

function linesOf(headers: Headers): string {
  return [...headers].map(([name, value]) => `${name}: ${value}`).join("\n");
}
