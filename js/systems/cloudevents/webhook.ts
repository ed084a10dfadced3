/**
 * A receiver of web hooks: HTTP 1.1 Web Hooks for Event Delivery 1.0.2, with its abuse protection.
 *
 * ```text
 *   OPTIONS + WebHook-Request-Origin ──> 200 with WebHook-Allowed-Origin, if the origin is welcome
 *   OPTIONS + Access-Control-Request-Method ──> the preflight of a browser, answered likewise
 *   POST ──> 204 | 4xx with what is wrong
 * ```
 */
import { FerryError, isFerryError } from "../../engine/errors.js";
import type { EventBatch } from "./batch.js";
import type { CloudEvent } from "./event.js";
import { batchFromRequest, checkLimit, contentMode } from "./http.js";

/** How a receiver works. */
export interface WebhookOptions {
  /** Which senders may deliver: DNS names as they say of themselves, or `"*"` for all. */
  allowedOrigins: readonly string[] | "*";
  /** Requests a minute that a sender may make; told in the handshake. @default as many as it asks for */
  allowedRate?: number;
  /**
   * Called for each event, one after the other. What it throws becomes 500, and the sender may try again;
   * it may return a Response, and then that is the answer.
   */
  onEvent: (event: CloudEvent, request: Request) => unknown;
  /** The largest body that is read. @default 1 MiB */
  maxBytes?: number;
  /**
   * Whether a delivery may come in, by whatever `Authorization` it carries. False answers 401.
   * @default every delivery may
   */
  authorize?: (request: Request) => boolean | Promise<boolean>;
  /** Called with what `onEvent` or `authorize` threw. */
  onError?: (error: unknown, request: Request) => void;
}

const ALLOWED_METHODS = "POST, OPTIONS";

/**
 * A handler for `fetch` events, servers and route modules.
 *
 * Answers 204 when all events were taken (200 with a body if `onEvent` gave one), 400 for a message that is no
 * valid event, 401 or 403 for a sender that may not, 405 for other methods, 413 for a body that is too large,
 * 415 for another event format, 429 with `Retry-After` when `onEvent` throws `ERR_QUEUE_FULL` or `ERR_RATE_LIMITED`.
 */
export function webhook(options: WebhookOptions): (request: Request) => Promise<Response> {
  const { allowedOrigins, allowedRate, onEvent, maxBytes = 1024 * 1024, authorize, onError } = options;
  if (allowedOrigins !== "*" && !Array.isArray(allowedOrigins)) {
    throw new FerryError("ERR_INVALID_ARGUMENT", 'allowedOrigins is "*" or a list of DNS names');
  }
  if (allowedRate !== undefined && !(Number.isInteger(allowedRate) && allowedRate > 0)) {
    throw new FerryError("ERR_INVALID_ARGUMENT", "allowedRate is a positive number of requests a minute");
  }
  checkLimit(maxBytes);
  if (typeof onEvent !== "function") throw new FerryError("ERR_INVALID_ARGUMENT", "onEvent is a function");
  const isWelcome = (origin: string) =>
    allowedOrigins === "*" || allowedOrigins.some((name) => name.toLowerCase() === origin.toLowerCase());

  return async (request) => {
    if (request.method === "OPTIONS") return handshake(request);
    return forPage(request, await answerTo(request));
  };

  async function answerTo(request: Request): Promise<Response> {
    if (request.method !== "POST")
      return refusal(405, "this target takes POST and OPTIONS", { allow: ALLOWED_METHODS });
    const origin = request.headers.get("webhook-request-origin");
    if (origin !== null && !isWelcome(origin)) return refusal(403, "this origin may not deliver here");
    try {
      if (authorize && !(await authorize(request)))
        return refusal(401, "the credentials were refused", { "www-authenticate": "Bearer" });
    } catch (error) {
      // Whoever cannot be asked has not said yes.
      onError?.(error, request);
      return refusal(500, "the credentials could not be checked");
    }
    const mode = contentMode(request.headers);
    if (mode === undefined)
      return refusal(request.headers.has("content-type") ? 415 : 400, "the message is not a CloudEvent");
    let events: EventBatch;
    try {
      events = await batchFromRequest(request, { maxBytes });
    } catch (error) {
      if (isFerryError(error, "ERR_TOO_LARGE")) return refusal(413, error.message);
      if (isFerryError(error, "ERR_UNSUPPORTED_FORMAT")) return refusal(415, error.message);
      return refusal(400, isFerryError(error) ? error.message : "the message could not be read");
    }
    return deliver(events, request);
  }

  /** The answer with the header that lets a page of a welcome host see it: else it would take a delivery for a failure. */
  function forPage(request: Request, answer: Response): Response {
    const page = request.headers.get("origin");
    if (page === null || !isWelcome(hostOf(page)) || answer.headers.has("access-control-allow-origin")) return answer;
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
        return refusal(429, "too many events at once", { "retry-after": "1" });
      }
      return refusal(500, "the event could not be handled");
    }
    return answer instanceof Response ? answer : new Response(null, { status: 204 });
  }

  /** The status never means consent, only the headers do. */
  function handshake(request: Request): Response {
    const headers = new Headers({ allow: ALLOWED_METHODS });
    const origin = request.headers.get("webhook-request-origin");
    if (origin !== null && isWelcome(origin)) {
      headers.set("webhook-allowed-origin", allowedOrigins === "*" ? "*" : origin);
      const asked = request.headers.get("webhook-request-rate");
      if (asked !== null || allowedRate !== undefined)
        headers.set("webhook-allowed-rate", String(allowedRate ?? asked));
    }
    const page = request.headers.get("origin");
    if (page !== null && request.headers.has("access-control-request-method") && isWelcome(hostOf(page))) {
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

function refusal(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}
