/**
 * The trace of the code that runs, as OpenTelemetry knows it: for the extension attributes `traceparent` and `tracestate`.
 * Nothing is imported: `@opentelemetry/api` registers itself at a symbol that all its copies share.
 */
import type { CloudEvent } from "./event.js";

/** The extension attributes of distributed tracing, with the syntax of W3C Trace Context. */
export interface TraceContext {
  /** Version, trace id, span id and flags. */
  traceparent?: string;
  /** What tracing systems have added. */
  tracestate?: string;
}

interface SpanContext {
  traceId: string;
  spanId: string;
  traceFlags?: number;
  traceState?: { serialize(): string };
}
interface Api {
  context?: { active(): { getValue(key: symbol): { spanContext(): SpanContext } | undefined } };
}

const API = Symbol.for("opentelemetry.js.api.1");
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");
const NO_SPAN: SpanContext = { traceId: "", spanId: "" };
const NONE: TraceContext = /* @__PURE__ */ Object.freeze({});

/**
 * The trace context of the active span of OpenTelemetry; empty if there is none, or no OpenTelemetry.
 *
 * @example
 * new CloudEvent({ type: "com.example.made", source: "/orders", ...traceContext() });
 */
export function traceContext(): TraceContext {
  const api = (globalThis as { [API]?: Api })[API];
  if (!api?.context) return NONE;
  try {
    const {
      traceId,
      spanId,
      traceFlags = 0,
      traceState,
    } = api.context.active().getValue(SPAN)?.spanContext() ?? NO_SPAN;
    if (!isId(traceId, 32) || !isId(spanId, 16)) return NONE;
    const traceparent = `00-${traceId}-${spanId}-${(traceFlags & 255).toString(16).padStart(2, "0")}`;
    const tracestate = traceState?.serialize();
    return tracestate ? { traceparent, tracestate } : { traceparent };
  } catch {
    // A tracing system must not keep events from being sent.
    return NONE;
  }
}

/** The event with the trace context, unless it has one. */
export function withTraceContext<T>(event: CloudEvent<T>): CloudEvent<T> {
  if (event.extensions["traceparent"] !== undefined) return event;
  const context = traceContext();
  return context.traceparent === undefined ? event : event.with<T>(context as object);
}

/** Whether it has that many hexadecimal digits, not all of them 0. */
function isId(id: string, length: number): boolean {
  return id.length === length && /^[0-9a-f]*[1-9a-f][0-9a-f]*$/.test(id);
}
