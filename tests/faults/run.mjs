// Real faults against the built package: every accepted event is delivered in spite of kills, outages and full storage.
//
//   node tests/faults/run.mjs                 all groups
//   node tests/faults/run.mjs kills,outages   some groups
import { Tally } from "../tally.mjs";
import { bitFlips } from "./bit-flips.mjs";
import { browserKills } from "./browser-kills.mjs";
import { browserLostFiles } from "./browser-lost-files.mjs";
import { browserStorage } from "./browser-storage.mjs";
import { denoKills } from "./deno-kills.mjs";
import { floods } from "./floods.mjs";
import { leaders, leadersReal, leadersShort } from "./leaders.mjs";
import { outages } from "./outages.mjs";
import { pageEndings, pageEndingsShort, randomExits } from "./page-endings.mjs";
import { pageExits } from "./page-exits.mjs";
import { pageViews } from "./page-views.mjs";
import { pipelines } from "./pipelines.mjs";
import { kills } from "./process-kills.mjs";
import { processes } from "./processes.mjs";
import { replay } from "./replay.mjs";
import { soak } from "./soak.mjs";
import { storage } from "./storage.mjs";
import { tabs } from "./tabs.mjs";
import { workers } from "./workers.mjs";

const GROUPS = {
  kills,
  outages,
  floods,
  storage,
  browserStorage,
  replay,
  soak,
  workers,
  browserKills,
  denoKills,
  processes,
  tabs,
  leadersShort,
  leaders,
  leadersReal,
  pageExits,
  pageEndingsShort,
  pageEndings,
  randomExits,
  pageViews,
  pipelines,
  bitFlips,
  browserLostFiles,
};

const names = process.argv[2]?.split(",") ?? Object.keys(GROUPS);
const unknown = names.find((name) => !Object.hasOwn(GROUPS, name));
if (unknown !== undefined) {
  console.error(`unknown group ${JSON.stringify(unknown)}; the groups are ${Object.keys(GROUPS).join(", ")}`);
  process.exit(1);
}
const tally = new Tally();
for (const name of names) {
  const start = performance.now();
  await GROUPS[name](tally);
  console.log(`  ${name}: ${Math.round((performance.now() - start) / 1000)} s`);
}
tally.finish();
