// A Durable Object that holds its own storage to the laws, in workerd.
import { durableObjectStore } from "../../dist/stores/durable-object.js";
import { change, deadKeys, equal, judgeLaws, keys, letter, rejects, segment } from "./laws.mjs";

const KIB = 1024;

class Subject {
  constructor(ctx) {
    this.ctx = ctx;
  }

  async fetch(request) {
    const [, what, ...args] = new URL(request.url).pathname.split("/");
    return Response.json((await this[what](...args)) ?? null);
  }

  /** With the limits that Cloudflare has and workerd on a desk has not. */
  limited() {
    const { storage } = this.ctx;
    const few = (names) => {
      if (names.length > 128) throw new RangeError(`${names.length} keys in one call`);
    };
    return {
      get: async (names) => (few(names), storage.get(names)),
      delete: (names) => (few(names), storage.delete(names)),
      put: (entries) => {
        few(Object.keys(entries));
        for (const value of Object.values(entries))
          if (value.length > 127 * KIB) throw new RangeError(`a value of ${value.length} bytes`);
        return storage.put(entries);
      },
      ...Object.fromEntries(
        ["list", "sync", "getAlarm", "setAlarm", "deleteAlarm"].map((method) => [
          method,
          storage[method].bind(storage),
        ]),
      ),
    };
  }

  laws() {
    return judgeLaws(async () => {
      await this.ctx.storage.deleteAll();
      return { make: () => durableObjectStore(this.limited()) };
    });
  }

  async checks() {
    const results = [];
    for (const [name, check] of Object.entries(CHECKS)) {
      await this.ctx.storage.deleteAll();
      await this.ctx.storage.deleteAlarm();
      try {
        await check(this.limited(), this.ctx.storage);
        results.push({ name });
      } catch (error) {
        results.push({ name, problem: String(error?.stack ?? error) });
      }
    }
    return results;
  }

  async opened() {
    const store = durableObjectStore(this.limited());
    await store.open("outbox");
    return store;
  }

  /** Begins a change of many keys and breaks the object off, a few turns later. */
  async breakOff(turns) {
    const store = await this.opened();
    void store.write(many()).catch(() => undefined);
    for (let turn = 0; turn < Number(turns); turn++) await undefined;
    if (turns === "soon") await new Promise((resolve) => setTimeout(resolve, 0));
    this.ctx.abort("on purpose");
  }

  /** Writes, and breaks the object off as soon as that is resolved. */
  async breakOffAfter() {
    await (await this.opened()).write(many());
    this.ctx.abort("on purpose");
  }

  async found() {
    const store = await this.opened();
    const { events, dead } = await store.count();
    return { events, dead, raw: (await this.ctx.storage.list()).size };
  }

  clear() {
    return this.ctx.storage.deleteAll();
  }

  async setAlarm() {
    const store = await this.opened();
    await store.write(change({ put: [segment("a")] }));
    await store.wakeAt(Date.now() + 100);
  }

  async alarm() {
    const store = await this.opened();
    const [{ key } = {}] = await store.peek({ events: 1, bytes: 1, skip: new Set() });
    await store.write(change({ remove: [key] }));
    await this.ctx.storage.put("rang", key);
    await store.wakeAt(undefined);
  }

  async rang() {
    return {
      key: await this.ctx.storage.get("rang"),
      next: await this.ctx.storage.getAlarm(),
      left: (await (await this.opened()).count()).events,
    };
  }
}

/** 200 small segments, one of 20 pieces and a dead letter. */
function many() {
  const put = Array.from({ length: 200 }, (_, n) => segment(`k${1000 + n}`));
  return change({ put: [...put, segment("large", ["1".repeat(20 * 120 * KIB - 1000)])], deadPut: [letter("x")] });
}

