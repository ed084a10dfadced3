// Delivery of accepted events to a fake server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { memoryStore } from "eventferry";
import { createEmulator } from "eventferry/testing";
import { balance, event, listen, never, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const publish = (publisher, ...ids) => {
  const session = publisher.session();
  const receipts = ids.map((id) => session.publish(event(id)));
  return { session, receipts, flushed: session.flush({ until: "delivered" }) };
};

test("run commits when its body returns and rolls back when it throws", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const { outbox } = publisher;
  assert.equal(
    await outbox.run(async (session) => {
      session.publish(event(1));
      await sleep();
      return session.publish(event(2)).id;
    }),
    "2",
  );
  const problem = new Error("mine");
  let lost;
  await assert.rejects(
    outbox.run((session) => {
      lost = session.publish(event(3));
      throw problem;
    }),
    problem,
  );
  await assert.rejects(lost.accepted, { code: "ERR_ROLLED_BACK" });
  assert.equal(await outbox.run(() => 7), 7);
  await outbox.drain();
  assert.deepEqual(to.ids(), [["1", "2"]]);
  publisher.close();
});

test("closing during run rejects it with ERR_CLOSED and settles its receipts", async () => {
  const publisher = publisherTo(server(202));
  let receipt;
  const running = publisher.outbox.run(async (session) => {
    receipt = session.publish(event(1));
    await sleep(10);
  });
  const failing = publisher.outbox.run(async () => {
    await sleep(10);
    throw new Error("mine");
  });
  const outcomes = Promise.allSettled([running, failing]);
  await publisher.outbox.close();
  const [ran, threw] = await outcomes;
  assert.equal(ran.reason?.code, "ERR_CLOSED");
  assert.equal(threw.reason.message, "mine");
  await assert.rejects(receipt.accepted, { code: "ERR_CLOSED" });
});

test("drain reports its result: empty, during backoff, with a deadline, a signal, paused, closed", async () => {
  const to = server(503, 503, 202);
  const publisher = publisherTo(to, { outbox: { retry: { baseMs: 60_000, maxMs: 60_000 } } });
  const { outbox } = publisher;
  assert.deepEqual(await outbox.drain(), { delivered: 0, dead: 0, pending: 0, aborted: false });
  assert.deepEqual(await outbox.drain({ signal: AbortSignal.abort() }), {
    delivered: 0,
    dead: 0,
    pending: 0,
    aborted: false,
  });
  const { flushed } = publish(publisher, 1);
  await until(() => to.requests.length === 1);
  await sleep(2);
  assert.deepEqual(await outbox.drain({ deadlineMs: 20 }), { delivered: 0, dead: 0, pending: 1, aborted: true });
  assert.equal(to.requests.length, 2, "drain ends the backoff delay");
  const controller = new AbortController();
  outbox.pause();
  assert.equal((await outbox.drain()).aborted, true);
  outbox.resume();
  assert.equal((await flushed).delivered.length, 1, "resume ends the backoff delay");
  assert.deepEqual(await outbox.drain({ signal: controller.signal }), {
    delivered: 1,
    dead: 0,
    pending: 0,
    aborted: false,
  });
  await outbox.close();
  await assert.rejects(outbox.drain(), { code: "ERR_CLOSED" });
});

test("drain resolves when the outbox is paused or closed", async () => {
  const publisher = publisherTo(server(503), { outbox: { retry: { baseMs: 60_000, maxMs: 60_000 } } });
  const { receipts } = publish(publisher, 1);
  await receipts[0].accepted;
  const paused = publisher.outbox.drain();
  publisher.outbox.pause();
  assert.equal((await paused).aborted, true);
  publisher.outbox.resume();
  const closed = publisher.outbox.drain();
  await sleep(5);
  await publisher.outbox.close();
  assert.deepEqual(await closed, { delivered: 0, dead: 0, pending: 1, aborted: true });
});

