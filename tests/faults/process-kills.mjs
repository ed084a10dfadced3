// Node processes that publish into a file store are killed repeatedly: every accepted event is delivered.
import { mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { start } from "../child.mjs";
import { collect, countRepeated, ensure, ensureNothingLost, sleep } from "./collector.mjs";

const PROGRAM = fileURLToPath(new URL("process-kills-publisher.mjs", import.meta.url));
const KILLS = 5;
const CHAINS = 10;
const HARM_CHAINS = 5;
/** The events of one change, as the publisher makes them. */
const MAX_EVENTS = 20;
/** How many events a process has accepted before it is killed, however slow the machine is. */
const MIN_ACCEPTED = 30;

export async function kills(tally) {
  await Promise.all([
    tally.check(`no accepted event is lost in ${KILLS * CHAINS} kills of Node`, () => runChains(() => ({}), true)),
    tally.check(
      `no accepted event is lost in ${KILLS * CHAINS} kills of Node while the server refuses, resets and loses responses`,
      () => runChains(fail, false),
    ),
  ]);
  // Afterwards: four at a time would have too little of the processor.
  await Promise.all([
    tally.check(
      `no accepted event is lost in ${KILLS * HARM_CHAINS} kills of Node after its file was removed, renamed or truncated`,
      () => runChains(() => ({}), false, { whileRunning: replaceFile }),
    ),
    tally.check(`a flipped bit costs one change at most, in ${KILLS * HARM_CHAINS} kills of Node`, () =>
      runChains(() => ({}), false, { afterKill: flipBit }),
    ),
  ]);
}

/** The behaviour of a server that often fails. */
function fail() {
  const chance = Math.random();
  return chance < 0.15
    ? { status: 503 }
    : chance < 0.25
      ? { reset: true }
      : chance < 0.35
        ? { lose: true }
        : { delayMs: Math.random() * 30 };
}

function replaceFile(path) {
  const ways = [() => unlinkSync(path), () => renameSync(path, `${path}.1`), () => truncateSync(path, 0)];
  ways[Math.floor(Math.random() * ways.length)]();
}

/** Not in the last change, which may be incomplete. */
function flipBit(path) {
  const bytes = readFileSync(path);
  const bit = Math.floor(Math.random() * 4 * bytes.length);
  bytes[bit >> 3] ^= 1 << (bit & 7);
  writeFileSync(path, bytes);
}

/**
 * Runs chains of processes on one store each; only the last process of a chain may end by itself.
 *
 * @param harm what is done to the file: `whileRunning` before a kill, `afterKill` before the next start, which may cost
 * one change each time and must be told
 */
async function runChains(behave, isReliable, { whileRunning, afterKill } = {}) {
  const collector = await collect({ behave });
  const folder = mkdtempSync(join(tmpdir(), "eventferry-kills-"));
  const acceptedIds = [];
  const isHarmed = whileRunning !== undefined || afterKill !== undefined;
  const chains = isHarmed ? HARM_CHAINS : CHAINS;
  let [harms, told] = [0, 0];
  try {
    for (let chain = 0; chain < chains; chain++) {
      const path = join(folder, `${chain}`);
      collector.behave = behave;
      for (let kill = 0; kill < KILLS; kill++) {
        const { accepted, problems } = await runUntilKilled(
          collector.url,
          path,
          `${chain}.${kill}`,
          kill > 0 || isHarmed,
          whileRunning,
        );
        acceptedIds.push(...accepted);
        told += problems;
        harms += Number(isHarmed);
        afterKill?.(path);
      }
      collector.behave = () => ({});
      const { aborted, accepted, delivered, dead, pending, purged, problems } = await drain(collector.url, path);
      told += problems;
      ensure(
        !aborted && pending === 0 && dead === 0 && accepted === delivered + dead + purged,
        `the last process reports ${JSON.stringify({ aborted, accepted, delivered, dead, pending })}`,
      );
    }
    ensure(told >= harms, `of ${harms} times that the file was harmed, ${told} were told`);
    if (!afterKill) ensureNothingLost(collector, acceptedIds);
    const lost = acceptedIds.filter((id) => !collector.seen.has(id)).length;
    ensure(lost <= harms * MAX_EVENTS, `${lost} events are lost after ${harms} flipped bits`);
    ensure(acceptedIds.length > 100 * chains, `only ${acceptedIds.length} were accepted`);
    // Only requests in flight at a kill are repeated.
    const count = countRepeated(collector.requests);
    if (isReliable) ensure(count <= KILLS * CHAINS, `${count} requests were repeated after ${KILLS * CHAINS} kills`);
    return `${acceptedIds.length} accepted, ${collector.seen.size} delivered, ${collector.duplicates} duplicates from ${count} repeated requests`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  }
}

/**
 * Runs a publisher and kills it: after a number of accepted events, or, while it may still open its store, after its start.
 * Returns the ids that were accepted before, and how many problems the store has told.
 */
async function runUntilKilled(url, path, name, isAfterAccepted, whileRunning) {
  const { child, lines, ended } = run("publish", url, path, name);
  // On a busy machine a process may need all of the delay to open its store; then the kills would test nothing else.
  await Promise.race([isAfterAccepted ? lines.accepted : lines.ready, ended]);
  await sleep(10 + Math.random() * 250);
  const accepted = () => lines.of("+").flatMap((line) => line.split(","));
  if (isAfterAccepted && !whileRunning)
    for (let tries = 0; tries < 2000 && accepted().length < MIN_ACCEPTED; tries++) await sleep(5);
  if (whileRunning) {
    const [{ length }, { length: told }] = [lines.of("+"), lines.of("~")];
    whileRunning(path);
    // Until the next change is stored, nobody has looked at the file. Lines that are printed already may not have been read.
    for (let tries = 0; tries < 1000 && (lines.of("+").length < length + 3 || lines.of("~").length === told); tries++)
      await sleep(5);
  }
  child.kill("SIGKILL");
  await ended;
  return { accepted: accepted(), problems: lines.of("~").length };
}

async function drain(url, path) {
  const { lines, ended } = run("drain", url, path, "");
  await ended;
  ensure(lines.of("=").length === 1, `the last process failed: ${lines.all.join("\n")}`);
  return { ...JSON.parse(lines.of("=")[0]), problems: lines.of("~").length };
}

function run(...args) {
  return runProgram(process.execPath, [PROGRAM, ...args]);
}

/** Runs a publisher. `lines` has what it has printed so far. */
export function runProgram(program, args) {
  const child = start(program, args);
  const all = [];
  const [ready, accepted] = [deferred(), deferred()];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on("line", (line) => {
      all.push(line);
      if (line === "ready") ready.resolve();
      if (line.startsWith("+")) accepted.resolve();
    });
  const ended = new Promise((resolve) => child.once("close", resolve)).then(() => {
    const problem = all.find((line) => !/^(\+|=|~|ready$)/.test(line));
    ensure(problem === undefined, `a process printed: ${problem}`);
  });
  return {
    child,
    ended,
    lines: {
      all,
      ready: ready.promise,
      accepted: accepted.promise,
      of: (mark) => all.filter((line) => line.startsWith(mark)).map((line) => line.slice(1)),
    },
  };
}

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
