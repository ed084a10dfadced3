// What a closed page has not stored, while another page has the outbox open. The pages are fakes; tests/faults uses real ones.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { memoryStore } from "eventferry";
import { page } from "./fake-page.mjs";
import { event, listen, never, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const storage = {};
Object.defineProperties(storage, {
  getItem: { value: (key) => storage[key] ?? null },
  removeItem: {
    value: (key) => {
      if (delete storage[key]) queueMicrotask(() => tellPages(key, null));
    },
  },
  setItem: { value: (key, text) => (storage[key] = text) },
});
Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });

function tellPages(key, newValue) {
  page.dispatchEvent(Object.assign(new Event("storage"), { key, newValue }));
}

/** Web Locks: each name in turn. */
function lockManager() {
  const held = new Set();
  const last = new Map();
  return {
    query: async () => ({ held: [...held].map((name) => ({ name, clientId: "page" })) }),
    async request(name, ...rest) {
      const [options, body] = rest.length > 1 ? rest : [{}, rest[0]];
      if (options.ifAvailable && held.has(name)) return body(null);
      const turn = (last.get(name) ?? Promise.resolve()).then(async () => {
        held.add(name);
        return Promise.resolve(body({ name })).finally(() => held.delete(name));
      });
      last.set(
        name,
        turn.catch(() => undefined),
      );
      return turn;
    },
  };
}

const original = Object.getOwnPropertyDescriptor(globalThis, "navigator");
const setNavigator = (value) => Object.defineProperty(globalThis, "navigator", { value, configurable: true });
before(() => setNavigator({ locks: lockManager() }));
after(() => Object.defineProperty(globalThis, "navigator", original ?? { value: undefined, configurable: true }));
beforeEach(() => {
  for (const key of Object.keys(storage)) storage.removeItem(key);
});

const DURABLE = { durability: "os", isShared: true };
const leftKeys = () => Object.keys(storage).filter((key) => key.startsWith("eventferry-left/"));

/** What a page saves of these events as it is left. The storage of the origin does not have it yet. */
async function leftBy(pagehide, ids = ["1", "2"]) {
  const store = storeWith({ open: async () => DURABLE, write: never });
  const closed = publisherTo(server(never), { outbox: { store, unload: "hold" } });
  await closed.outbox.run(() => undefined, { deadlineMs: 10 });
  const session = closed.session();
  for (const id of ids) session.publish(event(id));
  page.dispatchEvent(Object.assign(new Event("pagehide"), pagehide));
  const items = leftKeys().map((key) => [key, storage.getItem(key)]);
  assert.equal(items.length, 1);
  void closed.outbox.close().catch(() => undefined);
  await sleep(20_000);
  for (const [key] of items) storage.removeItem(key);
  return items;
}

/** A page saves it now. The other pages are told. */
function save(items) {
  for (const [key, newValue] of items) {
    storage.setItem(key, newValue);
    tellPages(key, newValue);
  }
}

async function openPage(to, store, options = {}) {
  const publisher = publisherTo(to, { outbox: { store, ...options } });
  await publisher.outbox.drain();
  return publisher;
}

/** A store that several pages have open. */
function shared(calls = {}) {
  const inner = memoryStore();
  return () => ({ ...inner, open: async () => DURABLE, close: async () => undefined, ...calls });
}

test("what a closed page has left is delivered by a page that is open, once", async () => {
  const items = await leftBy({ persisted: false });
  const to = server(202);
  const store = shared();
  const pages = [await openPage(to, store()), await openPage(to, store())];
  save(items);
  await sleep(100);
  assert.deepEqual([to.ids(), leftKeys().length], [[], 1], "the write of the closed page may still be done");
  await until(() => pages[0].outbox.stats().delivered + pages[1].outbox.stats().delivered > 0);
  await sleep(60_000);
  assert.deepEqual([to.ids(), leftKeys()], [[["1", "2"]], []]);
  const next = await openPage(to, store());
  assert.deepEqual(to.ids(), [["1", "2"]]);
  for (const { outbox } of [...pages, next]) await outbox.close();
});