test("drain leaves no timer and no listener behind", async () => {
  const publisher = publisherTo(server(202));
  let listeners = 0;
  const { signal } = new AbortController();
  signal.addEventListener = () => listeners++;
  signal.removeEventListener = () => listeners--;
  await sleep();
  const before = virtualClock().timers();
  await publisher.outbox.drain({ signal, deadlineMs: 100_000 });
  assert.equal(virtualClock().timers(), before);
  assert.ok(listeners <= 0);
  publisher.close();
});

test("a paused outbox stores events and sends nothing", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  publisher.outbox.pause();
  const { receipts, flushed } = publish(publisher, 1, 2);
  await receipts[1].accepted;
  await sleep(10);
  assert.deepEqual([to.requests.length, publisher.outbox.stats().pending], [0, 2]);
  publisher.outbox.resume();
  assert.deepEqual((await flushed).delivered, ["1", "2"]);
  publisher.close();
});

test("purge deletes staged, stored and dead events, and returns how many", async () => {
  const store = memoryStore();
  const to = server(400, 503);
  const publisher = publisherTo(to, { outbox: { store, retry: { baseMs: 60_000, maxMs: 60_000 } } });
  const { outbox } = publisher;
  await publish(publisher, "rejected").flushed;
  const { receipts, flushed } = publish(publisher, 1, 2);
  await receipts[1].accepted;
  const staged = publisher.session().publish(event(3));
  const rejected = assert.rejects(receipts[0].delivered, { code: "ERR_ABORTED" });
  assert.equal(await outbox.purge(), 4);
  await rejected;
  assert.equal((await flushed).aborted, true);
  await receipts[0].accepted;
  await assert.rejects(staged.accepted, { code: "ERR_ROLLED_BACK" });
  assert.deepEqual(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  const stats = outbox.stats();
  assert.deepEqual(
    [stats.pending, stats.dead, stats.purged, stats.bytes, stats.staged, balance(stats)],
    [0, 0, 3, 0, 0, 0],
  );
  assert.equal(await outbox.purge(), 0);
  assert.equal((await outbox.drain()).aborted, false);
  publisher.close();
});

test("events that are flushed during a purge are kept", async () => {
  let late;
  const inner = memoryStore();
  const store = storeWith({
    open: async () => ({ durability: "none", isShared: false, supportsPrefix: true }),
    peek: async (_, limit) => {
      const found = await inner.peek(limit);
      // Without a prefix, the events of other identities are looked for.
      if (limit.prefix) await late?.();
      return found;
    },
    write: (_, change) => inner.write(change),
    dead: (_, n) => inner.dead(n),
    count: () => inner.count(),
  });
  const to = server(503);
  const publisher = publisherTo(to, { outbox: { store, retry: { baseMs: 60_000, maxMs: 60_000 } } });
  const { receipts } = publish(publisher, 1);
  await receipts[0].accepted;
  let receipt;
  late = async () => {
    late = undefined;
    receipt = publish(publisher, 2).receipts[0];
    await receipt.accepted;
  };
  await publisher.outbox.purge();
  assert.equal((await inner.count()).events, 1);
  assert.equal(publisher.outbox.stats().pending, 1);
  await publisher.outbox.close();
});

test("the counters balance at every moment", async () => {
  const statuses = [202, 503, 400, 429, 202, 207, 413];
  let turn = 0;
  const to = server(({ text }) => {
    const status = statuses[turn++ % statuses.length];
    return status === 207
      ? Response.json(
          JSON.parse(text).map((_, at) => ({ status: at % 3 ? 202 : 503 })),
          { status },
        )
      : new Response(null, { status });
  });
  const publisher = publisherTo(to, { outbox: { batch: { maxEvents: 16 } } });
  const { outbox } = publisher;
  let isRunning = true;
  const watch = async () => {
    for (; isRunning; await sleep(1)) assert.equal(balance(outbox.stats()), 0);
  };
  const watching = watch();
  for (const type of ["accepted", "delivered", "retry", "dead"])
    outbox.addEventListener(type, () => assert.equal(balance(outbox.stats()), 0));
  for (let round = 0; round < 20; round++) {
    publish(publisher, ...Array.from({ length: 10 }, (_, at) => round * 10 + at));
    await sleep(1);
  }
  const { delivered, dead, pending, aborted } = await outbox.drain({ deadlineMs: 5000 });
  isRunning = false;
  await watching;
  assert.deepEqual([delivered + dead, pending, aborted], [200, 0, false]);
  assert.ok(dead > 0);
  assert.equal(outbox.stats().bytes > 0, true, "the bytes of dead letters count");
  await outbox.close();
  assert.equal(outbox.stats().delivered, delivered, "the counters can be read after close");
});

test("one rejected event among many becomes the only dead letter, and is listed, replayed with its id, and removed", async () => {
  let isAccepted = false;
  const to = server(
    ({ text }) => new Response(null, { status: !isAccepted && text.includes('"id":"13"') ? 422 : 204 }),
  );
  const publisher = publisherTo(to);
  const { outbox } = publisher;
  const dispatched = listen(outbox, "dead");
  const { flushed, receipts } = publish(publisher, ...Array.from({ length: 100 }, (_, id) => id));
  const report = await flushed;
  assert.deepEqual([report.delivered.length, report.dead.map(({ id }) => id), report.pending], [99, ["13"], []]);
  assert.ok(to.requests.length <= 16);
  await assert.rejects(receipts[13].delivered, { code: "ERR_REJECTED", status: 422 });
  assert.deepEqual(
    dispatched.map(([, { id, error }]) => [id, error.status]),
    [["13", 422]],
  );
  await outbox.drain();
  const [letter] = await outbox.dead.list();
  assert.equal(letter.text, event(13).toString());
  assert.deepEqual(
    [await outbox.dead.list(0), await outbox.dead.replay(["unknown"]), await outbox.dead.remove([])],
    [[], 0, 0],
  );
  isAccepted = true;
  assert.equal(await outbox.dead.replay([letter.id]), 1);
  assert.equal(balance(outbox.stats()), 0);
  assert.deepEqual(await outbox.drain({ deadlineMs: 2000 }), { delivered: 100, dead: 0, pending: 0, aborted: false });
  assert.deepEqual(to.ids().at(-1), ["13"]);
  const { accepted, pending, bytes, dead } = outbox.stats();
  assert.deepEqual([accepted, pending, bytes, dead, await outbox.dead.list()], [100, 0, 0, 0, []]);
  isAccepted = false;
  await publish(publisher, 13).flushed;
  await outbox.drain();
  assert.equal(await outbox.dead.remove(new Set(["13"])), 1);
  const stats = outbox.stats();
  assert.deepEqual([stats.dead, stats.purged, stats.bytes, balance(stats), await outbox.dead.list()], [0, 1, 0, 0, []]);
  publisher.close();
});

test("a replayed dead letter keeps its ordering key in the store", async () => {
  const store = storeWith();
  const publisher = publisherTo(server(422), { outbox: { store } });
  const session = publisher.session();
  session.publish(event(1, { partitionkey: "k" }));
  await session.flush({ until: "delivered" });
  await publisher.outbox.drain();
  publisher.outbox.pause();
  assert.equal(await publisher.outbox.dead.replay(["1"]), 1);
  const orderingKeys = store.log.flatMap(([name, change]) =>
    name === "write" ? change.put.map(({ orderingKeys: keys }) => keys && [...keys]) : [],
  );
  assert.equal(orderingKeys.length, 2);
  assert.ok(orderingKeys[0][0] > 0);
  assert.deepEqual(orderingKeys[1], orderingKeys[0]);
  await publisher.outbox.close();
});

test("a request that is too large is halved until it is accepted; a single event that is too large becomes a dead letter", async () => {
  const to = server(({ body }) => new Response(null, { status: body.length > 300 ? 413 : 204 }));
  const publisher = publisherTo(to);
  const session = publisher.session();
  for (let id = 0; id < 20; id++) session.publish(event(id));
  session.publish(event("large", { data: "x".repeat(300) }));
  const { delivered, dead } = await session.flush({ until: "delivered" });
  assert.deepEqual([delivered.length, dead.map(({ id, code }) => `${id} ${code}`)], [20, ["large ERR_TOO_LARGE"]]);
  publisher.close();
});

test("the outbox dispatches accepted, retry, degraded and delivered", async () => {
  const to = server(503, 404, 202);
  const publisher = publisherTo(to);
  const { outbox } = publisher;
  const dispatched = listen(outbox, "accepted", "delivered", "retry", "degraded");
  await publish(publisher, 1, 2).flushed;
  assert.deepEqual(
    dispatched.map(([type, { ids, error, status, attempts, failures }]) => [
      type,
      ids?.join() ?? error.status,
      status ?? failures,
      attempts,
    ]),
    [
      ["accepted", "1,2", undefined, undefined],
      ["retry", 503, 1, undefined],
      ["retry", 404, 2, undefined],
      ["degraded", 404, undefined, undefined],
      ["delivered", "1,2", 202, 3],
    ],
  );
  publisher.close();
});

test("listeners are added and removed as with every EventTarget", async () => {
  const publisher = publisherTo(server(202));
  const { outbox } = publisher;
  const seen = [];
  const removed = () => seen.push("removed");
  outbox.addEventListener("delivered", removed);
  outbox.removeEventListener("delivered", removed);
  outbox.addEventListener("delivered", () => seen.push("once"), { once: true });
  outbox.addEventListener("delivered", { handleEvent: ({ detail }) => seen.push(detail.ids[0]) });
  outbox.addEventListener("delivered", () => seen.push("aborted"), { signal: AbortSignal.abort() });
  await publish(publisher, 1).flushed;
  await publish(publisher, 2).flushed;
  assert.deepEqual(seen, ["once", "1", "2"]);
  publisher.close();
});

test("a listener that publishes, pauses, purges or closes does not disturb the delivery", async () => {
  for (const [name, act] of Object.entries({
    publish: (publisher) => void publish(publisher, "more"),
    pause: (publisher) => {
      publisher.outbox.pause();
      publisher.outbox.resume();
    },
    purge: (publisher) => publisher.outbox.purge(),
    close: (publisher) => publisher.close(),
  })) {
    const to = server(202);
    const publisher = publisherTo(to);
    for (const type of ["accepted", "delivered"])
      publisher.outbox.addEventListener(type, () => act(publisher), { once: true });
    const { flushed } = publish(publisher, 1, 2);
    await flushed;
    await sleep(10);
    if (name === "publish") assert.equal((await publisher.outbox.drain()).delivered, 4);
    assert.equal(balance(publisher.outbox.stats()), 0, name);
    publisher.close();
  }
});

test("pressure is dispatched once when it begins and once when it ends", async () => {
  const publisher = publisherTo(server(202), { outbox: { maxBytes: 1000 } });
  const dispatched = listen(publisher.outbox, "pressure");
  const session = publisher.session();
  const size = event(1).toString().length;
  const count = Math.floor(1000 / size);
  for (let id = 1; id <= count; id++) session.publish(event(1));
  assert.throws(() => session.publish(event(1)), { code: "ERR_QUEUE_FULL", culprit: "caller", message: /1000 bytes/ });
  await session.flush({ until: "delivered" });
  await publisher.outbox.drain();
  assert.deepEqual(
    dispatched.map(([, { isHigh }]) => isHigh),
    [true, false],
  );
  assert.deepEqual(publisher.outbox.stats().droppedBy, { reject: 1, dropOldest: 0, dropNewest: 0 });
  publisher.close();
});

test("each overflow option treats events that do not fit as documented", async () => {
  const size = event(1).toString().length;
  const full = async (overflow) => {
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { maxBytes: 3 * size, overflow, batch: { maxBytes: 2 * size } } });
    const session = publisher.session();
    const receipts = [1, 2, 3, 4, 5].map((id) => session.publish(event(id)));
    return { to, publisher, session, receipts };
  };
  {
    const { to, publisher, session, receipts } = await full("drop-oldest");
    assert.deepEqual([session.staged, publisher.outbox.stats().droppedBy.dropOldest], [3, 2]);
    await assert.rejects(receipts[0].accepted, { code: "ERR_QUEUE_FULL" });
    assert.deepEqual((await session.flush({ until: "delivered" })).delivered, ["3", "4", "5"]);
    await assert.rejects(receipts[1].delivered, { code: "ERR_QUEUE_FULL" });
    assert.deepEqual((await receipts[2].delivered).ids, ["3"]);
    assert.deepEqual(to.ids().flat(), ["3", "4", "5"]);
    publisher.close();
  }
  {
    const { publisher, session, receipts } = await full("drop-newest");
    assert.deepEqual([session.staged, publisher.outbox.stats().droppedBy.dropNewest], [3, 2]);
    await assert.rejects(receipts[4].delivered, { code: "ERR_QUEUE_FULL" });
    assert.deepEqual((await session.flush({ until: "delivered" })).delivered, ["1", "2", "3"]);
    publisher.close();
  }
  {
    const { publisher, session } = await full("wait");
    session.publish(event(6));
    assert.throws(() => session.publish(event(7)), { code: "ERR_QUEUE_FULL" });
    assert.equal((await session.flush({ until: "delivered" })).delivered.length, 6);
    publisher.close();
  }
  {
    const publisher = publisherTo(server(202), { outbox: { maxBytes: 3 * size, overflow: "drop-oldest" } });
    const session = publisher.session();
    for (let id = 1; id < 6; id++) session.publish(event(id));
    assert.deepEqual(session.rollback(), ["3", "4", "5"], "dropped events are not rolled back");
    publisher.close();
  }
});

