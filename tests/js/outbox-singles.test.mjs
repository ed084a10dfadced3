// Servers that reject batches.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, fromRequest, memoryStore, Publisher } from "eventferry";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const event = (id) => new CloudEvent({ type: "t", source: "/s", id, data: { id } });

/** A receiver of single events. */
function receiver() {
  const received = [];
  let refused = 0;
  const fetch = async (...args) => {
    const request = new Request(...args);
    if (request.headers.get("content-type").startsWith("application/cloudevents-batch")) {
      refused++;
      return new Response("no batches here", { status: 415 });
    }
    received.push((await fromRequest(request)).id);
    return new Response(null, { status: 204 });
  };
  return { fetch, received, refused: () => refused };
}

for (const concurrency of [1, 3]) {
  test(`without a mode, a receiver of single events gets all events (concurrency ${concurrency})`, async () => {
    const { fetch, received, refused } = receiver();
    const publisher = new Publisher({
      url: "https://example.com/",
      fetch,
      outbox: { store: memoryStore(), concurrency, batch: { maxEvents: 5 } },
    });
    const session = publisher.session();
    for (let at = 0; at < 37; at++) session.publish(event(String(at)));
    const { delivered, dead } = await session.flush({ until: "delivered" });
    assert.equal(delivered.length, 37);
    assert.deepEqual(dead, []);
    assert.deepEqual(
      received.map(Number).sort((a, b) => a - b),
      Array.from({ length: 37 }, (_, at) => at),
    );
    assert.ok(refused() <= concurrency, `${refused()} batches were refused`);
    session.publish(event("later"));
    await session.flush({ until: "delivered" });
    assert.ok(refused() <= concurrency, "later events are not sent in batches");
    await publisher.outbox.close();
  });
}

test("in batch mode, events that the server rejects with 415 become dead letters", async () => {
  const { fetch } = receiver();
  const publisher = new Publisher({
    url: "https://example.com/",
    mode: "batch",
    fetch,
    outbox: { store: memoryStore() },
  });
  const session = publisher.session();
  session.publish(event("1"));
  const { dead } = await session.flush({ until: "delivered" });
  assert.deepEqual(
    dead.map(({ id, code, status }) => [id, code, status]),
    [["1", "ERR_UNSUPPORTED_FORMAT", 415]],
  );
  await publisher.outbox.close();
});

test("two replays of the same dead letter send it once", async () => {
  let isRefused = true;
  const received = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    if (isRefused) return new Response(null, { status: 422 });
    received.push(await request.json());
    return new Response(null, { status: 204 });
  };
  const publisher = new Publisher({
    url: "https://example.com/",
    mode: "batch",
    fetch,
    outbox: { store: memoryStore() },
  });
  await publisher.outbox.run((session) => void session.publish(event("1")));
  await publisher.outbox.drain();
  isRefused = false;
  const counts = await Promise.all([publisher.outbox.dead.replay(["1"]), publisher.outbox.dead.replay(["1"])]);
  assert.deepEqual(counts, [1, 0]);
  await publisher.outbox.drain();
  assert.equal(received.length, 1);
  await publisher.outbox.close();
});

test("the signal of a publisher closes its outbox", async () => {
  const controller = new AbortController();
  const publisher = new Publisher({
    url: "https://example.com/",
    signal: controller.signal,
    fetch: async () => new Response(),
    outbox: { store: memoryStore() },
  });
  const session = publisher.session();
  controller.abort();
  assert.throws(() => session.publish(event("1")), { code: "ERR_CLOSED" });
  await publisher.outbox.close();
});
