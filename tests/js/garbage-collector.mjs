// The garbage collector, for tests of what is kept in memory. `npm test` starts its processes with `--expose-gc`; a file that
// is run alone switches it on when this module is loaded: later, in a program that is under way, V8 may crash.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collects all garbage. */
export const collectGarbage = globalThis.gc ?? exposed();

function exposed() {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}
