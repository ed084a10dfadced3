// The failures of the storage of browsers. Each check starts with an empty origin.

import { openAuto } from "/dist/stores/auto.js";
import { indexedDbStore } from "/dist/stores/indexeddb.js";
import { localStorageStore } from "/dist/stores/local-storage.js";
import { PageBackup } from "/dist/stores/page-backup.js";
import { change, deadKeys, deadLetter, equal, keys, rejects, segment } from "./contract.mjs";

const CHECKS = {
  async "IndexedDB: open returns the durability"() {
    const traits = { isShared: true, supportsPrefix: true, place: "n" };
    equal(await indexedDbStore("n").open("x"), { durability: "os", ...traits });
    equal(await indexedDbStore("n", { durability: "strict" }).open("x"), { durability: "disk", ...traits });
    equal(
      (await indexedDB.databases()).map(({ name }) => name),
      ["eventferry-n"],
    );
  },

  ...Object.fromEntries(
    ["QuotaExceededError", "AbortError", "InvalidStateError", "UnknownError"].map((name) => [
      `IndexedDB: a change is not applied when put throws ${name}`,
      async () => {
        const store = await opened(indexedDbStore());
        await store.write(change({ put: [segment("a")] }));
        let left = 1;
        const error = await withShim(
          IDBObjectStore.prototype,
          "put",
          (put) =>
            function (row) {
              if (row.key === "c" && left-- > 0) throw new DOMException("no more", name);
              return put.call(this, row);
            },
          async () => {
            const both = change({ put: [segment("b"), segment("c")], remove: ["a"], deadPut: [deadLetter("x")] });
            const error = await rejects(store.write(both));
            equal(await keys(store), ["a"], "the content after the failure");
            await store.write(both);
            return error;
          },
        );
        equal(error.cause.name, name);
        equal(error.message.includes("the storage is full"), name === "QuotaExceededError", error.message);
        equal(await keys(store), ["b", "c"]);
      },
    ]),
  ),

  async "IndexedDB: a change is not applied when a request fails"() {
    const store = await opened(indexedDbStore());
    await withShim(
      IDBObjectStore.prototype,
      "put",
      (put) =>
        function (row) {
          return row.key === "b" ? this.add({ key: "a" }) : put.call(this, row);
        },
      async () => {
        await store.write(change({ put: [segment("a")] }));
        await rejects(store.write(change({ put: [segment("0"), segment("b")] })));
      },
    );
    equal(await keys(store), ["a"]);
  },

  async "IndexedDB: a change rejects when a request fails and the transaction completes"() {
    const store = await opened(indexedDbStore());
    await store.write(change({ put: [segment("a")] }));
    await withShim(
      IDBObjectStore.prototype,
      "put",
      (put) =>
        function (row) {
          if (row.key !== "b") return put.call(this, row);
          // As WebKit does for a page that is back from the cache.
          const request = this.add({ key: "a" });
          request.onerror = (event) => event.preventDefault();
          return request;
        },
      () => rejects(store.write(change({ put: [segment("b")] }))),
    );
    equal(await keys(store), ["a"]);
  },

  async "IndexedDB: what is under way when the page is left goes on when it is back"() {
    const problems = [];
    const store = indexedDbStore();
    await store.open("outbox", (problem) => problems.push(problem));
    stores.push(store);
    await store.write(change({ put: [segment("a")] }));
    let done = 0;
    const reads = [keys(store), store.count(), deadKeys(store), store.acquire("one", 60_000, "s")];
    for (const read of reads) read.then(() => done++);
    for (let turn = 0; turn < 20; turn++) await undefined;
    const aborted = [];
    await withShim(
      IDBTransaction.prototype,
      "abort",
      (abort) =>
        function () {
          aborted.push(this.mode);
          return abort.call(this);
        },
      async () => {
        const written = store.write(change({ put: [segment("b")] }));
        for (let turn = 0; turn < 20; turn++) await undefined;
        dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
        reads.push(keys(store));
        await written;
        await new Promise((resolve) => setTimeout(resolve, 50));
      },
    );
    equal([done, aborted.slice(0, 4)], [0, ["readonly", "readonly", "readonly", "readwrite"]]);
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    const [found, { events }, dead, isLeader, again] = await Promise.all(reads);
    equal([found, events, dead, isLeader, again, problems], [["a", "b"], 2, [], true, ["a", "b"], []]);
  },

  async "a page that is left: what is saved is moved once, as much as there is room for"() {
    const backup = new PageBackup("n");
    const large = (key) => segment(key, ["1".repeat(400_000)]);
    equal(backup.save([large("a"), large("b"), segment("c", ["1", "2"])], true), 0);
    equal(backup.save([large("d"), segment("e")], false), 1, "the events without room");
    equal(new PageBackup("n").save([large("d")], false), 1, "the events without room, after a start");
    backup.written(change({ put: [segment("c")], remove: ["a"] }));
    localStorage.setItem("eventferry-left/n/f", JSON.stringify({ key: "f", form: 1 }));
    const store = await opened(indexedDbStore());
    const problems = [];
    const target = {
      find: async (wanted) => {
        const rows = await store.peek({ events: Infinity, bytes: Infinity, skip: new Set() });
        return new Map(rows.filter(({ key }) => wanted.has(key)).map((row) => [row.key, row]));
      },
      put: (rows) => store.write(change({ put: rows })),
      onProblem: ({ message }) => problems.push(message),
    };
    await Promise.all([backup.moveTo(target), new PageBackup("n").moveTo(target)]);
    equal(await keys(store), ["b", "e"]);
    equal(await store.peek({ events: 9, bytes: Infinity, skip: new Set(["b"]) }), [segment("e")]);
    equal([problems.length, /segment f/.test(problems[0])], [1, true]);
    await store.write(change({ remove: ["b", "e"] }));
    await backup.moveTo(target);
    equal(await keys(store), [], "what was moved already");
    equal(
      Object.keys(localStorage).filter((key) => key.startsWith("eventferry-left/")),
      ["eventferry-left/n/f"],
    );
    // What the store does not take stays.
    backup.save([segment("g")], true);
    await backup.moveTo({ ...target, put: () => Promise.reject(new Error("full")) });
    await backup.moveTo(target);
    equal(await store.peek({ events: 9, bytes: Infinity, skip: new Set() }), [segment("g")]);
    // The write was done after all, and some of its events were delivered since.
    backup.save([segment("g", ["1", "2"])], true);
    await backup.moveTo(target);
    equal(await store.peek({ events: 9, bytes: Infinity, skip: new Set() }), [segment("g")]);
    equal(localStorage.getItem("eventferry-left/n/g"), null);
  },

  async "IndexedDB: a claim before open does not decide the database of the events"() {
    const store = indexedDbStore();
    const problems = [];
    equal(await store.claim("aa", Date.now() + 60_000), "new");
    await store.open("outbox", (problem) => problems.push(problem));
    await store.write(change({ put: [segment("a")] }));
    await store.close();
    equal([await keys(await opened(indexedDbStore())), problems], [["a"], []]);
  },

  async "IndexedDB: a closed connection is opened again"() {
    const { connections } = await countConnections(async () => {
      const store = await opened(indexedDbStore());
      await store.write(change({ put: [segment("a")] }));
      connectionsSeen.at(-1).close();
      await Promise.all([
        store.write(change({ put: [segment("b")] })),
        store.write(change({ put: [segment("c")] })),
        store.write(change({ remove: ["b"] })),
      ]);
      connectionsSeen.at(-1).close();
      equal(await keys(store), ["a", "c"]);
      connectionsSeen.at(-1).dispatchEvent(new Event("close"));
      equal(await keys(store), ["a", "c"]);
    });
    equal(connections, 4, "the number of connections");
  },

  async "IndexedDB: a connection that stays broken is replaced"() {
    await countConnections(async () => {
      const store = await opened(indexedDbStore());
      const broken = connectionsSeen.at(-1);
      await withShim(
        IDBObjectStore.prototype,
        "put",
        (put) =>
          function (row) {
            if (this.transaction.db === broken) throw new DOMException("no more", "UnknownError");
            return put.call(this, row);
          },
        async () => {
          await rejects(store.write(change({ put: [segment("a")] })));
          await store.write(change({ put: [segment("a")] }));
        },
      );
      equal(await keys(store), ["a"]);
    });
  },

  async "IndexedDB: of a view, only the viewed part is stored"() {
    const store = await opened(indexedDbStore());
    const [body, sizes, orderingKeys] = [
      new Uint8Array(1_000_000).fill(49).subarray(5, 6),
      new Uint32Array(9).fill(1).subarray(3, 4),
      new Uint32Array(9).subarray(3, 4),
    ];
    await store.write(
      change({ put: [{ key: "a", body, sizes, orderingKeys, at: 1 }], deadPut: [{ ...deadLetter("a"), body }] }),
    );
    const [found] = await store.peek({ events: 1, bytes: 1, skip: new Set() });
    equal(
      [found.body, found.sizes, found.orderingKeys].map(({ buffer }) => buffer.byteLength),
      [1, 4, 4],
    );
    equal((await store.dead(1))[0].body.buffer.byteLength, 1);
  },

  async "IndexedDB: a change rejects when its transaction is aborted"() {
    const store = await opened(indexedDbStore());
    await withShim(
      IDBDatabase.prototype,
      "transaction",
      (transaction) =>
        function (...args) {
          const made = transaction.apply(this, args);
          made.commit = () => made.abort();
          return made;
        },
      () => rejects(store.write(change({ put: [segment("a")] }))),
    );
    await store.write(change({ put: [segment("b")] }));
    equal(await keys(store), ["b"]);
  },

  async "IndexedDB: the database can be deleted and is created again"() {
    const store = await opened(indexedDbStore());
    await store.write(change({ put: [segment("a")] }));
    await deleteDatabase("eventferry-outbox");
    await store.write(change({ put: [segment("b")] }));
    equal(await keys(store), ["b"]);
  },

  async "IndexedDB: a database that was deleted is told of, in use and at the next visit"() {
    const open = async () => {
      const problems = [];
      const store = indexedDbStore();
      await store.open("outbox", (problem) => problems.push(problem.message));
      stores.push(store);
      await store.write(change({ put: [segment("a")] }));
      return { store, problems };
    };
    const text = "IndexedDB: the database eventferry-outbox was deleted, with the events that were only there";
    const first = await open();
    const second = await open();
    equal([...first.problems, ...second.problems], []);
    await deleteDatabase("eventferry-outbox");
    equal(await keys(first.store), []);
    await second.store.write(change({ put: [segment("b")] }));
    equal([first.problems, second.problems], [[text], [text]]);
    equal(await keys(first.store), ["b"]);
    await closeAll();
    equal((await open()).problems, []);
    await closeAll();
    await deleteDatabase("eventferry-outbox");
    const next = await open();
    equal(next.problems, [text]);
    equal(await keys(next.store), ["a"]);
    await closeAll();
    equal((await open()).problems, []);
    // A site that was never visited, or of which nothing is left.
    await closeAll();
    await deleteDatabase("eventferry-outbox");
    localStorage.clear();
    equal((await open()).problems, []);
    // Where localStorage is blocked, the store works too.
    const blocked = {
      get: () => {
        throw new DOMException("blocked", "SecurityError");
      },
    };
    await closeAll();
    await withProperty("localStorage", blocked, async () => equal((await open()).problems, []));
  },

  async "IndexedDB: open rejects where it is missing or blocked"() {
    await withIndexedDb({ value: undefined }, async () => rejects(indexedDbStore().open("x")));
    const blocked = {
      get: () => {
        throw new DOMException("blocked", "SecurityError");
      },
    };
    await withIndexedDb(blocked, async () =>
      equal((await rejects(indexedDbStore().open("x"))).cause.name, "SecurityError"),
    );
    const refusing = {
      value: {
        open() {
          const request = {};
          setTimeout(() => {
            request.error = new DOMException("private", "InvalidStateError");
            request.onerror();
          });
          return request;
        },
      },
    };
    await withIndexedDb(refusing, async () => rejects(indexedDbStore().open("x")));
  },

  async "IndexedDB: one row that the browser cannot read does not stop the others"() {
    const store = indexedDbStore();
    const problems = [];
    await store.open("outbox", (problem) => problems.push(problem.message));
    stores.push(store);
    const names = Array.from({ length: 20 }, (_, n) => `k${10 + n}`);
    await store.write(change({ put: names.map((key) => segment(key)), deadPut: names.map((key) => deadLetter(key)) }));
    // Chromium has lost the file of a large value: each request that would return it fails.
    const isLost = (object, range) =>
      object.name !== "meta" && (range === null || range === "k12" || range?.lower < "k12");
    const failing = (method) =>
      function (range, ...rest) {
        const request = method.call(this, range, ...rest);
        if (!isLost(this, range)) return request;
        const failed = {
          error: new DOMException("Failed to read large IndexedDB value", "DataError"),
        };
        request.onsuccess = () => failed.onerror?.({ preventDefault() {} });
        return failed;
      };
    const { get } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.get = failing(get);
    try {
      await withShim(IDBObjectStore.prototype, "getAll", failing, async () => {
        const readable = names.filter((key) => key !== "k12");
        equal(await keys(store), readable);
        equal(await deadKeys(store), readable);
        equal(await deadKeys(store, 4), readable.slice(0, 4));
        const { events, dead } = await store.count();
        equal([events, dead], [19, 19]);
        equal(await store.unreadable(), { segments: ["k12"], deadLetters: ["k12"] });
        equal(problems.length, 2);
        await store.write(change({ remove: names, deadRemove: names }));
      });
    } finally {
      IDBObjectStore.prototype.get = get;
    }
    equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  },

  async "IndexedDB: a request that fails with the whole transaction rejects"() {
    const store = await opened(indexedDbStore());
    await store.write(change({ put: [segment("a")] }));
    await withShim(
      IDBObjectStore.prototype,
      "getAll",
      (getAll) =>
        function (...args) {
          const request = getAll.apply(this, args);
          this.transaction.abort();
          return request;
        },
      () => rejects(keys(store)),
    );
    equal(await keys(store), ["a"]);
  },

  async "IndexedDB: a database of a newer version is used if it has the object stores, and not changed"() {
    const old = await opened(indexedDbStore());
    await old.write(change({ put: [segment("a")] }));
    // The tab of the newer version waits for no one.
    await upgrade("eventferry-outbox", 7, (database) => database.createObjectStore("newer", { keyPath: "id" }));
    await old.write(change({ put: [segment("b")] }));
    const fresh = await opened(indexedDbStore());
    equal(await keys(fresh), ["a", "b"]);
    const [{ version }] = await indexedDB.databases();
    equal(version, 7, "the version of the database");
    await closeAll();
    await upgrade("eventferry-outbox", 8, (database) => database.deleteObjectStore("meta"));
    const error = await rejects(indexedDbStore().open("outbox"));
    equal(/newer version/.test(error.message), true, error.message);
    const { store, refused } = await openAuto("outbox");
    equal([store.kind, refused.length], ["localstorage", 1]);
    await store.close();
  },

  async "IndexedDB: close during open"() {
    const store = indexedDbStore();
    const opening = store.open("outbox");
    await store.close();
    await opening.catch(() => undefined);
    equal(await keys(store), []);
  },

  async "IndexedDB: two connections compete for a lease"() {
    const [one, two] = [await opened(indexedDbStore()), await opened(indexedDbStore())];
    equal(await one.acquire("one", 300, "s"), true);
    equal(await two.acquire("two", 300, "s"), false);
    await new Promise((resolve) => setTimeout(resolve, 350));
    // It has expired, but no other owner has acquired it.
    equal(await one.acquire("one", 300, "s"), true);
    await new Promise((resolve) => setTimeout(resolve, 350));
    equal(await two.acquire("two", 300, "s"), true);
    equal(await one.acquire("one", 300, "s"), false);
  },

  async "auto: selects IndexedDB where it works"() {
    const { store, traits, refused } = await openAuto("outbox");
    equal([store.kind, traits.durability, refused.length], ["indexeddb", "os", 0]);
    await store.close();
  },

  async "auto: selects localStorage without IndexedDB, else memory"() {
    await withIndexedDb({ value: undefined }, async () => {
      const { store, traits, refused } = await openAuto("outbox");
      equal(
        [store.kind, traits.durability, refused.map(({ code }) => code)],
        ["localstorage", "process", ["ERR_STORE"]],
      );
      await withShim(
        Storage.prototype,
        "setItem",
        () => () => {
          throw new DOMException("full", "QuotaExceededError");
        },
        async () => {
          const { store, traits, refused } = await openAuto("outbox");
          equal([store.kind, traits.durability, refused.length], ["memory", "none", 2]);
        },
      );
    });
  },

  async "auto: a store that does not open within 5 s is not used"() {
    await withIndexedDb({ value: { open: () => ({}) } }, async () => {
      const start = performance.now();
      const { store, refused } = await openAuto("outbox");
      equal([store.kind, refused.length], ["localstorage", 1]);
      if (!/within 5 s/.test(refused[0].message)) throw new Error(refused[0].message);
      const ms = performance.now() - start;
      if (ms < 4_900 || ms > 7_000) throw new Error(`it took ${ms} ms`);
    });
  },

  async "localStorage: a change is rolled back when the storage is full"() {
    const store = await opened(localStorageStore());
    await store.write(change({ put: [segment("a"), segment("b")], deadPut: [deadLetter("x")] }));
    const before = { ...localStorage };
    for (let fails = 1; fails <= 4; fails++) {
      let calls = 0;
      await withShim(
        Storage.prototype,
        "setItem",
        (setItem) =>
          function (...args) {
            if (++calls === fails) throw new DOMException("full", "QuotaExceededError");
            return setItem.apply(this, args);
          },
        async () => {
          const error = await rejects(
            store.write(
              change({
                put: [segment("a", ["other"]), segment("c"), segment("d")],
                deadPut: [deadLetter("x", "2")],
                remove: ["b"],
              }),
            ),
          );
          if (!error.message.includes("the storage is full")) throw new Error(error.message);
        },
      );
      equal({ ...localStorage }, before, `the content when call ${fails} fails`);
    }
  },

  async "localStorage: a change beyond the limit of the browser rejects"() {
    localStorage.setItem("site", "x".repeat(5 * 1024 * 1024 - 10_000));
    const store = await opened(localStorageStore());
    await store.write(change({ put: [segment("a")] }));
    await rejects(store.write(change({ put: [segment("b"), segment("c", ["1".repeat(20_000)])], remove: ["a"] })));
    equal(await keys(store), ["a"]);
    await store.write(change({ put: [segment("d")] }));
    equal(await keys(store), ["a", "d"]);
  },

  async "localStorage: a change beyond the limit of the store rejects"() {
    const store = await opened(localStorageStore());
    const text = "ä".repeat(60_000);
    for (const key of ["a", "b", "c", "d"]) await store.write(change({ put: [segment(key, [text])] }));
    const error = await rejects(store.write(change({ put: [segment("e", [text])] })));
    if (!/262144 characters/.test(error.message)) throw new Error(error.message);
    // A change that does not grow the content is accepted, and so is one that removes enough.
    await store.write(change({ deadPut: [deadLetter("a", text)], remove: ["a"] }));
    await store.write(change({ put: [segment("e", [text])], remove: ["b"] }));
    equal(await keys(store), ["c", "d", "e"]);
    equal(await deadKeys(store), ["a"]);
  },

  async "localStorage: other keys are not touched"() {
    localStorage.setItem("eventferry", "1");
    localStorage.setItem("eventferry/outbo", "1");
    const store = await opened(localStorageStore());
    await store.write(change({ put: [segment("a")] }));
    await store.write(change({ remove: ["a"] }));
    equal(Object.keys(localStorage).sort(), ["eventferry", "eventferry/outbo", "eventferry/outbox/"]);
  },

  async "localStorage: open rejects where it is missing or blocked"() {
    for (const property of [
      { value: undefined },
      { value: null },
      {
        get: () => {
          throw new DOMException("blocked", "SecurityError");
        },
      },
    ]) {
      await withProperty("localStorage", property, () => rejects(localStorageStore().open("x")));
    }
  },
};

