// Stores that fail for a while, and stores that never answer, in Node. What browsers do in such cases is in browser-storage.mjs.
import { CloudEvent, Publisher, memoryStore } from "../../dist/entries/index.js";
import { collect, hold, nothingLost, pause } from "./collector.mjs";

const TROUBLES = ["QuotaExceededError", "AbortError", "InvalidStateError"];
const METHODS = ["open", "count", "write", "peek", "dead", "close", "wakeAt"];

export async function storage(tally) {
  for (const trouble of TROUBLES) {
    await tally.check(`a store that throws ${trouble} for a while, a server that answers`, () => whileServed(trouble));
    await tally.check(`a store that throws ${trouble} for a while, a server that does not`, () => whileDead(trouble));
  }
  await tally.check("a store that throws, in every method, for a while", throwsOutright);
  await tally.check("a store whose wakeAt fails still writes, and is armed as soon as that works", wakes);
  await Promise.all(METHODS.map((method) => tally.check(`a store whose ${method} never answers`, () => hangs(method))));
}

/** A store in memory; `trouble` is asked before each call. */
function wrapped(trouble) {
  const inner = { ...memoryStore(), wakeAt: async () => undefined };
  const store = { kind: "memory", inner, calls: [] };
  for (const method of METHODS) {
    store[method] = (...args) => {
      store.calls.push(method);
      return trouble(method) ?? inner[method](...args);
    };
  }
  return store;
}

/** Runs a body with a publisher, and nothing in it may reject without being caught. */
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
    await pause(20);
    hold(unhandled.length === 0, `unhandled: ${unhandled[0]?.stack}`);
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
const failing = (name) => Promise.reject(new DOMException("on purpose", name));

async function whileServed(name) {
  let isBad = false;
  const store = wrapped((method) => (isBad && method === "write" ? failing(name) : undefined));
  return withPublisher(store, {}, async ({ collector, publisher, outbox, degraded }) => {
    const session = publisher.session();
    const before = publish(session, 10);
    await session.flush();
    isBad = true;
    const during = publish(session, 10);
    const { aborted } = await session.flush({ deadlineMs: 5000 });
    hold(!aborted, "what the server has got does not count as accepted");
    await Promise.all(during.map(({ accepted, delivered }) => Promise.all([accepted, delivered])));
    hold(degraded.length === 1 && degraded[0].code !== undefined, `${degraded.length} degraded events`);
    isBad = false;
    const after = publish(session, 10);
    await session.flush({ until: "delivered" });
    await outbox.drain({ deadlineMs: 6000 });
    nothingLost(collector, idsOf([...before, ...during, ...after]));
    hold((await store.inner.count()).events === 0, "the store still has something");
    hold(outbox.stats().accepted === 30 && outbox.stats().pending === 0, `stats: ${JSON.stringify(outbox.stats())}`);
  });
}

async function whileDead(name) {
  let isBad = true;
  const store = wrapped((method) => (isBad && method === "write" ? failing(name) : undefined));
  return withPublisher(store, {}, async ({ collector, publisher, outbox, degraded }) => {
    collector.behave = () => ({ status: 503 });
    const session = publisher.session();
    const receipts = publish(session, 10);
    const report = await session.flush({ deadlineMs: 300 });
    hold(
      report.aborted && report.accepted.length === 0 && report.pending.length === 10,
      "what nobody has counts as accepted",
    );
    hold(degraded.length === 1, `${degraded.length} degraded events`);
    isBad = false;
    await Promise.all(receipts.map(({ accepted }) => accepted));
    hold((await store.inner.count()).events === 10, "the store has not got them as soon as there was space");
    collector.behave = () => ({});
    const drained = await outbox.drain({ deadlineMs: 5000 });
    hold(!drained.aborted, "they were not delivered");
    nothingLost(collector, idsOf(receipts));
  });
}

async function throwsOutright() {
  let isBad = true;
  const store = wrapped(() => {
    if (isBad) throw new TypeError("on purpose, and not as a promise");
  });
  return withPublisher(store, {}, async ({ collector, publisher, outbox, degraded }) => {
    const session = publisher.session();
    const receipts = publish(session, 10);
    hold((await session.flush({ deadlineMs: 300 })).aborted, "it is accepted without a store");
    isBad = false;
    await session.flush({ until: "delivered", deadlineMs: 5000 });
    isBad = true;
    receipts.push(...publish(session, 10));
    await session.flush({ until: "delivered", deadlineMs: 2000 });
    isBad = false;
    await outbox.drain({ deadlineMs: 6000 });
    nothingLost(collector, idsOf(receipts));
    hold(degraded.length > 0, "nobody was told");
  });
}

async function wakes() {
  let isBad = true;
  const store = wrapped((method) => (isBad && method === "wakeAt" ? failing("Error") : undefined));
  return withPublisher(store, {}, async ({ collector, publisher }) => {
    collector.behave = () => ({ status: 503 });
    const session = publisher.session();
    publish(session, 1);
    await session.flush({ deadlineMs: 300 });
    isBad = false;
    const before = store.calls.length;
    publish(session, 1);
    await session.flush({ deadlineMs: 6000 });
    hold(store.calls.slice(before).includes("wakeAt"), "it was never armed");
  });
}

async function hangs(method) {
  let isBad = method !== "write" && method !== "peek";
  const store = wrapped((called) => (isBad && called === method ? new Promise(() => undefined) : undefined));
  return withPublisher(store, { maxBytes: 10_000 }, async ({ collector, publisher, outbox }) => {
    const session = publisher.session();
    publish(session, 1);
    if (!isBad) await session.flush();
    isBad = true;
    collector.behave = () => ({ status: 503 });
    publish(session, 1);
    const start = Date.now();
    const { aborted } = await session.flush({ until: "delivered", deadlineMs: 200 });
    hold(aborted && Date.now() - start < 1000, `flush came back after ${Date.now() - start} ms, aborted: ${aborted}`);
    hold((await outbox.drain({ deadlineMs: 200 })).aborted, "drain did not give up");
    let code;
    for (let tries = 0; tries < 1000 && !code; tries++) {
      try {
        publish(session, 1);
      } catch (error) {
        code = error.code;
      }
    }
    hold(code === "ERR_QUEUE_FULL", `publish past the limit threw ${code}`);
    const closing = Date.now();
    const isClosed = await Promise.race([
      outbox.close().then(
        () => true,
        (error) => `rejected: ${error}`,
      ),
      pause(25_000).then(() => false),
    ]);
    hold(isClosed === true || (method === "close" && isClosed), `close did not come back within 25 s: ${isClosed}`);
    return `close took ${((Date.now() - closing) / 1000).toFixed(1)} s`;
  });
}
