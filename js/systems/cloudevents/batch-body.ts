/**
 * The body of a batch. It is apart from `EventBatch`, so that who only sends batches need not download the reader of them.
 */
import type { Bytes } from "../../platform/bytes.js";
import { FerryError } from "../../engine/errors.js";
import { checkEvent, toArray } from "./check-event.js";
import type { CloudEvent } from "./event.js";

/** Events that know how they arrived: an `EventBatch`. */
interface ReceivedEvents {
  toBatchBody(): string | Bytes;
}

/** Whether the events are an `EventBatch`, without its class. */
export function isBatch(events: unknown): events is ReceivedEvents {
  return typeof (events as ReceivedEvents | undefined)?.toBatchBody === "function";
}

/**
 * The events in the JSON batch format: bytes if they are a batch that arrived as bytes, else text.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_INVALID_BATCH`
 */
export function batchBody(events: Iterable<CloudEvent>): string | Bytes {
  if (isBatch(events)) return events.toBatchBody();
  const all = toArray(events);
  all.forEach(checkEvent);
  return batchText(all);
}

/** @throws {FerryError} `ERR_INVALID_BATCH` for events of different versions. */
export function batchText(events: readonly CloudEvent[]): string {
  if (events.some(({ specversion }) => specversion !== events[0]!.specversion))
    throw new FerryError(
      "ERR_INVALID_BATCH",
      "all events of a batch must have the same specversion; convert them with toVersion",
    );
  return `[${events.map((event) => event.toString()).join(",")}]`;
}