test("a flush that waits for free space ends when there is some", async () => {
  const size = event(1).toString().length;
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { maxBytes: 2 * size, overflow: "wait" } });
  publisher.outbox.pause();
  await publish(publisher, 1, 2).receipts[1].accepted;
  const session = publisher.session();
  const { accepted } = session.publish(event(3));
  assert.equal((await session.flush({ deadlineMs: 10 })).aborted, true);
  publisher.outbox.resume();
  await accepted;
  assert.equal((await publisher.outbox.drain()).delivered, 3);
  publisher.close();
});

test("batches are limited by events and by bytes, and wait for more events", async () => {
  const size = event(10).toString().length;
  for (const [batch, lengths] of [
    [{ maxEvents: 4 }, [4, 4, 2]],
    [{ maxBytes: 3 * size + 5 }, [3, 3, 3, 1]],
  ]) {
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { batch } });
    await publish(publisher, ...Array.from({ length: 10 }, (_, id) => id + 10)).flushed;
    assert.deepEqual(
      to.ids().map(({ length }) => length),
      lengths,
    );
    publisher.close();
  }
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { batch: { maxAgeMs: 30 } } });
  for (const id of [1, 2, 3]) {
    const session = publisher.session();
    session.publish(event(id));
    await session.flush();
  }
  assert.equal(to.requests.length, 0);
  await until(() => to.requests.length > 0);
  assert.deepEqual(to.ids(), [["1", "2", "3"]]);
  await publisher.outbox.drain();
  publisher.close();
});

