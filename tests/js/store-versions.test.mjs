// Two versions of the package on one store. The newer one is this one, with rows of a form that this one does not know.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { durableObjectStore, fileStore, localStorageStore } from "eventferry";
import { digestOf, scopeFor } from "../../dist/entries/node/internals.js";
import { change, deadKeys, deadLetter, keys, segment } from "../stores/contract.mjs";
import { event, listen, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";

/** How the outbox of this file names its store, and how the keys of its rows begin. */
const DESTINATION = JSON.stringify(["cloudevents", { name: "x" }]);
const NAME = digestOf(DESTINATION);
const inScope = (key) => `${scopeFor(DESTINATION, "")}.${key}`;

const dist = fileURLToPath(new URL("../../dist/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "eventferry-versions-"));
/** The stores of the newer version. */
let newer;

before(async () => {
  const copy = join(folder, "dist");
  mkdirSync(copy);
  for (const part of ["stores", "engine", "platform"]) cpSync(join(dist, part), join(copy, part), { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const patch = (file, ...changes) => {
    let text = readFileSync(join(copy, file), "utf8");
    for (const [from, to] of changes) {
      assert.ok(text.includes(from), `${file} has no ${from}`);
      text = text.replaceAll(from, to);
    }
    writeFileSync(join(copy, file), text);
  };
  patch(
    "stores/codec.js",
    ["(isReplayed ? IS_REPLAYED : 0), true", "256, true"],
    ["const flags = view.getUint32(16, true)", "const flags = view.getUint32(16, true) & 255"],
    ["JSON.stringify(rest)", "JSON.stringify({ ...rest, form: 1 })"],
  );
  patch("stores/readable-row.js", ["form === 0", "form <= 1"]);
  patch("stores/json-row.js", ["JSON.stringify(row,", "JSON.stringify({ ...row, form: 1 },"]);
  const load = (file) => import(pathToFileURL(join(copy, "stores", file)));
  newer = { ...(await load("durable-object.js")), ...(await load("file.js")), ...(await load("local-storage.js")) };
});

after(() => rmSync(folder, { recursive: true }));

/** `ctx.storage` of a Durable Object. */
function durableObject() {
  const rows = new Map();
  return {
    rows,
    get: async (names) => new Map(names.filter((name) => rows.has(name)).map((name) => [name, rows.get(name)])),
    put: async (entries) => {
      for (const [name, value] of Object.entries(entries)) rows.set(name, value);
    },
    delete: async (names) => names.filter((name) => rows.delete(name)).length,
    list: async ({ prefix, startAfter = "", limit }) => {
      const names = [...rows.keys()].filter((name) => name.startsWith(prefix) && name > startAfter);
      return new Map(
        names
          .sort()
          .slice(0, limit)
          .map((name) => [name, rows.get(name)]),
      );
    },
    sync: async () => undefined,
    getAlarm: async () => null,
    setAlarm: async () => undefined,
    deleteAlarm: async () => undefined,
  };
}

class LocalStorage {
  getItem(name) {
    return Object.hasOwn(this, name) ? this[name] : null;
  }
  setItem(name, text) {
    this[name] = text;
  }
  removeItem(name) {
    delete this[name];
  }
}

/** For each storage: stores of both versions on it, and all that is in it as text. */
const STORAGES = {
  "a Durable Object": () => {
    const storage = durableObject();
    return {
      old: () => durableObjectStore(storage),
      fresh: () => newer.durableObjectStore(storage),
      content: () => [...storage.rows].map(([name, bytes]) => `${name} ${Buffer.from(bytes).toString("latin1")}`),
      damage: (key) => storage.rows.set(`eventferry/${NAME}/s/${inScope(key)}`, "what is this?"),
    };
  },
  "a file": () => {
    const path = join(folder, `log${Math.random()}`);
    return {
      old: () => fileStore(path),
      fresh: () => newer.fileStore(path),
      content: () => [readFileSync(path, "latin1")],
    };
  },
  localStorage: () => {
    globalThis.localStorage = new LocalStorage();
    return {
      old: () => localStorageStore(),
      fresh: () => newer.localStorageStore(),
      content: () => Object.entries(localStorage).map((entry) => entry.join(" ")),
      damage: (key) => localStorage.setItem(`eventferry/${NAME}/s/${inScope(key)}`, "what is this?"),
    };
  },
};

async function withStore(store, body) {
  await store.open(NAME);
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

for (const [name, make] of Object.entries(STORAGES)) {
  test(`${name}: rows of a newer version stay for the program that knows them`, async () => {
    const { old, fresh, content } = make();
    for (const [id, status] of [
      ["dead", 422],
      ["a", 503],
    ]) {
      const { outbox, session } = openOutbox(server(status), old());
      const mine = session();
      mine.publish(event(id));
      await mine.flush();
      if (id === "dead") await outbox.drain();
      await outbox.close();
    }
    await withStore(fresh(), async (store) => {
      const { events, dead } = await store.count();
      assert.deepEqual([events, dead], [1, 1], "what the newer version reads");
      await store.write(
        change({ put: [segment(inScope("b"), ['"from the future"'])], deadPut: [deadLetter(inScope("b"), '"newer"')] }),
      );
    });
    const to = server(202);
    const { outbox, session } = openOutbox(to, old());
    const told = listen(outbox, "degraded");
    const mine = session();
    mine.publish(event("c"));
    await mine.flush();
    await outbox.drain();
    assert.deepEqual(to.ids().flat(), ["a", "c"]);
    assert.ok(told.length > 0 && told.every(([, { error }]) => error.code === "ERR_STORE"));
    assert.ok(told.every(([, { error }]) => !/future|newer"/.test(error.message)));
    const dead = await outbox.dead.list();
    assert.deepEqual(
      dead.map(({ id }) => id),
      ["dead"],
    );
    await outbox.dead.remove(["dead"]);
    await outbox.close();
    await withStore(fresh(), async (store) => {
      assert.deepEqual([await keys(store), await deadKeys(store)], [[inScope("b")], [inScope("b")]]);
      const [{ body }] = await store.peek({ events: 1, bytes: 1, skip: new Set() });
      assert.equal(new TextDecoder().decode(body), '"from the future"');
    });
    assert.match(content().join(), /from the future/);
  });

  test(`${name}: purge deletes rows that cannot be read too`, async () => {
    const { old, fresh, content, damage } = make();
    await withStore(fresh(), (store) =>
      store.write(
        change({ put: [segment(inScope("b"), ['"from the future"'])], deadPut: [deadLetter(inScope("b"), '"newer"')] }),
      ),
    );
    await withStore(old(), (store) => store.write(change({ put: [segment(inScope("a")), segment(inScope("c"))] })));
    damage?.("c");
    const { outbox } = openOutbox(server(503), old());
    await outbox.purge();
    await outbox.close();
    assert.doesNotMatch(content().join(), /future|newer|what|id/);
  });
}

function openOutbox(to, store) {
  const publisher = publisherTo(to, { outbox: { store, name: "x" } });
  return { outbox: publisher.outbox, session: () => publisher.session() };
}

test("a store without the method unreadable is purged as before", async () => {
  const store = storeWith();
  const { outbox, session } = openOutbox(server(503), store);
  const mine = session();
  mine.publish(event("a"));
  await mine.flush();
  assert.equal(await outbox.purge(), 1);
  assert.equal((await store.inner.count()).events, 0);
  await outbox.close();
});
