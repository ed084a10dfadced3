// Makes everything that `npm pack` ships, in dist/. Says what it does; stops at the first thing that is not as expected.
//
//   each module: cargo -> wasm-bindgen -> panics trap -> wasm-opt -> short names -> compile gate -> tidy the glue
//   the text copier of browsers, the reader of modules as text: assemble
//   then: tsc -> numbers of tables into the code -> modules as text -> entries -> bundles for Node -> CommonJS -> demo -> move in place
//
// All of it is made in the folder .build, from a copy of the sources, and becomes dist/ at the end: dist/ is always whole.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { readArguments } from "../cli/arguments.mjs";
import { tidyGlue } from "./glue.mjs";
import { inlineNumbers } from "./inline-numbers.mjs";
import { writeLlmsTexts } from "./llms.mjs";
import { moveInPlace } from "./move-in-place.mjs";
import { moduleText, withId } from "./module-text.mjs";
import { MODULES } from "./modules.mjs";
import { writeNotices } from "./notices.mjs";
import { trapAtPanics } from "./panics.mjs";
import { withShortNames } from "./short-names.mjs";
import { notedDigests, noteDigests, sourceDigests } from "./sources.mjs";
import {
  cargoHome,
  ensurePackages,
  ensureRust,
  ensureWasmBindgen,
  fail,
  query,
  queryAll,
  run,
  step,
} from "./tools.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
process.chdir(root);

const COPIER = join(root, "target/glue/copy-ascii.wasm");
const READER = join(root, "target/glue/read-module-text.wasm");
/** Where the build works: dist/ is made there. */
const WORK = join(root, ".build");
const WASM = join(WORK, "dist/wasm");
/** What the steps read that follow the modules. */
const COPIED = ["js", "www", "package.json", "tsconfig.json"];
/** Beside the entry points for Node while they are bundled: imports what is to be one part. */
const SHARED = "shared.js";
const MINIFIED = { minify: true, treeShaking: true, format: "esm", target: "es2022" };
const TARGET = ["--target", "wasm32-unknown-unknown"];
const options = readArguments({
  command: "npm run build --",
  summary: "Makes everything that `npm pack` ships, in dist/.",
  flags: { "js-only": { description: "keep the WebAssembly modules of the last build" } },
});

ensurePackages();
// Not at the top of the file: they import a package that may have been installed only now.
const { build: esbuild, transformSync } = await import("esbuild");
const { buildDemo } = await import("./demo.mjs");
const { COMPLETED, writeEntries } = await import("./entries.mjs");

const withoutCargo = options["js-only"] && Object.keys(MODULES).every((name) => existsSync(`dist/wasm/${name}.wasm`));
const digests = sourceDigests(root);
// The modules of the last build may have other sources than there are now.
if (withoutCargo) digests.rust = notedDigests(root).rust;

rmSync(WORK, { recursive: true, force: true });
mkdirSync(WASM, { recursive: true });
for (const path of COPIED)
  cpSync(path, join(WORK, path), { recursive: true, filter: (source) => basename(source) !== "node_modules" });
if (withoutCargo) {
  for (const name of Object.keys(MODULES))
    for (const end of ["wasm", "glue.js"]) cpSync(`dist/wasm/${name}.${end}`, `${WASM}/${name}.${end}`);
} else {
  ensureRust();
  ensureWasmBindgen();
  run("cargo", ["fetch", "--quiet", "--locked", ...TARGET]);
  for (const [name, module] of Object.entries(MODULES)) buildModule(name, module);
  writeNotices(TARGET[1]);
}
assemble("js/engine/copy-ascii.wat", COPIER, ["--enable-gc", "--enable-reference-types"]);
assemble("js/engine/read-module-text.wat", READER, ["--enable-bulk-memory"]);
writeFileSync(`${WASM}/read-module-text.js`, `export const code = "${readFileSync(READER).toString("base64")}";\n`);
writeFileSync(
  `${WASM}/module.d.ts`,
  'import type { WasmModule } from "../platform/web-types.js";\ndeclare const module: WasmModule;\nexport default module;\n',
);
step("compiling the TypeScript");
run("npx", ["--no-install", "tsc", "--project", WORK]);

process.chdir(WORK);
await inlineNumbers("dist");
await writeModuleTexts();
await writeEntries();
await bundleForNode();
await buildCommonJs();
step("bundling the demo");
await buildDemo("dist/demo");
noteDigests(WORK, digests);
process.chdir(root);
moveInPlace(join(WORK, "dist"), "dist");
rmSync(WORK, { recursive: true });
writeLlmsTexts();
step("done: dist/");

