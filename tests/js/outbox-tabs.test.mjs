// Two outboxes on one store, of which one sends: what the other knows of its own events. Real tabs are tried in tests/faults.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FerryError, memoryStore } from "eventferry";
import { TrackedSegment } from "../../dist/outbox/tracked-segment.js";
import { balance, event, listen, never, publisherTo, server, until } from "./outbox-world.mjs";

/** A store that tabs share: the first that asks leads until it closes. */
function shared() {
  const inner = memoryStore();
  let owner;
  const tab = () => ({
    ...inner,
    kind: "shared",
    open: async () => ({ durability: "os", isShared: true }),
    write: (change) => inner.write(change),
    peek: (what) => inner.peek(what),
    dead: (limit) => inner.dead(limit),
    count: () => inner.count(),
    close: async () => undefined,
    acquire: async (who, ms) => {
      if (ms === 0) owner = owner === who ? undefined : owner;
      else owner ??= who;
      return owner === who;
    },
  });
  return { tab };
}

/** A tab that sends, to a server with these answers, and another that does not. */
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

test("receipts that are asked after another tab has delivered a part of their flush know it, and so does the report", async () => {
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

test("receipts that are asked after another tab has buried their events know why, and so does the report", async () => {
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

test("receipts of a flush of which the store has less than was put there: what is missing was delivered by another", async () => {
  const packet = (...ids) =>
    Object.assign(new TrackedSegment(), { sizes: ids.map(() => 1), left: ids.length, isAccepted: true });
  const [mine, found] = [packet("1", "2", "3"), packet("2", "3")];
  const asked = [mine.wait(0, "1", true), mine.wait(1, "2", true)];
  let isSettled = false;
  mine.watch(() => (isSettled = mine.left === 0));
  found.follow(mine, (index) => ["2", "3"][index]);
  found.deliver(0, 1, 202, 3);
  const nobodySaid = { status: 0, attempts: 0, ids: ["1"] };
  assert.deepEqual(await Promise.all(asked), [nobodySaid, { status: 202, attempts: 3, ids: ["2"] }]);
  assert.deepEqual(await mine.wait(0, "1", true), nobodySaid, "also when somebody asks only now");
  assert.deepEqual((await mine.wait(1, "2", true)).status, 202);
  assert.deepEqual([mine.isUntouched, ["1", "2", "3"].map((id, index) => mine.stateOf(index, id))], [false, [1, 1, 0]]);
  const last = mine.wait(2, "3", true);
  const problem = new FerryError("ERR_REJECTED");
  found.die(1, problem, { code: problem.code });
  await assert.rejects(last, problem);
  assert.deepEqual([mine.stateOf(2, "3"), mine.deathOf(2, "3").problem, isSettled], [2, problem, true]);
});

test("a store that is too full for a lease: events are sent all the same, because nothing else makes room", async () => {
  for (const full of [
    () => {
      throw new Error("no room");
    },
    () => Promise.reject(new Error("no room")),
  ]) {
    const store = { ...shared().tab(), acquire: full };
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { store } });
    const told = listen(publisher.outbox, "degraded");
    const session = publisher.session();
    session.publish(event(1));
    const { delivered, aborted } = await session.flush({ until: "delivered", deadlineMs: 2000 });
    assert.deepEqual([delivered, aborted, publisher.outbox.stats().isLeader], [["1"], false, true]);
    assert.deepEqual(
      told.map(([, { error }]) => [error.code, error.message]),
      [["ERR_STORE", "shared: no room"]],
    );
    await publisher.outbox.close();
  }
});

test("a platform that has locks and refuses them: events are sent all the same", async () => {
  const was = Object.getOwnPropertyDescriptor(globalThis, "navigator");
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
    if (was) Object.defineProperty(globalThis, "navigator", was);
    else delete globalThis.navigator;
  }
});

test("what was known of events before the store had less of them stays known: the dead are not taken for delivered", async () => {
  const packet = (...ids) =>
    Object.assign(new TrackedSegment(), { sizes: ids.map(() => 1), left: ids.length, isAccepted: true });
  const [mine, found] = [packet("1", "2", "3"), packet("3")];
  const problem = new FerryError("ERR_REJECTED");
  mine.settleElsewhere(["1"], 400, 2, problem);
  mine.deliver(1, 2, 202, 1);
  found.follow(mine, () => "3");
  await assert.rejects(mine.wait(0, "1", true), problem);
  assert.deepEqual(await mine.wait(1, "2", true), { status: 202, attempts: 1, ids: ["2"] });
  assert.deepEqual(
    [["1", "2", "3"].map((id, index) => mine.stateOf(index, id)), mine.deathOf(0, "1")],
    [[2, 1, 0], { problem, attempts: 2 }],
  );
});
