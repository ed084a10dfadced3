// The shared cases of the events protocol through the public API, in Node. `worker-cases.mjs` has them in workerd.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import * as api from "eventferry/events-protocol";
import { registryOf, runCases } from "./events-protocol-cases.mjs";

const path = new URL("../../../shared/cases/events_protocol_cases.json", import.meta.url);
const skip = !existsSync(path) && "the shared cases are not here";
const read = () => JSON.parse(readFileSync(path, "utf8")).cases;

test("every case of the events protocol passes", { skip }, async () => {
  const results = await runCases(api, read());
  assert.deepEqual(
    results.filter(({ problem }) => problem !== undefined),
    [],
  );
  assert.ok(results.length > 100);
});

test("those of the server pass over fetch too", { skip }, async () => {
  const processors = Object.fromEntries(
    ["usual", "strict", "lenient"].map((envelope) => [envelope, new api.EventProcessor(registryOf(api), { envelope })]),
  );
  const process = async (raw, envelope) => {
    const response = await processors[envelope].fetch(
      new Request("https://example.com/events", { method: "POST", body: raw }),
    );
    assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/json; charset=utf-8"]);
    return response.text();
  };
  const results = await runCases(
    api,
    read().filter(({ kind }) => kind.startsWith("server")),
    process,
  );
  assert.deepEqual(
    results.filter(({ problem }) => problem !== undefined),
    [],
  );
  assert.ok(results.length > 60);
});
