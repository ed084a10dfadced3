/** The shapes of messages, as the clients of each protocol send and deliver them. */
import type { AmqpSection } from "./amqp-section.js";

/** The protocol of a message, or the client whose messages differ from those of others. */
export type Binding = "kafka" | "amqp" | "service-bus" | "mqtt" | "nats";

/** Bytes as clients for Node take them: the `Buffer` of the project's types, where it has one. */
export type ClientBytes = typeof globalThis extends { Buffer: { alloc(size: number): infer B extends Uint8Array } }
  ? B
  : Uint8Array;

/** A message for kafkajs. The KafkaJS API of Confluent's client has the same. */
export interface KafkaMessage {
  /** The `partitionkey` of the event, which is also an attribute of it. */
  key?: string;
  /** The data; `null` if there is none. */
  value: string | ClientBytes | null;
  /** The attributes, as `ce_` headers. */
  headers: Record<string, string>;
}

/** A message for rhea. */
export interface AmqpMessage {
  /** The media type of the body. */
  content_type?: string;
  /** The attributes, with the prefix `cloudEvents_`. */
  application_properties?: Record<string, string | number | boolean>;
  /** The data, as a Data section. */
  body?: AmqpSection;
}

/** A message for `@azure/service-bus`. */
export interface ServiceBusMessage {
  /** The media type of the body. */
  contentType?: string;
  /** The attributes, with the prefix `cloudEvents_`. */
  applicationProperties?: Record<string, string | number | boolean>;
  /** The data; empty if there is none. */
  body: ClientBytes;
}

/** Payload and properties for mqtt.js, with protocol version 5. */
export interface MqttMessage {
  /** The data. */
  payload: string | ClientBytes;
  /** The media type, and the attributes as user properties. */
  properties: {
    /** The media type of the data. */
    contentType?: string;
    /** The attributes, without a prefix. */
    userProperties?: Record<string, string>;
  };
}

/** Data and headers for nats.js. */
export interface NatsMessage {
  /** The data. */
  data: string | Uint8Array;
  /** The attributes, as `ce-` headers. nats.js takes them as they are: `publish(subject, data, { headers })`. */
  headers: NatsHeaders;
}

/** Headers of NATS by name. */
export type NatsHeaders = Record<string, string>;

/** What `toMessage` returns for each binding. */
export interface SentMessages {
  /** For kafkajs, and Confluent's client. */
  kafka: KafkaMessage;
  /** For rhea. */
  amqp: AmqpMessage;
  /** For `@azure/service-bus`. */
  "service-bus": ServiceBusMessage;
  /** For mqtt.js with protocol version 5. */
  mqtt: MqttMessage;
  /** For nats.js. */
  nats: NatsMessage;
}

type HeaderValue = string | Uint8Array | null | undefined;

/** A record of kafkajs, of node-rdkafka and Confluent's client, or of AWS Lambda. */
export interface ReceivedKafkaMessage {
  /** The data. In a record of AWS Lambda it is Base64. */
  value?: string | Uint8Array | null;
  /** By name in kafkajs; a list of objects with one name each in the others. Lambda has lists of numbers for bytes. */
  headers?:
    | Record<string, HeaderValue | readonly (string | Uint8Array)[]>
    | readonly Record<string, HeaderValue | readonly number[]>[]
    | null
    | undefined;
  /** Only records of AWS Lambda have it as text: `CREATE_TIME` or `LOG_APPEND_TIME`. */
  timestampType?: unknown;
}

/** A message that rhea has delivered. */
export interface ReceivedAmqpMessage {
  /** The media type of the data, or that of an event in the JSON format. */
  content_type?: string | undefined;
  /** The attributes, with the prefix `cloudEvents_` or `cloudEvents:`. */
  application_properties?: Record<string, unknown> | undefined;
  /** Data sections, a string or bytes. */
  body?: unknown;
}

/** A message that `@azure/service-bus` has delivered. */
export interface ReceivedServiceBusMessage {
  /** The media type of the data, or that of an event in the JSON format. */
  contentType?: string | undefined;
  /** The attributes, with the prefix `cloudEvents_` or `cloudEvents:`. */
  applicationProperties?: Record<string, unknown> | undefined;
  /** Bytes, or the value that the client has parsed from JSON. */
  body?: unknown;
}

/** A packet that mqtt.js has delivered: the third argument of its event `message`. */
export interface ReceivedMqttMessage {
  /** The data, or an event in the JSON format. */
  payload: string | Uint8Array;
  /** The properties of protocol version 5. */
  properties?:
    | {
        /** The media type of the payload. */
        contentType?: string | undefined;
        /** The attributes in binary mode. */
        userProperties?: Record<string, string | readonly string[]> | undefined;
      }
    | undefined;
}

/** A message that nats.js has delivered. */
export interface ReceivedNatsMessage {
  /** The data, or an event in the JSON format. */
  data: string | Uint8Array;
  /** Its `MsgHdrs`, or headers by name. */
  headers?: Record<string, string> | Iterable<readonly [string, string | readonly string[]]> | undefined;
}

/** What `fromMessage` takes for each binding. */
export interface ReceivedMessages {
  /** A record of a Kafka client. */
  kafka: ReceivedKafkaMessage;
  /** A message of rhea or `@azure/service-bus`. */
  amqp: ReceivedAmqpMessage | ReceivedServiceBusMessage;
  /** A message of `@azure/service-bus`. */
  "service-bus": ReceivedServiceBusMessage;
  /** A packet of mqtt.js. */
  mqtt: ReceivedMqttMessage;
  /** A message of nats.js. */
  nats: ReceivedNatsMessage;
}
