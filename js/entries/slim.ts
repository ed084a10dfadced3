/** `eventferry/slim`: the same as `eventferry`, but nothing is loaded until `init` is told where the module is. */
import * as glue from "../wasm/full.glue.js";
import { initWith, type ModuleSource } from "../engine/slim.js";

/** Loads the engine; the package has it as `eventferry/eventferry.wasm`. Further calls do nothing. */
export const init = (source: ModuleSource | Promise<ModuleSource>): Promise<void> => initWith(glue, source);
export type { ModuleSource };
export * from "./root.js";
