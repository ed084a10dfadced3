// Rivals that cannot share a process: each runs in one of its own, all in turns.
import { spawnSync } from "node:child_process";
import { quartiles } from "./measure.mjs";

/** Longest for one process. */
const PATIENCE = 120_000;

/** Runs them all again and again, forth and back. Who has a problem is left out from then on. */
export async function inTurns(all, rounds, run, note) {
  let rows = all.map((row) => ({ ...row, runs: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const row of round % 2 ? [...rows].reverse() : rows) {
      const { problem, ...figures } = await run(row);
      if (problem === undefined) {
        row.runs.push(figures);
        continue;
      }
      rows = rows.filter((other) => other !== row);
      note(`\x1b[31m✗\x1b[0m ${row.name}: ${problem}`);
      process.exitCode = 1;
    }
  }
  return rows;
}

/** Its last line, or what its problem was. */
export function inChild(script, options, flags = []) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...flags, script, JSON.stringify(options)], {
    encoding: "utf8",
    timeout: PATIENCE,
  });
  if (status !== 0)
    return {
      problem: signal
        ? `${script} did not end within ${PATIENCE / 1000} s`
        : `${script} ended with ${status}: ${stderr}`,
    };
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

export const quartilesOf = (runs, keys) =>
  Object.fromEntries(keys.map((key) => [key, quartiles(runs.map((run) => run[key]))]));
