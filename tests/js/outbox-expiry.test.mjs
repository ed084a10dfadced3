// Events with the attribute `expirytime`: the outbox sends none of which it is certain that it has expired.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileStore, memoryStore, PipelineDataSource } from "eventferry";
import { balance, event, listen, publisherTo, server } from "./outbox-fixtures.mjs";

const HOUR = 3_600_000;
const PAST = new Date(Date.now() - HOUR);
const FUTURE = new Date(Date.now() + HOUR);
const MODES = ["batch", "structured", "binary"];

/** An answer of a server with this clock. */
const answer = (status, date = new Date()) =>
  new Response(null, { status, headers: date ? { date: date.toUTCString() } : {} });

/** Publishes events with these times, and waits until they are delivered or dead. */
async function deliver(publisher, times) {
  const session = publisher.session();
  const receipts = Object.entries(times).map(([id, expirytime]) => session.publish(event(id, { expirytime })));
  const results = Promise.allSettled(receipts.map(({ delivered }) => delivered));
  const report = await session.flush({ until: "delivered" });
  return { report, results: await results };
}

const idsOf = ({ requests }) => requests.flatMap(({ text, headers }) => headers.get("ce-id") ?? ids(text));
const ids = (text) => [JSON.parse(text)].flat().map(({ id }) => id);

for (const mode of MODES) {
  test(`${mode}: without a Date of the destination an expired event is sent, once`, async () => {
    const accepting = server(answer(202, null));
    const one = publisherTo(accepting, { mode });
    const { report } = await deliver(one, { expired: PAST });
    assert.deepEqual([report.delivered, idsOf(accepting)], [["expired"], ["expired"]]);
    await one.outbox.close();

    const to = server(...Array(3).fill(answer(503, null)), answer(202, null));
    const publisher = publisherTo(to, { mode, outbox: { concurrency: 1 } });
    const { results, report: failed } = await deliver(publisher, { expired: PAST, fresh: FUTURE });
    assert.deepEqual(
      failed.dead.map(({ id, code, attempts }) => [id, code, attempts]),
      [["expired", "ERR_EXPIRYTIME", 1]],
    );
    assert.deepEqual(
      results.map(({ reason, value }) => reason?.code ?? value.status),
      ["ERR_EXPIRYTIME", 202],
    );
    assert.equal(results[0].reason.message, "the expirytime of the event has passed");
    assert.equal(idsOf(to).filter((id) => id === "expired").length, 1);
    await publisher.outbox.close();
  });

  test(`${mode}: once the destination has told its clock, an expired event is dead without a request`, async () => {
    const to = server(() => answer(202));
    const publisher = publisherTo(to, { mode });
    const told = listen(publisher.outbox, "dead");
    await deliver(publisher, { first: undefined });
    const { report } = await deliver(publisher, { expired: PAST, fresh: FUTURE, plain: undefined });
    assert.deepEqual(
      report.dead.map(({ id, code, status, attempts }) => [id, code, status, attempts]),
      [["expired", "ERR_EXPIRYTIME", 0, 0]],
    );
    assert.deepEqual(idsOf(to).sort(), ["first", "fresh", "plain"]);
    const stats = publisher.outbox.stats();
    assert.deepEqual([stats.delivered, stats.dead, stats.pending, balance(stats)], [3, 1, 0, 0]);
    assert.deepEqual(
      told.map(([, { id, attempts }]) => [id, attempts]),
      [["expired", 0]],
    );
    await publisher.outbox.close();
  });
}

test("the clock of the destination counts, not the one here", async () => {
  const [behind, ahead] = [new Date(Date.now() - 2 * HOUR), new Date(Date.now() + 2 * HOUR)];
  for (const [date, sent] of [
    [behind, ["first", "future", "past"]],
    [ahead, ["first"]],
  ]) {
    const to = server(() => answer(202, date));
    const publisher = publisherTo(to);
    await deliver(publisher, { first: undefined });
    await deliver(publisher, { past: PAST, future: FUTURE });
    assert.deepEqual(idsOf(to).sort(), sent, String(date));
    await publisher.outbox.close();
  }
});

