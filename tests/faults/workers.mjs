// Workers as Cloudflare runs them: killed with a Durable Object, and with one outbox for all requests.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { collect, hold, nothingLost, pause, until } from "./collector.mjs";

const require = createRequire(new URL("../runtimes/package.json", import.meta.url));
const KILLS = 4;

export async function workers(tally) {
  // One after the other, because a life knows its process by what was not there before.
  await tally.check("workerd, one outbox for all requests delivers after the answers", withRequests);
  await tally.check(`workerd, ${KILLS} kills with Durable Objects, and the alarm delivers the rest`, withObjects);
}

async function withObjects() {
  const collector = await collect();
  const folder = mkdtempSync(join(tmpdir(), "eventferry-workerd-"));
  const script = await built(collector.url, folder);
  const ids = [];
  let life;
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      collector.behave = badly;
      life = await start(script, folder);
      const end = Date.now() + 300 + Math.random() * 900;
      await Promise.all(
        ["KV", "SQL", "KV", "SQL"]
          .map(async (space, lane) => {
            for (let turn = 0; Date.now() < end; turn++) {
              const answer = await life
                .ask(space, `${kill}-${space}-${lane}-${turn}`, 1 + Math.floor(Math.random() * 10))
                .catch((error) => {
                  // A killed one does not answer; one that runs has to.
                  hold(!error.answered, error.message);
                  return [];
                });
              ids.push(...answer);
            }
          })
          .concat(pause(end - Date.now() - 30).then(life.kill)),
      );
      await life.dispose();
    }
    // From now on nobody asks anything: alarms do all. At the first one the server is away, and then they are killed again.
    const before = collector.missing(ids).length;
    collector.behave = () => ({ status: 503 });
    let asked = collector.requests.length;
    life = await start(script, folder);
    hold(await until(() => collector.requests.length > asked, 15_000), "the alarm did not ring");
    await pause(3000);
    life.kill();
    await life.dispose();
    collector.behave = () => ({});
    asked = collector.requests.length;
    life = await start(script, folder);
    await until(() => collector.missing(ids).length === 0, 25_000);
    nothingLost(collector, ids);
    hold(ids.length > 100, `only ${ids.length} were promised`);
    return `${ids.length} promised, ${before} left to the alarms, ${collector.duplicates} came twice`;
  } finally {
    await life?.dispose();
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  }
}

async function withRequests() {
  const collector = await collect({ behave: () => ({ delayMs: 100 }) });
  const folder = mkdtempSync(join(tmpdir(), "eventferry-workerd-"));
  const life = await start(await built(collector.url, folder), folder);
  const ids = [];
  let slowest = 0;
  const ask = async (what, name) => {
    const begun = Date.now();
    ids.push(...(await life.ask(what, name, 3)));
    slowest = Math.max(slowest, Date.now() - begun);
  };
  try {
    for (let turn = 0; turn < 5; turn++) await ask("shared", `one-${turn}`);
    await Promise.all(Array.from({ length: 50 }, (_, turn) => ask("shared", `many-${turn}`)));
    await until(() => collector.missing(ids).length === 0, 5000);
    nothingLost(collector, ids);
    // The rest begins in one request, and ends in the time of others.
    collector.behave = () => ({ status: 503 });
    await ask("shared", "away");
    await pause(500);
    await Promise.all(Array.from({ length: 20 }, (_, turn) => ask("shared", `while-away-${turn}`)));
    collector.behave = () => ({});
    await until(() => collector.missing(ids).length === 0, 5000);
    nothingLost(collector, ids);
    hold(slowest < 2000, `one request took ${slowest} ms`);
    // Without keepAlive nothing is promised, but nothing may hang or throw either, and the next request goes on with it.
    for (let turn = 0; turn < 20; turn++) await ask("uncovered", `uncovered-${turn}`);
    await Promise.all(Array.from({ length: 20 }, (_, turn) => ask("uncovered", `uncovered-many-${turn}`)));
    hold(slowest < 2000, `one request without keepAlive took ${slowest} ms`);
    const problem = life.output().find((line) => /error|hang|different request/i.test(line));
    hold(problem === undefined, `workerd said: ${problem}`);
    return `${ids.length} events, the slowest answer took ${slowest} ms, ${collector.missing(ids).length} without keepAlive were not delivered`;
  } finally {
    await life.dispose();
    rmSync(folder, { recursive: true, force: true });
    await collector.close();
  }
}

function badly() {
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
async function built(url, folder) {
  const { build } = await import(require.resolve("esbuild"));
  const outfile = join(folder, "built/worker.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("workers-worker.mjs", import.meta.url))],
    outfile,
    bundle: true,
    format: "esm",
    loader: { ".wasm": "copy" },
    define: { COLLECTOR: JSON.stringify(url) },
    logLevel: "error",
  });
  return outfile;
}

/** One life of workerd, with its storage in that folder. */
async function start(scriptPath, folder) {
  const { Miniflare } = await import(require.resolve("miniflare"));
  const lines = [];
  const before = new Set(workerds());
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
    handleRuntimeStdio: (...streams) =>
      streams.forEach((stream) => stream.on("data", (data) => lines.push(...String(data).split("\n")))),
  });
  const url = await miniflare.ready;
  const pids = workerds().filter((pid) => !before.has(pid));
  return {
    output: () => lines,
    async ask(what, name, count) {
      const response = await fetch(new URL(`/${what}/${name}/${count}`, url), { signal: AbortSignal.timeout(10_000) });
      if (!response.ok) throw Object.assign(new Error(await response.text()), { answered: true });
      return response.json();
    },
    kill: () => pids.forEach((pid) => process.kill(pid, "SIGKILL")),
    dispose: () => miniflare.dispose().catch(() => undefined),
  };
}

/** The processes of workerd that we have started. */
function workerds() {
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
