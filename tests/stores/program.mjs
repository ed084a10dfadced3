// Holds the stores of a program's runtime to the laws: Node, Deno and Bun. The last line is the report, as JSON.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuto } from "../../dist/stores/auto.js";
import { denoKvStore } from "../../dist/stores/deno-kv.js";
import { fileStore } from "../../dist/stores/file.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { denoKvChecks } from "./deno-kv-checks.mjs";
import { equal, judgeLaws } from "./laws.mjs";

const report = {};
report.memory = await judgeLaws(() => ({ make: () => memoryStore(), forgets: true }));
for (const durability of ["disk", "os"]) {
  report[`file, ${durability}`] = await judgeLaws(() => {
    const folder = mkdtempSync(join(tmpdir(), "eventferry-store-"));
    return {
      make: (name) => fileStore(join(folder, name), { durability }),
      end: () => rmSync(folder, { recursive: true }),
    };
  });
}
if (globalThis.Deno?.openKv) {
  report["Deno KV"] = await judgeLaws(async () => {
    const kv = await Deno.openKv(":memory:");
    return { make: () => denoKvStore(kv), isShared: true, end: () => kv.close() };
  });
  report["Deno KV, its own checks"] = await denoKvChecks();
}

const { store, traits, refused } = await openAuto("outbox");
equal([store.kind, traits, refused], ["memory", { durability: "none", isShared: false }, []], "what openAuto gives");

console.log(JSON.stringify(report));
