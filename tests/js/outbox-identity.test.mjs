// Identities: events leave only under the identity under which they were published.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore, Publisher } from "eventferry";
import { EventClient } from "eventferry/bc-events";
import { PipelineDataSource } from "eventferry/glassflow";
import { balance, event, listen, never, storeWith } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** A server that notes which user sent which events: `[user, id]`. It answers with `state.status`. */
function noting(state = { status: 202 }) {
  const seen = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    const { status } = state;
    const user = request.headers.get("authorization") ?? request.headers.get("x-pipeline-access-token");
    const body = JSON.parse(await request.text());
    if (status < 300) for (const { id } of [body].flat()) seen.push([user, id]);
    return new Response(null, { status });
  };
  return { state, seen, fetch };
}

/** A publisher whose identity and headers follow `account.user`. */
function following(account, to, { store = memoryStore(), ...outbox } = {}) {
  return new Publisher({
    url: "https://example.com/events",
    fetch: to.fetch,
    mode: "batch",
    headers: () => ({ authorization: account.user }),
    outbox: { store, identity: () => account.user, retry: { baseMs: 1, maxMs: 5 }, ...outbox },
  });
}

const publishAs = async (publisher, ...ids) => {
  const session = publisher.session();
  const receipts = ids.map((id) => session.publish(event(id)));
  await session.flush();
  return receipts;
};

test("a user who changes while headers() runs gets no event of the former one", async () => {
  const account = { user: "ann" };
  const to = noting();
  let release;
  let isSlow = true;
  const publisher = new Publisher({
    url: "https://example.com/events",
    fetch: to.fetch,
    mode: "batch",
    headers: async () => {
      if (isSlow) await new Promise((resolve) => (release = resolve));
      return { authorization: account.user };
    },
    outbox: { store: memoryStore(), identity: () => account.user },
  });
  const [receipt] = await publishAs(publisher, "1");
  await until(() => release);
  account.user = "bob";
  isSlow = false;
  release();
  await sleep(1000);
  assert.deepEqual(to.seen, []);
  assert.equal(publisher.outbox.stats().attempts, 0);
  account.user = "ann";
  assert.equal((await publisher.outbox.drain()).aborted, false);
  assert.deepEqual(to.seen, [["ann", "1"]]);
  assert.deepEqual((await receipt.delivered).attempts, 1);
  await publisher.outbox.close();
});

test("events that are staged before a sign-out are flushed later, under their own identity", async () => {
  const account = { user: "ann" };
  const to = noting();
  const publisher = following(account, to);
  const session = publisher.session();
  session.publish(event("ann-1"));
  account.user = "bob";
  session.publish(event("bob-1"));
  assert.equal(session.staged, 2);
  const { accepted } = await session.flush();
  assert.deepEqual(accepted.sort(), ["ann-1", "bob-1"]);
  await publisher.outbox.drain();
  assert.deepEqual(to.seen, [["bob", "bob-1"]]);
  account.user = "ann";
  await publisher.outbox.drain();
  assert.deepEqual(to.seen, [
    ["bob", "bob-1"],
    ["ann", "ann-1"],
  ]);
  await publisher.outbox.close();
});

test("waiting events are sent when their identity comes back, without a call", async () => {
  const account = { user: "ann" };
  const to = noting({ status: 503 });
  const publisher = following(account, to);
  await publishAs(publisher, "1");
  account.user = "bob";
  await sleep(20_000);
  to.state.status = 202;
  await sleep(20_000);
  assert.deepEqual(to.seen, []);
  account.user = "ann";
  await until(() => to.seen.length === 1);
  assert.deepEqual(to.seen, [["ann", "1"]]);
  await publisher.outbox.close();
});

test("drain waits for the stored events of an identity that has just come back", async () => {
  const account = { user: "ann" };
  const store = memoryStore();
  const to = noting({ status: 503 });
  const earlier = following(account, to, { store });
  await publishAs(earlier, "1");
  await earlier.outbox.close();
  const publisher = following(account, to, { store });
  await publisher.outbox.drain({ deadlineMs: 50 });
  account.user = "bob";
  publisher.outbox.stats();
  // Until no request of Ann is in flight, and another tab could lead for her.
  await sleep(60_000);
  to.state.status = 202;
  account.user = "ann";
  const { delivered, pending, aborted } = await publisher.outbox.drain();
  assert.deepEqual([delivered, pending, aborted], [1, 0, false]);
  await publisher.outbox.close();
});

