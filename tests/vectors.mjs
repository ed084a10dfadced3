// The case files of the project, and what every runner of them shares.
import { readFileSync } from "node:fs";

/** Where a case file is. A browser is served it from there. */
export const vectorPath = (name) => new URL(`vectors/${name}.json`, import.meta.url);

/** The cases of a file. Throws if it is not there or has none. */
export function readCases(name) {
  const { cases } = JSON.parse(readFileSync(vectorPath(name), "utf8"));
  if (!(cases?.length > 0)) throw new Error(`tests/vectors/${name}.json has no cases`);
  return cases;
}

/** The line by which `tests/run.mjs` knows how many cases of a system have passed. */
export const countLine = (system, count) => `${system}: ${count} cases passed`;
