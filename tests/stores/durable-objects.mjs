// Checks the store of Durable Objects in workerd, with both back ends.
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(new URL("../runtimes/package.json", import.meta.url));

/** @param addResults takes a name and the results of checks */
export async function durableObjects(tally, addResults) {
  const { build } = await import(require.resolve("esbuild"));
  const { Miniflare } = await import(require.resolve("miniflare"));
  const folder = mkdtempSync(join(tmpdir(), "eventferry-workerd-"));
  const scriptPath = join(folder, "worker.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("durable-object-worker.mjs", import.meta.url))],
    outfile: scriptPath,
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    loader: { ".wasm": "copy" },
    logLevel: "error",
  });
  const workerd = new Miniflare({
    modules: true,
    scriptPath,
    modulesRoot: folder,
    modulesRules: [
      { type: "CompiledWasm", include: ["**/*.wasm"] },
      { type: "ESModule", include: ["**/*.mjs"] },
    ],
    compatibilityDate: "2025-05-05",
    durableObjects: { KV: "KeyValue", SQL: { className: "Sqlite", useSQLite: true } },
    cf: false,
    host: "127.0.0.1",
    handleRuntimeStdio: (out, err) => void [out.resume(), err.resume()], // one line for each aborted object
  });
  const call = async (space, ...rest) => {
    const response = await workerd.dispatchFetch(`http://localhost/${[space, ...rest].join("/")}`, {
      signal: AbortSignal.timeout(60_000),
    });
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  };
  try {
    for (const [space, name] of [
      ["KV", "Durable Object of keys and values"],
      ["SQL", "Durable Object of SQLite"],
    ]) {
      await tally.check(`${name}: the object answers`, () => call(space, "first", "found"));
      addResults(name, await call(space, "contract", "contract"));
      addResults(name, await call(space, "checks", "checks"));
      addResults(`${name}, accounts`, await call(space, "accounts", "accounts"));
      for (const turns of [0, 1, 2, 3, 5, 10, 50, "soon"]) {
        await tally.check(
          `${name}: a large change is applied or not when the object is aborted after ${turns} turns`,
          () => abortedDuringWrite(call, space, turns),
        );
      }
      await tally.check(`${name}: a resolved change survives the abort of the object`, async () => {
        await call(space, "after", "abortAfterWrite").catch(() => undefined);
        same(await call(space, "after", "found"), { events: 201, dead: 1, raw: 221 });
      });
      await tally.check(`${name}: the alarm runs and finds the pending events`, () => alarm(call, space));
    }
  } finally {
    await workerd.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function abortedDuringWrite(call, space, turns) {
  const object = `break-${turns}`;
  await call(space, object, "abortDuringWrite", turns).catch(() => undefined);
  const found = await call(space, object, "found");
  if (found.events !== 0) same(found, { events: 201, dead: 1, raw: 221 });
  else same(found, { events: 0, dead: 0, raw: 0 });
  return found.events ? "all of it" : "none of it";
}

async function alarm(call, space) {
  await call(space, "alarm", "setAlarm");
  for (let tries = 0; tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const found = await call(space, "alarm", "alarmResult");
    if (found.key !== undefined) return same(found, { key: "a", next: null, left: 0 });
  }
  throw new Error("the alarm did not run");
}

function same(actual, expected) {
  if (JSON.stringify(actual) !== JSON.stringify(expected))
    throw new Error(`${JSON.stringify(actual)}; expected ${JSON.stringify(expected)}`);
}
