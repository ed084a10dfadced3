// Stores in Node that fail for a while, and stores that never answer. The same for browsers is in browser-storage.mjs.
import { CloudEvent, memoryStore, Publisher } from "../../dist/entries/index.js";
import { collect, ensure, ensureNothingLost, sleep } from "./collector.mjs";

const ERROR_NAMES = ["QuotaExceededError", "AbortError", "InvalidStateError"];
const METHODS = ["open", "count", "write", "peek", "dead", "close", "wakeAt"];

export async function storage(tally) {
  for (const name of ERROR_NAMES) {
    await tally.check(`events are delivered while the store throws ${name} and the server works`, () =>
      failsWithServer(name),
    );
    await tally.check(
      `events are accepted once a store that threw ${name} works, while the server is unavailable`,
      () => failsWithoutServer(name),
    );
  }
  await tally.check("events are delivered after every method of the store threw synchronously", throwsSynchronously);
  await tally.check("a store whose wakeAt fails still writes, and gets its alarm once wakeAt works", wakeAtFails);
  await Promise.all(
    METHODS.map((method) =>
      tally.check(`flush, drain and close return although ${method} of the store never answers`, () => hangs(method)),
    ),
  );
}

/** A memory store. Before each call `intercept` may throw or return another result. */
function interceptedStore(intercept) {
  const inner = { ...memoryStore(), wakeAt: async () => undefined };
  const store = { kind: "memory", inner, calls: [] };
  for (const method of METHODS) {
    store[method] = (...args) => {
      store.calls.push(method);
      return intercept(method) ?? inner[method](...args);
    };
  }
  return store;
}

/** Runs a body with a publisher. An unhandled rejection fails the check. */
async function withPublisher(store, options, body) {
  const collector = await collect();
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on("unhandledRejection", note);
  const publisher = new Publisher({
    url: `${collector.url}collect`,
    timeoutMs: 1000,
    outbox: { store, batch: { maxAgeMs: 0 }, retry: { baseMs: 20, maxMs: 200 }, ...options },
  });
  const degraded = [];
  publisher.outbox.addEventListener("degraded", ({ detail }) => degraded.push(detail.error));
  try {
    const remark = await body({
      collector,
      publisher,
      outbox: publisher.outbox,
      degraded,
      publish: (session, count) => publish(session, count),
    });
    await sleep(20);
    ensure(unhandled.length === 0, `unhandled: ${unhandled[0]?.stack}`);
    return remark;
  } finally {
    publisher.close();
    process.off("unhandledRejection", note);
    await collector.close();
  }
}

let number = 0;
const publish = (session, count) =>
  Array.from({ length: count }, () =>
    session.publish(new CloudEvent({ id: `${number++}`, type: "t", source: "/storage", data: "x".repeat(100) })),
  );
const idsOf = (receipts) => receipts.map(({ id }) => id);
const failing = (name) => Promise.reject(new DOMException("thrown by the test", name));

async function failsWithServer(name) {
  let isFailing = false;
  const store = interceptedStore((method) => (isFailing && method === "write" ? failing(name) : undefined));
  return withPublisher(store, {}, async ({ collector, publisher, outbox, degraded }) => {
    const session = publisher.session();
    const before = publish(session, 10);
    await session.flush();
    isFailing = true;
    const during = publish(session, 10);
    const { aborted } = await session.flush({ deadlineMs: 5000 });
    ensure(!aborted, "delivered events do not count as accepted");
    await Promise.all(during.map(({ accepted, delivered }) => Promise.all([accepted, delivered])));
    ensure(degraded.length === 1 && degraded[0].code !== undefined, `${degraded.length} degraded events`);
    isFailing = false;
    const after = publish(session, 10);
    await session.flush({ until: "delivered" });
    await outbox.drain({ deadlineMs: 6000 });
    ensureNothingLost(collector, idsOf([...before, ...during, ...after]));
    ensure((await store.inner.count()).events === 0, "the store still contains events");
    ensure(outbox.stats().accepted === 30 && outbox.stats().pending === 0, `stats: ${JSON.stringify(outbox.stats())}`);
  });
}

