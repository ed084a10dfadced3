// What every store promises, as js/stores/store.ts says it. It runs in every runtime, so it uses nothing but the language.

const encoder = new TextEncoder();
const ALL = { events: Infinity, bytes: Infinity, skip: new Set() };
const NOTHING = { put: [], remove: [], deadPut: [], deadRemove: [] };

/** A change with the rest left empty. */
export const change = (parts) => ({ ...NOTHING, ...parts });

/** A segment of these texts. */
export function segment(key, texts = [`{"id":"${key}"}`], { orderingKeys, at = 1_700_000_000_123 } = {}) {
  return {
    key,
    body: encoder.encode(texts.join(",")),
    sizes: Uint32Array.from(texts, (text) => encoder.encode(text).length),
    ...(orderingKeys && { orderingKeys: Uint32Array.from(orderingKeys) }),
    at,
  };
}

export function letter(key, text = `{"id":"${key}"}`) {
  return {
    key,
    body: encoder.encode(text),
    orderingKey: 7,
    at: 1_700_000_000_456,
    code: "ERR_REJECTED",
    status: 422,
    reason: "no – «nein» 🚫",
    attempts: 3,
  };
}

/** Keys of what is there, oldest first. */
export const keys = async (store, limit = {}) => (await store.peek({ ...ALL, ...limit })).map(({ key }) => key);
export const deadKeys = async (store, limit = 1000) => (await store.dead(limit)).map(({ key }) => key);

export function equal(found, wanted, what = "it") {
  const [a, b] = [shown(found), shown(wanted)];
  if (a !== b) throw new Error(`${what} is ${a.slice(0, 300)}, not ${b.slice(0, 300)}`);
}

export async function rejects(promise, code = "ERR_STORE") {
  const error = await promise.then(
    () => undefined,
    (error) => error,
  );
  if (error === undefined) throw new Error("it did not reject");
  if (error.code !== code) throw new Error(`it rejected with ${error.code}: ${error.stack ?? error}`);
  return error;
}

