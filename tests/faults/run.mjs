// Real faults against the built package: what was accepted is delivered, whatever is killed, cut off or full.
//
//   node tests/faults/run.mjs                 all of it
//   node tests/faults/run.mjs kills,outages   some of it
import { Tally } from "../tally.mjs";
import { crashes } from "./browser-kills.mjs";
import { floods } from "./floods.mjs";
import { kills } from "./process-kills.mjs";
import { leaving } from "./page-exits.mjs";
import { outages } from "./outages.mjs";
import { pipelines } from "./pipelines.mjs";
import { replay } from "./replay.mjs";
import { soak } from "./soak.mjs";
import { storage } from "./storage.mjs";
import { storagePages } from "./browser-storage.mjs";
import { tabs } from "./tabs.mjs";
import { workers } from "./workers.mjs";

const ALL = { kills, outages, floods, storage, storagePages, replay, soak, workers, crashes, tabs, leaving, pipelines };

const chosen = process.argv[2]?.split(",") ?? Object.keys(ALL);
const tally = new Tally();
for (const name of chosen) {
  const start = performance.now();
  await ALL[name](tally);
  console.log(`  ${name}: ${Math.round((performance.now() - start) / 1000)} s`);
}
tally.finish();
