// Edge runtimes that forbid compiling WebAssembly from bytes: Cloudflare's workerd, and the edge VM of Vercel.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { EdgeVM } from "@edge-runtime/vm";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { checkReport } from "./programs.mjs";

export async function edges({ app }, tally) {
  await tally.check("workerd, eventferry", () => inWorkerd(app, "worker.mjs"));
  await tally.check("workerd, eventferry/slim", () => inWorkerd(app, "worker-slim.mjs"));
  await tally.check("workerd, the BriteEvents example of the documentation", () => briteEventsInWorkerd(app));
  await tally.check("edge-light", () => inEdgeVm(app, "page.mjs"));
}

/** Runs the example of the documentation: a request publishes three events or none. */
async function briteEventsInWorkerd(app) {
  const [, code] = /^```js run=bc-worker\n([\s\S]*?)^```$/m.exec(
    readFileSync(new URL("../../www/docs/brite-events.md", import.meta.url), "utf8"),
  );
  writeFileSync(join(app, "bc-worker.mjs"), code);
  const { createEmulator } = await import(
    pathToFileURL(join(app, "node_modules/eventferry/dist/entries/testing.js")).href
  );
  const emulator = createEmulator();
  // The server refuses the first request.
  emulator.faults.add({ match: "/brite-events", times: 1, status: 503 });
  const reach = async (request) =>
    emulator.fetch(`http://emulator/brite-events${new URL(request.url).pathname}`, {
      method: request.method,
      headers: [...request.headers],
      body: await request.text(),
    });
  const workerd = await startWorkerd(app, "bc-worker.mjs", { outboundService: reach });
  try {
    const send = async (order, job) => {
      const answer = await workerd.dispatchFetch("http://localhost/", {
        method: "POST",
        headers: { "x-job-id": job },
        body: JSON.stringify(order),
        signal: AbortSignal.timeout(30_000),
      });
      return `${answer.status} ${await answer.text()}`;
    };
    const answers = [
      await send({ id: "1", sku: "s", count: 2, cart: "c" }, "job-1"),
      await send({ id: "2", sku: "s", count: "many", cart: "c" }, "job-2"),
      await send({ id: "3", sku: "s", count: 1, cart: "c" }, "job-3"),
    ];
    const received = await emulator.briteEvents.waitFor(6);
    const expected = [
      "202 accepted",
      "400 orders.StockReserved: data.count breaks the rule type at #/properties/count/type: it must be integer, not string",
      "202 accepted",
    ];
    const arrived = ["job-1", "job-3"].map((job) =>
      received.filter(({ jobId }) => jobId === job).map(({ event }) => event.entity + event.action),
    );
    const problems = [];
    if (JSON.stringify(answers) !== JSON.stringify(expected)) problems.push(`the responses are ${answers.join(", ")}`);
    if (
      JSON.stringify(arrived) !== JSON.stringify(Array(2).fill(["OrderCreated", "StockReserved", "ShoppingCartClosed"]))
    )
      problems.push(`the received events are ${JSON.stringify(arrived)}`);
    return checkReport({ checks: 2, problems });
  } finally {
    await workerd.dispose();
    await emulator.close();
  }
}

async function inWorkerd(app, entry) {
  const workerd = await startWorkerd(app, entry);
  try {
    const response = await workerd.dispatchFetch("http://localhost/", { signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(await response.text());
    return checkReport(await response.json());
  } finally {
    await workerd.dispose();
  }
}

/** Bundles a file of the application for workerd, and starts it. */
export async function startWorkerd(app, entry, more = {}) {
  const folder = join(app, "built", entry);
  // The .wasm files are copied unchanged, as wrangler does.
  await build({
    absWorkingDir: app,
    entryPoints: [entry],
    outfile: join(folder, "worker.mjs"),
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    loader: { ".wasm": "copy" },
    logLevel: "error",
  });
  return miniflare(folder, "worker.mjs", more);
}

/** Starts a bundled Worker, with the WebAssembly modules beside it. */
export function miniflare(folder, script, more = {}) {
  return new Miniflare({
    modules: true,
    modulesRoot: folder,
    scriptPath: join(folder, script),
    modulesRules: [
      { type: "CompiledWasm", include: ["**/*.wasm"] },
      { type: "ESModule", include: ["**/*.mjs", "**/*.js"] },
    ],
    compatibilityDate: "2025-05-05",
    cf: false,
    host: "127.0.0.1",
    ...more,
  });
}

async function inEdgeVm(app, entry) {
  const modules = {};
  // Bundlers for this runtime turn `?module` into a module that is compiled outside the sandbox.
  const asModules = {
    name: "wasm?module",
    setup(build) {
      build.onResolve({ filter: /\.wasm\?module$/ }, ({ path, resolveDir }) => ({
        path: createRequire(join(resolveDir, "_")).resolve(path.replace("?module", "")),
        namespace: "module",
      }));
      build.onLoad({ filter: /./, namespace: "module" }, ({ path }) => {
        modules[path] = new WebAssembly.Module(readFileSync(path));
        return { contents: `export default globalThis.compiledModules[${JSON.stringify(path)}];` };
      });
    },
  };
  const { outputFiles } = await build({
    absWorkingDir: app,
    entryPoints: [entry],
    bundle: true,
    format: "iife",
    write: false,
    conditions: ["edge-light", "browser"],
    plugins: [asModules],
    logLevel: "error",
  });
  const vm = new EdgeVM({
    codeGeneration: { strings: false, wasm: false },
    extend: (context) => Object.assign(context, { compiledModules: modules }),
  });
  vm.evaluate(outputFiles[0].text);
  return checkReport(await vm.evaluate("report"));
}
