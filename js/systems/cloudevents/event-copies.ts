/** Copies of events with changes. */
import type { EventParts, Payload } from "./event-fields.js";
import { type CloudEventInit, partsFromInit } from "./init.js";

/**
 * The parts of an event with changes. `null` and `undefined` remove an attribute.
 *
 * @param contentType the media type that the event names itself. It need not name the default one.
 */
export function changedParts(
  event: Payload,
  payload: Payload,
  contentType: string | undefined,
  changes: object,
): EventParts {
  const init = { ...event, ...payload, datacontenttype: contentType } as unknown as Record<string, unknown>;
  for (const name in changes) {
    const value = changes[name as never] as unknown;
    init[name] = value ?? (name === "data" ? value : null);
  }
  const parts = partsFromInit(init as CloudEventInit);
  if (!("data" in changes))
    parts.hasDefaultContentType = parts.contentType === undefined && contentType !== event.datacontenttype;
  return parts;
}
