// The modules of the engine, in one table. `js/build/build.mjs` makes each of them from the crate with the Cargo feature of
// the same name; `js/build/entry-points.mjs` generates the files that load them. `src/lib.rs` says how one is added.

/**
 * Functions with one caller stay apart: together they take more bytes after compression, and V8 compiles large ones anew for
 * the few lines of them that run often.
 */
const APART = ["--converge", "--one-caller-inline-max-function-size=50"];
/**
 * All are compiled at opt-level "s", as `Cargo.toml` says: 3 would be 3 % faster, but Rust up to 1.97 miscompiles a
 * comparison that is used as a number and as a branch from level 2 on (rust-lang/rust#158206), and 3 % are not worth that.
 */
const SMALL = ["-Oz", ...APART];
/** Both modules that scan have the same, so that compression finds the scanner of one in the other. */
const FAST = ["-O3", ...APART];

/**
 * - `readsText`: has the Cargo feature `arena`, a memory area into which JavaScript writes text.
 * - `glue`: the imports from its glue. Default: all of it.
 * - `wasmOpt`: how binaryen optimizes it.
 * - `cannotPanic`: it has no code that panics, and the build holds it to that.
 */
export const MODULES = {
  codecs: {
    what: "the CloudEvents codecs",
    readsText: true,
    // JavaScript calls the exports themselves, not through a wrapper for each.
    glue: "{ exportsNow, initSync, __wbg_reset_state }",
    wasmOpt: FAST,
    cannotPanic: true,
  },
  filters: {
    what: "filters of events, with the scanner of batches",
    readsText: true,
    glue: "{ exportsNow, initSync, __wbg_reset_state }",
    wasmOpt: FAST,
  },
  publish: { what: "calls and the outbox", readsText: false, wasmOpt: SMALL },
  glassflow: { what: "GlassFlow pipelines", readsText: true, wasmOpt: SMALL },
  "glassflow-management": { what: "the management API of GlassFlow", readsText: false, wasmOpt: SMALL },
  "events-protocol": { what: "the events protocol", readsText: true, wasmOpt: SMALL },
  streams: { what: "Bayeux and the Streaming API of Salesforce", readsText: false, wasmOpt: SMALL },
};

/** The name of a module in JavaScript. */
export function identifier(module) {
  return module.replaceAll(/-(\w)/g, (_, letter) => letter.toUpperCase());
}
