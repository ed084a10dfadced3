/**
 * Messages of Kafka, AMQP 1.0, MQTT 5 and NATS, in the shapes that kafkajs, rhea, mqtt.js and nats.js send and receive.
 * The connections belong to these clients.
 *
 * | binding | attribute | data type | data |
 * |---|---|---|---|
 * | Kafka 1.0.2 | header `ce_name` | header `content-type` | `value`, `null` if there is none |
 * | AMQP 1.0.2 | application property `cloudEvents_name`, also read as `cloudEvents:name` | `content_type` | `body` |
 * | MQTT 1.0.2 | user property `name` | `contentType` | `payload` |
 * | NATS 1.0.2 | header `ce-name`, percent-encoded | header `ce-datacontenttype` | `data` |
 */
import { FerryError } from "../../engine/errors.js";
import { isWellFormed } from "../../engine/instance.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { checkEvent } from "./batch.js";
import { type AmqpSection, bodyOfAmqp, DataSection } from "./amqp-section.js";
import { type Body, copyBody } from "./body.js";
import { asBuffer, asBytes, isBytes, toBase64 } from "./bytes.js";
import type { CloudEvent } from "./event.js";
import { decodeHeader, encodeHeader } from "./headers.js";
import { CLOUDEVENT_TYPE, decode, toBinary, toStructured } from "./http.js";
import { checkLenient, type LenientOptions } from "./lenient.js";

/** The protocol of a message. */
export type Binding = "kafka" | "amqp" | "mqtt" | "nats";

/** A message of kafkajs. */
export interface KafkaMessage {
  /** The `partitionkey` of the event, which is also an attribute of it. */
  key?: string | Uint8Array | null;
  /** The data; `null` if there is none. */
  value: string | Uint8Array | null;
  /** The attributes, as `ce_` headers. */
  headers?: Record<string, string | Uint8Array | readonly (string | Uint8Array)[] | undefined>;
}

/** A message of rhea. */
export interface AmqpMessage {
  /** The media type of the body. */
  content_type?: string;
  /** The attributes, with the prefix `cloudEvents_`. */
  application_properties?: Record<string, unknown>;
  /** The data: written as a Data section, read from one as well as from a string or bytes. */
  body?: string | Uint8Array | AmqpSection;
}

/** Payload and properties of mqtt.js, for protocol version 5. */
export interface MqttMessage {
  /** The data. */
  payload: string | Uint8Array;
  /** The media type, and the attributes as user properties. */
  properties?: { contentType?: string; userProperties?: Record<string, string | readonly string[]> };
}

/** Data and headers of nats.js; the headers may also be its `MsgHdrs`. */
export interface NatsMessage {
  /** The data. */
  data: string | Uint8Array;
  /** The attributes, as `ce-` headers. */
  headers?: Record<string, string> | Iterable<readonly [string, string | readonly string[]]>;
}

interface Messages {
  kafka: KafkaMessage;
  amqp: AmqpMessage;
  mqtt: MqttMessage;
  nats: NatsMessage;
}

/**
 * Encodes an event as a message.
 *
 * @param mode `"structured"` puts all of the event into the body, in the JSON format. @default "binary"
 * @throws {FerryError} as `toBinary`.
 */
export function toMessage<B extends Binding>(
  event: CloudEvent,
  binding: B,
  mode: "binary" | "structured" = "binary",
): Messages[B] {
  checkEvent(event);
  const structured = mode === "structured" ? toStructured(event) : undefined;
  if (!structured && mode !== "binary") throw mustBe("mode", '"binary" or "structured"', mode);
  const { headers, body } = structured ?? toBinary(event);
  const contentType = headers["content-type"];
  const attributes = Object.keys(headers)
    .filter((name) => name.startsWith("ce-"))
    .map((name) => [name.slice(3), decodeHeader(name.slice(3), headers[name]!)] as const);
  return build(binding) as Messages[B];

  function build(binding: Binding): Messages[Binding] {
    switch (binding) {
      case "kafka": {
        const key = event.get("partitionkey");
        return {
          ...(key !== undefined && { key: String(key) }),
          value: typeof body === "string" ? body : body === undefined ? null : asBuffer(body),
          headers: { ...(contentType !== undefined && { "content-type": contentType }), ...prefixed("ce_") },
        };
      }
      case "amqp":
        return {
          ...(contentType !== undefined && { content_type: contentType }),
          ...(!structured && { application_properties: { ...prefixed("cloudEvents_"), ...nativeExtensions() } }),
          ...(body !== undefined && { body: new DataSection(body) }),
        };
      case "mqtt":
        return {
          payload: body ?? "",
          properties: {
            ...(contentType !== undefined && { contentType }),
            ...(!structured && { userProperties: prefixed("") }),
          },
        };
      case "nats":
        return {
          data: body ?? "",
          headers: structured
            ? { "Content-Type": contentType! }
            : Object.fromEntries([
                ...attributes.map(([name, value]) => [`ce-${name}`, encodeHeader(value)]),
                ...(contentType === undefined ? [] : [["ce-datacontenttype", encodeHeader(contentType)]]),
              ]),
        };
      default:
        throw unknownBinding(binding);
    }
  }

  function prefixed(prefix: string): Record<string, string> {
    return Object.fromEntries(attributes.map(([name, value]) => [prefix + name, value]));
  }

  /** Booleans and Integers, for which AMQP has types. */
  function nativeExtensions(): Record<string, unknown> {
    const typed: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(event.extensions)) {
      if (typeof value !== "string") typed[`cloudEvents_${name}`] = value;
    }
    return typed;
  }
}

