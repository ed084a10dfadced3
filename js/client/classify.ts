/** The option `classify`: what a response means, where its status does not tell. */
import { FerryError, isFerryError } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import { type CallResponse, responseOf } from "./calls.js";
import { TextDecoder } from "../platform/text.js";

/** What a response means for an event. */
export type EventOutcome = "delivered" | "retry" | "rejected";

/** What a response means for all events of a request, or for each in order; `undefined`: what its status says. */
export type Classified = EventOutcome | readonly EventOutcome[] | undefined;

/** A response, as `classify` sees it. */
export interface ClassifiableResponse {
  /** The HTTP status. */
  readonly status: number;
  /** The body, of which at least 16 KiB and 512 bytes for each event are read. */
  readonly body: Uint8Array;
  /** The body as text. */
  text(): string;
}

/** An event of the request. */
export interface SentEvent {
  /** The id of the event. */
  readonly id: string;
  /** Its JSON text. */
  readonly text: string;
}

/**
 * Tells what a response means. Called once for each response, and must return at once. If it throws, the request is
 * repeated like one that had no response.
 */
export type Classify = (response: ClassifiableResponse, events: readonly SentEvent[]) => Classified;

const OUTCOMES: readonly unknown[] = ["delivered", "retry", "rejected"];
/** A longer body may be cut off, and then is no JSON for that reason alone. */
const MAX_COMPLETE_BYTES = 16 * 1024;

/**
 * A ready `classify`: a response with a status of 200 to 299 must be empty or JSON. Anything else does not come from the
 * server of the events, but for example from the login page of a network, so the request is repeated.
 */
export function expectJsonOrEmpty(response: ClassifiableResponse): Classified {
  const { status, body } = response;
  if (status < 200 || status > 299 || body.length === 0) return undefined;
  const text = response.text();
  try {
    JSON.parse(text);
    return undefined;
  } catch {
    const isCutOff = body.length >= MAX_COMPLETE_BYTES && /^\s*[[{"]/.test(text);
    return isCutOff ? undefined : "retry";
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkClassify(classify: unknown): void {
  if (classify !== undefined && typeof classify !== "function") throw mustBe("classify", "a function", classify);
}

/**
 * Calls `classify` and checks its result.
 *
 * @throws what it throws; {FerryError} `ERR_INVALID_ARGUMENT` for a bad result
 */
export function classified(
  classify: Classify,
  { status, body }: { status: number; body: Uint8Array },
  events: readonly SentEvent[],
): Classified {
  const result: unknown = classify({ status, body, text: () => new TextDecoder().decode(body) }, events);
  const isValid = Array.isArray(result)
    ? result.length === events.length && result.every((outcome) => OUTCOMES.includes(outcome))
    : result === undefined || OUTCOMES.includes(result);
  if (isValid) return result as Classified;
  // Nobody else handles its rejection.
  if (result instanceof Promise) result.catch(() => undefined);
  throw mustBe(
    "the result of classify",
    `"delivered", "retry", "rejected", one of them for each event, or undefined`,
    result,
  );
}

/** The error of a response that `classify` has not accepted. */
export function notAccepted(outcome: "retry" | "rejected", status: number): FerryError {
  return outcome === "retry"
    ? new FerryError("ERR_UNAVAILABLE", `classify does not accept the response with HTTP ${status}`, { status })
    : new FerryError("ERR_REJECTED", `the option classify takes the response with HTTP ${status} as a refusal`, {
        status,
      });
}

/**
 * The response of a call, as `classify` reads it.
 *
 * @throws {FerryError} the error of the call; `ERR_UNAVAILABLE` or `ERR_REJECTED` if `classify` says so
 */
export async function classifyCall(
  classify: Classify | undefined,
  call: Promise<CallResponse>,
  events: () => readonly SentEvent[],
): Promise<CallResponse> {
  if (!classify) return call;
  let response: CallResponse | undefined;
  let failure: unknown;
  try {
    response = await call;
  } catch (error) {
    failure = error;
    response = isFerryError(error) ? responseOf(error) : undefined;
    if (!response || response.status === 0) throw error;
  }
  const result = classified(classify, response, events());
  if (result === undefined) {
    if (failure !== undefined) throw failure;
    return response;
  }
  const outcomes = typeof result === "string" ? [result] : result;
  if (outcomes.includes("rejected")) throw notAccepted("rejected", response.status);
  if (outcomes.includes("retry")) throw notAccepted("retry", response.status);
  return response;
}
