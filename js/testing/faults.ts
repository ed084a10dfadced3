/**
 * Fault injection: failures of the network and the server, when a test asks for them.
 *
 * ```text
 *   request ─> [after "store": the service handles it] ─> delay ─> hang | reset | response of the fault
 *                                                              └─> response of the service, complete or truncated
 * ```
 */
import type { Lifetime } from "./service.js";
import { invalidArgument, mustBe } from "../engine/messages.js";
import { startTimer, stopTimer } from "../platform/clock.js";

const CONNECTION_RESETS = new WeakSet<object>();

/** A fault and the requests it applies to. At least one effect is needed; `hang`, `reset` and a response exclude each other. */
export interface Fault {
  /** Which requests: those whose path starts with a string, or for which a function returns true. @default all */
  match?: string | ((request: Request) => boolean);
  /** Number of requests it applies to; then it is removed. @default unlimited */
  times?: number;
  /** Probability that it applies to a matching request, from 0 to 1. @default 1 */
  probability?: number;
  /** Seed of the random choice: the same seed picks the same requests of a sequence. @default 1 */
  seed?: number;
  /** Respond with this status, 200 to 599, in place of the service. */
  status?: number;
  /** Headers of that response; without `status` and `body` they are added to the response of the service. */
  headers?: Record<string, string>;
  /** Body of that response; without `status` the status is 200. */
  body?: string | Uint8Array;
  /** Delay before the response, in milliseconds. */
  delayMs?: number;
  /** Never respond. The request ends when the caller aborts, or the emulator or its server is closed. */
  hang?: true;
  /** Break the connection: `fetch` rejects with a TypeError; a socket is destroyed. */
  reset?: true;
  /** Break the connection after this many bytes of the body, or at its end if it is shorter. A response without a body is reset. */
  cutBodyAfter?: number;
  /** `"store"`: the service handles the request first, so that only the response is delayed, replaced or lost. */
  after?: "store";
}

/** A fault that was added. */
export interface AddedFault {
  /** The fault as it was added. */
  readonly fault: Readonly<Fault>;
  /** Number of requests it has been applied to. */
  readonly hits: number;
  /** Removes it. Requests that already hang stay hanging. */
  remove(): void;
}

/** The faults of an emulator. Of several that match a request, the one added first applies. */
export class Faults {
  #active: ActiveFault[] = [];

  /**
   * Adds a fault.
   *
   * @example
   * emulator.faults.add({ match: "/cloudevents", status: 503, headers: { "retry-after": "1" }, times: 2 });
   * emulator.faults.add({ after: "store", reset: true, times: 1 }); // stored, but the response is lost
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for values out of range and effects that exclude each other.
   */
  add(fault: Fault): AddedFault {
    validate(fault);
    const active = new ActiveFault({ ...fault }, () => {
      this.#active = this.#active.filter((other) => other !== active);
    });
    this.#active.push(active);
    return active;
  }

  /** The faults that are still active, in the order they were added. */
  get list(): readonly AddedFault[] {
    return [...this.#active];
  }

  /** Removes all faults. */
  clear(): void {
    this.#active = [];
  }

  /** The fault that applies to a request, counted as a hit. @internal */
  find(request: Request, url: URL): ActiveFault | undefined {
    return this.#active.find((active) => active.appliesTo(request, url));
  }
}

/** A fault with its hit count. */
class ActiveFault implements AddedFault {
  readonly fault: Readonly<Fault>;
  readonly remove: () => void;
  readonly #random: () => number;
  #hits = 0;

  constructor(fault: Fault, remove: () => void) {
    this.fault = fault;
    this.remove = remove;
    this.#random = seededRandom(fault.seed ?? 1);
  }

  get hits(): number {
    return this.#hits;
  }

