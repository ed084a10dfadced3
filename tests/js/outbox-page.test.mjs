// An outbox in a page that is hidden or closed. The page is a fake; tests/runtimes and tests/faults use real ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromRequest, memoryStore, Publisher } from "eventferry";
import { page } from "./fake-page.mjs";
import { event, listen, never, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** Compression runs in the thread pool, in real time: this counts the streams. */
const compressions = { running: 0, finished: 0 };
const { CompressionStream } = globalThis;
globalThis.CompressionStream = class {
  constructor(format) {
    const { readable, writable } = new CompressionStream(format);
    compressions.running++;
    const flush = () => {
      compressions.running--;
      compressions.finished++;
    };
    Object.assign(this, { writable, readable: readable.pipeThrough(new TransformStream({ flush })) });
  }
};

const hide = () => {
  document.visibilityState = "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
  document.visibilityState = "visible";
};

test("in binary mode a hidden page sends each event with its own headers", async () => {
  const to = server(202);
  let calls = 0;
  const publisher = publisherTo(to, {
    mode: "binary",
    headers: () => (calls++ ? never() : Promise.resolve({ "x-token": "t0ken" })),
    outbox: { concurrency: 1 },
  });
  const session = publisher.session();
  session.publish(event(1, { subject: "first" }));
  await session.flush({ until: "delivered" });
  session.publish(event(2));
  hide();
  await until(() => to.requests.length === 2);
  const { request, headers } = to.requests[1];
  const sent = await fromRequest(request.clone());
  assert.deepEqual(
    [sent.id, sent.subject, sent.data, headers.get("x-token"), request.keepalive],
    ["2", undefined, { n: 2 }, "t0ken", true],
  );
  assert.equal(session.staged, 0);
  await publisher.outbox.drain();
  await publisher.outbox.close();
});

test("a hidden page flushes its sessions, but not the session of a running run", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const session = publisher.session();
  await sleep();
  await publisher.outbox.run(async (mine) => {
    mine.publish(event("run"));
    session.publish(event("session"));
    hide();
    await until(() => to.requests.length > 0);
    assert.deepEqual([to.ids(), mine.staged, session.staged], [[["session"]], 1, 0]);
    mine.rollback();
  });
  await publisher.outbox.drain();
  await publisher.outbox.close();
});

test("with hold a hidden page stores events and sends nothing", async () => {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { unload: "hold", batch: { maxAgeMs: 10_000 } } });
  const session = publisher.session();
  const { accepted } = session.publish(event(1));
  await sleep();
  hide();
  await accepted;
  assert.equal(to.requests.length, 0);
  assert.equal((await publisher.outbox.drain()).delivered, 1);
  await publisher.outbox.close();
});

test("the keepalive budget is given back, also for cancelled requests", async () => {
  const to = server(never, 202);
  const publisher = publisherTo(to);
  const session = publisher.session();
  session.publish(event(1, { data: "x".repeat(40_000) }));
  await session.flush();
  void publisher.outbox.drain({ deadlineMs: 20 });
  await until(() => to.requests.length === 1);
  assert.equal(to.requests[0].request.keepalive, true);
  await publisher.outbox.purge();
  await sleep(1100);
  session.publish(event(2, { data: "x".repeat(40_000) }));
  await session.flush({ until: "delivered" });
  assert.equal(to.requests[1].request.keepalive, true);
  await publisher.outbox.close();
});

