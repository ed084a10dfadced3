// The bound of dead letters, and batches of which all events are refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "eventferry";
import { balance, event, listen, publisherTo, server } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const DAY_MS = 24 * 60 * 60 * 1000;
const deliver = async (publisher, ids, size = 10) => {
  const session = publisher.session();
  for (const id of ids) session.publish(event(id, { data: "x".repeat(size) }));
  return session.flush({ until: "delivered" });
};
const range = (from, to) => Array.from({ length: to - from }, (_, at) => String(from + at));

test("dead letters use a quarter of the room, and the oldest go first", async () => {
  const publisher = publisherTo(server(422), { outbox: { maxBytes: 40_000, batch: { maxEvents: 1 } } });
  const expired = listen(publisher.outbox, "dead-expired");
  for (let turn = 0; turn < 10; turn++) await deliver(publisher, range(turn * 10, turn * 10 + 10), 400);
  await sleep(100);
  const letters = await publisher.outbox.dead.list(Infinity);
  const bytes = letters.reduce((sum, { text }) => sum + text.length, 0);
  assert.ok(bytes <= 10_000 && bytes > 8000, String(bytes));
  assert.equal(letters.at(-1).id, "99");
  const { dead, deadExpired, purged } = publisher.outbox.stats();
  assert.deepEqual([dead, deadExpired, purged], [letters.length, 100 - letters.length, 100 - letters.length]);
  assert.equal(balance(publisher.outbox.stats()), 0);
  assert.deepEqual(
    expired.flatMap(([, { ids }]) => ids),
    range(0, 100 - letters.length),
  );
  await publisher.outbox.close();
});

test("after a server that refused everything for long is mended, new events are accepted and delivered", async () => {
  let status = 422;
  const to = server(() => new Response(null, { status }));
  const publisher = publisherTo(to, { outbox: { maxBytes: 100_000 } });
  for (let turn = 0; turn < 40; turn++) await deliver(publisher, range(turn * 20, turn * 20 + 20), 500);
  status = 202;
  const { delivered } = await deliver(publisher, ["new"], 20_000);
  assert.deepEqual(delivered, ["new"]);
  await publisher.outbox.close();
});

test("dead letters are removed after their age, also those of an earlier run", async () => {
  const store = memoryStore();
  const first = publisherTo(server(400), { outbox: { store } });
  await deliver(first, ["1"]);
  await sleep(29 * DAY_MS);
  assert.equal((await first.outbox.dead.list()).length, 1);
  await sleep(3 * DAY_MS);
  assert.equal((await first.outbox.dead.list()).length, 0);
  await deliver(first, ["2"]);
  await first.outbox.close();
  await sleep(32 * DAY_MS);
  const second = publisherTo(server(202), { outbox: { store } });
  const expired = listen(second.outbox, "dead-expired");
  await second.outbox.drain();
  await until(() => expired.length > 0);
  assert.deepEqual(expired[0][1].ids, ["2"]);
  await second.outbox.close();
});

test("only the tab that sends removes dead letters, and its successor goes on", async () => {
  const inner = memoryStore();
  let owner;
  const removals = [];
  const tab = (name) => ({
    ...inner,
    kind: "shared",
    open: async () => ({ durability: "os", isShared: true }),
    write: async (change) => {
      if (change.deadRemove.length > 0) removals.push(name);
      await inner.write(change);
    },
    acquire: async (candidate, ms) => {
      if (ms === 0) owner = owner === candidate ? undefined : owner;
      else owner ??= candidate;
      return owner === candidate;
    },
  });
  const options = { maxBytes: 40_000, batch: { maxEvents: 1 }, deadLetters: { maxAgeMs: 2 * DAY_MS } };
  const open = (name) => publisherTo(server(422), { outbox: { ...options, store: tab(name) } });
  const first = open("first");
  await until(() => first.outbox.stats().isLeader);
  await deliver(first, range(0, 20), 400);
  const second = open("second");
  const expired = listen(second.outbox, "dead-expired");
  await second.outbox.run(() => undefined);
  // More than a quarter of the room, which the second tab has not seen.
  await deliver(first, range(20, 40), 400);
  await sleep(1.1 * DAY_MS);
  assert.deepEqual([...new Set(removals)], ["first"]);
  assert.deepEqual([expired.length, second.outbox.stats().deadExpired], [0, 0]);
  await first.outbox.close();
  await sleep(2.1 * DAY_MS);
  assert.equal(second.outbox.stats().isLeader, true);
  assert.equal((await second.outbox.dead.list()).length, 0);
  assert.ok(removals.includes("second") && expired.length > 0);
  await second.outbox.close();
});

