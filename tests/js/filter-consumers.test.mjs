// Filters where events arrive: the streams of the emulator, messages of Bayeux and Salesforce, and a GlassFlow sink.
import assert from "node:assert/strict";
import test from "node:test";
import { BayeuxClient, CloudEvent, Filter, SalesforceClient, toBinary, tokenAuth } from "eventferry";
import { createEmulator } from "eventferry/testing";
import { BayeuxServer, url } from "./bayeux-server.mjs";
import { event, ORIGIN, post, readBlocks, takeEvents } from "./emulator-fixtures.mjs";
import { emulatedPipeline } from "./glassflow-fixtures.mjs";

const numbered = (n) => event({ id: String(n), type: n % 2 ? "odd" : "even", n, subject: n > 5 ? "é" : "e" });

/** The ids of the first events of a stream. */
async function idsOf(emulator, query, count) {
  const answer = await emulator.fetch(`${ORIGIN}/cloudevents/c/stream?after=0&${new URLSearchParams(query)}`);
  assert.equal(answer.status, 200);
  const stream = readBlocks(answer);
  const found = await takeEvents(stream, count);
  await stream.return();
  return found.map(({ data }) => Number(CloudEvent.fromJSON(data).id));
}

test("a stream of the emulator sends only what its filter matches", async () => {
  const emulator = createEmulator();
  for (let n = 1; n <= 10; n++) await post(emulator.fetch, "/cloudevents/c", toBinary(numbered(n)));
  // The last event matches all of them, so that the others would have come before.
  for (const [query, expected] of [
    [{ sql: "type = 'even' AND subject = 'é'" }, [6, 8, 10]],
    [{ sql: "id > 8" }, [9, 10]],
    [{ filter: JSON.stringify({ any: [{ exact: { id: "3" } }, { prefix: { id: "10" } }] }) }, [3, 10]],
    [{ filter: JSON.stringify([{ not: { exact: { type: "odd" } } }, { sql: "subject = 'é'" }]) }, [6, 8, 10]],
  ])
    assert.deepEqual(await idsOf(emulator, query, expected.length), expected, JSON.stringify(query));
  await emulator.close();
});

test("a stream of the emulator filters what arrives later, and answers 400 for a bad filter", async () => {
  const emulator = createEmulator();
  const answer = await emulator.fetch(`${ORIGIN}/cloudevents/c/stream?sql=${encodeURIComponent("type = 'even'")}`);
  const stream = readBlocks(answer);
  const found = takeEvents(stream, 2);
  for (let n = 1; n <= 4; n++) await post(emulator.fetch, "/cloudevents/c", toBinary(numbered(n)));
  assert.deepEqual(
    (await found).map(({ data }) => CloudEvent.fromJSON(data).id),
    ["2", "4"],
  );
  await stream.return();
  for (const query of ["sql=type%20%3D", "filter=5", "filter=%7B", "filter=%7B%22exact%22%3A%7B%7D%7D"]) {
    const { status } = await emulator.fetch(`${ORIGIN}/cloudevents/c/stream?${query}`);
    assert.equal(status, 400, query);
  }
  await emulator.close();
});

test("messages of Bayeux are filtered as events", async () => {
  const server = new BayeuxServer();
  const client = new BayeuxClient(url, { fetch: server.fetch, transports: ["long-polling"], retry: { baseMs: 1 } });
  await client.open();
  await client.subscribe("/orders/*");
  const filter = Filter.sql("subject LIKE '/orders/b%' AND id IN ('2', '4')");
  for (const [channel, id] of [
    ["/orders/a", "1"],
    ["/orders/b", "2"],
    ["/orders/b", "3"],
    ["/orders/bc", "4"],
  ])
    server.publish(channel, { total: 10 * Number(id) }, { id });
  const totals = [];
  for (let count = 0; count < 4; count++) {
    const arrived = (await client.receive()).toCloudEvent();
    if (filter.matches(arrived)) totals.push(arrived.at("/total"));
  }
  assert.deepEqual(totals, [20, 40]);
  await client.close();
});

test("messages of Salesforce are filtered as events", async () => {
  const emulator = createEmulator();
  const auth = tokenAuth({
    instanceUrl: `${ORIGIN}/salesforce`,
    accessToken: async () => emulator.salesforce.issueToken(),
  });
  const client = new SalesforceClient(auth, { fetch: emulator.fetch });
  await client.open();
  await client.subscribe("/event/A__e");
  await client.subscribe("/event/B__e");
  const filter = Filter.from({ all: [{ suffix: { type: ".A__e" } }, { sql: "replayid > 1" }] });
  for (const [channel, n] of [
    ["/event/A__e", 1],
    ["/event/B__e", 2],
    ["/event/A__e", 3],
  ])
    emulator.salesforce.publish(channel, { N: n });
  const found = [];
  for (let count = 0; count < 3; count++) {
    const arrived = (await client.receive()).toCloudEvent();
    if (filter.matches(arrived)) found.push(arrived.at("/payload/N"));
  }
  assert.deepEqual(found, [3]);
  await client.close();
  await emulator.close();
});

test("events of a GlassFlow sink are filtered as events", async () => {
  const { emulator, source, sink } = emulatedPipeline();
  await source.publishAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
  const filter = Filter.from([{ exact: { pipelinestatus: "success" } }, { suffix: { type: ".output" } }]);
  const other = Filter.sql("type = 'dev.glassflow.pipeline.failed'");
  const numbers = [];
  for (let count = 0; count < 3; count++) {
    const { event: consumed } = await sink.consume();
    const arrived = consumed.toCloudEvent();
    assert.equal(other.matches(arrived), false);
    if (filter.matches(arrived)) numbers.push(arrived.at("/n"));
  }
  assert.deepEqual(numbers, [1, 2, 3]);
  await emulator.close();
});
