/** Loads modules from where the application says, for `eventferry/slim`. */
import { FerryError } from "../errors.js";
import { mustBe, unknownOption } from "../messages.js";
import { type EngineModule, withSource } from "../module.js";
import { codecs } from "../modules/codecs.js";
import { eventsProtocol } from "../modules/events-protocol.js";
import { filters } from "../modules/filters.js";
import { glassflow } from "../modules/glassflow.js";
import { publish } from "../modules/publish.js";
import { streams } from "../modules/streams.js";
import type { BufferSource, WasmModule } from "../../platform/web-types.js";

/** A compiled module, its bytes, the URL to fetch it from, or the response of a fetch. */
export type ModuleSource = WasmModule | BufferSource | string | URL | Response;

/** The modules to load. The package has each as `eventferry/wasm/<file>`. */
export interface EngineModules {
  /** Events, codecs and web hooks; every system that makes CloudEvents. `codecs.wasm` */
  codecs?: ModuleSource | Promise<ModuleSource>;
  /** `Filter`. `filters.wasm` */
  filters?: ModuleSource | Promise<ModuleSource>;
  /** Calls and the outbox: `Publisher`, `PipelineDataSource`, BriteEvents. `publish.wasm` */
  publish?: ModuleSource | Promise<ModuleSource>;
  /** GlassFlow, beside `publish`. `glassflow.wasm` */
  glassflow?: ModuleSource | Promise<ModuleSource>;
  /** The events protocol. `events-protocol.wasm` */
  eventsProtocol?: ModuleSource | Promise<ModuleSource>;
  /** Bayeux and Salesforce. `streams.wasm` */
  streams?: ModuleSource | Promise<ModuleSource>;
}

/** All modules, and the names of their files. */
const MODULES: Record<keyof EngineModules, readonly [EngineModule, string]> = {
  codecs: [codecs, "codecs.wasm"],
  filters: [filters, "filters.wasm"],
  publish: [publish, "publish.wasm"],
  glassflow: [glassflow, "glassflow.wasm"],
  eventsProtocol: [eventsProtocol, "events-protocol.wasm"],
  streams: [streams, "streams.wasm"],
};
const NAMES = Object.keys(MODULES) as (keyof EngineModules)[];

const loading = new Map<keyof EngineModules, Promise<void>>();

/**
 * Loads modules of the engine. What is loaded already stays; after a failure the next call tries again.
 *
 * @param modules where each module is, or the URL of a folder that has the files of all of them
 * @throws {FerryError} `ERR_WASM_INIT` if a module cannot be loaded; `ERR_INVALID_ARGUMENT`
 * @example
 * await init({ codecs: "/assets/codecs.wasm", publish: "/assets/publish.wasm" });
 */
export async function init(modules: EngineModules | string | URL): Promise<void> {
  const sources = sourcesOf(modules);
  // Nobody waits for the source of a module that is loaded already.
  for (const source of Object.values(sources)) Promise.resolve(source).catch(() => undefined);
  await Promise.all(NAMES.filter((name) => sources[name] !== undefined).map((name) => loadOnce(name, sources[name]!)));
}

function sourcesOf(modules: EngineModules | string | URL): EngineModules {
  if (typeof modules === "string" || Object.prototype.toString.call(modules) === "[object URL]") {
    const folder = String(modules).replace(/\/?$/, "/");
    return Object.fromEntries(NAMES.map((name) => [name, folder + MODULES[name][1]]));
  }
  if (Object.prototype.toString.call(modules) !== "[object Object]")
    throw mustBe(
      "the argument of init",
      "an object with a source for each module, or the URL of their folder",
      modules,
      "for example { codecs, publish }",
    );
  for (const name of Object.keys(modules)) if (!(name in MODULES)) throw unknownOption("init", name, NAMES);
  return modules as EngineModules;
}

function loadOnce(name: keyof EngineModules, source: ModuleSource | Promise<ModuleSource>): Promise<void> {
  let load = loading.get(name);
  if (!load) {
    load = loadModule(name, source).catch((error: unknown) => {
      loading.delete(name);
      throw error;
    });
    loading.set(name, load);
  }
  return load;
}

async function loadModule(name: keyof EngineModules, source: ModuleSource | Promise<ModuleSource>): Promise<void> {
  const code = await compiled(name, source);
  const [module] = MODULES[name];
  withSource(module, () => code);
  try {
    void module.glue;
  } catch (error) {
    // The next call may bring another module.
    module.source = undefined;
    throw error;
  }
}

async function compiled(name: keyof EngineModules, given: ModuleSource | Promise<ModuleSource>): Promise<WasmModule> {
  let source: ModuleSource | undefined;
  try {
    source = await given;
    // By tag and not by class: in a sandbox the value may come from another realm.
    const tag = Object.prototype.toString.call(source);
    if (tag === "[object WebAssembly.Module]") return source as WasmModule;
    if (typeof source === "string" || tag === "[object URL]")
      return await compiled(name, fetch(source as string | URL));
    if (tag === "[object Response]") {
      const response = source as Response;
      if (!response.ok) throw new Error(`HTTP ${response.status} for ${response.url}`);
      return await WebAssembly.compile(await response.arrayBuffer());
    }
    if (ArrayBuffer.isView(source) || tag === "[object ArrayBuffer]")
      return await WebAssembly.compile(source as ArrayBuffer);
  } catch (cause) {
    if (cause instanceof FerryError) throw cause;
    throw new FerryError("ERR_WASM_INIT", `the module ${name} could not be loaded: ${(cause as Error)?.message}`, {
      cause,
    });
  }
  throw mustBe(`the source of ${name} given to init`, "a WebAssembly.Module, bytes, a URL or a Response", source);
}
