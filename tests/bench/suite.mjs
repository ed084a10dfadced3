// All workloads that are measured within one process, in every runtime.
import { BUDGETS, measure, measureRuns, totalChecksum } from "./measure.mjs";
import { batchTables } from "./workloads/batch.mjs";
import { decodeTables } from "./workloads/decode.mjs";
import { encodeTables } from "./workloads/encode.mjs";
import { flushTable } from "./workloads/flush.mjs";
import { headerTables } from "./workloads/headers.mjs";

/**
 * Measures all workloads and returns their tables. `yieldToRuntime` lets the runtime run other tasks.
 *
 * @param libraries `sdk`, `ferry`, which is `eventferry/cloudevents`, and `whole`, which is `eventferry`
 */
export async function suite(libraries, { quick = false, filter = "", yieldToRuntime = async () => {} } = {}) {
  const results = [];
  for (const tables of [decodeTables, headerTables, encodeTables, batchTables]) {
    for (const { title, unit, make } of tables(libraries)) {
      if (!title.includes(filter)) continue;
      await yieldToRuntime();
      results.push(measure({ title, unit, ...make() }, quick ? BUDGETS.quick : BUDGETS.full));
    }
  }
  const flush = flushTable({ ...libraries, ferry: libraries.whole }, quick ? 10_000 : 100_000);
  if (flush.title.includes(filter)) results.push(await measureRuns(flush, quick ? 1 : 5));
  if (!Number.isFinite(totalChecksum())) throw new Error("the checksum is not a number");
  return results;
}
