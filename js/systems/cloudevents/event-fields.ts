/**
 * What an event consists of. `event.ts` has the public class, `table.ts` reads the members of a scanned event,
 * `event-data.ts` reads the payload.
 */
import type { ExtensionValue } from "./attribute.js";

/** The versions of the specification. */
export type Specversion = "1.0" | "0.3";

/** An attribute that is not valid, and was left off the event. */
export interface Problem {
  /** The name as it arrived. */
  readonly name: string;
  /** The value as it arrived: a string from a header, any JSON value from the JSON format. */
  readonly value: unknown;
  /** What is wrong with it, in a sentence. */
  readonly reason: string;
}

/**
 * How the payload is stored in `rawData`:
 *
 * | kind | `rawData` |
 * |---|---|
 * | `none` | `undefined`: there is no payload |
 * | `json` | JSON text |
 * | `text` | text of a media type that is not JSON |
 * | `base64` | Base64 of the payload |
 * | `bytes` | binary data |
 * | `body` | the body of a message in binary mode, bytes or text; the media type decides what it is |
 */
export type PayloadKind = "none" | "json" | "text" | "base64" | "bytes" | "body";

/** A payload with its media type and the version of its event, which decide what it means. */
export interface Payload {
  readonly specversion: Specversion;
  /** The media type, also the default one. */
  readonly datacontenttype?: string | undefined;
  readonly rawKind: PayloadKind;
  readonly rawData: string | Uint8Array | undefined;
}

/** A payload without its media type. */
export type StoredPayload = Pick<Payload, "rawKind" | "rawData">;

export const NO_PAYLOAD: StoredPayload = { rawKind: "none", rawData: undefined };

/** Extension attributes by name. */
export type Extensions = Readonly<Record<string, ExtensionValue>>;

/** No extension attributes. */
export const NO_EXTENSIONS: Extensions = /* @__PURE__ */ Object.freeze(/* @__PURE__ */ Object.create(null));

/** The members of an event. All of them are checked. */
export interface EventParts extends StoredPayload {
  specversion: Specversion;
  id: string;
  source: string;
  type: string;
  time: string | undefined;
  subject: string | undefined;
  /** The media type that the event names itself. */
  contentType: string | undefined;
  schema: string | undefined;
  extensions: Extensions;
  /** No media type was given and the payload is JSON, whose media type the JSON format need not name. */
  hasDefaultContentType: boolean;
  /** No attribute has a character that JSON escapes, and there are no extension attributes. */
  isPlain: boolean;
  /** The attributes that were left off. */
  problems?: readonly Problem[] | undefined;
}

/** The schema attributes of both versions; an event has that of its own. */
export interface SchemaMembers {
  readonly specversion: Specversion;
  readonly dataschema?: string | undefined;
  readonly schemaurl?: string | undefined;
}

/** All attributes of an event, without the media type of its data. */
export type EventAttributes = SchemaMembers &
  Readonly<Pick<EventParts, "id" | "source" | "type" | "time" | "subject" | "extensions">>;

/** The name of the schema attribute in the version of the event. */
export function schemaName(event: SchemaMembers): "dataschema" | "schemaurl" {
  return event.specversion === "1.0" ? "dataschema" : "schemaurl";
}

/** The schema of the data. */
export function schemaOf(event: SchemaMembers): string | undefined {
  return event.specversion === "1.0" ? event.dataschema : event.schemaurl;
}

/** The value of a core or extension attribute by its name. */
export function attributeOf(
  event: EventAttributes & Pick<Payload, "datacontenttype">,
  name: string,
): ExtensionValue | undefined {
  switch (name) {
    case "specversion":
    case "id":
    case "source":
    case "type":
    case "time":
    case "subject":
    case "datacontenttype":
      return event[name];
    case schemaName(event):
      return schemaOf(event);
    default:
      return event.extensions[name];
  }
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
