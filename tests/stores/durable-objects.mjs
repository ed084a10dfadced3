// The store of Durable Objects, in workerd, in both of their back ends.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(new URL("../runtimes/package.json", import.meta.url));

/** @param addResults takes a name and the results of the laws or checks */
export async function durableObjects(tally, addResults) {
  const { build } = await import(require.resolve("esbuild"));
  const { Miniflare } = await import(require.resolve("miniflare"));
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("durable-object-worker.mjs", import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    logLevel: "error",
  });
  const workerd = new Miniflare({
    modules: true,
    script: outputFiles[0].text,
    compatibilityDate: "2025-05-05",
    durableObjects: { KV: "KeyValue", SQL: { className: "Sqlite", useSQLite: true } },
    cf: false,
    host: "127.0.0.1",
    handleRuntimeStdio: (out, err) => void [out.resume(), err.resume()], // it tells of every object that is broken off
  });
  const ask = async (space, ...rest) => {
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
      await tally.check(`${name}: it answers`, () => ask(space, "first", "found"));
      addResults(name, await ask(space, "laws", "laws"));
      addResults(name, await ask(space, "checks", "checks"));
      for (const turns of [0, 1, 2, 3, 5, 10, 50, "soon"]) {
        await tally.check(`${name}: broken off after ${turns} turns, a large change is there or not`, () =>
          brokenOff(ask, space, turns),
        );
      }
      await tally.check(`${name}: what has resolved survives being broken off`, async () => {
        await ask(space, "after", "breakOffAfter").catch(() => undefined);
        same(await ask(space, "after", "found"), { events: 201, dead: 1, raw: 221 });
      });
      await tally.check(`${name}: the alarm rings, and finds what waits`, () => alarm(ask, space));
    }
  } finally {
    await workerd.dispose();
  }
}

async function brokenOff(ask, space, turns) {
  const object = `break-${turns}`;
  await ask(space, object, "breakOff", turns).catch(() => undefined);
  const found = await ask(space, object, "found");
  if (found.events !== 0) same(found, { events: 201, dead: 1, raw: 221 });
  else same(found, { events: 0, dead: 0, raw: 0 });
  return found.events ? "all of it" : "none of it";
}

async function alarm(ask, space) {
  await ask(space, "alarm", "setAlarm");
  for (let tries = 0; tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const found = await ask(space, "alarm", "rang");
    if (found.key !== undefined) return same(found, { key: "a", next: null, left: 0 });
  }
  throw new Error("it did not ring");
}

function same(found, wanted) {
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}
