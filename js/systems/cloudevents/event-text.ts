/** Writes an event in the JSON format. */
import { dataMember } from "./event-data.js";
import { type EventAttributes, type Payload, quoteJson, schemaName, schemaOf } from "./event-fields.js";

/**
 * The event as text.
 *
 * @param contentType the media type that the event names itself
 * @param isPlain all attributes can be written between quotes as they are, and there are no extension attributes
 */
export function eventText(
  event: EventAttributes,
  payload: Payload,
  contentType: string | undefined,
  isPlain: boolean,
): string {
  const { specversion, id, source, type, time, subject } = event;
  const schema = schemaOf(event);
  // Few long concatenations: many short ones would cost more than all else here.
  let json: string;
  if (isPlain) {
    json = `{"specversion":"${specversion}","id":"${id}","source":"${source}","type":"${type}"`;
    if (time !== undefined) json += `,"time":"${time}"`;
    if (subject !== undefined) json += `,"subject":"${subject}"`;
    if (contentType !== undefined) json += `,"datacontenttype":"${contentType}"`;
    if (schema !== undefined) json += `,"${schemaName(event)}":"${schema}"`;
  } else {
    json = `{"specversion":"${specversion}","id":${quoteJson(id)},"source":${quoteJson(source)},"type":${quoteJson(type)}`;
    if (time !== undefined) json += `,"time":${quoteJson(time)}`;
    if (subject !== undefined) json += `,"subject":${quoteJson(subject)}`;
    if (contentType !== undefined) json += `,"datacontenttype":${quoteJson(contentType)}`;
    if (schema !== undefined) json += `,"${schemaName(event)}":${quoteJson(schema)}`;
    for (const name in event.extensions) {
      const value = event.extensions[name]!;
      json += `,"${name}":${typeof value === "string" ? quoteJson(value) : JSON.stringify(value)}`;
    }
  }
  return payload.rawKind === "none" ? `${json}}` : `${json},${dataMember(payload, contentType)}}`;
}
