// The cases of the events protocol through the public API, in Node. `worker-cases.mjs` runs them in workerd.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as api from "eventferry/events-protocol";
import { readCases } from "../vectors.mjs";
import { testCases } from "./case-tests.mjs";
import { registryOf, runCases } from "./events-protocol-cases.mjs";
import { startVirtualClock } from "./virtual-clock.mjs";

const cases = readCases("events_protocol_cases");

testCases("events-protocol", cases, {
  atLeast: 100,
  run: async (testCase) => {
    // Cases with a delay would wait in real time.
    const clock = testCase.input.server?.some(({ delay }) => delay) ? startVirtualClock() : undefined;
    try {
      const [{ problem }] = await runCases(api, [testCase]);
      assert.equal(problem, undefined);
    } finally {
      clock?.stop();
    }
  },
});

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
const serverCases = cases.filter(({ kind }) => kind.startsWith("server"));

for (const testCase of serverCases) {
  test(`${testCase.id} over fetch`, async () => {
    const [{ problem }] = await runCases(api, [testCase], process);
    assert.equal(problem, undefined);
  });
}

test("there are more than 60 server cases", () => assert.ok(serverCases.length > 60));
