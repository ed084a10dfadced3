// All steps.
import { decodeSteps, encodeSteps, publishSteps } from "./events.mjs";
import { pollSteps } from "./poll.mjs";
import { totalChecksum } from "./time.mjs";

/** Measures the steps of all workloads. `url` answers with the response of a poll. */
export async function stepSuite({ quick = false, filter = "", url }) {
  const suites = [
    ["decode", decodeSteps],
    ["encode", encodeSteps],
    ["publish", publishSteps],
    ["poll", pollSteps],
  ];
  const tables = [];
  for (const [name, steps] of suites) {
    if (!name.includes(filter)) continue;
    await new Promise((resolve) => setTimeout(resolve, 20));
    tables.push(await steps(quick, url));
  }
  if (!Number.isFinite(totalChecksum())) throw new Error("the checksum is not a number");
  return tables;
}
