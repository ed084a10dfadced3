// Checks the contract of a store, see js/stores/store.ts. It runs in every runtime, so it uses only the language itself.

const encoder = new TextEncoder();
const ALL = { events: Infinity, bytes: Infinity, skip: new Set() };
const EMPTY_CHANGE = { put: [], remove: [], deadPut: [], deadRemove: [] };

/** A change with these lists; the others are empty. */
export const change = (lists) => ({ ...EMPTY_CHANGE, ...lists });

/** A segment with these event texts. */
export function segment(key, texts = [`{"id":"${key}"}`], { orderingKeys, at = 1_700_000_000_123 } = {}) {
  return {
    key,
    body: encoder.encode(texts.join(",")),
    sizes: Uint32Array.from(texts, (text) => encoder.encode(text).length),
    ...(orderingKeys && { orderingKeys: Uint32Array.from(orderingKeys) }),
    at,
  };
}

/** A dead letter with this event text. */
export function deadLetter(key, text = `{"id":"${key}"}`) {
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

/** The keys of the segments, oldest first. */
export const keys = async (store, limit = {}) => (await store.peek({ ...ALL, ...limit })).map(({ key }) => key);
/** The keys of the dead letters, oldest first. */
export const deadKeys = async (store, limit = 1000) => (await store.dead(limit)).map(({ key }) => key);

/** Fails unless both values are deeply equal. `what` names the value in the message. */
export function equal(actual, expected, what = "the value") {
  const [a, b] = [format(actual), format(expected)];
  if (a !== b) throw new Error(`${what} is ${a.slice(0, 300)}; expected ${b.slice(0, 300)}`);
}

/** Fails unless the promise rejects with this code. Returns the error. */
export async function rejects(promise, code = "ERR_STORE") {
  const error = await promise.then(
    () => undefined,
    (error) => error,
  );
  if (error === undefined) throw new Error("the promise did not reject");
  if (error.code !== code) throw new Error(`the promise rejected with ${error.code}: ${error.stack ?? error}`);
  return error;
}

/** A text that is the same for equal values: members in order, arrays with a checksum. */
function format(value) {
  return JSON.stringify(value, (_, member) => {
    if (ArrayBuffer.isView(member)) {
      return `${member.constructor.name} ${member.length} ${checksum(member)} ${[...member.subarray(0, 300)]}`;
    }
    if (member === null || typeof member !== "object" || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function checksum(numbers) {
  let result = 0;
  for (const number of numbers) result = (31 * result + number) | 0;
  return result;
}

const CHECKS = {
  async "a key is claimed by one caller only"({ store, beside, hasClaims }) {
    if (!hasClaims) return;
    const later = Date.now() + 60_000;
    const other = (await beside("outbox")) ?? store;
    const claims = Array.from({ length: 20 }, (_, at) => (at % 2 ? store : other).claim("ab", later));
    equal((await Promise.all(claims)).sort(), [...Array(19).fill("busy"), "new"], "the states of the claims");
    equal(await other.claim("cd", later), "new");
  },

  async "a claim ends by itself, released, or as seen"({ store, hasClaims, reopen }) {
    if (!hasClaims) return;
    const [before, later] = [Date.now() - 1, Date.now() + 60_000];
    equal([await store.claim("a1", before), await store.claim("a1", later)], ["new", "new"], "a claim that is over");
    await store.settle("a1", undefined);
    equal(await store.claim("a1", later), "new", "a released claim");
    const next = later + 1;
    await store.settle("a1", undefined, next);
    equal(await store.claim("a1", later), "busy", "a claim that another one has released");
    await store.settle("a1", undefined, later);
    equal(await store.claim("a1", next), "new", "a claim that was released by itself");
    await store.settle("a1", later, later);
    await store.settle("a1", undefined, next);
    equal(await store.claim("a1", later), "seen", "a key that was seen during a claim");
    await store.settle("a4", undefined, later);
    equal(await store.claim("a4", later), "new", "a key that nobody had claimed");
    await store.settle("a2", before);
    equal(await store.claim("a2", later), "new", "a mark that is over");
    await store.settle("a2", before);
    for (let at = 0; at < 30; at++) await store.settle(at.toString(16).padStart(4, "b"), at % 3 ? later : before);
    await reopen();
    equal(await store.claim("a1", later), "seen", "the mark after a reopen");
    for (let at = 0; at < 30; at++) {
      const state = await store.claim(at.toString(16).padStart(4, "b"), later);
      equal(state, at % 3 ? "seen" : "new", `mark ${at}`);
    }
    equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 }, "the count without events");
  },

  async "peek returns segments as they were put"({ store, reopen }) {
    const put = [segment("a"), segment("b", ["1", "[2]", '"drei"'], { orderingKeys: [0, 5, 4_294_967_295], at: 3.5 })];
    await store.write(change({ put }));
    equal(await store.peek(ALL), [
      segment("a"),
      segment("b", ["1", "[2]", '"drei"'], { orderingKeys: [0, 5, 4_294_967_295], at: 3.5 }),
    ]);
    equal("orderingKeys" in (await store.peek(ALL))[0], false, "whether orderingKeys exist that were left out");
    await reopen();
    equal(await store.peek(ALL), put, "the content after reopening");
  },

  async "bodies are stored byte for byte"({ store, twice }) {
    const text = '{"a":"Åre – 2 × kaffe 🎉 \\u0000\\ud800 \u2028\ufeff"}';
    await store.write(change({ put: [segment("a", ["\ufeff1", text, '{\n\t"b": 1\n}'])] }));
    await twice(async () => equal(await store.peek(ALL), [segment("a", ["\ufeff1", text, '{\n\t"b": 1\n}'])]));
  },

  async "of a view, only the viewed part is stored"({ store }) {
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

  async "a large event is stored"({ store, twice, reopen, maxBytes }) {
    const size = Math.min(1024 * 1024, maxBytes);
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

  async "a large segment can be replaced by a small one and back"({ store, reopen, maxBytes }) {
    const text = "1".repeat(Math.min(500_000, maxBytes / 2));
    await store.write(change({ put: [segment("a", [text])], deadPut: [deadLetter("a", text)] }));
    await store.write(change({ put: [segment("a")], deadPut: [deadLetter("a")] }));
    await reopen();
    equal(await store.peek(ALL), [segment("a")]);
    equal(await store.dead(9), [deadLetter("a")]);
    await store.write(change({ put: [segment("a", [text])], deadRemove: ["a"] }));
    await reopen();
    await store.write(change({ remove: ["a"] }));
    equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  },

  async "the smallest key is the oldest"({ store, twice }) {
    for (const key of ["b", "A", "b.1", "b-1", "0", "b1", "z", "Z", "a"])
      await store.write(change({ put: [segment(key)], deadPut: [deadLetter(key)] }));
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

  async "a segment with a key that is there replaces it"({ store, twice }) {
    await store.write(change({ put: [segment("a", ["1", "2", "3"], { orderingKeys: [1, 2, 3] }), segment("b")] }));
    await store.write(change({ put: [segment("a", ["3"])], deadPut: [deadLetter("x"), deadLetter("x", "[]")] }));
    await twice(async () => {
      equal(await store.peek(ALL), [segment("a", ["3"]), segment("b")]);
      equal(await store.dead(5), [deadLetter("x", "[]")]);
    });
  },

  async "the same change twice changes nothing"({ store, twice }) {
    await store.write(change({ put: [segment("a"), segment("b")], deadPut: [deadLetter("x")] }));
    const same = change({
      put: [segment("b", ["2"]), segment("c")],
      remove: ["a"],
      deadPut: [deadLetter("a")],
      deadRemove: ["x"],
    });
    await store.write(same);
    await store.write(same);
    await twice(async () => {
      equal(await store.peek(ALL), [segment("b", ["2"]), segment("c")]);
      equal(await store.dead(5), [deadLetter("a")]);
    });
  },

  async "the removal of a missing key is not an error"({ store }) {
    await store.write(change({ remove: ["no", "no"], deadRemove: ["no"] }));
    equal(await keys(store), []);
  },

  async "a change may be empty"({ store }) {
    await store.write(EMPTY_CHANGE);
    await Promise.all([
      store.write(EMPTY_CHANGE),
      store.write(change({ put: [segment("a")] })),
      store.write(EMPTY_CHANGE),
    ]);
    equal(await keys(store), ["a"]);
  },

  async "changes that overlap take effect in order"({ store, twice }) {
    const made = [];
    for (let round = 0; round < 20; round++) {
      made.push(
        store.write(
          change({
            put: [segment("a", [String(round)]), segment(`b${round}`)],
            deadPut: [deadLetter("a", String(round))],
          }),
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

  async "peek returns as much as the limit allows"({ store }) {
    const put = [1, 2, 3, 4, 5, 6].map((n) =>
      segment(
        `k${n}`,
        Array.from({ length: n }, () => "1234567"),
      ),
    );
    await store.write(change({ put }));
    const peeked = (limit) => keys(store, limit).then((keys) => keys.join(" "));
    equal(await peeked({ events: 6 }), "k1 k2 k3");
    equal(await peeked({ events: 5 }), "k1 k2");
    equal(await peeked({ events: 9 }), "k1 k2 k3");
    equal(await peeked({ bytes: 7 + 15 + 23 }), "k1 k2 k3");
    equal(await peeked({ bytes: 7 + 15 + 22 }), "k1 k2");
    equal(await peeked({ events: 0 }), "k1");
    equal(await peeked({ bytes: 0 }), "k1");
    equal(await peeked({ events: 1, bytes: 1, skip: new Set(["k1", "k2", "k3"]) }), "k4");
  },

  async "peek skips the given keys"({ store }) {
    await store.write(change({ put: ["a", "b", "c", "d"].map((key) => segment(key)) }));
    equal(await keys(store, { skip: new Set(["a", "c", "nothing"]) }), ["b", "d"]);
    equal(await keys(store, { skip: new Set(["a", "c"]), events: 1 }), ["b"]);
    equal(await keys(store, { skip: new Set(["a", "b", "c", "d"]) }), []);
  },

  async "an empty store returns nothing"({ store }) {
    equal(await store.peek(ALL), []);
    equal(await store.dead(10), []);
    equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  },

  async "dead returns dead letters as they were put"({ store, twice, maxBytes }) {
    const long = deadLetter("b", `"${"ö".repeat(Math.min(200_000, maxBytes / 4))}"`);
    await store.write(change({ deadPut: [deadLetter("a", '"Åre"'), long, deadLetter("c")] }));
    await twice(async () => {
      equal(await store.dead(10), [deadLetter("a", '"Åre"'), long, deadLetter("c")]);
      equal(await deadKeys(store, 1), ["a"]);
      equal(await deadKeys(store, 0), []);
      equal(await keys(store), []);
    });
    await store.write(change({ deadRemove: ["a", "b"], put: [segment("b")] }));
    equal(await deadKeys(store), ["c"]);
    equal(await keys(store), ["b"]);
  },

  async "count returns the content"({ store, twice }) {
    await store.write(
      change({
        put: [segment("a", ["1", "22"]), segment("b", ['"é"'])],
        deadPut: [deadLetter("x", "12345"), deadLetter("y", "1")],
      }),
    );
    const all = { events: 3, bytes: 4 + 4, dead: 2, deadBytes: 6, lastKey: "b" };
    await twice(async () => equal(await store.count(), all));
    await store.write(change({ put: [segment("a", ["1"])], remove: ["b"], deadRemove: ["x"] }));
    equal(await store.count(), { events: 1, bytes: 1, dead: 1, deadBytes: 1, lastKey: "a" });
  },

  async "hundreds of segments are written together and one by one"({ store, reopen }) {
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

  async "stores with different names share nothing"({ store, beside }) {
    const other = await beside("other");
    if (!other) return;
    await store.write(change({ put: [segment("a")] }));
    equal(await keys(other), []);
    await other.write(change({ remove: ["a"], put: [segment("b")] }));
    equal(await keys(store), ["a"]);
  },

  async "names do not nest"({ store, beside }) {
    for (const name of ["outbox/s", "outbox/", "outbox%2Fs"]) {
      const other = await beside(name);
      if (!other) return;
      await other.write(change({ put: [segment("a")], deadPut: [deadLetter("a")] }));
      equal(await keys(store), [], `the segments of the store beside ${name}`);
      equal(await deadKeys(store), [], `the dead letters of the store beside ${name}`);
      await store.write(change({ remove: ["a", "/a", "s/a"], deadRemove: ["a"] }));
      equal(await keys(other), ["a"]);
      equal(await deadKeys(other), ["a"]);
    }
  },

  async "a prefix selects the rows of one scope"({ store, twice }) {
    const all = ["ab.1", "a.2", "a.1", "a", "b.1", "a-1", "a.z"];
    for (const key of all) await store.write(change({ put: [segment(key)], deadPut: [deadLetter(key)] }));
    await twice(async () => {
      equal(await keys(store, { prefix: "a." }), ["a.1", "a.2", "a.z"]);
      equal(await keys(store, { prefix: "a.", events: 2 }), ["a.1", "a.2"]);
      equal(await keys(store, { prefix: "a.", skip: new Set(["a.1"]), events: 1 }), ["a.2"]);
      equal(await keys(store, { prefix: "c." }), []);
      equal(
        (await store.dead(2, "a.")).map(({ key }) => key),
        ["a.1", "a.2"],
      );
      equal(
        (await store.dead(Infinity, "a.")).map(({ key }) => key),
        ["a.1", "a.2", "a.z"],
      );
      const { events, dead } = await store.count("a.");
      equal({ events, dead }, { events: 3, dead: 3 });
      equal((await store.count()).events, all.length);
    });
  },

  async "two can have the same store open"({ store, beside }) {
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

  async "close keeps the content"({ store, reopen }) {
    void store.write(change({ put: [segment("a")] }));
    await store.write(change({ put: [segment("b")] }));
    await reopen();
    equal(await keys(store), ["a", "b"]);
  },

  async "a row that cannot be read is left out, told of once, and stays until it is removed"({
    store,
    reopen,
    damages,
    damage,
    problems,
  }) {
    for (const how of damages) {
      const text = "1".repeat(70_000);
      await store.write(
        change({
          put: [segment("a"), segment("b", ["1", "2"], { orderingKeys: [0, 4] }), segment("c", [text]), segment("d")],
          deadPut: [deadLetter("w"), deadLetter("x"), deadLetter("y")],
        }),
      );
      await damage(how, "segments", "b");
      await damage(how, "segments", "c");
      await damage(how, "deadLetters", "x");
      for (let round = 0; round < 2; round++) {
        await reopen();
        for (let times = 0; times < 2; times++) {
          equal(
            [await keys(store), await deadKeys(store)],
            [
              ["a", "d"],
              ["w", "y"],
            ],
            `what is left of ${how}`,
          );
          equal(await keys(store, { events: 1, skip: new Set(["a"]) }), ["d"]);
          equal(await deadKeys(store, 2), ["w", "y"]);
          const { events, dead } = await store.count();
          equal([events, dead], [2, 2], `the count of ${how}`);
        }
        equal(problems.length > 0 && problems.length <= 3, true, `whether it told of ${how} once`);
        for (const { code, message } of problems)
          equal([code, /12345|111/.test(message)], ["ERR_STORE", false], message);
      }
      const { segments, deadLetters } = await store.unreadable();
      equal([[...segments].sort(), deadLetters], [["b", "c"], ["x"]], `the rows with ${how}`);
      // A row with the same key replaces it.
      await store.write(change({ put: [segment("b")] }));
      equal(await keys(store), ["a", "b", "d"]);
      await store.write(change({ remove: ["a", "b", "c", "d"], deadRemove: ["w", "x", "y"] }));
      await reopen();
      equal(await store.unreadable(), { segments: [], deadLetters: [] });
      equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
    }
  },

  async "a store that somebody has emptied goes on"({ store, reopen, empty, isToldWhenEmptied, keepsRows, problems }) {
    if (!empty) return;
    await store.write(change({ put: [segment("a"), segment("b")], deadPut: [deadLetter("x")] }));
    for (let round = 0; round < 2; round++) {
      await empty("outbox");
      const left = keepsRows ? ["a", "b"] : [];
      if (!keepsRows) {
        equal([await keys(store), await deadKeys(store)], [left, []]);
        equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
      }
      await store.write(change({ put: [segment("c")], remove: ["no"], deadPut: [deadLetter("y")] }));
      equal(await keys(store), [...left, "c"]);
      const codes = problems
        .splice(0)
        .map(({ code, message }) => `${code} ${/deleted|removed|replaced|damaged|truncated/.test(message)}`);
      equal(codes, isToldWhenEmptied ? ["ERR_STORE true"] : [], "what it told");
      await store.write(change({ put: [segment("c", ["2"])] }));
      equal(problems.length, 0, "what it told later");
      await reopen();
      equal(await keys(store), [...left, "c"]);
      equal((await deadKeys(store)).includes("y"), true);
    }
    await store.write(change({ remove: ["a", "b", "c"], deadRemove: ["x", "y"] }));
    equal(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  },

  async "one owner at a time has the lease, and everyone can write"({ store, beside, hasLease }) {
    const other = await beside("outbox");
    if (!other || !hasLease) return;
    equal(await store.acquire("one", 60_000, "s"), true, "whether the first gets the lease");
    equal(await other.acquire("two", 60_000, "t"), true, "whether the second gets the lease of another scope");
    equal(await other.acquire("two", 60_000, "s"), false, "whether the second gets the lease too");
    equal(await store.acquire("one", 60_000, "s"), true, "whether the first can renew the lease");
    await other.write(change({ put: [segment("a")] }));
    equal(await store.acquire("one", 0, "s"), true);
    equal(await other.acquire("two", 60_000, "s"), true, "whether the second gets the released lease");
    await store.write(change({ remove: ["a"] }));
    equal(await keys(other), []);
    // Two concurrent requests: one gets it.
    await other.acquire("two", 0, "s");
    const both = await Promise.all([store.acquire("three", 60_000, "s"), other.acquire("four", 60_000, "s")]);
    equal(both.filter(Boolean).length, 1, "the number of owners");
  },

  async "a lease ends with its time, and when its clock was set back"({ store, beside, hasLease }) {
    const other = await beside("outbox");
    if (!other || !hasLease) return;
    const { now } = Date;
    const at = (shiftMs) => (Date.now = () => now() + shiftMs);
    try {
      equal(await store.acquire("one", 10_000, "s"), true);
      at(9000);
      equal(await other.acquire("two", 10_000, "s"), false, "whether the second gets the lease before it ends");
      at(11_000);
      equal(await other.acquire("two", 10_000, "s"), true, "whether the second gets a lease that is over");
      at(0);
      equal(
        await store.acquire("one", 10_000, "s"),
        true,
        "whether the first gets a lease from before the clock was set",
      );
      equal(await other.acquire("two", 20_000, "s"), false, "whether the second gets the new lease");
      equal(await store.acquire("one", 20_000, "s"), true, "whether the first can make its lease longer");
      equal(await other.acquire("two", 10_000, "s"), false, "whether a longer lease counts as one of another clock");
    } finally {
      Date.now = now;
    }
  },
};

/**
 * Runs all checks.
 *
 * @param makeStorage creates a new, empty storage for each check: `make(name)` creates a store on it; `maxBytes` is its
 * capacity; `isShared`: whether two stores can be open; `isVolatile`: whether a store loses its content when it is reopened;
 * `isNamed`: whether it has stores with other names; `damages`: functions `(name, table, key)` by what they do to a row
 * of a closed store, so that it cannot be read; `empty(name)` deletes all rows of an open store, which `isToldWhenEmptied`
 * says whether it tells of, and `keepsRows` whether it writes them again; `end` removes it
 * @returns {Promise<{ name: string, problem?: string }[]>}
 */
export async function checkContract(makeStorage) {
  const results = [];
  for (const [name, check] of Object.entries(CHECKS)) {
    let fixture;
    try {
      fixture = new Fixture(await makeStorage());
      await fixture.reopen();
      await check(fixture);
      results.push({ name });
    } catch (error) {
      results.push({ name, problem: String(error?.stack ?? error) });
    }
    await fixture?.end();
  }
  return results;
}

/** The argument of a check. */
class Fixture {
  /** Forwards to the store that is currently open. */
  store = {};
  maxBytes;
  hasLease;
  hasClaims;
  /** What the store that is currently open has told. */
  problems = [];
  /** The names of the ways to damage a row. */
  damages;
  #storage;
  #current;
  #others = [];

  constructor(storage) {
    this.#storage = storage;
    this.maxBytes = storage.maxBytes ?? Infinity;
    this.damages = Object.keys(storage.damages ?? {});
    for (const name of ["empty", "isToldWhenEmptied", "keepsRows"]) this[name] = storage[name];
    for (const method of ["write", "peek", "dead", "count", "acquire", "unreadable", "claim", "settle"])
      this.store[method] = (...args) => this.#current[method](...args);
    for (const method of ["reopen", "twice", "beside", "damage"]) this[method] = this[method].bind(this);
  }

  /** Closes the store, and opens another one on the same storage. */
  async reopen() {
    await this.#current?.close();
    if (this.#current && this.#storage.isVolatile) return;
    this.#current = await this.#open("outbox");
    this.hasLease = "acquire" in this.#current;
    this.hasClaims = "claim" in this.#current;
  }

  /** Closes the store, damages a row, and opens the store again. */
  async damage(how, table, key) {
    await this.#current.close();
    await this.#storage.damages[how]("outbox", table, key);
    this.#current = await this.#open("outbox");
  }

  /** Runs a check, reopens the store, and runs the check again. */
  async twice(check) {
    await check();
    await this.reopen();
    await check();
  }

  /** A second open store; undefined if the storage does not support that. */
  async beside(name) {
    const { isShared, isVolatile, isNamed = true } = this.#storage;
    if (isVolatile || (name === "outbox" ? !isShared : !isNamed)) return undefined;
    const other = await this.#open(name);
    this.#others.push(other);
    return other;
  }

  async end() {
    for (const store of [this.#current, ...this.#others]) await store?.close().catch(() => undefined);
    await this.#storage.end?.();
  }

  async #open(name) {
    const store = this.#storage.make(name);
    this.problems.length = 0;
    const { isShared } = await store.open(name, (problem) => this.problems.push(problem));
    equal(isShared, this.#storage.isShared ?? false, "isShared");
    return store;
  }
}
