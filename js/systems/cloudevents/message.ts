/**
 * Messages of Kafka, AMQP 1.0, MQTT 5 and NATS, in the shapes that their JavaScript clients send and receive:
 * kafkajs, rhea, mqtt.js and nats.js. The connection stays with those clients.
 *
 * | binding | attribute | data type | data |
 * |---|---|---|---|
 * | Kafka 1.0.2 | header `ce_name` | header `content-type` | `value`, `null` for none |
 * | AMQP 1.0.2 | application property `cloudEvents_name`, also read as `cloudEvents:name` | `content_type` | `body` |
 * | MQTT 1.0.2 | user property `name` | `contentType` | `payload` |
 * | NATS 1.0.2 | header `ce-name`, percent-encoded | header `ce-datacontenttype` | `data` |
 */
import { FerryError } from "../../engine/errors.js";
import { asBytes, isBytes } from "./attribute.js";
import { checkEvent } from "./batch.js";
import { CloudEvent } from "./event.js";
import { decodeHeader, encodeHeader } from "./headers.js";
import { type Body, fromHttp, toBinary, toStructured } from "./http.js";
import { formatValue } from "../../engine/messages.js";

/** The protocols. */
export type Binding = "kafka" | "amqp" | "mqtt" | "nats";

/** A message of kafkajs. */
export interface KafkaMessage {
  /** The `partitionkey` of the event, which also stays in it. */
  key?: string | Uint8Array | null;
  value: string | Uint8Array | null;
  headers?: Record<string, string | Uint8Array | readonly (string | Uint8Array)[] | undefined>;
}

/** A message of rhea. */
export interface AmqpMessage {
  content_type?: string;
  application_properties?: Record<string, unknown>;
  body?: string | Uint8Array;
}

/** Payload and properties of mqtt.js, for protocol version 5. */
export interface MqttMessage {
  payload: string | Uint8Array;
  properties?: { contentType?: string; userProperties?: Record<string, string | readonly string[]> };
}

/** Data and headers of nats.js; the headers may also be its `MsgHdrs`. */
export interface NatsMessage {
  data: string | Uint8Array;
  headers?: Record<string, string> | Iterable<readonly [string, string | readonly string[]]>;
}

interface Messages {
  kafka: KafkaMessage;
  amqp: AmqpMessage;
  mqtt: MqttMessage;
  nats: NatsMessage;
}

/** A message that carries the event. */
export function toMessage<B extends Binding>(
  event: CloudEvent,
  binding: B,
  mode: "binary" | "structured" = "binary",
): Messages[B] {
  checkEvent(event);
  const structured = mode === "structured" ? toStructured(event) : undefined;
  if (!structured && mode !== "binary")
    throw new FerryError("ERR_INVALID_ARGUMENT", `a message is in binary or structured mode, not ${formatValue(mode)}`);
  const { headers, body } = structured ?? toBinary(event);
  const contentType = headers["content-type"];
  const attributes = Object.keys(headers)
    .filter((name) => name.startsWith("ce-"))
    .map((name) => [name.slice(3), decodeHeader(name.slice(3), headers[name]!)] as const);
  return shape(binding) as Messages[B];

  function shape(binding: Binding): Messages[Binding] {
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
        throw new FerryError(
          "ERR_INVALID_ARGUMENT",
          `the binding is kafka, amqp, mqtt or nats, not ${formatValue(binding)}`,
        );
    }
  }

  function prefixed(prefix: string): Record<string, string> {
    return Object.fromEntries(attributes.map(([name, value]) => [prefix + name, value]));
  }

  /** AMQP has types of its own for Boolean and Integer. */
  function nativeExtensions(): Record<string, unknown> {
    const typed: Record<string, unknown> = {};
    CloudEvent.extensionsOf(event)?.forEach((value, name) => {
      if (typeof value !== "string") typed[`cloudEvents_${name}`] = value;
    });
    return typed;
  }
}

/** The event that a message carries, in binary or structured mode. */
export function fromMessage<B extends Binding>(message: Messages[B], binding: B): CloudEvent {
  const headers = new Map<string, string>();
  // Attributes go the way of HTTP headers, so that one reader knows all rules.
  const attribute = (name: string, value: unknown) =>
    headers.set(`ce-${name.toLowerCase()}`, encodeHeader(textOf(name, value)));
  let contentType: unknown;
  let body: Body;
  switch (binding as Binding) {
    case "kafka": {
      const { headers: found = {}, value } = message as KafkaMessage;
      body = value;
      for (const name in found) {
        const value = Array.isArray(found[name]) ? found[name][0] : found[name];
        if (value === undefined) continue;
        if (name.toLowerCase() === "content-type") contentType = textOf(name, value);
        else if (name.toLowerCase().startsWith("ce_")) attribute(name.slice(3), value);
      }
      break;
    }
    case "amqp": {
      const amqp = message as AmqpMessage;
      ({ content_type: contentType, body } = amqp);
      for (const [name, value] of Object.entries(amqp.application_properties ?? {})) {
        if (/^cloudEvents[_:]/.test(name) && value !== null && value !== undefined) attribute(name.slice(12), value);
      }
      break;
    }
    case "mqtt": {
      const { payload, properties = {} } = message as MqttMessage;
      ({ contentType } = properties);
      body = payload;
      const isStructured = /^\s*application\/cloudevents/i.test(properties.contentType ?? "");
      for (const [name, value] of Object.entries(properties.userProperties ?? {})) {
        // The names have no prefix, so everything that cannot be an attribute belongs to somebody else.
        if (!isStructured && /^[a-z0-9]+$/.test(name)) attribute(name, typeof value === "string" ? value : value[0]);
      }
      break;
    }
    case "nats": {
      const { data, headers: found = {} } = message as NatsMessage;
      body = data;
      const pairs = Symbol.iterator in found ? found : Object.entries(found as Record<string, string>);
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
      throw new FerryError(
        "ERR_INVALID_ARGUMENT",
        `the binding is kafka, amqp, mqtt or nats, not ${formatValue(binding)}`,
      );
  }
  if (contentType !== undefined && contentType !== null) headers.set("content-type", String(contentType));
  return fromHttp([...headers], body);
}

/** The canonical string of a typed property. */
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