test("a request in flight when the user changes counts, and is not repeated", async () => {
  const account = { user: "ann" };
  let answer;
  const to = noting();
  const { fetch } = to;
  to.fetch = async (...args) => {
    const request = new Request(...args);
    const response = await fetch(request);
    await new Promise((resolve) => (answer = resolve));
    return response;
  };
  const publisher = following(account, to);
  const [receipt] = await publishAs(publisher, "1");
  await until(() => answer);
  account.user = "bob";
  assert.equal(publisher.outbox.stats().held, 1);
  answer();
  await receipt.delivered;
  account.user = "ann";
  await publisher.outbox.drain();
  assert.deepEqual(to.seen, [["ann", "1"]]);
  await publisher.outbox.close();
});

test("an identity function that fails stages nothing, and nothing is sent until it works", async () => {
  for (const [bad, pattern] of [
    [
      () => {
        throw new Error("no user");
      },
      /threw an error/,
    ],
    [() => undefined, /must return a string; received undefined/],
    [() => 7, /received number/],
    [() => ({ id: "s3cret" }), /received object/],
    [async () => "ann", /received a promise/],
    [never, /received a promise/],
    [() => Promise.reject(new Error("no session")), /received a promise/],
  ]) {
    let isBad = false;
    const to = noting({ status: 503 });
    const publisher = new Publisher({
      url: "https://example.com/events",
      fetch: to.fetch,
      mode: "batch",
      outbox: { store: memoryStore(), identity: () => (isBad ? bad() : "ann"), retry: { baseMs: 1, maxMs: 5 } },
    });
    const degraded = listen(publisher.outbox, "degraded");
    await publishAs(publisher, "1");
    isBad = true;
    const session = publisher.session();
    const misuse = (error) => error.code === "ERR_INVALID_ARGUMENT" && pattern.test(error.message);
    assert.throws(() => session.publish(event("2")), misuse);
    assert.throws(() => publisher.outbox.stats(), misuse);
    await assert.rejects(publisher.outbox.drain(), misuse);
    assert.equal(session.staged, 0);
    assert.equal(degraded.length, 1, "told once");
    to.state.status = 202;
    await sleep(60_000);
    assert.deepEqual(to.seen, []);
    isBad = false;
    await until(() => to.seen.length === 1);
    await publisher.outbox.close();
  }
});

test("an identity function that uses its own outbox is told so, and does not recurse for ever", async () => {
  const publisher = new Publisher({
    url: "https://example.com/events",
    outbox: { store: memoryStore(), identity: () => String(publisher.outbox.stats().pending) },
  });
  assert.throws(() => publisher.session().publish(event("1")), { code: "ERR_INVALID_ARGUMENT" });
  await publisher.outbox.close();
});

test("an identity that is no string and no function is refused by name", () => {
  for (const identity of [7, {}, null])
    assert.throws(() => new Publisher({ url: "https://example.com", outbox: { identity } }), {
      code: "ERR_INVALID_ARGUMENT",
      message: /^outbox\.identity must be a string or a function that returns one/,
    });
});

