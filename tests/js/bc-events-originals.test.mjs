// What the original bc_events offers beside publishing: bulk, the queue, descriptions, its log.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventClient, memoryStore } from "eventferry/bc-events";

const topics = {
  DefaultCategory: "shop",
  Topics: [
    {
      Action: "Created",
      Entity: "Order",
      Description: "Somebody has ordered",
      Schema: { type: "object", required: ["id"], properties: { id: { type: "string" } } },
    },
    { Action: "Closed", Entity: "Cart", Description: 7, Schema: { type: "object" } },
  ],
};
const order = (id) => ({ action: "Created", entity: "Order", data: { id } });
const clientOf = (options = {}) => new EventClient({ serviceName: "order-service", topics, ...options });

test("publishBulk stages all events or none, and events is a copy of the queue", async () => {
  const client = clientOf();
  const session = client.serviceSession("job-7");
  assert.throws(() => session.publishBulk([order("1"), order(2)]), { code: "ERR_INVALID_DATA" });
  assert.deepEqual([session.staged, session.events], [0, []]);
  const receipts = session.publishBulk(["1", "2", "3"].map(order));
  session.closedCart({ cart: 4 });
  assert.deepEqual([receipts.length, session.staged], [3, 4]);
  assert.deepEqual(session.events[2], {
    action: "Created",
    category: "shop",
    entity: "Order",
    data: { id: "3" },
    actor: { id: "order-service", type: "service" },
  });
  session.events.length = 0;
  assert.equal(session.events.length, 4);
  session.rollback();
  assert.deepEqual(session.events, []);
  session.publishBulk([order("5")]);
  assert.deepEqual(
    session.events.map(({ data }) => data.id),
    ["5"],
  );
  await session.flush({ until: "delivered" });
  assert.deepEqual([session.staged, session.events], [0, []]);
  for (const wrong of [undefined, 7, "text", [7]])
    assert.throws(() => session.publishBulk(wrong), { code: "ERR_INVALID_ARGUMENT" });
  await client.close();
});

test("events are those that are staged also after a flush has failed while others were published", async () => {
  const store = { ...memoryStore(), open: () => Promise.reject(new Error("no disk")) };
  const client = clientOf({ apiUrl: "https://events.example/", outbox: { store } });
  const session = client.serviceSession("job-7");
  const ids = () => session.events.map(({ data }) => data.id);
  session.publishBulk(["1", "2"].map(order));
  const flushed = assert.rejects(session.flush(), { code: "ERR_STORE" });
  assert.deepEqual(ids(), []);
  session.publishBulk(["3 \u{1F600}", "4"].map(order));
  assert.deepEqual(ids(), ["3 \u{1F600}", "4"]);
  await flushed;
  assert.deepEqual([session.staged, ids()], [4, ["1", "2", "3 \u{1F600}", "4"]]);
  session.publishBulk([order("5")]);
  assert.deepEqual(ids(), ["1", "2", "3 \u{1F600}", "4", "5"]);
  session.rollback();
  assert.deepEqual(ids(), []);
  await client.close();
});

test("events are without those that were dropped in favour of newer ones", async () => {
  const client = clientOf({
    apiUrl: "https://events.example/",
    outbox: { store: memoryStore(), overflow: "drop-oldest", maxBytes: 1000 },
  });
  const session = client.serviceSession("job-7");
  for (let id = 1; id <= 20; id++) session.publish(order(String(id)));
  const { staged, events } = session;
  assert.ok(staged > 1 && staged < 20, `${staged} are staged`);
  assert.deepEqual(
    events.map(({ data }) => data.id),
    Array.from({ length: staged }, (_, at) => String(21 - staged + at)),
  );
  await client.close();
});

test("topics have their descriptions, and the log says what the original says", async () => {
  const lines = [];
  const client = clientOf({
    log: (entry) => {
      lines.push(entry);
      throw new Error("a broken log");
    },
  });
  assert.equal(client.getTopic("shop", "Order", "Created").description, "Somebody has ordered");
  assert.equal(client.getTopic("shop", "Cart", "Closed").description, undefined);
  const session = client.serviceSession("job-7", { publishImmediately: true });
  const [receipt] = session.publishBulk([order("1")]);
  await receipt.delivered;
  await Promise.all(session.publishBulk(["1", "2", "3", "4", "5", "6"].map(order)).map(({ delivered }) => delivered));
  assert.deepEqual(lines, [
    { message: "Publishing event shop.OrderCreated", count: 1, topics: ["shop.OrderCreated"], jobId: "job-7" },
    { message: "Publishing 6 Events", count: 6, topics: ["shop.OrderCreated"], jobId: "job-7" },
  ]);
  assert.throws(() => clientOf({ log: "yes" }), { code: "ERR_INVALID_ARGUMENT" });
  await client.close();
});

test("events of which the server refused some, nobody knows which, are reported and not sent again", async () => {
  let requests = 0;
  const client = clientOf({
    apiUrl: "https://events.example.com",
    fetch: async () => {
      requests++;
      return Response.json({ failedRecords: 2 }, { status: 201 });
    },
    outbox: { store: "memory", retry: { baseMs: 1, maxMs: 2 } },
  });
  const session = client.serviceSession("job-7");
  session.publishBulk(["1", "2", "3", "4", "5", "6"].map(order));
  const report = await session.flush({ until: "delivered" });
  assert.deepEqual([report.delivered.length, report.dead.length, requests], [0, 6, 1]);
  assert.match(report.dead[0].reason, /failedRecords/);
  await client.close();
});
