// Wrong arguments and broken stores: each causes a clear error, and nothing hangs or stays uncaught.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore, Publisher } from "eventferry";
import { balance, event, listen, never, publisherTo, scopeIn, server, storeWith, url } from "./outbox-fixtures.mjs";
import { sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const misuse = (pattern) => (error) => {
  assert.deepEqual(
    [error.name, error.code, error.culprit],
    ["FerryError", "ERR_INVALID_ARGUMENT", "caller"],
    error.stack,
  );
  assert.match(error.message, pattern);
  assert.ok(!error.message.includes("s3cret"));
  return true;
};

test("wrong options of the outbox are refused by name when the publisher is made", () => {
  for (const [outbox, pattern] of [
    [null, /object of options/],
    [5, /object of options/],
    ["memory", /object of options/],
    [{ store: "disk" }, /store/],
    [{ store: null }, /store/],
    [{ store: {} }, /store/],
    [{ store: memoryStore }, /store/],
    [{ store: { ...memoryStore(), peek: undefined } }, /store.*peek/],
    [{ store: { ...memoryStore(), kind: 5 } }, /store.*kind/],
    [{ store: { ...memoryStore(), close: "x" } }, /store.*close/],
    [{ name: "" }, /name/],
    [{ name: 5 }, /name/],
    [{ maxBytes: 0 }, /maxBytes/],
    [{ maxBytes: "1" }, /maxBytes/],
    [{ maxBytes: NaN }, /maxBytes/],
    [{ maxBytes: 1.5 }, /maxBytes/],
    [{ maxBytes: Infinity }, /maxBytes/],
    [{ overflow: "drop" }, /overflow/],
    [{ overflow: 1 }, /overflow/],
    [{ batch: 5 }, /batch/],
    [{ batch: null }, /batch/],
    [{ batch: "x" }, /batch/],
    [{ batch: [] }, /batch/],
    [{ batch: { maxEvents: 0 } }, /batch\.maxEvents/],
    [{ batch: { maxEvents: 10_001 } }, /batch\.maxEvents/],
    [{ batch: { maxBytes: -1 } }, /batch\.maxBytes/],
    [{ batch: { maxAgeMs: "1" } }, /batch\.maxAgeMs/],
    [{ batch: { size: 1 } }, /batch\.size/],
    [{ retry: 3 }, /retry/],
    [{ retry: { baseMs: -1 } }, /retry\.baseMs/],
    [{ retry: { maxMs: {} } }, /retry\.maxMs/],
    [{ retry: { maxAgeMs: null } }, /retry\.maxAgeMs/],
    [{ retry: { attempts: 3 } }, /retry\.attempts/],
    [{ concurrency: 0 }, /concurrency/],
    [{ concurrency: 65 }, /concurrency/],
    [{ unload: "beacon" }, /unload/],
    [{ gzip: "yes" }, /gzip/],
    [{ gzip: 1 }, /gzip/],
    [{ flushInterval: 5 }, /flushInterval/],
  ]) {
    assert.throws(() => new Publisher({ url, outbox }), misuse(pattern), JSON.stringify(outbox));
  }
});

test("undefined options are ignored, and times may be fractions", async () => {
  const undefinedOptions = {
    store: undefined,
    name: undefined,
    maxBytes: undefined,
    overflow: undefined,
    batch: undefined,
    retry: { baseMs: undefined },
    gzip: undefined,
  };
  const publisher = new Publisher({
    url,
    fetch: server(202).fetch,
    timeoutMs: 10.5,
    headers: undefined,
    outbox: undefinedOptions,
  });
  assert.equal((await publisher.session().flush()).aborted, false);
  publisher.close();
});

test("wrong arguments of sessions and of the outbox are refused by name, and no event is lost", async () => {
  const publisher = publisherTo(server(202));
  const { outbox } = publisher;
  const session = publisher.session();
  session.publish(event(1));
  for (const [options, pattern] of [
    [null, /options/],
    ["delivered", /options/],
    [{ until: "stored" }, /until/],
    [{ until: null }, /until/],
    [{ deadlineMs: -1 }, /deadlineMs/],
    [{ deadlineMs: NaN }, /deadlineMs/],
    [{ deadlineMs: "5" }, /deadlineMs/],
    [{ deadlineMs: null }, /deadlineMs/],
    [{ signal: {} }, /signal/],
    [{ signal: null }, /signal/],
    [{ signal: new AbortController() }, /signal/],
  ]) {
    await assert.rejects(session.flush(options), misuse(pattern));
    if (!Object.hasOwn(Object(options), "until")) await assert.rejects(outbox.drain(options), misuse(pattern));
  }
  assert.equal(session.staged, 1);
  for (const bad of [undefined, null, 5, "x", {}]) await assert.rejects(outbox.run(bad), misuse(/run/));
  for (const bad of [null, 5, "1", {}]) await assert.rejects(outbox.dead.replay(bad), misuse(/ids/));
  for (const bad of [undefined, null, 5, "1", {}]) await assert.rejects(outbox.dead.remove(bad), misuse(/ids/));
  for (const bad of [null, "5", -1, NaN, {}]) await assert.rejects(outbox.dead.list(bad), misuse(/list/));
  for (const bad of [undefined, null, 5, {}]) assert.throws(() => outbox.keepAlive(bad), misuse(/waitUntil/));
  const waitUntil = () => {};
  for (const [options, pattern] of [
    [null, /options/],
    [{ budgetMs: "1" }, /budgetMs/],
    [{ budgetMs: -1 }, /budgetMs/],
    [{ maxRequests: -1 }, /maxRequests/],
    [{ maxRequests: 1.5 }, /maxRequests/],
    [{ maxRequests: "20" }, /maxRequests/],
  ]) {
    assert.throws(() => outbox.keepAlive(waitUntil, options), misuse(pattern));
  }
  assert.equal((await session.flush({ until: "delivered" })).delivered.length, 1);
  publisher.close();
});

test("a store that fails to open is reported and opened again", async () => {
  const wrong = [
    () => {
      throw new Error("broken");
    },
    () => Promise.reject(new Error("broken")),
    () => Promise.reject(undefined),
    () => undefined,
    async () => undefined,
    async () => 5,
    async () => ({}),
  ];
  for (const call of ["open", "count"]) {
    for (const bad of wrong) {
      if (call === "count" && wrong.indexOf(bad) > 4) continue;
      let turn = 0;
      const store = storeWith({ [call]: (inner, ...given) => (turn++ ? inner[call](...given) : bad()) });
      const to = server(202);
      const publisher = publisherTo(to, { outbox: { store } });
      const dispatched = listen(publisher.outbox, "degraded");
      const session = publisher.session();
      session.publish(event(1));
      assert.equal((await session.flush({ deadlineMs: 10 })).aborted, true);
      assert.equal((await session.flush({ until: "delivered" })).aborted, false);
      assert.deepEqual(
        dispatched.map(([, { error }]) => [error.name, error.code]),
        [["FerryError", "ERR_STORE"]],
        `${call} ${bad}`,
      );
      assert.match(dispatched[0][1].error.message, /^mine: /);
      await publisher.outbox.close();
    }
  }
});

test("events are sent from memory if the store does not write, and count as accepted when delivered", async () => {
  for (const bad of [
    () => {
      throw new Error("broken");
    },
    () => Promise.reject(new Error("quota")),
    () => Promise.reject(null),
  ]) {
    const store = storeWith({ write: bad });
    const to = server(202);
    const publisher = publisherTo(to, { outbox: { store } });
    const dispatched = listen(publisher.outbox, "degraded");
    const session = publisher.session();
    const receipt = session.publish(event(1));
    const report = await session.flush();
    await receipt.accepted;
    assert.deepEqual([report.accepted, report.delivered, dispatched.length], [["1"], ["1"], 1]);
    assert.equal(dispatched[0][1].error.code, "ERR_STORE");
    assert.equal(balance(publisher.outbox.stats()), 0);
    publisher.close();
  }
});

test("a store that fails to peek is reported and read again", async () => {
  await Promise.all(
    [
      () => {
        throw new Error("broken");
      },
      () => Promise.reject(new Error("broken")),
      async () => undefined,
      async () => [{}],
      async () => 5,
    ].map(async (bad) => {
      let turn = 0;
      const store = storeWith({
        peek: (inner, limit) => (turn++ ? inner.peek(limit) : bad()),
        dead: bad,
        count: async () => ({ events: 3, bytes: 30, dead: 1, deadBytes: 10 }),
      });
      const publisher = publisherTo(server(202), { outbox: { store } });
      const dispatched = listen(publisher.outbox, "degraded");
      const session = publisher.session();
      session.publish(event(1));
      assert.equal((await session.flush({ until: "delivered" })).delivered.length, 1);
      assert.deepEqual(
        dispatched.map(([, { error }]) => error.code),
        ["ERR_STORE"],
        String(bad),
      );
      const listed = await publisher.outbox.dead.list().catch((error) => error);
      assert.ok(Array.isArray(listed) || listed.code === "ERR_STORE", String(listed));
      assert.equal(balance(publisher.outbox.stats()), 0);
      await publisher.outbox.close();
    }),
  );
});

test("a damaged segment does not block other segments", async () => {
  const store = memoryStore();
  const body = new TextEncoder().encode('{"specversion":"1.0","id"');
  const first = publisherTo(server(202), { outbox: { store } });
  const scope = await scopeIn(store, first);
  await first.outbox.close();
  await store.write({
    put: [
      { key: `${scope}.000000001-000000-x`, at: virtualClock().unixNow(), body, sizes: Uint32Array.of(body.length) },
    ],
    remove: [],
    deadPut: [],
    deadRemove: [],
  });
  const to = server(({ text }) => {
    try {
      JSON.parse(text);
      return new Response(null, { status: 202 });
    } catch {
      return new Response(null, { status: 400 });
    }
  });
  for (const mode of ["batch", "structured"]) {
    const publisher = publisherTo(to, { mode, outbox: { store } });
    const dispatched = listen(publisher.outbox, "dead", "delivered", "accepted");
    const session = publisher.session();
    session.publish(event(1));
    await session.flush({ until: "delivered" });
    await publisher.outbox.drain();
    if (mode === "batch") assert.deepEqual(dispatched.find(([type]) => type === "dead")[1].id, "");
    assert.equal((await publisher.outbox.dead.list())[0].text, '{"specversion":"1.0","id"');
    await publisher.outbox.close();
  }
});

test("close rejects with ERR_STORE if the store cannot be closed", async () => {
  const publisher = publisherTo(server(202), {
    outbox: {
      store: storeWith({
        close: () => {
          throw new Error("broken");
        },
      }),
    },
  });
  await publisher.outbox.drain();
  await assert.rejects(publisher.outbox.close(), { code: "ERR_STORE" });
  publisher.close();
  await sleep();
});

test("close resolves while the store is opening, even if it never opens", async () => {
  for (const open of [
    never,
    () => Promise.reject(new Error("broken")),
    (inner, name) => sleep(10).then(() => inner.open(name)),
  ]) {
    const store = storeWith({ open });
    const publisher = publisherTo(server(202), { outbox: { store } });
    const waiting = publisher.outbox.drain();
    await sleep(2);
    await publisher.outbox.close();
    assert.equal((await waiting).aborted, true);
    await sleep(20);
    const closes = store.log.filter(([name]) => name === "close").length;
    assert.equal(closes, open.length === 2 ? 1 : 0, "a store that opened is closed");
  }
});

test("close does not wait long for a failed store", async () => {
  for (const call of ["open", "write"]) {
    const store = storeWith({ [call]: () => Promise.reject(new Error("broken")) });
    const publisher = publisherTo(server(503), { outbox: { store } });
    const session = publisher.session();
    const { accepted } = session.publish(event(1));
    await session.flush({ deadlineMs: 10 });
    const rejected = assert.rejects(accepted, { code: "ERR_CLOSED" });
    const started = virtualClock().now();
    await publisher.outbox.close();
    await rejected;
    assert.ok(virtualClock().now() - started < 2000);
  }
});

test("a publisher that is closed immediately leaves nothing behind", async () => {
  new Publisher({ url, outbox: {} }).close();
  const publisher = new Publisher({ url });
  publisher.close();
  assert.throws(() => publisher.session(), { code: "ERR_CLOSED" });
  assert.throws(() => publisher.outbox, { code: "ERR_CLOSED" });
  const used = publisherTo(server(202));
  void used.outbox.close();
  void used.outbox.close();
  await used.outbox.close();
  assert.equal(used.outbox.stats().accepted, 0);
  for (const call of [
    () => used.outbox.drain(),
    () => used.outbox.purge(),
    () => used.outbox.dead.list(),
    () => used.outbox.dead.replay(["1"]),
    () => used.outbox.run(() => {}),
  ])
    await assert.rejects(call, { code: "ERR_CLOSED" });
  await sleep(5);
});

test("a listener that throws does not break delivery", async () => {
  const uncaught = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error.message));
  const to = server(503, 202);
  const publisher = publisherTo(to);
  for (const type of ["accepted", "retry", "delivered"])
    publisher.outbox.addEventListener(type, () => {
      throw new Error(type);
    });
  const session = publisher.session();
  session.publish(event(1));
  assert.equal((await session.flush({ until: "delivered" })).delivered.length, 1);
  await publisher.outbox.drain();
  await until(() => uncaught.length === 3);
  process.removeAllListeners("uncaughtException");
  for (const listener of listeners) process.on("uncaughtException", listener);
  publisher.close();
});

