/**
 * The modules of the engine. Each system has a WebAssembly module of its own: code, instance and memory. A module starts
 * when it is used first. After a trap nothing in its instance can be trusted, so the instance is discarded; the other modules
 * go on.
 *
 * `js/build/modules.mjs` lists the modules. A class imports the one that it needs from `js/engine/modules`, which has its glue
 * but not its code: `eventferry/slim` gets that from the application, all other entry points from `js/engine/load`.
 */
import { FerryError } from "./errors.js";
import { initError } from "./support.js";
import type { BufferSource, WasmModule } from "../platform/web-types.js";

/** The glue that wasm-bindgen generates for a module, as far as all modules have it. */
export interface Glue<X = object> {
  initSync(input: { module: WasmModule | BufferSource }): unknown;
  /** The exports of the instance. The build adds this function. */
  exportsNow(): X;
  __wbg_reset_state(): void;
}

/** Returns the code of a module. Called when the module starts. */
export type Source = () => WasmModule | BufferSource;

/** Returns `value`, an export that needs these modules: whoever uses it uses them. See `js/build/entries.mjs`. */
export function needing<T>(value: T, ...modules: readonly EngineModule[]): T {
  // Not only `return value`: the minifier of Next.js then replaces the call by its first argument, and drops the modules.
  for (const { name, source } of modules) if (!source) throw new Error(`the module ${name} has no code`);
  return value;
}

/** Gives a module its code, unless it has it. Returns the module. A function, because bundlers drop an unused call of one. */
export function withSource<M extends { source: Source | undefined }>(module: M, source: Source): M {
  module.source ??= source;
  return module;
}

/** A module of the engine. */
export class EngineModule<G extends Glue = Glue> {
  /** Its name in `init` of `eventferry/slim`. */
  readonly name: string;
  /** Where its code comes from. */
  source: Source | undefined;
  readonly #glue: G;
  readonly #resetListeners = new Set<() => void>();
  #isStarted = false;
  #generation = 0;

  constructor(name: string, glue: G) {
    this.name = name;
    this.#glue = glue;
  }

  /** Counts the instances that were discarded. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * The functions of the module. Starts it if it is not running.
   *
   * @throws {FerryError} `ERR_NOT_INITIALIZED`, `ERR_WASM_INIT`
   */
  get glue(): G {
    if (!this.#isStarted) this.#start();
    return this.#glue;
  }

  /** Calls `listener` after the instance was discarded. Returns the function that removes it. */
  onReset(listener: () => void): () => void {
    this.#resetListeners.add(listener);
    return () => this.#resetListeners.delete(listener);
  }

  /** Runs `body`, which calls the module, and handles a trap. */
  call<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw this.trapped(error);
    }
  }

  /** The error to throw for an exception from the module. After a trap the instance is discarded when this returns. */
  trapped(error: unknown): unknown {
    if (error instanceof FerryError) return error;
    const isTrap =
      error instanceof WebAssembly.RuntimeError ||
      error instanceof RangeError ||
      (error as Error)?.name === "InternalError";
    if (isTrap) this.discard();
    return new FerryError("ERR_INTERNAL", undefined, { cause: error });
  }

  /** Discards the instance, in which nothing can be trusted. */
  discard(): void {
    if (!this.#isStarted) return;
    this.#generation++;
    this.#glue.__wbg_reset_state();
    this.onInstance();
    for (const listener of [...this.#resetListeners]) listener();
  }

  /** There is a new instance. */
  protected onInstance(): void {}

  #start(): void {
    if (!this.source) {
      throw new FerryError(
        "ERR_NOT_INITIALIZED",
        `the engine is not loaded yet: with eventferry/slim, await init({ ${this.name}: … }) first`,
      );
    }
    try {
      this.#glue.initSync({ module: this.source() });
    } catch (cause) {
      throw initError(cause);
    }
    this.#isStarted = true;
    this.onInstance();
  }
}
