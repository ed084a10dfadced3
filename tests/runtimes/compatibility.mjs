// The tables of www/docs/compatibility.md: what the packed package runs in. Each is written by the test program that runs its
// rows, with `--write`; `tests/js/compatibility.test.mjs` compares the versions with the lock files.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROJECTS } from "./projects.mjs";
import { COMPILERS, describeTypes } from "./types.mjs";

const here = dirname(fileURLToPath(import.meta.url));
export const PAGE = join(here, "../../www/docs/compatibility.md");

/** The versions of what no lock file has, by name, as the test program meets them. */
export const foundVersions = new Map([["Node", process.versions.node]]);

const pinned = (name, use, packageName, folder = ".") => ({ name, use, version: lockedVersion(folder, packageName) });
const pages = "pages without a bundler and from each bundler, module worker, Content-Security-Policy";

/** The rows of each test program, in order. A row without `version` is of a program that the system has. */
export const TABLES = {
  runtimes: [
    { name: "Node", use: "`import`, `require`, CommonJS build, every entry point" },
    pinned("Deno", "`import`, without permissions", "deno"),
    pinned("Bun", "`import`, `require`", "bun"),
    pinned("workerd", "Cloudflare Workers, clients at module scope", "workerd"),
    pinned("Vercel edge", "`@edge-runtime/vm`, no compilation from bytes", "@edge-runtime/vm"),
    { name: "Chromium", use: pages },
    { name: "Firefox", use: pages },
    { name: "WebKit", use: pages },
    pinned("Vite", "development server and build, `eventferry/slim`", "vite"),
    pinned("webpack", "default configuration, `eventferry/slim`", "webpack"),
    pinned("esbuild", "minified, module worker", "esbuild"),
    pinned("Express 5", "`eventferry/node`", "express", "servers"),
    pinned("Express 4", "`eventferry/node`", "express4", "servers"),
    pinned("Fastify", "`eventferry/node`", "fastify", "servers"),
    pinned("Hono", "web hooks", "hono", "servers"),
  ],
  runners: PROJECTS.map(({ name, use, package: packageName, folder }) => ({
    ...pinned(name, use, packageName, `projects/${folder}`),
    folder,
  })),
  types: [
    ...Object.keys(COMPILERS)
      .sort((a, b) => a - b)
      .map((compiler) => pinned("TypeScript", describeTypes(compiler), `typescript-${compiler}`, "types")),
    pinned("Deno", "`deno check --all`", "deno"),
  ],
};

/**
 * Writes a table, if all checks of its program passed.
 *
 * @param wasRun which rows the program has run. The others stay as they are.
 */
export function writeTable(stage, tally, wasRun = () => true) {
  if (tally.failed > 0 || tally.skipped > 0) {
    console.log("the table is not written, because not every check passed");
    return;
  }
  const before = readTable(stage);
  const rows = TABLES[stage]
    .map((row) =>
      wasRun(row)
        ? { ...row, version: row.version ?? foundVersions.get(row.name), result: "passes" }
        : before.find(({ name, use }) => name === row.name && use === row.use),
    )
    .filter(Boolean)
    .map(({ name, version, use, result }) => `| ${name} | ${version} | ${use} | ${result} |`);
  const table = ["| name | version | what is run | result |", "|---|---|---|---|", ...rows].join("\n");
  const page = readFileSync(PAGE, "utf8");
  writeFileSync(
    PAGE,
    page.replace(tablePattern(stage), (_, start) => `${start}${table}\n`),
  );
}

/** The rows of a table in the documentation. */
export function readTable(stage) {
  const [, , table = ""] = tablePattern(stage).exec(readFileSync(PAGE, "utf8")) ?? [];
  return table
    .split("\n")
    .slice(2)
    .filter(Boolean)
    .map((line) => {
      const [name, version, use, result] = line.slice(2, -2).split(" | ");
      return { name, version, use, result };
    });
}

const HEADINGS = {
  runtimes: "Runtimes, browsers, bundlers and servers",
  runners: "Frameworks and test runners",
  types: "TypeScript",
};

/** A heading and what follows it, and the table. */
function tablePattern(stage) {
  return new RegExp(`(## ${HEADINGS[stage]}\n\n(?:[^|#\n].*\n+)*)((?:\\|.*\n)*)`);
}

function lockedVersion(folder, packageName) {
  const lock = JSON.parse(readFileSync(join(here, folder, "package-lock.json"), "utf8"));
  return lock.packages[`node_modules/${packageName}`].version;
}
