// Prints the results of the outbox as tables.
import { duration, pad, ratio } from "../table.mjs";

/** The goals, as in the other tables. */
const TARGETS = { memory: { floor: 0.75 } };

export function printOutbox({ delivery, publish, memory }) {
  if (delivery || publish || memory)
    console.log("\nThe outbox, in Node: medians of interleaved rounds, ± interquartile range.");
  if (delivery) {
    heading(delivery.title, "how many times as many events each delivers in a second of CPU as");
    console.log(line("", "× OpenTelemetry", "× floor", "an event takes", "wall", "peak RSS", "sent", "lost"));
    for (const { key, name, overOpenTelemetry, overFloor, cpu, wall, peak, bytes, lost, repeated } of delivery.rows) {
      const figures = [
        ratio(overOpenTelemetry),
        ratio(overFloor, TARGETS[key]?.floor),
        duration((cpu.median / delivery.events) * 1e9),
        `${wall.median.toFixed(2)} s`,
        mebibytes(peak.median),
        mebibytes(bytes.median / 2 ** 20),
        lost > 0 ? `\x1b[31m${lost}\x1b[0m` : "0",
      ];
      console.log(line(name, ...figures) + (repeated > 0 ? `  \x1b[31m${repeated} delivered twice\x1b[0m` : ""));
    }
  }
  if (publish) {
    const [event, init, ours] = publish.rows;
    heading(publish.title, "how many times as fast as");
    console.log(line("", `× ${event.name}`, `× ${init.name}`, "an event takes"));
    console.log(line(ours.name, ratio(ours.overSdk), ratio(ours.overPlain), duration(ours.nanoseconds.median)));
  }
  if (memory) {
    heading(memory.title, "growth, how many times as much as an array of the same texts");
    console.log(line("", "kept, × texts", "peak RSS, × texts", "kept", "peak RSS"));
    for (const { name, keptOverStrings, peakOverStrings, kept, peak } of memory.rows) {
      console.log(
        line(name, ratio(keptOverStrings), ratio(peakOverStrings), mebibytes(kept.median), mebibytes(peak.median)),
      );
    }
  }
}

function heading(title, what) {
  console.log(`\n\x1b[1m${title}\x1b[0m\n  ${what}`);
}

const WIDTHS = [30, 27, 27, 16, 10, 11, 11, 8];
const line = (...cells) =>
  `  ${cells.map((cell, at) => (at === 0 ? cell.padEnd(WIDTHS[0]) : pad(cell, WIDTHS[at]))).join("")}`;
const mebibytes = (value) => `${value < 100 ? value.toFixed(1) : value.toFixed(0)} MiB`;
