// Makes everything that `npm pack` ships, in dist/. Says what it does; stops at the first thing that is not as expected.
//
//   each module: cargo -> wasm-bindgen -> patch the glue -> wasm-opt -> compile gate -> inline
//   the text copier of browsers: assemble -> inline
//   then: tsc -> entries -> CommonJS -> demo
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as esbuild, transformSync } from "esbuild";
import { readArguments } from "../cli/arguments.mjs";
import { buildDemo } from "./demo.mjs";
import { writeEntries } from "./entries.mjs";
import { writeLlmsTexts } from "./llms.mjs";
import { MODULES } from "./modules.mjs";
import { writeNotices } from "./notices.mjs";
import { cargoHome, ensureRust, ensureWasmBindgen, fail, query, queryAll, run, step } from "./tools.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
process.chdir(root);

const SHIFT = 36;
/** What stands for itself in the text of a module: printable, not escaped in a string, and not the mark of a pair, } or ~. */
const SINGLE = /[ !#-[\]-|]/;
const TARGET = ["--target", "wasm32-unknown-unknown"];
const options = readArguments({
  command: "npm run build --",
  summary: "Makes everything that `npm pack` ships, in dist/.",
  flags: { "js-only": { description: "keep the WebAssembly modules of the last build" } },
});
const withoutCargo = options["js-only"] && Object.keys(MODULES).every((name) => existsSync(`dist/wasm/${name}.wasm`));

// What an earlier build left of files that were moved since must not be shipped.
for (const name of existsSync("dist") ? readdirSync("dist") : []) {
  if (!(withoutCargo && name === "wasm")) rmSync(`dist/${name}`, { recursive: true });
}
if (!withoutCargo) {
  rmSync("dist/wasm", { recursive: true, force: true });
  mkdirSync("dist/wasm", { recursive: true });
  ensureRust();
  ensureWasmBindgen();
  run("cargo", ["fetch", "--quiet", "--locked", ...TARGET]);
  for (const [name, { wasmOpt }] of Object.entries(MODULES)) buildModule(name, wasmOpt);
  writeNotices(TARGET[1]);
}
assemble("js/engine/copy-ascii.wat", "copy-ascii");
writeFileSync(
  "dist/wasm/module.d.ts",
  'import type { WasmModule } from "../platform/web-types.js";\ndeclare const module: WasmModule;\nexport default module;\n',
);
step("compiling the TypeScript");
run("npx", ["--no-install", "tsc"]);
await writeEntries();
await buildCommonJs();
step("bundling the demo");
await buildDemo("dist/demo");
writeLlmsTexts();
step("done: dist/");

function buildModule(name, wasmOpt) {
  step(`compiling the Rust of the module ${name}`);
  const features = ["--no-default-features", "--features", name];
  run("cargo", ["build", "--release", "--locked", ...TARGET, "--config", withoutPaths(), ...features]);
  const raw = readFileSync("target/wasm32-unknown-unknown/release/eventferry.wasm");
  const out = `target/glue/${name}`;
  // A change of one system leaves the code of most modules as it was.
  const hash = createHash("sha256").update(raw).update(JSON.stringify(wasmOpt));
  // These have the other arguments of the tools, and their versions.
  for (const file of ["js/build/build.mjs", "package-lock.json"]) hash.update(readFileSync(file));
  const digest = hash.digest("hex");
  if (!existsSync(`${out}/${digest}`)) {
    rmSync(out, { recursive: true, force: true });
    bindAndOptimize(out, wasmOpt);
    writeFileSync(`${out}/${digest}`, "");
  }
  const wasm = readFileSync(`${out}/module.wasm`);
  new WebAssembly.Module(wasm);
  writeFileSync(`dist/wasm/${name}.wasm`, wasm);
  writeFileSync(`dist/wasm/${name}.glue.js`, patchGlue(readFileSync(`${out}/glue.js`, "utf8"), name));
  writeFileSync(`dist/wasm/${name}.inline.js`, inline(wasm));
}

/** Runs wasm-bindgen and binaryen on the module that cargo has just built. */
function bindAndOptimize(out, wasmOpt) {
  // `out-name` is in the import object of the module, so it must be the same for the tests and for all modules.
  run("wasm-bindgen", [
    "--target",
    "web",
    "--omit-default-module-path",
    "--experimental-reset-state-function",
    "--remove-name-section",
    "--remove-producers-section",
    "--no-typescript",
    "--out-dir",
    out,
    "--out-name",
    "glue",
    "target/wasm32-unknown-unknown/release/eventferry.wasm",
  ]);
  run("npx", [
    "--no-install",
    "wasm-opt",
    ...wasmOpt,
    "--low-memory-unused",
    `${out}/glue_bg.wasm`,
    "-o",
    `${out}/module.wasm`,
  ]);
}

/** Makes a module that is written in the text format. Browsers that lack its features never compile it. */
function assemble(source, name) {
  step(`assembling ${source}`);
  const file = `target/glue/${name}.wasm`;
  const features = ["--enable-gc", "--enable-reference-types"];
  mkdirSync("target/glue", { recursive: true });
  run("npx", ["--no-install", "wasm-as", ...features, source, "-o", file]);
  run("npx", ["--no-install", "wasm-opt", "-O3", ...features, file, "-o", file]);
  writeFileSync(`dist/wasm/${name}.inline.js`, inline(readFileSync(file)));
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

/** Each patch must match exactly once, so that a new wasm-bindgen cannot pass unnoticed. */
function patchGlue(glue, name) {
  const patch = (from, to) => {
    if (glue.split(from).length !== 2)
      fail(`the glue of ${name} does not have exactly one «${from}»; look at what wasm-bindgen changed`);
    glue = glue.replace(from, to);
  };
  // In the Vercel edge sandbox the module comes from another realm.
  patch(
    "!(module instanceof WebAssembly.Module)",
    "Object.prototype.toString.call(module) !== '[object WebAssembly.Module]'",
  );
  // `TextModule` calls the exports itself, not through a wrapper for each.
  patch(
    "function __wbg_get_imports() {",
    "export function exportsNow() {\n    return wasm;\n}\nfunction __wbg_get_imports() {",
  );
  // What an instance that was thrown away has waited for comes all the same: an error there would be one that nobody can catch.
  const stale = "throw new Error('Cannot invoke closure from previous WASM instance');";
  if (glue.includes("closure")) patch(stale, "return;");
  // Jest's jsdom has no global ones.
  if (glue.includes("TextDecoder")) glue = `import { TextDecoder, TextEncoder } from "../platform/text.js";\n${glue}`;
  return transformSync(glue, { minify: true, format: "esm", target: "es2022" }).code;
}

/**
 * The module as JavaScript: a string with one character for each byte, or two for a byte that is not printable. Transport
 * compression finds the patterns of the module in it, which Base64 hides: the bundle is a fifth smaller with brotli. All
 * characters are ASCII and none is escaped, so a bundler that writes escapes as characters leaves the text as it is, and a
 * page needs no charset. Adding a number to each byte moves the most frequent ones to single characters; 36 came out best.
 */
function inline(wasm) {
  const single = [];
  const double = [];
  for (let code = 0; code < 256; code++) (SINGLE.test(String.fromCharCode(code)) ? single : double).push(code);
  const characters = Array.from({ length: 256 }, (_, code) => {
    const at = double.indexOf(code);
    if (at < 0) return String.fromCharCode(code);
    return String.fromCharCode(125 + Math.floor(at / single.length), single[at % single.length]);
  });
  const text = Array.from(wasm, (byte) => characters[(byte + SHIFT) & 255]).join("");
  const code = `const text="${text}";
export function bytes() {
  const bytes = new Uint8Array(${wasm.length}), double = [], places = [];
  let singles = 0;
  for (let code = 0; code < 256; code++) {
    if (${SINGLE}.test(String.fromCharCode(code))) places[code] = singles++;
    else double.push(code);
  }
  for (let at = 0, from = 0; at < ${wasm.length}; at++) {
    const code = text.charCodeAt(from++);
    bytes[at] = (code < 125 ? code : double[(code - 125) * singles + places[text.charCodeAt(from++)]]) - ${SHIFT};
  }
  return bytes;
}
`;
  const decoded = new Function(code.replace("export function bytes", "return function bytes"))()();
  if (Buffer.compare(decoded, wasm) !== 0) fail("the module does not come back from its text as it went in");
  return code;
}

/**
 * For runtimes without require(esm): the same files once more, in a folder that says it is CommonJS. Not bundled, so that
 * entry points share their classes.
 */
async function buildCommonJs() {
  step("translating to CommonJS");
  const scripts = readdirSync("dist", { recursive: true }).filter(
    (file) => file.endsWith(".js") && !/\.(workerd|edge)\.js$|^entries\/.+\//.test(file),
  );
  await esbuild({
    entryPoints: scripts.filter((file) => !file.startsWith("cjs")).map((file) => `dist/${file}`),
    outbase: "dist",
    outdir: "dist/cjs",
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
