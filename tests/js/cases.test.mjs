// Runs the CloudEvents cases against the public API in Node. `browser-cases.mjs` runs them in browsers.
import assert from "node:assert/strict";
import * as api from "eventferry/cloudevents";
import { readCases } from "../vectors.mjs";
import { testCases } from "./case-tests.mjs";
import { runCases } from "./cases.mjs";

testCases("cloudevents", readCases("cloudevents_cases"), {
  atLeast: 150,
  run: (testCase, t) => {
    const [{ problem, note }] = runCases(api, [testCase]);
    assert.equal(problem, undefined);
    if (note) t.diagnostic(note);
  },
});
