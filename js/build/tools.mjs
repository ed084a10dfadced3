// The tools that the build and the tests need: looked up, installed where that is possible, and named where not.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

const cargoBin = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "bin");
process.env.PATH = `${cargoBin}${delimiter}${process.env.PATH}`;

/** Says what is going on. */
export function step(what) {
  console.log(`\x1b[36m▸\x1b[0m ${what}`);
}

/** Ends with a sentence that helps. */
export function fail(sentence) {
  console.error(`\x1b[31m✗\x1b[0m ${sentence}`);
  process.exit(1);
}

/** Runs a program with its output shown. */
export function run(program, args, options = {}) {
  try {
    execFileSync(program, args, { stdio: ["ignore", "inherit", "inherit"], ...options });
  } catch (error) {
    if (error.code === "ENOENT") fail(`${program} is not installed or not in the PATH.`);
    fail(`\`${program} ${args.join(" ")}\` failed${error.status ? ` with exit code ${error.status}` : ""}. Its own words are above.`);
  }
}

/** The first line a program prints, or undefined if it is not there. */
export function ask(program, args) {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim().split("\n")[0] : undefined;
}

/** Rust, and its target for WebAssembly. */
export function ensureRust() {
  if (!ask("cargo", ["--version"])) fail("Rust is needed to build eventferry: install it from https://rustup.rs, then try again.");
  const libdir = ask("rustc", ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
  if (libdir && existsSync(libdir)) return;
  if (!ask("rustup", ["--version"])) fail("The Rust target wasm32-unknown-unknown is missing and there is no rustup to add it.");
  step("adding the Rust target wasm32-unknown-unknown");
  run("rustup", ["target", "add", "wasm32-unknown-unknown"]);
}

/** The wasm-bindgen program, in the version of the crate: any other refuses the module. */
export function ensureWasmBindgen() {
  const version = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(readFileSync("Cargo.lock", "utf8"))[1];
  if (ask("wasm-bindgen", ["--version"]) === `wasm-bindgen ${version}`) return;
  cargoInstall("wasm-bindgen-cli", version);
}

/** Installs a program with cargo: as its author locked it, or else with the versions that can be had. */
export function cargoInstall(crate, version) {
  step(`installing ${crate}${version ? ` ${version}` : ""} with cargo (2 to 4 minutes, once)`);
  const args = ["install", crate, ...(version ? ["--version", version] : [])];
  if (spawnSync("cargo", [...args, "--locked", "--quiet"], { stdio: "ignore" }).status === 0) return;
  run("cargo", [...args, "--quiet"]);
}