const CHECKS = {
  async "says what survives"(storage) {
    equal(await durableObjectStore(storage).open("x"), { durability: "replicated", isShared: false });
  },

  async "other keys are left alone"(storage, raw) {
    await raw.put({ mine: 1, "eventferry/outbox2/s/a": 1 });
    const store = durableObjectStore(storage);
    await store.open("outbox");
    await store.write(
      change({ put: [segment("a", ["1".repeat(500_000)])], deadPut: [letter("a", "1".repeat(500_000))] }),
    );
    equal((await raw.list()).size, 2 + 5 + 5);
    // One that has not seen it clears it all away too.
    const other = durableObjectStore(storage);
    await other.open("outbox");
    await other.write(change({ remove: ["a"], deadRemove: ["a"] }));
    equal([...(await raw.list()).keys()], ["eventferry/outbox2/s/a", "mine"]);
  },

  async "a thousand at once, put and removed"(storage, raw) {
    const store = durableObjectStore(storage);
    await store.open("outbox");
    const names = Array.from({ length: 1000 }, (_, n) => `k${1000 + n}`);
    await store.write(change({ put: names.map((name) => segment(name)) }));
    equal((await keys(store)).length, 1000);
    await store.write(change({ remove: names }));
    equal((await raw.list()).size, 0);
  },

  async "what was large and is small now takes no more than it needs"(storage, raw) {
    const store = durableObjectStore(storage);
    await store.open("outbox");
    const text = "1".repeat(500_000);
    await store.write(change({ put: [segment("a", [text])], deadPut: [letter("a", text)] }));
    await store.write(change({ put: [segment("a", [text.slice(0, 200_000)])], deadPut: [letter("a")] }));
    equal((await raw.list()).size, 2 + 1);
  },

  async "a storage that fails"(storage) {
    const broken = {};
    const fragile =
      (method) =>
      (...args) =>
        broken[method] ? Promise.reject(new Error("broken")) : storage[method](...args);
    const store = durableObjectStore({
      ...storage,
      put: fragile("put"),
      delete: fragile("delete"),
      sync: fragile("sync"),
      list: fragile("list"),
    });
    await store.open("outbox");
    for (const method of ["put", "delete", "sync", "list"]) {
      broken[method] = true;
      await rejects(method === "list" ? keys(store) : store.write(change({ put: [segment("a")], remove: ["b"] })));
      broken[method] = false;
      await store.write(change({ put: [segment("a")], remove: ["b"] }));
      equal(await keys(store), ["a"]);
      equal(await deadKeys(store), []);
    }
  },

  async "the alarm is set, moved and taken back"(storage, raw) {
    const store = durableObjectStore(storage);
    await store.open("outbox");
    const soon = Date.now() + 60_000;
    await store.wakeAt(soon);
    equal(await raw.getAlarm(), soon);
    await store.wakeAt(soon + 1000);
    equal(await raw.getAlarm(), soon + 1000, "our own, moved to later");
    await store.wakeAt(soon - 1000);
    equal(await raw.getAlarm(), soon - 1000);
    await store.wakeAt(undefined);
    equal(await raw.getAlarm(), null);
    await store.wakeAt(undefined);
  },

  async "an alarm of somebody else stays if it is earlier"(storage, raw) {
    const store = durableObjectStore(storage);
    await store.open("outbox");
    const soon = Date.now() + 60_000;
    await raw.setAlarm(soon);
    await store.wakeAt(soon + 1000);
    equal(await raw.getAlarm(), soon);
    await store.wakeAt(undefined);
    equal(await raw.getAlarm(), soon);
    await store.wakeAt(soon - 1000);
    equal(await raw.getAlarm(), soon - 1000);
  },
};

/** In the back end of keys and values, and in that of SQLite. */
export class KeyValue extends Subject {}
export class Sqlite extends Subject {}

export default {
  fetch(request, env) {
    const [, space, name, ...rest] = new URL(request.url).pathname.split("/");
    return env[space].get(env[space].idFromName(name)).fetch(`http://localhost/${rest.join("/")}`);
  },
};
