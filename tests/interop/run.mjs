// Others' clients against our emulator, our clients against others' servers: one file for each system.
//
//   node tests/interop/run.mjs [cloudevents,glassflow]
import { readdirSync } from "node:fs";
import { runChild } from "../child.mjs";
import { Tally, readTally } from "../tally.mjs";

const folder = new URL(".", import.meta.url).pathname;
const wanted = process.argv[2]?.split(",");
const systems = readdirSync(folder)
  .filter((file) => file.endsWith(".mjs") && file !== "run.mjs")
  .map((file) => file.slice(0, -4))
  .filter((system) => !wanted || wanted.includes(system));

const tally = new Tally();
for (const system of systems) {
  console.log(system);
  const { problem, output } = await runChild(process.execPath, [`${folder}${system}.mjs`], { minutes: 5 });
  const results = readTally(output);
  if (results) tally.add(results);
  if (problem && !results?.failed) tally.fail(system, problem);
}
tally.finish();
