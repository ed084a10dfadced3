// Checks that are specific to Deno KV: its limits, and several processes.
import { denoKvStore } from "../../dist/stores/deno-kv.js";
import { change, deadKeys, deadLetter, equal, keys, rejects, segment } from "./contract.mjs";

const CHECKS = {
  async "open returns the durability"(kv) {
    equal(await denoKvStore(kv).open("x"), { durability: "disk", isShared: true, supportsPrefix: true });
    equal(await entries(kv), []);
  },

  async "other keys are not touched"(kv) {
    await kv.set(["eventferry", "outbox2"], 1);
    await kv.set(["mine"], 1);
    const store = await opened(kv);
    await store.write(
      change({ put: [segment("a", ["1".repeat(200_000)])], deadPut: [deadLetter("a", "1".repeat(200_000))] }),
    );
    const other = await opened(kv);
    await other.write(change({ remove: ["a"], deadRemove: ["a"] }));
    equal(await entries(kv), [["eventferry", "outbox2"], ["mine"]], "the remaining keys");
  },

  async "a change within the limits is one commit"(kv) {
    const sizes = [];
    const store = await opened(counting(kv, sizes));
    sizes.length = 0;
    const put = Array.from({ length: 100 }, (_, n) => segment(`k${1000 + n}`, ["1".repeat(5_000)]));
    await store.write(change({ put, deadPut: [deadLetter("x")] }));
    await store.write(change({ remove: put.map(({ key }) => key), deadRemove: ["x"] }));
    equal(sizes, [101, 101]);
  },

  async "a larger change puts everything before it removes anything"(kv) {
    const store = await opened(kv);
    await store.write(change({ put: [segment("old")] }));
    const put = Array.from({ length: 30 }, (_, n) => segment(`k${1000 + n}`, ["1".repeat(50_000)]));
    for (let fails = 0; fails < 3; fails++) {
      const broken = await opened(failing(kv, fails));
      await rejects(broken.write(change({ put, remove: ["old"] })));
      equal((await keys(store)).includes("old"), true, `whether the old segment exists when commit ${fails} fails`);
    }
    await store.write(change({ put, remove: ["old"] }));
    equal((await keys(store)).length, 30);
  },

  async "a large segment is invisible until all its chunks are written"(kv) {
    const large = segment("large", ["1".repeat(2_000_000)]);
    for (let fails = 0; fails < 3; fails++) {
      const broken = await opened(failing(kv, fails));
      await rejects(broken.write(change({ put: [large] })));
      equal(await keys(await opened(kv)), []);
    }
    await (await opened(kv)).write(change({ put: [large] }));
    const other = await opened(kv);
    equal((await other.peek({ events: 1, bytes: 1, skip: new Set() }))[0], large);
    await other.write(change({ remove: ["large"] }));
    equal(await entries(kv), []);
  },

  async "a smaller segment leaves no chunks of the larger one"(kv) {
    const store = await opened(kv);
    const text = "1".repeat(300_000);
    await store.write(change({ put: [segment("a", [text])], deadPut: [deadLetter("a", text)] }));
    await store.write(change({ put: [segment("a", [text.slice(0, 100_000)])], deadPut: [deadLetter("a")] }));
    equal((await entries(kv)).length, 2 + 1);
  },

  async "2 000 segments and dead letters are removed in one change"(kv) {
    const store = await opened(kv);
    const names = Array.from({ length: 2000 }, (_, n) => `k${1000 + n}`);
    await store.write(
      change({ put: names.map((name) => segment(name)), deadPut: names.map((name) => deadLetter(name)) }),
    );
    equal((await store.count()).events, 2000);
    await (await opened(kv)).write(change({ remove: names, deadRemove: names }));
    equal(await keys(store), []);
    equal(await deadKeys(store), []);
  },

  async "a closed KV rejects"(kv) {
    const store = await opened(kv);
    kv.close();
    await rejects(store.write(change({ put: [segment("a")] })));
    await rejects(store.peek({ events: 1, bytes: 1, skip: new Set() }));
  },
};

export async function denoKvChecks() {
  const results = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    const kv = await Deno.openKv(":memory:");
    try {
      await check(kv);
      results.push({ name });
    } catch (error) {
      results.push({ name, problem: String(error?.stack ?? error) });
    }
    try {
      kv.close();
    } catch {
      // The check has closed it.
    }
  }
  return results;
}

async function opened(kv) {
  const store = denoKvStore(kv);
  await store.open("outbox");
  return store;
}

async function entries(kv) {
  const keys = [];
  for await (const { key } of kv.list({ prefix: [] })) keys.push(key);
  return keys;
}

const forwarded = (kv) =>
  Object.fromEntries(["get", "getMany", "list", "atomic"].map((method) => [method, kv[method].bind(kv)]));

/** Records the number of mutations of each commit. */
function counting(kv, sizes) {
  return { ...forwarded(kv), atomic: () => counted(kv.atomic(), async (mutations) => void sizes.push(mutations)) };
}

/** The commit with this number, counted after the two of `open`, fails. */
function failing(kv, number) {
  let commits = -2;
  return {
    ...forwarded(kv),
    atomic: () =>
      counted(kv.atomic(), async () => {
        if (commits++ === number) throw new TypeError("broken");
      }),
  };
}

function counted(atomic, before) {
  let mutations = 0;
  return {
    check: (entry) => atomic.check(entry),
    set(...args) {
      mutations++;
      return atomic.set(...args);
    },
    delete(...args) {
      mutations++;
      return atomic.delete(...args);
    },
    async commit() {
      await before(mutations);
      return atomic.commit();
    },
  };
}