test("signOut sends, holds or drops what is undelivered", async () => {
  for (const pending of ["send", "hold", "drop"]) {
    const account = { user: "ann" };
    const to = noting({ status: pending === "send" ? 202 : 503 });
    const publisher = following(account, to);
    const stored = await publishAs(publisher, "1");
    const session = publisher.session();
    const receipts = [...stored, session.publish(event("2"))];
    const report = await publisher.outbox.signOut({ pending });
    to.state.status = 202;
    await sleep(60_000);
    const { outbox } = publisher;
    if (pending === "send") {
      // The first may have been delivered before the call.
      assert.deepEqual([report.held, report.dropped], [0, 0]);
      assert.deepEqual(to.seen.map(([, id]) => id).sort(), ["1", "2"]);
    }
    if (pending === "hold") {
      assert.deepEqual(report, { delivered: 0, held: 2, dropped: 0 });
      assert.deepEqual(to.seen, []);
      assert.equal((await outbox.drain({ deadlineMs: 100 })).aborted, true);
    }
    if (pending === "drop") {
      assert.deepEqual(report, { delivered: 0, held: 0, dropped: 2 });
      for (const receipt of receipts) await assert.rejects(receipt.delivered, { code: "ERR_DROPPED" });
      assert.equal(outbox.stats().bytes, 0);
    }
    // The same user signs in again.
    await publishAs(publisher, "3");
    await outbox.drain();
    assert.deepEqual(to.seen.map(([, id]) => id).sort(), pending === "drop" ? ["3"] : ["1", "2", "3"]);
    assert.equal(balance(outbox.stats()), 0);
    await outbox.close();
  }
});

test("signOut ends at its deadline while the server fails, and its arguments are checked", async () => {
  const to = noting({ status: 503 });
  const publisher = following({ user: "ann" }, to);
  await publishAs(publisher, "1");
  assert.deepEqual(await publisher.outbox.signOut({ pending: "send", deadlineMs: 50 }), {
    delivered: 0,
    held: 1,
    dropped: 0,
  });
  for (const bad of [undefined, {}, { pending: "keep" }, { pending: "hold", deadlineMs: -1 }])
    await assert.rejects(publisher.outbox.signOut(bad), { code: "ERR_INVALID_ARGUMENT" });
  await publisher.outbox.close();
  await assert.rejects(publisher.outbox.signOut({ pending: "hold" }), { code: "ERR_CLOSED" });
});

test("held events take no room from the present identity", async () => {
  const account = { user: "ann" };
  const to = noting({ status: 503 });
  const publisher = following(account, to, { maxBytes: 2000 });
  const fill = () => {
    const session = publisher.session();
    let count = 0;
    try {
      for (; ; count++) session.publish(event(`${account.user}-${count}`));
    } catch (error) {
      assert.equal(error.code, "ERR_QUEUE_FULL");
    }
    return session.flush().then(() => count);
  };
  const count = await fill();
  account.user = "bob";
  assert.equal(publisher.outbox.stats().bytes, 0);
  assert.equal(await fill(), count);
  assert.equal(publisher.outbox.stats().held, count);
  await publisher.outbox.close();
});

test("rows that were moved before adopt failed are delivered all the same", async () => {
  const inner = memoryStore();
  let isBroken = false;
  const store = storeWith({
    open: (_, name) => inner.open(name),
    write: async (_, change) => {
      await inner.write(change);
      if (isBroken && change.put.length > 0) throw new Error("the answer was lost");
    },
    peek: (_, limit) => inner.peek(limit),
    dead: (_, limit, prefix) => inner.dead(limit, prefix),
    count: (_, prefix) => inner.count(prefix),
  });
  const to = noting({ status: 503 });
  const old = following({ user: "old" }, to, { store });
  await publishAs(old, "1");
  await old.outbox.close();
  to.state.status = 202;
  const publisher = following({ user: "new" }, to, { store });
  await publisher.outbox.drain();
  isBroken = true;
  await assert.rejects(publisher.outbox.adopt("old"), { code: "ERR_STORE" });
  isBroken = false;
  await until(() => to.seen.length === 1, 5000);
  assert.equal(balance(publisher.outbox.stats()), 0);
  await publisher.outbox.close();
});

