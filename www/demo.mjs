// `npm run demo [-- --port=8787]`: builds the package if necessary, then serves the demo page and the emulator.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { moveInPlace } from "../js/build/move-in-place.mjs";
import { noteDigests, notedDigests, sourceDigests, staleParts } from "../js/build/sources.mjs";
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
  const root = process.cwd();
  const stale = staleParts(root);
  if (stale.length === 0) return;
  if (stale.length === 1 && stale[0] === "demo") return renewDemo(root);
  const needsRust = stale.includes("rust");
  step(`building eventferry${needsRust ? " (about two minutes the first time)" : ""}`);
  if (needsRust) ensureRust();
  run(process.execPath, ["js/build/build.mjs", ...(needsRust ? [] : ["--js-only"])]);
}

/** Builds the page alone. */
async function renewDemo(root) {
  // Not at the top of the file: it imports a package that may have been installed only now.
  const { buildDemo } = await import("../js/build/demo.mjs");
  await buildDemo(".build/demo");
  moveInPlace(".build/demo", "dist/demo");
  noteDigests(root, { ...notedDigests(root), demo: sourceDigests(root).demo });
}
