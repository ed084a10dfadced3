/** The room of CloudEvents: event model, codecs, batches, web hooks. */
export { CloudEvent } from "./event.js";
export type { CloudEventInit, Specversion } from "./init.js";
export type { ExtensionValue } from "./attribute.js";
export type { HeadersLike } from "./headers.js";
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
} from "./http.js";
export { EventBatch, type BatchFormat } from "./batch.js";
export {
  fromMessage,
  toMessage,
  type AmqpMessage,
  type Binding,
  type KafkaMessage,
  type MqttMessage,
  type NatsMessage,
} from "./message.js";
export { webhook, type WebhookOptions } from "./webhook.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../../engine/errors.js";
