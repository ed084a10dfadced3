// How many requests a page makes: clicks share them, pages that end early do not repeat them, and a blocker is not asked
// often.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "eventferry";
import { page } from "./fake-page.mjs";
import { event, listen, never, publisherTo, server } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** A store that outlives the pages of a test. */
const lasting = () => {
  const inner = memoryStore();
  const opened = inner.open("lasting");
  return () => ({ ...inner, kind: "lasting", open: () => opened, close: async () => undefined });
};

const click = async (publisher, id, options) => {
  const session = publisher.session();
  session.publish(event(id));
  return session.flush(options);
};

test("five clicks within 250 ms are one request", async () => {
  for (const store of [lasting()(), memoryStore()]) {
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { store } });
    for (let id = 1; id <= 5; id++) {
      await click(publisher, id);
      await sleep(40);
    }
    assert.equal(to.requests.length, 0);
    await sleep(100);
    assert.deepEqual(to.ids(), [["1", "2", "3", "4", "5"]]);
    await publisher.outbox.close();
  }
});

test("who waits for the delivery, and the end of the outbox, end the wait for more events", async () => {
  for (const end of [
    (publisher) => click(publisher, 2, { until: "delivered" }),
    (publisher) => publisher.outbox.drain(),
    (publisher) => publisher.outbox.close(),
    (publisher) => publisher.outbox.keepAlive(() => undefined),
    () => page.dispatchEvent(new Event("pagehide")),
  ]) {
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { store: lasting()(), batch: { maxAgeMs: 60_000 } } });
    await click(publisher, 1);
    await sleep(10);
    assert.equal(to.requests.length, 0);
    void end(publisher);
    await until(() => to.requests.length > 0, 1000);
    await sleep(10);
    await publisher.outbox.close();
  }
});

test("pages that end before a slow server answers send an event twice at most", async () => {
  const next = lasting();
  const copies = new Map();
  const fetch = async (url, init) => {
    for (const { id } of await new Request(url, init).json()) copies.set(id, (copies.get(id) ?? 0) + 1);
    await sleep(1500);
    return new Response(null, { status: 202 });
  };
  for (let view = 0; view < 10; view++) {
    const publisher = publisherTo({ fetch }, { timeoutMs: 10_000, outbox: { store: next() } });
    await click(publisher, `${view}.1`);
    await click(publisher, `${view}.2`);
    await sleep(1000);
    await publisher.outbox.pause();
    publisher.close();
    await sleep(1);
  }
  const sent = [...copies.values()].reduce((sum, count) => sum + count, 0);
  assert.deepEqual([copies.size, sent <= 40, Math.max(...copies.values()) <= 2], [20, true, true], `${sent} copies`);
  const last = publisherTo({ fetch }, { outbox: { store: next() } });
  assert.equal((await last.outbox.drain()).aborted, false);
  await last.outbox.close();
});

test("pages that end before a slow server answers repeat no request in vain until it is long over", async () => {
  const next = lasting();
  let copies = 0;
  const visit = () => {
    let isOver = false;
    const fetch = async () => {
      copies++;
      await sleep(1500);
      // It does not reach a page that is gone.
      return isOver ? never() : new Response(null, { status: 202 });
    };
    const store = next();
    const { write } = store;
    store.write = (change) => (isOver ? never() : write(change));
    const publisher = publisherTo({ fetch }, { timeoutMs: 10_000, outbox: { store } });
    const leave = () => {
      isOver = true;
      publisher.outbox.pause();
      publisher.close();
    };
    return { publisher, leave };
  };
  const view = async (ms) => {
    const { publisher, leave } = visit();
    void publisher.outbox.run(() => undefined);
    await sleep(ms);
    leave();
  };
  const first = visit();
  await click(first.publisher, 1);
  await sleep(1000);
  first.leave();
  // On a busy machine page views take longer than a second.
  for (let views = 0; views < 12; views++) await view(2500);
  assert.equal(copies, 1);
  // Pages that are never open for long get their turn.
  for (let views = 0; views < 45; views++) await view(1000);
  assert.equal(copies, 2);
  const last = visit();
  assert.equal((await last.publisher.outbox.drain()).aborted, false);
  assert.equal(copies, 3);
  await last.publisher.outbox.close();
});

test("an extension that blocks all requests is asked once an hour, and told of", async () => {
  let requests = 0;
  const fetch = async () => {
    requests++;
    throw new TypeError("Failed to fetch");
  };
  const publisher = publisherTo({ fetch }, { outbox: { retry: { maxMs: 60_000 } } });
  const degraded = listen(publisher.outbox, "degraded");
  await click(publisher, 1);
  await sleep(24 * 60 * 60 * 1000);
  assert.ok(requests >= 24 && requests <= 45, `${requests} requests in a day`);
  assert.match(degraded[0]?.[1].error.message ?? "", /offline, CORS or an extension/);
  assert.equal(publisher.outbox.stats().pending, 1);
  await publisher.outbox.close();
});

test("a failure of CORS is named by send too, and credentials and keepalive reach the request", async () => {
  const blocked = publisherTo({ fetch: async () => Promise.reject(new TypeError("Failed to fetch")) });
  await assert.rejects(blocked.send(event(1)), { code: "ERR_NETWORK", message: /offline, CORS or an extension/ });
  for (const [options, expected] of [
    [{}, ["same-origin", false, true]],
    [{ credentials: "include", keepalive: false }, ["include", false, false]],
    [{ credentials: "omit", keepalive: true }, ["omit", true, true]],
  ]) {
    const to = server(202);
    const publisher = publisherTo(to, options);
    await publisher.send(event(1));
    await click(publisher, 2, { until: "delivered" });
    const [one, two] = to.requests.map(({ request }) => request);
    assert.deepEqual([one.credentials, one.keepalive, two.keepalive], expected);
    assert.equal(two.credentials, expected[0]);
    await publisher.outbox.close();
  }
  for (const bad of [{ credentials: "yes" }, { keepalive: 1 }])
    assert.throws(() => publisherTo(server(202), bad), { code: "ERR_INVALID_ARGUMENT", message: /received/ });
});