function buildModule(name, module) {
  step(`compiling the Rust of the module ${name}`);
  const features = ["--no-default-features", "--features", name];
  run("cargo", ["build", "--release", "--locked", ...TARGET, "--config", withoutPaths(), ...features]);
  const raw = readFileSync("target/wasm32-unknown-unknown/release/eventferry.wasm");
  const out = `target/glue/${name}`;
  // A change of one system leaves the code of most modules as it was.
  const hash = createHash("sha256").update(raw).update(JSON.stringify(module));
  // These have the other arguments of the tools, and their versions.
  for (const file of ["build", "panics", "wasm-sections"]
    .map((name) => `js/build/${name}.mjs`)
    .concat("package-lock.json"))
    hash.update(readFileSync(file));
  const digest = hash.digest("hex");
  if (!existsSync(`${out}/${digest}`)) {
    rmSync(out, { recursive: true, force: true });
    bindAndOptimize(out, module);
    writeFileSync(`${out}/${digest}`, "");
  }
  const { wasm, glue } = withShortNames(readFileSync(`${out}/module.wasm`), readFileSync(`${out}/glue.js`, "utf8"));
  new WebAssembly.Module(wasm);
  writeFileSync(`${WASM}/${name}.wasm`, wasm);
  const { code } = transformSync(tidyGlue(glue, name), MINIFIED);
  writeFileSync(`${WASM}/${name}.glue.js`, code);
}

/** Runs wasm-bindgen and binaryen on the module that cargo has just built. */
function bindAndOptimize(out, { wasmOpt, cannotPanic = false }) {
  // `out-name` is in the import object of the module, so it must be the same for the tests and for all modules.
  run("wasm-bindgen", [
    "--target",
    "web",
    "--omit-default-module-path",
    "--experimental-reset-state-function",
    "--remove-producers-section",
    "--no-typescript",
    "--out-dir",
    out,
    "--out-name",
    "glue",
    "target/wasm32-unknown-unknown/release/eventferry.wasm",
  ]);
  const file = `${out}/glue_bg.wasm`;
  const { wasm, replaced } = trapAtPanics(readFileSync(file));
  // Rust may give it another name.
  const panics = replaced.some((name) => name.endsWith("::rust_begin_unwind"));
  if (panics === cannotPanic)
    fail(`${file} ${panics ? "can panic" : "has no function that a panic calls; look at what rustc changed"}`);
  writeFileSync(file, wasm);
  run("npx", [
    "--no-install",
    "wasm-opt",
    ...wasmOpt,
    "--low-memory-unused",
    // Compression finds what functions have in common where like stands beside like, in the same order in each module.
    "--reorder-functions-by-name",
    // An alignment is a hint that engines ignore. All the same, they take no room in the text of a module.
    "--dealign",
    file,
    "-o",
    `${out}/module.wasm`,
  ]);
}

/** Makes a module that is written in the text format. A browser that lacks its features must not need it. */
function assemble(source, file, features) {
  step(`assembling ${source}`);
  mkdirSync("target/glue", { recursive: true });
  run("npx", ["--no-install", "wasm-as", ...features, source, "-o", file]);
  run("npx", ["--no-install", "wasm-opt", "-O3", "--dealign", ...features, file, "-o", file]);
}

/**
 * Panics name their place in the source. These flags make it the same whoever builds, and tell nothing of their machine.
 * With the component rust-src the standard library has local paths too; they become what they are without it.
 */
function withoutPaths() {
  const sysroot = query("rustc", ["--print", "sysroot"]);
  const commit = /^commit-hash: (\w+)$/m.exec(queryAll("rustc", ["-vV"]))?.[1];
  const registries = join(cargoHome, "registry/src");
  const folders = existsSync(registries)
    ? readdirSync(registries).map((name) => [join(registries, name), "crates"])
    : [];
  const remapped = [
    [cargoHome, "cargo"],
    [root, "eventferry"],
    ...folders,
    [sysroot, "toolchain"],
    [join(sysroot, "lib/rustlib/src/rust"), `/rustc/${commit}`],
  ];
  // The last one that fits is taken.
  const flags = remapped.map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  return `target.wasm32-unknown-unknown.rustflags=${JSON.stringify(flags)}`;
}