test("every form of RFC 3339 is read, and another text expires never", async () => {
  const date = "2024-03-01T11:59:59Z";
  const past = [
    "2024-03-01T11:59:59Z",
    "2024-03-01T13:59:58.5+02:00",
    "2024-03-01t06:29:58.123456789-05:30",
    "2016-12-31T23:59:60z",
  ];
  const later = ["2024-03-01T12:10:00.001Z", "2024-03-01T11:59:59-01:00", "tomorrow", "2024", "2024-03-01", ""];
  const to = server(() => answer(202, new Date(date)));
  const publisher = publisherTo(to);
  await deliver(publisher, { first: undefined });
  const all = Object.fromEntries([...past, ...later].map((time, at) => [`${at} ${time}`, time]));
  const { report } = await deliver(publisher, all);
  assert.deepEqual(report.dead.map(({ id }) => id.slice(2)).sort(), past.toSorted());
  assert.equal(report.delivered.length, later.length);
  await publisher.outbox.close();
});

test("an event with the word in its data does not expire", async () => {
  const to = server(() => answer(202));
  const publisher = publisherTo(to);
  await deliver(publisher, { first: undefined });
  const session = publisher.session();
  session.publish(event("plain", { data: { expirytime: PAST } }));
  session.publish(event("later", { data: { expirytime: PAST }, expirytime: FUTURE }));
  const { dead, delivered } = await session.flush({ until: "delivered" });
  assert.deepEqual([dead, delivered], [[], ["plain", "later"]]);
  await publisher.outbox.close();
});

test("a later start finds the time in the store, and a replayed event is sent once", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "expiry-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "outbox");
  for (const open of [
    () => fileStore(path),
    (
      (store) => () =>
        store
    )(memoryStore()),
  ]) {
    const asleep = publisherTo(server(202), { outbox: { store: open() } });
    asleep.outbox.pause();
    const session = asleep.session();
    session.publish(event("first"));
    await session.flush();
    session.publish(event("expired", { expirytime: PAST }));
    await session.flush();
    await asleep.outbox.close();

    const to = server(() => answer(202));
    const awake = publisherTo(to, { outbox: { store: open(), batch: { maxEvents: 1 } } });
    assert.deepEqual(await awake.outbox.drain(), { delivered: 1, dead: 1, pending: 0, aborted: false });
    assert.deepEqual(idsOf(to), ["first"]);
    const [letter] = await awake.outbox.dead.list();
    assert.deepEqual([letter.id, letter.code, letter.attempts], ["expired", "ERR_EXPIRYTIME", 0]);
    awake.outbox.pause();
    assert.equal(await awake.outbox.dead.replay(), 1);
    await awake.outbox.close();

    // The store remembers that it was replayed, until it was sent.
    const failing = server(() => answer(503));
    const again = publisherTo(failing, { outbox: { store: open(), batch: { maxEvents: 1 } } });
    assert.deepEqual(await again.outbox.drain(), { delivered: 0, dead: 1, pending: 0, aborted: false });
    assert.deepEqual(idsOf(failing), ["expired"]);
    await again.outbox.dead.replay(["expired"]);
    await again.outbox.drain();
    assert.deepEqual(idsOf(failing), ["expired", "expired"], "each replay is one request");
    await again.outbox.close();
  }
});

test("a trap of the engine forgets no time", async () => {
  const to = server(() => answer(202));
  const publisher = publisherTo(to);
  await deliver(publisher, { first: undefined });
  publisher.outbox.pause();
  const session = publisher.session();
  const { delivered } = session.publish(event("expired", { expirytime: PAST }));
  const result = delivered.catch(({ code }) => code);
  await session.flush();
  const { publish } = await import("../../dist/entries/node/internals.js");
  const { trap } = await import("./outbox-fixtures.mjs");
  assert.throws(() => publish.call(trap), { code: "ERR_INTERNAL" });
  publisher.outbox.resume();
  await publisher.outbox.drain();
  assert.deepEqual([await result, idsOf(to)], ["ERR_EXPIRYTIME", ["first"]]);
  await publisher.outbox.close();
});

test("other clients of the outbox know no expirytime", async () => {
  const to = server(() => answer(202));
  const source = new PipelineDataSource({
    pipelineId: "pipe-1",
    pipelineAccessToken: "token",
    fetch: to.fetch,
    outbox: { store: memoryStore() },
  });
  const session = source.session();
  for (const id of ["first", "expired"]) session.publish({ id, expirytime: PAST.toISOString() });
  const { delivered } = await session.flush({ until: "delivered" });
  assert.equal(delivered.length, 2);
  await source.outbox.close();
});
