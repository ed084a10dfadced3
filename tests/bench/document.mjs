// The figures that the documentation shows: `npm run bench -- --write` keeps them in results.json and writes the table of
// www/docs/performance.md from there. Runtimes that were not measured keep the figures of an earlier run.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const file = join(import.meta.dirname, "results.json");
const page = join(import.meta.dirname, "../../www/docs/performance.md");
const TABLE = /(<!-- workloads -->\n)[^]*?(<!-- \/workloads -->)/;
const NAMES = { node: "Node", bun: "Bun", deno: "Deno", chromium: "Chromium", firefox: "Firefox" };

/** The results that were kept: of each runtime its version and, by the title of a workload, two ratios with their spread. */
export const readResults = () => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {});

/** Keeps results. `versions` has the version of each runtime. */
export function writeResults(results, versions) {
  const kept = readResults();
  for (const [runtime, tables] of Object.entries(results)) {
    const workloads = { ...kept[runtime]?.workloads };
    for (const { title, rows } of tables) {
      const { overSdk, overPlain } = rows[2];
      workloads[title] = { overSdk: rounded(overSdk), overPlain: rounded(overPlain) };
    }
    kept[runtime] = { version: versions[runtime], workloads };
  }
  writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`);
  writeFileSync(page, withTable(readFileSync(page, "utf8"), kept));
}

/** A page with the table of the results. */
export function withTable(text, results) {
  if (!TABLE.test(text)) throw new Error("the page has no place for the table of the workloads");
  return text.replace(TABLE, (_, start, end) => `${start}${tableOf(results)}${end}`);
}

function tableOf(results) {
  const runtimes = Object.keys(NAMES).filter((runtime) => results[runtime]);
  const titles = [...new Set(runtimes.flatMap((runtime) => Object.keys(results[runtime].workloads)))];
  const row = (cells) => `| ${cells.join(" | ")} |\n`;
  const cell = (found) => (found ? `${shown(found.overSdk)} / ${shown(found.overPlain)}` : "–");
  return [
    row(["", ...runtimes.map((runtime) => `${NAMES[runtime]} ${results[runtime].version}`)]),
    `|${"---|".repeat(runtimes.length + 1)}\n`,
    ...titles.map((title) => row([title, ...runtimes.map((runtime) => cell(results[runtime].workloads[title]))])),
  ].join("");
}

function rounded({ median, spread }) {
  return { median: Number(median.toPrecision(3)), spread: Math.round(spread) };
}

const shown = ({ median, spread }) => `${median} ±${spread} %`;
