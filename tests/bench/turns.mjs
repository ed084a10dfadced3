// Runs contenders in processes of their own, interleaved.
import { spawnSync } from "node:child_process";
import { quartiles } from "./measure.mjs";

/** The time limit of one process. */
const TIMEOUT_MS = 120_000;

/** Runs all contenders in each round, in alternating order. A contender that fails is left out of later rounds. */
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

/** Runs a script and returns the last line of its output, or the reason why it failed. */
export function inChild(script, options, flags = []) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...flags, script, JSON.stringify(options)], {
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
  if (status !== 0)
    return {
      problem: signal
        ? `${script} did not end within ${TIMEOUT_MS / 1000} s`
        : `${script} ended with ${status}: ${stderr}`,
    };
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

export const quartilesOf = (runs, keys) =>
  Object.fromEntries(keys.map((key) => [key, quartiles(runs.map((run) => run[key]))]));