test("a tab that does not lead adopts, and its drain ends", async () => {
  const inner = memoryStore();
  let owner;
  const tab = () => ({
    kind: "adopting",
    open: async () => ({ durability: "os", isShared: true, supportsPrefix: true }),
    write: (change) => inner.write(change),
    peek: (limit) => inner.peek(limit),
    dead: (limit, prefix) => inner.dead(limit, prefix),
    count: (prefix) => inner.count(prefix),
    close: async () => undefined,
    acquire: async (candidate, ms) => {
      if (ms === 0) owner = undefined;
      else owner ??= candidate;
      return ms === 0 || owner === candidate;
    },
  });
  const to = noting({ status: 503 });
  const old = following({ user: "old" }, to, { store: tab() });
  await publishAs(old, "1", "2");
  await old.outbox.close();
  to.state.status = 202;
  const leading = following({ user: "new" }, to, { store: tab() });
  await leading.outbox.drain();
  const other = following({ user: "new" }, to, { store: tab() });
  await other.outbox.drain();
  assert.deepEqual([leading.outbox.stats().isLeader, other.outbox.stats().isLeader], [true, false]);
  assert.equal(await other.outbox.adopt("old"), 2);
  await until(() => to.seen.length === 2);
  const { pending, aborted } = await other.outbox.drain({ deadlineMs: 10_000 });
  assert.deepEqual([pending, aborted, balance(other.outbox.stats())], [0, false, 0]);
  await other.outbox.close();
  await leading.outbox.close();
});

test("two tabs with different users each send their own events", async () => {
  const inner = memoryStore();
  const owners = new Map();
  const tab = () => ({
    kind: "shared",
    open: async () => ({ durability: "os", isShared: true, supportsPrefix: true }),
    write: (change) => inner.write(change),
    peek: (limit) => inner.peek(limit),
    dead: (limit, prefix) => inner.dead(limit, prefix),
    count: (prefix) => inner.count(prefix),
    close: async () => undefined,
    acquire: async (owner, ms, scope) => {
      if (ms === 0 && owners.get(scope) === owner) owners.delete(scope);
      else if (!owners.has(scope)) owners.set(scope, owner);
      return ms === 0 || owners.get(scope) === owner;
    },
  });
  const to = noting();
  const [ann, bob] = ["ann", "bob"].map((user) => following({ user }, to, { store: tab() }));
  await Promise.all([publishAs(ann, "1", "2"), publishAs(bob, "3", "4")]);
  await Promise.all([ann.outbox.drain(), bob.outbox.drain()]);
  assert.deepEqual(to.seen.map((pair) => pair.join(" ")).sort(), ["ann 1", "ann 2", "bob 3", "bob 4"]);
  assert.deepEqual([ann.outbox.stats().isLeader, bob.outbox.stats().isLeader], [true, true]);
  await Promise.all([ann.outbox.close(), bob.outbox.close()]);
});

test("hourly token refresh orphans nothing, with an identity and with headers as a function", async () => {
  for (const identity of ["ann", undefined]) {
    let hour = 0;
    const to = noting({ status: 503 });
    const store = memoryStore();
    for (; hour < 3; hour++) {
      const publisher = new Publisher({
        url: "https://example.com/events",
        fetch: to.fetch,
        mode: "batch",
        headers: () => ({ authorization: `Bearer ${hour}` }),
        outbox: { store, ...(identity && { identity }) },
      });
      await publishAs(publisher, String(hour));
      await sleep(3_600_000);
      await publisher.outbox.close();
    }
    to.state.status = 202;
    const publisher = new Publisher({
      url: "https://example.com/events",
      fetch: to.fetch,
      mode: "batch",
      headers: () => ({ authorization: "Bearer last" }),
      outbox: { store, ...(identity && { identity }) },
    });
    await publisher.outbox.drain();
    assert.deepEqual(to.seen, [
      ["Bearer last", "0"],
      ["Bearer last", "1"],
      ["Bearer last", "2"],
    ]);
    await publisher.outbox.close();
  }
});