export async function browserChecks(clearAll) {
  const results = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    await closeAll();
    await clearAll();
    try {
      await check();
      results.push({ name });
    } catch (error) {
      results.push({ name, problem: `${error?.message}\n${error?.stack}` });
    }
  }
  return results;
}

/** The time to write and to drain a segment of 250 events, in milliseconds. */
export async function measure(store, segments = 100) {
  await store.open("speed");
  const texts = Array.from({ length: 250 }, (_, n) => JSON.stringify({ id: n, data: "x".repeat(100) }).padEnd(120));
  const name = (n) => `k${String(n).padStart(6, "0")}`;
  const all = Array.from({ length: segments }, (_, n) => segment(name(n), texts));
  const start = performance.now();
  for (const one of all) await store.write(change({ put: [one] }));
  const written = performance.now();
  while ((await keys(store, { events: 500 })).length > 0)
    await store.write(change({ remove: await keys(store, { events: 500 }) }));
  const emptied = performance.now();
  await store.close();
  return { write: (written - start) / segments, drain: (emptied - written) / segments };
}

function deleteDatabase(name) {
  return new Promise((resolve, reject) => {
    Object.assign(indexedDB.deleteDatabase(name), {
      onsuccess: resolve,
      onerror: reject,
      onblocked: () => reject(new Error("a connection blocks the deletion")),
    });
  });
}

