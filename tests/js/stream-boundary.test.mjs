// How often one received message crosses the boundary between JavaScript and wasm.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore, replayStore, SalesforceClient, sessionAuth } from "eventferry/salesforce";
import { createEmulator } from "eventferry/testing";
import { streams } from "../../dist/entries/node/internals.js";

/** Counts the calls of all methods of these ports, by name. */
function countCalls(...ports) {
  const calls = [];
  for (const { prototype } of ports) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const { value } = Object.getOwnPropertyDescriptor(prototype, name);
      if (name === "constructor" || typeof value !== "function" || name.startsWith("__")) continue;
      prototype[name] = function (...args) {
        calls.push(name);
        return value.apply(this, args);
      };
    }
  }
  return calls;
}

test("one received message crosses the boundary at most four times, with a replay position saved", async () => {
  const calls = countCalls(streams.glue.StreamPort, streams.glue.MarksPort);
  const emulator = createEmulator();
  const instanceUrl = "https://emulator.example/salesforce";
  const auth = sessionAuth({ accessToken: emulator.salesforce.issueToken(), instanceUrl });
  const replay = replayStore(memoryStore(), { policy: "automatic" });
  const client = new SalesforceClient(auth, { fetch: emulator.fetch, replay });
  await client.open();
  await client.subscribe("/event/Order__e");
  const counts = [];
  for (let n = 0; n < 5; n++) {
    const received = client.receive();
    calls.length = 0;
    emulator.salesforce.publish("/event/Order__e", { n });
    assert.equal((await received).data.payload.n, n);
    counts.push([...calls]);
  }
  await client.close();
  for (const names of counts.slice(1)) assert.ok(names.length >= 2 && names.length <= 4, names.join());
});
