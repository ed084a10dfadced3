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
import { formatValue, mustBe } from "../../engine/messages.js";
import { checkEvent } from "./batch.js";
import type { Body } from "./body.js";
import { asBytes, isBytes } from "./bytes.js";
import { CloudEvent } from "./event.js";
import { decodeHeader, encodeHeader } from "./headers.js";
import { fromHttp, toBinary, toStructured } from "./http.js";

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
  /** The data. */
  body?: string | Uint8Array;
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
          value: body ?? null,
          headers: { ...(contentType !== undefined && { "content-type": contentType }), ...prefixed("ce_") },
        };
      }
      case "amqp":
        return {
          ...(contentType !== undefined && { content_type: contentType }),
          ...(!structured && { application_properties: { ...prefixed("cloudEvents_"), ...nativeExtensions() } }),
          ...(body !== undefined && { body }),
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
    CloudEvent.extensionsOf(event)?.forEach((value, name) => {
      if (typeof value !== "string") typed[`cloudEvents_${name}`] = value;
    });
    return typed;
  }
}

/**
 * Decodes the event of a message in binary or structured mode.
 *
 * @throws {FerryError} as `fromHttp`.
 */
export function fromMessage<B extends Binding>(message: Messages[B], binding: B): CloudEvent {
  const headers = new Map<string, string>();
  // Attributes become HTTP headers, so that one decoder has all rules.
  const setAttribute = (name: string, value: unknown) =>
    headers.set(`ce-${name.toLowerCase()}`, encodeHeader(textOf(name, value)));
  let contentType: unknown;
  let body: Body;
  switch (binding as Binding) {
    case "kafka": {
      const { headers: received = {}, value } = message as KafkaMessage;
      body = value;
      for (const name in received) {
        const value = Array.isArray(received[name]) ? received[name][0] : received[name];
        if (value === undefined) continue;
        if (name.toLowerCase() === "content-type") contentType = textOf(name, value);
        else if (name.toLowerCase().startsWith("ce_")) setAttribute(name.slice(3), value);
      }
      break;
    }
    case "amqp": {
      const amqp = message as AmqpMessage;
      ({ content_type: contentType, body } = amqp);
      for (const [name, value] of Object.entries(amqp.application_properties ?? {})) {
        if (/^cloudEvents[_:]/.test(name) && value !== null && value !== undefined) setAttribute(name.slice(12), value);
      }
      break;
    }
    case "mqtt": {
      const { payload, properties = {} } = message as MqttMessage;
      ({ contentType } = properties);
      body = payload;
      const isStructured = /^\s*application\/cloudevents/i.test(properties.contentType ?? "");
      for (const [name, value] of Object.entries(properties.userProperties ?? {})) {
        // The names have no prefix, so a property that cannot be an attribute belongs to another protocol.
        if (!isStructured && /^[a-z0-9]+$/.test(name)) setAttribute(name, typeof value === "string" ? value : value[0]);
      }
      break;
    }
    case "nats": {
      const { data, headers: received = {} } = message as NatsMessage;
      body = data;
      const pairs = Symbol.iterator in received ? received : Object.entries(received as Record<string, string>);
      for (const [name, value] of pairs) {
        const text = typeof value === "string" ? value : value[0]!;
        const lower = name.toLowerCase();
        if (lower === "content-type") contentType ??= text;
        else if (lower === "ce-datacontenttype") contentType = decodeHeader("datacontenttype", text);
        else if (lower.startsWith("ce-")) headers.set(lower, text);
      }
      break;
    }
    default:
      throw unknownBinding(binding);
  }
  if (contentType !== undefined && contentType !== null) headers.set("content-type", String(contentType));
  return fromHttp([...headers], body);
}

function unknownBinding(binding: unknown): FerryError {
  return mustBe("binding", '"kafka", "amqp", "mqtt" or "nats"', binding);
}

/** The canonical string of a property value. */
function textOf(name: string, value: unknown): string {
  if (isBytes(value)) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(asBytes(value));
    } catch (cause) {
      throw new FerryError("ERR_INVALID_HEADER_VALUE", `the header ${formatValue(name)} is not UTF-8`, {
        attribute: name.replace(/^ce_/, ""),
        cause,
      });
    }
  }
  return value instanceof Date ? value.toISOString() : String(value);
}
