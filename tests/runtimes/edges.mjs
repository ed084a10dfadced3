// Edge runtimes that forbid to compile bytes: workerd as Cloudflare publishes it, and the VM of Vercel's edge.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { EdgeVM } from "@edge-runtime/vm";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { judge } from "./programs.mjs";

export async function edges({ app }, tally) {
  await tally.check("workerd, eventferry", () => inWorkerd(app, "worker.mjs"));
  await tally.check("workerd, eventferry/slim", () => inWorkerd(app, "worker-slim.mjs"));
  await tally.check("edge-light", () => inEdgeVm(app, "page.mjs"));
}

async function inWorkerd(app, entry) {
  const folder = join(app, "built", entry);
  // The files stay what they are; wrangler does the same with its own rules.
  await build({
    absWorkingDir: app, entryPoints: [entry], outfile: join(folder, "worker.mjs"), bundle: true, format: "esm",
    conditions: ["workerd", "worker", "browser"], loader: { ".wasm": "copy" }, logLevel: "error",
  });
  const workerd = new Miniflare({
    modules: true,
    modulesRoot: folder,
    scriptPath: join(folder, "worker.mjs"),
    modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"] }, { type: "ESModule", include: ["**/*.mjs"] }],
    compatibilityDate: "2025-05-05",
    cf: false,
    host: "127.0.0.1",
  });
  try {
    const response = await workerd.dispatchFetch("http://localhost/", { signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(await response.text());
    return judge(await response.json());
  } finally {
    await workerd.dispose();
  }
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
    absWorkingDir: app, entryPoints: [entry], bundle: true, format: "iife", write: false,
    conditions: ["edge-light", "browser"], plugins: [asModules], logLevel: "error",
  });
  const vm = new EdgeVM({
    codeGeneration: { strings: false, wasm: false },
    extend: (context) => Object.assign(context, { compiledModules: modules }),
  });
  vm.evaluate(outputFiles[0].text);
  return judge(await vm.evaluate("report"));
}
