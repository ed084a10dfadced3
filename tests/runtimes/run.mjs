// Runs the packed package in every supported runtime, bundler and browser. With `--write`, writes their table in
// www/docs/compatibility.md.
import { Tally } from "../tally.mjs";
import { writeTable } from "./compatibility.mjs";
import { edges } from "./edges.mjs";
import { installPackage } from "./install.mjs";
import { packageChecks } from "./package-checks.mjs";
import { pages } from "./pages.mjs";
import { programs } from "./programs.mjs";
import { proxies } from "./proxies.mjs";
import { firstSteps } from "./readme.mjs";
import { lightTypes } from "./types.mjs";
import { recipes } from "./recipes.mjs";
import { servers } from "./servers.mjs";

const tally = new Tally();
let installed;
await tally.check("the package can be packed and installed into an empty folder", async () => {
  installed = await installPackage();
});
if (installed) {
  for (const part of [packageChecks, lightTypes, firstSteps, programs, servers, recipes, edges, proxies, pages])
    await part(installed, tally);
}
if (process.argv.includes("--write")) writeTable("runtimes", tally);
tally.finish();
