// Tries the packed package wherever it is meant to load: one line for each runtime, bundler and browser.
import { Tally } from "../tally.mjs";
import { consumer } from "./consumer.mjs";
import { edges } from "./edges.mjs";
import { hygiene } from "./hygiene.mjs";
import { pages } from "./pages.mjs";
import { programs } from "./programs.mjs";
import { proxies } from "./proxies.mjs";

const tally = new Tally();
let installed;
await tally.check("the package packs, and installs into an empty folder", async () => {
  installed = await consumer();
});
if (installed) {
  for (const part of [hygiene, programs, edges, proxies, pages]) await part(installed, tally);
}
tally.finish();
