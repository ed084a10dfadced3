/** `eventferry/bc-events` for the Vercel edge, whose bundlers want `?module`. */
import * as glue from "../wasm/full.glue.js";
import module from "../wasm/full.wasm?module";
import { provide } from "../wasm.js";

provide("full", { glue, source: () => module });
export * from "../bc-events.js";
