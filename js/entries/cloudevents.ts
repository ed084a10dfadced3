/** `eventferry/cloudevents` for every runtime that may compile bytes: they are in the JavaScript. */
import { exportsNow, initSync, __wbg_reset_state } from "../wasm/cloudevents.glue.js";
import { bytes } from "../wasm/cloudevents.inline.js";
import { provide } from "../engine/instance.js";

provide("cloudevents", { glue: { exportsNow, initSync, __wbg_reset_state }, source: bytes });
export * from "../systems/cloudevents/index.js";