test("what a page has saved that may come back stays until the next start", async () => {
  for (const persisted of [true, undefined]) {
    const items = await leftBy({ persisted });
    const to = server(202);
    const store = shared();
    const open = await openPage(to, store());
    save(items);
    await sleep(60_000);
    assert.deepEqual([to.ids(), leftKeys().length], [[], 1]);
    const next = await openPage(to, store());
    assert.deepEqual([to.ids(), leftKeys()], [[["1", "2"]], []]);
    for (const { outbox } of [open, next]) await outbox.close();
  }
});

test("what a closed page did store after all is not stored again, though it was left too", async () => {
  const items = await leftBy({ persisted: false });
  const to = server(202);
  const log = [];
  const inner = memoryStore();
  const write = (change) => {
    log.push(change);
    return inner.write(change);
  };
  const open = await openPage(to, { ...inner, open: async () => DURABLE, write });
  open.outbox.pause();
  const { isGone, ...row } = JSON.parse(items[0][1]);
  assert.equal(isGone, true);
  // Of its two events the first one was delivered meanwhile.
  const [, second] = JSON.parse(`[${row.body}]`).map((one) => new TextEncoder().encode(JSON.stringify(one)));
  await inner.write({
    put: [{ ...row, body: second, sizes: Uint32Array.of(second.length) }],
    ...{ remove: [], deadPut: [], deadRemove: [] },
  });
  save(items);
  await sleep(5000);
  assert.deepEqual([log, leftKeys()], [[], []]);
  open.outbox.resume();
  await until(() => to.requests.length > 0);
  assert.deepEqual(to.ids(), [["2"]]);
  await open.outbox.close();
});

test("where pages have no locks, what was left waits for the next start", async () => {
  const items = await leftBy({ persisted: false });
  const { navigator } = globalThis;
  setNavigator({});
  const to = server(202);
  const open = await openPage(to, shared()());
  save(items);
  await sleep(60_000);
  assert.deepEqual([to.ids(), leftKeys().length], [[], 1]);
  setNavigator(navigator);
  await open.outbox.close();
});

test("what the store does not take stays, and is told of", async () => {
  const items = await leftBy({ persisted: false });
  const to = server(202);
  let isFull = false;
  const inner = memoryStore();
  const write = (change) => (isFull ? Promise.reject(new Error("full")) : inner.write(change));
  const store = shared({ write });
  const open = await openPage(to, store());
  const degraded = listen(open.outbox, "degraded");
  isFull = true;
  save(items);
  await sleep(5000);
  assert.deepEqual([degraded.length > 0, leftKeys().length], [true, 1]);
  isFull = false;
  // The next page that is closed lets this one look again.
  save(items);
  await sleep(5000);
  assert.deepEqual(leftKeys(), []);
  await open.outbox.close();
});

test("a page that closes its outbox takes nothing any more", async () => {
  const items = await leftBy({ persisted: false });
  const to = server(202);
  const open = await openPage(to, shared()());
  const degraded = listen(open.outbox, "degraded");
  save(items);
  await open.outbox.close();
  save(items);
  await sleep(60_000);
  assert.deepEqual([to.ids(), leftKeys().length, degraded], [[], 1, []]);
});

test("events of another identity are counted as held once they are stored", async () => {
  const store = shared();
  const to = server(202);
  const closed = publisherTo(server(never), {
    outbox: { store: storeWith({ open: async () => DURABLE, write: never }), unload: "hold", identity: "ann" },
  });
  await closed.outbox.run(() => undefined, { deadlineMs: 10 });
  closed.session().publish(event("1"));
  page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: false }));
  const items = leftKeys().map((key) => [key, storage.getItem(key)]);
  void closed.outbox.close().catch(() => undefined);
  await sleep(20_000);
  for (const [key] of items) storage.removeItem(key);
  const open = await openPage(to, store(), { identity: "bob" });
  assert.equal(open.outbox.stats().held, 0);
  save(items);
  await until(() => open.outbox.stats().held === 1);
  assert.deepEqual([to.ids(), leftKeys()], [[], []]);
  await open.outbox.close();
});
