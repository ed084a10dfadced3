// A stream takes as much memory of the engine as one piece, however long it is.
import assert from "node:assert/strict";
import test from "node:test";
import { filterAll, linesOf, watchMemories } from "./ndjson-stream.mjs";

const wasmBytes = watchMemories();
const library = await import("eventferry/cloudevents");

test("32 MB of NDJSON take no more memory of the engine than the first 4 MB", async () => {
  const sizes = [];
  const totals = await filterAll(library, linesOf(32e6), ({ bytes }) => sizes.push([bytes, wasmBytes()]));
  assert.ok(totals.bytes >= 32e6, `${totals.bytes} bytes`);
  assert.equal(totals.kept, Math.floor(totals.events / 10));
  const [, early] = sizes.find(([bytes]) => bytes >= 4e6);
  assert.equal(sizes.at(-1)[1], early, "the memory grew after the first pieces");
  assert.ok(early > 1e6 && early < 16e6, `${early} bytes`);
});
