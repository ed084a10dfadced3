// The tables of www/docs/compatibility.md have a row for each program that the tests run, in the version that they install.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readTable, TABLES } from "../runtimes/compatibility.mjs";

for (const [stage, rows] of Object.entries(TABLES)) {
  test(`the table of the stage ${stage} has the rows and the versions of the tests`, () => {
    const expected = rows.map(({ name, version, use }) => ({ name, version, use, result: "passes" }));
    const found = readTable(stage);
    assert.ok(expected.length > 0);
    for (const [at, { name, version }] of found.entries()) {
      assert.match(version, /^\d+(\.\d+)+/, `the version of ${name}`);
      // What the system has may be newer.
      if (expected[at]?.version === undefined) found[at].version = undefined;
    }
    const command = "run `node tests/runtimes/STAGE.mjs --write` again";
    assert.deepEqual(
      found,
      expected,
      command.replace("STAGE", { runtimes: "run", types: "types-run" }[stage] ?? stage),
    );
  });
}
