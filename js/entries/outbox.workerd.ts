/** `eventferry/outbox` for Cloudflare Workers, which take a module and compile no bytes. */
import * as glue from "../wasm/full.glue.js";
import module from "../wasm/full.wasm";
import { provide } from "../engine/instance.js";

provide("full", { glue, source: () => module });
export * from "../outbox/index.js";
