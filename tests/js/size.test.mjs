// Holds the download size of an application to its budget. A change that exceeds it must raise the budget explicitly.
import assert from "node:assert/strict";
import { test } from "node:test";
import { APPS, measure } from "../../js/build/size.mjs";

for (const app of APPS.filter(({ budget }) => budget)) {
  test(`an application that imports what it needs to ${app.title} downloads at most ${app.budget} bytes`, async () => {
    const { brotli } = await measure(app);
    assert.ok(brotli <= app.budget, `it downloads ${brotli} bytes; \`npm run size\` prints all sizes`);
  });
}