test("with gzip a hidden page sends more events, in bodies that were compressed at commit", async () => {
  const requests = [];
  let isUp = false;
  const fetch = async (...args) => {
    const request = new Request(...args);
    if (!isUp) return new Response(null, { status: 503 });
    const body = new Uint8Array(await request.arrayBuffer());
    requests.push({ body, headers: request.headers, keepalive: request.keepalive });
    return new Response(null, { status: 202 });
  };
  const publisher = new Publisher({
    url: "https://example.com/",
    mode: "batch",
    fetch,
    outbox: { store: memoryStore(), gzip: true, batch: { maxAgeMs: 0 }, retry: { baseMs: 60_000, maxMs: 60_000 } },
  });
  const session = publisher.session();
  // The first request fails, so that the other events wait.
  session.publish(event("first"));
  await session.flush();
  await until(() => publisher.outbox.stats().attempts === 1);
  await sleep(5);
  for (let at = 0; at < 160; at++)
    session.publish(event(at, { data: { text: "the quick brown fox jumps over the lazy dog ".repeat(30), at } }));
  await session.flush();
  await until(() => compressions.running === 0);
  assert.ok(compressions.finished > 0);
  isUp = true;
  hide();
  await until(() => publisher.outbox.stats().delivered >= 160);
  const compressed = requests.filter(({ headers }) => headers.get("content-encoding") === "gzip");
  const bytes = requests.reduce((sum, { body }) => sum + body.length, 0);
  assert.ok(bytes < 61_440, `${bytes} bytes`);
  assert.ok(compressed.length > 0 && requests.every(({ keepalive }) => keepalive));
  const ids = [];
  for (const { body, headers } of requests) {
    const text = headers.has("content-encoding")
      ? await new Response(new Blob([body]).stream().pipeThrough(new DecompressionStream("gzip"))).text()
      : new TextDecoder().decode(body);
    for (const { id } of JSON.parse(text)) ids.push(id);
  }
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.length >= 160, `${ids.length} of more than 200 kB of events`);
  await publisher.outbox.close();
});

test("coming online ends the backoff delay", async () => {
  const to = server(new TypeError("offline"), 202);
  const publisher = publisherTo(to, { outbox: { retry: { baseMs: 60_000, maxMs: 60_000 } } });
  const session = publisher.session();
  const { delivered } = session.publish(event(1));
  void session.flush({ until: "delivered" });
  await until(() => to.requests.length === 1);
  await sleep(5);
  page.dispatchEvent(new Event("online"));
  assert.equal((await delivered).attempts, 2);
  await publisher.outbox.close();
});

/** The storage of the origin. */
const storage = {};
Object.defineProperties(storage, {
  getItem: { value: (key) => storage[key] ?? null },
  removeItem: { value: (key) => delete storage[key] },
  setItem: {
    value: (key, text) => {
      if (key.length + text.length > room) throw new DOMException("full", "QuotaExceededError");
      writes++;
      storage[key] = text;
    },
  },
});
let room = Infinity;
let writes = 0;
Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });
/** The events that a page has left. What it knows of its requests is in tests/js/outbox-in-flight.test.mjs. */
const saved = () => Object.keys(storage).filter((key) => key.startsWith("eventferry-left/"));
const leave = () => page.dispatchEvent(new Event("pagehide"));
const DURABLE = { durability: "os", isShared: false };
const endlessStore = () => storeWith({ open: async () => DURABLE, write: never });

test("what is not stored when a page ends is delivered after the next start, once", async () => {
  for (const unload of ["hold", "resend"]) {
    const away = server(new TypeError("no network"));
    const first = publisherTo(away, { outbox: { store: endlessStore(), unload } });
    await first.outbox.run(() => undefined, { deadlineMs: 10 });
    const session = first.session();
    for (const id of ["1", "2"]) session.publish(event(id));
    leave();
    assert.equal(saved().length, 1, unload);
    const to = server(202);
    for (const expected of [[["1", "2"]], []]) {
      to.requests.length = 0;
      const next = publisherTo(to, { outbox: { store: storeWith({ open: async () => DURABLE }) } });
      await next.outbox.drain();
      assert.deepEqual([to.ids(), saved()], [expected, []], unload);
      await next.outbox.close();
    }
    void first.outbox.close().catch(() => undefined);
    await sleep(20_000);
  }
});

test("what is saved already is not written once more when the page is hidden after it was closed", async () => {
  const publisher = publisherTo(server(202), { outbox: { store: endlessStore(), unload: "hold" } });
  await publisher.outbox.run(() => undefined, { deadlineMs: 10 });
  const session = publisher.session();
  session.publish(event(1));
  writes = 0;
  leave();
  hide();
  assert.deepEqual([saved().length, writes], [1, 1]);
  session.publish(event(2));
  hide();
  assert.deepEqual([saved().length, writes], [2, 2]);
  for (const key of saved()) storage.removeItem(key);
  void publisher.outbox.close().catch(() => undefined);
  await sleep(20_000);
});

