// Waits: each of them ends, and leaves nothing behind.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FerryError, fileStore, memoryStore, Publisher } from "eventferry";
import { EventClient as EventsProtocolClient } from "eventferry/events-protocol";
import { PipelineDataSink, PipelineDataSource } from "eventferry/glassflow";
import { TrackedSegment, untilSegments } from "../../dist/outbox/tracked-segment.js";
import { balance, event, listen, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { realTime, sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

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

test("a file that is missing only for a moment while the store opens ends no wait", async () => {
  let failures = 1;
  const store = storeWith({
    open: async (inner, name) => {
      if (failures-- > 0) throw Object.assign(new Error("ENOENT: no such file"), { code: "ENOENT" });
      return inner.open(name);
    },
  });
  const publisher = publisherTo(server(202), { outbox: { store } });
  const session = publisher.session();
  session.publish(event("1"));
  assert.deepEqual((await session.flush()).accepted, ["1"]);
  await publisher.outbox.close();
});

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

test("headers and tokens that never come end with the timeout, the signal and close", async () => {
  const hung = () => new Promise(() => {});
  const clients = {
    headers: (options) => {
      const publisher = new Publisher({ url: "https://example.com/", headers: hung, timeoutMs: 200, ...options });
      return [(call) => publisher.send(event("1"), call), () => publisher.close()];
    },
    "a token to publish": (options) => {
      const source = new PipelineDataSource({ pipelineId: "p", pipelineAccessToken: hung, timeoutMs: 200, ...options });
      return [(call) => source.publish({}, call), () => source.close()];
    },
    "a token to consume": (options) => {
      const sink = new PipelineDataSink({ pipelineId: "p", pipelineAccessToken: hung, timeoutMs: 200, ...options });
      return [(call) => sink.consume(call), () => sink.close()];
    },
    "headers of an events-protocol client": (options) => {
      const client = new EventsProtocolClient({
        url: "https://example.com/",
        headers: hung,
        timeoutMs: 200,
        ...options,
      });
      return [(call) => client.sendEvent({ name: "a:b", payload: {} }, call), () => client.close()];
    },
  };
  for (const [name, make] of Object.entries(clients)) {
    const [call, close] = make({});
    const start = virtualClock().now();
    await assert.rejects(call({}), { code: "ERR_TIMEOUT" }, name);
    assert.ok(virtualClock().now() - start < 1000, name);
    const controller = new AbortController();
    const aborting = call({ signal: controller.signal, timeoutMs: 60_000 });
    controller.abort(new Error("enough"));
    await assert.rejects(aborting, { code: "ERR_ABORTED" }, name);
    const closing = call({ timeoutMs: 500 });
    void close();
    await assert.rejects(closing, name);
  }
});

test("an outbox whose headers never come tries again after the timeout", async () => {
  let isHung = true;
  const to = server(202);
  const publisher = publisherTo(to, {
    timeoutMs: 200,
    headers: () => (isHung ? new Promise(() => {}) : {}),
  });
  const retried = listen(publisher.outbox, "retry");
  const session = publisher.session();
  session.publish(event("1"));
  await session.flush();
  await until(() => retried.length > 0, 1000);
  assert.equal(retried[0][1].error.code, "ERR_TIMEOUT");
  isHung = false;
  assert.equal((await publisher.outbox.drain()).delivered, 1);
  await publisher.outbox.close();
});

test("a closed client no longer listens to its signal", async () => {
  const { signal } = new AbortController();
  const listening = new Set();
  for (const [method, change] of [
    ["addEventListener", (listener) => listening.add(listener)],
    ["removeEventListener", (listener) => listening.delete(listener)],
  ]) {
    const original = signal[method].bind(signal);
    signal[method] = (type, listener, options) => {
      change(listener);
      original(type, listener, options);
    };
  }
  const fetch = async () => new Response(null, { status: 204 });
  const publisher = publisherTo({ fetch }, { signal });
  await publisher.send(event("1"));
  await publisher.outbox.close();
  publisher.close();
  const source = new PipelineDataSource({ pipelineId: "p", pipelineAccessToken: "t", fetch, signal });
  await source.outbox.close();
  source.close();
  const sink = new PipelineDataSink({ pipelineId: "p", pipelineAccessToken: "t", fetch, signal });
  await sink.consume();
  await sink.close();
  assert.equal(listening.size, 0);
});

test("a replay whose write was made and reported as failed leaves the event pending, and delivers it", async () => {
  let isLost = false;
  const store = storeWith({
    write: async (inner, change) => {
      await inner.write(change);
      if (!isLost) return;
      isLost = false;
      throw new Error("the answer was lost");
    },
  });
  const to = server(400, 202);
  const publisher = publisherTo(to, { outbox: { store } });
  const session = publisher.session();
  session.publish(event("1"));
  await session.flush({ until: "delivered" });
  isLost = true;
  await assert.rejects(publisher.outbox.dead.replay(["1"]), { code: "ERR_STORE" });
  await until(() => publisher.outbox.stats().delivered === 1, 1000);
  assert.deepEqual(to.ids().flat(), ["1", "1"]);
  assert.deepEqual([publisher.outbox.stats().dead, balance(publisher.outbox.stats())], [0, 0]);
  await publisher.outbox.close();
});

test("a replay whose write was not made leaves the event dead", async () => {
  let isBroken = false;
  const store = storeWith({
    write: async (inner, change) => {
      if (isBroken) throw new Error("disk full");
      await inner.write(change);
    },
  });
  const publisher = publisherTo(server(400, 202), { outbox: { store } });
  const session = publisher.session();
  session.publish(event("1"));
  await session.flush({ until: "delivered" });
  isBroken = true;
  for (const act of ["replay", "remove"])
    await assert.rejects(publisher.outbox.dead[act](["1"]), { code: "ERR_STORE" });
  isBroken = false;
  await sleep(1000);
  assert.equal(publisher.outbox.stats().dead, 1);
  assert.equal((await publisher.outbox.dead.list(Infinity)).length, 1);
  assert.equal(await publisher.outbox.dead.replay(["1"]), 1);
  assert.equal((await publisher.outbox.drain()).delivered, 1);
  await publisher.outbox.close();
});

test("a clock that is set back between two starts does not change the order of a partition key", async () => {
  const store = memoryStore();
  const run = async (ids) => {
    const publisher = publisherTo(server(503), { outbox: { store } });
    const session = publisher.session();
    for (const id of ids) {
      session.publish(event(id, { partitionkey: "account" }));
      await session.flush();
    }
    await publisher.outbox.close();
  };
  const right = virtualClock().unixNow();
  await run(["1", "2", "3"]);
  virtualClock().setUnix(right - 3_600_000);
  await run(["4", "5"]);
  virtualClock().setUnix(right);
  const keys = (await store.peek({ events: 99, bytes: 9999, skip: new Set() })).map(({ key }) => key);
  assert.deepEqual(keys, [...keys].sort());
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store } });
  await publisher.outbox.drain();
  assert.deepEqual(to.ids().flat(), ["1", "2", "3", "4", "5"]);
  await publisher.outbox.close();
});
