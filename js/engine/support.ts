/** Why a module could not start, in words that tell the reader what to change. */
import { FerryError } from "./errors.js";

/** The `ERR_WASM_INIT` for what starting a module threw. */
export function initError(cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  return new FerryError(
    "ERR_WASM_INIT",
    `this runtime refused to start the WebAssembly module: ${(cause as Error)?.message}`,
    { cause },
  );
}
