/** Access logs and traces: what a hook of the application learns about each event that is sent or answered. */
import { ignoreErrors } from "../../client/ignore-errors.js";
import { monotonicNow } from "../../platform/clock.js";
import type { EventRef } from "./engine.js";
import type { ProtocolEvent } from "./event.js";
import type { EventErrorType } from "./names.js";

/** An event that begins: that of a request which is sent, or which has arrived. It never shows `auth`. */
export interface TracedEvent {
  /** Whether the event is sent or answered here. */
  readonly role: "client" | "server";
  /** Name and version, `get:user:name:V1`, as the original servers call it; empty for a request that is no event. */
  readonly operation: string;
  /** The name of the event. */
  readonly name: string;
  /** The version of the event. */
  readonly version: number;
  /** The id of the event. */
  readonly id: string;
  /** The id of the flow that the event belongs to. */
  readonly flowId: string;
  /** See `ProtocolEvent.userId`. */
  readonly userId: string | undefined;
  /** See `ProtocolEvent.userType`. */
  readonly userType: string | undefined;
  /** See `ProtocolEvent.origin`. */
  readonly origin: string | undefined;
}

/** How an event ended. */
export interface TracedResult {
  /** The kind of response; `"failed"`: none came back. */
  readonly outcome: "success" | "redirect" | EventErrorType | "unknown" | "failed";
  /** The code of a response that is an error, or of the error of a client without a response. */
  readonly code?: string;
  /** The time from the start of the event to its end, in milliseconds. */
  readonly durationMs: number;
  /** The HTTP status that a client received. */
  readonly status?: number;
}

/** What a hook does with one event. */
export interface EventTrace {
  /**
   * Calls `work` and returns its result: for a context in which the handler shall run, or the request be sent.
   *
   * @default `work` is called
   */
  run?<T>(work: () => T): T;
  /** The event has ended. */
  end?(result: TracedResult): void;
}

/**
 * Called when an event begins; what it returns is called when the event has ended. Errors that they throw are ignored,
 * and promises that they return are not awaited.
 *
 * @example
 * const trace = (event) => (result) => console.log(JSON.stringify({ ...event, ...result }));
 */
export type TraceHook = (event: TracedEvent) => EventTrace | ((result: TracedResult) => void) | undefined | void;

/** An event that is being traced. */
export class RunningTrace {
  readonly #startedAt = monotonicNow();
  readonly #trace: EventTrace;

  /** @param event the event, or the ids with which a request that is no event is answered */
  constructor(hook: TraceHook, role: "client" | "server", event: ProtocolEvent | EventRef) {
    const { name, version, id, flowId } = event;
    const { userId, userType, origin } = event as Partial<ProtocolEvent>;
    const operation = name === "" ? "" : `${name}:V${version}`;
    const trace = ignoreErrors(() => hook({ role, operation, name, version, id, flowId, userId, userType, origin }));
    this.#trace = typeof trace === "function" ? { end: trace } : (trace ?? {});
  }

  /** Calls `work` once, whatever the hook does. */
  run<T>(work: () => T): T {
    if (typeof this.#trace.run !== "function") return work();
    let called: { result: T } | { error: unknown } | undefined;
    const once = (): T => {
      if (!called) {
        try {
          called = { result: work() };
        } catch (error) {
          called = { error };
        }
      }
      if ("error" in called) throw called.error;
      return called.result;
    };
    ignoreErrors(() => this.#trace.run!(once));
    return once();
  }

  end(result: Omit<TracedResult, "durationMs">): void {
    const durationMs = monotonicNow() - this.#startedAt;
    ignoreErrors(() => this.#trace.end?.({ ...result, durationMs }));
  }
}
