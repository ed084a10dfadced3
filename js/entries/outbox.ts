/** `eventferry/outbox` for every runtime that may compile bytes: they are in the JavaScript. */
import * as glue from "../wasm/full.glue.js";
import { bytes } from "../wasm/full.inline.js";
import { provide } from "../engine/instance.js";

provide("full", { glue, source: bytes });
export * from "../outbox/index.js";
export type { HeadersOption } from "../client/options.js";
export { CloudEvent } from "../systems/cloudevents/event.js";
export { Publisher, type PublisherOptions, type SendOptions } from "../systems/cloudevents/publisher.js";
