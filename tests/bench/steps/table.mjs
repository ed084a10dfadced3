// Prints the steps as tables, with a column for each runtime.
import { duration, pad } from "../table.mjs";

export function printSteps(results) {
  const runtimes = Object.keys(results);
  const [first] = runtimes;
  if (first === undefined) return;
  console.log("\nWhere the time goes: medians of interleaved rounds, ± interquartile range.");
  for (const { title, rows } of results[first]) {
    console.log(`\n\x1b[1m${title}\x1b[0m`);
    console.log(line("", ...runtimes));
    for (const { name, isLimit } of rows)
      console.log(
        line(isLimit ? `limit: ${name}` : name, ...runtimes.map((runtime) => cell(results, runtime, title, name))),
      );
  }
}

function cell(results, runtime, title, name) {
  const table = results[runtime].find((table) => table.title === title);
  const { median, spread } = table.rows.find((row) => row.name === name).nanoseconds;
  return `${duration(median)} ±${Math.abs(spread).toFixed(0)}%`;
}

const line = (first, ...cells) => `  ${first.padEnd(66)}${cells.map((cell) => pad(cell, 18)).join("")}`;
