// Edge runtimes that forbid to compile bytes: workerd as Cloudflare publishes it, and the VM of Vercel's edge.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { EdgeVM } from "@edge-runtime/vm";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { judge } from "./programs.mjs";

export async function edges({ app }, tally) {
  await tally.check("workerd, eventferry", () => inWorkerd(app, "worker.mjs"));
  await tally.check("workerd, eventferry/slim", () => inWorkerd(app, "worker-slim.mjs"));
  await tally.check("workerd, a request that publishes to BriteEvents or rolls back", () => briteEventsInWorkerd(app));
  await tally.check("edge-light", () => inEdgeVm(app, "page.mjs"));
}

/** The example of the README: three events of one request, or none. */
async function briteEventsInWorkerd(app) {
  const [, code] = /^```js run=bc-worker\n([^]*?)^```$/m.exec(
    readFileSync(new URL("../../README.md", import.meta.url), "utf8"),
  );
  writeFileSync(join(app, "bc-worker.mjs"), code);
  const { createEmulator } = await import(
    pathToFileURL(join(app, "node_modules/eventferry/dist/entries/testing.js")).href
  );
  const emulator = createEmulator();
  // The server is down when the first request comes.
  emulator.faults.add({ match: "/brite-events", times: 1, status: 503 });
  const reach = async (request) =>
    emulator.fetch(`http://emulator/brite-events${new URL(request.url).pathname}`, {
      method: request.method,
      headers: [...request.headers],
      body: await request.text(),
    });
  const workerd = await startWorkerd(app, "bc-worker.mjs", { outboundService: reach });
  try {
    const ask = async (order, job) => {
      const answer = await workerd.dispatchFetch("http://localhost/", {
        method: "POST",
        headers: { "x-job-id": job },
        body: JSON.stringify(order),
        signal: AbortSignal.timeout(30_000),
      });
      return `${answer.status} ${await answer.text()}`;
    };
    const answers = [
      await ask({ id: "1", sku: "s", count: 2, cart: "c" }, "job-1"),
      await ask({ id: "2", sku: "s", count: "many", cart: "c" }, "job-2"),
      await ask({ id: "3", sku: "s", count: 1, cart: "c" }, "job-3"),
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
    if (JSON.stringify(answers) !== JSON.stringify(expected)) problems.push(`it answered ${answers.join(", ")}`);
    if (
      JSON.stringify(arrived) !== JSON.stringify(Array(2).fill(["OrderCreated", "StockReserved", "ShoppingCartClosed"]))
    )
      problems.push(`there arrived ${JSON.stringify(arrived)}`);
    return judge({ checks: 2, problems });
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
    return judge(await response.json());
  } finally {
    await workerd.dispose();
  }
}

async function startWorkerd(app, entry, more = {}) {
  const folder = join(app, "built", entry);
  // The files stay what they are; wrangler does the same with its own rules.
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
  return new Miniflare({
    modules: true,
    modulesRoot: folder,
    scriptPath: join(folder, "worker.mjs"),
    modulesRules: [
      { type: "CompiledWasm", include: ["**/*.wasm"] },
      { type: "ESModule", include: ["**/*.mjs"] },
    ],
    compatibilityDate: "2025-05-05",
    cf: false,
    host: "127.0.0.1",
    ...more,
  });
}

async function inEdgeVm(app, entry) {
  const modules = {};
  // What the bundlers for this runtime do with `?module`: a compiled module, made outside of the sandbox.
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
  return judge(await vm.evaluate("report"));
}
