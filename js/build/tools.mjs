// The tools that the build and the tests need: looked up, installed where that is possible, and named where not.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, relative } from "node:path";

export const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
process.env.PATH = `${join(cargoHome, "bin")}${delimiter}${process.env.PATH}`;

/** Says what is going on. */
export function step(what) {
  console.log(`\x1b[36m▸\x1b[0m ${what}`);
}

/** What `fail` throws, so that the tests can go on with what does not need the missing thing. */
class Refusal extends Error {}

// Nobody caught it: then the sentence is all that is of use, not the place in our code.
process.on("uncaughtException", (error) => {
  console.error(error instanceof Refusal ? `\x1b[31m✗\x1b[0m ${error.message}` : error);
  process.exit(1);
});

/** Stops with a sentence that helps. */
export function fail(sentence) {
  throw new Refusal(sentence);
}

const MINUTES = 60_000;

/** Runs a program with its output shown. */
export function run(program, args, options = {}) {
  try {
    execFileSync(program, args, { stdio: ["ignore", "inherit", "inherit"], timeout: 15 * MINUTES, ...options });
  } catch (error) {
    if (error.code === "ENOENT") fail(`${program} is not installed or not in the PATH.`);
    if (error.code === "ETIMEDOUT") fail(`\`${program} ${args.join(" ")}\` did not end in time and was stopped.`);
    fail(
      `\`${program} ${args.join(" ")}\` failed${error.status ? ` with exit code ${error.status}` : ""}. Its own words are above.`,
    );
  }
}

/** What a program prints, or undefined if it is not there or fails. */
export function queryAll(program, args) {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", timeout: MINUTES });
  return status === 0 ? stdout.trim() : undefined;
}

/** The first line of it. */
export function query(program, args) {
  return queryAll(program, args)?.split("\n")[0];
}

/** Rust, and its target for WebAssembly. */
export function ensureRust() {
  if (!query("cargo", ["--version"]))
    fail("Rust is needed to build eventferry: install it from https://rustup.rs, then try again.");
  const libdir = query("rustc", ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
  if (libdir && existsSync(libdir)) return;
  if (!query("rustup", ["--version"]))
    fail("The Rust target wasm32-unknown-unknown is missing and there is no rustup to add it.");
  step("adding the Rust target wasm32-unknown-unknown");
  run("rustup", ["target", "add", "wasm32-unknown-unknown"]);
}

/** Parts of the toolchain that a minimal installation leaves out. */
export function ensureRustComponents(...components) {
  const program = { rustfmt: "rustfmt", clippy: "cargo-clippy" };
  const absent = components.filter((component) => !query(program[component], ["--version"]));
  if (absent.length === 0) return;
  if (!query("rustup", ["--version"]))
    fail(`The Rust components ${absent.join(" and ")} are missing and there is no rustup to add them.`);
  step(`adding the Rust components ${absent.join(" and ")}`);
  run("rustup", ["component", "add", ...absent]);
}

/** The npm packages of a folder, exactly as its lock file says. */
export function ensureModules(folder) {
  const lock = createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex");
  const stamp = join(folder, "node_modules/.installed-from-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  step(`installing the npm packages of ${relative("", folder) || "the repository"}`);
  run("npm", ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder });
  writeFileSync(stamp, lock);
}

/** The wasm-bindgen program, in the version of the crate: any other refuses the module. */
export function ensureWasmBindgen() {
  const version = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(readFileSync("Cargo.lock", "utf8"))[1];
  if (query("wasm-bindgen", ["--version"]) === `wasm-bindgen ${version}`) return;
  cargoInstall("wasm-bindgen-cli", version);
}

/** Installs a program with cargo: as its author locked it, or else with the versions that can be had. */
export function cargoInstall(crate, version) {
  step(`installing ${crate}${version ? ` ${version}` : ""} with cargo (2 to 4 minutes, once)`);
  const args = ["install", crate, ...(version ? ["--version", version] : [])];
  if (spawnSync("cargo", [...args, "--locked", "--quiet"], { stdio: "ignore", timeout: 15 * MINUTES }).status === 0)
    return;
  run("cargo", [...args, "--quiet"]);
}

/** Runs the Rust tests in browsers. From cargo, because the npm package of that name downloads it from elsewhere. */
export function ensureWasmPack() {
  if (!which("wasm-pack")) cargoInstall("wasm-pack");
}

/** Checks licenses, versions and sources of the crates. */
export function ensureCargoDeny() {
  if (!which("cargo-deny")) cargoInstall("cargo-deny");
}

/** The driver of Firefox; its makers publish it as a crate. Gives its path. */
export function ensureGeckodriver() {
  if (!driverOf("firefox")) cargoInstall("geckodriver");
  return driverOf("firefox") ?? fail("geckodriver was installed, but is not where cargo puts programs.");
}

const BROWSERS = {
  chrome: {
    programs: [
      "chromium",
      "chromium-browser",
      "google-chrome",
      "google-chrome-stable",
      "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ],
    packages: ["chromium", "chromium-driver"],
    driver: "chromedriver",
  },
  firefox: {
    programs: ["firefox-esr", "firefox", "/Applications/Firefox.app/Contents/MacOS/firefox"],
    packages: ["firefox-esr"],
    driver: "geckodriver",
  },
};

/** Paths of a browser, `chrome` or `firefox`, and of its driver. Installs them where that can be done, else undefined. */
export function ensureBrowser(engine) {
  const { programs, packages } = BROWSERS[engine];
  const find = () => programs.map(which).find(Boolean);
  if (!find() || (engine === "chrome" && !driverOf(engine))) aptInstall(packages);
  const browser = find();
  const driver = browser && engine === "firefox" ? ensureGeckodriver() : driverOf(engine);
  return browser && driver ? { browser, driver } : undefined;
}

/** The environment may say which driver to take, by the names that wasm-pack and wasm-bindgen know. */
function driverOf(engine) {
  const { driver } = BROWSERS[engine];
  return process.env[driver.toUpperCase()] || which(driver);
}

/** Debian's own packages, if this is Debian and we may. */
function aptInstall(packages) {
  if (process.getuid?.() !== 0 || !which("apt-get")) return;
  step(`installing ${packages.join(", ")} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["-qq", "update"], { env });
  run("apt-get", ["-qq", "install", "-y", "--no-install-recommends", ...packages], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** Where a program is, or undefined. */
export function which(program) {
  const places = program.includes("/")
    ? [program]
    : process.env.PATH.split(delimiter).map((folder) => join(folder, program));
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
