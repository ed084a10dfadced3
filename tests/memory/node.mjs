// Reads and filters a stream of NDJSON in Node. Prints what it has read, and the memory before and at its peak, as JSON.
import { filterAll, linesOf, watchMemories } from "../js/ndjson-stream.mjs";

const wasmBytes = watchMemories();
const library = await import("eventferry/cloudevents");

function used() {
  const { heapUsed: heap, external } = process.memoryUsage();
  // `external` has the array buffers.
  return { heap, buffers: external, wasm: wasmBytes(), sum: heap + external + wasmBytes() };
}

// The modules are loaded before, and the code has run once.
await filterAll(library, linesOf(1e6), () => undefined);
globalThis.gc();
const before = used();
let peak = before;
const totals = await filterAll(library, linesOf(Number(process.argv[2])), () => {
  const now = used();
  if (now.sum > peak.sum) peak = now;
});
console.log(JSON.stringify({ totals, before, peak }));
