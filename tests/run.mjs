// `npm test`: runs all tests of the project. Installs what they need, prints the progress, and ends with the line
// `N passed, N failed`.
//
//   npm test                       all stages
//   npm test -- --only=js,native   some stages, and the stages they need
//   npm run test:full              all stages, with the soaks and long rounds
//
// A missing browser or other tool is a failure with CI=true, and a skipped test otherwise.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readArguments } from "../js/cli/arguments.mjs";
import { fail } from "../js/build/tools.mjs";
import { STAGES } from "./stages.mjs";
import { Skip, Tally } from "./tally.mjs";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const {
  only,
  full,
  rounds = "5",
} = readArguments({
  command: "npm test --",
  summary: "Runs the tests of the project, stage by stage, and counts them.",
  flags: {
    only: {
      value: "<stages>",
      description: `run only these stages, separated by commas, and those they need: ${STAGES.map(({ name }) => name).join(", ")}`,
    },
    full: { description: "run the soaks and long rounds too (npm run test:full)" },
    rounds: { value: "<count>", description: "how many long rounds; 5 if it is left out" },
  },
});
if (!/^[1-9]\d*$/.test(rounds)) fail(`--rounds must be a positive integer; received ${JSON.stringify(rounds)}`);
const stages = selectStages(only);
const tally = new Tally();
const failedStages = new Set();
for (const [at, stage] of stages.entries()) {
  console.log(`\n\x1b[1m[${at + 1}/${stages.length}] ${stage.name}: ${stage.description}\x1b[0m`);
  const before = tally.failed;
  const start = performance.now();
  await runStage(stage);
  if (tally.failed > before) failedStages.add(stage.name);
  console.log(`  ${Math.round((performance.now() - start) / 1000)} s; so far: ${tally}`);
}
if (failedStages.size > 0) console.log(`\nFailed stages: ${[...failedStages].join(", ")}`);
if (tally.cases.size > 0)
  console.log(`\ncases: ${[...tally.cases].map(([system, count]) => `${system} ${count}`).join(", ")}`);
console.log();
tally.finish();

async function runStage({ name, needs, run }) {
  const failedNeed = needs.find((need) => failedStages.has(need));
  if (failedNeed) {
    // A stage that could not run counts as failed for the stages that need it.
    failedStages.add(name);
    return tally.skip(name, `the stage ${failedNeed}, which it needs, failed`);
  }
  try {
    await run(tally, Number(rounds));
  } catch (error) {
    if (error instanceof Skip) tally.skip(name, error.message);
    else tally.fail(name, error?.message ?? error);
  }
}

/** The named stages with those they need, in order. */
function selectStages(names) {
  if (names === undefined) return STAGES.filter(({ isLong }) => full || !isLong);
  const selected = new Set();
  const select = (name) => {
    const stage = STAGES.find((stage) => stage.name === name);
    if (!stage)
      fail(`unknown stage ${JSON.stringify(name)}; the stages are ${STAGES.map(({ name }) => name).join(", ")}`);
    stage.needs.forEach(select);
    selected.add(name);
  };
  names.split(",").forEach(select);
  return STAGES.filter(({ name }) => selected.has(name));
}
