/** Decodes the binary content mode: attributes in headers, data in the body (HTTP protocol binding 1.0.2, section 3.1). */
import { FerryError, REASONS } from "../../engine/errors.js";
import { attributeError, checkExtensionCount, checkName, type ExtensionValue, Format, validText } from "./attribute.js";
import { CloudEvent } from "./event.js";
import { payloadOfBody } from "./event-data.js";
import { type Extensions, NO_EXTENSIONS, type Problem } from "./event-fields.js";
import { attributeFrom, decodeHeader } from "./headers.js";
import { missingAttribute, unsupportedVersion } from "./init.js";

/** The headers of a message that matter, not decoded. */
export interface EventHeaders {
  contentType: string | undefined;
  version: string | undefined;
  id: string | undefined;
  source: string | undefined;
  type: string | undefined;
  time: string | undefined;
  subject: string | undefined;
  schema: string | undefined;
  schemaUrl: string | undefined;
  extensions: [name: string, value: string][] | undefined;
  /** An attribute with two headers. The case of names does not matter, so a plain object may have both. */
  duplicate: string | undefined;
}

/** Collects the headers in one pass: to iterate over a Headers object takes longer than all that follows. */
export function collectHeaders(pairs: Iterable<readonly [string, string]>): EventHeaders {
  let contentType: string | undefined;
  let version: string | undefined;
  let id: string | undefined;
  let source: string | undefined;
  let type: string | undefined;
  let time: string | undefined;
  let subject: string | undefined;
  let schema: string | undefined;
  let schemaUrl: string | undefined;
  let extensions: [string, string][] | undefined;
  let duplicate: string | undefined;
  for (const [name, value] of pairs) {
    let previous: string | undefined;
    // The hyphen of "ce-"; most other headers have another character there.
    if (name.charCodeAt(2) !== 0x2d) {
      if (name === "content-type") contentType = value;
      continue;
    }
    switch (name) {
      case "ce-id":
        previous = id;
        id = value;
        break;
      case "ce-source":
        previous = source;
        source = value;
        break;
      case "ce-type":
        previous = type;
        type = value;
        break;
      case "ce-time":
        previous = time;
        time = value;
        break;
      case "ce-specversion":
        previous = version;
        version = value;
        break;
      case "ce-subject":
        previous = subject;
        subject = value;
        break;
      case "ce-dataschema":
        previous = schema;
        schema = value;
        break;
      case "ce-schemaurl":
        previous = schemaUrl;
        schemaUrl = value;
        break;
      case "ce-datacontenttype": // Content-Type has this attribute
      case "ce-datacontentencoding": // only for the JSON format of 0.3; a body is bytes
        break;
      default:
        if (name.startsWith("ce-")) {
          extensions ??= [];
          extensions.push([name.slice(3), value]);
        }
    }
    if (previous !== undefined) duplicate = name.slice(3);
  }
  return { contentType, version, id, source, type, time, subject, schema, schemaUrl, extensions, duplicate };
}

const UNLABELLED_ADVICE = "the option lenient reads a body in the JSON event format without them";

/** What a message in binary mode has beside its headers. */
export interface BinaryDetails {
  /** The values of extension attributes for which the protocol has types. */
  types?: ReadonlyMap<string, boolean | number> | undefined;
  /** The attributes that were left off. */
  problems?: readonly Problem[] | undefined;
}

/** The event of a message in binary mode. All attributes are checked here, so that every CloudEvent is valid. */
export function eventFromHeaders<T>(
  headers: EventHeaders,
  body: string | Uint8Array | undefined,
  { types, problems }: BinaryDetails = {},
): CloudEvent<T> {
  const { contentType, id, source, type, time, subject, schema, schemaUrl, duplicate } = headers;
  let { version } = headers;
  if (version === undefined && id === undefined && source === undefined && type === undefined) {
    throw new FerryError(
      "ERR_NOT_A_CLOUDEVENT",
      `the message has no ce- headers and no content type of a CloudEvent; ${UNLABELLED_ADVICE}`,
    );
  }
  if (duplicate !== undefined) throw duplicateAttribute(duplicate);
  if (version === undefined) throw missingAttribute("specversion");
  if (version !== "1.0") {
    version = decodeHeader("specversion", version);
    if (version !== "1.0" && version !== "0.3") throw unsupportedVersion(version);
  }
  if (id === undefined) throw missingAttribute("id");
  if (source === undefined) throw missingAttribute("source");
  if (type === undefined) throw missingAttribute("type");
  const isV1 = version === "1.0";
  const [ownSchema, otherSchema] = isV1 ? [schema, schemaUrl] : [schemaUrl, schema];
  const { rawKind, rawData } = payloadOfBody(body);
  return CloudEvent.fromParts<T>({
    specversion: isV1 ? "1.0" : "0.3",
    id: attributeFrom("id", id, Format.Text),
    source: attributeFrom("source", source, Format.UriReference, !isV1),
    type: attributeFrom("type", type, Format.Text),
    time: time === undefined ? undefined : attributeFrom("time", time, Format.Timestamp),
    subject: subject === undefined ? undefined : attributeFrom("subject", subject, Format.Text),
    contentType:
      contentType === undefined ? undefined : validText("datacontenttype", contentType.trim(), Format.MediaType),
    schema: ownSchema === undefined ? undefined : decodeSchema(ownSchema, isV1),
    extensions:
      headers.extensions || otherSchema !== undefined
        ? decodeExtensions(headers.extensions ?? [], otherSchema, isV1, types)
        : NO_EXTENSIONS,
    rawKind,
    rawData,
    hasDefaultContentType: false,
    isPlain: false,
    problems,
  });
}

function decodeSchema(value: string, isV1: boolean): string {
  const name = isV1 ? "dataschema" : "schemaurl";
  return attributeFrom(name, value, isV1 ? Format.Uri : Format.UriReference, !isV1);
}

/** The extension attributes. The schema attribute of the other version is one of them. */
function decodeExtensions(
  pairs: [string, string][],
  otherSchema: string | undefined,
  isV1: boolean,
  types: ReadonlyMap<string, boolean | number> | undefined,
): Extensions {
  if (otherSchema !== undefined) pairs.push([isV1 ? "schemaurl" : "dataschema", otherSchema]);
  const extensions: Record<string, ExtensionValue> = Object.create(null);
  for (const [name, value] of pairs) {
    checkName(name);
    if (name in extensions) throw duplicateAttribute(name);
    extensions[name] = types?.get(name) ?? attributeFrom(name, value, Format.Text, true);
  }
  checkExtensionCount(pairs.length);
  return Object.freeze(extensions);
}

function duplicateAttribute(name: string): FerryError {
  return attributeError(name, REASONS[10], undefined, "ERR_INVALID_EVENT");
}
