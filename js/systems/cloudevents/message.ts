/**
 * Messages of Kafka, AMQP 1.0, MQTT 5 and NATS, in the shapes that kafkajs, node-rdkafka, Confluent's client, AWS Lambda,
 * rhea, `@azure/service-bus`, mqtt.js and nats.js send and receive. The connections belong to these clients.
 *
 * | binding | attribute | data type | data |
 * |---|---|---|---|
 * | Kafka 1.0.2 | header `ce_name` | header `content-type` | `value`, `null` if there is none |
 * | AMQP 1.0.2 | application property `cloudEvents_name`, also read as `cloudEvents:name` | `content_type` | `body` |
 * | Service Bus, which is AMQP | the same | `contentType` | `body` |
 * | MQTT 1.0.2 | user property `name` | `contentType` | `payload` |
 * | NATS 1.0.2 | header `ce-name`, percent-encoded | header `ce-datacontenttype` | `data` |
 */
import { FerryError } from "../../engine/errors.js";
import { isWellFormed } from "../../engine/text-module.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { DataSection } from "./amqp-section.js";
import { checkEvent } from "./check-event.js";
import { copyBody } from "./body.js";
import { asBuffer, isBytes } from "./bytes.js";
import type { CloudEvent } from "./event.js";
import { decodeHeader, encodeHeader } from "./headers.js";
import { decode, toBinary, toStructured } from "./http.js";
import { checkLenient, type LenientOptions } from "./lenient.js";
import { READERS } from "./message-readers.js";
import type { Binding, ClientBytes, ReceivedMessages, SentMessages } from "./message-types.js";
import { writableHeaders } from "./nats-headers.js";
import { TextEncoder } from "../../platform/text.js";

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
): SentMessages[B] {
  checkEvent(event);
  const structured = mode === "structured" ? toStructured(event) : undefined;
  if (!structured && mode !== "binary") throw mustBe("mode", '"binary" or "structured"', mode);
  const { headers, body } = structured ?? toBinary(event);
  const contentType = headers["content-type"];
  const attributes = Object.keys(headers)
    .filter((name) => name.startsWith("ce-"))
    .map((name) => [name.slice(3), decodeHeader(name.slice(3), headers[name]!)] as const);
  return build(binding) as SentMessages[B];

  function build(binding: Binding): SentMessages[Binding] {
    switch (binding) {
      case "kafka": {
        const key = event.get("partitionkey");
        return {
          ...(key !== undefined && { key: String(key) }),
          value: typeof body === "string" ? body : body === undefined ? null : toClientBytes(body),
          headers: { ...(contentType !== undefined && { "content-type": contentType }), ...prefixed("ce_") },
        };
      }
      case "amqp":
        return {
          ...(contentType !== undefined && { content_type: contentType }),
          ...(!structured && { application_properties: amqpProperties() }),
          ...(body !== undefined && { body: new DataSection(body) }),
        };
      case "service-bus":
        return {
          ...(contentType !== undefined && { contentType }),
          ...(!structured && { applicationProperties: amqpProperties() }),
          body: toClientBytes(body ?? ""),
        };
      case "mqtt":
        return {
          payload: typeof body === "object" ? toClientBytes(body) : (body ?? ""),
          properties: {
            ...(contentType !== undefined && { contentType }),
            ...(!structured && { userProperties: prefixed("") }),
          },
        };
      case "nats":
        return {
          data: body ?? "",
          headers: writableHeaders(
            structured
              ? { "Content-Type": contentType! }
              : Object.fromEntries([
                  ...attributes.map(([name, value]) => [`ce-${name}`, encodeHeader(value)]),
                  ...(contentType === undefined ? [] : [["ce-datacontenttype", encodeHeader(contentType)]]),
                ]),
          ),
        };
      default:
        throw unknownBinding(binding);
    }
  }

  function prefixed(prefix: string): Record<string, string> {
    return Object.fromEntries(attributes.map(([name, value]) => [prefix + name, value]));
  }

  /** Booleans and Integers stay what they are: AMQP has types for them. */
  function amqpProperties(): Record<string, string | number | boolean> {
    const properties: Record<string, string | number | boolean> = prefixed("cloudEvents_");
    for (const [name, value] of Object.entries(event.extensions)) {
      if (typeof value === "number" || typeof value === "boolean") properties[`cloudEvents_${name}`] = value;
    }
    return properties;
  }
}

/**
 * Decodes the event of a message in binary or structured mode. With `lenient` it also reads records without headers whose
 * value is an event in the JSON format.
 *
 * @throws {FerryError} as `fromHttp`.
 */
export function fromMessage<T = unknown>(
  message: ReceivedMessages[Binding],
  binding: Binding,
  options: LenientOptions = {},
): CloudEvent<T> {
  const lenient = checkLenient(options);
  const inner = (message as { message?: unknown } | null)?.message;
  if (typeof message !== "object" || message === null || isBytes(message) || typeof inner === "object")
    throw mustBe("message", "a message of the client", message, messageAdvice(message));
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

function wellFormed(name: string, text: string): string {
  if (isWellFormed(text)) return text;
  throw new FerryError(
    "ERR_INVALID_HEADER_VALUE",
    `the header of the attribute ${formatValue(name)} has half a surrogate pair`,
    { attribute: name },
  );
}

function messageAdvice(message: unknown): string | undefined {
  if (isBytes(message)) return "pass the whole message, with its headers";
  return typeof message === "object" && message !== null ? "pass its member message" : undefined;
}

function unknownBinding(binding: unknown): FerryError {
  return mustBe("binding", '"kafka", "amqp", "service-bus", "mqtt" or "nats"', binding);
}

function toClientBytes(body: string | Uint8Array): ClientBytes {
  return asBuffer(typeof body === "string" ? new TextEncoder().encode(body) : body) as ClientBytes;
}