test("single events are sent with the given concurrency and no more", async () => {
  let inFlight = 0;
  let most = 0;
  const to = server(async () => {
    most = Math.max(most, ++inFlight);
    await sleep(2);
    inFlight--;
    return new Response(null, { status: 202 });
  });
  const publisher = publisherTo(to, { mode: "structured", outbox: { concurrency: 3 } });
  await publish(publisher, ...Array.from({ length: 30 }, (_, id) => id)).flushed;
  assert.deepEqual([most, to.requests.length], [3, 30]);
  publisher.close();
});

test("a 207 response has a status for each event, in order or by id", async () => {
  for (const form of [(results) => results, (results) => ({ results })]) {
    for (const withIds of [false, true]) {
      let isFirst = true;
      const to = server(({ text }) => {
        const status = isFirst ? { 2: 503, 3: 422 } : {};
        isFirst = false;
        const results = JSON.parse(text).map(({ id }) => ({ ...(withIds && { id }), status: status[id] ?? 201 }));
        return Response.json(form(withIds ? results.reverse() : results), { status: 207 });
      });
      const publisher = publisherTo(to);
      const { delivered, dead } = await publish(publisher, 1, 2, 3).flushed;
      assert.deepEqual([delivered, dead.map(({ id, status }) => [id, status])], [["1", "2"], [["3", 422]]]);
      assert.deepEqual(to.ids(), [["1", "2", "3"], ["2"]]);
      publisher.close();
    }
  }
});

