/** `eventferry/cloudevents` for the Vercel edge, whose bundlers want `?module`. */
import { exportsNow, initSync, __wbg_reset_state } from "../wasm/cloudevents.glue.js";
import module from "../wasm/cloudevents.wasm?module";
import { provide } from "../engine/instance.js";

provide("cloudevents", { glue: { exportsNow, initSync, __wbg_reset_state }, source: () => module });
export * from "../systems/cloudevents/index.js";
