// Node, Deno and Bun. Each prints the report of the smoke script as its last line.
import { fileURLToPath } from "node:url";
import { runChild } from "../child.mjs";

const bin = (name) => fileURLToPath(new URL(`node_modules/.bin/${name}`, import.meta.url));

/** Disables require of ES modules, so that Node reads the CommonJS build as older versions and Jest do. */
const WITHOUT_REQUIRE_OF_MODULES = ["--no-experimental-require-module"];

/** Without permissions, and without prompts for them. */
const DENO = ["run", "--quiet", "--no-prompt"];

const PROGRAMS = [
  ["Node, import", process.execPath, ["main.mjs"]],
  ["Node, import of eventferry/cloudevents alone", process.execPath, ["cloudevents.mjs"]],
  ["Node, require", process.execPath, ["main.cjs"]],
  ["Node, require and import together", process.execPath, ["both.cjs"]],
  ["Node, require of the CommonJS build", process.execPath, [...WITHOUT_REQUIRE_OF_MODULES, "main.cjs"]],
  ["Node, every entry point", process.execPath, ["entries.mjs"]],
  ["Node, every entry point of the CommonJS build", process.execPath, [...WITHOUT_REQUIRE_OF_MODULES, "entries.mjs"]],
  ["Node, eventferry/slim", process.execPath, ["slim.mjs"]],
  ["Deno, import without permissions", bin("deno"), [...DENO, "main.mjs"]],
  ["Deno, topics in YAML", bin("deno"), [...DENO, "--allow-env=LOG_TOKENS,LOG_STREAM", "yaml.mjs"]],
  ["Deno, eventferry/slim", bin("deno"), [...DENO, "--allow-read", "slim.mjs"]],
  ["Bun, import", bin("bun"), ["main.mjs"]],
  ["Bun, require", bin("bun"), ["main.cjs"]],
  ["Bun, eventferry/slim", bin("bun"), ["slim.mjs"]],
];

export async function programs({ app }, tally) {
  for (const [name, program, args] of PROGRAMS) {
    await tally.check(name, async () => {
      const { ok, output, problem } = await runChild(program, args, { cwd: app, minutes: 1, show: false });
      if (!ok) throw new Error(`${problem}\n${output}`);
      return checkReport(JSON.parse(output.trim().split("\n").at(-1)));
    });
  }
}

/** The remark for a smoke report without problems. Throws for a report with problems or without checks. */
export function checkReport({ checks, problems }) {
  if (problems.length > 0) throw new Error(problems.join("\n    "));
  if (!(checks > 0)) throw new Error("the report contains no checks");
  return `${checks} checks`;
}
