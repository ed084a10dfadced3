/** The room of CloudEvents: event model, codecs, batches, web hooks. */
export { CloudEvent } from "./cloudevents/event.js";
export type { CloudEventInit, Specversion } from "./cloudevents/init.js";
export type { ExtensionValue } from "./cloudevents/attribute.js";
export type { HeadersLike } from "./cloudevents/headers.js";
export {
  batchFromHttp,
  batchFromRequest,
  contentMode,
  fromHttp,
  fromRequest,
  toBatch,
  toBinary,
  toRequest,
  toStructured,
  type Body,
  type ContentMode,
  type HttpMessage,
  type ReadOptions,
} from "./cloudevents/http.js";
export { EventBatch, type BatchFormat } from "./cloudevents/batch.js";
export {
  fromMessage,
  toMessage,
  type AmqpMessage,
  type Binding,
  type KafkaMessage,
  type MqttMessage,
  type NatsMessage,
} from "./cloudevents/message.js";
export { webhook, type WebhookOptions } from "./cloudevents/webhook.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "./errors.js";
