/**
 * A webhook receiver: HTTP 1.1 Web Hooks for Event Delivery 1.0.2, with its abuse protection.
 *
 * ```text
 *   OPTIONS + WebHook-Request-Origin ──> 200, with WebHook-Allowed-Origin if the origin is allowed
 *   OPTIONS + Access-Control-Request-Method ──> 200, with the CORS headers if the origin is allowed
 *   POST ──> 204 | 4xx with a sentence
 * ```
 */
import { isFerryError } from "../../engine/errors.js";
import { mustBe } from "../../engine/messages.js";
import type { EventBatch } from "./batch.js";
import { checkLimit } from "./body.js";
import type { CloudEvent } from "./event.js";
import { batchFromRequest, contentMode } from "./http.js";

/** Options of a webhook receiver. */
export interface WebhookOptions {
  /** The senders that may deliver: the DNS names that they send as their origin, or `"*"` for all. */
  allowedOrigins: readonly string[] | "*";
  /** The requests per minute that a sender may make, announced in the handshake. @default the rate that it requests */
  allowedRate?: number;
  /**
   * Called for each event in order. A thrown error is answered with status 500, and the sender may retry. A returned
   * Response is the answer.
   */
  onEvent: (event: CloudEvent, request: Request) => unknown;
  /** The largest body that is read, in bytes. @default 1 MiB */
  maxBytes?: number;
  /**
   * Whether a delivery is authorized, for example by its `Authorization` header. False is answered with 401.
   * @default all deliveries are authorized
   */
  authorize?: (request: Request) => boolean | Promise<boolean>;
  /** Called with an error that `onEvent` or `authorize` threw. */
  onError?: (error: unknown, request: Request) => void;
}

const ALLOWED_METHODS = "POST, OPTIONS";

/**
 * Creates a handler for `fetch` events, servers and route modules.
 *
 * It answers 204 after all events were handled (or the Response of `onEvent`), 400 for a message that is not a valid
 * event, 401 or 403 for a sender that is not authorized or allowed, 405 for other methods, 413 for a body that is too
 * large, 415 for another event format, 429 with `Retry-After` if `onEvent` throws `ERR_QUEUE_FULL` or
 * `ERR_RATE_LIMITED`, and 500 if it throws another error.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option.
 */
export function webhook(options: WebhookOptions): (request: Request) => Promise<Response> {
  const { allowedOrigins, allowedRate, onEvent, maxBytes = 1024 * 1024, authorize, onError } = options;
  if (allowedOrigins !== "*" && !Array.isArray(allowedOrigins))
    throw mustBe("allowedOrigins", '"*" or an array of DNS names', allowedOrigins);
  if (allowedRate !== undefined && !(Number.isInteger(allowedRate) && allowedRate > 0))
    throw mustBe("allowedRate", "a whole number of requests per minute above 0", allowedRate);
  checkLimit(maxBytes);
  if (typeof onEvent !== "function") throw mustBe("onEvent", "a function", onEvent);
  const isAllowed = (origin: string) =>
    allowedOrigins === "*" || allowedOrigins.some((name) => name.toLowerCase() === origin.toLowerCase());

  return async (request) => {
    if (request.method === "OPTIONS") return handshake(request);
    return withCors(request, await receive(request));
  };

  async function receive(request: Request): Promise<Response> {
    if (request.method !== "POST")
      return errorResponse(405, "only POST and OPTIONS are allowed", { allow: ALLOWED_METHODS });
    const origin = request.headers.get("webhook-request-origin");
    if (origin !== null && !isAllowed(origin)) return errorResponse(403, "this origin is not allowed to deliver");
    try {
      if (authorize && !(await authorize(request)))
        return errorResponse(401, "the credentials were rejected", { "www-authenticate": "Bearer" });
    } catch (error) {
      // A failed check authorizes nothing.
      onError?.(error, request);
      return errorResponse(500, "the credentials could not be checked");
    }
    const mode = contentMode(request.headers);
    if (mode === undefined)
      return errorResponse(request.headers.has("content-type") ? 415 : 400, "the message is not a CloudEvent");
    let events: EventBatch;
    try {
      events = await batchFromRequest(request, { maxBytes });
    } catch (error) {
      if (isFerryError(error, "ERR_TOO_LARGE")) return errorResponse(413, error.message);
      if (isFerryError(error, "ERR_UNSUPPORTED_FORMAT")) return errorResponse(415, error.message);
      return errorResponse(400, isFerryError(error) ? error.message : "the message could not be read");
    }
    return deliver(events, request);
  }

  /** Adds the header that lets a page of an allowed host read the answer. Without it a delivery looks like a failure. */
  function withCors(request: Request, answer: Response): Response {
    const page = request.headers.get("origin");
    if (page === null || !isAllowed(hostOf(page)) || answer.headers.has("access-control-allow-origin")) return answer;
    const headers = new Headers(answer.headers);
    headers.set("access-control-allow-origin", page);
    headers.append("vary", "origin");
    return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
  }

  async function deliver(events: EventBatch, request: Request): Promise<Response> {
    let answer: unknown;
    try {
      for (const event of events) {
        answer = await onEvent(event, request);
        if (answer instanceof Response && !answer.ok) return answer;
      }
    } catch (error) {
      onError?.(error, request);
      if (isFerryError(error, "ERR_QUEUE_FULL") || isFerryError(error, "ERR_RATE_LIMITED")) {
        return errorResponse(429, "too many events", { "retry-after": "1" });
      }
      return errorResponse(500, "the event could not be handled");
    }
    return answer instanceof Response ? answer : new Response(null, { status: 204 });
  }

  /** The status is always 200. The headers tell whether the origin is allowed. */
  function handshake(request: Request): Response {
    const headers = new Headers({ allow: ALLOWED_METHODS });
    const origin = request.headers.get("webhook-request-origin");
    if (origin !== null && isAllowed(origin)) {
      headers.set("webhook-allowed-origin", allowedOrigins === "*" ? "*" : origin);
      const requestedRate = request.headers.get("webhook-request-rate");
      if (requestedRate !== null || allowedRate !== undefined)
        headers.set("webhook-allowed-rate", String(allowedRate ?? requestedRate));
    }
    const page = request.headers.get("origin");
    if (page !== null && request.headers.has("access-control-request-method") && isAllowed(hostOf(page))) {
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
}

function hostOf(origin: string): string {
  try {
    return new URL(origin).hostname;
  } catch {
    return origin;
  }
}

function errorResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}
