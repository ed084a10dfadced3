// Events survive traps of the engine, see traps.test.mjs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFerryError, memoryStore } from "eventferry";
import { OUTBOX_INPUTS } from "../../dist/engine/generated/tables.js";
import { publish } from "../../dist/entries/node/internals.js";
import { balance, event, publisherTo, server, storeWith, trap } from "./outbox-fixtures.mjs";
import { sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const provokeTrap = () =>
  assert.throws(
    () => publish.call(trap),
    (error) => isFerryError(error, "ERR_INTERNAL"),
  );
const gate = () => {
  let open;
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { open, opened };
};

test("events staged before a trap are flushed in order with later ones", async () => {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { batch: { maxEvents: 20 } } });
  const session = publisher.session();
  const receipts = Array.from({ length: 50 }, (_, id) => session.publish(event(id)));
  provokeTrap();
  receipts.push(...[50, 51].map((id) => session.publish(event(id))));
  provokeTrap();
  receipts.push(session.publish(event(52)));
  assert.equal(session.staged, 53);
  const report = await session.flush({ until: "delivered" });
  const ids = receipts.map(({ id }) => id);
  assert.deepEqual([report.delivered, report.aborted, to.ids().flat()], [ids, false, ids]);
  assert.deepEqual((await receipts[0].delivered).ids, ["0"]);
  assert.equal(balance(publisher.outbox.stats()), 0);
  await publisher.outbox.close();
});

test("events staged before a trap can be rolled back and dropped for newer ones", async () => {
  const size = event(10).toString().length;
  const to = server(202);
  const publisher = publisherTo(to, {
    outbox: { maxBytes: 3 * size, overflow: "drop-oldest", batch: { maxBytes: 2 * size } },
  });
  const session = publisher.session();
  for (const id of [10, 11, 12]) session.publish(event(id));
  provokeTrap();
  for (const id of [13, 14, 15, 16, 17]) session.publish(event(id));
  const { delivered } = await session.flush({ until: "delivered" });
  assert.deepEqual(delivered, ["10", "11", "12", "15", "16", "17"]);
  assert.deepEqual(to.ids().flat(), delivered);
  const receipt = session.publish(event(18));
  provokeTrap();
  assert.deepEqual(session.rollback(), ["18"]);
  await assert.rejects(receipt.accepted, { code: "ERR_ROLLED_BACK" });
  await publisher.outbox.close();
});

test("a trap during a write accepts no event too early and loses none", async () => {
  const { open, opened } = gate();
  let writes = 0;
  const store = storeWith({
    write: async (inner, change) => {
      if (writes++ === 0) await opened;
      return inner.write(change);
    },
  });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store } });
  const session = publisher.session();
  const receipt = session.publish(event(1));
  let isAccepted = false;
  const flushed = session.flush({ until: "delivered" });
  receipt.accepted.then(() => (isAccepted = true));
  await until(() => writes === 1);
  provokeTrap();
  const later = session.publish(event(2));
  const second = session.flush({ until: "delivered" });
  assert.equal(isAccepted, false);
  open();
  assert.deepEqual([(await flushed).delivered, (await second).delivered, isAccepted], [["1"], ["2"], true]);
  await later.accepted;
  await publisher.outbox.drain();
  assert.deepEqual(
    [(await store.inner.count()).events, balance(publisher.outbox.stats()), publisher.outbox.stats().pending],
    [0, 0, 0],
  );
  await publisher.outbox.close();
});

test("events survive a trap during backoff, in flight, or while headers resolve", async () => {
  const { open, opened } = gate();
  for (const [first, options] of [
    [503, {}],
    [() => opened, {}],
    [
      202,
      {
        headers: async () => {
          await opened;
        },
      },
    ],
  ]) {
    const store = memoryStore();
    const to = server(first, 202);
    const publisher = publisherTo(to, { ...options, outbox: { store, retry: { baseMs: 100, maxMs: 100 } } });
    const session = publisher.session();
    const receipts = Array.from({ length: 30 }, (_, id) => session.publish(event(id)));
    await session.flush();
    const delivered = receipts[29].delivered;
    await until(() => to.requests.length > 0 || options.headers);
    await sleep(3);
    provokeTrap();
    void sleep(30).then(open);
    assert.deepEqual((await delivered).ids, ["29"]);
    assert.equal((await receipts[0].delivered).status, 202);
    assert.equal((await publisher.outbox.drain()).aborted, false);
    assert.equal(balance(publisher.outbox.stats()), 0);
    assert.deepEqual(new Set(to.ids().flat()).size, 30);
    assert.equal((await store.count()).events, 0);
    await publisher.outbox.close();
  }
});

