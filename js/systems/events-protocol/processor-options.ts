/** The options of an `EventProcessor`. */
import { checkOptionNames, checkTimeout } from "../../client/options.js";
import { mustBe } from "../../engine/messages.js";
import { ENVELOPE_RULE, type EnvelopeRule } from "./engine.js";
import type { RequestEvent } from "./event.js";
import type { TraceHook } from "./trace.js";

/** Options of an `EventProcessor`. */
export interface ProcessorOptions {
  /**
   * Which members of an event must be present. `"usual"`: `identity`, `auth` and `metadata` may be missing or null, and
   * `flow_id` is read where `flowId` is missing. `"strict"`: all eight members, as Kotlin servers demand. `"lenient"`: ids
   * and payload may be missing too, and the version may be a string. A member that is present must have the right type.
   *
   * @default "usual"
   */
  envelope?: "usual" | "strict" | "lenient";
  /**
   * Time limit of a handler in milliseconds, including its schema. After it the handler's signal aborts and the response
   * is `error`, `EVENT_TIMEOUT`. `Infinity` for no limit.
   *
   * @default 30 000
   */
  handlerTimeoutMs?: number;
  /**
   * How many handlers may run at the same time. Further events are answered with `error`, `TOO_MANY_EVENTS`. A handler
   * that has timed out no longer counts, even if it ignores its signal and goes on. A higher limit uses more memory.
   *
   * @default 1 000
   */
  maxInFlight?: number;
  /**
   * Size limit of a request in bytes, up to 128 MiB. Larger requests are answered with `badProtocol`. A higher limit lets
   * a client use more memory.
   *
   * @default 1 MiB
   */
  maxBytes?: number;
  /** Called with the errors of handlers, except exceptions that are `expected`. Errors that it throws are ignored. */
  onError?: (error: unknown, event: RequestEvent) => void;
  /**
   * Called when a request has arrived, and again when it is answered: for access logs and traces. See {@link TraceHook}.
   *
   * @default none
   */
  trace?: TraceHook;
  /** Whether responses to unhandled errors show name, message and stack of the error. For development. @default false */
  exposeErrors?: boolean;
  /** Whether responses repeat `identity` and `metadata` of the request. `auth` is never repeated. @default false */
  echo?: boolean;
  /** The origins whose pages may send events, such as `https://example.com`, or `"*"`. @default none */
  allowedOrigins?: readonly string[] | "*";
}

/** The options with their defaults. */
export interface ProcessorSettings {
  rule: EnvelopeRule;
  handlerTimeoutMs: number;
  maxInFlight: number;
  maxBytes: number;
  onError: ((error: unknown, event: RequestEvent) => void) | undefined;
  trace: TraceHook | undefined;
  exposeErrors: boolean;
  echo: boolean;
  allowedOrigins: readonly string[] | "*" | undefined;
}

const RULES: Record<string, EnvelopeRule> = {
  usual: ENVELOPE_RULE.usual,
  strict: ENVELOPE_RULE.strict,
  lenient: ENVELOPE_RULE.lenient,
};
const OPTIONS = [
  "envelope",
  "handlerTimeoutMs",
  "maxInFlight",
  "maxBytes",
  "onError",
  "trace",
  "exposeErrors",
  "echo",
  "allowedOrigins",
];
const MIB = 1024 * 1024;
const MAX = 128 * MIB;

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function settingsOf(options: ProcessorOptions): ProcessorSettings {
  checkOptionNames("EventProcessor", options, OPTIONS);
  const {
    envelope = "usual",
    handlerTimeoutMs = 30_000,
    maxInFlight = 1000,
    maxBytes = MIB,
    exposeErrors = false,
    echo = false,
    onError,
    trace,
    allowedOrigins,
  } = options;
  if (!Object.hasOwn(RULES, envelope)) throw mustBe("envelope", '"usual", "strict" or "lenient"', envelope);
  if (handlerTimeoutMs !== Number.POSITIVE_INFINITY) checkTimeout(handlerTimeoutMs, "handlerTimeoutMs");
  for (const [name, value] of Object.entries({ maxInFlight, maxBytes })) {
    if (!(Number.isInteger(value) && value > 0 && value <= MAX))
      throw mustBe(name, `an integer from 1 to ${MAX}`, value);
  }
  if (onError !== undefined && typeof onError !== "function") throw mustBe("onError", "a function", onError);
  if (trace !== undefined && typeof trace !== "function") throw mustBe("trace", "a function", trace);
  if (allowedOrigins !== undefined && allowedOrigins !== "*" && !Array.isArray(allowedOrigins))
    throw mustBe("allowedOrigins", '"*" or a list of origins such as https://example.com', allowedOrigins);
  return {
    rule: RULES[envelope]!,
    handlerTimeoutMs,
    maxInFlight,
    maxBytes,
    exposeErrors,
    echo,
    onError,
    trace,
    allowedOrigins,
  };
}
