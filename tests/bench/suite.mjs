// All workloads that are measured within one process, in every runtime.
import { BUDGETS, measure, totalChecksum } from "./measure.mjs";
import { batchTables } from "./workloads/batch.mjs";
import { decodeTables } from "./workloads/decode.mjs";
import { encodeTables } from "./workloads/encode.mjs";
import { headerTables } from "./workloads/headers.mjs";
import { lineTables } from "./workloads/lines.mjs";
import { pointerTables } from "./workloads/pointer.mjs";
import { sessionTables } from "./workloads/session.mjs";

const ALL = [decodeTables, pointerTables, headerTables, encodeTables, batchTables, lineTables, sessionTables];

/** Measures all workloads and returns their tables. `yieldToRuntime` lets the runtime run other tasks. */
export async function suite(libraries, { quick = false, filter = "", yieldToRuntime = async () => {} } = {}) {
  const results = [];
  for (const tables of ALL) {
    for (const { title, unit, rounds, make } of tables(libraries)) {
      if (!title.includes(filter)) continue;
      await yieldToRuntime();
      const budget = quick ? BUDGETS.quick : { ...BUDGETS.full, ...(rounds && { rounds }) };
      results.push(await measure({ title, unit, ...make() }, budget));
    }
  }
  if (!Number.isFinite(totalChecksum())) throw new Error("the checksum is not a number");
  return results;
}