test("a 207 response without usable statuses delivers nothing", async () => {
  const bodies = [
    "",
    "null",
    "7",
    "{}",
    "[]",
    "[1]",
    '[{"status":"202"}]',
    '[{"status":65738}]',
    '[{"status":-334}]',
    '{"results":null}',
    '{"results":5}',
    "<html>",
    '[{"id":"9","status":202}]',
    '[{"id":null,"status":202}]',
  ];
  const to = server(...bodies.map((body) => new Response(body, { status: 207 })), 202);
  const publisher = publisherTo(to);
  const { delivered } = await publish(publisher, 1).flushed;
  assert.deepEqual([delivered, to.requests.length], [["1"], bodies.length + 1]);
  publisher.close();
});

test("one of two events with the same id is retried when the 207 response refuses it", async () => {
  const to = server(
    Response.json(
      [
        { id: "1", status: 503 },
        { id: "1", status: 202 },
      ],
      { status: 207 },
    ),
    202,
  );
  const publisher = publisherTo(to);
  const session = publisher.session();
  session.publish(event(1, { source: "/a" }));
  session.publish(event(1, { source: "/b" }));
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    JSON.parse(to.requests[1].text).map(({ source }) => source),
    ["/a"],
  );
  publisher.close();
});

test("a long 207 response is read to its end", async () => {
  const to = server(({ text }) =>
    Response.json(
      JSON.parse(text).map(({ id }) => ({ id, status: 202, text: "x".repeat(500) })),
      { status: 207 },
    ),
  );
  const publisher = publisherTo(to, { outbox: { batch: { maxEvents: 1000 } } });
  assert.equal(
    (await publish(publisher, ...Array.from({ length: 1000 }, (_, id) => id)).flushed).delivered.length,
    1000,
  );
  assert.equal(to.requests.length, 1);
  publisher.close();
});

