// What an application downloads has a limit, and whoever goes beyond it has to say so here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { APPS, measure } from "../../js/build/size.mjs";

for (const app of APPS.filter(({ budget }) => budget)) {
  test(`an application that wants to ${app.title} downloads at most ${app.budget} bytes`, async () => {
    const { brotli } = await measure(app);
    assert.ok(brotli <= app.budget, `it downloads ${brotli} bytes; \`npm run size\` shows what costs how much`);
  });
}
