// Holds the download size of an application to its limit. A change that exceeds it must raise the limit explicitly.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { APPS, bundle, measure } from "../../js/build/size.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

for (const app of APPS.filter(({ limit }) => limit)) {
  test(`${app.title}: an application downloads at most ${app.limit} bytes`, async () => {
    const { brotli } = await measure(app);
    assert.ok(brotli <= app.limit, `it downloads ${brotli} bytes; \`npm run size\` prints all sizes`);
  });
}

test("the verifiers of web hooks add at most 3 KB, and nothing to an application that imports none", async () => {
  const app = (names) => `import { ${names} } from "eventferry/cloudevents"; console.log(${names});`;
  const verifiers = "standardWebhooks, hmac, github, stripe, shopify, slack, discord";
  const [without, all] = [app("webhook"), app(`webhook, ${verifiers}`)];
  const added = (await measure({ code: all })).brotli - (await measure({ code: without })).brotli;
  assert.ok(added <= 3072, `they add ${added} bytes`);
  const text = async (code) => new TextDecoder().decode(await bundle(code, root));
  assert.match(await text(all), /importKey/);
  assert.doesNotMatch(await text(without), /importKey|x-hub-signature/);
});

test("a publisher does not bring the reader of batches along, nor the envelopes of clouds", async () => {
  const text = async (code) => new TextDecoder().decode(await bundle(code, root));
  const publisher = await text(`import { Publisher } from "eventferry"; console.log(Publisher);`);
  const readers = await text(
    `import { EventBatch, fromRequest } from "eventferry/cloudevents"; console.log(EventBatch, fromRequest);`,
  );
  for (const part of [/EventBatch has no public constructor/, /event-grid/]) {
    assert.match(readers, part);
    assert.doesNotMatch(publisher, part);
  }
});

test("an application that reads no events itself does not bring lenient reading along", async () => {
  const text = async (name) =>
    new TextDecoder().decode(await bundle(`import { ${name} } from "eventferry"; console.log(${name});`, root));
  const lenient = /cannot stand for another one/;
  for (const name of ["CloudEvent", "fromHttp"]) assert.match(await text(name), lenient, name);
  for (const name of ["Publisher", "BayeuxClient", "SalesforceClient", "PipelineDataSource"])
    assert.ok(!lenient.test(await text(name)), name);
});

test("no source of the package calls `CloudEvent.fromJSON`, which the class gets from the entry points", () => {
  const sources = readdirSync(join(root, "js"), { recursive: true }).filter((file) => file.endsWith(".ts"));
  assert.ok(sources.length > 200);
  const isCall = (line) => line.includes("CloudEvent.fromJSON") && !/^\s*(?:\*|\/\*|\/\/)/.test(line);
  const calling = sources.filter((file) =>
    readFileSync(join(root, "js", file), "utf8")
      .split("\n")
      .some(isCall),
  );
  assert.deepEqual(calling, []);
});
