// The shared CloudEvents cases through the public API, in Node.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as api from "eventferry/cloudevents";
import { runCases } from "./cases.mjs";

const path = new URL("../../../shared/cases/cloudevents_cases.json", import.meta.url);

test("every CloudEvents case of level must passes", {
  skip: !existsSync(path) && "the shared cases are not here",
}, (t) => {
  const { cases } = JSON.parse(readFileSync(path, "utf8"));
  const results = runCases(api, cases);
  for (const { id, level, problem, note } of results.filter(
    ({ level, problem, note }) => level !== "must" || problem || note,
  )) {
    t.diagnostic(`${level} ${id}: ${problem ?? note ?? "as expected"}`);
  }
  const failed = results.filter(({ problem }) => problem !== undefined);
  assert.deepEqual(failed, []);
  assert.ok(results.length > 150);
});
