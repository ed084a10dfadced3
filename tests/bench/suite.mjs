// Everything that is measured within one process, whatever the runtime.
import { BUDGETS, consumed, measure } from "./measure.mjs";
import { batchTables } from "./workloads/batch.mjs";
import { decodeTables } from "./workloads/decode.mjs";
import { encodeTables } from "./workloads/encode.mjs";
import { headerTables } from "./workloads/headers.mjs";

/** Measures all workloads and gives their tables. `breathe` lets the runtime do what is waiting. */
export async function suite(libraries, { quick = false, filter = "", breathe = async () => {} } = {}) {
  const results = [];
  for (const tables of [decodeTables, headerTables, encodeTables, batchTables]) {
    for (const { title, unit, make } of tables(libraries)) {
      if (!title.includes(filter)) continue;
      await breathe();
      results.push(measure({ title, unit, ...make() }, quick ? BUDGETS.quick : BUDGETS.full));
    }
  }
  if (!Number.isFinite(consumed())) throw new Error("nothing was consumed");
  return results;
}
