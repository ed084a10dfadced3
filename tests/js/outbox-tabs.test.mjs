// Two outboxes with one store, of which one sends: what the other knows of its own events. tests/faults has real tabs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FerryError, memoryStore } from "eventferry";
import { TrackedSegment } from "../../dist/entries/node/internals.js";
import { balance, event, listen, never, publisherTo, server } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** A store that tabs share: the first one leads until it closes. */
function shared() {
  const inner = memoryStore();
  let owner;
  const tab = () => ({
    ...inner,
    kind: "shared",
    open: async () => ({ durability: "os", isShared: true }),
    write: (change) => inner.write(change),
    peek: (limit) => inner.peek(limit),
    dead: (limit) => inner.dead(limit),
    count: () => inner.count(),
    close: async () => undefined,
    acquire: async (candidate, ms) => {
      if (ms === 0) owner = owner === candidate ? undefined : owner;
      else owner ??= candidate;
      return owner === candidate;
    },
  });
  return { tab };
}

/** A tab that sends to a server with these answers, and a second tab that does not send. */
async function twoTabs(...answers) {
  const store = shared();
  const to = server(...answers);
  const open = () => publisherTo(to, { outbox: { store: store.tab(), batch: { maxEvents: 2 } } });
  const first = open();
  await until(() => first.outbox.stats().isLeader);
  const second = open();
  await second.outbox.run(() => undefined);
  assert.equal(second.outbox.stats().isLeader, false);
  const session = second.session();
  const receipts = [1, 2, 3, 4].map((id) => session.publish(event(id)));
  return { to, first, second, session, receipts };
}

const close = async (...publishers) => {
  for (const publisher of publishers) await publisher.outbox.close();
};

test("receipts and report know which events of a flush another tab has delivered", async () => {
  const { to, first, second, session, receipts } = await twoTabs(202, never);
  const flushed = session.flush({ until: "delivered", deadlineMs: 300 });
  await until(() => to.requests.length === 2);
  await until(() => second.outbox.stats().delivered === 2);
  assert.deepEqual(await receipts[0].delivered, { status: 202, attempts: 1, ids: ["1"] });
  const { accepted, delivered, pending, dead, aborted } = await flushed;
  assert.deepEqual(
    [accepted, delivered, pending, dead, aborted],
    [["1", "2", "3", "4"], ["1", "2"], ["3", "4"], [], true],
  );
  assert.equal(balance(second.outbox.stats()), 0);
  await close(second, first);
});

test("receipts and report know why another tab has kept events as dead letters", async () => {
  const { to, first, second, session, receipts } = await twoTabs(400, 400, 202, 202);
  const flushed = session.flush({ until: "delivered", deadlineMs: 2000 });
  await until(() => second.outbox.stats().delivered + second.outbox.stats().dead === 4);
  const { dead, delivered, pending } = await flushed;
  assert.deepEqual([dead.length + delivered.length, pending], [4, []]);
  for (const { id, code, status } of dead) {
    assert.deepEqual([code, status], ["ERR_REJECTED", 400]);
    await assert.rejects(receipts[id - 1].delivered, { code: "ERR_REJECTED" });
  }
  assert.ok(dead.length > 0 && to.requests.length >= 3);
  await close(second, first);
});

test("events that are missing when their segment is found again were delivered by another tab", async () => {
  const segmentOf = (...ids) =>
    Object.assign(new TrackedSegment(), { sizes: ids.map(() => 1), pending: ids.length, isAccepted: true });
  const [mine, found] = [segmentOf("1", "2", "3"), segmentOf("2", "3")];
  const waiting = [mine.wait(0, "1", true), mine.wait(1, "2", true)];
  let isSettled = false;
  mine.watch(() => {
    isSettled = mine.pending === 0;
    return isSettled;
  });
  found.replace(mine, (index) => ["2", "3"][index]);
  found.markDelivered(0, 1, 202, 3);
  const unknown = { status: 0, attempts: 0, ids: ["1"] };
  assert.deepEqual(await Promise.all(waiting), [unknown, { status: 202, attempts: 3, ids: ["2"] }]);
  assert.deepEqual(await mine.wait(0, "1", true), unknown, "also for a later call");
  assert.deepEqual((await mine.wait(1, "2", true)).status, 202);
  assert.deepEqual([mine.isUntouched, ["1", "2", "3"].map((id, index) => mine.stateOf(index, id))], [false, [1, 1, 0]]);
  const last = mine.wait(2, "3", true);
  const error = new FerryError("ERR_REJECTED");
  found.markDead(1, error, { code: error.code });
  await assert.rejects(last, error);
  assert.deepEqual([mine.stateOf(2, "3"), mine.deadInfoOf(2, "3").error, isSettled], [2, error, true]);
});