/** Ends each module with its id, and writes it as JavaScript with the compiled file that reads it. */
async function writeModuleTexts() {
  step("writing the modules as text");
  const reader = await import(pathToFileURL(resolve("dist/engine/module-bytes.js")).href);
  const write = (name, wasm) => writeFileSync(`dist/wasm/${name}.inline.js`, moduleText(wasm, reader));
  for (const name of Object.keys(MODULES)) {
    const wasm = withId(readFileSync(`dist/wasm/${name}.wasm`));
    writeFileSync(`dist/wasm/${name}.wasm`, wasm);
    write(name, wasm);
  }
  write("copy-ascii", readFileSync(COPIER));
}

/**
 * Bundles the entry points for Node, Bun and Deno, where each file that is loaded takes its time. All at once, so that what
 * several of them use is in parts that they share: a class is the same one from every entry point.
 *
 * esbuild puts files into one part that the same entry points use, which makes many small parts. So every entry point uses
 * the events, and what all clients share: that is one part, and one file takes less time than twenty.
 */
async function bundleForNode() {
  step("bundling for Node");
  const folder = "dist/entries/node";
  const entries = readdirSync(folder);
  const shared = ["client", "engine", "platform"].flatMap((layer) =>
    readdirSync(`dist/${layer}`)
      .filter((file) => file.endsWith(".js"))
      .map((file) => `${layer}/${file}`),
  );
  const completing = Object.values(COMPLETED).map(({ file }) => file);
  writeFileSync(
    `${folder}/${SHARED}`,
    ["public/cloudevents.js", ...completing, ...shared].map((file) => `import "../../${file}";\n`).join(""),
  );
  for (const file of entries)
    writeFileSync(`${folder}/${file}`, `import "./${SHARED}";\n${readFileSync(`${folder}/${file}`, "utf8")}`);
  // It imports all of them, or the parts would be more and smaller.
  const imports = entries.map((file) => `import "./${file}";\n`).join("");
  writeFileSync(`${folder}/internals.js`, `${imports}export * from "../../../js/build/internals.mjs";\n`);
  const { outputFiles } = await esbuild({
    absWorkingDir: WORK,
    entryPoints: [...entries, "internals.js"].map((file) => `${folder}/${file}`),
    outdir: folder,
    chunkNames: "part-[hash]",
    bundle: true,
    splitting: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "es2022",
    packages: "external",
    plugins: [{ name: "shared", setup: keepImportsOfShared }],
    logLevel: "error",
  });
  rmSync(`${folder}/${SHARED}`);
  for (const { path, text } of outputFiles) writeFileSync(path, withClassNames(text));
  // They are in the bundles, and nothing else imports them.
  for (const file of readdirSync("dist/engine/load").filter((file) => /\.node\.(?:js|d\.ts)$/.test(file)))
    rmSync(`dist/engine/load/${file}`);
}

/** esbuild drops an import without names of a file that has no side effects, unless it is told that there are some. */
function keepImportsOfShared({ onResolve }) {
  onResolve({ filter: /^\.\.\/\.\./ }, ({ path, importer, resolveDir }) =>
    basename(importer) === SHARED ? { path: resolve(resolveDir, path), sideEffects: true } : undefined,
  );
}

/** Gives a class its name again: esbuild changes that of one that uses itself, and so its `name`. */
function withClassNames(text) {
  for (const [, name] of text.matchAll(/^var (\w+) = class _\1\b/gm))
    text = text.replaceAll(new RegExp(`(?<![\\w$])_${name}\\b`, "g"), name);
  return text;
}

/**
 * For runtimes without require(esm): the bundles for Node once more, in a folder that says it is CommonJS, with the
 * declarations of all files.
 */
async function buildCommonJs() {
  step("translating to CommonJS");
  const folder = "dist/entries/node";
  const files = readdirSync(folder).filter((file) => file !== "internals.js");
  await esbuild({
    absWorkingDir: WORK,
    entryPoints: files.map((file) => `${folder}/${file}`),
    outdir: "dist/cjs/entries",
    format: "cjs",
    platform: "node", // so that Node finds the names of the exports
    target: "es2022",
    logLevel: "error",
  });
  writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
  for (const file of readdirSync("dist", { recursive: true })) {
    if (file.endsWith(".d.ts") && !file.startsWith("cjs")) cpSync(`dist/${file}`, `dist/cjs/${file}`);
  }
}
