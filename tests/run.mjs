// `npm test`: everything that can be tested on this machine. Installs what it needs, says how far it is, and ends with one line
// that counts: `N passed, N failed`.
//
//   npm test                       all of it
//   npm test -- --only=js,native   some stages, and those they need
//
// With CI=true a browser that is missing is a failure; otherwise it is a skip.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fail } from "../js/build/tools.mjs";
import { STAGES } from "./stages.mjs";
import { Skip, Tally } from "./tally.mjs";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const stages = chosen(parseArgs({ options: { only: { type: "string" } } }).values.only);
const tally = new Tally();
const broken = new Set();
for (const [at, stage] of stages.entries()) {
  console.log(`\n\x1b[1m[${at + 1}/${stages.length}] ${stage.name}: ${stage.what}\x1b[0m`);
  const before = tally.failed;
  const start = performance.now();
  await attempt(stage);
  if (tally.failed > before) broken.add(stage.name);
  console.log(`  ${Math.round((performance.now() - start) / 1000)} s; until now: ${tally}`);
}
if (broken.size > 0) console.log(`\nNot all is well in: ${[...broken].join(", ")}`);
if (tally.cases.size > 0)
  console.log(`\ncases: ${[...tally.cases].map(([system, count]) => `${system} ${count}`).join(", ")}`);
console.log();
tally.finish();

async function attempt({ name, needs, run }) {
  const lacking = needs.find((need) => broken.has(need));
  if (lacking) {
    // What could not run may not look as if it had.
    broken.add(name);
    return tally.skip(name, `it needs ${lacking}, which failed`);
  }
  try {
    await run(tally);
  } catch (error) {
    if (error instanceof Skip) tally.skip(name, error.message);
    else tally.fail(name, error?.message ?? error);
  }
}

function chosen(only) {
  if (only === undefined) return STAGES;
  const wanted = new Set();
  const want = (name) => {
    const stage = STAGES.find((stage) => stage.name === name);
    if (!stage)
      fail(`there is no stage ${JSON.stringify(name)}; there are ${STAGES.map(({ name }) => name).join(", ")}`);
    stage.needs.forEach(want);
    wanted.add(name);
  };
  only.split(",").forEach(want);
  return STAGES.filter(({ name }) => wanted.has(name));
}
