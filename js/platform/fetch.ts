/** HTTP exchanges with a timeout. */
import { readerOf } from "./body-reader.js";
import { joined } from "./bytes.js";
import { startTimer, stopTimer, type Timer } from "./clock.js";
import { readRetryAfter } from "./http-date.js";
import type { RequestCredentials } from "./web-types.js";

/** A function that is called as the global `fetch` is, with a URL and options, and never with a Request. */
export type FetchLike = (url: string, init: RequestInit) => Promise<Response>;

/** How an exchange ended. The chunks of the body are those that arrived, so that only its reader copies them. */
export type ExchangeOutcome =
  | { kind: "response"; status: number; retryAfterMs: number; headers: string; chunks: readonly Uint8Array[] }
  | { kind: "failure"; reason: "timeout" | "aborted" | "network" | "blocked"; cause?: unknown };

/** The request of an exchange, and how to read the response. */
export interface RequestPlan {
  /** @default "POST" */
  method?: "GET" | "POST";
  url: string;
  /** Lines of `name: value`, separated by `\n`. */
  headers: string;
  body: Uint8Array;
  /** Time limit of the exchange, from its start to the end of the response. */
  timeoutMs: number;
  /** The maximum number of body bytes that are read. @default 16 KiB */
  maxResponseBytes?: number;
  /** The response headers to read: lower-case names separated by one space. @default none */
  responseHeaders?: string | undefined;
  /** Lines of `name: value` that `headers` of the outcome has as well. Does not throw. @default none */
  moreHeaders?: ((headers: Headers) => string) | undefined;
  /** Whether a response with status 2xx whose body breaks off counts as a failure. @default false */
  needsBody?: boolean;
  /** The part of the keepalive budget for this request; it is released at the end. `undefined`: no keepalive. */
  keepalive?: { release(isAnswered: boolean): void } | undefined;
  /** Whether cookies and other credentials are sent. @default "same-origin" */
  credentials?: RequestCredentials | undefined;
}

/** An exchange in progress. */
export interface Exchange {
  /** Never rejects. */
  readonly outcome: Promise<ExchangeOutcome>;
  /** Aborts the exchange. The outcome is `aborted`. */
  cancel(): void;
}

const DEFAULT_MAX_RESPONSE_BYTES = 16 * 1024;
/** The time for `fetch` to settle after its abort. */
const ABORT_GRACE_MS = 250;

/**
 * Starts an exchange. On timeout the fetch is aborted. A response that has begun by then counts, because its status
 * tells what the server did with the request.
 */
export function startExchange(fetchLike: FetchLike | undefined, plan: RequestPlan): Exchange {
  const { url, timeoutMs, maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES, keepalive } = plan;
  const controller = new AbortController();
  let settle!: (outcome: ExchangeOutcome) => void;
  let isTimedOut = false;
  let isSettled = false;
  let graceTimer: Timer | undefined;
  const outcome = new Promise<ExchangeOutcome>((resolve) => {
    settle = resolve;
  });
  // An exchange that was aborted here tells nothing about the budget.
  void outcome.then((outcome) => keepalive?.release(outcome.kind === "response" || outcome.reason === "aborted"));
  const end = (outcome: ExchangeOutcome) => {
    isSettled = true;
    stopTimer(timeoutTimer);
    stopTimer(graceTimer);
    settle(outcome);
  };
  const timeoutTimer = startTimer(() => {
    isTimedOut = true;
    controller.abort();
    graceTimer = startTimer(() => end({ kind: "failure", reason: "timeout" }), ABORT_GRACE_MS);
  }, timeoutMs);
  const onError = (cause: unknown, isBlocked = false) =>
    end({ kind: "failure", reason: isTimedOut ? "timeout" : isBlocked ? "blocked" : "network", cause });
  const onResponse = async (response: Response) => {
    // After a trap the reader may belong to a new engine instance.
    if (isSettled) return;
    const { status, headers } = response;
    const retryAfter = headers.get("retry-after");
    const retryAfterMs = retryAfter === null ? -1 : readRetryAfter(retryAfter);
    const lines = headerLines(headers, plan.responseHeaders);
    const { chunks, error } = await readBody(response, maxResponseBytes);
    if (plan.needsBody && error !== undefined && status >= 200 && status < 300) onError(error);
    else {
      const more = plan.moreHeaders?.(headers) ?? "";
      end({ kind: "response", status, retryAfterMs, headers: lines + more, chunks });
    }
  };
  try {
    const init = requestInit(plan, controller.signal);
    // Tests and frameworks may replace the global `fetch`, so it is looked up now.
    callFetch(() => (fetchLike ?? fetch)(url, init))
      .then(onResponse)
      .catch((cause: unknown) => onError(cause, mayBeBlocked(cause)));
  } catch (cause) {
    onError(cause);
  }
  return {
    outcome,
    cancel() {
      end({ kind: "failure", reason: "aborted" });
      controller.abort();
    },
  };
}

/**
 * An exchange that starts when its plan is there. A plan that rejects is a network failure, one that is not there within
 * `timeoutMs` a timeout.
 */