test("events are sent if the store is too full for a lease, because only sending frees space", async () => {
  for (const full of [
    () => {
      throw new Error("disk full");
    },
    () => Promise.reject(new Error("disk full")),
  ]) {
    const store = { ...shared().tab(), acquire: full };
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { store } });
    const dispatched = listen(publisher.outbox, "degraded");
    const session = publisher.session();
    session.publish(event(1));
    const { delivered, aborted } = await session.flush({ until: "delivered", deadlineMs: 2000 });
    assert.deepEqual([delivered, aborted, publisher.outbox.stats().isLeader], [["1"], false, true]);
    assert.deepEqual(
      dispatched.map(([, { error }]) => [error.code, error.message]),
      [["ERR_STORE", "shared: disk full"]],
    );
    await publisher.outbox.close();
  }
});

test("events are sent if the platform refuses locks", async () => {
  const original = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const refuse = async () => {
    throw new DOMException("storage is not allowed here", "SecurityError");
  };
  const busy = { request: async (_, { ifAvailable }, body) => (ifAvailable ? body(null) : refuse()) };
  try {
    for (const locks of [{ request: refuse }, busy]) {
      Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
      const publisher = publisherTo(server(202), { outbox: { store: shared().tab() } });
      const session = publisher.session();
      session.publish(event(1));
      assert.deepEqual((await session.flush({ until: "delivered", deadlineMs: 2000 })).delivered, ["1"]);
      assert.equal(publisher.outbox.stats().isLeader, true);
      await publisher.outbox.close();
    }
  } finally {
    if (original) Object.defineProperty(globalThis, "navigator", original);
    else delete globalThis.navigator;
  }
});

test("events that became dead letters stay dead when their segment is found again without them", async () => {
  const segmentOf = (...ids) =>
    Object.assign(new TrackedSegment(), { sizes: ids.map(() => 1), pending: ids.length, isAccepted: true });
  const [mine, found] = [segmentOf("1", "2", "3"), segmentOf("3")];
  const error = new FerryError("ERR_REJECTED");
  mine.settleElsewhere(["1"], 400, 2, error);
  mine.markDelivered(1, 2, 202, 1);
  found.replace(mine, () => "3");
  await assert.rejects(mine.wait(0, "1", true), error);
  assert.deepEqual(await mine.wait(1, "2", true), { status: 202, attempts: 1, ids: ["2"] });
  assert.deepEqual(
    [["1", "2", "3"].map((id, index) => mine.stateOf(index, id)), mine.deadInfoOf(0, "1")],
    [[2, 1, 0], { error, attempts: 2 }],
  );
});

test("a channel that cannot post does not end the delivery", async (t) => {
  const { BroadcastChannel } = globalThis;
  globalThis.BroadcastChannel = class extends EventTarget {
    postMessage() {
      throw new TypeError("expected i32");
    }
    close() {}
  };
  t.after(() => {
    globalThis.BroadcastChannel = BroadcastChannel;
  });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store: shared().tab() } });
  const session = publisher.session();
  const receipts = [1, 2].map((id) => session.publish(event(id)));
  await session.flush({ until: "delivered" });
  for (const { delivered } of receipts) await delivered;
  assert.equal((await publisher.outbox.drain()).aborted, false);
  await close(publisher);
});

test("news of another tab that are faster than the end of the own write settle the receipts", async () => {
  const inner = memoryStore();
  let isHeld = false;
  const held = [];
  const tab = (isSlow) => ({
    kind: "fast-news",
    open: async () => ({ durability: "os", isShared: true, supportsPrefix: true }),
    write: async (change) => {
      await inner.write(change);
      if (isSlow && isHeld) await new Promise((resolve) => held.push(resolve));
    },
    peek: (limit) => inner.peek(limit),
    dead: (limit, prefix) => inner.dead(limit, prefix),
    count: (prefix) => inner.count(prefix),
    close: async () => undefined,
    acquire: async () => !isSlow,
  });
  for (const status of [202, 400]) {
    isHeld = false;
    const to = server(status);
    const first = publisherTo(to, { outbox: { store: tab(false), name: `news-${status}` } });
    await until(() => first.outbox.stats().isLeader);
    const second = publisherTo(to, { outbox: { store: tab(true), name: `news-${status}` } });
    await second.outbox.run(() => undefined);
    isHeld = true;
    const session = second.session();
    const receipts = [1, 2].map((id) => session.publish(event(id)));
    const flushed = session.flush({ until: "delivered" });
    await until(() => held.length > 0);
    // The other tab finds and settles them, and tells of it, before the write has ended here.
    const [{ key }] = await inner.peek({ events: 1, bytes: 1, skip: new Set() });
    const channel = new BroadcastChannel(`eventferry:fast-news::${key.split(".")[0]}`);
    channel.postMessage({ isNew: true });
    await until(() => first.outbox.stats().delivered + first.outbox.stats().dead === 2);
    channel.close();
    await sleep(10);
    isHeld = false;
    for (const release of held.splice(0)) release();
    await flushed;
    for (const { delivered } of receipts)
      if (status === 202) await delivered;
      else await assert.rejects(delivered, { code: "ERR_REJECTED" });
    assert.equal((await second.outbox.drain()).pending, 0);
    assert.equal(balance(second.outbox.stats()), 0);
    await close(second, first);
  }
});