test("adopt moves what another identity of this page has stored, and its receipts settle", async () => {
  const account = { user: "old" };
  const to = noting({ status: 503 });
  const publisher = following(account, to);
  const receipts = await publishAs(publisher, "1", "2");
  account.user = "new";
  assert.equal(await publisher.outbox.adopt("old"), 2);
  assert.deepEqual([publisher.outbox.stats().held, publisher.outbox.stats().pending], [0, 2]);
  to.state.status = 202;
  await publisher.outbox.drain();
  for (const receipt of receipts) await receipt.delivered;
  assert.deepEqual(to.seen, [
    ["new", "1"],
    ["new", "2"],
  ]);
  assert.equal(balance(publisher.outbox.stats()), 0);
  assert.equal(await publisher.outbox.adopt("nobody"), 0);
  await assert.rejects(publisher.outbox.adopt("new"), { code: "ERR_INVALID_ARGUMENT" });
  for (const bad of [undefined, null, 7, [["a b", "c"]]])
    await assert.rejects(publisher.outbox.adopt(bad), { code: "ERR_INVALID_ARGUMENT" });
  account.user = "old";
  assert.deepEqual([publisher.outbox.stats().pending, balance(publisher.outbox.stats())], [0, 0]);
  await publisher.outbox.close();
});

test("a pipeline keeps its events when its token changes, and a BriteEvents client those of its service", async () => {
  const store = memoryStore();
  const to = noting({ status: 503 });
  for (const token of ["one", "two"]) {
    const source = new PipelineDataSource({
      pipelineId: "00000000-0000-4000-8000-000000000001",
      pipelineAccessToken: token,
      fetch: to.fetch,
      outbox: { store },
    });
    if (token === "one") {
      const session = source.session();
      session.publish({ id: "1" });
      await session.flush();
      await source.outbox.close();
      to.state.status = 202;
    } else {
      await source.outbox.drain();
      await source.outbox.close();
    }
  }
  assert.deepEqual(to.seen, [["two", "1"]]);

  const posted = [];
  let status = 503;
  const shared = memoryStore();
  const clientOf = (serviceName) =>
    new EventClient({
      apiUrl: "https://events.example.com",
      serviceName,
      topics: "DefaultCategory: orders\nTopics:\n  - { Entity: Order, Action: Created, Schema: { type: object } }\n",
      fetch: async (...args) => {
        const request = new Request(...args);
        const body = await request.text();
        if (status < 300) posted.push([serviceName, body.includes("orders-service")]);
        return new Response(null, { status });
      },
      outbox: { store: shared },
    });
  const orders = clientOf("orders-service");
  const session = orders.serviceSession();
  session.createdOrder({ id: "1" });
  await session.flush({ deadlineMs: 1000 });
  await orders.close();
  status = 202;
  const stocks = clientOf("stocks-service");
  await stocks.outbox.drain();
  assert.deepEqual(posted, []);
  await until(() => stocks.outbox.stats().held === 1);
  await stocks.close();
  const again = clientOf("orders-service");
  await again.outbox.drain();
  assert.deepEqual(posted, [["orders-service", true]]);
  await again.close();
});

test("names of locks, channels and databases show neither identities nor URLs", async () => {
  const opened = [];
  const store = storeWith({
    open: (inner, name) => {
      opened.push(name);
      return inner.open(name);
    },
  });
  const publisher = new Publisher({
    url: "https://example.com/events?key=s3cret",
    fetch: noting().fetch,
    outbox: { store, identity: "ann@example.com" },
  });
  await publishAs(publisher, "1");
  const written = JSON.stringify([
    opened,
    store.log.filter(([name]) => name === "write").map(([, { put }]) => put[0]?.key),
  ]);
  assert.match(opened[0], /^[0-9a-f]{32}$/);
  assert.doesNotMatch(written, /ann|example|s3cret/);
  await publisher.outbox.close();
});

test("the console asks for an identity once, where one is needed", async (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  const make = (options) =>
    new Publisher({ url: "https://example.com/w", ...options, outbox: { store: memoryStore(), ...options.outbox } });
  const made = [
    make({}),
    make({ headers: { "content-language": "de" } }),
    make({ headers: { "x-api-key": "k" } }),
    make({ headers: () => ({}), outbox: { identity: "ann" } }),
  ];
  assert.equal(warn.mock.callCount(), 0);
  made.push(
    make({ headers: { authorization: "Bearer warned" } }),
    make({ headers: { authorization: "Bearer again" } }),
  );
  made.push(make({ headers: () => ({}) }), make({ headers: async () => ({}) }));
  const warnings = warn.mock.calls.map(({ arguments: [text] }) => text);
  // Earlier tests of this file may have shown the same sentences.
  assert.ok(warnings.length <= 2, warnings.join("\n"));
  for (const text of warnings) assert.match(text, /^eventferry: .*set outbox\.identity/);
  for (const publisher of made) await publisher.outbox.close();
});

