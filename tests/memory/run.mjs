// How much the memory grows while a long stream of NDJSON is read and filtered: the heap, the array buffers and the memory
// of the engine together, in Node and in Chromium. What is garbage and not collected yet counts too, except for array
// buffers in Chromium: it keeps up to 90 MB of them, and collects them when it likes.
//
//   node tests/memory/run.mjs               1 GB
//   node tests/memory/run.mjs --bytes=1e8   another length
import { fileURLToPath } from "node:url";
import { start } from "../browser.mjs";
import { runChild } from "../child.mjs";
import { serve } from "../serve.mjs";
import { Tally } from "../tally.mjs";

const MAX_GROWTH = 64e6;
const bytes = Number(process.argv.find((argument) => argument.startsWith("--bytes="))?.slice("--bytes=".length) ?? 1e9);
const title = (runtime) => `${bytes / 1e6} MB of NDJSON through a stream in ${runtime}: less than 64 MB of growth`;

const tally = new Tally();
await tally.check(title("Node"), async () => {
  const program = fileURLToPath(new URL("node.mjs", import.meta.url));
  const { problem, output } = await runChild(process.execPath, ["--expose-gc", program, String(bytes)], {
    show: false,
  });
  if (problem) throw new Error(`${problem}: ${output}`);
  return verdict(JSON.parse(output));
});
await tally.check(title("Chromium"), async () => {
  const server = await serve({ "/": fileURLToPath(new URL("../../", import.meta.url)) });
  let browser;
  try {
    browser = await start("chrome");
    return verdict(await inPage(browser, `${server.url}tests/memory/page.html`));
  } finally {
    await browser?.close();
    await server.close();
  }
});
tally.finish();

/** Reads the stream in a page, which stops at intervals so that its memory can be asked for. */
async function inPage(browser, url) {
  await browser.open(url);
  await browser.evaluate("await ready; await begin(arguments[0]);", bytes);
  await browser.devTools("HeapProfiler.collectGarbage", {});
  const before = await usedBy(browser);
  let peak = before;
  for (;;) {
    const totals = await browser.evaluate("return next();");
    const used = await usedBy(browser);
    if (used.sum > peak.sum) peak = used;
    if (totals.isDone) return { totals, before, peak };
  }
}

async function usedBy(browser) {
  const { usedSize, embedderHeapUsedSize = 0 } = await browser.devTools("Runtime.getHeapUsage", {});
  const heap = usedSize + embedderHeapUsedSize;
  await browser.devTools("HeapProfiler.collectGarbage", {});
  const { backingStorageSize: buffers } = await browser.devTools("Runtime.getHeapUsage", {});
  if (buffers === undefined) throw new Error("this Chromium does not say how large its array buffers are");
  const wasm = await browser.evaluate("return wasmBytes();");
  return { heap, buffers, wasm, sum: heap + buffers + wasm };
}

/** @throws if the stream was not read to its end, or took too much. Returns a remark. */
function verdict({ totals, before, peak }) {
  const parts = ["heap", "buffers", "wasm"].map((part) => `${part} ${megabytes(peak[part] - before[part])}`);
  const remark = `${megabytes(peak.sum - before.sum)} more than before at the most (${parts.join(", ")})`;
  if (totals.bytes < bytes || totals.kept !== Math.floor(totals.events / 10))
    throw new Error(`the stream was not read to its end: ${JSON.stringify(totals)}`);
  if (peak.sum - before.sum >= MAX_GROWTH) throw new Error(remark);
  return remark;
}

function megabytes(count) {
  return `${(count / 1e6).toFixed(1)} MB`;
}
