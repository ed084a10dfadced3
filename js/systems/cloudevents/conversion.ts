/** Events of one version of the specification as events of the other one. */
import { type FerryError, REASONS } from "../../engine/errors.js";
import { attributeError, type ExtensionValue, Format, validText } from "./attribute.js";
import { payloadFor } from "./event-data.js";
import {
  type EventAttributes,
  type EventParts,
  schemaOf,
  type Specversion,
  type StoredPayload,
} from "./event-fields.js";
import { unsupportedVersion } from "./init.js";

/**
 * The parts of the event in the other version.
 *
 * @param contentType the media type that the event names itself
 * @throws {FerryError} `ERR_NOT_CONVERTIBLE` for what the other version cannot express, `ERR_UNSUPPORTED_SPECVERSION`
 */
export function convertedParts(
  event: Readonly<EventAttributes>,
  payload: StoredPayload,
  contentType: string | undefined,
  version: Specversion,
): EventParts {
  if (version !== "1.0" && version !== "0.3") throw unsupportedVersion(version);
  const isToV1 = version === "1.0";
  const { id, source, type, time, subject } = event;
  const schema = schemaOf(event);
  if (isToV1 && source === "") throw notConvertible("source", REASONS[1]);
  if (isToV1 && schema !== undefined) {
    try {
      validText("schemaurl", schema, Format.Uri);
    } catch {
      throw notConvertible("schemaurl", REASONS[6], schema);
    }
  }
  const { rawKind, rawData } = payloadFor(payload, contentType);
  return {
    rawKind,
    rawData,
    hasDefaultContentType: false,
    isPlain: false,
    specversion: version,
    id,
    source,
    type,
    time,
    subject,
    contentType,
    schema,
    extensions: convertedExtensions(event.extensions, version),
  };
}

function convertedExtensions(extensions: EventParts["extensions"], version: Specversion): EventParts["extensions"] {
  const isToV1 = version === "1.0";
  const reserved = isToV1 ? ["dataschema"] : ["schemaurl", "datacontentencoding"];
  const converted: Record<string, ExtensionValue> = Object.create(null);
  for (const [name, value] of Object.entries(extensions)) {
    if (typeof value === "object") throw notConvertible(name, "is an object, which 1.0 does not allow");
    if (reserved.includes(name))
      throw notConvertible(name, `is an extension attribute whose name has another meaning in ${version}`);
    // 0.3 has no Boolean.
    converted[name] = typeof value === "boolean" && !isToV1 ? String(value) : value;
  }
  return Object.freeze(converted);
}

function notConvertible(attribute: string, problem: string, value?: unknown): FerryError {
  return attributeError(attribute, problem, value, "ERR_NOT_CONVERTIBLE");
}
