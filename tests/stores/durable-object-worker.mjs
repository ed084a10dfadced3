// A Durable Object in workerd that checks the store on its own storage.
import { CloudEvent, Publisher } from "../../dist/entries/workerd/index.js";
import { durableObjectStore } from "../../dist/stores/durable-object.js";
import { checkAccounts } from "./accounts.mjs";
import { damageBytes } from "./damage.mjs";
import { change, checkContract, deadKeys, deadLetter, equal, keys, rejects, segment } from "./contract.mjs";

const KIB = 1024;

class Subject {
  constructor(ctx) {
    this.ctx = ctx;
  }

  async fetch(request) {
    const [, method, ...args] = new URL(request.url).pathname.split("/");
    return Response.json((await this[method](...args)) ?? null);
  }

  /** The storage with the limits of Cloudflare, which a local workerd does not have. */
  limited() {
    const { storage } = this.ctx;
    const checkKeys = (names) => {
      if (names.length > 128) throw new RangeError(`${names.length} keys in one call`);
    };
    return {
      get: async (names) => {
        checkKeys(names);
        return storage.get(names);
      },
      delete: (names) => {
        checkKeys(names);
        return storage.delete(names);
      },
      put: (entries) => {
        checkKeys(Object.keys(entries));
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

  contract() {
    return checkContract(() => this.storage());
  }

  accounts() {
    return checkAccounts(() => this.storage(), { CloudEvent, Publisher });
  }

  async storage() {
    await this.ctx.storage.deleteAll();
    const { storage } = this.ctx;
    const change = (of) => async (name, table, key) => {
      const path = `eventferry/${name}/${table === "segments" ? "s" : "d"}/${key}`;
      await storage.put(path, of(await storage.get(path), table));
    };
    return {
      make: () => durableObjectStore(this.limited()),
      damages: Object.fromEntries(Object.entries(damageBytes).map(([how, of]) => [how, change(of)])),
      empty: () => storage.deleteAll(),
    };
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

  /** Starts a change of many keys, and aborts the object a few turns later. */
  async abortDuringWrite(turns) {
    const store = await this.opened();
    void store.write(many()).catch(() => undefined);
    for (let turn = 0; turn < Number(turns); turn++) await undefined;
    if (turns === "soon") await new Promise((resolve) => setTimeout(resolve, 0));
    this.ctx.abort("on purpose");
  }

  /** Aborts the object as soon as a change has resolved. */
  async abortAfterWrite() {
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

  async alarmResult() {
    return {
      key: await this.ctx.storage.get("rang"),
      next: await this.ctx.storage.getAlarm(),
      left: (await (await this.opened()).count()).events,
    };
  }
}

/** 200 small segments, one of 20 chunks, and a dead letter. */
function many() {
  const put = Array.from({ length: 200 }, (_, n) => segment(`k${1000 + n}`));
  return change({ put: [...put, segment("large", ["1".repeat(20 * 120 * KIB - 1000)])], deadPut: [deadLetter("x")] });
}

const CHECKS = {
  async "open returns the durability"(storage) {
    equal(await durableObjectStore(storage).open("x"), {
      durability: "replicated",
      isShared: false,
      supportsPrefix: true,
    });
  },

  async "other keys are not touched"(storage, raw) {
    await raw.put({ mine: 1, "eventferry/outbox2/s/a": 1 });
    const store = durableObjectStore(storage);
    await store.open("outbox");
    await store.write(
      change({ put: [segment("a", ["1".repeat(500_000)])], deadPut: [deadLetter("a", "1".repeat(500_000))] }),
    );
    equal((await raw.list()).size, 2 + 5 + 5);
    // A store that has not read them removes all chunks too.
    const other = durableObjectStore(storage);
    await other.open("outbox");
    await other.write(change({ remove: ["a"], deadRemove: ["a"] }));
    equal([...(await raw.list()).keys()], ["eventferry/outbox2/s/a", "mine"]);
  },

  async "a thousand segments are put and removed in one change"(storage, raw) {
    const store = durableObjectStore(storage);
    await store.open("outbox");
    const names = Array.from({ length: 1000 }, (_, n) => `k${1000 + n}`);
    await store.write(change({ put: names.map((name) => segment(name)) }));
    equal((await keys(store)).length, 1000);
    await store.write(change({ remove: names }));
    equal((await raw.list()).size, 0);
  },

  async "a smaller segment leaves no chunks of the larger one"(storage, raw) {
    const store = durableObjectStore(storage);
    await store.open("outbox");
    const text = "1".repeat(500_000);
    await store.write(change({ put: [segment("a", [text])], deadPut: [deadLetter("a", text)] }));
    await store.write(change({ put: [segment("a", [text.slice(0, 200_000)])], deadPut: [deadLetter("a")] }));
    equal((await raw.list()).size, 2 + 1);
  },

  async "a segment whose chunk is lost is left out, and removed with all its chunks"(storage, raw) {
    const problems = [];
    const store = durableObjectStore(storage);
    await store.open("outbox", (problem) => problems.push(problem.message));
    const text = "1".repeat(500_000);
    await store.write(change({ put: [segment("a"), segment("b", [text]), segment("c", [text])] }));
    await raw.delete("eventferry/outbox/p/s/b/2");
    // The first chunk of the other one is damaged, so that nothing says how many it has.
    await raw.put("eventferry/outbox/s/c", new Uint8Array(1));
    const other = durableObjectStore(storage);
    await other.open("outbox", (problem) => problems.push(problem.message));
    equal(await keys(other), ["a"]);
    equal(problems.length, 1, "the number of problems");
    await other.write(change({ remove: ["b", "c"] }));
    equal([...(await raw.list()).keys()], ["eventferry/outbox/s/a"]);
  },

  async "a failing storage rejects, and works afterwards"(storage) {
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

  async "the alarm is set, moved and deleted"(storage, raw) {
    const store = durableObjectStore(storage);
    await store.open("outbox");
    const soon = Date.now() + 60_000;
    await store.wakeAt(soon);
    equal(await raw.getAlarm(), soon);
    await store.wakeAt(soon + 1000);
    equal(await raw.getAlarm(), soon + 1000, "the own alarm, moved to later");
    await store.wakeAt(soon - 1000);
    equal(await raw.getAlarm(), soon - 1000);
    await store.wakeAt(undefined);
    equal(await raw.getAlarm(), null);
    await store.wakeAt(undefined);
  },

  async "an earlier alarm of the application stays"(storage, raw) {
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

/** With the key-value back end, and with that of SQLite. */
export class KeyValue extends Subject {}
export class Sqlite extends Subject {}

export default {
  fetch(request, env) {
    const [, space, name, ...rest] = new URL(request.url).pathname.split("/");
    return env[space].get(env[space].idFromName(name)).fetch(`http://localhost/${rest.join("/")}`);
  },
};