/** What a newer version of the program does to a database. */
async function upgrade(name, version, change) {
  const request = indexedDB.open(name, version);
  await new Promise((resolve, reject) => {
    Object.assign(request, {
      onupgradeneeded: () => change(request.result),
      onsuccess: resolve,
      onerror: () => reject(request.error),
      onblocked: () => reject(new Error("another connection blocks the upgrade")),
    });
  });
  request.result.close();
}

/** Replaces a row of an object store with what `of` returns for it. */
export async function changeRow(name, table, key, of) {
  const done = (request) =>
    new Promise((resolve, reject) => {
      Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) });
    });
  const database = await done(indexedDB.open(`eventferry-${name}`));
  const rows = database.transaction(table, "readwrite").objectStore(table);
  await done(rows.put(of(await done(rows.get(key)))));
  database.close();
}

const stores = [];
const connectionsSeen = [];

async function opened(store) {
  await store.open("outbox");
  stores.push(store);
  return store;
}

async function closeAll() {
  for (const store of stores.splice(0)) await store.close().catch(() => undefined);
}

/** Counts the connections that are opened. */
async function countConnections(body) {
  connectionsSeen.length = 0;
  await withShim(
    IDBFactory.prototype,
    "open",
    (open) =>
      function (...args) {
        const request = open.apply(this, args);
        request.addEventListener("success", () => connectionsSeen.push(request.result));
        return request;
      },
    body,
  );
  return { connections: connectionsSeen.length };
}

async function withShim(target, method, make, body) {
  const original = target[method];
  target[method] = make(original);
  try {
    return await body();
  } finally {
    target[method] = original;
  }
}

const withIndexedDb = (property, body) => withProperty("indexedDB", property, body);

async function withProperty(name, property, body) {
  const original = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { configurable: true, ...property });
  try {
    return await body();
  } finally {
    Object.defineProperty(globalThis, name, original);
  }
}
