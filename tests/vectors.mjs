// Access to the case files in tests/vectors, for all their runners.
import { readFileSync } from "node:fs";

/** The URL of a case file. Browsers are served from there. */
export const vectorPath = (name) => new URL(`vectors/${name}.json`, import.meta.url);

/** The cases of a file. Throws if the file is missing or has no cases. */
export function readCases(name) {
  const { cases } = JSON.parse(readFileSync(vectorPath(name), "utf8"));
  if (!(cases?.length > 0)) throw new Error(`tests/vectors/${name}.json has no cases`);
  return cases;
}

/** The line from which `tests/run.mjs` reads the number of passed cases of a system. */
export const countLine = (system, count) => `${system}: ${count} cases passed`;
