// Prints the results of the streaming client as tables.
import { duration, pad, ratio } from "../table.mjs";

/** The goals: how many times as fast as CometD's client, without a network. */
const TARGETS = { head: 3, data: 1 };

export function printBayeux(tables) {
  if (tables.length > 0)
    console.log("\nThe streaming client, in Node: medians of interleaved rounds, ± interquartile range.");
  for (const { title, wire, reading, polls, rows } of tables) {
    console.log(`\n\x1b[1m${title}\x1b[0m\n  how many times as many answers each takes in a second of CPU as`);
    console.log(line("", "× CometD", "× floor", "an answer takes", "wall", "peak RSS"));
    for (const { key, name, overCometd, overFloor, cpu, wall, peak } of rows) {
      const target = key === "eventferry" && wire === "in memory" ? TARGETS[reading] : undefined;
      const each = ({ median }) => duration((median / polls) * 1e9);
      console.log(
        line(name, ratio(overCometd, target), ratio(overFloor), each(cpu), each(wall), `${peak.median.toFixed(0)} MiB`),
      );
    }
  }
}

const WIDTHS = [32, 24, 24, 17, 12, 11];
const line = (...cells) =>
  `  ${cells.map((cell, at) => (at === 0 ? cell.padEnd(WIDTHS[0]) : pad(cell, WIDTHS[at]))).join("")}`;
