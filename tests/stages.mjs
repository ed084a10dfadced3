// The stages of `npm test`. Each has a name for --only, a description, the stages it needs, and `run`, which adds its
// results to the tally. A stage that throws has failed.
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
import { end, runChild } from "./child.mjs";
import { missing, readTally } from "./tally.mjs";
import { startDisplay } from "./webkit.mjs";

const node = process.execPath;
const DISPLAY_SECONDS = 60;

/** The groups of tests/faults that guard each commit, and those that take long. */
const SHORT_FAULTS =
  "kills,outages,storage,browserStorage,browserLostFiles,workers,tabs,leadersShort,pageExits,pageEndingsShort";
const LONG_FAULTS =
  "floods,replay,soak,browserKills,denoKills,processes,pageEndings,randomExits,pageViews,pipelines,bitFlips";
const LEADERS = "leaders,leadersReal";

export const STAGES = [
  { name: "tools", description: "install the tools that all stages need", needs: [], run: tools },
  { name: "check", description: "format, lints, types, imports, documentation", needs: ["tools"], run: check },
  { name: "native", description: "the Rust tests, compiled for this machine", needs: ["tools"], run: native },
  { name: "build", description: "build the package", needs: ["tools"], run: build },
  { name: "package", description: "the manifest and the types of the package", needs: ["build"], run: checkPackage },
  { name: "js", description: "the JavaScript tests, in Node", needs: ["build"], run: js },
  { name: "wasm", description: "the Rust tests of the wasm layer, in browsers", needs: ["tools"], run: wasm },
  {
    name: "cases",
    description: "the CloudEvents cases in browsers, and the events-protocol cases in workerd",
    needs: ["build"],
    run: cases,
  },
  { name: "stores", description: "the stores, in every runtime", needs: ["build"], run: stores },
  {
    name: "faults",
    description: "killed processes, outages, full storage and closed pages",
    needs: ["build"],
    run: faults,
  },
  {
    name: "interop",
    description: "the original clients against the emulator, and eventferry against original servers",
    needs: ["build"],
    run: interop,
  },
  {
    name: "long",
    description: "soaks, long rounds of kills, and a long stream",
    needs: ["build"],
    run: long,
    isLong: true,
  },
  {
    name: "reproducible",
    description: "the same modules from another folder, and a build that is ended in its middle",
    needs: ["build"],
    run: reproducible,
    isLong: true,
  },
  {
    name: "examples",
    description: "the examples of www/examples, from the packed package",
    needs: ["build"],
    run: examples,
  },
  {
    name: "demo",
    description: "the demo page in browsers",
    needs: ["build"],
    run: demo,
  },
  {
    name: "site",
    description: "the site in a browser, and the examples with Vite, Next.js and wrangler",
    needs: ["build"],
    run: site,
    isLong: true,
  },
  { name: "runtimes", description: "the packed package, in every runtime", needs: ["build"], run: runtimes },
  {
    name: "runners",
    description: "the packed package in frameworks, bundlers and test runners",
    needs: ["build"],
    run: runners,
    isLong: true,
  },
  {
    name: "types",
    description: "the declarations with each compiler, under the types of each runtime",
    needs: ["build"],
    run: types,
    isLong: true,
  },
];

function tools(tally) {
  return tally.check("Rust, the npm packages and wasm-bindgen are installed", () => {
    ensureRust();
    ensureRustComponents("rustfmt", "clippy");
    ensureModules(".");
    ensureWasmBindgen();
  });
}

function check(tally) {
  return script("tests/check.mjs", { minutes: 20 }, ["--source"])(tally);
}

function checkPackage(tally) {
  return script("tests/check.mjs", { minutes: 5 }, ["--package"])(tally);
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
  if (files.length === 0) throw new Error("no file matches tests/js/*.test.mjs");
  ensureModules("tests/demo");
  await counts(tally, "node --test", nodeResults, node, ["--expose-gc", "--test", "--test-reporter=spec", ...files], {
    minutes: 15,
    cases: ["cloudevents", "glassflow", "bc-events", "events-protocol"],
  });
}

/** How wasm-pack names a browser and its driver. It does not know WebKitGTK, whose driver is used as that of Safari. */
const WASM_PACK_FLAGS = {
  chrome: ["--chrome", "--chromedriver"],
  firefox: ["--firefox", "--geckodriver"],
  webkit: ["--safari", "--safaridriver"],
};

