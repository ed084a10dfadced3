// One gigabyte of NDJSON through `EventBatch.stream`, a filter and `toBytes`, in Node and in Chromium: heap, buffers and the
// memories of WebAssembly together must grow by less than 64 MB.
//
//   node tests/memory/run.mjs [megabytes]
import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { start } from "../browser.mjs";
import { serve } from "../serve.mjs";
import { Tally } from "../tally.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const MB = 1e6;
const LIMIT = 64 * MB;
const totalBytes = Number(process.argv[2] ?? 1000) * MB;

const tally = new Tally();
await tally.check(`${totalBytes / MB} MB of NDJSON in Node`, inNode);
await tally.check(`${totalBytes / MB} MB of NDJSON in Chromium`, inChromium);
tally.finish();

async function inNode() {
  const program = join(root, "tests/memory/node.mjs");
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", program, String(totalBytes)], {
    timeout: 600_000,
  });
  return judge(JSON.parse(stdout.trim().split("\n").at(-1)));
}

async function inChromium() {
  const server = await serve({ "/tests/": join(root, "tests"), "/dist/": join(root, "dist") });
  const browser = await start("chrome", { seconds: 60 });
  try {
    await browser.open(`${server.url}tests/memory/page.html`);
    await browser.evaluate("while (!globalThis.read) await new Promise((resolve) => setTimeout(resolve, 20));");
    await browser.devTools("HeapProfiler.collectGarbage", {});
    const progress = () => browser.evaluate("return globalThis.progress;");
    const used = async () => {
      const { usedSize, embedderHeapUsedSize, backingStorageSize } = await browser.devTools("Runtime.getHeapUsage", {});
      if (!(backingStorageSize >= 0)) throw new Error("this Chromium does not tell the size of buffers");
      return usedSize + embedderHeapUsedSize + backingStorageSize;
    };
    const wasmBefore = (await progress()).wasm;
    const before = (await used()) + wasmBefore;
    let most = before;
    let samples = 0;
    await browser.evaluate("globalThis.read(arguments[0]);", totalBytes);
    for (const end = Date.now() + 600_000; Date.now() < end; samples++) {
      const now = await used();
      const state = await progress();
      most = Math.max(most, now + (state.wasm ?? 0));
      if (state.problem) throw new Error(state.problem);
      if (state.isDone) {
        if (samples < 10) throw new Error(`only ${samples} measurements`);
        return judge({ ...state, growth: most - before, wasmGrowth: state.wasm - wasmBefore });
      }
      await sleep(20);
    }
    throw new Error("the stream did not end within 10 minutes");
  } finally {
    await browser.close();
    await server.close();
  }
}

function judge({ events, kept, bytes, growth, wasm, wasmGrowth }) {
  if (bytes < totalBytes) throw new Error(`only ${bytes} bytes were read`);
  if (kept !== Math.floor(events / 10)) throw new Error(`${kept} of ${events} events were kept`);
  const text = `${(growth / MB).toFixed(1)} MB of growth; WebAssembly has ${(wasm / MB).toFixed(1)} MB, ${(wasmGrowth / MB).toFixed(1)} MB more than before`;
  if (growth >= LIMIT) throw new Error(text);
  return text;
}