test("headers are resolved again after a 401", async () => {
  let tokens = 0;
  const to = server(
    ({ headers }) => new Response(null, { status: headers.get("authorization") === "Bearer 2" ? 202 : 401 }),
  );
  const publisher = publisherTo(to, { headers: async () => ({ authorization: `Bearer ${++tokens}` }) });
  const dispatched = listen(publisher.outbox, "degraded");
  await publish(publisher, 1).flushed;
  assert.equal(tokens, 2);
  assert.deepEqual(
    dispatched.map(([, { error }]) => error.code),
    ["ERR_UNAUTHORIZED"],
  );
  publisher.close();
});

test("a failing headers function causes a retry, and no error contains a secret", async () => {
  const bad = [
    () => {
      throw new Error("no token yet");
    },
    () => Promise.reject(new Error("no token yet")),
    () => ({ authorization: "s3cret\n" + "\0" }),
    () => 5,
    () => Promise.resolve("s3cret"),
  ];
  for (const wrong of bad) {
    let turn = 0;
    const to = server(202);
    const publisher = publisherTo(to, { headers: () => (turn++ ? undefined : wrong()) });
    const dispatched = listen(publisher.outbox, "retry", "degraded");
    await publish(publisher, 1).flushed;
    assert.deepEqual([to.requests.length, dispatched[0][0]], [1, "retry"]);
    for (const [, { error }] of dispatched)
      assert.ok(
        error.name === "FerryError" && !`${error.message} ${error.stack} ${JSON.stringify(error)}`.includes("s3cret"),
      );
    publisher.close();
  }
});