test("a paused outbox stays paused after a trap", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  publisher.outbox.pause();
  const session = publisher.session();
  const { delivered } = session.publish(event(1));
  await session.flush();
  provokeTrap();
  await sleep(50);
  assert.equal(to.requests.length, 0);
  publisher.outbox.resume();
  assert.equal((await delivered).status, 202);
  await publisher.outbox.close();
});

test("dead letters are still counted after a trap", async () => {
  const publisher = publisherTo(server(400, 202));
  const session = publisher.session();
  session.publish(event(1));
  await session.flush({ until: "delivered" });
  await publisher.outbox.drain();
  provokeTrap();
  await publisher.outbox.drain();
  assert.equal(publisher.outbox.stats().dead, 1);
  assert.equal(await publisher.outbox.dead.replay(["1"]), 1);
  assert.deepEqual(await publisher.outbox.drain({ deadlineMs: 1000 }), {
    delivered: 1,
    dead: 0,
    pending: 0,
    aborted: false,
  });
  await publisher.outbox.close();
});

test("a hundred traps during publishing lose no event", async () => {
  const seen = new Set();
  const to = server(({ text }) => {
    for (const { id } of JSON.parse(text)) seen.add(id);
    return new Response(null, { status: 202 });
  });
  const publisher = publisherTo(to);
  const session = publisher.session();
  for (let round = 0; round < 100; round++) {
    for (let at = 0; at < 5; at++) session.publish(event(`${round}.${at}`));
    if (round % 3 === 0) provokeTrap();
    void session.flush();
    if (round % 3 === 1) provokeTrap();
    if (round % 10 === 0) await sleep(1);
    if (round % 3 === 2) provokeTrap();
  }
  await session.flush({ until: "delivered" });
  assert.equal(seen.size, 500);
  await publisher.outbox.close();
});

test("an event that was delivered and stored late does not hide other events from the next engine", async () => {
  const inner = memoryStore();
  // The write is applied, but reported as failed; then the engine traps.
  let failures = 1;
  const store = storeWith({
    open: (_, name) => inner.open(name),
    peek: (_, limit) => inner.peek(limit),
    count: () => inner.count(),
    dead: (_, n) => inner.dead(n),
    write: async (_, change) => {
      await inner.write(change);
      if (failures-- > 0) throw new Error("applied");
    },
  });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store, batch: { maxEvents: 1 } } });
  const first = publisher.session();
  const early = first.publish(event("early"));
  // It is sent from memory, because the store fails.
  await first.flush({ until: "delivered" });
  await early.delivered;
  const body = new TextEncoder().encode(event("other").toString());
  const [{ key }] = await inner.peek({ events: 1, bytes: 1, skip: new Set() });
  const [scope] = key.split(".");
  await inner.write({
    put: [{ key: `${scope}.zzz`, at: virtualClock().unixNow(), body, sizes: Uint32Array.of(body.length) }],
    remove: [],
    deadPut: [],
    deadRemove: [],
  });
  assert.equal((await inner.count()).events, 2);
  provokeTrap();
  await publisher.outbox.drain({ deadlineMs: 2000 });
  await until(() => to.ids().flat().includes("other"));
  await publisher.outbox.close();
  assert.equal((await inner.count()).events, 0);
});

test("drain survives traps of its own query without an unhandled error", async () => {
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  const { prototype } = publish.glue.OutboxPort;
  const { input } = prototype;
  try {
    const { open, opened } = gate();
    const to = server(async () => {
      await opened;
      return new Response(null, { status: 202 });
    });
    const publisher = publisherTo(to);
    const { outbox } = publisher;
    const session = publisher.session();
    session.publish(event(1));
    await session.flush();
    const drained = outbox.drain();
    await until(() => to.requests.length === 1);
    let traps = 2;
    prototype.input = function (...args) {
      if (args[0] === OUTBOX_INPUTS.isDrained && traps-- > 0) trap();
      return input.apply(this, args);
    };
    open();
    await sleep(20);
    assert.deepEqual([traps <= 0, (await drained).pending], [true, 0]);
    assert.deepEqual(to.ids().at(-1), ["1"]);
    await outbox.close();
    assert.deepEqual(unhandled, []);
  } finally {
    prototype.input = input;
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
  }
});