async function wasm(tally) {
  ensureWasmPack();
  for (const [engine, [browserFlag, driverFlag]] of Object.entries(WASM_PACK_FLAGS)) {
    await tally.check(`${engine} and its driver are installed`, () => {
      if (!ensureBrowser(engine)) throw missing(`${engine} or its driver is not installed`);
    });
    const found = ensureBrowser(engine);
    if (!found) continue;
    mkdirSync("target", { recursive: true });
    writeFileSync("target/webdriver.json", JSON.stringify(capabilities(engine, found.browser)));
    const env = { ...process.env, WASM_BINDGEN_TEST_WEBDRIVER_JSON: "target/webdriver.json" };
    const screen = engine === "webkit" ? await startDisplay(DISPLAY_SECONDS) : undefined;
    if (screen) env.DISPLAY = `:${screen.number}`;
    // Only this mode keeps wasm-pack from downloading tools that are already installed.
    const args = ["test", "--headless", "--mode", "no-install", browserFlag, driverFlag, found.driver];
    try {
      const tests = ["--", "--lib", "--test", "web"];
      await counts(tally, `wasm-pack in ${engine}`, rustResults, "wasm-pack", [...args, ...tests], {
        env,
        minutes: 15,
      });
    } finally {
      if (screen) end(screen.display);
    }
  }
}

async function runtimes(tally) {
  ensureModules("tests/runtimes");
  ensureModules("tests/runtimes/servers");
  ensureModules("tests/runtimes/types");
  await script("tests/runtimes/run.mjs", { minutes: 15 })(tally);
}

async function runners(tally) {
  ensureModules("tests/runtimes");
  await script("tests/runtimes/runners.mjs", { minutes: 30 })(tally);
}

async function types(tally) {
  ensureModules("tests/runtimes");
  ensureModules("tests/runtimes/types");
  await script("tests/runtimes/types-run.mjs", { minutes: 30 })(tally);
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
  await script("tests/faults/run.mjs", { minutes: 15 }, [SHORT_FAULTS])(tally);
}

async function examples(tally) {
  ensureModules("tests/runtimes");
  await script("tests/examples/run.mjs", { minutes: 10 })(tally);
}

async function demo(tally) {
  ensureModules("tests/demo");
  await script("tests/demo/run.mjs", { minutes: 10 })(tally);
}

async function site(tally) {
  await script("tests/site.mjs", { minutes: 20 })(tally);
  await script("tests/examples/run.mjs", { minutes: 30 }, ["--heavy"])(tally);
}

function reproducible(tally) {
  return script("tests/reproducible.mjs", { minutes: 20 })(tally);
}

/** The soaks and long rounds of `npm run test:full`; one round with `--rounds=1`. */
async function long(tally, rounds) {
  ensureModules("tests/runtimes");
  await script("tests/memory/run.mjs", { minutes: 15 })(tally);
  for (let round = 1; round <= rounds; round++) {
    console.log(`  round ${round} of ${rounds}`);
    await script("tests/faults/run.mjs", { minutes: 30 }, [LONG_FAULTS])(tally);
    await script("tests/faults/run.mjs", { minutes: 90 }, [LEADERS])(tally);
  }
}

async function interop(tally) {
  ensureModules("tests/interop");
  // The events-protocol server runs in workerd.
  ensureModules("tests/runtimes");
  await script("tests/interop/run.mjs", { minutes: 12 })(tally);
}

/** A test program of the project, which ends with the same line as `npm test`. */
function script(file, options, args = []) {
  return (tally) => counts(tally, file, readTally, node, [file, ...args], options);
}

/** Runs a program as one check. */
function succeeds(tally, name, program, args, options) {
  return tally.check(name, async () => {
    const { problem } = await runChild(program, args, options);
    if (problem) throw new Error(problem);
  });
}

/** Runs a program that prints its own results. `cases` are the systems whose cases it must run. */
async function counts(tally, name, read, program, args, { cases = [], ...options } = {}) {
  const { problem, output } = await runChild(program, args, options);
  const results = read(output);
  if (results) tally.add(results);
  tally.addCases(output, problem ? [] : cases);
  // The program may also fail to compile, crash, or time out.
  if (problem && !results?.failed) tally.fail(name, problem);
  else if (!problem && !(results?.passed + results?.skipped > 0)) tally.fail(name, "it ran no tests");
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