export function startWhenPlanned(
  plan: Promise<RequestPlan>,
  timeoutMs: number,
  start: (plan: RequestPlan) => Exchange,
): Exchange {
  let exchange: Exchange | undefined;
  let isOver = false;
  let end!: (reason: "aborted" | "timeout") => void;
  const ended = new Promise<ExchangeOutcome>((resolve) => {
    end = (reason) => {
      isOver = true;
      resolve({ kind: "failure", reason });
    };
  });
  const timer = startTimer(() => end("timeout"), timeoutMs);
  const planned = plan.then(
    (plan): ExchangeOutcome | Promise<ExchangeOutcome> => {
      stopTimer(timer);
      if (isOver) {
        plan.keepalive?.release(false);
        return ended;
      }
      exchange = start(plan);
      return exchange.outcome;
    },
    (cause): ExchangeOutcome => {
      stopTimer(timer);
      return { kind: "failure", reason: "network", cause };
    },
  );
  return {
    outcome: Promise.race([planned, ended]),
    cancel() {
      stopTimer(timer);
      end("aborted");
      exchange?.cancel();
    },
  };
}

/** The options of `fetch` for a request: a plain object, because a `fetch` of another library knows no class of this platform. */
function requestInit(
  { method = "POST", headers: lines, body, keepalive, credentials }: RequestPlan,
  signal: AbortSignal,
): RequestInit {
  const headers = new Headers();
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) headers.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const init: RequestInit = { method, headers, redirect: "manual", signal };
  // An empty body is no body.
  if (body.length > 0) init.body = body as Uint8Array<ArrayBuffer>;
  if (keepalive) init.keepalive = true;
  if (credentials) init.credentials = credentials;
  return init;
}

/** The headers with these names that a response has, as lines; all of them for `*`. A browser hides `set-cookie`. */
function headerLines(headers: Headers, names = ""): string {
  const wanted = names === "*" ? new Set(headers.keys()) : names.split(" ");
  let lines = "";
  for (const name of wanted) {
    // Cookies joined by commas cannot be separated again, because dates contain commas.
    const cookies = name === "set-cookie" ? headers.getSetCookie?.() : undefined;
    const value = name === "" || cookies ? null : headers.get(name);
    for (const line of cookies ?? (value === null ? [] : [value])) lines += `${name}: ${line}\n`;
  }
  return lines;
}

/**
 * A function that makes a request and reads the whole body of its response.
 *
 * @throws what `fetch` throws, what breaks the body off, and the result of `tooLarge` for a body of more than `maxBytes`
 */
export function fetchWhole(
  fetchLike: FetchLike | undefined,
  maxBytes: number,
  tooLarge: () => Error,
): (url: string, init: RequestInit) => Promise<[Response, Uint8Array]> {
  return async (url, init) => {
    const response = await callFetch(() => (fetchLike ? fetchLike(url, init) : fetch(url, init)));
    const { chunks, error } = await readBody(response, maxBytes + 1);
    if (error !== undefined) throw error;
    const body = joined(chunks);
    if (body.length > maxBytes) throw tooLarge();
    return [response, body];
  };
}

/**
 * Reads at most `maxBytes` of the body. If the body breaks off, `chunks` has the bytes that arrived and `error` tells
 * why: often the status is all that matters. Never rejects.
 */
async function readBody(response: Response, maxBytes: number): Promise<{ chunks: Uint8Array[]; error?: unknown }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let error: unknown;
  try {
    const reader = response.body ? readerOf(response.body) : undefined;
    let hasEnded = !reader;
    while (size < maxBytes && !hasEnded) {
      const { value } = await reader!.read();
      hasEnded = value === undefined;
      // Without a class check: in a test environment the bytes may come from another realm.
      if (!ArrayBuffer.isView(value)) break;
      const chunk = (value as Uint8Array).subarray(0, maxBytes - size);
      chunks.push(chunk);
      size += chunk.length;
    }
    // Nobody uses the remainder. An empty body must be read to its end, because browsers return the bytes of a request
    // to the keepalive budget only then. The cancel is not awaited: the one of a cloned response does not resolve
    // before the clone is read.
    if (!hasEnded) reader!.cancel()?.catch(() => undefined);
  } catch (cause) {
    error = cause;
  }
  return { chunks, error };
}

class NoResponse extends TypeError {}

/**
 * Whether the error of a `fetch` may mean that CORS or an extension blocks the request: a browser does not say why it
 * failed. Without a network it says so itself.
 */
function mayBeBlocked(cause: unknown): boolean {
  if (typeof document === "undefined" || cause instanceof NoResponse) return false;
  return (cause as Error | undefined)?.name === "TypeError" && globalThis.navigator?.onLine !== false;
}

/** Calls a `fetch` and checks what it resolves with. */
async function callFetch(send: () => unknown): Promise<Response> {
  try {
    const response = await send();
    // Without a class check: a test environment may replace the class Response.
    if (
      typeof (response as Response)?.status !== "number" ||
      typeof (response as Response).headers?.get !== "function"
    ) {
      throw new NoResponse("the function given as fetch did not return a Response");
    }
    return response as Response;
  } catch (error) {
    throw error instanceof Error ? error : new Error(String(error), { cause: error });
  }
}
