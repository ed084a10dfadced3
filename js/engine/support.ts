/** Whether this runtime can start a module, and why not, in words that tell the reader what to change. */
import { FerryError } from "./errors.js";

/** (module (func (result v128) i32.const 0 i8x16.splat)): the smallest module with an instruction of SIMD. */
const SIMD_PROBE = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11,
];
/** How Chromium, Firefox and Safari, and the runtimes of V8, say that a policy forbids to compile. */
const FORBIDDEN = /unsafe-eval|content security policy|blocked by CSP|disallowed by embedder/i;

/** The `ERR_WASM_INIT` for what starting a module threw. It says what the runtime lacks, as far as that can be told. */
export function initError(cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  const detail = (cause as Error | undefined)?.message ?? String(cause);
  return new FerryError("ERR_WASM_INIT", `${reason(detail)}: ${detail}`, { cause });
}

/** Whether this runtime may compile a module that uses SIMD. */
export function canCompile(): boolean {
  try {
    return new WebAssembly.Module(Uint8Array.from(SIMD_PROBE)) !== undefined;
  } catch {
    return false;
  }
}

function reason(detail: string): string {
  if (typeof WebAssembly !== "object")
    return "this runtime has no WebAssembly; some browsers switch it off in a lockdown mode";
  if (FORBIDDEN.test(detail))
    return "the Content-Security-Policy forbids WebAssembly; add 'wasm-unsafe-eval' to its directive script-src";
  if (!WebAssembly.validate(Uint8Array.from(SIMD_PROBE)))
    return "this runtime has no WebAssembly SIMD; browsers have it since Chrome 91, Firefox 89 and Safari 16.4";
  return "this runtime refused to start the WebAssembly module";
}
