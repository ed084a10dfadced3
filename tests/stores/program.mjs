// Checks the contract of the stores of Node, Deno or Bun. The last line of the output is the report, as JSON.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuto } from "../../dist/stores/auto.js";
import { CloudEvent, Publisher } from "../../dist/entries/index.js";
import { denoKvStore } from "../../dist/stores/deno-kv.js";
import { fileStore } from "../../dist/stores/file.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { checkAccounts } from "./accounts.mjs";
import { checkContract, equal } from "./contract.mjs";
import { denoKvChecks } from "./deno-kv-checks.mjs";

const report = {};
/** Checks a kind of store: its contract, and accounts that share it. */
async function check(name, makeStorage) {
  report[name] = await checkContract(makeStorage);
  report[`${name}, accounts`] = await checkAccounts(makeStorage, { CloudEvent, Publisher });
}
await check("memory", () => ({ make: () => memoryStore(), isVolatile: true }));
for (const durability of ["disk", "os"]) {
  await check(`file, ${durability}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "eventferry-store-"));
    return {
      make: (name) => fileStore(join(folder, encodeURIComponent(name)), { durability }),
      end: () => rmSync(folder, { recursive: true }),
    };
  });
}
if (globalThis.Deno?.openKv) {
  await check("Deno KV", async () => {
    const kv = await Deno.openKv(":memory:");
    return { make: () => denoKvStore(kv), isShared: true, end: () => kv.close() };
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
