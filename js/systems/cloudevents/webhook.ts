/**
 * A webhook receiver: HTTP 1.1 Web Hooks for Event Delivery 1.0.2, with its abuse protection.
 *
 * ```text
 *   OPTIONS + WebHook-Request-Origin ──> 200, with WebHook-Allowed-Origin if the origin is allowed
 *   OPTIONS + Access-Control-Request-Method ──> 200, with the CORS headers if the origin is allowed
 *   POST ──> origin ── body ── verify ── authorize ── decode ──> onEvent for each event ──> 204 | its Response | 500
 *               │        │        │          │           │
 *               403  413 | 400   401        401      400 | 415          onRejected is told of each
 * ```
 */
import { FerryError, isFerryError } from "../../engine/errors.js";
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { type AllowedOrigins, allowedOrigin } from "./allowed-origins.js";
import type { EventBatch } from "./batch.js";
import { type BatchOptions, checkOnInvalid } from "./batch-options.js";
import { checkLimit, readBody } from "./body.js";
import { inflate } from "./content-encoding.js";
import type { CloudEvent } from "./event.js";
import { batchFromHttp } from "./http.js";
import { checkLenient } from "./lenient.js";
import type { Verifier } from "./signatures/signature.js";
import { checkVerifiers, verifyWith } from "./signatures/verify.js";

/** What `onEvent` gets beside the event. */
export interface WebhookContext {
  /** The request. Its body has been read. */
  request: Request;
  /** The second argument of the handler: the bindings of a Worker. */
  env: unknown;
  /** The third argument of the handler: the execution context of a Worker. */
  ctx: unknown;
  /** Aborts when the sender has gone, if the platform tells. */
  signal: AbortSignal;
}

/** What `authorize` gets beside the request. */
export interface AuthorizeContext {
  /** The body without its content encoding, as a signature covers it. */
  body: Uint8Array;
  /** The second argument of the handler. */
  env: unknown;
  /** The third argument of the handler. */
  ctx: unknown;
}