test("headers that resolve too late do not send purged events", async () => {
  let give;
  const to = server(202);
  const publisher = publisherTo(to, {
    headers: () =>
      new Promise((resolve) => {
        give = resolve;
      }),
  });
  const { receipts } = publish(publisher, 1);
  await receipts[0].accepted;
  await until(() => give);
  const settled = assert.rejects(receipts[0].delivered, { code: "ERR_ABORTED" });
  await publisher.outbox.purge();
  await settled;
  give({});
  await sleep(5);
  assert.equal(to.requests.length, 0);
  const second = publish(publisher, 2);
  give = undefined;
  await until(() => give);
  const closing = publisher.outbox.close();
  give({});
  await closing;
  await second.flushed;
  await sleep(5);
});

test("delivery survives everything that fetch can do", async () => {
  const reset = new TypeError("fetch failed");
  const noResponse = () => "ok";
  const to = server(
    reset,
    noResponse,
    () => undefined,
    () => {
      throw null;
    },
    () => {
      throw "text";
    },
    302,
    202,
  );
  const publisher = publisherTo(to);
  const dispatched = listen(publisher.outbox, "retry");
  const { receipts } = publish(publisher, 1);
  assert.deepEqual(await receipts[0].delivered, { status: 202, attempts: 7, ids: ["1"] });
  assert.deepEqual(
    dispatched.map(([, { error }]) => error.code),
    [...Array(5).fill("ERR_NETWORK"), "ERR_REDIRECTED"],
  );
  assert.equal(dispatched[0][1].error.cause, reset);
  publisher.close();
});

test("a request without a response is repeated after its timeout", async () => {
  const to = server(never, 202);
  const publisher = publisherTo(to, { timeoutMs: 20 });
  const dispatched = listen(publisher.outbox, "retry");
  await publish(publisher, 1).flushed;
  assert.deepEqual(
    dispatched.map(([, { error }]) => error.code),
    ["ERR_TIMEOUT"],
  );
  publisher.close();
});

test("Retry-After is honoured, and new events do not shorten the delay", async () => {
  const to = server(new Response(null, { status: 429, headers: { "retry-after": "1" } }), 202);
  const publisher = publisherTo(to);
  const dispatched = listen(publisher.outbox, "retry");
  const started = virtualClock().now();
  const first = publish(publisher, 1);
  await until(() => dispatched.length > 0);
  publish(publisher, 2);
  assert.equal((await publisher.outbox.drain({ deadlineMs: 20 })).aborted, true);
  assert.equal(to.requests.length, 1);
  await first.flushed;
  assert.ok(virtualClock().now() - started >= 990);
  assert.ok(dispatched[0][1].delayMs >= 990);
  publisher.close();
});

test("events with the same partitionkey are never overtaken", async () => {
  let turn = 0;
  const seen = [];
  const to = server(async ({ text }) => {
    const sent = JSON.parse(text);
    await sleep((turn * 7) % 5);
    const status = turn++ % 4 === 1 ? 503 : 202;
    if (status === 202) seen.push(sent);
    return new Response(null, { status });
  });
  const publisher = publisherTo(to, { mode: "structured", outbox: { concurrency: 6 } });
  const session = publisher.session();
  for (let id = 0; id < 40; id++) session.publish(event(id, { partitionkey: `k${id % 4}` }));
  await session.flush({ until: "delivered" });
  for (let key = 0; key < 4; key++) {
    const ids = seen.filter(({ partitionkey }) => partitionkey === `k${key}`).map(({ id }) => Number(id));
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    );
    assert.equal(ids.length, 10);
  }
  publisher.close();
});

