// Writes the results of the workloads into a page of the documentation, between two marks.
import { readFileSync, writeFileSync } from "node:fs";

const START = "<!-- workloads -->\n";
const END = "<!-- /workloads -->";
const NAMES = { node: "Node", bun: "Bun", deno: "Deno", chromium: "Chromium", firefox: "Firefox" };

/** Replaces the table of the page by one of these results. @throws if the page has no place for it */
export function writeTable(file, results) {
  const page = readFileSync(file, "utf8");
  const [from, to] = [page.indexOf(START), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${file} has no ${START.trim()} … ${END}`);
  writeFileSync(file, page.slice(0, from) + START + markdownTable(results) + page.slice(to));
}

/** A row for each workload, a column for each runtime: `× npm cloudevents / × the plain way`, each with its spread. */
export function markdownTable(results) {
  const runtimes = Object.keys(results);
  const titles = [...new Set(runtimes.flatMap((runtime) => results[runtime].map(({ title }) => title)))];
  const cell = (runtime, title) => {
    const found = results[runtime].find((table) => table.title === title);
    if (!found) return "–";
    const [, , ours] = found.rows;
    return `${figure(ours.overSdk)} / ${figure(ours.overPlain)}`;
  };
  const rows = [
    ["", ...runtimes.map((runtime) => NAMES[runtime] ?? runtime)],
    ["---", ...runtimes.map(() => "---")],
    ...titles.map((title) => [title, ...runtimes.map((runtime) => cell(runtime, title))]),
  ];
  return rows.map((row) => `| ${row.join(" | ")} |\n`.replace("|  |", "| |")).join("");
}

function figure({ median, spread }) {
  return `${median < 10 ? Number(median.toFixed(2)) : Number(median.toFixed(1))} ±${spread.toFixed(0)} %`;
}
