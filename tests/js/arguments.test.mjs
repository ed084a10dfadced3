// The command line of our scripts: each explains itself and refuses what it does not know.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SCRIPTS = [
  { file: "tests/run.mjs", command: "npm test --", flags: ["--only=<stages>", "--full", "--rounds=<count>"] },
  { file: "www/demo.mjs", command: "npm run demo --", flags: ["--port=<port>"] },
  { file: "js/cli/eventferry.mjs", args: ["emulator"], command: "npx eventferry emulator", flags: ["--port=<port>"] },
  { file: "js/cli/eventferry.mjs", args: ["demo"], command: "npx eventferry demo", flags: ["--port=<port>"] },
  { file: "www/build-site.mjs", command: "npm run build:site --", flags: ["--base=<path>"] },
  { file: "js/build/release.mjs", command: "node js/build/release.mjs", flags: ["--publish", "--skip-tests"] },
  { file: "js/build/size.mjs", command: "npm run size --", flags: [] },
  {
    file: "tests/bench/run.mjs",
    command: "npm run bench --",
    flags: ["--quick", "--only=<runtimes>", "--filter=<text>", "--json", "--write"],
  },
];

function run(file, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], { cwd: ROOT, encoding: "utf8" });
  return { status, stdout, stderr };
}

for (const { file, args = [], command, flags } of SCRIPTS) {
  const call = [file, ...args].join(" ");
  test(`${call} --help prints how to call it and every flag`, () => {
    const { status, stdout, stderr } = run(file, ...args, "--help");
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.ok(stdout.includes(`Usage: ${command} [flags]`), stdout);
    for (const flag of [...flags, "--help"]) assert.ok(stdout.includes(`  ${flag} `), `${flag} in ${stdout}`);
  });

  test(`${call} names an unknown flag and the known ones`, () => {
    const { status, stdout, stderr } = run(file, ...args, "--colour");
    assert.equal(status, 1);
    assert.equal(stdout, "");
    const known = [...flags.map((flag) => flag.replace(/=.*/, "")), "--help"].join(", ");
    assert.ok(stderr.includes(`unknown flag --colour; the flags are ${known}\n`), stderr);
    assert.ok(stderr.includes(`For help: ${command} --help`), stderr);
  });
}

test("a flag without its value, a superfluous value and a stray argument are refused", () => {
  for (const [args, sentence] of [
    [["--only"], "--only needs a value: --only=<runtimes>"],
    [["--only="], "--only needs a value: --only=<runtimes>"],
    [["--only", "--quick"], "--only needs a value: --only=<runtimes>"],
    [["--quick=yes"], "--quick takes no value"],
    [["node"], 'unexpected argument "node"'],
  ]) {
    const { status, stderr } = run("tests/bench/run.mjs", ...args);
    assert.equal(status, 1);
    assert.ok(stderr.includes(sentence), stderr);
  }
});
