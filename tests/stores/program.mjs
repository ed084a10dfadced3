// Checks the contract of the stores of Node, Deno or Bun. The last line of the output is the report, as JSON.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuto } from "../../dist/stores/auto.js";
import { denoKvStore } from "../../dist/stores/deno-kv.js";
import { fileStore } from "../../dist/stores/file.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { checkContract, equal } from "./contract.mjs";
import { denoKvChecks } from "./deno-kv-checks.mjs";

const report = {};
report.memory = await checkContract(() => ({ make: () => memoryStore(), isVolatile: true }));
for (const durability of ["disk", "os"]) {
  report[`file, ${durability}`] = await checkContract(() => {
    const folder = mkdtempSync(join(tmpdir(), "eventferry-store-"));
    return {
      make: (name) => fileStore(join(folder, name), { durability }),
      end: () => rmSync(folder, { recursive: true }),
    };
  });
}
if (globalThis.Deno?.openKv) {
  report["Deno KV"] = await checkContract(async () => {
    const kv = await Deno.openKv(":memory:");
    return { make: () => denoKvStore(kv), isShared: true, end: () => kv.close() };
  });
  report["Deno KV, specific checks"] = await denoKvChecks();
}

const { store, traits, refused } = await openAuto("outbox");
equal([store.kind, traits, refused], ["memory", { durability: "none", isShared: false }, []], "the result of openAuto");

console.log(JSON.stringify(report));
