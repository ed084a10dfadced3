/** Loads the module from where the application says, for `eventferry/slim`. */
import * as glue from "../../wasm/full.glue.js";
import { FerryError } from "../errors.js";
import { engine, provide } from "../instance.js";
import { mustBe } from "../messages.js";

/** A compiled module, its bytes, the URL to fetch it from, or the response of a fetch. */
export type ModuleSource = WebAssembly.Module | BufferSource | string | URL | Response;

let loading: Promise<void> | undefined;

/**
 * Loads the engine; the package has it as `eventferry/eventferry.wasm`. Further calls do nothing; after a failure the next
 * call tries again.
 *
 * @throws {FerryError} `ERR_WASM_INIT` if the module cannot be loaded; `ERR_INVALID_ARGUMENT`
 */
export function init(source: ModuleSource | Promise<ModuleSource>): Promise<void> {
  loading ??= load(source).catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(source: ModuleSource | Promise<ModuleSource>): Promise<void> {
  const module = await compiled(await source);
  provide("full", { glue, source: () => module });
  engine();
}

async function compiled(source: ModuleSource): Promise<WebAssembly.Module> {
  // By tag and not by class: in a sandbox the value may come from another realm.
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
  throw mustBe("the source given to init", "a WebAssembly.Module, bytes, a URL or a Response", source);
}
