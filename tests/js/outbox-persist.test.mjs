// The option `persist` of an outbox: the browser is asked to keep what the site stores.
import assert from "node:assert/strict";
import { test } from "node:test";
import { event, listen, publisherTo, server } from "./outbox-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** Runs `body` with other globals. */
async function withGlobals(globals, body) {
  const before = Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { configurable: true, value });
  try {
    return await body();
  } finally {
    for (const [name, property] of before) {
      delete globalThis[name];
      if (property) Object.defineProperty(globalThis, name, property);
    }
  }
}

/** What an outbox with this option has told, and whether it delivers. */
async function told(persist) {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { persist } });
  const events = listen(publisher.outbox, "degraded");
  const session = publisher.session();
  session.publish(event(1));
  await session.flush({ until: "delivered" });
  await sleep(10);
  await publisher.outbox.close();
  assert.deepEqual(to.ids(), [["1"]]);
  return events.map(([, { error }]) => `${error.code} ${error.message}`);
}

/** A browser whose answer this is. */
async function inBrowser(answer, persist) {
  let asked = 0;
  const storage = {
    persist() {
      assert.equal(this, storage);
      asked++;
      return answer();
    },
  };
  const events = await withGlobals({ navigator: { storage } }, () => told(persist));
  return { asked, events };
}

test("persist asks the browser once, and a refusal is told", async () => {
  assert.deepEqual(await inBrowser(async () => true, true), { asked: 1, events: [] });
  for (const answer of [async () => false, () => Promise.reject(new TypeError("no")), () => assert.fail("no")]) {
    const { asked, events } = await inBrowser(answer, true);
    assert.equal(asked, 1);
    assert.match(events.join(), /^ERR_STORE the browser did not agree to keep what this site stores/);
  }
  // The user has not answered yet.
  assert.deepEqual(await inBrowser(() => new Promise(() => {}), true), { asked: 1, events: [] });
});

test("the browser is not asked without persist", async () => {
  for (const persist of [false, undefined])
    assert.deepEqual(await inBrowser(async () => false, persist), { asked: 0, events: [] });
});

test("persist does nothing outside browsers, and is told where a browser cannot be asked", async () => {
  assert.deepEqual(await withGlobals({ navigator: undefined }, () => told(true)), []);
  assert.deepEqual(await withGlobals({ navigator: {} }, () => told(true)), []);
  const events = await withGlobals({ navigator: { storage: {} }, indexedDB: {} }, () => told(true));
  assert.equal(events.length, 1);
});

test("persist must be a boolean", () => {
  assert.throws(() => publisherTo(server(202), { outbox: { persist: "yes" } }), {
    code: "ERR_INVALID_ARGUMENT",
    message: /^outbox\.persist must be a boolean/,
  });
});
