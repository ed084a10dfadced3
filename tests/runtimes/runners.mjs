// The packed package in the test runners that applications use. Each project in `projects` is installed from its lock file.
// Writes the table of www/docs/test-runners.md.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "../child.mjs";
import { Tally } from "../tally.mjs";
import { installPackage } from "./install.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const PAGE = join(here, "../../www/docs/test-runners.md");
const JEST = "npx jest --env jsdom --runInBand --testPathIgnorePatterns node_modules --testRegex";
const MODULES = { NODE_OPTIONS: "--experimental-vm-modules" };

/** Each runner: its project, its package, how it is used, and the command. */
const RUNNERS = [
  ["jest", "jest", "jsdom, CommonJS", `${JEST} 'commonjs.test.cjs$'`, {}],
  ["jest", "jest", "jsdom, ES modules", `${JEST} 'module.test.mjs$'`, MODULES],
];

const tally = new Tally();
const { folder, tarball } = await installPackage();
const installed = new Set();
const rows = [];
for (const [project, name, use, command, env] of RUNNERS) {
  const place = join(folder, project);
  let result = "fails";
  await tally.check(`${name}, ${use}`, async () => {
    if (!installed.has(project)) await install(project, place);
    await shell(command, place, env);
    result = "passes";
  });
  rows.push(`| ${name} | ${versionOf(project, name)} | ${use} | ${result} |`);
}
if (tally.failed === 0) writeTable(rows);
tally.finish();

async function install(project, place) {
  cpSync(join(here, "projects", project), place, { recursive: true });
  await shell("npm ci --no-audit --no-fund --prefer-offline", place);
  await shell(`npm install --no-save --no-audit --no-fund --prefer-offline ${tarball}`, place);
  installed.add(project);
}

async function shell(command, cwd, env = {}) {
  const options = { cwd, env: { ...process.env, ...env }, minutes: 5, show: false };
  const { ok, output, problem } = await runChild("/bin/sh", ["-c", command], options);
  if (!ok) throw new Error(`${command}: ${problem}\n${output}`);
}

function versionOf(project, name) {
  return JSON.parse(readFileSync(join(here, "projects", project, "package.json"), "utf8")).dependencies[name];
}

function writeTable(rows) {
  const page = readFileSync(PAGE, "utf8");
  const table = ["| runner | version | environment | result |", "|---|---|---|---|", ...rows].join("\n");
  writeFileSync(
    PAGE,
    page.replace(/\| runner \|[^]*?\n\n/, () => `${table}\n\n`),
  );
}
