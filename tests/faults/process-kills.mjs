// Node is killed again and again, with a file store.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { start } from "../child.mjs";
import { collect, hold, nothingLost, pause, repeated } from "./collector.mjs";

const program = fileURLToPath(new URL("process-kills-publisher.mjs", import.meta.url));
const KILLS = 5;
const CHAINS = 10;

export async function kills(tally) {
  await Promise.all([
    tally.check(`${KILLS * CHAINS} kills of Node, a server that answers`, () => lives(() => ({}), true)),
    tally.check(`${KILLS * CHAINS} kills of Node, a server that refuses, resets and loses answers`, () =>
      lives(badly, false),
    ),
  ]);
}

function badly() {
  const chance = Math.random();
  return chance < 0.15
    ? { status: 503 }
    : chance < 0.25
      ? { reset: true }
      : chance < 0.35
        ? { lose: true }
        : { delayMs: Math.random() * 30 };
}

async function lives(behave, isWell) {
  const collector = await collect({ behave });
  const folder = mkdtempSync(join(tmpdir(), "eventferry-kills-"));
  const promised = [];
  try {
    for (let chain = 0; chain < CHAINS; chain++) {
      const path = join(folder, `${chain}`);
      collector.behave = behave;
      for (let kill = 0; kill < KILLS; kill++) promised.push(...(await live(collector.url, path, `${chain}.${kill}`)));
      collector.behave = () => ({});
      const { aborted, accepted, delivered, dead, pending, purged } = await drain(collector.url, path);
      hold(
        !aborted && pending === 0 && dead === 0 && accepted === delivered + dead + purged,
        `the last life has ${JSON.stringify({ aborted, accepted, delivered, dead, pending })}`,
      );
    }
    nothingLost(collector, promised);
    hold(promised.length > 1000, `only ${promised.length} were promised`);
    // What was under way when it was killed comes again, and nothing else.
    const again = repeated(collector.requests);
    if (isWell) hold(again <= KILLS * CHAINS, `${again} requests were repeated after ${KILLS * CHAINS} kills`);
    return `${promised.length} promised, ${collector.seen.size} delivered, ${collector.duplicates} twice, of ${again} requests`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  }
}

/** Gives the ids that it has promised before it was killed. */
async function live(url, path, life) {
  const { child, lines, ended } = run("live", url, path, life);
  await Promise.race([lines.ready, ended]);
  await pause(10 + Math.random() * 250);
  child.kill("SIGKILL");
  await ended;
  return lines.of("+").flatMap((line) => line.split(","));
}

async function drain(url, path) {
  const { lines, ended } = run("drain", url, path, "");
  await ended;
  hold(lines.of("=").length === 1, `the last life did not end well: ${lines.all.join("\n")}`);
  return JSON.parse(lines.of("=")[0]);
}

function run(...args) {
  const child = start(process.execPath, [program, ...args]);
  const all = [];
  const ready = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => (all.push(line), line === "ready" && resolve()));
  });
  const ended = new Promise((resolve) => child.once("close", resolve)).then(() => {
    const problem = all.find((line) => !/^(\+|=|ready$)/.test(line));
    hold(problem === undefined, `a life said: ${problem}`);
  });
  return {
    child,
    ended,
    lines: { all, ready, of: (mark) => all.filter((line) => line.startsWith(mark)).map((line) => line.slice(1)) },
  };
}