/** Names in order, arrays as lists: equal things look equal. */
function shown(value) {
  return JSON.stringify(value, (_, it) => {
    if (ArrayBuffer.isView(it)) return `${it.constructor.name} ${it.length} ${sum(it)} ${[...it.subarray(0, 300)]}`;
    if (it === null || typeof it !== "object" || Array.isArray(it)) return it;
    return Object.fromEntries(Object.entries(it).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function sum(numbers) {
  let sum = 0;
  for (const number of numbers) sum = (31 * sum + number) | 0;
  return sum;
}

const LAWS = {
  async "what is put comes back as it was"({ store, twice, reopen }) {
    const put = [segment("a"), segment("b", ["1", "[2]", '"drei"'], { orderingKeys: [0, 5, 4_294_967_295], at: 3.5 })];
    await store.write(change({ put }));
    equal(await store.peek(ALL), [
      segment("a"),
      segment("b", ["1", "[2]", '"drei"'], { orderingKeys: [0, 5, 4_294_967_295], at: 3.5 }),
    ]);
    equal("orderingKeys" in (await store.peek(ALL))[0], false, "whether orderingKeys are there that were left out");
    await reopen();
    equal(await store.peek(ALL), put, "what is found after opening again");
  },

  async "bodies are kept byte for byte"({ store, twice, reopen }) {
    const text = '{"a":"Åre – 2 × kaffe 🎉 \\u0000\\ud800 \u2028\ufeff"}';
    await store.write(change({ put: [segment("a", ["\ufeff1", text, '{\n\t"b": 1\n}'])] }));
    await twice(async () => equal(await store.peek(ALL), [segment("a", ["\ufeff1", text, '{\n\t"b": 1\n}'])]));
  },

  async "views of larger arrays are kept as what they show"({ store }) {
    const { body, sizes } = segment("a", ["[1]", "[22]"], {});
    const wide = new Uint8Array(100).fill(120);
    wide.set(body, 10);
    const numbers = Uint32Array.of(9, ...sizes, 9);
    const put = {
      key: "a",
      body: wide.subarray(10, 10 + body.length),
      sizes: numbers.subarray(1, 3),
      orderingKeys: numbers.subarray(2, 4),
      at: 1,
    };
    await store.write(change({ put: [put] }));
    const [found] = await store.peek(ALL);
    equal(found, { key: "a", body, sizes, orderingKeys: Uint32Array.of(4, 9), at: 1 });
  },

  async "a large event"({ store, twice, reopen, largest }) {
    const size = Math.min(1024 * 1024, largest);
    const text = `"${"ä0123456789abcdef".repeat(size).slice(0, size - 100_000)}"`;
    await store.write(change({ put: [segment("a", [text]), segment("b")] }));
    await twice(async () => {
      equal(await store.peek(ALL), [segment("a", [text]), segment("b")]);
      equal(await keys(store, { bytes: 10 }), ["a"]);
    });
    await store.write(change({ remove: ["a"] }));
    await reopen();
    equal(await keys(store), ["b"]);
  },

  async "a large event that becomes small, and small again"({ store, twice, reopen, largest }) {
    const text = "1".repeat(Math.min(500_000, largest / 2));
    await store.write(change({ put: [segment("a", [text])], deadPut: [letter("a", text)] }));
    await store.write(change({ put: [segment("a")], deadPut: [letter("a")] }));
    await reopen();
    equal(await store.peek(ALL), [segment("a")]);
    equal(await store.dead(9), [letter("a")]);
    await store.write(change({ put: [segment("a", [text])], deadRemove: ["a"] }));
    await reopen();
    await store.write(change({ remove: ["a"] }));
    equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  },

  async "the smallest key is the oldest"({ store, twice, reopen }) {
    for (const key of ["b", "A", "b.1", "b-1", "0", "b1", "z", "Z", "a"])
      await store.write(change({ put: [segment(key)], deadPut: [letter(key)] }));
    const wanted = ["0", "A", "Z", "a", "b", "b-1", "b.1", "b1", "z"];
    await twice(async () => {
      equal(await keys(store), wanted);
      equal(await deadKeys(store), wanted);
      equal(await deadKeys(store, 3), ["0", "A", "Z"]);
    });
  },

  async "what is put out of order finds its place"({ store }) {
    for (const key of ["5", "3", "9", "4"]) {
      await store.write(change({ put: [segment(key)] }));
      await keys(store);
    }
    await store.write(change({ remove: ["3"] }));
    await store.write(change({ put: [segment("3"), segment("6")] }));
    equal(await keys(store), ["3", "4", "5", "6", "9"]);
  },

  async "a segment with a key that is there replaces it"({ store, twice, reopen }) {
    await store.write(change({ put: [segment("a", ["1", "2", "3"], { orderingKeys: [1, 2, 3] }), segment("b")] }));
    await store.write(change({ put: [segment("a", ["3"])], deadPut: [letter("x"), letter("x", "[]")] }));
    await twice(async () => {
      equal(await store.peek(ALL), [segment("a", ["3"]), segment("b")]);
      equal(await store.dead(5), [letter("x", "[]")]);
    });
  },

  async "the same change twice changes nothing"({ store, twice, reopen }) {
    await store.write(change({ put: [segment("a"), segment("b")], deadPut: [letter("x")] }));
    const same = change({
      put: [segment("b", ["2"]), segment("c")],
      remove: ["a"],
      deadPut: [letter("a")],
      deadRemove: ["x"],
    });
    await store.write(same);
    await store.write(same);
    await twice(async () => {
      equal(await store.peek(ALL), [segment("b", ["2"]), segment("c")]);
      equal(await store.dead(5), [letter("a")]);
    });
  },

  async "to remove what is not there is no error"({ store }) {
    await store.write(change({ remove: ["no", "no"], deadRemove: ["no"] }));
    equal(await keys(store), []);
  },

  async "a change may be empty"({ store }) {
    await store.write(NOTHING);
    await Promise.all([store.write(NOTHING), store.write(change({ put: [segment("a")] })), store.write(NOTHING)]);
    equal(await keys(store), ["a"]);
  },

  async "changes that overlap take effect in order"({ store, twice, reopen }) {
    const made = [];
    for (let round = 0; round < 20; round++) {
      made.push(
        store.write(
          change({ put: [segment("a", [String(round)]), segment(`b${round}`)], deadPut: [letter("a", String(round))] }),
        ),
      );
      if (round % 2) made.push(store.write(change({ remove: ["a"], deadRemove: ["a"] })));
      if (round > 2) made.push(store.write(change({ remove: [`b${round - 3}`] })));
    }
    made.push(store.write(change({ put: [segment("c", ["1"])] })), store.write(change({ put: [segment("c", ["2"])] })));
    await Promise.all(made);
    await twice(async () => {
      equal(await keys(store), ["b17", "b18", "b19", "c"]);
      equal((await store.peek(ALL)).at(-1), segment("c", ["2"]));
      equal(await deadKeys(store), []);
    });
  },

  async "peek gives as much as the limit allows"({ store }) {
    const put = [1, 2, 3, 4, 5, 6].map((n) =>
      segment(
        `k${n}`,
        Array.from({ length: n }, () => "1234567"),
      ),
    );
    await store.write(change({ put }));
    const tell = (limit) => keys(store, limit).then((keys) => keys.join(" "));
    equal(await tell({ events: 6 }), "k1 k2 k3");
    equal(await tell({ events: 5 }), "k1 k2");
    equal(await tell({ events: 9 }), "k1 k2 k3");
    equal(await tell({ bytes: 7 + 15 + 23 }), "k1 k2 k3");
    equal(await tell({ bytes: 7 + 15 + 22 }), "k1 k2");
    equal(await tell({ events: 0 }), "k1");
    equal(await tell({ bytes: 0 }), "k1");
    equal(await tell({ events: 1, bytes: 1, skip: new Set(["k1", "k2", "k3"]) }), "k4");
  },

  async "peek leaves out what is to be skipped"({ store }) {
    await store.write(change({ put: ["a", "b", "c", "d"].map((key) => segment(key)) }));
    equal(await keys(store, { skip: new Set(["a", "c", "nothing"]) }), ["b", "d"]);
    equal(await keys(store, { skip: new Set(["a", "c"]), events: 1 }), ["b"]);
    equal(await keys(store, { skip: new Set(["a", "b", "c", "d"]) }), []);
  },

  async "peek of an empty store gives nothing"({ store }) {
    equal(await store.peek(ALL), []);
    equal(await store.dead(10), []);
    equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  },

  async "dead letters come back as they were"({ store, twice, reopen, largest }) {
    const long = letter("b", `"${"ö".repeat(Math.min(200_000, largest / 4))}"`);
    await store.write(change({ deadPut: [letter("a", '"Åre"'), long, letter("c")] }));
    await twice(async () => {
      equal(await store.dead(10), [letter("a", '"Åre"'), long, letter("c")]);
      equal(await deadKeys(store, 1), ["a"]);
      equal(await deadKeys(store, 0), []);
      equal(await keys(store), []);
    });
    await store.write(change({ deadRemove: ["a", "b"], put: [segment("b")] }));
    equal(await deadKeys(store), ["c"]);
    equal(await keys(store), ["b"]);
  },

  async "it counts what it has"({ store, twice, reopen }) {
    await store.write(
      change({
        put: [segment("a", ["1", "22"]), segment("b", ['"é"'])],
        deadPut: [letter("x", "12345"), letter("y", "1")],
      }),
    );
    await twice(async () => equal(await store.count(), { events: 3, bytes: 4 + 4, dead: 2, deadBytes: 6 }));
    await store.write(change({ put: [segment("a", ["1"])], remove: ["b"], deadRemove: ["x"] }));
    equal(await store.count(), { events: 1, bytes: 1, dead: 1, deadBytes: 1 });
  },

  async "hundreds of segments in one change and one by one"({ store, twice, reopen }) {
    const name = (n) => `s${String(n).padStart(5, "0")}`;
    const numbers = Array.from({ length: 300 }, (_, n) => n);
    await store.write(change({ put: numbers.map((n) => segment(name(n), ["1", "2"], { orderingKeys: [n, 0] })) }));
    equal((await store.count()).events, 600);
    equal(await keys(store), numbers.map(name));
    equal(await keys(store, { events: 500 }), numbers.slice(0, 250).map(name));
    const skip = new Set(numbers.slice(0, 200).map(name));
    equal(await keys(store, { events: 10, skip }), numbers.slice(200, 205).map(name));
    await Promise.all(numbers.slice(0, 40).map((n) => store.write(change({ remove: [name(n)] }))));
    await reopen();
    equal(await keys(store, { events: 1 }), [name(40)]);
    await reopen();
    await store.write(change({ remove: numbers.map(name) }));
    equal(await keys(store), []);
  },

  async "names are kept apart"({ store, beside }) {
    const other = await beside("other");
    if (!other) return;
    await store.write(change({ put: [segment("a")] }));
    equal(await keys(other), []);
    await other.write(change({ remove: ["a"], put: [segment("b")] }));
    equal(await keys(store), ["a"]);
  },

  async "two have the same store open"({ store, beside }) {
    const other = await beside("outbox");
    if (!other) return;
    await Promise.all(
      [1, 2, 3, 4, 5].flatMap((n) => [
        store.write(change({ put: [segment(`a${n}`)] })),
        other.write(change({ put: [segment(`b${n}`)] })),
      ]),
    );
    await Promise.all([store.write(change({ remove: ["b1", "a2"] })), other.write(change({ remove: ["a1", "b2"] }))]);
    for (const one of [store, other]) equal(await keys(one), ["a3", "a4", "a5", "b3", "b4", "b5"]);
  },

  async "after close, what it keeps stays"({ store, reopen }) {
    void store.write(change({ put: [segment("a")] }));
    await store.write(change({ put: [segment("b")] }));
    await reopen();
    equal(await keys(store), ["a", "b"]);
  },

  async "one at a time holds the lease, and changes are taken from everybody"({ store, beside, hasLease }) {
    const other = await beside("outbox");
    if (!other || !hasLease) return;
    equal(await store.acquire("one", 60_000), true, "whether the first gets it");
    equal(await other.acquire("two", 60_000), false, "whether the second gets it too");
    equal(await store.acquire("one", 60_000), true, "whether the first may renew it");
    await other.write(change({ put: [segment("a")] }));
    equal(await store.acquire("one", 0), true);
    equal(await other.acquire("two", 60_000), true, "whether the second gets it when it has run out");
    await store.write(change({ remove: ["a"] }));
    equal(await keys(other), []);
    // Two at once: one of them.
    await other.acquire("two", 0);
    const both = await Promise.all([store.acquire("three", 60_000), other.acquire("four", 60_000)]);
    equal(both.filter(Boolean).length, 1, "how many got it at the same time");
  },
};

/**
 * Makes every law's check.
 *
 * @param makePlace gives a new, empty place for each: `make(name)` a store of it; `largest` how many bytes it has room for;
 * `isShared`; `forgets` whether a store finds only what it has put itself; `isNamed` whether there may be others beside it
 * @returns {Promise<{ name: string, problem?: string }[]>}
 */
export async function judgeLaws(makePlace) {
  const results = [];
  for (const [name, law] of Object.entries(LAWS)) {
    let world;
    try {
      world = new World(await makePlace());
      await world.reopen();
      await law(world);
      results.push({ name });
    } catch (error) {
      results.push({ name, problem: String(error?.stack ?? error) });
    }
    await world?.end();
  }
  return results;
}

/** What a law gets. */
class World {
  /** Stands for the store that is open at present. */
  store = {};
  largest;
  hasLease;
  #place;
  #current;
  #others = [];

  constructor(place) {
    this.#place = place;
    this.largest = place.largest ?? Infinity;
    for (const method of ["write", "peek", "dead", "count", "acquire"])
      this.store[method] = (...args) => this.#current[method](...args);
    for (const method of ["reopen", "twice", "beside"]) this[method] = this[method].bind(this);
  }

  /** Closes the store, and opens another at the same place. */
  async reopen() {
    await this.#current?.close();
    if (this.#current && this.#place.forgets) return;
    this.#current = await this.#open("outbox");
    this.hasLease = "acquire" in this.#current;
  }

  /** Makes a check, opens the store again, and makes it once more. */
  async twice(check) {
    await check();
    await this.reopen();
    await check();
  }

  /** Another store that is open at the same time. */
  async beside(name) {
    const { isShared, forgets, isNamed = true } = this.#place;
    if (forgets || (name === "outbox" ? !isShared : !isNamed)) return undefined;
    const other = await this.#open(name);
    this.#others.push(other);
    return other;
  }

  async end() {
    for (const store of [this.#current, ...this.#others]) await store?.close().catch(() => undefined);
    await this.#place.end?.();
  }

  async #open(name) {
    const store = this.#place.make(name);
    const { isShared } = await store.open(name);
    equal(isShared, this.#place.isShared ?? false, "isShared");
    return store;
  }
}