test("what was sent from memory before the page ends is not saved for the next start", async () => {
  const full = { open: async () => DURABLE, write: async () => Promise.reject(new Error("full")) };
  const classify = (_, events) => events.map(({ id }) => (id === "2" ? "retry" : "delivered"));
  const first = publisherTo(server(202), {
    classify,
    outbox: { store: storeWith(full), unload: "hold", retry: { baseMs: 60_000, maxMs: 60_000 } },
  });
  await sleep(10);
  const session = first.session();
  const [one] = ["1", "2", "3"].map((id) => session.publish(event(id)));
  session.commit();
  await one.delivered;
  leave();
  const to = server(202);
  const next = publisherTo(to, { outbox: { store: storeWith({ open: async () => DURABLE }) } });
  await next.outbox.drain();
  assert.deepEqual([to.ids(), saved()], [[["2"]], []]);
  await next.outbox.close();
  void first.outbox.close().catch(() => undefined);
  await sleep(20_000);
});

test("a page that lives on leaves nothing behind, and neither does one that purges", async () => {
  const publisher = publisherTo(server(202), { outbox: { store: storeWith({ open: async () => DURABLE }) } });
  await sleep();
  const session = publisher.session();
  session.publish(event(1));
  hide();
  leave();
  await until(() => publisher.outbox.stats().accepted === 1);
  assert.deepEqual(saved(), []);
  await publisher.outbox.close();
  const purging = publisherTo(server(202), { outbox: { store: endlessStore(), unload: "hold" } });
  await purging.outbox.run(() => undefined, { deadlineMs: 10 });
  purging.session().publish(event(1));
  leave();
  assert.equal(saved().length, 1);
  void purging.outbox.purge().catch(() => undefined);
  await sleep(1);
  assert.deepEqual(saved(), []);
  void purging.outbox.close().catch(() => undefined);
  await sleep(20_000);
});

test("events that find no room when a page ends are told of as degraded", async () => {
  const publisher = publisherTo(server(202), { outbox: { store: endlessStore(), unload: "hold" } });
  const degraded = listen(publisher.outbox, "degraded");
  await publisher.outbox.run(() => undefined, { deadlineMs: 10 });
  const session = publisher.session();
  for (const id of ["1", "2", "3"]) session.publish(event(id));
  room = 10;
  leave();
  leave();
  assert.deepEqual(
    degraded.map(([, { error }]) => [error.code, /3 events are stored.*no room/.test(error.message)]),
    [["ERR_STORE", true]],
  );
  room = Infinity;
  void publisher.outbox.close().catch(() => undefined);
  await sleep(20_000);
});

test("a store in memory leaves nothing behind", async () => {
  const publisher = publisherTo(server(never), { outbox: { unload: "hold" } });
  for (const key of Object.keys(storage)) storage.removeItem(key);
  await sleep();
  publisher.session().publish(event(1));
  leave();
  assert.deepEqual(Object.keys(storage), []);
  await publisher.outbox.close();
});

test("a page that does not lead sends its own events when it is hidden, except those that have to wait for older ones", async () => {
  let asked = 0;
  const follower = {
    ...storeWith({ open: async () => ({ durability: "os", isShared: true }), write: never }),
    acquire: async () => ++asked > 1000 && never(),
  };
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store: follower } });
  await sleep(100);
  assert.equal(publisher.outbox.stats().isLeader, false);
  const session = publisher.session();
  session.publish(event("1"));
  session.publish(event("2", { partitionkey: "k" }));
  hide();
  await until(() => to.requests.length > 0);
  assert.ok(asked < 5, `${asked} questions`);
  leave();
  assert.deepEqual([to.ids(), to.requests[0].request.keepalive], [[["1"]], true]);
  const left = saved().map((key) => storage[key]);
  assert.ok(left.length === 1 && left[0].includes("partitionkey"));
  void publisher.outbox.close().catch(() => undefined);
  await sleep(20_000);
});