/**
 * Decodes the event of a message in binary or structured mode. With `lenient` it also reads records without headers whose
 * value is an event in the JSON format.
 *
 * @throws {FerryError} as `fromHttp`.
 */
export function fromMessage<T = unknown>(
  message: KafkaMessage | AmqpMessage | MqttMessage | NatsMessage,
  binding: Binding,
  options: LenientOptions = {},
): CloudEvent<T> {
  const lenient = checkLenient(options);
  if (typeof message !== "object" || message === null) throw mustBe("message", "a message of the client", message);
  const read = READERS[binding];
  if (!Object.hasOwn(READERS, binding)) throw unknownBinding(binding);
  const { attributes, encoded = [], contentType, body } = read(message as never);
  const pairs: [string, string][] = [];
  const types = new Map<string, boolean | number>();
  // Attributes become HTTP headers, so that one decoder has all rules.
  for (const [name, value] of attributes) {
    pairs.push([`ce-${name}`, encodeHeader(wellFormed(name, String(value)))]);
    if (typeof value !== "string") types.set(name, value);
  }
  for (const [name, value] of encoded) {
    // Only what is not ASCII is encoded here: a decoder takes such characters for bytes.
    const ascii = wellFormed(name, value).replace(/[^\0-\x7f]+/g, encodeURIComponent);
    pairs.push([`ce-${name}`, ascii]);
  }
  if (contentType !== undefined && contentType !== null) pairs.push(["content-type", String(contentType)]);
  return decode<T>(pairs, copyBody(body), lenient, types);
}

/** The parts of a message. An attribute that has two values is in the list twice, and is refused later. */
interface MessageParts {
  attributes: [name: string, value: string | boolean | number][];
  /** Attributes that are percent-encoded. */
  encoded?: [name: string, value: string][];
  contentType?: unknown;
  body: Body;
}

const READERS: { [B in Binding]: (message: Messages[B]) => MessageParts } = {
  kafka({ headers = {}, value }) {
    const parts: MessageParts = { attributes: [], body: value };
    for (const [header, values] of Object.entries(headers ?? {})) {
      const name = header.toLowerCase();
      for (const value of Array.isArray(values) ? values : [values]) {
        if (value === undefined || value === null) continue;
        if (name === "content-type") parts.contentType ??= textOf(name, value);
        else if (name.startsWith("ce_")) parts.attributes.push([name.slice(3), textOf(name.slice(3), value)]);
      }
    }
    return parts;
  },
  amqp({ content_type, body, application_properties }) {
    const parts: MessageParts = { attributes: [], contentType: content_type, body: bodyOfAmqp(body) };
    for (const [property, value] of Object.entries(application_properties ?? {})) {
      const name = property.slice(12).toLowerCase();
      if (/^cloudEvents[_:]/.test(property) && value !== null && value !== undefined)
        parts.attributes.push([name, fromAmqp(name, value)]);
    }
    return parts;
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

function wellFormed(name: string, text: string): string {
  if (isWellFormed(text)) return text;
  throw new FerryError(
    "ERR_INVALID_HEADER_VALUE",
    `the header of the attribute ${formatValue(name)} has half a surrogate pair`,
    { attribute: name },
  );
}

function unknownBinding(binding: unknown): FerryError {
  return mustBe("binding", '"kafka", "amqp", "mqtt" or "nats"', binding);
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
