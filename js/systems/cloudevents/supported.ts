/** Whether the package works in this runtime. */
import { codecs } from "../../engine/modules/codecs.js";
import { canCompile } from "../../engine/support.js";

/**
 * Whether this runtime can start the engine. It cannot without WebAssembly SIMD, and where a Content-Security-Policy has no
 * `wasm-unsafe-eval`: there, whatever needs the engine throws `ERR_WASM_INIT`, and no event is staged.
 *
 * @example
 * if (!isSupported()) navigator.sendBeacon("/events", JSON.stringify(order));
 */
export function isSupported(): boolean {
  if (!codecs.source) return canCompile();
  try {
    return codecs.glue !== undefined;
  } catch {
    return false;
  }
}
