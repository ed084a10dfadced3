// Three processes with one store: one at a time sends, every event arrives once and in the order of its partition, and a
// killed leader is replaced when its lease is over.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { collect, ensure, ensureNothingLost, until } from "./collector.mjs";
import { runProgram } from "./process-kills.mjs";
import { serveStore } from "./store-server.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const PROGRAM = path("processes-publisher.mjs");
const PROCESSES = 3;
const STORED = 2000;
const EVENTS = 5000;
/** The lease, and the time between two questions for it. */
const REPLACED_MS = 16_000;
const MAX_RUN_MS = 90_000;

const RUNTIMES = {
  async Deno() {
    const folder = mkdtempSync(join(tmpdir(), "eventferry-processes-"));
    return {
      program: path("../runtimes/node_modules/.bin/deno"),
      args: ["run", "--quiet", "--no-prompt", "--unstable-kv", "--allow-all", PROGRAM],
      place: join(folder, "kv"),
      close: async () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
    };
  },
  async Node() {
    const { url, leases, close } = await serveStore();
    return { program: process.execPath, args: [PROGRAM], place: url, leases, close };
  },
};

export async function processes(tally) {
  for (const name of Object.keys(RUNTIMES)) {
    await tally.check(`${name}: ${PROCESSES} processes deliver ${EVENTS} events once and in order`, () =>
      withRuntime(name, deliverOnce),
    );
    await tally.check(`${name}: a killed leader is replaced, and drain waits for what it has left`, () =>
      withRuntime(name, replaceLeader),
    );
  }
}

async function withRuntime(name, body) {
  const collector = await collect();
  const { program, args, place, leases, close } = await RUNTIMES[name]();
  const children = [];
  const run = (publisher, count) => {
    const started = runProgram(program, [...args, collector.url, place, publisher, `${count}`]);
    children.push(started.child);
    return started;
  };
  try {
    return await body({ collector, run, leases });
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await close();
    await collector.close();
  }
}

/** Kills a process that has stored events and can send none. Returns their ids. */
async function leaveEvents(collector, run, count) {
  collector.behave = () => ({ status: 503 });
  const { child, lines, ended } = run("left", count);
  const accepted = () => lines.of("+").flatMap((line) => line.split(","));
  ensure(await until(() => accepted().length === count, MAX_RUN_MS), `only ${accepted().length} were stored`);
  child.kill("SIGKILL");
  await ended;
  return accepted();
}

async function deliverOnce({ collector, run, leases }) {
  const ids = await leaveEvents(collector, run, STORED);
  collector.behave = () => ({ delayMs: 20 });
  collector.maxSenders = 0;
  const runs = Array.from({ length: PROCESSES }, (_, at) => run(`p${at}`, (EVENTS - STORED) / PROCESSES));
  for (const one of runs) await checkEnd(one);
  for (const { lines } of runs) ids.push(...lines.of("+").flatMap((line) => line.split(",")));
  ensure(ids.length === EVENTS, `${ids.length} were accepted`);
  ensureNothingLost(collector, ids);
  ensure(collector.duplicates === 0, `${collector.duplicates} duplicates`);
  ensureOrder(collector);
  ensure(collector.maxSenders === 1, `${collector.maxSenders} processes sent at the same time`);
  return `${senders(collector).join(", ")} sent${leases ? `, ${leases.length} leases` : ""}`;
}

async function replaceLeader({ collector, run }) {
  collector.behave = () => ({ delayMs: 20 });
  const runs = new Map(Array.from({ length: PROCESSES }, (_, at) => [`p${at}`, run(`p${at}`, 1000)]));
  ensure(await until(() => collector.seen.size > 500, MAX_RUN_MS), `${collector.seen.size} arrived`);
  const leader = senders(collector).at(-1);
  const killed = runs.get(leader);
  killed.child.kill("SIGKILL");
  const killedAt = Date.now();
  await killed.ended;
  runs.delete(leader);
  const next = () => collector.requests.find(({ from, at }) => from !== leader && at > killedAt);
  ensure(await until(next, REPLACED_MS), `nobody has replaced the leader within ${REPLACED_MS} ms`);
  for (const one of runs.values()) await checkEnd(one);
  const ids = [killed, ...runs.values()].flatMap(({ lines }) => lines.of("+").flatMap((line) => line.split(",")));
  ensureNothingLost(collector, ids);
  ensureOrder(collector);
  ensure(collector.maxSenders === 1, `${collector.maxSenders} processes sent at the same time`);
  const { duplicates } = collector;

  const left = await leaveEvents(collector, run, 1000);
  collector.behave = () => ({});
  const drainMs = await checkEnd(run("late", 0));
  ensureNothingLost(collector, left);
  ensure(drainMs < REPLACED_MS + 4000, `drain took ${drainMs} ms`);
  return `replaced after ${next().at - killedAt} ms, ${duplicates} duplicates; drain took ${drainMs} ms`;
}

/** Waits for the end of a process. Returns how long its `drain` took. */
async function checkEnd({ lines, ended }) {
  await ended;
  ensure(lines.of("=").length === 1, `a process failed: ${lines.all.slice(-5).join("\n")}`);
  const { drainMs, problems, ...rest } = JSON.parse(lines.of("=")[0]);
  // Deno KV gives up when others write for long. The outbox tells it and repeats the call.
  const result = { ...rest, problems: problems.filter((text) => text !== "Deno KV: database is locked") };
  const expected = { aborted: false, open: 0, pending: 0, dead: 0, problems: [] };
  ensure(JSON.stringify(result) === JSON.stringify(expected), `a process ended with ${JSON.stringify(result)}`);
  return drainMs;
}

/** The processes that have sent, in the order of their first request after that of another. */
function senders({ requests }) {
  const accepted = requests.filter(({ isAccepted }) => isAccepted).map(({ from }) => from);
  return accepted.filter((from, at) => from !== accepted[at - 1]);
}

/** The events of each partition arrived first in the order of their numbers. */
function ensureOrder(collector) {
  const next = new Map();
  const seen = new Set();
  for (const id of collector.requests.filter(({ isAccepted }) => isAccepted).flatMap(({ ids }) => ids)) {
    if (seen.has(id)) continue;
    seen.add(id);
    const [partition, number] = id.split(".");
    const expected = next.get(partition) ?? 0;
    ensure(Number(number) === expected, `${id} arrived instead of number ${expected}`);
    next.set(partition, expected + 1);
  }
}
