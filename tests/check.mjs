// `npm run check`: what needs no test run to be wrong. Format, lints, types, direction of imports, documentation, licenses,
// and, where dist/ is built, the package. `npm run fix` mends what a tool can mend.
//
//   npm run check                 all of it
//   npm run check -- --source     without the package
//   npm run check -- --package    the package alone
//   npm run fix
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MODULES } from "../js/build/modules.mjs";
import { readArguments } from "../js/cli/arguments.mjs";
import { entryPoints } from "../js/build/entry-points.mjs";
import { ensureCargoDeny, ensureModules, ensureRust, ensureRustComponents } from "../js/build/tools.mjs";
import { runChild } from "./child.mjs";
import { missing, Tally } from "./tally.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

const WASM = ["--target", "wasm32-unknown-unknown", "--lib"];
const options = readArguments({
  command: "npm run check --",
  summary: "Checks format, lints, types, direction of imports, documentation, licenses and the package in dist/.",
  flags: {
    source: { description: "the source alone" },
    package: { description: "the package alone" },
    fix: { description: "format, apply safe fixes and write generated files instead" },
  },
});

ensureModules(".");
if (options.fix) await fix();
else await check();

async function fix() {
  ensureRust();
  ensureRustComponents("rustfmt");
  for (const path of entryPoints({ write: true })) console.log(`wrote ${path}`);
  const steps = [npx("biome", "check", "--write", "--max-diagnostics=50", "."), ["cargo", ["fmt"]]];
  const results = [];
  for (const [program, args] of steps) results.push(await runChild(program, args));
  process.exit(results.every(({ ok }) => ok) ? 0 : 1);
}

async function check() {
  const tally = new Tally();
  const succeeds = (name, [program, args], more = {}) =>
    tally.check(name, async () => {
      const { ok, output, problem } = await runChild(program, args, { minutes: 10, show: false, ...more });
      if (!ok) throw new Error(`${problem}\n${output}`);
    });
  if (!options.package) await checkSource(tally, succeeds);
  if (!options.source) await checkPackage(tally, succeeds);
  tally.finish();
}

async function checkSource(tally, succeeds) {
  await tally.check("entry files, exports and imports are those of the table", () => {
    const different = entryPoints({ write: false });
    if (different.length > 0) throw new Error(`${different.join(", ")}: run \`npm run fix\``);
  });
  await succeeds("Biome: format and lints", npx("biome", "ci", "--max-diagnostics=100", "."));
  await succeeds("TypeScript: types", npx("tsc", "--noEmit"));
  ensureModules("www/site");
  await succeeds("TypeDoc: every public item, member and option is documented", [
    join(root, "www/site/node_modules/.bin/typedoc"),
    ["--options", "www/site/typedoc.json", "--emit", "none"],
  ]);
  await succeeds("dependency-cruiser: no circle, no upward import", npx("depcruise", "js"));
  await tally.check("dependency-cruiser notices a circle and an upward import", () => plantedImports());

  ensureRust();
  ensureRustComponents("rustfmt", "clippy");
  await succeeds("rustfmt", ["cargo", ["fmt", "--check"]]);
  const clippy = (...args) => ["cargo", ["clippy", "--quiet", ...args, "--", "-D", "warnings"]];
  await succeeds("clippy: core and tests", clippy("--all-targets"));
  for (const module of Object.keys(MODULES))
    await succeeds(`clippy: the module ${module}`, clippy(...WASM, "--no-default-features", "--features", module));
  const env = { ...process.env, RUSTDOCFLAGS: "-D warnings" };
  await succeeds("cargo doc without warnings", ["cargo", ["doc", "--quiet", "--no-deps", "--document-private-items"]], {
    env,
  });
  ensureCargoDeny();
  await succeeds("cargo deny: licenses, versions, sources", [
    "cargo",
    ["deny", "--log-level", "error", "check", "bans", "licenses", "sources"],
  ]);
}

/** A rule that finds nothing may be a rule that looks at nothing. */
async function plantedImports() {
  const planted = {
    "js/engine/planted-upward.ts": 'export * from "../client/options.js";\n',
    "js/platform/planted-one.ts": 'export type * from "./planted-two.js";\n',
    "js/platform/planted-two.ts": 'export type * from "./planted-one.js";\n',
  };
  const folder = mkdtempSync(join(tmpdir(), "eventferry-imports-"));
  try {
    cpSync("js", join(folder, "js"), { recursive: true });
    for (const file of [".dependency-cruiser.cjs", "tsconfig.json", "package.json"]) cpSync(file, join(folder, file));
    for (const [path, text] of Object.entries(planted)) {
      writeFileSync(join(folder, path), text);
    }
    const [program, args] = npx("depcruise", "js");
    const { ok, output } = await runChild(program, args, { cwd: folder, show: false });
    if (ok) throw new Error("it found neither");
    for (const name of ["engine-imports-down", "no-circles"]) {
      if (!output.includes(name)) throw new Error(`it did not name ${name}:\n${output}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function checkPackage(tally, succeeds) {
  if (!existsSync("dist/entries/index.js")) {
    return tally.check("the package", () => {
      throw missing("there is no dist/; run `npm run build` first");
    });
  }
  ensureModules("tests/runtimes");
  const folder = mkdtempSync(join(tmpdir(), "eventferry-package-"));
  try {
    const bin = (name) => join(root, "tests/runtimes/node_modules/.bin", name);
    await succeeds("npm pack", ["npm", ["pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", folder]]);
    const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
    const tarball = join(folder, `${name}-${version}.tgz`);
    await succeeds("publint", [bin("publint"), ["run", tarball, "--strict"]]);
    // A WebAssembly module has no CommonJS form.
    const files = Object.keys(MODULES).map((module) => `wasm/${module}.wasm`);
    await succeeds("are the types wrong?", [
      bin("attw"),
      [tarball, "--profile", "node16", "--exclude-entrypoints", ...files],
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function npx(...args) {
  return [join(root, "node_modules/.bin", args[0]), args.slice(1)];
}