test("dead letters and purge reject if the store does not open", async () => {
  let isBroken = true;
  const store = storeWith({
    open: async (inner, name) => {
      if (isBroken) throw new Error("the disk is gone");
      return inner.open(name);
    },
  });
  const publisher = publisherTo(server(202), { outbox: { store } });
  const { outbox } = publisher;
  const session = publisher.session();
  session.publish(event(1));
  const refused = { code: "ERR_STORE", message: "mine: the disk is gone" };
  await assert.rejects(outbox.dead.list(), refused);
  await assert.rejects(outbox.dead.replay(["1"]), refused);
  await assert.rejects(outbox.purge(), refused);
  assert.equal(session.staged, 0, "staged events are dropped");
  isBroken = false;
  session.publish(event(2));
  assert.deepEqual((await session.flush({ until: "delivered" })).delivered, ["2"]);
  assert.deepEqual([await outbox.dead.list(), await outbox.purge()], [[], 0]);
  await outbox.close();
  await assert.rejects(outbox.dead.list(), { code: "ERR_CLOSED" });
});

test("run respects its deadline and signal, and its events are delivered later", async () => {
  let release;
  const opened = new Promise((resolve) => {
    release = resolve;
  });
  const store = storeWith({ open: (inner, name) => opened.then(() => inner.open(name)) });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store } });
  const { outbox } = publisher;
  assert.equal(await outbox.run((session) => session.publish(event(1)).id, { deadlineMs: 5 }), "1");
  const controller = new AbortController();
  void sleep(5).then(() => controller.abort());
  assert.equal(await outbox.run((session) => session.publish(event(2)).id, { signal: controller.signal }), "2");
  await assert.rejects(
    outbox.run(() => assert.fail("not to be called"), { deadlineMs: "soon" }),
    { code: "ERR_INVALID_ARGUMENT" },
  );
  assert.equal(to.requests.length, 0);
  release();
  await outbox.drain();
  assert.deepEqual(to.ids().flat(), ["1", "2"]);
  await outbox.close();
});
