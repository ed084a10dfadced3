/**
 * Sends requests to Salesforce: POST, with limits on the time until the response has ended and on its size.
 *
 * Redirects are not followed, because they could lead to another host.
 */
import { Secrets } from "../../../client/redact.js";
import { FerryError } from "../../../engine/errors.js";
import { startTimer, stopTimer } from "../../../platform/clock.js";
import type { FetchLike } from "../../../platform/fetch.js";
import { TextDecoder } from "../../../platform/text.js";

/** Limits of requests, and the `fetch` to use. */
export interface UpstreamOptions {
  fetch: FetchLike | undefined;
  timeoutMs: number;
  /** Instead of `timeoutMs`, for requests that Salesforce holds. */
  pollTimeoutMs: number;
  maxResponseBytes: number;
}

/** Sends requests to Salesforce. */
export class Upstream {
  readonly #options: UpstreamOptions;

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /**
   * Sends a POST request. Resolves with the response when its head has arrived; its body fails if it is too large.
   * `signal` aborts both.
   *
   * @throws {FerryError} `ERR_ABORTED` if `signal` aborted it, `ERR_TIMEOUT`, `ERR_NETWORK`, `ERR_REDIRECTED`
   */
  async post(
    url: string,
    headers: Record<string, string>,
    content: string,
    { isPoll = false, signal }: { isPoll?: boolean; signal: AbortSignal },
  ): Promise<Response> {
    const controller = new AbortController();
    let rejectAborted: (reason: unknown) => void = () => undefined;
    // Not left to `fetch`: one that the user gives may ignore its signal, and a signal may stop working when its
    // request is collected.
    const whenAborted = new Promise<never>((_, reject) => {
      rejectAborted = reject;
    });
    whenAborted.catch(() => undefined);
    const abort = () => {
      controller.abort();
      rejectAborted(controller.signal.reason);
    };
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    const secrets = new Secrets();
    for (const [name, value] of Object.entries(headers)) secrets.addHeader(name, value);
    let isLate = false;
    const timer = startTimer(
      () => {
        isLate = true;
        abort();
      },
      isPoll ? this.#options.pollTimeoutMs : this.#options.timeoutMs,
    );
    const onEnd = () => {
      stopTimer(timer);
      signal.removeEventListener("abort", abort);
    };
    const toError = (cause: unknown) => {
      if (cause instanceof FerryError) return cause;
      if (signal.aborted) return new FerryError("ERR_ABORTED", "the page aborted the request", { cause });
      return isLate
        ? new FerryError("ERR_TIMEOUT", "Salesforce did not answer in time")
        : new FerryError("ERR_NETWORK", "Salesforce could not be reached", { cause: secrets.redactError(cause) });
    };
    let pending: Promise<Response> | undefined;
    try {
      const send: FetchLike = this.#options.fetch ?? ((url, init) => fetch(url, init));
      pending = send(url, { method: "POST", headers, body: content, redirect: "manual", signal: controller.signal });
      const response = await Promise.race([pending, whenAborted]);
      if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
        throw new FerryError("ERR_REDIRECTED", "Salesforce answered with a redirect: check instanceUrl and loginUrl", {
          status: response.status,
        });
      }
      if (response.body === null) onEnd();
      // In Node, the timer would keep a process alive in which nobody reads the response.
      (timer as { unref?: () => void }).unref?.();
      const body = response.body && limitBytes(response.body, this.#options.maxResponseBytes, onEnd, toError);
      return new Response(body, { status: response.status, headers: response.headers });
    } catch (cause) {
      onEnd();
      // A response that arrives too late is not read.
      pending?.then((late) => late.body?.cancel()).catch(() => undefined);
      throw toError(cause);
    }
  }
}

/** Reads the whole body as text. @throws {FerryError} `ERR_TOO_LARGE` */
export async function readText(message: Request | Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let remaining = maxBytes;
  const decode = (bytes: Uint8Array) => {
    remaining -= bytes.length;
    if (remaining < 0) throw new FerryError("ERR_TOO_LARGE");
    return decoder.decode(bytes, { stream: true });
  };
  // In some runtimes, requests have no body stream.
  if (!message.body) return decode(new Uint8Array(await message.arrayBuffer())) + decoder.decode();
  const reader = message.body.getReader();
  let text = "";
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) text += decode(step.value);
  } catch (error) {
    await reader.cancel(error).catch(() => undefined);
    throw error;
  }
  return text + decoder.decode();
}

/** The same bytes; more than `maxBytes` are an error. Calls `onEnd` when the stream ends, fails or is cancelled. */
function limitBytes(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  onEnd: () => void,
  toError: (error: unknown) => unknown,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let remaining = maxBytes;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            onEnd();
            controller.close();
            return;
          }
          remaining -= value.length;
          if (remaining < 0) throw new FerryError("ERR_TOO_LARGE", "the response is larger than maxResponseBytes");
          controller.enqueue(value);
        } catch (error) {
          onEnd();
          controller.error(toError(error));
          await reader.cancel(error).catch(() => undefined);
        }
      },
      cancel(reason) {
        onEnd();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
