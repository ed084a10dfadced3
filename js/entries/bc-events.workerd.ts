/** `eventferry/bc-events` for Cloudflare Workers, which take a module and compile no bytes. */
import * as glue from "../wasm/full.glue.js";
import module from "../wasm/full.wasm";
import { provide } from "../wasm.js";

provide("full", { glue, source: () => module });
export * from "../bc-events.js";
