/** CloudEvents: event model, codecs, batches and webhooks. */

export type { SchemaIssue, SchemaResult, StandardSchema } from "../../client/standard-schema.js";
export { type Culprit, FerryError, type FerryErrorCode, isFerryError } from "../../engine/errors.js";
export type { DedupeStore } from "../../stores/dedupe.js";
export { denoKvStore } from "../../stores/deno-kv.js";
export { durableObjectStore } from "../../stores/durable-object.js";
export { memoryStore } from "../../stores/memory.js";
export type { AllowedOrigins } from "./allowed-origins.js";
export type { AmqpSection } from "./amqp-section.js";
export type { ExtensionValue } from "./attribute.js";
export { EventBatch } from "./batch.js";
export type {
  BatchCheck,
  BatchFormat,
  BatchOptions,
  BatchParseOptions,
  OnInvalid,
  RejectedEvent,
} from "./batch-options.js";
export type { BatchStreamOptions } from "./batch-stream.js";
export type { Body, ReadOptions } from "./body.js";
export type { SchemaOptions } from "./data-schema.js";
export type { DedupeOptions } from "./dedupe.js";
export { toEventGrid, toPubSubPush } from "./envelope-writers.js";
export type { Envelope, EnvelopeOptions } from "./envelopes.js";
export { CloudEvent } from "./event.js";
export type { EventPredicate } from "./event-selector.js";
export type { Extensions, PayloadKind, Problem, Specversion } from "./event-fields.js";
export type { AttributeTexts, FilterDialect, SubscriptionFilter } from "./filter/dialect.js";
export { Filter, type SqlOptions } from "./filter/filter.js";
export type { CesqlFunction, CesqlFunctions, CesqlSignature, CesqlType, CesqlValue } from "./filter/functions.js";
export type { CesqlError, Evaluation } from "./filter/program.js";
export type { HeadersLike } from "./headers.js";
export {
  batchFromHttp,
  batchFromRequest,
  type ContentMode,
  contentMode,
  fromHttp,
  fromRequest,
  type HttpMessage,
  toBatch,
  toBinary,
  toRequest,
  toStructured,
} from "./http.js";
export type { CloudEventInit } from "./init.js";
export type { Lenient, LenientOptions } from "./lenient.js";
export { fromMessage, toMessage } from "./message.js";
export type {
  AmqpMessage,
  Binding,
  ClientBytes,
  KafkaMessage,
  MqttMessage,
  NatsHeaders,
  NatsMessage,
  ReceivedAmqpMessage,
  ReceivedKafkaMessage,
  ReceivedMessages,
  ReceivedMqttMessage,
  ReceivedNatsMessage,
  ReceivedServiceBusMessage,
  SentMessages,
  ServiceBusMessage,
} from "./message-types.js";
export { github, type HmacOptions, hmac, shopify } from "./signatures/hmac.js";
export type { Secret } from "./signatures/keys.js";
export type { SignedMessage, Signer, ToleranceOptions, UnsignedMessage, Verifier } from "./signatures/signature.js";
export { standardWebhooks } from "./signatures/standard-webhooks.js";
export { discord, slack, stripe } from "./signatures/timed.js";
export { webhook } from "./webhook.js";
export type { AuthorizeContext, Handshake, WebhookContext, WebhookOptions } from "./webhook-options.js";
export { isSupported } from "./supported.js";
export { traceContext, type TraceContext } from "./trace-context.js";
