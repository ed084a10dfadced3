// Deno processes that publish into Deno KV are killed repeatedly, and rows are damaged in between: every accepted event is
// delivered, those of a damaged row once it can be read again.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { collect, ensure, ensureNothingLost, sleep } from "./collector.mjs";
import { runProgram } from "./process-kills.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const DENO = path("../runtimes/node_modules/.bin/deno");
const FLAGS = ["run", "--quiet", "--no-prompt", "--unstable-kv", "--allow-all"];
const KILLS = 8;

export async function denoKills(tally) {
  await tally.check(
    `no accepted event is lost in ${KILLS} kills of Deno with Deno KV, and damaged rows`,
    killRepeatedly,
  );
}

async function killRepeatedly() {
  const folder = mkdtempSync(join(tmpdir(), "eventferry-deno-kills-"));
  const collector = await collect({ behave: () => ({ status: 503 }) });
  const run = (program, ...args) => runProgram(DENO, [...FLAGS, path(program), ...args]);
  const database = join(folder, "kv");
  const changeRows = async (command) => {
    const { lines, ended } = run("deno-kills-damage.mjs", database, command);
    await ended;
    return Number(lines.of("=")[0]);
  };
  const drain = async () => {
    const { lines, ended } = run("process-kills-publisher.mjs", "drain", collector.url, database, "");
    await ended;
    ensure(lines.of("=").length === 1, `the last process failed: ${lines.all.join("\n")}`);
    ensure(JSON.parse(lines.of("=")[0]).aborted === false, "not everything was delivered");
    return lines.of("~");
  };
  try {
    const accepted = [];
    let damaged = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const { child, lines, ended } = run("process-kills-publisher.mjs", "publish", collector.url, database, `${kill}`);
      await Promise.race([lines.accepted, ended]);
      await sleep(10 + Math.random() * 250);
      child.kill("SIGKILL");
      await ended;
      accepted.push(...lines.of("+").flatMap((line) => line.split(",")));
      damaged += await changeRows("damage");
    }
    collector.behave = () => ({});
    const told = await drain();
    ensure(damaged > 0 && told.some((text) => /cannot be read/.test(text)), `${damaged} damaged, told: ${told}`);
    const mended = await changeRows("mend");
    ensure(mended === damaged, `of ${damaged} damaged rows ${mended} are left`);
    await drain();
    ensureNothingLost(collector, accepted);
    ensure(accepted.length > 20 * KILLS, `only ${accepted.length} were accepted`);
    return `${accepted.length} accepted, ${damaged} rows damaged, ${collector.duplicates} duplicates`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  }
}
