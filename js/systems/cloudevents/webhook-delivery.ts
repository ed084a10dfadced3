/**
 * Hands the events of one delivery on, and makes the answer of what `onEvent` returns.
 *
 * ```text
 *   event ──claim──> new ──> onEvent ──┬─ nothing, replies ──settle: seen──> the next event
 *              │                       ├─ Response ──settle──> the answer
 *              │                       └─ throws ──release──> 500 | 429
 *              ├──> seen: the next event
 *              ├──> busy: the next event, and 503 at the end
 *              └──> the store failed: 503
 * ```
 */
import { isFerryError } from "../../engine/errors.js";
import { invalidArgument } from "../../engine/messages.js";
import type { Begun, Dedupe } from "./dedupe.js";
import { CloudEvent } from "./event.js";
import { contentMode, toHttp } from "./http.js";
import { errorResponse, notify } from "./webhook-answers.js";
import type { CheckedOptions, WebhookContext } from "./webhook-options.js";
import { TextEncoder } from "../../platform/text.js";

/** Another delivery of the event is being handled: it ends soon, or the store says later that it has died. */
const BUSY_RETRY_SECONDS = "5";

/** Without `dedupe` every event is new. */
const ALWAYS_NEW: Dedupe = { begin: async () => ({ state: "new", end: async () => undefined }) };

export async function deliver<T>(
  events: Iterable<CloudEvent<T>>,
  context: WebhookContext,
  { onEvent, onError, from, repeated = ALWAYS_NEW }: CheckedOptions<T>,
): Promise<Response> {
  const { request } = context;
  const isBatch = from === "event-grid" || contentMode(request.headers) === "batch";
  const replies: CloudEvent[] = [];
  let isAnyBusy = false;
  const end = async (begun: Begun & { state: "new" }, isHandled: boolean) => {
    try {
      await begun.end(isHandled);
    } catch (error) {
      // The event is handled. If it is delivered again after the claim, it is handled again.
      notify(onError, error, request);
    }
  };
  for (const event of events) {
    let begun: Begun;
    try {
      begun = await repeated.begin(event, request);
    } catch (error) {
      notify(onError, error, request);
      return errorResponse(503, "the event could not be handled now", { "retry-after": BUSY_RETRY_SECONDS });
    }
    isAnyBusy ||= begun.state === "busy";
    if (begun.state !== "new") continue;
    try {
      const result: unknown = await onEvent(event, context);
      if (isResponse(result)) {
        if (isBatch) throw invalidArgument("onEvent must not return a Response for an event of a batch");
        await end(begun, result.ok);
        return result;
      }
      replies.push(...repliesOf(result, isBatch));
    } catch (error) {
      await end(begun, false);
      notify(onError, error, request);
      return isFerryError(error, "ERR_QUEUE_FULL") || isFerryError(error, "ERR_RATE_LIMITED")
        ? errorResponse(429, "too many events", { "retry-after": "1" })
        : errorResponse(500, "the event could not be handled");
    }
    await end(begun, true);
  }
  if (isAnyBusy)
    return errorResponse(503, "another delivery of the event is being handled", { "retry-after": BUSY_RETRY_SECONDS });
  return replies.length === 0 ? new Response(null, { status: 204 }) : replyResponse(replies, request, isBatch);
}

/**
 * The events that `onEvent` has returned. All else that it returns means nothing: a short function returns what its last
 * call does.
 *
 * @throws {FerryError} for an event that cannot be written
 */
function repliesOf(result: unknown, isBatch: boolean): CloudEvent[] {
  const events = Array.isArray(result) ? result : [result];
  if (!events.every((event) => event instanceof CloudEvent)) return [];
  const isAlone = !isBatch && events.length === 1;
  return events.map((event: CloudEvent) => {
    // All events of a batch have the same version. It is written now, while its event can still fail.
    const reply = isAlone ? event : event.toVersion("1.0");
    reply.toString();
    return reply;
  });
}

/** One reply has the content mode of the request; several are a batch. */
function replyResponse(replies: readonly CloudEvent[], request: Request, isBatch: boolean): Response {
  const isAlone = !isBatch && replies.length === 1;
  const mode = isAlone && contentMode(request.headers) === "structured" ? "structured" : isAlone ? "binary" : "batch";
  const { headers, body } = toHttp(isAlone ? replies[0]! : replies, mode);
  // As bytes, because the platform adds a content type to text.
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  return new Response((bytes ?? null) as Uint8Array<ArrayBuffer> | null, { status: 200, headers });
}

/** Whether it is a Response, also of another realm. */
function isResponse(value: unknown): value is Response {
  return value instanceof Response || Object.prototype.toString.call(value) === "[object Response]";
}
