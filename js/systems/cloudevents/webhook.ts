/**
 * A webhook receiver: HTTP 1.1 Web Hooks for Event Delivery 1.0.2, with its abuse protection.
 *
 * ```text
 *   OPTIONS + WebHook-Request-Origin ──> 200, with WebHook-Allowed-Origin if the origin is allowed
 *   OPTIONS + Access-Control-Request-Method ──> 200, with the CORS headers if the origin is allowed
 *   POST ──> origin ── body ── verify ── authorize ── decode ── schema ──> deliver ──> 204 | 200 | its Response | 503 | 500
 *               │        │        │          │           │         │
 *               403  413 | 400   401        401      400 | 415    422          onRejected is told of each
 * ```
 */
import { FerryError, isFerryError } from "../../engine/errors.js";
import { warnOnce } from "../../platform/warn.js";
import type { EventBatch } from "./batch.js";
import { checkMessage, readBodyWithin } from "./body.js";
import { inflate } from "./content-encoding.js";
import { validateData } from "./data-schema.js";
import type { CloudEvent } from "./event.js";
import { batchFromHttp } from "./http.js";
import type { Verifier } from "./signatures/signature.js";
import { verifyWith } from "./signatures/verify.js";
import {
  ALLOWED_METHODS,
  answerValidation,
  errorResponse,
  type GridValidation,
  gridValidationOf,
  handshake,
  notify,
  statusOf,
  withCors,
  withStatus,
} from "./webhook-answers.js";
import { deliver } from "./webhook-delivery.js";
import { checkedWebhookOptions, type WebhookOptions } from "./webhook-options.js";

/**
 * Creates a handler for `fetch` events, servers and route modules. It always resolves.
 *
 * It answers 204 after all events were handled, 200 with the events that `onEvent` replied, or its Response; 400 for a
 * message that is not a valid event, 401 or 403 for a sender that is not authorized or allowed, 405 for other methods, 413
 * for a body that is too large, 415 for another event format or content encoding, 422 for data that does not match the
 * schema, 429 with `Retry-After` if `onEvent` throws `ERR_QUEUE_FULL` or `ERR_RATE_LIMITED`, 500 if it throws another
 * error, and 503 with `Retry-After` while another delivery of an event is being handled.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad option, and without `verify`, `authorize` and `allowedOrigins`.
 */
export function webhook<T = unknown>(
  options: WebhookOptions<T>,
): (request: Request, env?: unknown, ctx?: unknown) => Promise<Response> {
  const checked = checkedWebhookOptions(options);
  const { allowedOrigins, isAllowed, maxBytes, timeoutMs, verifiers, authorize, schema, onInvalid } = checked;
  const { filter, onError, onRejected } = checked;

  return async (request, env, ctx) => {
    try {
      checkMessage(request);
      if (request.method === "OPTIONS") return await handshake(request, checked);
      return withCors(request, await receive(request, env, ctx), checked);
    } catch (error) {
      notify(onError, error, request);
      // A server that does not know Requests does not send the Response either, so nobody else would tell.
      if (!onError && isFerryError(error, "ERR_INVALID_ARGUMENT")) warnOnce(`webhook: ${error.message}`);
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
      raw = (await readBodyWithin(timeoutMs, request, { maxBytes })) as Uint8Array<ArrayBuffer>;
      body = await inflate(raw, request.headers.get("content-encoding") ?? "", maxBytes);
    } catch (error) {
      return refuseError(request, error);
    }
    const refused = await check(request, { raw, body, env, ctx });
    if (refused) return refused;
    let events: Iterable<CloudEvent<T>>;
    let validation: GridValidation | undefined;
    try {
      const decoded = batchFromHttp(request.headers, body, options);
      for (const { error } of decoded.rejected) notify(onRejected, error, request);
      validation = gridValidationOf(decoded, checked);
      if (schema && !validation) events = await validated(decoded, request);
      // The handshake of Event Grid is no event that a filter is about.
      else events = (filter && !validation ? decoded.filter(filter) : decoded) as Iterable<CloudEvent<T>>;
    } catch (error) {
      return refuseError(request, error);
    }
    if (validation) return answerValidation(validation, request, checked);
    return deliver(events, { request, env, ctx, signal: request.signal }, checked);
  }

  /** Whether the sender may deliver. Returns the answer if it may not, or if it only asks whether we are there. */
  async function check(
    request: Request,
    { raw, body, env, ctx }: { raw: Uint8Array<ArrayBuffer>; body: Uint8Array; env: unknown; ctx: unknown },
  ): Promise<Response | undefined> {
    const message = { headers: request.headers, body };
    let verifier: Verifier | undefined;
    try {
      verifier = await verifyWith(verifiers, message);
    } catch (error) {
      if (isFerryError(error, "ERR_UNAUTHORIZED")) return refuse(request, 401, error, "the signature was rejected");
      return uncheckable(request, error);
    }
    try {
      if (authorize && (await authorize(new Request(request, { body: raw }), { body, env, ctx })) !== true)
        return refuse(request, 401, new FerryError("ERR_UNAUTHORIZED", "the credentials were rejected"));
    } catch (error) {
      return uncheckable(request, error);
    }
    return verifier?.answer?.(message);
  }

  /** The answer if a check failed: a failed check authorizes nothing. */
  function uncheckable(request: Request, error: unknown): Response {
    notify(onError, error, request);
    const cause = { cause: error };
    return refuse(request, 500, new FerryError("ERR_UNAUTHORIZED", "the credentials could not be checked", cause));
  }

  /** The events that the filter matches and whose data match the schema. With `onInvalid` the others are left out. */
  async function validated(batch: EventBatch, request: Request): Promise<CloudEvent<T>[]> {
    const events: CloudEvent<T>[] = [];
    const leftOut = new Set(batch.rejected.map(({ index }) => index));
    let index = -1;
    for (const event of batch) {
      do index++;
      while (leftOut.has(index));
      if (filter && !filter.matches(event)) continue;
      try {
        events.push(await validateData(event, schema!));
      } catch (error) {
        if (onInvalid === undefined || onInvalid === "reject" || !isFerryError(error)) throw error;
        if (typeof onInvalid === "function") onInvalid(error, event.toString(), index);
        notify(onRejected, error, request);
      }
    }
    return events;
  }

  /** The answer to a message that could not be read. */
  function refuseError(request: Request, error: unknown): Response {
    if (!(error instanceof FerryError)) throw error;
    return refuse(request, statusOf(error, request), error);
  }

  /** @param answer what the sender is told. @default the message of the error */
  function refuse(request: Request, status: number, error: FerryError, answer = error.message): Response {
    notify(onRejected, withStatus(error, status), request);
    const headers: Record<string, string> =
      status === 405 ? { allow: ALLOWED_METHODS } : status === 401 ? { "www-authenticate": "Bearer" } : {};
    return errorResponse(status, answer, headers);
  }
}
