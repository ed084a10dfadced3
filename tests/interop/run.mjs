// Interoperability: original clients against the emulator, and the clients of eventferry against original servers. One file
// for each system.
//
//   node tests/interop/run.mjs [cloudevents,glassflow]
import { readdirSync } from "node:fs";
import { runChild } from "../child.mjs";
import { readTally, Tally } from "../tally.mjs";

const folder = new URL(".", import.meta.url).pathname;
const known = readdirSync(folder)
  .filter((file) => file.endsWith(".mjs") && file !== "run.mjs")
  .map((file) => file.slice(0, -".mjs".length));
const systems = process.argv[2]?.split(",") ?? known;
const unknown = systems.find((system) => !known.includes(system));
if (unknown !== undefined) {
  console.error(`unknown system ${JSON.stringify(unknown)}; the systems are ${known.join(", ")}`);
  process.exit(1);
}

const tally = new Tally();
for (const system of systems) {
  console.log(system);
  const { problem, output } = await runChild(process.execPath, [`${folder}${system}.mjs`], { minutes: 5 });
  const results = readTally(output);
  if (results) tally.add(results);
  if (problem && !results?.failed) tally.fail(system, problem);
  else if (!results) tally.fail(system, "it printed no results");
}
tally.finish();