test("dead letters that another tab removed do not count against those that are left", async () => {
  const inner = memoryStore();
  let owner;
  const tab = () => ({
    ...inner,
    kind: "shared",
    open: async () => ({ durability: "os", isShared: true }),
    close: async () => undefined,
    acquire: async (candidate) => (owner ??= candidate) === candidate,
  });
  const options = { maxBytes: 40_000, batch: { maxEvents: 1 } };
  const first = publisherTo(server(422), { outbox: { ...options, store: tab() } });
  await until(() => first.outbox.stats().isLeader);
  const expired = listen(first.outbox, "dead-expired");
  await deliver(first, range(0, 20), 400);
  const second = publisherTo(server(422), { outbox: { ...options, store: tab() } });
  assert.equal(await second.outbox.dead.remove(range(0, 20)), 20);
  // The message to the other tab is a real one.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await deliver(first, range(20, 40), 400);
  await sleep(1000);
  assert.deepEqual([expired.length, (await first.outbox.dead.list()).length], [0, 20]);
  await second.outbox.close();
  await first.outbox.close();
});

test("the options deadLetters are followed, and checked", async () => {
  const publisher = publisherTo(server(400), { outbox: { deadLetters: { maxAgeMs: 1000, maxBytes: undefined } } });
  await deliver(publisher, ["1"]);
  await sleep(2 * DAY_MS);
  assert.equal(publisher.outbox.stats().deadExpired, 1);
  await publisher.outbox.close();
  for (const deadLetters of [5, { maxAgeMs: -1 }, { maxBytes: "1" }, { maxAge: 1 }])
    assert.throws(() => publisherTo(server(400), { outbox: { deadLetters } }), { code: "ERR_INVALID_ARGUMENT" });
});

test("a batch of which every event is refused becomes dead letters after few requests", async () => {
  const to = server(422);
  const publisher = publisherTo(to);
  await deliver(publisher, range(0, 250));
  assert.ok(to.requests.length < 40, String(to.requests.length));
  const letters = await publisher.outbox.dead.list(Infinity);
  assert.equal(letters.length, 250);
  const alone = letters.filter(({ refusedAlone }) => refusedAlone);
  assert.equal(alone.length, 8);
  assert.ok(letters.every(({ code, status }) => code === "ERR_REJECTED" && status === 422));
  assert.equal(balance(publisher.outbox.stats()), 0);
  await publisher.outbox.close();
});

test("a batch with one accepted event is halved to its end, and so is one with different refusals", async () => {
  for (const [answer, good] of [
    [
      ({ text }) => new Response(null, { status: text.includes('"id":"0"') && !text.includes('"id":"1"') ? 202 : 422 }),
      ["0"],
    ],
    [
      (() => {
        let turn = 0;
        return ({ text }) => new Response(null, { status: JSON.parse(text).length > 1 ? 422 : turn++ % 2 ? 400 : 422 });
      })(),
      [],
    ],
  ]) {
    const to = server(answer);
    const publisher = publisherTo(to);
    const { delivered, dead } = await deliver(publisher, range(0, 40));
    assert.deepEqual(delivered, good);
    assert.equal(dead.length, 40 - good.length);
    assert.ok((await publisher.outbox.dead.list(Infinity)).every(({ refusedAlone }) => refusedAlone));
    await publisher.outbox.close();
  }
});

test("replay without ids sends all dead letters again", async () => {
  let status = 400;
  const to = server(() => new Response(null, { status }));
  const publisher = publisherTo(to);
  await deliver(publisher, ["1", "2", "3"]);
  status = 202;
  assert.equal(await publisher.outbox.dead.replay(), 3);
  assert.equal((await publisher.outbox.drain()).delivered, 3);
  await assert.rejects(publisher.outbox.dead.remove(), { code: "ERR_INVALID_ARGUMENT" });
  await publisher.outbox.close();
});
