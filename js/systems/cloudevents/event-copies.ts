/** Events that are made from other events: with changes, and as replies. */
import type { EventParts, Payload, SchemaMembers } from "./event-fields.js";
import { type CloudEventInit, partsFromInit } from "./init.js";

/**
 * The parts of an event with changes. `null` and `undefined` remove an attribute.
 *
 * @param contentType the media type that the event names itself
 * @param hasDefaultContentType its media type is the default one, which it need not name
 */
export function changedParts(
  event: object,
  payload: Payload,
  contentType: string | undefined,
  hasDefaultContentType: boolean,
  changes: object,
): EventParts {
  const init = { ...event, ...payload, datacontenttype: contentType } as unknown as Record<string, unknown>;
  for (const name in changes) {
    const value = changes[name as never] as unknown;
    init[name] = value ?? (name === "data" ? value : null);
  }
  const parts = partsFromInit(init as CloudEventInit);
  if (!("data" in changes)) parts.hasDefaultContentType = parts.contentType === undefined && hasDefaultContentType;
  return parts;
}

/** The attributes of a reply: its `causationid` is the id of the event, its `correlationid` that of the event or else its id. */
export function replyAttributes({
  specversion,
  id,
  extensions,
}: SchemaMembers & Readonly<Pick<EventParts, "id" | "extensions">>): object {
  const { traceparent, tracestate } = extensions;
  return {
    specversion,
    ...(traceparent !== undefined && { traceparent, tracestate }),
    correlationid: String(extensions["correlationid"] ?? id),
    causationid: id,
  };
}
