// `npm run demo [-- --port=8787]`: builds the package if necessary, then serves the demo page and the emulator.
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureModules, ensurePackages, ensureRust, run, step } from "../js/build/tools.mjs";
import { main } from "../js/cli/demo.mjs";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
await main(process.argv.slice(2), {
  command: "npm run demo --",
  prepare,
  folders: [join(process.cwd(), "tests/demo")],
});

/** Installs dependencies and builds dist/ unless they are up to date. */
async function prepare() {
  ensurePackages();
  // It has npm cloudevents, with which the page compares.
  ensureModules("tests/demo");
  const isStale = (made, ...sources) =>
    !existsSync(made) || sources.some((source) => newest(source) > statSync(made).mtimeMs);
  const needsRust = isStale("dist/wasm/publish.wasm", "src", "Cargo.toml", "Cargo.lock");
  if (!needsRust && !isStale("dist/cjs/package.json", "js", "tsconfig.json")) {
    // Not at the top of the file: it imports a package that may have been installed only now.
    const { buildDemo, isDemoStale } = await import("../js/build/demo.mjs");
    if (isDemoStale(newest)) await buildDemo("dist/demo");
    return;
  }
  step(`building eventferry${needsRust ? " (about two minutes the first time)" : ""}`);
  if (needsRust) ensureRust();
  run(process.execPath, ["js/build/build.mjs", ...(needsRust ? [] : ["--js-only"])]);
}

function newest(path) {
  const { mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) return mtimeMs;
  return Math.max(mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}
