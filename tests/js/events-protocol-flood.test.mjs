// Many concurrent events through a server of the events protocol: each gets its own response, and no memory is kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as api from "eventferry/events-protocol";
import { eventsProtocol } from "../../dist/entries/node/internals.js";
import { flood, floodProcessor } from "./events-protocol-flood.mjs";
import { collectGarbage } from "./garbage-collector.mjs";

const COUNT = 50_000;

test("each of 50,000 events, a tenth of them invalid, gets its own response, and memory stays flat", async (t) => {
  const processor = floodProcessor(api);
  const used = [];
  const onTenth = () => {
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    used.push({ heap: heapUsed + arrayBuffers, wasm: eventsProtocol.exports.memory.buffer.byteLength });
  };
  const send = async (body) =>
    (await processor.fetch(new Request("https://example.com/events", { method: "POST", body }))).text();
  const invalid = await flood({ count: COUNT, concurrency: 100, send, onTenth });
  assert.ok(invalid > COUNT * 0.09 && invalid < COUNT * 0.11, `${invalid} were invalid`);
  assert.equal(processor.inFlight, 0);
  assert.equal(used.length, 10);
  const [early, late] = [used[2], used[9]];
  t.diagnostic(
    `${invalid} invalid; heap and buffers ${used.map(({ heap }) => (heap / 2 ** 20).toFixed(1)).join(" ")} MiB`,
  );
  assert.equal(late.wasm, early.wasm, "the memory of the engine grew");
  // 35,000 requests later, a leak of 100 bytes for each would be 3.3 MiB.
  assert.ok(late.heap - early.heap < 3 * 2 ** 20, `memory grew by ${late.heap - early.heap} bytes`);
});