test("two outboxes with one destination and different options are told apart in one warning", async (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  const kind = "indexeddb";
  const make = (outbox, url = "https://example.com/twice") =>
    new Publisher({ url, outbox: { ...outbox, store: { ...storeWith(), kind } } });
  const made = [make({}), make({}), make({ identity: "bob" })];
  assert.equal(warn.mock.callCount(), 0);
  made.push(make({ batch: { maxEvents: 5 } }), make({ batch: { maxEvents: 5 } }));
  made.push(make({ name: "n" }), make({ name: "n" }, "https://example.com/other"));
  const warnings = warn.mock.calls.map(({ arguments: [text] }) => text);
  assert.equal(warnings.length, 2, warnings.join("\n"));
  assert.match(warnings[0], /differ in batch\.maxEvents/);
  assert.match(warnings[1], /differ in url/);
  for (const publisher of made) await publisher.outbox.close();
});

test("many identities come and go: no event under another one, none lost, and the counters balance", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    let state = seed * 7919;
    const chance = () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return (state >>> 0) / 2 ** 32;
    };
    const users = ["ann", "bob", "cleo", ""];
    const account = { user: "ann" };
    const seen = new Map();
    const published = new Map();
    let isReliable = false;
    const fetch = async (...args) => {
      const request = new Request(...args);
      const user = request.headers.get("authorization");
      const events = JSON.parse(await request.text());
      if (chance() < 0.5) await sleep(chance() * 5);
      if (!isReliable && chance() < 0.3) return new Response(null, { status: 503 });
      for (const { id } of events) {
        assert.equal(published.get(id), user, `${id} left under the identity ${user}`);
        seen.set(id, user);
      }
      return new Response(null, { status: 202 });
    };
    const store = memoryStore();
    const open = () =>
      new Publisher({
        url: "https://example.com/events",
        fetch,
        mode: "batch",
        headers: async () => {
          const { user } = account;
          if (chance() < 0.3) await sleep(chance() * 5);
          return { authorization: user };
        },
        outbox: {
          store,
          identity: () => {
            if (!isReliable && chance() < 0.02) throw new Error("no user");
            return account.user;
          },
          retry: { baseMs: 1, maxMs: 5 },
        },
      });
    let publisher = open();
    let session = publisher.session();
    for (let step = 0, id = 0; step < 300; step++) {
      const roll = chance();
      if (roll < 0.15) account.user = users[Math.floor(chance() * users.length)];
      else if (roll < 0.55) {
        const { user } = account;
        try {
          session.publish(event(String(++id)));
          published.set(String(id), user);
        } catch (error) {
          assert.equal(error.code, "ERR_INVALID_ARGUMENT");
        }
      } else if (roll < 0.75) void session.flush().catch(() => undefined);
      else if (roll < 0.9) await sleep(chance() * 10);
      else if (roll < 0.93)
        void publisher.outbox
          .signOut({ pending: chance() < 0.5 ? "send" : "hold", deadlineMs: 20 })
          .catch(() => undefined);
      else if (roll < 0.95) {
        await session.flush();
        await publisher.outbox.close();
        publisher = open();
        session = publisher.session();
      }
    }
    isReliable = true;
    await session.flush();
    // Until the last `signOut` has ended.
    await sleep(60_000);
    for (const user of users) {
      account.user = user;
      publisher.outbox.resume();
      const report = await publisher.outbox.drain({ deadlineMs: 60_000 });
      assert.equal(report.aborted, false, `${user}: ${JSON.stringify(report)}`);
      assert.equal(balance(publisher.outbox.stats()), 0);
    }
    assert.deepEqual([...seen.keys()].sort(), [...published.keys()].sort());
    assert.equal((await store.count()).events, 0);
    await publisher.outbox.close();
  }
});
