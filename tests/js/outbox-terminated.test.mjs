// A browser may end the script of a page in the middle when its tab is closed, without an error and without `finally`, and
// call it again for the next event of the page. Firefox does. Here the time limit of `node:vm` ends it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, Script } from "node:vm";
import { setMaxListeners } from "node:events";
import { page } from "./fake-page.mjs";
import { event, never, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();
setMaxListeners(0, page, document);

const LIMIT_MS = 5;
const DURABLE = { durability: "os", isShared: false };

/** The storage of the origin. */
const storage = {};
Object.defineProperties(storage, {
  getItem: { value: (key) => storage[key] ?? null },
  removeItem: { value: (key) => delete storage[key] },
  setItem: { value: (key, text) => void (storage[key] = text), configurable: true },
});
Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });
const savedIds = () =>
  Object.keys(storage)
    .filter((key) => key.startsWith("eventferry-left/"))
    .flatMap((key) => [...storage[key].matchAll(/\\"id\\":\\"(\d+)\\"/g)].map(([, id]) => id));

/** At which call of a built-in function the script ends; 0 for never. */
let [calls, endsAt] = [0, 0];
const step = () => {
  if (endsAt > 0 && ++calls === endsAt) for (;;);
};

/** Built-in functions before and after which the script can end. Effects of the machine are pushed from WebAssembly. */
const STEPS = [
  [Array.prototype, "push", "map", "filter", "flatMap", "reduce", "slice", "shift", "unshift"],
  [Object.getPrototypeOf(Uint8Array.prototype), "set", "subarray", "slice", "copyWithin"],
  [Map.prototype, "get", "set", "delete", "has", "clear", "keys", "values"],
  [Set.prototype, "add", "delete", "has"],
  [TextEncoder.prototype, "encodeInto"],
  [JSON, "stringify"],
  [Object, "keys", "assign"],
  [storage, "setItem"],
];
for (const [owner, ...names] of STEPS) {
  for (const name of names) {
    const original = owner[name];
    const value = function (...given) {
      // The virtual clock is no part of the script.
      if (endsAt === 0 || given[1]?.callback) return Reflect.apply(original, this, given);
      step();
      const result = Reflect.apply(original, this, given);
      step();
      return result;
    };
    Object.defineProperty(owner, name, { value, configurable: true, writable: true });
  }
}

const context = createContext({ run: undefined });
const script = new Script("run()");

/** Runs a function that ends at its n-th step. Returns whether it did. */
function endedAt(step, run) {
  context.run = run;
  [calls, endsAt] = [0, step];
  try {
    script.runInContext(context, { timeout: LIMIT_MS });
    return false;
  } catch (error) {
    assert.equal(error.code, "ERR_SCRIPT_EXECUTION_TIMEOUT");
    return true;
  } finally {
    endsAt = 0;
  }
}

const leave = () => page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: false }));
const hide = () => {
  document.visibilityState = "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
  document.visibilityState = "visible";
};

const IDS = Array.from({ length: 30 }, (_, at) => String(at));

/** Publishes in several segments of two sessions, with texts of one and of several bytes for a character. */
function publishAll(publisher) {
  const [session, other] = [publisher.session(), publisher.session()];
  for (const id of IDS)
    (Number(id) % 10 < 8 ? session : other).publish(event(id, { data: Number(id) < 20 ? "plain" : "ü" }));
  return [session, other];
}

/** For each step: a page whose script ends there when it is closed, and is called once more. */
async function endEverywhere({ store, ...outbox }, check) {
  let steps = 0;
  for (let isEnded = true; isEnded; steps++) {
    const requests = [];
    const fetch = (_url, { body }) => {
      requests.push(...JSON.parse(new TextDecoder().decode(body)).map(({ id }) => id));
      return never();
    };
    const publisher = publisherTo({ fetch }, { outbox: { ...outbox, store: store(), batch: { maxEvents: 12 } } });
    await sleep(20);
    const held = publishAll(publisher);
    isEnded = endedAt(steps + 1, leave);
    hide();
    await check({ requests, held, step: steps + 1 });
    void publisher.outbox.close().catch(() => undefined);
    await sleep(20_000);
    for (const key of Object.keys(storage)) storage.removeItem(key);
  }
  assert.ok(steps > 100, `${steps} steps`);
}

const sorted = (ids) => [...ids].sort((a, b) => a - b);

test("events are saved, each once, wherever the script of a page that is closed ends", async () => {
  const store = () => storeWith({ open: async () => DURABLE, write: never });
  await endEverywhere({ store, unload: "hold" }, async ({ held, step }) => {
    assert.deepEqual(sorted(savedIds()), IDS, `step ${step}`);
    assert.deepEqual(
      held.map(({ staged }) => staged),
      [0, 0],
      `step ${step}`,
    );
    const to = server(202);
    const next = publisherTo(to, { outbox: { store: storeWith({ open: async () => DURABLE }) } });
    await next.outbox.drain();
    assert.deepEqual(sorted(to.ids().flat()), IDS, `step ${step}`);
    await next.outbox.close();
  });
});

test("events are saved wherever the script ends of a page that is closed before its store is open", async () => {
  await endEverywhere({ store: () => storeWith({ open: never }), unload: "hold" }, async ({ step }) => {
    assert.deepEqual(sorted(savedIds()), IDS, `step ${step}`);
  });
});

test("events of an outbox in memory are sent wherever the script of a page that is closed ends", async () => {
  await endEverywhere({ store: () => undefined }, async ({ requests, step }) => {
    assert.deepEqual(sorted(new Set(requests)), IDS, `step ${step}`);
  });
});
