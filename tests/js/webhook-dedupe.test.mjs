// A receiver that hands each event on once.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CloudEvent, fileStore, localStorageStore, memoryStore, toRequest, webhook } from "eventferry";
import { unixNow } from "../../dist/platform/clock.js";
import { durableObjectStore } from "../../dist/stores/durable-object.js";
import { realTime, sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();
// In the thread pool digests take real time, and arrive in another order in each run.
crypto.subtle.digest = async (_, bytes) => Uint8Array.from(createHash("sha256").update(bytes).digest()).buffer;

const url = "https://hook.example/events";
const event = (id, source = "/s") => new CloudEvent({ id: String(id), source, type: "t" });
const DAY = 24 * 60 * 60 * 1000;

function receiver({ dedupe = memoryStore(), onEvent = () => undefined, ...options } = {}) {
  const seen = { handled: [], errors: [], rejected: [] };
  const handle = webhook({
    allowedOrigins: "*",
    dedupe,
    onEvent: (event, context) => {
      seen.handled.push(event.id);
      return onEvent(event, context);
    },
    onError: (error) => seen.errors.push(error),
    onRejected: (error) => seen.rejected.push(error),
    ...options,
  });
  const deliver = async (events, init) => {
    const response = await handle(toRequest(url, events, init));
    return { status: response.status, retryAfter: response.headers.get("retry-after"), text: await response.text() };
  };
  return { ...seen, deliver };
}

test("a repeated event is answered like the first and not handed on, whatever its webhook-id", async () => {
  const { deliver, handled } = receiver();
  assert.equal((await deliver(event(1))).status, 204);
  assert.equal((await deliver(event(1), { headers: { "webhook-id": "msg_2" } })).status, 204);
  assert.equal((await deliver(event(1), { mode: "structured" })).status, 204);
  assert.equal((await deliver(event(1, "/other"), { headers: { "webhook-id": "msg_2" } })).status, 204);
  assert.deepEqual(handled, ["1", "1"]);
});

test("of a batch what was seen is left out, and the rest is handed on", async () => {
  const { deliver, handled } = receiver();
  await deliver(event(2));
  assert.equal((await deliver([event(1), event(2), event(3), event(1)])).status, 204);
  assert.deepEqual(handled, ["2", "1", "3"]);
});

test("a failed handler releases its event, and the events before it stay seen", async () => {
  let fails = 1;
  const onEvent = ({ id }) => {
    if (id === "2" && fails-- > 0) throw new Error("no database");
  };
  const { deliver, handled, errors } = receiver({ onEvent });
  const batch = [event(1), event(2), event(3)];
  assert.equal((await deliver(batch)).status, 500);
  assert.equal((await deliver(batch)).status, 204);
  assert.deepEqual([handled, errors.length], [["1", "2", "2", "3"], 1]);
});

test("a Response of the handler counts as handled if its status is 2xx", async () => {
  const statuses = [503, 202];
  const { deliver, handled } = receiver({ onEvent: () => new Response(null, { status: statuses.shift() }) });
  const answers = [];
  for (let at = 0; at < 3; at++) answers.push((await deliver(event(1))).status);
  assert.deepEqual(
    [answers, handled],
    [
      [503, 202, 204],
      ["1", "1"],
    ],
  );
});

test("while an event is being handled another delivery of it gets 503 with Retry-After", async () => {
  let finish;
  const onEvent = ({ id }) => id === "1" && new Promise((resolve) => (finish = resolve));
  const { deliver, handled } = receiver({ onEvent });
  const first = deliver(event(1));
  while (!finish) await sleep(0);
  const busy = await deliver([event(0), event(1), event(2)]);
  assert.deepEqual([busy.status, Number(busy.retryAfter) > 0], [503, true]);
  assert.deepEqual(handled, ["1", "0", "2"]);
  finish();
  assert.equal((await first).status, 204);
  assert.equal((await deliver([event(0), event(1), event(2)])).status, 204);
  assert.deepEqual(handled, ["1", "0", "2"]);
});

test("a claim is over after 60 s, and then its late failure releases nothing", async () => {
  const ends = [];
  const onEvent = () => new Promise((resolve, reject) => ends.push({ resolve, reject }));
  const { deliver, handled } = receiver({ onEvent });
  const started = async (count) => {
    while (ends.length < count) await sleep(0);
  };
  const first = deliver(event(1));
  await started(1);
  await sleep(59_000);
  assert.equal((await deliver(event(1))).status, 503);
  await sleep(1000);
  const second = deliver(event(1));
  await started(2);
  ends[0].reject(new Error("too late"));
  assert.equal((await first).status, 500);
  assert.equal((await deliver(event(1))).status, 503);
  ends[1].resolve();
  assert.equal((await second).status, 204);
  assert.equal((await deliver(event(1))).status, 204);
  assert.deepEqual(handled, ["1", "1"]);
});

test("an event is known for windowMs, 3 days by default", async () => {
  for (const [dedupe, ms] of [
    [memoryStore(), 3 * DAY],
    [{ store: memoryStore(), windowMs: 5000 }, 5000],
  ]) {
    const { deliver, handled } = receiver({ dedupe });
    await deliver(event(1));
    await sleep(ms - 1000);
    await deliver(event(1));
    assert.equal(handled.length, 1);
    await sleep(1001);
    await deliver(event(1));
    assert.equal(handled.length, 2);
  }
});

/** Two receivers with one store, and what both have handled. */
function pair(store, options = [{}, {}]) {
  const handled = [];
  const deliveries = options.map(({ scope, url: at = url }, index) => {
    const dedupe = scope === undefined ? store : { store, scope };
    const handle = webhook({ allowedOrigins: "*", dedupe, onEvent: ({ id }) => void handled.push(`${index}:${id}`) });
    return async (events) => (await handle(toRequest(at, events))).status;
  });
  return { handled, deliveries };
}

test("two receivers that share a store each handle the same event, and its repetitions once", async () => {
  const { handled, deliveries } = pair(memoryStore(), [
    { url: "https://a.example/orders" },
    { url: "https://a.example/mail" },
  ]);
  for (let round = 0; round < 2; round++) for (const deliver of deliveries) assert.equal(await deliver(event(1)), 204);
  assert.deepEqual(handled, ["0:1", "1:1"]);
});

test("the query and the host of a request are no part of the scope, and a scope of its own replaces the path", async () => {
  const sameHook = pair(memoryStore(), [{ url: "https://a.example/x?try=1" }, { url: "https://b.example/x?try=2" }]);
  for (const deliver of sameHook.deliveries) await deliver(event(1));
  assert.deepEqual(sameHook.handled, ["0:1"]);
  const apart = pair(memoryStore(), [{ scope: "orders" }, { scope: "mail" }]);
  for (const deliver of apart.deliveries) await deliver(event(1));
  assert.deepEqual(apart.handled, ["0:1", "1:1"]);
  const together = pair(memoryStore(), [{ scope: "s" }, { scope: "s", url: "https://a.example/other" }]);
  for (const deliver of together.deliveries) await deliver(event(1));
  assert.deepEqual(together.handled, ["0:1"]);
  assert.throws(() => pair(memoryStore(), [{ scope: 1 }]), { message: /^dedupe.scope must be a string/ });
});

test("a handler that fails after its claim was over releases neither the claim of another nor what was seen", async () => {
  // A store whose clock is ahead of this process: the claim is over there, and not here.
  const { claim, settle } = memoryStore();
  const claims = [];
  const store = {
    claim: (key, busyUntilMs) => {
      claims.push([key, busyUntilMs]);
      return claim(key, busyUntilMs - 55_000);
    },
    settle: (key, seenUntilMs, busyUntilMs) => settle(key, seenUntilMs, busyUntilMs - 55_000),
  };
  let finish = [];
  const onEvent = () => new Promise((...how) => finish.push(how));
  const { deliver, handled } = receiver({ dedupe: store, onEvent });
  const waitFor = (count) => until(() => finish.length === count);
  const first = deliver(event(1));
  await waitFor(1);
  await sleep(6000);
  const second = deliver(event(1));
  await waitFor(2);
  finish[0][1](new Error("too late"));
  assert.equal((await first).status, 500);
  assert.equal(await claim(claims[0][0], 0), "busy", "the second has it");
  finish[1][0]();
  assert.equal((await second).status, 204);
  assert.equal((await deliver(event(1))).status, 204);
  assert.deepEqual(handled, ["1", "1"]);
  finish = [];
  const third = deliver(event(2));
  await waitFor(1);
  await sleep(6000);
  const fourth = deliver(event(2));
  await waitFor(2);
  finish[0][0]();
  assert.equal((await third).status, 204);
  finish[1][1](new Error("failed"));
  assert.equal((await fourth).status, 500);
  assert.equal((await deliver(event(2))).status, 204);
  assert.deepEqual(handled, ["1", "1", "2", "2"], "what the third has handled stays seen");
});

test("nothing is claimed for a delivery that is refused", async () => {
  const claims = [];
  const store = { claim: async (key) => (claims.push(key) ? "new" : "seen"), settle: async () => undefined };
  const { deliver, handled } = receiver({ dedupe: store, authorize: () => false });
  assert.equal((await deliver(event(1))).status, 401);
  assert.deepEqual([claims, handled], [[], []]);
});

test("a store gets a digest as the key, the end of the claim, and the end of the window", async () => {
  const calls = [];
  const store = {
    claim: async (...given) => (calls.push(["claim", ...given]) ? "new" : "seen"),
    settle: async (...given) => void calls.push(["settle", ...given]),
  };
  let fails = false;
  const onEvent = () => {
    if (fails) throw new Error("x");
  };
  const { deliver } = receiver({ dedupe: { store, windowMs: 1000 }, onEvent });
  await deliver(event("a secret id"));
  fails = true;
  await deliver(event("a secret id"));
  const [[, key, busyUntil], [, settled, seenUntil], , [, , released]] = calls;
  assert.match(key, /^[\da-f]{64}$/);
  assert.equal(settled, key);
  assert.equal(released, undefined);
  const now = virtualClock().unixNow();
  assert.ok(Math.abs(busyUntil - now - 60_000) < 100 && Math.abs(seenUntil - now - 1000) < 100);
});

test("a store that fails or hangs hands nothing on, and the sender may retry", async () => {
  for (const claim of [async () => Promise.reject(new Error("store is down")), () => new Promise(() => {})]) {
    const { deliver, handled, errors } = receiver({ dedupe: { claim, settle: async () => undefined } });
    const { status, retryAfter } = await deliver(event(1));
    assert.deepEqual([status, retryAfter !== null, handled, errors.length], [503, true, [], 1]);
  }
  for (const settle of [async () => Promise.reject(new Error("store is down")), () => new Promise(() => {})]) {
    const { deliver, handled, errors } = receiver({ dedupe: { claim: async () => "new", settle } });
    const { status } = await deliver(event(1));
    assert.deepEqual([status, handled, errors.length], [204, ["1"], 1]);
  }
});

test("options of dedupe are checked, and a store that cannot claim atomically is refused", () => {
  const store = memoryStore();
  for (const bad of [
    null,
    true,
    {},
    { claim() {} },
    { store: {} },
    { store, windowMs: 0 },
    { store, windowMs: "1" },
    { store, windowMs: Infinity },
    localStorageStore("x"),
  ])
    assert.throws(() => receiver({ dedupe: bad }), { code: "ERR_INVALID_ARGUMENT", message: /^dedupe/ });
});

test("without WebCrypto dedupe is refused when the receiver is created", () => {
  const { crypto } = globalThis;
  try {
    Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
    assert.throws(() => receiver(), { code: "ERR_INVALID_ARGUMENT", message: /WebCrypto/ });
  } finally {
    Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
  }
});

test("a file remembers events for the next process, and forgets those that are over", async () => {
  const folder = mkdtempSync(join(tmpdir(), "eventferry-dedupe-"));
  try {
    const path = join(folder, "events");
    const run = async (ids) => {
      const store = fileStore(path);
      const { deliver, handled } = receiver({ dedupe: { store, windowMs: 10_000 } });
      for (const id of ids) assert.equal((await realTime(deliver(event(id)))).status, 204);
      await realTime(store.close());
      return handled;
    };
    assert.deepEqual(await run([1, 2, 1]), ["1", "2"]);
    assert.deepEqual(await run([1, 2, 3]), ["3"]);
    await sleep(10_001);
    assert.deepEqual(await run([1, 4]), ["1", "4"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("marks in a file that are over are removed with later deliveries", async () => {
  const folder = mkdtempSync(join(tmpdir(), "eventferry-dedupe-"));
  try {
    const path = join(folder, "events");
    const run = async (name, count) => {
      const store = fileStore(path);
      const { deliver } = receiver({ dedupe: { store, windowMs: 5000 } });
      for (let at = 0; at < count; at++) await realTime(deliver(event(`${name} ${at}`)));
      await realTime(store.close());
    };
    const rows = async () => {
      copyFileSync(`${path}.seen`, `${path}-copy`);
      const store = fileStore(`${path}-copy`);
      await realTime(store.open("dedupe"));
      const { events } = await store.count();
      await realTime(store.close());
      return events;
    };
    await run("first", 40);
    assert.equal(await rows(), 40);
    await sleep(6000);
    await run("second", 20);
    assert.equal(await rows(), 20, "after another start");
    await sleep(6000);
    await run("third", 20);
    assert.equal(await rows(), 20);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** The storage of a Durable Object, in a map. */
function objectStorage(rows) {
  return {
    get: async (keys) => new Map(keys.filter((key) => rows.has(key)).map((key) => [key, rows.get(key)])),
    put: async (entries) => void Object.entries(entries).forEach(([key, value]) => rows.set(key, value)),
    delete: async (keys) => keys.filter((key) => rows.delete(key)).length,
    list: async ({ prefix, startAfter = "", limit }) =>
      new Map(
        [...rows]
          .filter(([key]) => key.startsWith(prefix) && key > startAfter)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .slice(0, limit),
      ),
    sync: async () => undefined,
  };
}

test("an event of a Durable Object that was settled after its claim was over stays seen when old marks are removed", async () => {
  const rows = new Map();
  const storage = objectStorage(rows);
  const store = durableObjectStore({
    ...storage,
    // Slower than to write, so that there is time between finding an old mark and its removal.
    list: async (options) => {
      const found = await storage.list(options);
      await sleep(6000);
      return found;
    },
  });
  assert.equal(await store.claim("aa", unixNow() + 1000), "new");
  await sleep(1001);
  const other = store.claim("bb", unixNow() + 60_000);
  await sleep(5);
  await store.settle("aa", unixNow() + 60_000);
  assert.equal(await other, "new");
  assert.equal(await store.claim("aa", unixNow() + 60_000), "seen");
});

test("marks of a Durable Object that are over are removed with later claims", async () => {
  const rows = new Map();
  const store = durableObjectStore(objectStorage(rows));
  const { deliver } = receiver({ dedupe: { store, windowMs: 5000 } });
  for (let at = 0; at < 100; at++) await deliver(event(at));
  assert.equal(rows.size, 100);
  await sleep(6000);
  for (let at = 0; at < 40; at++) await deliver(event(`later ${at}`));
  assert.ok(rows.size <= 45, `${rows.size} rows`);
});

/** A generator of numbers from 0 to 1 that is the same in each run. */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test("10,000 deliveries: each event is handled, and twice only where a handler failed, died or outran its claim", async () => {
  const random = seeded(42);
  const chance = (share) => random() < share;
  /** By event: how often a handler finished, and how often it gave a reason to be called again. */
  const handled = new Map();
  const excuses = new Map();
  const count = (map, id) => map.set(id, (map.get(id) ?? 0) + 1);
  const died = Symbol("died");
  const onEvent = async ({ id }) => {
    count(handled, id);
    if (chance(0.05)) {
      count(excuses, id);
      throw new Error("the handler failed");
    }
    if (chance(0.01)) {
      count(excuses, id);
      // Its process ends here: the answer never comes, and nobody settles the claim.
      await new Promise((_, reject) => setImmediate(reject, died));
    }
    if (chance(0.01)) {
      count(excuses, id);
      await sleep(61_000 + random() * 10_000);
    } else if (chance(0.2)) await sleep(random() * 3000);
  };
  const store = memoryStore();
  // A handler that has died settles nothing.
  const isDead = new Set();
  const make = () => {
    let failure;
    const own = {
      claim: store.claim,
      settle: async (key, until, claim) => {
        if (failure === died) return isDead.add(key);
        return store.settle(key, until, claim);
      },
    };
    return webhook({
      allowedOrigins: "*",
      dedupe: own,
      async onEvent(event) {
        try {
          await onEvent(event);
        } catch (error) {
          failure = error;
          throw error;
        }
      },
    });
  };
  let deliveries = 0;
  const TOTAL = 10_000;
  const pending = new Map();
  let next = 0;
  const sender = async () => {
    for (;;) {
      // Batches are put together anew for each delivery, from what waits and what is new.
      const size = 1 + Math.floor(random() * 5);
      const waiting = [...pending.keys()].filter((id) => !pending.get(id)).slice(0, size);
      while (waiting.length < size && deliveries < TOTAL && chance(0.4)) {
        pending.set(next, false);
        waiting.push(next++);
      }
      if (waiting.length === 0) {
        if (deliveries >= TOTAL && pending.size === 0) return;
        await sleep(500);
        continue;
      }
      for (const id of waiting) pending.set(id, true);
      deliveries++;
      const request = toRequest(
        url,
        waiting.map((id) => event(id)),
      );
      const { status } = await make()(request);
      // A repeated request, although the first one has arrived.
      if (chance(0.05))
        void make()(
          toRequest(
            url,
            waiting.map((id) => event(id)),
          ),
        );
      const isLost = chance(0.1);
      for (const id of waiting) {
        if (status === 204 && !isLost) pending.delete(id);
        else if (pending.has(id)) pending.set(id, false);
      }
      if (status !== 204) await sleep(1000 + random() * 4000);
    }
  };
  await Promise.all(Array.from({ length: 20 }, sender));
  await sleep(120_000);
  assert.ok(deliveries >= TOTAL);
  assert.ok(isDead.size > 0);
  let repeats = 0;
  for (let id = 0; id < next; id++) {
    const times = handled.get(String(id)) ?? 0;
    const excused = excuses.get(String(id)) ?? 0;
    repeats += times - 1;
    assert.ok(times >= 1, `event ${id} was never handled`);
    assert.ok(times <= 1 + excused, `event ${id} was handled ${times} times, with ${excused} reasons`);
  }
  assert.ok(repeats > 100, "there were faults");
});
