// Runs the packed package in the frameworks, bundlers and test runners that applications use, see `projects.mjs`.
//
//   node tests/runtimes/runners.mjs           all of them
//   node tests/runtimes/runners.mjs parcel    the project of that folder
//   node tests/runtimes/runners.mjs --write   also writes the rows of what was run in www/docs/compatibility.md
import { cpSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openProject } from "../project.mjs";
import { Tally } from "../tally.mjs";
import { writeTable } from "./compatibility.mjs";
import { installPackage } from "./install.mjs";
import { PROJECTS } from "./projects.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const only = process.argv.slice(2).filter((name) => !name.startsWith("--"));
const folders = [...new Set(PROJECTS.map(({ folder }) => folder))].filter(
  (folder) => only.length === 0 || only.includes(folder),
);

const tally = new Tally();
const installation = await installPackage();
for (const folder of folders) {
  let project;
  await tally.check(`${folder} is installed`, async () => {
    project = await openProject(join(here, "projects", folder), installation);
    for (const file of ["projects/shared/report.mjs", "smoke.mjs", "apps/page.mjs", "apps/worker.mjs"])
      cpSync(join(here, file), join(project.place, file.split("/").at(-1)));
  });
  if (!project) continue;
  for (const { name, use, run } of PROJECTS.filter((project) => project.folder === folder))
    await tally.check(`${name}, ${use}`, () => run(project));
  await project.close();
  // The next one needs the space.
  rmSync(project.place, { recursive: true, force: true });
}
if (process.argv.includes("--write")) writeTable("runners", tally, ({ folder }) => folders.includes(folder));
tally.finish();
