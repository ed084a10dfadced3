/** What callers pass as an event, or as several: checked, with advice for what is nearly one. */
import { mustBe } from "../../engine/messages.js";
import { CloudEvent } from "./event.js";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a value that is not a CloudEvent. */
export function checkEvent(event: unknown): void {
  if (event instanceof CloudEvent) return;
  throw mustBe("event", "a CloudEvent", event, eventAdvice(event));
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for a value that is not iterable. */
export function toArray<T>(events: Iterable<T>): T[] {
  if (typeof events !== "object" || typeof events?.[Symbol.iterator] !== "function")
    throw mustBe("events", "an EventBatch or another iterable of CloudEvents", events, eventAdvice(events));
  return [...events];
}

function eventAdvice(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || "then" in value) return undefined;
  if (value instanceof CloudEvent) return "put the event into an array";
  return Array.isArray(value) ? "pass one event at a time" : "make one with new CloudEvent(event)";
}
