/** Reads the parts of a message of each binding. `message.ts` makes an event of them. */
import { FerryError } from "../../engine/errors.js";
import { formatValue } from "../../engine/messages.js";
import { bodyOfAmqp } from "./amqp-section.js";
import type { Body } from "./body.js";
import { asBytes, isBytes, toBase64 } from "./bytes.js";
import { decodeHeader } from "./headers.js";
import { CLOUDEVENT_TYPE } from "./http.js";
import { headersOfRecord, valueOfRecord } from "./kafka-record.js";
import type { Binding, ReceivedAmqpMessage, ReceivedMessages } from "./message-types.js";
import { bodyOfServiceBus } from "./service-bus.js";
import { TextDecoder } from "../../platform/text.js";

/** The parts of a message. An attribute that has two values is in the list twice, and is refused later. */
export interface MessageParts {
  attributes: [name: string, value: string | boolean | number][];
  /** Attributes that are percent-encoded. */
  encoded?: [name: string, value: string][];
  contentType?: unknown;
  body: Body;
}

/** The reader of each binding. */
export const READERS: { [B in Binding]: (message: ReceivedMessages[B]) => MessageParts } = {
  kafka(record) {
    const parts: MessageParts = { attributes: [], body: valueOfRecord(record) };
    for (const [header, value] of headersOfRecord(record.headers)) {
      const name = header.toLowerCase();
      if (value === undefined || value === null) continue;
      if (name === "content-type") parts.contentType ??= textOf(name, value);
      else if (name.startsWith("ce_")) parts.attributes.push([name.slice(3), textOf(name.slice(3), value)]);
    }
    return parts;
  },
  amqp(message) {
    if ("applicationProperties" in message || "contentType" in message) return READERS["service-bus"](message);
    const { content_type, body, application_properties } = message as ReceivedAmqpMessage;
    return {
      attributes: attributesOfAmqp(application_properties),
      contentType: content_type,
      body: bodyOfAmqp(body),
    };
  },
  "service-bus"(message) {
    const { contentType, applicationProperties } = message;
    return { attributes: attributesOfAmqp(applicationProperties), contentType, body: bodyOfServiceBus(message) };
  },
  mqtt({ payload, properties }) {
    const { contentType, userProperties } = properties ?? {};
    const parts: MessageParts = { attributes: [], contentType, body: payload };
    if (CLOUDEVENT_TYPE.test(contentType ?? "")) return parts;
    for (const [name, values] of Object.entries(userProperties ?? {})) {
      // The names have no prefix, so a property that cannot be an attribute belongs to another protocol.
      if (!/^[a-z0-9]+$/.test(name) || name === "data") continue;
      for (const value of Array.isArray(values) ? values : [values]) parts.attributes.push([name, textOf(name, value)]);
    }
    return parts;
  },
  nats({ data, headers = {} }) {
    const encoded: [string, string][] = [];
    const parts: MessageParts = { attributes: [], encoded, body: data };
    const pairs = Symbol.iterator in headers ? headers : Object.entries(headers as Record<string, string>);
    let dataContentType: string | undefined;
    for (const [header, values] of pairs) {
      const name = header.toLowerCase();
      for (const value of typeof values === "string" ? [values] : values) {
        if (name === "content-type") parts.contentType ??= value;
        else if (name === "ce-datacontenttype") dataContentType ??= decodeHeader("datacontenttype", value);
        else if (name.startsWith("ce-")) encoded.push([name.slice(3), value]);
      }
    }
    parts.contentType = dataContentType ?? parts.contentType;
    return parts;
  },
};

function attributesOfAmqp(properties: Record<string, unknown> = {}): MessageParts["attributes"] {
  const attributes: MessageParts["attributes"] = [];
  for (const [property, value] of Object.entries(properties)) {
    const name = property.slice(12).toLowerCase();
    if (/^cloudEvents[_:]/.test(property) && value !== null && value !== undefined)
      attributes.push([name, fromAmqp(name, value)]);
  }
  return attributes;
}

/** An AMQP value as an attribute: Boolean and Integer keep their types, and Binary is Base64 (type system, 1.0.2). */
function fromAmqp(name: string, value: unknown): string | boolean | number {
  if (typeof value === "boolean") return value;
  if (isBytes(value)) return toBase64(asBytes(value));
  if (typeof value === "number" || typeof value === "bigint") {
    const number = Number(value);
    return (number | 0) === number ? number | 0 : String(value);
  }
  return textOf(name, value);
}

/** The canonical string of a property value. */
function textOf(name: string, value: unknown): string {
  if (isBytes(value)) {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(asBytes(value));
    } catch (cause) {
      throw new FerryError(
        "ERR_INVALID_HEADER_VALUE",
        `the header of the attribute ${formatValue(name)} is not UTF-8`,
        {
          attribute: name,
          cause,
        },
      );
    }
  }
  return value instanceof Date ? value.toISOString() : String(value);
}
