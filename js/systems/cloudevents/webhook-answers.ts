/** The answers of a webhook receiver that do not depend on events: refusals, the handshake, and CORS. */
import { FerryError } from "../../engine/errors.js";
import type { EventBatch } from "./batch.js";
import type { CheckedOptions, Handshake } from "./webhook-options.js";

export const ALLOWED_METHODS = "POST, OPTIONS";

type Callback<E> = ((error: E, request: Request) => unknown) | undefined;

/** Calls a callback that only listens. What it throws, or rejects with, changes nothing. */
export function notify<E>(callback: Callback<E>, error: E, request: Request): void {
  try {
    const result = callback?.(error, request);
    if (result instanceof Promise) result.catch(() => undefined);
  } catch {
    // The callback belongs to the caller.
  }
}

/** An answer with a sentence in plain text. */
export function errorResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}

/** The same error with the status of the answer. */
export function withStatus(error: FerryError, status: number): FerryError {
  const { code, message, attribute, culprit, cause } = error;
  return new FerryError(code, message, { attribute, culprit, status, cause });
}

/** The status for a message that could not be read. */
export function statusOf(error: FerryError, request: Request): number {
  if (error.status !== undefined) return error.status;
  if (error.code === "ERR_TOO_LARGE") return 413;
  const isOtherFormat =
    error.code === "ERR_UNSUPPORTED_FORMAT" ||
    (error.code === "ERR_NOT_A_CLOUDEVENT" && request.headers.has("content-type"));
  return isOtherFormat ? 415 : 400;
}

/** The answer to OPTIONS. The status is always 200. The headers tell whether the origin is allowed. */
export async function handshake<T>(request: Request, options: CheckedOptions<T>): Promise<Response> {
  const { isAllowed, allowedOrigins, allowedRate } = options;
  const headers = new Headers({ allow: ALLOWED_METHODS });
  const origin = request.headers.get("webhook-request-origin");
  const callback = request.headers.get("webhook-request-callback") ?? undefined;
  if (origin !== null && isAllowed(origin) && (await isGranted({ origin, callback }, request, options))) {
    headers.set("webhook-allowed-origin", allowedOrigins === "*" ? "*" : origin);
    const requestedRate = request.headers.get("webhook-request-rate");
    if (requestedRate !== null || allowedRate !== undefined)
      headers.set("webhook-allowed-rate", String(allowedRate ?? requestedRate));
  }
  const page = request.headers.get("origin");
  if (page !== null && request.headers.has("access-control-request-method") && isAllowed(page)) {
    headers.set("access-control-allow-origin", page);
    headers.set("access-control-allow-methods", "POST");
    headers.set(
      "access-control-allow-headers",
      request.headers.get("access-control-request-headers") ?? "content-type",
    );
    headers.set("vary", "origin");
  }
  return new Response(null, { status: 200, headers });
}

async function isGranted<T>(
  handshake: Handshake,
  request: Request,
  { onHandshake }: CheckedOptions<T>,
): Promise<boolean> {
  return onHandshake === undefined || (await onHandshake(handshake, request)) === true;
}

const GRID_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent";

/** The validation of a subscription of Azure Event Grid. */
export interface GridValidation extends Handshake {
  code: string;
}

/**
 * The validation of a subscription, which is the only event of its delivery. `undefined` for all other deliveries.
 *
 * @throws {FerryError} `ERR_INVALID_EVENT` for a validation without a code.
 */
export function gridValidationOf<T>(events: EventBatch, { from }: CheckedOptions<T>): GridValidation | undefined {
  const event = from === "event-grid" && events.length === 1 ? events.at(0)! : undefined;
  if (event?.type !== GRID_VALIDATION) return undefined;
  const { validationCode, validationUrl } = (event.data ?? {}) as { validationCode?: unknown; validationUrl?: unknown };
  if (typeof validationCode !== "string" || validationCode === "")
    throw new FerryError("ERR_INVALID_EVENT", "the validation event of Event Grid lacks data.validationCode");
  const callback = typeof validationUrl === "string" ? validationUrl : undefined;
  return { code: validationCode, origin: event.source, callback };
}

/** The answer to a validation. Event Grid takes no other status than 200, also if consent follows later. */
export async function answerValidation<T>(
  { code, ...handshake }: GridValidation,
  request: Request,
  options: CheckedOptions<T>,
): Promise<Response> {
  const granted = await isGranted(handshake, request, options);
  return granted ? Response.json({ validationResponse: code }) : new Response(null, { status: 200 });
}

/** Adds the header that lets a page of an allowed host read the answer. Without it a delivery looks like a failure. */
export function withCors<T>(request: Request, answer: Response, { isAllowed }: CheckedOptions<T>): Response {
  const page = request.headers.get("origin");
  if (page === null || !isAllowed(page) || answer.headers.has("access-control-allow-origin")) return answer;
  const headers = new Headers(answer.headers);
  headers.set("access-control-allow-origin", page);
  headers.append("vary", "origin");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
