// The tools that the build and the tests need: finds them, installs them if possible, and otherwise says what to install.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, relative } from "node:path";

export const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
process.env.PATH = `${join(cargoHome, "bin")}${delimiter}${process.env.PATH}`;

/** Prints a step of the progress. */
export function step(what) {
  console.log(`\x1b[36m▸\x1b[0m ${what}`);
}

/** The error of `fail`. It is thrown, so that the tests can continue with what does not need the missing tool. */
class ToolError extends Error {}

// Uncaught, it is printed without a stack, because the sentence says everything the user needs.
process.on("uncaughtException", (error) => {
  console.error(error instanceof ToolError ? `\x1b[31m✗\x1b[0m ${error.message}` : error);
  process.exit(1);
});

/** Stops with a sentence that says what to do. */
export function fail(sentence) {
  throw new ToolError(sentence);
}

const MINUTES = 60_000;

/** Runs a program and shows its output. */
export function run(program, args, options = {}) {
  try {
    execFileSync(program, args, { stdio: ["ignore", "inherit", "inherit"], timeout: 15 * MINUTES, ...options });
  } catch (error) {
    if (error.code === "ENOENT") fail(`${program} is not installed or not on the PATH.`);
    if (error.code === "ETIMEDOUT") fail(`\`${program} ${args.join(" ")}\` did not exit in time and was stopped.`);
    fail(
      `\`${program} ${args.join(" ")}\` failed${error.status ? ` with exit code ${error.status}` : ""}. Its output is above.`,
    );
  }
}

/** The output of a program, or undefined if it is not installed or fails. */
export function queryAll(program, args) {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", timeout: MINUTES });
  return status === 0 ? stdout.trim() : undefined;
}

/** The first line of the output of a program, or undefined if it is not installed or fails. */
export function query(program, args) {
  return queryAll(program, args)?.split("\n")[0];
}

/** Ensures Rust with its WebAssembly target. */
export function ensureRust() {
  if (!query("cargo", ["--version"]))
    fail("building eventferry needs Rust; install it from https://rustup.rs and try again.");
  const libdir = query("rustc", ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
  if (libdir && existsSync(libdir)) return;
  if (!query("rustup", ["--version"]))
    fail("the Rust target wasm32-unknown-unknown is missing, and rustup is not installed to add it.");
  step("adding the Rust target wasm32-unknown-unknown");
  run("rustup", ["target", "add", "wasm32-unknown-unknown"]);
}

/** Ensures components of the toolchain that a minimal installation omits. */
export function ensureRustComponents(...components) {
  const program = { rustfmt: "rustfmt", clippy: "cargo-clippy" };
  const absent = components.filter((component) => !query(program[component], ["--version"]));
  if (absent.length === 0) return;
  if (!query("rustup", ["--version"]))
    fail(`the Rust components ${absent.join(" and ")} are missing, and rustup is not installed to add them.`);
  step(`adding the Rust components ${absent.join(" and ")}`);
  run("rustup", ["component", "add", ...absent]);
}

/** Installs the npm packages of the repository if one is missing. What was installed by hand stays as it is. */
export function ensurePackages() {
  const { dependencies, devDependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  const names = Object.keys({ ...dependencies, ...devDependencies });
  if (names.every((name) => existsSync(`node_modules/${name}`))) return;
  step("installing the npm packages of the repository");
  run(process.platform === "win32" ? "npm.cmd" : "npm", ["ci", "--include=dev", "--no-audit", "--no-fund"]);
}

/** Installs the npm packages of a folder, exactly as in its lock file. */
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

/** Ensures the wasm-bindgen program in the version of the crate; any other version rejects the module. */
export function ensureWasmBindgen() {
  const version = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(readFileSync("Cargo.lock", "utf8"))[1];
  if (query("wasm-bindgen", ["--version"]) === `wasm-bindgen ${version}`) return;
  cargoInstall("wasm-bindgen-cli", version);
}

/** Installs a program with cargo: with its locked dependencies if possible, otherwise with the newest compatible ones. */
export function cargoInstall(crate, version) {
  step(`installing ${crate}${version ? ` ${version}` : ""} with cargo (2 to 4 minutes, once)`);
  const args = ["install", crate, ...(version ? ["--version", version] : [])];
  if (spawnSync("cargo", [...args, "--locked", "--quiet"], { stdio: "ignore", timeout: 15 * MINUTES }).status === 0)
    return;
  run("cargo", [...args, "--quiet"]);
}

/** Ensures wasm-pack, which runs the Rust tests in browsers. From cargo, because the npm package downloads a binary. */
export function ensureWasmPack() {
  if (!which("wasm-pack")) cargoInstall("wasm-pack");
}

/** Ensures cargo-deny, which checks licenses, versions and sources of the crates. */
export function ensureCargoDeny() {
  if (!which("cargo-deny")) cargoInstall("cargo-deny");
}

/** Ensures the driver of Firefox, which Mozilla publishes as a crate. Returns its path. */
export function ensureGeckodriver() {
  if (!driverOf("firefox")) cargoInstall("geckodriver");
  return driverOf("firefox") ?? fail("geckodriver was installed, but is not in the bin folder of cargo.");
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
  webkit: {
    // It runs tests/webkit-browser.py. Another Python would not have the modules of Debian.
    programs: ["/usr/bin/python3"],
    packages: ["webkit2gtk-driver", "xvfb", "gir1.2-webkit2-4.1", "python3-gi"],
    driver: "WebKitWebDriver",
    isComplete: (python) => which("Xvfb") && query(python, ["-c", WEBKIT_MODULES]) !== undefined,
  },
};
const WEBKIT_MODULES = "import gi; gi.require_version('WebKit2', '4.1'); from gi.repository import Gtk, WebKit2";

const foundBrowsers = new Map();

/** The paths of a browser and its driver. Installs them if possible; otherwise undefined. */
export function ensureBrowser(engine) {
  const known = foundBrowsers.get(engine);
  if (known) return known;
  const { programs, packages, isComplete = () => true } = BROWSERS[engine];
  const find = () => programs.map(which).find((path) => path && isComplete(path));
  if (!find() || (engine !== "firefox" && !driverOf(engine))) aptInstall(packages);
  const browser = find();
  const driver = browser && engine === "firefox" ? ensureGeckodriver() : driverOf(engine);
  if (!browser || !driver) return undefined;
  foundBrowsers.set(engine, { browser, driver });
  return { browser, driver };
}

/** The path of a driver. The environment may set it, with the variables that wasm-pack and wasm-bindgen also read. */
function driverOf(engine) {
  const { driver } = BROWSERS[engine];
  return process.env[driver.toUpperCase()] || which(driver);
}

/** Installs Debian packages, as root on Debian. */
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

/** The path of a program, or undefined. */
export function which(program) {
  const candidates = program.includes("/")
    ? [program]
    : process.env.PATH.split(delimiter).map((folder) => join(folder, program));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
