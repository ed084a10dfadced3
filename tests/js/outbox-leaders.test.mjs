// Several programs with one store, of which one sends. Processes have no channel; tabs have locks, and may hang.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "eventferry";
import { LeaseCandidate } from "../../dist/platform/lease-candidate.js";
import { LockCandidate, lockTimes } from "../../dist/platform/lock-candidate.js";
import { balance, event, never, publisherTo, server } from "./outbox-fixtures.mjs";
import { sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** A store with leases for several processes. `kill` ends a process: its calls no longer return. */
function processes() {
  const inner = memoryStore();
  const leases = new Map();
  const leaders = [];
  const open = () => {
    const self = { isDead: false };
    const alive = async (value) => (self.isDead ? never() : value);
    const store = {
      kind: "processes",
      open: async () => ({ durability: "os", isShared: true, supportsPrefix: true }),
      write: (change) => (self.isDead ? never() : inner.write(change)),
      peek: (limit) => alive().then(() => inner.peek(limit)),
      dead: (limit, prefix) => alive().then(() => inner.dead(limit, prefix)),
      count: (prefix) => alive().then(() => inner.count(prefix)),
      close: async () => undefined,
      async acquire(owner, ms, scope) {
        await alive();
        const lease = leases.get(scope);
        if (lease && lease.owner !== owner && lease.until > virtualClock().unixNow()) return false;
        if (lease?.owner !== owner) leaders.push(owner);
        leases.set(scope, { owner, until: virtualClock().unixNow() + ms });
        return true;
      },
    };
    return Object.assign(self, { store });
  };
  return { open, leaders, leases, inner };
}

/** No messages between the outboxes of a test, as between processes. */
function withoutChannel(t) {
  const { BroadcastChannel } = globalThis;
  globalThis.BroadcastChannel = class {
    postMessage() {}
    close() {}
  };
  t.after(() => void (globalThis.BroadcastChannel = BroadcastChannel));
}

const publishMany = async (publisher, from, to) => {
  const session = publisher.session();
  const receipts = [];
  for (let id = from; id < to; id++) receipts.push(session.publish(event(id)));
  await session.flush();
  return receipts;
};

test("locks that hold within one process do not make two processes lead", async (t) => {
  withoutChannel(t);
  const original = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  t.after(() => (original ? Object.defineProperty(globalThis, "navigator", original) : delete globalThis.navigator));
  // Every process gets its own lock at once, as with Node and Deno.
  const locks = { request: async (_name, _options, body) => body({}) };
  Object.defineProperty(globalThis, "navigator", { value: { locks, userAgent: "Deno/2" }, configurable: true });
  const store = processes();
  const to = server(202);
  const all = [0, 1, 2].map(() => publisherTo(to, { outbox: { store: store.open().store } }));
  const receipts = [];
  for (const [at, publisher] of all.entries())
    receipts.push(...(await publishMany(publisher, at * 100, at * 100 + 100)));
  for (const { delivered } of receipts) assert.ok((await delivered).ids.length === 1);
  for (const { outbox } of all) assert.equal((await outbox.drain()).aborted, false);
  const sent = to.ids().flat();
  assert.deepEqual([sent.length, new Set(sent).size, store.leaders.length], [300, 300, 1]);
  assert.equal(all.filter(({ outbox }) => outbox.stats().isLeader).length, 1);
  for (const { outbox } of all) assert.equal(balance(outbox.stats()), 0);
  for (const { outbox } of all) await outbox.close();
});

test("receipts know what another process has delivered and refused, without a message", async (t) => {
  withoutChannel(t);
  const store = processes();
  const to = server(({ text }) => new Response("no", { status: text.includes('"2"') ? 400 : 202 }));
  const first = publisherTo(to, { outbox: { store: store.open().store, batch: { maxAgeMs: 0 } } });
  await until(() => first.outbox.stats().isLeader);
  const second = publisherTo(to, { outbox: { store: store.open().store } });
  await second.outbox.run(() => undefined);
  const receipts = await publishMany(second, 1, 5);
  // Without a channel the leader looks into the store only when it has something to do itself.
  await publishMany(first, 10, 11);
  await Promise.all([0, 2, 3].map((at) => receipts[at].delivered));
  await assert.rejects(receipts[1].delivered, { code: "ERR_REJECTED", status: 400 });
  const { delivered, dead, pending, bytes } = second.outbox.stats();
  assert.deepEqual([delivered, dead, pending, balance(second.outbox.stats())], [3, 1, 0, 0]);
  assert.ok(bytes < 200, `${bytes} bytes`);
  await second.outbox.close();
  await first.outbox.close();
});

test("a killed leader is replaced within the lease, and drain waits for what the store has", async (t) => {
  withoutChannel(t);
  const store = processes();
  const dead = store.open();
  const first = publisherTo(server(never), { outbox: { store: dead.store } });
  await publishMany(first, 0, 50);
  await until(() => first.outbox.stats().isLeader);
  dead.isDead = true;
  const to = server(202);
  const second = publisherTo(to, { outbox: { store: store.open().store } });
  const started = virtualClock().now();
  const report = await second.outbox.drain();
  const tookMs = virtualClock().now() - started;
  assert.ok(tookMs > 1000 && tookMs < 16_000, `${tookMs} ms`);
  assert.deepEqual([report.aborted, to.ids().flat().length], [false, 50]);
  await second.outbox.close();
  first.close();
});

test("a leader whose clock is set back asks for its lease, which the others take for one that is over", async () => {
  const asked = [];
  let isFree = true;
  const lease = async (owner, ms) => asked.push([owner, ms]) > 0 && isFree;
  const leader = new LeaseCandidate({ lease, owner: "one", onChange: () => undefined });
  await sleep(100);
  assert.deepEqual([leader.confirm(), asked.length], [true, 1]);
  const before = virtualClock().unixNow();
  virtualClock().setUnix(before - 60_000);
  isFree = false;
  assert.equal(await leader.confirm(), false);
  isFree = true;
  assert.deepEqual([await leader.confirm(), leader.confirm(), asked.length], [true, true, 3]);
  leader.withdraw();
  virtualClock().setUnix(before);
});

test("a process that hung while it waited for the headers of a request starts it only if it still leads", async (t) => {
  withoutChannel(t);
  const store = processes();
  const waiting = [];
  const headers = () => new Promise((resolve) => waiting.push(resolve));
  const to = server(202);
  const publisher = publisherTo(to, { headers, outbox: { store: store.open().store } });
  const [receipt] = await publishMany(publisher, 0, 1);
  await until(() => waiting.length > 0);
  virtualClock().hang(11_000);
  for (const scope of store.leases.keys())
    store.leases.set(scope, { owner: "another", until: virtualClock().unixNow() + 10_000 });
  waiting[0]({});
  await sleep(5000);
  assert.deepEqual([to.requests.length, publisher.outbox.stats().isLeader], [0, false]);
  // The other one ends without having sent it.
  await until(() => waiting.length > 1);
  waiting[1]({});
  assert.equal((await receipt.delivered).attempts, 1);
  await publisher.outbox.close();
});

test("an outbox that is closed while it asks for the lease gives it back before it closes the store", async (t) => {
  withoutChannel(t);
  const calls = [];
  let lease;
  const inner = memoryStore();
  const store = {
    kind: "slow",
    open: async () => ({ durability: "os", isShared: true, supportsPrefix: true }),
    write: (change) => inner.write(change),
    peek: (limit) => inner.peek(limit),
    dead: (limit, prefix) => inner.dead(limit, prefix),
    count: (prefix) => inner.count(prefix),
    close: async () => void calls.push("close"),
    async acquire(owner, ms) {
      calls.push(ms > 0 ? "ask" : "release");
      // The release must not overtake the request, which takes longer.
      await sleep(ms > 0 ? 50 : 1);
      lease = ms > 0 ? owner : undefined;
      return true;
    },
  };
  const { outbox } = publisherTo(server(202), { outbox: { store } });
  void outbox.drain({ deadlineMs: 0 });
  await until(() => calls.length > 0);
  await outbox.close();
  assert.deepEqual([calls, lease], [["ask", "release", "close"], undefined]);
});

test("a store that fails for a moment does not make a second process lead", async () => {
  const answers = [];
  const candidate = () => {
    const changes = [];
    const lease = async () => answers.shift();
    return {
      changes,
      candidate: new LeaseCandidate({ lease, owner: "one", onChange: (leads) => changes.push(leads) }),
    };
  };
  // Of which nothing is known yet.
  answers.push(undefined, undefined, false);
  const unknown = candidate();
  await sleep(1000);
  assert.deepEqual([unknown.changes, answers.length], [[false], 0]);
  unknown.candidate.withdraw();
  // Which was refused before, and the other one may have renewed its lease since.
  answers.push(false);
  const waiting = candidate();
  await sleep(14_000);
  assert.deepEqual(waiting.changes, [false]);
  // A failure without an end gives the lease to nobody.
  await sleep(10_000);
  assert.deepEqual([waiting.changes[0], waiting.changes.at(-1)], [false, true]);
  waiting.candidate.withdraw();
  // Which leads: it goes on.
  answers.push(true);
  const leading = candidate();
  await sleep(9900);
  assert.deepEqual([leading.changes, leading.candidate.confirm()], [[true], true]);
  await sleep(10_000);
  assert.deepEqual([new Set(leading.changes), leading.candidate.confirm()], [new Set([true]), true]);
  leading.candidate.withdraw();
});

test("drain of a process that does not lead ends at its deadline if the store is never emptied", async (t) => {
  withoutChannel(t);
  const store = processes();
  const first = publisherTo(server(never), { outbox: { store: store.open().store } });
  await publishMany(first, 0, 5);
  await until(() => first.outbox.stats().isLeader);
  const second = publisherTo(server(202), { outbox: { store: store.open().store } });
  assert.equal((await second.outbox.drain({ deadlineMs: 3000 })).aborted, true);
  first.outbox.pause();
  await second.outbox.close();
  first.close();
});

test("who does not lead sends what its store refuses, and does not ask for the lead again and again", async (t) => {
  withoutChannel(t);
  const store = processes();
  const first = publisherTo(server(202), { outbox: { store: store.open().store } });
  await until(() => first.outbox.stats().isLeader);
  const { store: full } = store.open();
  let asked = 0;
  const { acquire } = full;
  // Without an end, a loop would never let the test fail.
  full.acquire = (...given) => (++asked > 1000 ? never() : acquire(...given));
  full.write = async () => Promise.reject(new Error("full"));
  const to = server(202);
  const second = publisherTo(to, { outbox: { store: full } });
  await sleep(100);
  assert.equal(second.outbox.stats().isLeader, false);
  const session = second.session();
  const { delivered } = session.publish(event(1));
  session.commit();
  assert.equal((await delivered).attempts, 1);
  assert.deepEqual(
    [to.ids(), second.outbox.stats().isLeader, asked < 10],
    [[["1"]], false, true],
    `${asked} questions`,
  );
  void second.outbox.close().catch(() => undefined);
  await first.outbox.close();
  await sleep(20_000);
});

test("who sends what its store refuses leaves it to the leader once it is stored, and does not hang", async (t) => {
  withoutChannel(t);
  const inner = memoryStore();
  let [isFull, isFree, asked] = [true, false, 0];
  const store = {
    ...inner,
    kind: "full",
    open: async () => ({ durability: "os", isShared: true }),
    write: (change) => (isFull ? Promise.reject(new Error("full")) : inner.write(change)),
    peek: (limit) => inner.peek(limit),
    dead: (limit) => inner.dead(limit),
    count: () => inner.count(),
    // Without an end, a loop would never let the test fail.
    acquire: async () => (++asked > 1000 ? never() : isFree),
  };
  const answers = [];
  const to = server(() => new Promise((resolve) => answers.push(resolve)));
  const publisher = publisherTo(to, { outbox: { store } });
  const session = publisher.session();
  const { delivered } = session.publish(event(1));
  session.commit();
  await until(() => answers.length === 1);
  isFull = false;
  while ((await inner.count()).events === 0) await sleep(10);
  await sleep(10);
  asked = 0;
  answers[0](new Response(null, { status: 503 }));
  await sleep(10_000);
  assert.equal(answers.length, 1);
  assert.ok(asked < 5, `${asked} questions`);
  isFree = true;
  await until(() => answers.length === 2);
  answers[1](new Response(null, { status: 202 }));
  assert.equal((await delivered).status, 202);
  await publisher.outbox.close();
});

/** A lock manager as in a browser, and a channel, for several tabs. A tab that hangs answers nothing. */
function browser() {
  let held;
  const queue = [];
  const tabs = new Set();
  const grantNext = () => {
    while (!held && queue.length > 0) {
      const next = queue.shift();
      if (!next.options.signal?.aborted) grant(next);
    }
  };
  const grant = (request) => {
    held = request;
    void Promise.resolve(request.body({})).then(() => {
      if (held !== request) return;
      held = undefined;
      request.resolve();
      grantNext();
    });
  };
  const locksOf = (clientId) => ({
    request: (name, options, body) =>
      new Promise((resolve, reject) => {
        const request = { clientId, name, options, body, resolve, reject };
        options.signal?.addEventListener("abort", () => reject(options.signal.reason));
        if (options.ifAvailable && held) return resolve(body(null));
        if (options.steal && held) {
          const stolen = held;
          held = undefined;
          tabs.forEach((tab) => tab.id === stolen.clientId && tab.later(() => stolen.reject(new Error("stolen"))));
        }
        if (held) queue.push(request);
        else grant(request);
      }),
    query: async () => ({ held: held ? [{ name: held.name, clientId: held.clientId }] : [] }),
  });
  const open = () => {
    const id = `tab ${tabs.size}`;
    const waiting = [];
    const tab = {
      id,
      isStuck: false,
      isThrottled: false,
      isAnswering: false,
      answers: 0,
      receive(message) {
        tab.isAnswering = true;
        tab.candidate?.onMessage(message);
        tab.isAnswering = false;
        if (message.election === "ping") tab.answers++;
      },
      leads: undefined,
      changes: [],
      /** Runs something in the tab, or when it no longer hangs. */
      later: (task) => (tab.isStuck ? waiting.push(task) : task()),
      wake() {
        tab.isStuck = false;
        for (const task of waiting.splice(0)) task();
      },
    };
    tabs.add(tab);
    tab.candidate = new LockCandidate({
      locks: locksOf(id),
      name: "outbox",
      send(message) {
        if (tab.isStuck || (tab.isThrottled && !tab.isAnswering)) return;
        for (const other of tabs) if (other !== tab) other.later(() => other.receive(message));
      },
      onChange: (leads) => {
        tab.leads = leads;
        tab.changes.push(leads);
      },
    });
    return tab;
  };
  return { open, tabs, leaders: () => [...tabs].filter(({ leads }) => leads).map(({ id }) => id) };
}

test("a tab that hangs loses the lead, one other gets it, and the first one notices before it sends", async () => {
  const { open, leaders } = browser();
  const [first, ...others] = [open(), open(), open(), open()];
  await sleep(60_000);
  assert.deepEqual(leaders(), ["tab 0"]);
  first.isStuck = true;
  await sleep(30_000);
  const now = others.filter(({ leads }) => leads);
  assert.equal(now.length, 1);
  // What runs first when it continues may be an answer, before it knows that the lock is gone. Its timers have stood
  // still, so it asks.
  const { silence } = lockTimes;
  lockTimes.silence = 0;
  assert.equal(await first.candidate.confirm(), false);
  lockTimes.silence = silence;
  first.wake();
  await sleep(1000);
  assert.deepEqual(leaders(), [now[0].id]);
  // Healthy again, it waits like the others.
  now[0].candidate.withdraw();
  now[0].leads = false;
  await sleep(1000);
  assert.equal(leaders().length, 1);
  for (const { candidate } of [first, ...others]) candidate.withdraw();
});

test("a leader whose timers run once a minute keeps the lead, because it answers", async (t) => {
  const { open, leaders } = browser();
  const [first, second] = [open(), open()];
  await sleep(1000);
  t.after(() => [first, second].forEach(({ candidate }) => candidate.withdraw()));
  // Its signs of life do not come, but its answers do.
  first.isThrottled = true;
  await sleep(600_000);
  assert.ok(first.answers > 10, String(first.answers));
  assert.deepEqual([leaders(), second.changes], [["tab 0"], [false]]);
  assert.equal(await first.candidate.confirm(), true);
});

test("a lock that was stolen before its owner knew of it makes no second leader", async () => {
  const stolen = async () => Promise.reject(new DOMException("stolen", "AbortError"));
  for (const [isAlways, expected] of [
    [false, [false, false]],
    // A platform that refuses all locks: everyone leads.
    [true, [true, true]],
  ]) {
    const changes = [];
    let asked = 0;
    const locks = {
      request: () => (++asked === 1 || isAlways ? stolen() : never()),
      query: async () => ({ held: [] }),
    };
    const send = () => undefined;
    const candidate = new LockCandidate({ locks, name: "outbox", send, onChange: (leads) => changes.push(leads) });
    await sleep(100);
    assert.deepEqual([changes.at(-1), await candidate.confirm()], expected);
    candidate.withdraw();
  }
});

test("of two that lead, the one without the lock resigns, and ignores what comes of its old request", async () => {
  const [requests, changes] = [[], []];
  let holder = "own";
  const locks = {
    request: (name, options, body) =>
      new Promise((_resolve, reject) => {
        if (name !== "outbox") return void reject(new Error("unknown"));
        requests.push({ body, reject });
        if (options.ifAvailable) void body({});
      }),
    query: async () => ({ held: [{ name: "outbox", clientId: holder }] }),
  };
  const send = () => undefined;
  const candidate = new LockCandidate({ locks, name: "outbox", send, onChange: (leads) => changes.push(leads) });
  await sleep(10);
  candidate.onMessage({ election: "alive" });
  await sleep(10);
  assert.deepEqual([changes, requests.length], [[true], 1]);
  // Another one has stolen the lock, and the browser does not tell.
  holder = "other";
  candidate.onMessage({ election: "alive" });
  await sleep(10);
  assert.deepEqual([changes, requests.length], [[true, false], 2]);
  requests[0].reject(new DOMException("stolen", "AbortError"));
  void requests[0].body({});
  await sleep(10);
  assert.deepEqual([changes, requests.length, await candidate.confirm()], [[true, false], 2, false]);
  candidate.withdraw();
});

/** Locks that the test grants and takes away, of which this tab has `own`, and what its candidate says. */
function manualLocks() {
  const self = { requests: [], sent: [], changes: [], questions: [], holder: "own", isSlow: false };
  let ownName;
  const query = async () => {
    const own = { name: ownName, clientId: "own" };
    const answer = { held: [{ name: "outbox", clientId: self.holder }, own] };
    // The lock manager has answered, but the answer waits until this program continues.
    if (self.isSlow) await new Promise((resolve) => self.questions.push(resolve));
    return answer;
  };
  const request = async (name, options, body) => {
    if (name === "outbox") return new Promise((_, reject) => self.requests.push({ options, body, reject }));
    ownName = name;
    return body({});
  };
  self.candidate = new LockCandidate({
    locks: { request, query },
    name: "outbox",
    send: ({ election }) => void self.sent.push(election),
    onChange: (leads) => void self.changes.push(leads),
  });
  return self;
}

test("an answer from before the tab hung does not let it send after its lock was stolen", async () => {
  const locks = manualLocks();
  void locks.requests[0].body({});
  await sleep(10);
  assert.equal(locks.candidate.confirm(), true, "without a question");
  locks.isSlow = true;
  virtualClock().hang(lockTimes.silence);
  const confirmed = locks.candidate.confirm();
  await until(() => locks.questions.length > 0);
  // It hangs again; another tab steals the lock. The tab is told of that after the answer.
  virtualClock().hang(1400);
  locks.holder = "other";
  locks.isSlow = false;
  locks.sent.length = 0;
  for (const answer of locks.questions) answer();
  assert.equal(await confirmed, false);
  assert.deepEqual([locks.changes, locks.sent], [[true, false], []]);
  locks.candidate.withdraw();
});

test("a lock that is granted while the tab hangs, and stolen, lets it send nothing when it continues", async () => {
  const locks = manualLocks();
  void locks.requests[0].body(null);
  await sleep(10);
  locks.holder = "other";
  virtualClock().hang(60_000);
  void locks.requests[1].body({});
  assert.equal(await locks.candidate.confirm(), false);
  assert.deepEqual([locks.changes.at(-1), locks.sent], [false, []]);
  locks.candidate.withdraw();
});

test("a leader on a machine where each answer of the lock manager takes long sends", async () => {
  const locks = manualLocks();
  void locks.requests[0].body({});
  await sleep(10);
  locks.isSlow = true;
  virtualClock().hang(lockTimes.silence);
  const confirmed = locks.candidate.confirm();
  let isConfirmed = false;
  void confirmed.then(() => (isConfirmed = true));
  const start = virtualClock().now();
  while (!isConfirmed) {
    await sleep(300);
    for (const answer of locks.questions.splice(0)) answer();
    assert.ok(virtualClock().now() - start < 2000);
  }
  assert.equal(await confirmed, true);
  locks.candidate.withdraw();
});
