/** `eventferry/bc-events` for the Vercel edge, whose bundlers want `?module`. */
import * as glue from "../wasm/full.glue.js";
import module from "../wasm/full.wasm?module";
import { provide } from "../engine/instance.js";

provide("full", { glue, source: () => module });
export * from "../systems/bc-events/index.js";
