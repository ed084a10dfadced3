// Checks the contract of every store in every runtime that supports it, and the failures of each kind of storage.
import { fileURLToPath } from "node:url";
import { runChild } from "../child.mjs";
import { Tally } from "../tally.mjs";
import { browsers } from "./browsers.mjs";
import { durableObjects } from "./durable-objects.mjs";
import { fileChecks } from "./file-checks.mjs";

const bin = (name) => fileURLToPath(new URL(`../runtimes/node_modules/.bin/${name}`, import.meta.url));
const program = fileURLToPath(new URL("program.mjs", import.meta.url));

const PROGRAMS = [
  ["Node", process.execPath, [program]],
  ["Bun", bin("bun"), [program]],
  [
    "Deno",
    bin("deno"),
    ["run", "--quiet", "--no-prompt", "--unstable-kv", "--allow-read", "--allow-write", "--allow-env", program],
  ],
];

const tally = new Tally();
const addResults = (name, results) => {
  for (const { name: check, problem, remark } of results) {
    if (problem !== undefined) tally.fail(`${name}: ${check}`, problem);
    else if (remark) console.log(`  ${check}: ${remark}`);
  }
  const passed = results.filter(({ problem }) => problem === undefined).length;
  tally.add({ passed });
  console.log(`${passed === results.length ? "✓" : "✗"} ${name}: ${passed} of ${results.length}`);
};

for (const [name, ...command] of PROGRAMS) {
  await tally.check(`the stores load in ${name}`, async () => {
    const { ok, output, problem } = await runChild(...command, { minutes: 2, show: false });
    if (!ok) throw new Error(`${problem}\n${output}`);
    const report = JSON.parse(output.trim().split("\n").at(-1));
    for (const [store, results] of Object.entries(report)) addResults(`${name}, ${store}`, results);
  });
}
addResults("Node, file failures", await fileChecks());
await durableObjects(tally, addResults);
await browsers(tally, addResults);
tally.finish();