  appliesTo(request: Request, url: URL): boolean {
    const { match, probability = 1, times = Infinity } = this.fault;
    if (typeof match === "string" ? !url.pathname.startsWith(match) : match && !match(request)) return false;
    // Drawn for every match, so that the outcome depends only on the seed and the sequence.
    if (this.#random() >= probability) return false;
    if (++this.#hits >= times) this.remove();
    return true;
  }

  /** The response under this fault. Rejects where the connection breaks. */
  async respond(request: Request, lifetime: Lifetime, respond: () => Promise<Response>): Promise<Response> {
    const { after, delayMs = 0, hang, reset, status, headers, body, cutBodyAfter } = this.fault;
    let answer = after === "store" ? await respond() : undefined;
    try {
      if (delayMs > 0 || hang) await wait(hang ? undefined : delayMs, request, lifetime);
      if (reset) throw connectionReset();
      if (status !== undefined || body !== undefined) {
        await answer?.body?.cancel();
        answer = new Response((body ?? null) as BodyInit | null, { status: status ?? 200, headers: headers ?? {} });
      } else {
        answer ??= await respond();
        if (headers) answer = withHeaders(answer, headers);
      }
      return cutBodyAfter === undefined ? answer : truncateBody(answer, cutBodyAfter);
    } catch (error) {
      await answer?.body?.cancel().catch(() => undefined);
      throw error;
    }
  }
}
export type { ActiveFault };

/** The error with which `fetch` reports a broken connection. */
export function connectionReset(): TypeError {
  const error = new TypeError("the emulator broke the connection");
  CONNECTION_RESETS.add(error);
  return error;
}

/** Whether an error comes from `connectionReset`, and not from a bug in a service. */
export function isConnectionReset(error: unknown): boolean {
  return CONNECTION_RESETS.has(error as object);
}

/** Waits, forever if no time is given. Rejects when the caller aborts or the emulator is closed. */
function wait(ms: number | undefined, request: Request, lifetime: Lifetime): Promise<void> {
  return new Promise((resolve, reject) => {
    const removeOnClose = lifetime.onClose(() => {
      stopTimer(timer);
      reject(request.signal.aborted ? request.signal.reason : connectionReset());
    }, request.signal);
    const onTimer = () => {
      removeOnClose();
      resolve();
    };
    const timer = ms === undefined ? undefined : startTimer(onTimer, ms);
  });
}

function withHeaders(answer: Response, headers: Record<string, string>): Response {
  const merged = new Headers(answer.headers);
  for (const name in headers) merged.set(name, headers[name]!);
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers: merged });
}

/** The same response with a body that fails after some bytes. */
function truncateBody(answer: Response, bytes: number): Response {
  const { body, status, statusText } = answer;
  if (body === null) throw connectionReset();
  const reader = body.getReader();
  let left = bytes;
  const broken = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const step = left > 0 ? await reader.read() : undefined;
        if (step && !step.done) {
          const part = step.value.subarray(0, left);
          left -= part.length;
          controller.enqueue(part);
          return;
        }
        await reader.cancel();
        controller.error(connectionReset());
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  const headers = new Headers(answer.headers);
  headers.set("connection", "keep-alive"); // see the head of node.ts
  return new Response(broken, { status, statusText, headers });
}

/** Pseudorandom numbers in [0, 1) that the seed determines (mulberry32, public domain). */
function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function validate(fault: Fault): void {
  if (typeof fault !== "object" || fault === null) throw mustBe("fault", "an object", fault);
  const { match, times, probability, seed, status, body, headers, delayMs, hang, reset, cutBodyAfter, after } = fault;
  const { MAX_SAFE_INTEGER, MIN_SAFE_INTEGER } = Number;
  if (match !== undefined && typeof match !== "string" && typeof match !== "function")
    throw mustBe("match", "a path prefix or a function", match);
  validateInteger("times", times, 1, MAX_SAFE_INTEGER);
  validateInteger("seed", seed, MIN_SAFE_INTEGER, MAX_SAFE_INTEGER);
  validateInteger("status", status, 200, 599);
  validateInteger("cutBodyAfter", cutBodyAfter, 0, MAX_SAFE_INTEGER);
  validateInteger("delayMs", delayMs, 0, 2 ** 31 - 1); // the longest delay of a timer
  if (probability !== undefined && !(probability >= 0 && probability <= 1))
    throw mustBe("probability", "a number from 0 to 1", probability);
  if (after !== undefined && after !== "store") throw mustBe("after", '"store" or undefined', after);
  const hasResponse = status !== undefined || body !== undefined;
  if (Number(hasResponse) + Number(hang ?? false) + Number(reset ?? false) > 1)
    throw invalidArgument("a fault must not combine hang, reset and a response (status or body)");
  if ((hang || reset) && (headers || cutBodyAfter !== undefined))
    throw invalidArgument("a fault with hang or reset sends no response; remove headers and cutBodyAfter");
  if (body !== undefined && [204, 205, 304].includes(status ?? 200))
    throw invalidArgument(`a response with status ${status} has no body; remove body`);
  if (!hasResponse && !hang && !reset && !headers && delayMs === undefined && cutBodyAfter === undefined)
    throw invalidArgument("a fault needs an effect: status, body, headers, delayMs, hang, reset or cutBodyAfter");
}

/** Unlike `integer` of service.ts, it takes negative limits and no strings. */
function validateInteger(name: string, value: unknown, min: number, max: number): void {
  if (value !== undefined && !(Number.isInteger(value) && (value as number) >= min && (value as number) <= max))
    throw mustBe(name, `an integer from ${min} to ${max}`, value);
}
