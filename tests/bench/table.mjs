// Prints the results as tables.

/** The goals: how many times as fast as the SDK and as the plain way. A missed goal is not a failure. */
const TARGETS = {
  "decode text, data 100 B": {
    node: { sdk: 50, plain: 1.5 },
    chromium: { sdk: 15, plain: 1 },
    firefox: { sdk: 15, plain: 1 },
  },
  "decode text, data 1 KB": { node: { plain: 4 } },
  "decode Headers, never read before": { node: { sdk: 30 } },
  "decode Headers, read before": { node: { sdk: 30 } },
  "encode structured, data 100 B": { node: { sdk: 3.5 } },
  "decode text and one value by its pointer, data 100 B": {
    node: { plain: 1.5 },
    chromium: { plain: 1 },
    firefox: { plain: 1 },
  },
  "decode text and one value by its pointer, data 10 KB": {
    node: { plain: 5 },
    chromium: { plain: 2 },
    firefox: { plain: 2 },
  },
  ...batchTargets("by a Filter", { node: { sdk: 18, plain: 8 } }),
  ...batchTargets("by a Filter, structure only", { node: { sdk: 40, plain: 18 } }),
  "validate 1000 lines, one of ten invalid, data 100 B": { node: { sdk: 60 } },
  "100,000 small events into bodies of 500 KB": { node: { plain: 4 } },
};

/** Filters of batches have the same goals for both sizes of data, and in both browsers. */
function batchTargets(how, { node }) {
  const browser = { sdk: 10, plain: 3 };
  const targets = { node, chromium: browser, firefox: browser };
  return Object.fromEntries(["300 B", "1 KB"].map((size) => [`filter a batch of 1000 ${how}, data ${size}`, targets]));
}

/** Prints a table for each workload, with a line for each runtime. */
export function printTables(results) {
  const titles = [...new Set(Object.values(results).flatMap((tables) => tables.map(({ title }) => title)))];
  for (const title of titles) {
    const found = Object.entries(results).flatMap(([runtime, tables]) =>
      tables.filter((table) => table.title === title).map((table) => ({ runtime, ...table })),
    );
    const {
      unit,
      rows: [, plain],
    } = found[0];
    console.log(`\n\x1b[1m${title}\x1b[0m`);
    console.log(line("", "× cloudevents", `× ${plain.name}`, `${unit === "event" ? "an" : "a"} ${unit} takes`));
    for (const {
      runtime,
      rows: [, , ours],
    } of found) {
      const target = TARGETS[title]?.[runtime] ?? {};
      console.log(
        line(
          runtime,
          ratio(ours.overSdk, target.sdk),
          ratio(ours.overPlain, target.plain),
          duration(ours.nanoseconds.median),
        ),
      );
    }
  }
}

/** Prints the time that loading the library and the first use add to the start of a process. */
export function printColdStarts(starts) {
  if (Object.keys(starts).length === 0) return;
  console.log(
    "\n\x1b[1mcold start: milliseconds until the first event is decoded or a client made, beyond an empty script\x1b[0m",
  );
  for (const [runtime, { empty, rows }] of Object.entries(starts)) {
    const all = [...rows, { name: "empty script", added: empty }];
    if (runtime === Object.keys(starts)[0]) console.log(line("", ...all.map(({ name }) => name)));
    console.log(line(runtime, ...all.map(({ added }) => added.median.toFixed(1))));
  }
}

const line = (first, ...cells) => `  ${first.padEnd(10)}${cells.map((cell) => pad(cell, 17)).join("")}`;

export function pad(cell, width) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence of the terminal
  return " ".repeat(Math.max(0, width - cell.replace(/\x1b\[\d+m/g, "").length)) + cell;
}

export function ratio({ median, spread }, target) {
  if (Number.isNaN(median)) return `–${" ".repeat(7)}`;
  const text = `${median < 10 ? median.toFixed(2) : median.toFixed(1)} ±${spread.toFixed(0)}%`;
  if (target === undefined) return `${text}${" ".repeat(7)}`;
  const met = median >= target;
  return `${text} ${met ? "\x1b[32m✓" : "\x1b[33m✗"}\x1b[0m${`≥${target}`.padEnd(5)}`;
}

export function duration(nanoseconds) {
  if (nanoseconds < 10_000) return `${nanoseconds.toFixed(0)} ns`;
  return nanoseconds < 1e6 ? `${(nanoseconds / 1000).toFixed(1)} µs` : `${(nanoseconds / 1e6).toFixed(2)} ms`;
}
