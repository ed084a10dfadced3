// `npx eventferry`: its commands, and what it says when it is called wrongly.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CloudEvent, toBatch } from "eventferry/cloudevents";

const program = fileURLToPath(new URL("../../js/cli/eventferry.mjs", import.meta.url));
const run = (...args) => spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });

/** Starts the emulator, and resolves once it says where it is. */
async function startEmulator() {
  const child = spawn(process.execPath, [program, "emulator", "--port=0"], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = [];
  child.stdout.setEncoding("utf8").on("data", (text) => lines.push(text));
  while (!lines.join("").includes("Ctrl-C")) await once(child.stdout, "data");
  return { child, url: /http:\/\/127\.0\.0\.1:\d+/.exec(lines.join(""))[0], output: () => lines.join("") };
}

test("help and version are printed, and a missing or unknown command is named", () => {
  const help = run("--help");
  assert.equal(help.status, 0);
  for (const command of ["emulator", "demo"]) assert.match(help.stdout, new RegExp(`^  ${command} `, "m"));
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  assert.equal(run("--version").stdout, `${version}\n`);
  const without = run();
  assert.deepEqual([without.status, without.stderr], [1, help.stdout]);
  const unknown = run("emulate");
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /unknown command "emulate"; the commands are emulator, demo\n/);
});

test("a port that is none is refused", () => {
  for (const port of ["x", "-1", "65536", "1.5", "1e3"]) {
    const { status, stderr } = run("emulator", `--port=${port}`);
    assert.equal(status, 1, port);
    assert.ok(stderr.includes(`--port must be an integer from 0 to 65535; received "${port}"`), stderr);
  }
});

test("the emulator prints what it receives, names a taken port, and exits with 0 on SIGTERM", async () => {
  const { child, url, output } = await startEmulator();
  const events = ["1", "2"].map((id) => new CloudEvent({ type: "com.example.made", source: "/s", id }));
  assert.equal((await fetch(`${url}/cloudevents/orders`, { method: "POST", ...toBatch(events) })).status, 204);
  while (!output().includes("made 2")) await once(child.stdout, "data");
  assert.match(output(), /^received com\.example\.made 1 \(batch, channel orders\)\nreceived com\.example\.made 2 /m);
  const { port } = new URL(url);
  const second = run("emulator", `--port=${port}`);
  assert.equal(second.status, 1);
  assert.ok(second.stderr.includes(`port ${port} is in use; choose another one with --port=<port>`), second.stderr);
  child.kill("SIGTERM");
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
});