async function failsWithoutServer(name) {
  let isFailing = true;
  const store = interceptedStore((method) => (isFailing && method === "write" ? failing(name) : undefined));
  return withPublisher(store, {}, async ({ collector, publisher, outbox, degraded }) => {
    collector.behave = () => ({ status: 503 });
    const session = publisher.session();
    const receipts = publish(session, 10);
    const report = await session.flush({ deadlineMs: 300 });
    ensure(
      report.aborted && report.accepted.length === 0 && report.pending.length === 10,
      "events that are neither stored nor delivered count as accepted",
    );
    ensure(degraded.length === 1, `${degraded.length} degraded events`);
    isFailing = false;
    await Promise.all(receipts.map(({ accepted }) => accepted));
    ensure((await store.inner.count()).events === 10, "the events were not stored once the store worked");
    collector.behave = () => ({});
    const drained = await outbox.drain({ deadlineMs: 5000 });
    ensure(!drained.aborted, "the events were not delivered");
    ensureNothingLost(collector, idsOf(receipts));
  });
}

async function throwsSynchronously() {
  let isFailing = true;
  const store = interceptedStore(() => {
    if (isFailing) throw new TypeError("thrown synchronously by the test");
  });
  return withPublisher(store, {}, async ({ collector, publisher, outbox, degraded }) => {
    const session = publisher.session();
    const receipts = publish(session, 10);
    ensure((await session.flush({ deadlineMs: 300 })).aborted, "the events were accepted without a store");
    isFailing = false;
    await session.flush({ until: "delivered", deadlineMs: 5000 });
    isFailing = true;
    receipts.push(...publish(session, 10));
    await session.flush({ until: "delivered", deadlineMs: 2000 });
    isFailing = false;
    await outbox.drain({ deadlineMs: 6000 });
    ensureNothingLost(collector, idsOf(receipts));
    ensure(degraded.length > 0, "no degraded event was emitted");
  });
}

async function wakeAtFails() {
  let isFailing = true;
  const store = interceptedStore((method) => (isFailing && method === "wakeAt" ? failing("Error") : undefined));
  return withPublisher(store, {}, async ({ collector, publisher }) => {
    collector.behave = () => ({ status: 503 });
    const session = publisher.session();
    publish(session, 1);
    await session.flush({ deadlineMs: 300 });
    isFailing = false;
    const before = store.calls.length;
    publish(session, 1);
    await session.flush({ deadlineMs: 6000 });
    ensure(store.calls.slice(before).includes("wakeAt"), "wakeAt was not called again");
  });
}

async function hangs(method) {
  let isFailing = method !== "write" && method !== "peek";
  const store = interceptedStore((called) =>
    isFailing && called === method ? new Promise(() => undefined) : undefined,
  );
  return withPublisher(store, { maxBytes: 10_000 }, async ({ collector, publisher, outbox }) => {
    const session = publisher.session();
    publish(session, 1);
    if (!isFailing) await session.flush();
    isFailing = true;
    collector.behave = () => ({ status: 503 });
    publish(session, 1);
    const start = Date.now();
    const { aborted } = await session.flush({ until: "delivered", deadlineMs: 200 });
    ensure(aborted && Date.now() - start < 1000, `flush returned after ${Date.now() - start} ms, aborted: ${aborted}`);
    ensure((await outbox.drain({ deadlineMs: 200 })).aborted, "drain was not aborted at its deadline");
    let code;
    for (let tries = 0; tries < 1000 && !code; tries++) {
      try {
        publish(session, 1);
      } catch (error) {
        code = error.code;
      }
    }
    ensure(code === "ERR_QUEUE_FULL", `publish past the limit threw ${code}`);
    const closing = Date.now();
    const isClosed = await Promise.race([
      outbox.close().then(
        () => true,
        (error) => `rejected: ${error}`,
      ),
      sleep(25_000).then(() => false),
    ]);
    ensure(isClosed === true || (method === "close" && isClosed), `close did not return within 25 s: ${isClosed}`);
    return `close took ${((Date.now() - closing) / 1000).toFixed(1)} s`;
  });
}
