/** `eventferry/outbox` for Cloudflare Workers, which take a module and compile no bytes. */
import * as glue from "../wasm/full.glue.js";
import module from "../wasm/full.wasm";
import { provide } from "../engine/instance.js";

provide("full", { glue, source: () => module });
export * from "../outbox/index.js";
export type { HeadersOption } from "../client/options.js";
export { CloudEvent } from "../systems/cloudevents/event.js";
export { Publisher, type PublisherOptions, type SendOptions } from "../systems/cloudevents/publisher.js";
