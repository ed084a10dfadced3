// What a page that ends tells later pages of its requests, through localStorage. The page is a fake; tests/faults uses real ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "eventferry";
import { InFlight } from "../../dist/outbox/in-flight.js";
import { unixNow } from "../../dist/platform/clock.js";
import { page } from "./fake-page.mjs";
import { event, never, publisherTo, server } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const storage = {};
Object.defineProperties(storage, {
  getItem: { value: (key) => storage[key] ?? null },
  setItem: { value: (key, text) => (storage[key] = text) },
  removeItem: { value: (key) => delete storage[key] },
});
Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });
const clear = () => Object.keys(storage).forEach(storage.removeItem);

const DURATION_MS = 5000;
/** A page with a request for the second of three events. */
function pageWithRequest() {
  const first = new InFlight(DURATION_MS);
  first.start(1, () => [["a", 3, 1, 2]]);
  return first;
}

test("a later page knows until when a request may be in flight, and of which events", () => {
  clear();
  pageWithRequest().save();
  const next = new InFlight(DURATION_MS);
  next.load();
  const endsAt = unixNow() + DURATION_MS;
  assert.deepEqual(next.withSaved("a", 3, undefined), [0, 0, 0, 0, 0, 1, endsAt, 0, 0, 0, 0]);
  const stored = [2, 7, 1, 4, 5, 3, 6, 8, 1, 9, 0];
  assert.deepEqual(next.withSaved("a", 3, stored), [2, 7, 1, 4, 5, 3, endsAt, 8, 1, 9, 0]);
  assert.equal(stored[6], 6, "a changed copy");
  assert.equal(next.withSaved("b", 3, stored), stored);
  assert.equal(next.withSaved("a", 2, undefined), undefined, "another version of the segment");
});

test("of no account are requests that have ended, that this page has repeated, or of a page that is back", async () => {
  clear();
  const answered = pageWithRequest();
  answered.end(1);
  answered.save();
  const old = pageWithRequest();
  await sleep(DURATION_MS);
  old.save();
  assert.deepEqual(Object.keys(storage), []);
  const back = pageWithRequest();
  back.save();
  const next = new InFlight(DURATION_MS);
  next.load();
  next.start(1, () => [["a", 3, 0, 3]]);
  next.load();
  assert.equal(next.withSaved("a", 3, undefined), undefined);
  back.forget();
  assert.deepEqual(Object.keys(storage), []);
});

test("what is old or damaged is deleted, and storage that is blocked does no harm", async () => {
  clear();
  pageWithRequest().save();
  storage["eventferry-in-flight/x"] = '[["a",3,1,2],["a",3,"1",2,3],7';
  storage["eventferry-in-flight/y"] = "[7,null]";
  await sleep(DURATION_MS + 60_000);
  new InFlight(DURATION_MS).load();
  assert.deepEqual(Object.keys(storage), []);
  Object.defineProperty(globalThis, "localStorage", {
    get() {
      throw new DOMException("blocked", "SecurityError");
    },
    configurable: true,
  });
  const blocked = pageWithRequest();
  blocked.save();
  blocked.load();
  blocked.forget();
  Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });
});

test("a page does not send what the page before it has just sent, although the store does not know of that", async () => {
  clear();
  const shared = memoryStore();
  // As if all that the first page wrote about its request was lost.
  const withoutProgress = ({ progress, ...segment }) => segment;
  const store = () => ({
    ...shared,
    kind: "custom",
    open: async (...args) => ({ ...(await shared.open(...args)), durability: "os" }),
    write: ({ put, ...change }) => shared.write({ ...change, put: put.map(withoutProgress) }),
    close: async () => undefined,
  });
  const slow = server(never);
  const timeoutMs = 6000;
  const first = publisherTo(slow, { timeoutMs, outbox: { store: store() } });
  const session = first.session();
  session.publish(event(1));
  await session.flush();
  await until(() => slow.requests.length === 1);
  page.dispatchEvent(new Event("pagehide"));
  const to = server(202);
  const next = publisherTo(to, { timeoutMs, outbox: { store: store() } });
  await sleep(timeoutMs - 1000);
  assert.deepEqual([next.outbox.stats().isLeader, to.requests.length], [true, 0], "the answer may still come");
  await sleep(10_000);
  assert.deepEqual(to.ids(), [["1"]]);
  await next.outbox.close();
  void first.outbox.close().catch(() => undefined);
  await sleep(20_000);
});
