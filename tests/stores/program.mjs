// Checks the contract of the stores of Node, Deno or Bun. The last line of the output is the report, as JSON.
import { mkdtempSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuto } from "../../dist/stores/auto.js";
import { CloudEvent, Publisher } from "../../dist/entries/index.js";
import { denoKvStore } from "../../dist/stores/deno-kv.js";
import { fileStore } from "../../dist/stores/file.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { checkAccounts } from "./accounts.mjs";
import { checkContract, equal } from "./contract.mjs";
import { customStorage } from "./custom-store.mjs";
import { damageBytes } from "./damage.mjs";
import { denoKvChecks } from "./deno-kv-checks.mjs";
import { damageRow } from "./damage-file.mjs";

const report = {};
/** Checks a kind of store: its contract, and accounts that share it. */
async function check(name, makeStorage) {
  report[name] = await checkContract(makeStorage);
  report[`${name}, accounts`] = await checkAccounts(makeStorage, { CloudEvent, Publisher });
}
await check("memory", () => ({ make: () => memoryStore(), isVolatile: true }));
await check("a store of an application", () => customStorage());
for (const durability of ["disk", "os"]) {
  await check(`file, ${durability}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "eventferry-store-"));
    return {
      make: (name) => fileStore(join(folder, encodeURIComponent(name)), { durability }),
      damages: {
        "flags of a newer version": (name, table, key) => damageRow(join(folder, name), table, key),
      },
      empty: async (name) => unlinkSync(join(folder, name)),
      isToldWhenEmptied: true,
      keepsRows: true,
      end: () => rmSync(folder, { recursive: true }),
    };
  });
}
if (globalThis.Deno?.openKv) {
  await check("Deno KV", async () => {
    const kv = await Deno.openKv(":memory:");
    const change = (of) => async (name, table, key) => {
      const path = ["eventferry", name, table === "segments" ? "s" : "d", key];
      await kv.set(path, of((await kv.get(path)).value, table));
    };
    const loseChunk = async (name, table, key) => {
      const path = ["eventferry", name, table === "segments" ? "s+" : "d+", key, "1"];
      const { value } = await kv.get(path);
      if (value) await kv.delete(path);
      else await change(() => new Uint8Array(2))(name, table, key);
    };
    return {
      make: () => denoKvStore(kv),
      isShared: true,
      damages: {
        ...Object.fromEntries(Object.entries(damageBytes).map(([how, of]) => [how, change(of)])),
        "a lost chunk": loseChunk,
      },
      empty: async (name) => {
        for await (const { key } of kv.list({ prefix: ["eventferry", name] })) await kv.delete(key);
      },
      end: () => kv.close(),
    };
  });
  report["Deno KV, specific checks"] = await denoKvChecks();
}

const { store, traits, refused } = await openAuto("outbox");
equal(
  [store.kind, traits, refused],
  ["memory", { durability: "none", isShared: false, supportsPrefix: true }, []],
  "the result of openAuto",
);

console.log(JSON.stringify(report));
