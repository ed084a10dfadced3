// Waits: each of them ends, and leaves nothing behind.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FerryError, fileStore, memoryStore } from "eventferry";
import { TrackedSegment, untilSegments } from "../../dist/outbox/tracked-segment.js";
import { balance, event, listen, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { realTime, sleep, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** A store whose `open` fails with this error until `mend` is called. */
function closedStore(error) {
  let isMended = false;
  const store = storeWith({
    open: async (inner, name) => {
      if (!isMended) throw error;
      return inner.open(name);
    },
  });
  return {
    store,
    mend: () => {
      isMended = true;
    },
  };
}

const isStoreError = { code: "ERR_STORE" };

for (const [what, error] of [
  ["a missing folder", Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT" })],
  ["no permission in Deno", Object.assign(new Error("Requires write access"), { name: "NotCapable" })],
  ["no IndexedDB", new ReferenceError("indexedDB is not defined")],
  ["a store that says so", new FerryError("ERR_STORE", "no", { retryable: false })],
]) {
  test(`a store that cannot open ends all waits at once: ${what}`, async () => {
    const { store, mend } = closedStore(error);
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { store } });
    const degraded = listen(publisher.outbox, "degraded");
    const session = publisher.session();
    const start = virtualClock().now();
    const receipt = session.publish(event("1"));
    const accepted = assert.rejects(receipt.accepted, isStoreError);
    await assert.rejects(session.flush(), isStoreError);
    await accepted;
    await assert.rejects(publisher.outbox.drain(), isStoreError);
    await assert.rejects(publisher.outbox.dead.list(), isStoreError);
    assert.ok(virtualClock().now() - start < 1000);
    assert.ok(degraded.length > 0);
    assert.deepEqual([session.staged, publisher.outbox.stats().staged, publisher.outbox.stats().pending], [1, 1, 0]);
    session.publish(event("2"));
    mend();
    const { accepted: ids } = await session.flush();
    assert.deepEqual(ids, ["1", "2"]);
    await receipt.accepted;
    await publisher.outbox.drain();
    assert.deepEqual(to.ids().flat(), ["1", "2"]);
    assert.equal(balance(publisher.outbox.stats()), 0);
    await publisher.outbox.close();
  });
}

test("a store that may open later ends all waits after 30 s, and no timer is left", async () => {
  const { store, mend } = closedStore(new Error("busy"));
  const publisher = publisherTo(server(202), { outbox: { store } });
  const session = publisher.session();
  session.publish(event("1"));
  const start = virtualClock().now();
  await assert.rejects(session.flush(), isStoreError);
  const took = virtualClock().now() - start;
  assert.ok(took > 20_000 && took <= 31_000, String(took));
  assert.equal(virtualClock().timers(), 0);
  mend();
  assert.deepEqual((await session.flush()).accepted, ["1"]);
  await publisher.outbox.close();
});

test("events that wait for a store stay within the limit, can be rolled back, and are rolled back by run", async () => {
  const { store, mend } = closedStore(Object.assign(new Error("no"), { code: "EACCES" }));
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store, maxBytes: 2000 } });
  const session = publisher.session();
  let published = 0;
  for (let turn = 0; turn < 50; turn++) {
    try {
      session.publish(event(`${turn}`));
      published++;
    } catch (error) {
      assert.equal(error.code, "ERR_QUEUE_FULL");
    }
    await assert.rejects(session.flush(), isStoreError);
  }
  assert.ok(published > 5 && published < 50, String(published));
  assert.equal(session.staged, published);
  assert.equal(session.rollback().length, published);
  assert.deepEqual([session.staged, publisher.outbox.stats().bytes], [0, 0]);
  await assert.rejects(
    publisher.outbox.run((own) => void own.publish(event("run"))),
    isStoreError,
  );
  assert.equal(publisher.outbox.stats().staged, 0);
  mend();
  await publisher.outbox.run((own) => void own.publish(event("again")));
  await publisher.outbox.drain();
  assert.deepEqual(to.ids().flat(), ["again"]);
  await publisher.outbox.close();
});