/** Options of a webhook receiver. At least one of `verify`, `authorize` and `allowedOrigins` must be given. */
export interface WebhookOptions<T = unknown> extends BatchOptions {
  /**
   * The senders and pages that may deliver: host names (`events.example.com`), URLs (`https://app.example.com`), or `"*"`
   * for all. A sender states its origin itself, and a delivery without one is let in: this is the abuse protection of the
   * specification and the CORS of pages, and proves nothing about a sender. `authorize` does.
   * @default without it, origins are not checked, and neither the handshake nor a preflight is granted
   */
  allowedOrigins?: AllowedOrigins;
  /** The requests per minute that a sender may make, announced in the handshake. @default the rate that it requests */
  allowedRate?: number;
  /**
   * Called for each event in order. A thrown error is answered with status 500, and the sender may retry. A returned
   * Response is the answer.
   */
  onEvent: (event: CloudEvent<T>, context: WebhookContext) => unknown;
  /** The largest body that is read, in bytes, also after it was inflated. @default 1 MiB */
  maxBytes?: number;
  /**
   * How long a sender may take for its body, in milliseconds. With a longer time, slow senders can occupy more
   * connections. @default 30 000
   */
  timeoutMs?: number;
  /**
   * Verifies the signature of each delivery before anything is decoded: `standardWebhooks`, `hmac`, `github`, `stripe`,
   * `shopify`, `slack`, `discord`, or a verifier of your own. Of several, any must agree. All else is answered with 401.
   * A signature covers the body: the attributes of an event in binary mode are headers, which nobody signs.
   * @default signatures are not verified
   */
  verify?: Verifier | readonly Verifier[];
  /**
   * Whether a delivery is authorized, for example by its `Authorization` header. It is asked after `verify`, and both
   * must agree. The request is a copy, so its body may be read. Only `true` lets it in; all else is answered with 401.
   * @default all deliveries are authorized
   */
  authorize?: (request: Request, context: AuthorizeContext) => boolean | Promise<boolean>;
  /**
   * Called for each refusal: a delivery that is answered with 4xx before `onEvent`, and each event that `onInvalid` leaves
   * out. `error.status` is the status of the answer.
   */
  onRejected?: (error: FerryError, request: Request) => unknown;
  /** Called with an error that `onEvent`, `verify`, `authorize`, `lenient` or `onInvalid` threw. */
  onError?: (error: unknown, request: Request) => unknown;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const ALLOWED_METHODS = "POST, OPTIONS";

/**
 * Creates a handler for `fetch` events, servers and route modules. It always resolves.
 *
 * It answers 204 after all events were handled (or the Response of `onEvent`), 400 for a message that is not a valid
 * event, 401 or 403 for a sender that is not authorized or allowed, 405 for other methods, 413 for a body that is too
 * large, 415 for another event format or content encoding, 429 with `Retry-After` if `onEvent` throws `ERR_QUEUE_FULL` or
 * `ERR_RATE_LIMITED`, and 500 if it throws another error.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option, and without `verify`, `authorize` and `allowedOrigins`.
 */
export function webhook<T = unknown>(
  options: WebhookOptions<T>,
): (request: Request, env?: unknown, ctx?: unknown) => Promise<Response> {
  const { allowedOrigins, allowedRate, onEvent, maxBytes = 1024 * 1024, authorize, onError, onRejected } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const verifiers = checkVerifiers(options.verify);
  if (allowedOrigins === undefined && authorize === undefined && verifiers.length === 0)
    throw invalidArgument(
      'webhook needs verify, authorize or allowedOrigins; received none; pass allowedOrigins: "*" to let everybody deliver',
    );
  if (!(typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs < 2 ** 31))
    throw mustBe("timeoutMs", "a number of milliseconds above 0", timeoutMs);
  const isAllowed = allowedOrigin(allowedOrigins);
  if (allowedRate !== undefined && !(Number.isInteger(allowedRate) && allowedRate > 0))
    throw mustBe("allowedRate", "a whole number of requests per minute above 0", allowedRate);
  checkLimit(maxBytes);
  checkLenient(options);
  checkOnInvalid(options);
  checkFunction("onEvent", onEvent);
  for (const [name, value] of Object.entries({ authorize, onError, onRejected }))
    if (value !== undefined) checkFunction(name, value);

  return async (request, env, ctx) => {
    try {
      if (request.method === "OPTIONS") return handshake(request);
      return withCors(request, await receive(request, env, ctx));
    } catch (error) {
      notify(onError, error, request);
      return errorResponse(500, "the request could not be handled");
    }
  };

  async function receive(request: Request, env: unknown, ctx: unknown): Promise<Response> {
    if (request.method !== "POST")
      return refuse(request, 405, new FerryError("ERR_REJECTED", "only POST and OPTIONS are allowed"));
    const origin = request.headers.get("webhook-request-origin");
    if (allowedOrigins !== undefined && origin !== null && !isAllowed(origin))
      return refuse(request, 403, new FerryError("ERR_UNAUTHORIZED", "this origin is not allowed to deliver"));
    let raw: Uint8Array<ArrayBuffer>;
    let body: Uint8Array;
    try {
      raw = (await readBody(request, { maxBytes }, 0, timeoutMs)) as Uint8Array<ArrayBuffer>;
      body = await inflate(raw, request.headers.get("content-encoding") ?? "", maxBytes);
    } catch (error) {
      return refuseError(request, error);
    }
    try {
      await verifyWith(verifiers, { headers: request.headers, body });
    } catch (error) {
      if (isFerryError(error, "ERR_UNAUTHORIZED")) return refuse(request, 401, error, "the signature was rejected");
      return uncheckable(request, error);
    }
    if (authorize) {
      try {
        const copy = new Request(request, { body: raw });
        if ((await authorize(copy, { body, env, ctx })) !== true)
          return refuse(request, 401, new FerryError("ERR_UNAUTHORIZED", "the credentials were rejected"));
      } catch (error) {
        return uncheckable(request, error);
      }
    }
    let events: EventBatch;
    try {
      events = batchFromHttp(request.headers, body, options);
    } catch (error) {
      return refuseError(request, error);
    }
    for (const { error } of events.rejected) notify(onRejected, error, request);
    return deliver(events as Iterable<CloudEvent<T>>, { request, env, ctx, signal: request.signal });
  }

  /** The answer to a message that could not be read. */
  function refuseError(request: Request, error: unknown): Response {
    if (!(error instanceof FerryError)) throw error;
    const isOtherFormat =
      error.code === "ERR_UNSUPPORTED_FORMAT" ||
      (error.code === "ERR_NOT_A_CLOUDEVENT" && request.headers.has("content-type"));
    return refuse(request, error.code === "ERR_TOO_LARGE" ? 413 : isOtherFormat ? 415 : 400, error);
  }

  /** The answer if a check failed: a failed check authorizes nothing. */
  function uncheckable(request: Request, error: unknown): Response {
    notify(onError, error, request);
    const cause = { cause: error };
    return refuse(request, 500, new FerryError("ERR_UNAUTHORIZED", "the credentials could not be checked", cause));
  }

  /** @param answer what the sender is told. @default the message of the error */
  function refuse(request: Request, status: number, error: FerryError, answer = error.message): Response {
    const { code, message, attribute, culprit, cause } = error;
    const told = new FerryError(code, message, { attribute, culprit, status, ...(cause !== undefined && { cause }) });
    notify(onRejected, told, request);
    const headers: Record<string, string> =
      status === 405 ? { allow: ALLOWED_METHODS } : status === 401 ? { "www-authenticate": "Bearer" } : {};
    return errorResponse(status, answer, headers);
  }

  /** Adds the header that lets a page of an allowed host read the answer. Without it a delivery looks like a failure. */
  function withCors(request: Request, answer: Response): Response {
    const page = request.headers.get("origin");
    if (page === null || !isAllowed(page) || answer.headers.has("access-control-allow-origin")) return answer;
    const headers = new Headers(answer.headers);
    headers.set("access-control-allow-origin", page);
    headers.append("vary", "origin");
    return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
  }

  async function deliver(events: Iterable<CloudEvent<T>>, context: WebhookContext): Promise<Response> {
    let answer: unknown;
    try {
      for (const event of events) {
        answer = await onEvent(event, context);
        if (answer instanceof Response && !answer.ok) return answer;
      }
    } catch (error) {
      notify(onError, error, context.request);
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
}

/** Calls a callback that only listens. What it throws, or rejects with, changes nothing. */
function notify<E>(callback: ((error: E, request: Request) => unknown) | undefined, error: E, request: Request): void {
  try {
    const result = callback?.(error, request);
    if (result instanceof Promise) result.catch(() => undefined);
  } catch {
    // The callback belongs to the caller.
  }
}

function checkFunction(name: string, value: unknown): void {
  if (typeof value !== "function") throw mustBe(name, "a function", value);
}

function errorResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } });
}
