/**
 * The fields that an event stores. `event.ts` has the public class, `table.ts` fills the fields from a scan and reads the
 * attributes, `event-data.ts` reads the payload.
 */
import type { ExtensionValue } from "./attribute.js";

/**
 * How the payload is stored:
 *
 * | kind | stored as |
 * |---|---|
 * | `none` | there is no payload |
 * | `json` | JSON text, `text` from `payloadStart` to `payloadEnd` |
 * | `text` | text of a media type that is not JSON, in the same place |
 * | `base64` | Base64 of the payload, in the same place |
 * | `bytes` | binary data, `bytes` |
 * | `body` | the body of a message in binary mode, `bytes` or `text`; the media type decides what it is |
 */
export type PayloadKind = "none" | "json" | "text" | "base64" | "bytes" | "body";

/** A string attribute: its text, or its position in the text of the event (`start << 12 | length`, 0 if absent). */
type StringField = string | number | undefined;
export type Extensions = ReadonlyMap<string, ExtensionValue>;

/** The parts of an event that was not scanned. All of them are checked. */
export interface EventParts {
  version: number;
  id: string;
  source: string;
  type: string;
  time: string | undefined;
  subject: string | undefined;
  contentType: string | undefined;
  schema: string | undefined;
  extensions: Extensions | undefined;
  payload: Payload;
  /** No media type was given and the payload is JSON. */
  hasDefaultContentType: boolean;
  /** No attribute has a character that JSON escapes, and there are no extension attributes. */
  isPlain: boolean;
}

/** A payload, with the members of `EventFields` that store it. */
export interface Payload {
  kind: PayloadKind;
  text?: string | undefined;
  start?: number;
  end?: number;
  bytes?: Uint8Array | undefined;
}

export const NO_PAYLOAD: Payload = { kind: "none" };

// Two flags in the set of members with escapes. Their bits are those of `specversion` and `data`, which are never
// cut out of the text.
/** The media type is the default one, which the JSON format need not name. */
export const HAS_DEFAULT_CONTENT_TYPE = 1;
/** All attributes can be written between quotes as they are. */
export const IS_PLAIN: number = 1 << 10;

/**
 * The fields of an event. This is one object instead of private fields of the class: JavaScript engines create an
 * object literal in one step, but private fields one by one.
 */
export interface EventFields {
  /** 10 for 1.0, 3 for 0.3. */
  version: number;
  id: StringField;
  source: StringField;
  type: StringField;
  time: StringField;
  subject: StringField;
  contentType: StringField;
  schema: StringField;
  /** The members whose text has escapes, and the two flags. */
  escaped: number;
  /** As scanned, six words each; as values after they were first read. */
  extensions: Uint32Array | Extensions | undefined;
  /** If `hasEventText`, the JSON text of the whole event; else the payload. */
  text: string | undefined;
  bytes: Uint8Array | undefined;
  hasEventText: boolean;
  payloadKind: PayloadKind;
  payloadStart: number;
  payloadEnd: number;
  /** The payload as a value, after it was first read. */
  data: unknown;
}

/** The fields of an event that was not scanned. */
export function fieldsFromParts(parts: EventParts): EventFields {
  const { payload } = parts;
  return {
    version: parts.version,
    id: parts.id,
    source: parts.source,
    type: parts.type,
    time: parts.time,
    subject: parts.subject,
    contentType: parts.contentType,
    schema: parts.schema,
    escaped: (parts.hasDefaultContentType ? HAS_DEFAULT_CONTENT_TYPE : 0) | (parts.isPlain ? IS_PLAIN : 0),
    extensions: parts.extensions,
    text: payload.text,
    bytes: payload.bytes,
    hasEventText: false,
    payloadKind: payload.kind,
    payloadStart: payload.start ?? 0,
    payloadEnd: payload.end ?? 0,
    data: undefined,
  };
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The JSON text of an event that has it. */
export function eventText(fields: EventFields): string {
  fields.text ??= utf8.decode(fields.bytes!);
  return fields.text;
}

/** The text of a payload of the kind `json`, `text` or `base64`. */
export function payloadText(fields: EventFields): string {
  return (fields.hasEventText ? eventText(fields) : fields.text!).slice(fields.payloadStart, fields.payloadEnd);
}

const NEEDS_NO_ESCAPES = /^[ !#-[\]-~]*$/;

/** Whether JSON text can have the string between quotes as it is: printable ASCII without `"` and `\`. */
export function needsNoEscapes(text: string): boolean {
  return NEEDS_NO_ESCAPES.test(text);
}

/** The string as JSON text. */
export function quoteJson(text: string): string {
  return needsNoEscapes(text) ? `"${text}"` : JSON.stringify(text);
}
