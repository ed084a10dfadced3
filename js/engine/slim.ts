/** Loading by hand, for those who bring the module themselves. */
import { FerryError } from "./errors.js";
import { type FullGlue, engine, provide } from "./instance.js";
import { formatValue } from "./messages.js";

/** A compiled module, its bytes, where to fetch it, or the answer of a fetch. */
export type ModuleSource = WebAssembly.Module | BufferSource | string | URL | Response;

let loading: Promise<void> | undefined;

/** Compiles the module if it is not compiled yet, and starts the engine. A failed try may be repeated. */
export function initWith(glue: FullGlue, source: ModuleSource | Promise<ModuleSource>): Promise<void> {
  loading ??= load(glue, source).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(glue: FullGlue, source: ModuleSource | Promise<ModuleSource>): Promise<void> {
  const module = await compiled(await source);
  provide("full", { glue, source: () => module });
  engine();
}

async function compiled(source: ModuleSource): Promise<WebAssembly.Module> {
  // By tag and not by class: a sandbox may hand us things from another realm.
  const tag = Object.prototype.toString.call(source);
  if (tag === "[object WebAssembly.Module]") return source as WebAssembly.Module;
  try {
    if (typeof source === "string" || tag === "[object URL]")
      return await compiled(await fetch(source as string | URL));
    if (tag === "[object Response]") {
      const response = source as Response;
      if (!response.ok) throw new Error(`HTTP ${response.status} for ${response.url}`);
      return await WebAssembly.compile(await response.arrayBuffer());
    }
    if (ArrayBuffer.isView(source) || tag === "[object ArrayBuffer]")
      return await WebAssembly.compile(source as BufferSource);
  } catch (cause) {
    if (cause instanceof FerryError) throw cause;
    throw new FerryError("ERR_WASM_INIT", `the module could not be loaded: ${(cause as Error)?.message}`, { cause });
  }
  throw new FerryError(
    "ERR_INVALID_ARGUMENT",
    `init takes a WebAssembly.Module, bytes, a URL or a Response, not ${formatValue(source)}`,
  );
}
