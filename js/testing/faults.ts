/**
 * Faults on purpose: what a network and a server do on a bad day, but when a test wants it.
 *
 * ```text
 *   request ─> [after "store": the service handles it] ─> delay ─> hang | reset | answer of the fault
 *                                                              └─> the service's answer, whole or cut
 * ```
 */
import { FerryError } from "../engine/errors.js";
import type { Lifetime } from "./service.js";
import { formatValue } from "../engine/messages.js";
import { startTimer, stopTimer } from "../platform/clock.js";

const CONNECTION_RESETS = new WeakSet<object>();

/** What goes wrong, and when. At least one effect is needed; `hang`, `reset` and an answer exclude each other. */
export interface Fault {
  /** Which requests: those whose path begins with a text, or for which a function is true. @default all */
  match?: string | ((request: Request) => boolean);
  /** How often it strikes at most; then it is spent. @default without limit */
  times?: number;
  /** How likely it strikes, from 0 to 1. @default 1 */
  probability?: number;
  /** The same seed strikes the same requests of a sequence. @default 1 */
  seed?: number;
  /** Answer with this status, 200 to 599, in place of the service. */
  status?: number;
  /** Headers of that answer; without `status` and `body` they are added to the answer of the service. */
  headers?: Record<string, string>;
  /** Body of that answer; without `status` the status is 200. */
  body?: string | Uint8Array;
  /** Wait so many milliseconds first. */
  delayMs?: number;
  /** Never answer. It ends when the caller aborts or the emulator or its server is closed. */
  hang?: true;
  /** Break the connection: `fetch` rejects with a TypeError, a socket is destroyed. */
  reset?: true;
  /** Break the connection after so many bytes of the body; at its end if it is shorter. An answer without a body is reset. */
  cutBodyAfter?: number;
  /** `"store"`: only after the service has handled the request, so that the answer is late, wrong or lost, but not the work. */
  after?: "store";
}

/** A fault that was added. */
export interface AddedFault {
  readonly fault: Readonly<Fault>;
  /** How many requests it has struck. */
  readonly hits: number;
  /** Takes it out again. What already hangs goes on hanging. */
  remove(): void;
}

/** The faults of an emulator. Of several that match a request, the one added first strikes. */
export class Faults {
  #active: ActiveFault[] = [];

  /**
   * Adds a fault.
   *
   * @example
   * emulator.faults.add({ match: "/cloudevents", status: 503, headers: { "retry-after": "1" }, times: 2 });
   * emulator.faults.add({ after: "store", reset: true, times: 1 }); // stored, but the answer is lost
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for values out of range and parts that contradict each other.
   */
  add(fault: Fault): AddedFault {
    validate(fault);
    const active = new ActiveFault({ ...fault }, () => {
      this.#active = this.#active.filter((other) => other !== active);
    });
    this.#active.push(active);
    return active;
  }

  /** Those that may still strike, in the order they were added. */
  get list(): readonly AddedFault[] {
    return [...this.#active];
  }

  /** Takes all out. */
  clear(): void {
    this.#active = [];
  }

  /** The fault for a request, counted as a hit. @internal */
  find(request: Request, url: URL): ActiveFault | undefined {
    return this.#active.find((active) => active.appliesTo(request, url));
  }
}

/** A fault with its counters. */
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
    // Drawn for every match, so that the outcome depends on nothing but the seed and the sequence.
    if (this.#random() >= probability) return false;
    if (++this.#hits >= times) this.remove();
    return true;
  }

  /** The answer under this fault. Rejects where the connection breaks. */
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

/** What a broken connection looks like to whoever calls `fetch`. */
export function connectionReset(): TypeError {
  const error = new TypeError("the emulator broke the connection");
  CONNECTION_RESETS.add(error);
  return error;
}

/** Whether a service threw it to break the connection, and not because of a bug. */
export function isConnectionReset(error: unknown): boolean {
  return CONNECTION_RESETS.has(error as object);
}

/** Waits, for ever if no time is given. Rejects when the caller aborts or the emulator is closed. */
function wait(ms: number | undefined, request: Request, lifetime: Lifetime): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = lifetime.onClose(() => {
      stopTimer(timer);
      reject(request.signal.aborted ? request.signal.reason : connectionReset());
    }, request.signal);
    const timer = ms === undefined ? undefined : startTimer(() => (leave(), resolve()), ms);
  });
}

function withHeaders(answer: Response, headers: Record<string, string>): Response {
  const merged = new Headers(answer.headers);
  for (const name in headers) merged.set(name, headers[name]!);
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers: merged });
}

/** The same answer, but its body breaks off. */
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
  headers.set("connection", "keep-alive"); // see node.ts
  return new Response(broken, { status, statusText, headers });
}

/** Numbers from 0 to below 1 that a seed determines (mulberry32, public domain). */
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
  const refuse = (problem: string): never => {
    throw new FerryError("ERR_INVALID_ARGUMENT", `a fault ${problem}`);
  };
  if (typeof fault !== "object" || fault === null) refuse(`is an object, not ${formatValue(fault)}`);
  const { match, times, probability, seed, status, body, headers, delayMs, hang, reset, cutBodyAfter, after } = fault;
  const whole = (name: string, value: unknown, least: number, most: number) => {
    if (value !== undefined && !(Number.isInteger(value) && (value as number) >= least && (value as number) <= most)) {
      refuse(`has a whole number from ${least} to ${most} for ${name}, not ${formatValue(value)}`);
    }
  };
  if (match !== undefined && typeof match !== "string" && typeof match !== "function")
    refuse(`matches by a path or a function, not ${formatValue(match)}`);
  whole("times", times, 1, Number.MAX_SAFE_INTEGER);
  whole("seed", seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  whole("status", status, 200, 599);
  whole("cutBodyAfter", cutBodyAfter, 0, Number.MAX_SAFE_INTEGER);
  whole("delayMs", delayMs, 0, 2 ** 31 - 1); // what timers can do
  if (probability !== undefined && !(probability >= 0 && probability <= 1))
    refuse(`has a probability from 0 to 1, not ${formatValue(probability)}`);
  if (after !== undefined && after !== "store")
    refuse(`strikes after "store" or at once, not after ${formatValue(after)}`);
  const answers = status !== undefined || body !== undefined;
  if (+answers + +(hang ?? false) + +(reset ?? false) > 1) refuse("either answers, hangs or resets");
  if ((hang || reset) && (headers || cutBodyAfter !== undefined))
    refuse("that hangs or resets has no answer to change");
  if (body !== undefined && [204, 205, 304].includes(status ?? 200)) refuse(`cannot answer ${status} with a body`);
  if (!answers && !hang && !reset && !headers && delayMs === undefined && cutBodyAfter === undefined)
    refuse("without an effect is none");
}
