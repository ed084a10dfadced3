/** One HTTP exchange with a time limit. `src/wasm/fetch.rs` builds the request and reads the head of the response. */
import { concat } from "./bytes.js";
import { startTimer, stopTimer, type Timer } from "./clock.js";

/** A function like the global `fetch`. */
export type FetchLike = (request: Request) => Promise<Response>;

/** What the engine does of an exchange. `src/wasm/fetch.rs` implements it. */
export interface FetchBindings {
  /** Fills in the options of the platform's `fetch`. */
  request_init(
    init: RequestInit,
    method: string,
    headers: string,
    body: Uint8Array,
    signal: AbortSignal,
    isKeepalive: boolean,
  ): void;
  /** Appends to `head`: the response, its status, retryAfterMs or -1, and the requested headers as lines. */
  response_head(response: Response, responseHeaders: string, head: unknown[]): void;
  /** Sends a request by a `fetch` of the user, and calls back once. */
  exchange(
    fetch: (request: Request) => Promise<Response>,
    method: string,
    url: string,
    headers: string,
    body: Uint8Array,
    signal: AbortSignal,
    responseHeaders: string,
    isKeepalive: boolean,
    landed: (head: unknown) => void,
    failed: (cause: unknown) => void,
  ): void;
}

/** How an exchange ended. */
export type ExchangeOutcome =
  | { kind: "response"; status: number; retryAfterMs: number; headers: string; body: Uint8Array }
  | { kind: "failure"; reason: "timeout" | "aborted" | "network"; cause?: unknown };

/** What is to be exchanged. */
export interface RequestPlan {
  /** @default "POST" */
  method?: "GET" | "POST";
  url: string;
  /** Lines of `name: value`. */
  headers: string;
  body: Uint8Array;
  timeoutMs: number;
  /** How much of the answer is read. @default 16 KiB */
  maxResponseBytes?: number;
  /** Headers of the answer that are to be seen: lower-case names parted by one space. @default none */
  responseHeaders?: string;
  /** Whether a good status is worth nothing without all of its body: one that breaks off is then no answer. @default false */
  needsBody?: boolean;
  /** A share of the room for requests that survive the page, given back at the end. `isAnswered`: an answer was read. */
  keepalive?: { release(isAnswered: boolean): void } | undefined;
}

/** A running exchange. */
export interface Exchange {
  /** Never rejects. */
  readonly outcome: Promise<ExchangeOutcome>;
  /** Gives up; the outcome is `aborted` at once. */
  cancel(): void;
}

const MAX_ANSWER_BYTES = 16 * 1024;
/** How long a fetch may take to notice that it was aborted. */
const GRACE_MS = 250;

/**
 * Starts an exchange. When the time is up, the fetch is aborted; if an answer had begun by then, that answer
 * counts, because its status says what became of the request.
 */
export function startExchange(
  bindings: FetchBindings,
  fetchLike: FetchLike | undefined,
  {
    method = "POST",
    url,
    headers,
    body,
    timeoutMs,
    maxResponseBytes = MAX_ANSWER_BYTES,
    responseHeaders = "",
    needsBody = false,
    keepalive,
  }: RequestPlan,
): Exchange {
  const controller = new AbortController();
  let settle!: (outcome: ExchangeOutcome) => void;
  let isLate = false;
  let isOver = false;
  let grace: Timer | undefined;
  const outcome = new Promise<ExchangeOutcome>((resolve) => {
    settle = resolve;
  });
  // One that we have given up says nothing about the budget.
  void outcome.then((outcome) => keepalive?.release(outcome.kind === "response" || outcome.reason === "aborted"));
  const end = (how: ExchangeOutcome) => {
    isOver = true;
    stopTimer(patience);
    stopTimer(grace);
    settle(how);
  };
  const patience = startTimer(() => {
    isLate = true;
    controller.abort();
    grace = startTimer(() => end({ kind: "failure", reason: "timeout" }), GRACE_MS);
  }, timeoutMs);
  const failed = (cause: unknown) => end({ kind: "failure", reason: isLate ? "timeout" : "network", cause });
  try {
    const landed = async (head: unknown) => {
      const [answer, status, retryAfterMs, headers] = head as [Response, number, number, string];
      const { body, broken } = await firstBytes(answer, maxResponseBytes);
      if (needsBody && broken !== undefined && status >= 200 && status < 300) failed(broken);
      else end({ kind: "response", status, retryAfterMs, headers, body });
    };
    const { signal } = controller;
    const survives = keepalive !== undefined;
    if (fetchLike) {
      bindings.exchange(
        asAsync(fetchLike, survives),
        method,
        url,
        headers,
        body,
        signal,
        responseHeaders,
        survives,
        landed,
        failed,
      );
    } else {
      const init: RequestInit = {};
      bindings.request_init(init, method, headers, body, signal, survives);
      // Looked up now: tests and frameworks replace the global one.
      answered(() => fetch(url, init))
        .then((answer) => {
          // After a trap there may be another engine, which has nothing to do with this.
          if (isOver) return;
          const head: unknown[] = [];
          bindings.response_head(answer, responseHeaders, head);
          return landed(head);
        })
        .catch(failed);
    }
  } catch (cause) {
    failed(cause);
  }
  return {
    outcome,
    cancel() {
      end({ kind: "failure", reason: "aborted" });
      controller.abort();
    },
  };
}

