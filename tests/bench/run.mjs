// `npm run bench`: compares eventferry with npm `cloudevents` and with plain JSON in every installed runtime, its outbox
// with OpenTelemetry and Segment, and its streaming client with CometD's, both in Node. Also shows where the time of each
// operation goes.
//
// `npm run bench -- --help` explains the flags.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../../js/build/tools.mjs";
import { readArguments } from "../../js/cli/arguments.mjs";
import { bayeux } from "./bayeux/bayeux.mjs";
import { printBayeux } from "./bayeux/table.mjs";
import { coldStart, coldStartInBrowser } from "./cold.mjs";
import { writeTable } from "./markdown.mjs";
import { outbox } from "./outbox/outbox.mjs";
import { printOutbox } from "./outbox/table.mjs";
import { steps } from "./steps/steps.mjs";
import { printSteps } from "./steps/table.mjs";
import { printColdStarts, printTables } from "./table.mjs";

const here = import.meta.dirname;
process.chdir(join(here, "../.."));
const flags = readArguments({
  command: "npm run bench --",
  summary:
    "Compares eventferry with npm cloudevents and plain JSON in every installed runtime, and its outbox and streaming client with other clients in Node.",
  flags: {
    quick: { description: "few rounds, to check that the benchmarks run" },
    only: {
      value: "<runtimes>",
      description: "some of node, bun, deno, chromium, firefox, outbox, bayeux and steps, separated by commas",
    },
    filter: { value: "<text>", description: "only workloads with this text in their title" },
    json: { description: "print the results as JSON" },
    write: { description: "write the workloads into www/docs/performance.md; not with quick, only or filter" },
  },
});
const quick = flags.quick === true;
const asJson = flags.json === true;
const only = flags.only?.split(",");
const isWritten = flags.write === true;
const options = { quick, filter: flags.filter ?? "" };
/** Time limit of one runtime. */
const TIMEOUT_MS = quick ? 60_000 : 180_000;

const bin = (name) => join(here, "node_modules/.bin", name);
const COMMANDS = {
  node: [process.execPath],
  bun: [bin("bun"), "run"],
  deno: [bin("deno"), "run", "--allow-all", "--no-lock", "--quiet"],
};
const RUNTIMES = [...Object.keys(COMMANDS), "chromium", "firefox"];
const CHOICES = [...RUNTIMES, "outbox", "bayeux", "steps"];

for (const name of only ?? [])
  if (!CHOICES.includes(name)) fail(`unknown runtime ${JSON.stringify(name)}; the choices are ${CHOICES.join(", ")}`);
if (isWritten && (quick || only || flags.filter)) fail("--write needs all workloads in all runtimes, at full length");
if (!existsSync(join(here, "../../dist/entries/cloudevents.js"))) fail("there is no dist/; run `npm run build` first");
ensurePackages();
installPeers();
// Not at the top of the file: it imports a package that may have been installed only now.
const { isInstalled, runInBrowser } = await import("./browser.mjs");

const results = {};
const starts = {};
for (const name of RUNTIMES) {
  if (only && !only.includes(name)) continue;
  try {
    const tables = await inRuntime(name);
    if (tables) results[name] = tables;
    if (!tables || options.filter) continue;
    if (name === "node" || name === "bun") starts[name] = coldStart(COMMANDS[name], { quick });
    else if (!COMMANDS[name]) starts[name] = await coldStartInBrowser(name, { quick });
  } catch (error) {
    note(`\x1b[31m✗\x1b[0m ${name}: ${error.message}`);
    process.exitCode = 1;
  }
}
let ofOutbox = {};
if (!only || only.includes("outbox")) {
  note(`\x1b[36m▸\x1b[0m measuring the outbox`);
  try {
    ofOutbox = await outbox({ ...options, note });
  } catch (error) {
    note(`\x1b[31m✗\x1b[0m outbox: ${error.message}`);
    process.exitCode = 1;
  }
}
let ofBayeux = [];
if (!only || only.includes("bayeux")) {
  note(`\x1b[36m▸\x1b[0m measuring the streaming client`);
  try {
    ofBayeux = await bayeux({ ...options, note });
  } catch (error) {
    note(`\x1b[31m✗\x1b[0m bayeux: ${error.message}`);
    process.exitCode = 1;
  }
}
let ofSteps = {};
if (!only || only.includes("steps")) {
  note(`\x1b[36m▸\x1b[0m measuring where the time goes`);
  try {
    ofSteps = await steps(options);
  } catch (error) {
    note(`\x1b[31m✗\x1b[0m steps: ${error.message}`);
    process.exitCode = 1;
  }
}
if (isWritten && process.exitCode === undefined) {
  writeTable(join(here, "../../www/docs/performance.md"), results);
  note("\x1b[36m▸\x1b[0m wrote www/docs/performance.md");
}
if (asJson) {
  console.log(JSON.stringify({ results, starts, outbox: ofOutbox, bayeux: ofBayeux, steps: ofSteps }, undefined, 2));
} else {
  if (Object.keys(results).length > 0) {
    console.log(
      `\nEach figure: how many times as fast eventferry is, median of interleaved rounds, ± interquartile range.`,
    );
  }
  printTables(results);
  printColdStarts(starts);
  printOutbox(ofOutbox);
  printBayeux(ofBayeux);
  printSteps(ofSteps);
}

async function inRuntime(name) {
  const command = COMMANDS[name];
  const missing = command ? spawnSync(command[0], ["--version"]).error : !isInstalled(name);
  if (missing) return note(`\x1b[33m∅\x1b[0m ${name} is not installed: skipped`);
  note(`\x1b[36m▸\x1b[0m measuring in ${name}`);
  if (!command) return runInBrowser(name, options, TIMEOUT_MS);
  const { status, signal, stdout, stderr } = spawnSync(
    command[0],
    [...command.slice(1), join(here, "main.mjs"), JSON.stringify(options)],
    {
      cwd: here,
      encoding: "utf8",
      timeout: TIMEOUT_MS,
      maxBuffer: 1 << 26,
    },
  );
  if (status !== 0) throw new Error(`ended with ${signal ?? status}: ${stderr}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

/** Installs the other libraries. They have their own lock file, because a build of the package does not need them. */
function installPeers() {
  const installed = join(here, "node_modules/.package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(here, "package-lock.json")).mtimeMs) return;
  note("\x1b[36m▸\x1b[0m installing the other libraries (once)");
  const { status, stdout, stderr } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], {
    cwd: here,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (status !== 0) fail(`npm ci in tests/bench failed:\n${stdout}${stderr}`);
}

function note(text) {
  console.error(text);
}

function fail(message) {
  note(`\x1b[31m✗\x1b[0m ${message}`);
  process.exit(1);
}
