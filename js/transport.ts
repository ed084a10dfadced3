/** One HTTP exchange with a time limit. The exchange itself is `src/wasm/fetch.rs`. */
import type { FullGlue } from "./wasm.js";

/** A function like the global `fetch`. */
export type FetchLike = (request: Request) => Promise<Response>;

/** How an exchange ended. */
export type Outcome =
  | { kind: "response"; status: number; retryAfterMs: number; headers: string; body: Uint8Array }
  | { kind: "failure"; why: "timeout" | "aborted" | "network"; cause?: unknown };

/** Numbers of the reasons, for `failure` of a port. */
export const WHY = { timeout: 0, aborted: 1, network: 2 } as const;

/** What is to be exchanged. */
export interface FlightPlan {
  /** @default "POST" */
  method?: "GET" | "POST";
  url: string;
  /** Lines of `name: value`. */
  headers: string;
  body: Uint8Array;
  patienceMs: number;
  /** How much of the answer is read. @default 16 KiB */
  maxAnswerBytes?: number;
  /** Headers of the answer that are to be seen: lower-case names parted by one space. @default none */
  wanted?: string;
  /** Whether a good status is worth nothing without all of its body: one that breaks off is then no answer. @default false */
  needsBody?: boolean;
  /** A share of the room for requests that survive the page, given back at the end. `isAnswered`: an answer was read. */
  keepalive?: { release(isAnswered: boolean): void } | undefined;
}

/** A running exchange. */
export interface Flight {
  /** Never rejects. */
  readonly outcome: Promise<Outcome>;
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
export function startFlight(
  glue: FullGlue,
  fetchLike: FetchLike | undefined,
  { method = "POST", url, headers, body, patienceMs, maxAnswerBytes = MAX_ANSWER_BYTES, wanted = "", needsBody = false, keepalive }: FlightPlan,
): Flight {
  const controller = new AbortController();
  let settle!: (outcome: Outcome) => void;
  let isLate = false;
  let grace: ReturnType<typeof setTimeout> | undefined;
  const outcome = new Promise<Outcome>((resolve) => {
    settle = resolve;
  });
  // One that we have given up says nothing about the budget.
  void outcome.then((outcome) => keepalive?.release(outcome.kind === "response" || outcome.why === "aborted"));
  const end = (how: Outcome) => {
    clearTimeout(patience);
    clearTimeout(grace);
    settle(how);
  };
  const patience = setTimeout(() => {
    isLate = true;
    controller.abort();
    grace = setTimeout(() => end({ kind: "failure", why: "timeout" }), GRACE_MS);
  }, patienceMs);
  const failed = (cause: unknown) => end({ kind: "failure", why: isLate ? "timeout" : "network", cause });
  try {
    const landed = (answer: unknown) => {
      const [status, retryAfterMs, headers, body, broken] = answer as [number, number, string, Uint8Array, unknown];
      if (needsBody && broken !== undefined && status >= 200 && status < 300) failed(broken);
      else end({ kind: "response", status, retryAfterMs, headers, body });
    };
    const { signal } = controller;
    const survives = keepalive !== undefined;
    glue.exchange(asAsync(fetchLike, survives), method, url, headers, body, signal, maxAnswerBytes, wanted, survives, !fetchLike, landed, failed);
  } catch (cause) {
    failed(cause);
  }
  return {
    outcome,
    cancel() {
      end({ kind: "failure", why: "aborted" });
      controller.abort();
    },
  };
}

/** An exchange whose plan is still being made. */
export function plannedFlight(plan: Promise<FlightPlan>, start: (plan: FlightPlan) => Flight): Flight {
  const aborted: Outcome = { kind: "failure", why: "aborted" };
  let flight: Flight | undefined;
  let isOver = false;
  const outcome = plan.then(
    (plan) => {
      if (!isOver) return (flight = start(plan)).outcome;
      plan.keepalive?.release(false);
      return aborted;
    },
    (cause): Outcome => ({ kind: "failure", why: "network", cause }),
  );
  return {
    outcome,
    cancel() {
      isOver = true;
      flight?.cancel();
    },
  };
}

/** Only Errors may reject into wasm, and nothing may throw into it. */
function asAsync(fetchLike: FetchLike | undefined, keepalive: boolean): (...request: never[]) => Promise<Response> {
  return (...request) => {
    // Looked up now: tests and frameworks replace the global one.
    const answer = answered((fetchLike ?? fetch) as AnyFetch, request, fetchLike !== undefined && keepalive);
    // After a trap there may be nobody left to hear of it.
    answer.catch(() => undefined);
    return answer;
  };
}

type AnyFetch = (...request: unknown[]) => Promise<Response>;

async function answered(send: AnyFetch, request: unknown[], keepalive: boolean): Promise<Response> {
  try {
    // Firefox looks for it beside a request, and not in it.
    const answer: unknown = await (keepalive ? send(...request, { keepalive }) : send(...request));
    // By its shape, because a test environment may have a Response of its own.
    if (typeof (answer as Response)?.status !== "number" || typeof (answer as Response).headers?.get !== "function") {
      throw new TypeError("the function given as fetch did not return a Response");
    }
    return answer as Response;
  } catch (error) {
    throw error instanceof Error ? error : new Error(String(error), { cause: error });
  }
}
