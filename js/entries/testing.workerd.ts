/** `eventferry/testing` for Cloudflare Workers, which take a module and compile no bytes. */
import { exportsNow, initSync, __wbg_reset_state } from "../wasm/cloudevents.glue.js";
import module from "../wasm/cloudevents.wasm";
import { provide } from "../engine/instance.js";

provide("cloudevents", { glue: { exportsNow, initSync, __wbg_reset_state }, source: () => module });
export * from "../testing/index.js";