test("with gzip large bodies are compressed and small ones are not", async () => {
  for (const mode of ["batch", "binary"]) {
    const to = server(202);
    const publisher = publisherTo(to, { mode, outbox: { gzip: true, concurrency: 1 } });
    const session = publisher.session();
    session.publish(event("small"));
    await session.flush({ until: "delivered" });
    session.publish(event("large", { data: "ü".repeat(3000) }));
    await session.flush({ until: "delivered" });
    assert.deepEqual(
      to.requests.map(({ headers }) => headers.get("content-encoding")),
      [null, "gzip"],
    );
    assert.ok(to.requests[1].body.length < 500);
    assert.ok(gunzipSync(to.requests[1].body).toString().includes("ü".repeat(3000)));
    publisher.close();
  }
});

test("an expired event becomes a dead letter", async () => {
  const publisher = publisherTo(server(503), { outbox: { retry: { maxAgeMs: 30 } } });
  const { dead } = await publish(publisher, 1).flushed;
  assert.deepEqual(
    dead.map(({ id, code }) => [id, code]),
    [["1", "ERR_EXPIRED"]],
  );
  publisher.close();
});

test("every event arrives at a server with faults, and repeated ones have the same id", async () => {
  const emulator = createEmulator();
  for (const fault of [
    { status: 503, probability: 0.2 },
    { reset: true, probability: 0.2, seed: 2 },
    { after: "store", reset: true, probability: 0.2, seed: 3 },
  ])
    emulator.faults.add({ match: "/cloudevents", times: 10, ...fault });
  for (const mode of ["batch", "binary", "structured"]) {
    emulator.cloudEvents.clear();
    const publisher = publisherTo(
      { fetch: emulator.fetch },
      { url: "http://emulator/cloudevents", mode, outbox: { batch: { maxEvents: 7 } } },
    );
    const sent = Array.from({ length: 60 }, (_, id) => String(id));
    await publish(publisher, ...sent).flushed;
    assert.deepEqual(
      [...new Set(emulator.cloudEvents.received.map(({ event: { id } }) => id))].toSorted((a, b) => a - b),
      sent,
    );
    await publisher.outbox.close();
  }
  await emulator.close();
});

test("events of one segment that are rejected in different runs have dead letters of their own", async () => {
  const inner = memoryStore();
  const shared = () =>
    storeWith({
      ...Object.fromEntries(
        ["open", "write", "peek", "dead", "count"].map((name) => [name, (_, ...given) => inner[name](...given)]),
      ),
    });
  // Rejects the first event of the first request; the others wait for the next run.
  const rejectingOne = () => {
    let isDone = false;
    return server(({ text }) => {
      const events = JSON.parse(text);
      if (isDone) return new Response(null, { status: 503 });
      isDone = true;
      return Response.json(
        events.map((_, at) => ({ status: at === 0 ? 422 : 503 })),
        { status: 207 },
      );
    });
  };
  for (let run = 0; run < 3; run++) {
    const publisher = publisherTo(rejectingOne(), { outbox: { store: shared() } });
    const dispatched = listen(publisher.outbox, "dead");
    if (run === 0) {
      const session = publisher.session();
      for (const id of ["a", "b", "c"]) session.publish(event(id));
      await session.flush();
    }
    publisher.outbox.drain({ deadlineMs: 50 }).catch(() => undefined);
    await until(() => dispatched.length === 1);
    for (let wait = 0; wait < 20 && (await inner.dead(9)).length <= run; wait++) await sleep(1);
    assert.equal((await inner.dead(9)).length, run + 1);
    await publisher.outbox.close();
  }
  const letters = (await inner.dead(9)).map(({ body }) => JSON.parse(new TextDecoder().decode(body)).id);
  assert.deepEqual(letters.sort(), ["a", "b", "c"]);
});
