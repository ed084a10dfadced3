// Reads a stream of NDJSON in this process. The last line of the output is the result, as JSON.
import { filterAll, linesOf, watchMemories } from "./lines.mjs";

const totalBytes = Number(process.argv[2]);
const wasmBytes = watchMemories();
const library = await import("eventferry/cloudevents");
// The engine starts before the first measurement, and code is compiled.
await filterAll(library, linesOf(4e6), () => undefined);

const used = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external + wasmBytes();
};
globalThis.gc();
const before = used();
const wasmBefore = wasmBytes();
let most = before;
const totals = await filterAll(library, linesOf(totalBytes), () => {
  most = Math.max(most, used());
});
console.log(
  JSON.stringify({ ...totals, growth: most - before, wasm: wasmBytes(), wasmGrowth: wasmBytes() - wasmBefore }),
);
