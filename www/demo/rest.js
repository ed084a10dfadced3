// What the page loads once the first event is on the screen: the programs, the batch lab and the table of sizes.
import { startLab } from "./lab.js";
import { startPrograms } from "./programs.js";
import { loadAll } from "./runner.js";
import { showSizes } from "./sizes.js";

/** Starts it. Resolves when all that programs may import is loaded too, so that it is there without a network. */
export async function startRest() {
  startPrograms();
  startLab();
  const sizes = showSizes(document.getElementById("sizes"));
  await Promise.allSettled([loadAll(), sizes]);
}