/** An exchange whose plan is still being made. */
export function startWhenPlanned(plan: Promise<RequestPlan>, start: (plan: RequestPlan) => Exchange): Exchange {
  const aborted: ExchangeOutcome = { kind: "failure", reason: "aborted" };
  let flight: Exchange | undefined;
  let isOver = false;
  const outcome = plan.then(
    (plan) => {
      if (!isOver) return (flight = start(plan)).outcome;
      plan.keepalive?.release(false);
      return aborted;
    },
    (cause): ExchangeOutcome => ({ kind: "failure", reason: "network", cause }),
  );
  return {
    outcome,
    cancel() {
      isOver = true;
      flight?.cancel();
    },
  };
}

/**
 * The first bytes of the body, and what broke it off, if something did. Such a body is as long as what came of it: for many the status has
 * said already what became of the request. Never rejects.
 */
async function firstBytes(answer: Response, max: number): Promise<{ body: Uint8Array; broken?: unknown }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let broken: unknown;
  try {
    const reader = answer.body?.getReader();
    let hasEnded = !reader;
    while (size < max && !hasEnded) {
      const { value } = await reader!.read();
      hasEnded = value === undefined;
      // Not by class: in a test environment the platform's bytes are of another realm.
      if (!ArrayBuffer.isView(value)) break;
      const chunk = value.subarray(0, max - size);
      chunks.push(chunk);
      size += chunk.length;
    }
    // What is left is of no use to anybody. An answer that is empty has to be read to its end all the same: before, browsers do not
    // give back what its request had of the budget for requests that survive the page. Not waited for: of an answer that was cloned it
    // comes to no end before the clone does.
    if (!hasEnded) reader!.cancel().catch(() => undefined);
  } catch (cause) {
    broken = cause;
  }
  return { body: chunks.length === 1 ? chunks[0]! : concat(chunks), broken };
}

/** Only Errors may reject into wasm, and nothing may throw into it. */
function asAsync(fetchLike: FetchLike, keepalive: boolean): (request: Request) => Promise<Response> {
  return (request) => {
    // Firefox looks for it beside a request, and not in it.
    const answer = answered(() =>
      keepalive ? (fetchLike as typeof fetch)(request, { keepalive }) : fetchLike(request),
    );
    // After a trap there may be nobody left to hear of it.
    answer.catch(() => undefined);
    return answer;
  };
}

async function answered(send: () => unknown): Promise<Response> {
  try {
    const answer = await send();
    // By its shape, because a test environment may have a Response of its own.
    if (typeof (answer as Response)?.status !== "number" || typeof (answer as Response).headers?.get !== "function") {
      throw new TypeError("the function given as fetch did not return a Response");
    }
    return answer as Response;
  } catch (error) {
    throw error instanceof Error ? error : new Error(String(error), { cause: error });
  }
}
