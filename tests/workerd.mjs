// Runs test programs in workerd, bundled as wrangler would upload them.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { missing } from "./tally.mjs";

const require = createRequire(new URL("runtimes/package.json", import.meta.url));

/**
 * Starts a Worker.
 *
 * @param {string} entry path of its module, which imports the package by the files of `dist/`
 * @returns {Promise<{ url: string, output(): string[], close(): Promise<void> }>} `url` ends with a slash; `output` has
 * the lines that workerd has printed
 * @throws {Skip} if workerd is not installed; an Error with CI=true
 */
export async function startWorker(entry) {
  if (!existsSync(join(dirname(require.resolve("./package.json")), "node_modules/miniflare")))
    throw missing("workerd is not installed in tests/runtimes (npm ci there)");
  const { build } = await import(require.resolve("esbuild"));
  const { Miniflare } = await import(require.resolve("miniflare"));
  const folder = mkdtempSync(join(tmpdir(), "eventferry-workerd-"));
  const scriptPath = join(folder, "worker.mjs");
  await build({
    entryPoints: [entry],
    outfile: scriptPath,
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    loader: { ".wasm": "copy" },
    logLevel: "error",
  });
  const lines = [];
  const miniflare = new Miniflare({
    modules: true,
    scriptPath,
    modulesRoot: folder,
    modulesRules: [
      { type: "CompiledWasm", include: ["**/*.wasm"] },
      { type: "ESModule", include: ["**/*.mjs"] },
    ],
    compatibilityDate: "2025-05-05",
    cf: false,
    host: "127.0.0.1",
    handleRuntimeStdio(...streams) {
      for (const stream of streams) stream.on("data", (data) => lines.push(...String(data).split("\n")));
    },
  });
  const url = await miniflare.ready;
  return {
    url: url.href,
    output: () => lines.filter((line) => line.trim() !== ""),
    async close() {
      await miniflare.dispose();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
