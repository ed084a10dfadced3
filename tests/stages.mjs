// What `npm test` does, stage by stage. Each has a name for --only, what it says it does, the stages it needs, and `run`,
// which puts its results into the tally. A stage that throws has failed.
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import {
  ensureBrowser,
  ensureModules,
  ensureRust,
  ensureRustComponents,
  ensureWasmBindgen,
  ensureWasmPack,
} from "../js/build/tools.mjs";
import { capabilities } from "./browser.mjs";
import { runChild } from "./child.mjs";
import { missing, readTally } from "./tally.mjs";

const WASM = ["--target", "wasm32-unknown-unknown"];
const node = process.execPath;

export const STAGES = [
  { name: "tools", what: "the tools that everything needs", needs: [], run: tools },
  { name: "lint", what: "format and lints of the Rust", needs: ["tools"], run: lint },
  { name: "native", what: "the Rust tests, on this machine", needs: ["tools"], run: native },
  { name: "build", what: "the package", needs: ["tools"], run: build },
  { name: "js", what: "the JavaScript tests, in Node", needs: ["build"], run: js },
  { name: "wasm", what: "the Rust tests of the browser side, in browsers", needs: ["tools"], run: wasm },
  {
    name: "cases",
    what: "the CloudEvents cases in browsers, those of the events protocol in workerd",
    needs: ["build"],
    run: cases,
  },
  { name: "stores", what: "the stores, in every runtime", needs: ["build"], run: stores },
  { name: "faults", what: "kills, outages, full storage and pages that end", needs: ["build"], run: faults },
  { name: "interop", what: "others' clients against our emulator", needs: ["build"], run: interop },
  { name: "runtimes", what: "the packed package, in every runtime", needs: ["build"], run: runtimes },
];

function tools(tally) {
  return tally.check("Rust, the npm packages and wasm-bindgen are there", () => {
    ensureRust();
    ensureRustComponents("rustfmt", "clippy");
    ensureModules(".");
    ensureWasmBindgen();
  });
}

async function lint(tally) {
  await succeeds(tally, "the Rust is formatted", "cargo", ["fmt", "--check"]);
  const clippy = (name, ...args) =>
    succeeds(tally, `clippy: ${name}`, "cargo", ["clippy", "--quiet", ...args, "--", "-D", "warnings"], {
      minutes: 10,
    });
  await clippy("core and tests", "--all-targets");
  await clippy("the module full", ...WASM, "--lib");
  await clippy("the module cloudevents", ...WASM, "--lib", "--no-default-features");
}

function native(tally) {
  return counts(tally, "cargo test", rustResults, "cargo", ["test", "--quiet", "--no-fail-fast"], {
    minutes: 15,
    cases: ["bayeux"],
  });
}

function build(tally) {
  return succeeds(tally, "the package builds", node, ["js/build/build.mjs"], { minutes: 20 });
}

async function js(tally) {
  const files = readdirSync("tests/js")
    .filter((file) => file.endsWith(".test.mjs"))
    .map((file) => `tests/js/${file}`);
  if (files.length === 0) throw new Error("there is no tests/js/*.test.mjs");
  await counts(tally, "node --test", nodeResults, node, ["--test", "--test-reporter=spec", ...files], {
    minutes: 15,
    cases: ["cloudevents", "glassflow", "bc-events", "events-protocol"],
  });
}

async function wasm(tally) {
  ensureWasmPack();
  for (const engine of ["chrome", "firefox"]) {
    await tally.check(`${engine} and its driver are there`, () => {
      if (!ensureBrowser(engine)) throw missing(`there is no ${engine} with its driver on this machine`);
    });
    const found = ensureBrowser(engine);
    if (!found) continue;
    mkdirSync("target", { recursive: true });
    writeFileSync("target/webdriver.json", JSON.stringify(capabilities(engine, found.browser)));
    const env = { ...process.env, WASM_BINDGEN_TEST_WEBDRIVER_JSON: "target/webdriver.json" };
    // No mode but this keeps wasm-pack from downloading what is already there.
    const args = [
      "test",
      "--headless",
      "--mode",
      "no-install",
      `--${engine}`,
      engine === "chrome" ? "--chromedriver" : "--geckodriver",
      found.driver,
    ];
    await counts(tally, `wasm-pack in ${engine}`, rustResults, "wasm-pack", [...args, "--", "--lib", "--test", "web"], {
      env,
      minutes: 15,
    });
  }
}

async function runtimes(tally) {
  ensureModules("tests/runtimes");
  await script("tests/runtimes/run.mjs", { minutes: 15 })(tally);
}

async function cases(tally) {
  ensureModules("tests/runtimes");
  await script("tests/js/browser-cases.mjs", { minutes: 5 })(tally);
  await script("tests/js/worker-cases.mjs", { minutes: 5 })(tally);
}

async function stores(tally) {
  ensureModules("tests/runtimes");
  await script("tests/stores/run.mjs", { minutes: 10 })(tally);
}

async function faults(tally) {
  ensureModules("tests/runtimes");
  await script("tests/faults/run.mjs", { minutes: 10 })(tally);
}

async function interop(tally) {
  ensureModules("tests/interop");
  // The server of the events protocol runs in workerd.
  ensureModules("tests/runtimes");
  await script("tests/interop/run.mjs", { minutes: 12 })(tally);
}

/** A test program of ours; it ends with the same line as `npm test` itself. */
function script(file, options) {
  return (tally) => counts(tally, file, readTally, node, [file], options);
}

/** A program that is one check. */
function succeeds(tally, name, program, args, options) {
  return tally.check(name, async () => {
    const { problem } = await runChild(program, args, options);
    if (problem) throw new Error(problem);
  });
}

/** A program that makes checks of its own and says how many. `cases` are the systems whose cases it has to run. */
async function counts(tally, name, read, program, args, { cases = [], ...options } = {}) {
  const { problem, output } = await runChild(program, args, options);
  const results = read(output);
  if (results) tally.add(results);
  tally.addCases(output, problem ? [] : cases);
  // Not all that goes wrong is a test: it may not compile, crash, or come to no end.
  if (problem && !results?.failed) tally.fail(name, problem);
  else if (!problem && !(results?.passed + results?.skipped > 0)) tally.fail(name, "it has no tests");
}

/** The sum over the test binaries and the examples in the documentation. */
function rustResults(output) {
  return sum(
    [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)].map(([, ...numbers]) =>
      numbers.map(Number),
    ),
  );
}

function nodeResults(output) {
  const number = (what) => Number(new RegExp(`^ℹ ${what} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
  return sum([[number("pass"), number("fail") + number("cancelled"), number("skipped") + number("todo")]]);
}

function sum(rows) {
  const total = (column) => rows.reduce((sum, row) => sum + row[column], 0);
  return { passed: total(0), failed: total(1), skipped: total(2) };
}