test("with drop-oldest, events that wait for a store are dropped for newer ones", async () => {
  const { store, mend } = closedStore(Object.assign(new Error("no"), { code: "EROFS" }));
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store, maxBytes: 2000, overflow: "drop-oldest" } });
  const session = publisher.session();
  const receipts = [];
  for (let turn = 0; turn < 40; turn++) {
    receipts.push(session.publish(event(`${turn}`)));
    await assert.rejects(session.flush(), isStoreError);
  }
  mend();
  const { accepted } = await session.flush();
  assert.equal(accepted.at(-1), "39");
  assert.ok(accepted.length < 40);
  for (const receipt of receipts)
    if (accepted.includes(receipt.id)) await receipt.accepted;
    else await assert.rejects(receipt.accepted, { code: "ERR_QUEUE_FULL" });
  await publisher.outbox.drain();
  assert.deepEqual(to.ids().flat(), accepted);
  await publisher.outbox.close();
});

test("files that are no place for an outbox end all waits at once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "eventferry-waits-"));
  mkdirSync(join(folder, "folder"));
  writeFileSync(join(folder, "file"), "not ours\n");
  for (const path of ["folder", "file/log", "missing/log", "file"]) {
    const publisher = publisherTo(server(202), { outbox: { store: fileStore(join(folder, path)) } });
    const session = publisher.session();
    session.publish(event("1"));
    await realTime(assert.rejects(session.flush(), { code: "ERR_STORE", retryable: false }, path));
    assert.equal(session.staged, 1);
    await publisher.outbox.close();
  }
  rmSync(folder, { recursive: true });
});

test("flushes that ended at their deadline leave no watcher behind", async () => {
  const watched = [];
  for (let count = 0; count < 3; count++) {
    const segment = new TrackedSegment();
    const { watch, unwatch } = segment;
    const open = new Set();
    segment.watch = (watcher) => {
      open.add(watcher);
      watch.call(segment, watcher);
    };
    segment.unwatch = (watcher) => {
      open.delete(watcher);
      unwatch.call(segment, watcher);
    };
    watched.push([segment, open]);
  }
  const segments = watched.map(([segment]) => segment);
  assert.equal(await untilSegments(segments, () => false, undefined, 5), false);
  assert.equal(await untilSegments(segments, () => false, AbortSignal.abort(), undefined), false);
  for (const [, open] of watched) assert.equal(open.size, 0);
});

test("a clock that was wrong costs no event its only attempt", async () => {
  const store = memoryStore();
  const to = server(new TypeError("offline"));
  const first = publisherTo(to, { outbox: { store } });
  const session = first.session();
  session.publish(event("1"));
  await session.flush();
  await first.outbox.close();
  const [segment] = await store.peek({ events: 1, bytes: 1, skip: new Set() });
  await store.write({ put: [{ ...segment, at: 1000 }], remove: [], deadPut: [], deadRemove: [] });
  const online = server(202);
  const second = publisherTo(online, { outbox: { store } });
  assert.deepEqual(await second.outbox.drain(), { delivered: 1, dead: 0, pending: 0, aborted: false });
  await second.outbox.close();
});

test("an event that is too old becomes a dead letter after it was tried", async () => {
  const to = server(503);
  const publisher = publisherTo(to, { outbox: { retry: { maxAgeMs: 1 } } });
  const session = publisher.session();
  session.publish(event("1"));
  await session.flush({ until: "delivered" });
  const [letter] = await publisher.outbox.dead.list();
  assert.equal(letter.code, "ERR_EXPIRED");
  assert.ok(letter.attempts >= 1);
  await sleep(10);
  await publisher.outbox.close();
});

test("giveUpAfter makes a dead letter of an event that has failed so often, with the last error", async () => {
  const to = server(({ text }) => new Response(null, { status: text.includes("bad") ? 503 : 202 }));
  const publisher = publisherTo(to, { outbox: { giveUpAfter: 3, batch: { maxEvents: 1 } } });
  const session = publisher.session();
  for (const id of ["bad", "good"]) session.publish(event(id));
  await session.flush({ until: "delivered" });
  const letters = await publisher.outbox.dead.list();
  assert.deepEqual(
    letters.map(({ id, code, status, attempts }) => [id, code, status, attempts]),
    [["bad", "ERR_UNAVAILABLE", 503, 3]],
  );
  assert.deepEqual([publisher.outbox.stats().delivered, balance(publisher.outbox.stats())], [1, 0]);
  await publisher.outbox.close();
  for (const giveUpAfter of [0, 256, 1.5, "3"])
    assert.throws(() => publisherTo(to, { outbox: { giveUpAfter } }), { code: "ERR_INVALID_ARGUMENT" });
});
