/**
 * The way to Salesforce: one POST, with limits on its time, to the end of the answer, and on the answer's size.
 *
 * Not here: what is sent and what the answer means. Redirects are not followed, because they would lead elsewhere.
 */
import { FerryError } from "../../../engine/errors.js";
import type { FetchLike } from "../../../platform/fetch.js";
import { startTimer, stopTimer } from "../../../platform/clock.js";

/** Limits, and who fetches. */
export interface UpstreamOptions {
  fetch: FetchLike | undefined;
  timeoutMs: number;
  pollTimeoutMs: number;
  maxResponseBytes: number;
}

/** Where requests go out. */
export class Upstream {
  readonly #options: UpstreamOptions;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /**
   * Sends a POST and gives back the answer when its head is there; its body ends with an error where it is too large.
   * It ends when `signal` does.
   *
   * @throws {FerryError} `ERR_ABORTED` if the page gave up, `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_REDIRECTED`
   */
  async post(
    url: string,
    headers: Record<string, string>,
    content: string,
    { isPoll = false, signal }: { isPoll?: boolean; signal: AbortSignal },
  ): Promise<Response> {
    const aborter = new AbortController();
    let giveUp: (reason: unknown) => void = () => undefined;
    // Not left to the fetch: one that was given may not look at its signal, and a signal may go deaf when its request is collected.
    const givenUp = new Promise<never>((_, reject) => (giveUp = reject));
    givenUp.catch(() => undefined);
    const leave = () => {
      aborter.abort();
      giveUp(aborter.signal.reason);
    };
    signal.addEventListener("abort", leave);
    if (signal.aborted) leave();
    let isLate = false;
    const patience = startTimer(
      () => {
        isLate = true;
        leave();
      },
      isPoll ? this.#options.pollTimeoutMs : this.#options.timeoutMs,
    );
    const done = () => {
      stopTimer(patience);
      signal.removeEventListener("abort", leave);
    };
    const explain = (cause: unknown) => {
      if (cause instanceof FerryError) return cause;
      if (signal.aborted) return new FerryError("ERR_ABORTED", "the page aborted the request", { cause });
      return isLate
        ? new FerryError("ERR_TIMEOUT", "Salesforce did not answer in time")
        : new FerryError("ERR_NETWORK", "Salesforce could not be reached", { cause });
    };
    let asked: Promise<Response> | undefined;
    try {
      const request = new Request(url, {
        method: "POST",
        headers,
        body: content,
        redirect: "manual",
        signal: aborter.signal,
      });
      asked = (this.#options.fetch ?? ((request) => fetch(request)))(request);
      const answer = await Promise.race([asked, givenUp]);
      if (answer.type === "opaqueredirect" || (answer.status >= 300 && answer.status < 400)) {
        throw new FerryError("ERR_REDIRECTED", "Salesforce answered with a redirect: check instanceUrl and loginUrl", {
          status: answer.status,
        });
      }
      if (answer.body === null) done();
      // In Node the time would keep a process alive in which nobody reads the answer.
      (patience as { unref?: () => void }).unref?.();
      const body = answer.body && limited(answer.body, this.#options.maxResponseBytes, done, explain);
      return new Response(body, { status: answer.status, headers: answer.headers });
    } catch (cause) {
      done();
      // What comes too late is not read.
      asked?.then((late) => late.body?.cancel()).catch(() => undefined);
      throw explain(cause);
    }
  }
}

/** The whole body as text. @throws {FerryError} `ERR_TOO_LARGE` */
export async function textOf(message: Request | Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let left = maxBytes;
  const take = (bytes: Uint8Array) => {
    left -= bytes.length;
    if (left < 0) throw new FerryError("ERR_TOO_LARGE");
    return decoder.decode(bytes, { stream: true });
  };
  // Some runtimes have no stream on requests.
  if (!message.body) return take(new Uint8Array(await message.arrayBuffer())) + decoder.decode();
  const reader = message.body.getReader();
  let text = "";
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) text += take(step.value);
  } catch (error) {
    await reader.cancel(error).catch(() => undefined);
    throw error;
  }
  return text + decoder.decode();
}

/** The same bytes, up to a limit. Calls `done` at the end of whatever kind; `explain` says what to make of an error. */
function limited(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  done: () => void,
  explain: (error: unknown) => unknown,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = maxBytes;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done: isOver, value } = await reader.read();
          if (isOver) {
            done();
            return controller.close();
          }
          left -= value.length;
          if (left < 0) throw new FerryError("ERR_TOO_LARGE", "the response is larger than maxResponseBytes");
          controller.enqueue(value);
        } catch (error) {
          done();
          controller.error(explain(error));
          await reader.cancel(error).catch(() => undefined);
        }
      },
      cancel(reason) {
        done();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
