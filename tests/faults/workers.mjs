// Workers in workerd: killed with Durable Objects, and with one outbox for all requests.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { collect, ensure, ensureNothingLost, sleep, until } from "./collector.mjs";

const require = createRequire(new URL("../runtimes/package.json", import.meta.url));
const KILLS = 4;

export async function workers(tally) {
  // In sequence, because `start` finds its process by comparing the processes before and after.
  await tally.check("workerd: one outbox for all requests delivers after the responses", withRequests);
  await tally.check(`workerd: Durable Objects lose no event in ${KILLS} kills, and alarms deliver the remainder`, () =>
    withObjects(),
  );
}

async function withObjects() {
  const collector = await collect();
  const folder = mkdtempSync(join(tmpdir(), "eventferry-workerd-"));
  const script = await bundleWorker(collector.url, folder);
  const ids = [];
  let worker;
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      collector.behave = fail;
      worker = await start(script, folder);
      const end = Date.now() + 300 + Math.random() * 900;
      await Promise.all(
        ["KV", "SQL", "KV", "SQL"]
          .map(async (namespace, client) => {
            for (let turn = 0; Date.now() < end; turn++) {
              const answer = await worker
                .publish(namespace, `${kill}-${namespace}-${client}-${turn}`, 1 + Math.floor(Math.random() * 10))
                .catch((error) => {
                  // Only a killed worker may leave a request without response.
                  ensure(!error.hasResponse, error.message);
                  return [];
                });
              ids.push(...answer);
            }
          })
          .concat(sleep(end - Date.now() - 30).then(worker.kill)),
      );
      await worker.dispose();
    }
    // From now on there are no requests; alarms deliver the events. At the first alarm the server is unavailable, and the
    // worker is killed again.
    const before = collector.missing(ids).length;
    collector.behave = () => ({ status: 503 });
    const requestCount = collector.requests.length;
    worker = await start(script, folder);
    ensure(await until(() => collector.requests.length > requestCount, 15_000), "the alarm did not run");
    await sleep(3000);
    worker.kill();
    await worker.dispose();
    collector.behave = () => ({});
    worker = await start(script, folder);
    await until(() => collector.missing(ids).length === 0, 25_000);
    ensureNothingLost(collector, ids);
    ensure(ids.length > 100, `only ${ids.length} were accepted`);
    return `${ids.length} accepted, ${before} delivered by alarms, ${collector.duplicates} duplicates`;
  } finally {
    await worker?.dispose();
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  }
}

async function withRequests() {
  const collector = await collect({ behave: () => ({ delayMs: 100 }) });
  const folder = mkdtempSync(join(tmpdir(), "eventferry-workerd-"));
  const worker = await start(await bundleWorker(collector.url, folder), folder);
  const ids = [];
  let slowest = 0;
  const publish = async (target, name) => {
    const start = Date.now();
    ids.push(...(await worker.publish(target, name, 3)));
    slowest = Math.max(slowest, Date.now() - start);
  };
  try {
    for (let turn = 0; turn < 5; turn++) await publish("shared", `one-${turn}`);
    await Promise.all(Array.from({ length: 50 }, (_, turn) => publish("shared", `many-${turn}`)));
    await until(() => collector.missing(ids).length === 0, 5000);
    ensureNothingLost(collector, ids);
    // The backoff delay starts in one request and ends during others.
    collector.behave = () => ({ status: 503 });
    await publish("shared", "away");
    await sleep(500);
    await Promise.all(Array.from({ length: 20 }, (_, turn) => publish("shared", `while-away-${turn}`)));
    collector.behave = () => ({});
    await until(() => collector.missing(ids).length === 0, 5000);
    ensureNothingLost(collector, ids);
    ensure(slowest < 2000, `one request took ${slowest} ms`);
    // Without keepAlive delivery is not guaranteed, but nothing may hang or throw, and the next request continues.
    for (let turn = 0; turn < 20; turn++) await publish("uncovered", `uncovered-${turn}`);
    await Promise.all(Array.from({ length: 20 }, (_, turn) => publish("uncovered", `uncovered-many-${turn}`)));
    ensure(slowest < 2000, `one request without keepAlive took ${slowest} ms`);
    const problem = worker.output().find((line) => /error|hang|different request/i.test(line));
    ensure(problem === undefined, `workerd printed: ${problem}`);
    return `${ids.length} events, the slowest response took ${slowest} ms, ${collector.missing(ids).length} without keepAlive were not delivered`;
  } finally {
    await worker.dispose();
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  }
}

/** The behaviour of a server that often fails. */
function fail() {
  const chance = Math.random();
  return chance < 0.2
    ? { status: 503 }
    : chance < 0.3
      ? { reset: true }
      : chance < 0.4
        ? { lose: true }
        : { delayMs: Math.random() * 50 };
}

/** The Worker as wrangler would upload it. */
async function bundleWorker(url, folder) {
  const { build } = await import(require.resolve("esbuild"));
  const outfile = join(folder, "built/worker.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("workers-worker.mjs", import.meta.url))],
    outfile,
    bundle: true,
    conditions: ["workerd"],
    format: "esm",
    loader: { ".wasm": "copy" },
    define: { COLLECTOR: JSON.stringify(url) },
    logLevel: "error",
  });
  return outfile;
}

/** Starts workerd with its storage in that folder. */
async function start(scriptPath, folder) {
  const { Miniflare } = await import(require.resolve("miniflare"));
  const lines = [];
  const before = new Set(workerdPids());
  const miniflare = new Miniflare({
    modules: true,
    scriptPath,
    modulesRoot: join(folder, "built"),
    modulesRules: [
      { type: "CompiledWasm", include: ["**/*.wasm"] },
      { type: "ESModule", include: ["**/*.mjs"] },
    ],
    compatibilityDate: "2025-05-05",
    durableObjects: { KV: "KeyValue", SQL: { className: "Sqlite", useSQLite: true } },
    durableObjectsPersist: join(folder, "storage"),
    cf: false,
    host: "127.0.0.1",
    handleRuntimeStdio(...streams) {
      for (const stream of streams) stream.on("data", (data) => lines.push(...String(data).split("\n")));
    },
  });
  const url = await miniflare.ready;
  const pids = workerdPids().filter((pid) => !before.has(pid));
  return {
    output: () => lines,
    async publish(target, name, count) {
      const response = await fetch(new URL(`/${target}/${name}/${count}`, url), {
        signal: AbortSignal.timeout(10_000),
      });
      if (!response.ok) throw Object.assign(new Error(await response.text()), { hasResponse: true });
      return response.json();
    },
    kill() {
      for (const pid of pids) process.kill(pid, "SIGKILL");
    },
    dispose: () => miniflare.dispose().catch(() => undefined),
  };
}

/** The pids of the workerd processes that this process has started. */
function workerdPids() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return (
          stat.includes("(workerd)") && Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === process.pid
        );
      } catch {
        return false;
      }
    });
}
