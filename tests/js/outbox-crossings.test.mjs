// How often one publish calls the engine: each call costs about as much as encoding a small event.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, memoryStore, Publisher } from "eventferry";
import { publish } from "../../dist/entries/node/internals.js";
import { OUTBOX_INPUTS, OUTBOX_LIST_INPUTS } from "../../dist/engine/generated/tables.js";

const INPUT_NAMES = { input: Object.keys(OUTBOX_INPUTS), input_list: Object.keys(OUTBOX_LIST_INPUTS) };

/** Records the methods and inputs of outboxes, in `calls`. */
function recordCalls(t) {
  const calls = [];
  const { prototype } = publish.glue.OutboxPort;
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const { value } = Object.getOwnPropertyDescriptor(prototype, name);
    if (name === "constructor" || name === "free" || typeof value !== "function") continue;
    t.mock.method(prototype, name, function (...args) {
      calls.push(INPUT_NAMES[name]?.[args[0]] ?? name);
      return value.apply(this, args);
    });
  }
  return calls;
}

function publisher() {
  return new Publisher({
    url: "http://collector.example/",
    fetch: async () => new Response(null, { status: 200 }),
    outbox: { store: memoryStore(), batch: { maxAgeMs: 0 } },
  });
}

const event = () => new CloudEvent({ type: "order.placed", source: "/shop", data: { total: 1 } });

async function publishOne(client) {
  const session = client.session();
  session.publish(event());
  const { delivered } = await session.flush({ until: "delivered" });
  assert.equal(delivered.length, 1);
  await client.outbox.drain();
}

test("one publish in the steady state crosses the boundary seven times", async (t) => {
  const client = publisher();
  await publishOne(client);
  const calls = recordCalls(t);
  const session = client.session();
  session.publish(event());
  await session.flush({ until: "delivered" });
  while (client.outbox.stats().pending > 0) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  // What the test itself asks is not part of a publish.
  const inputs = calls.filter((name) => !["counter", "isDrained", "isSettled"].includes(name));
  assert.deepEqual(inputs, ["stage", "credit", "commit", "flushNow", "storeWritten", "response", "storeWritten"]);
  await client.close();
});

test("a fresh leader does not read back what it has just stored", async (t) => {
  const calls = recordCalls(t);
  const client = publisher();
  await publishOne(client);
  assert.ok(calls.includes("storePeeked"), "it looks for older events");
  assert.ok(!calls.includes("segmentFound"), "its own segment is not read");
  await client.close();
});
