// When a file store flushes and checks its file: with every change, except that the removal of delivered events can wait.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileStore } from "eventferry";
import { loadPlatform } from "../../dist/stores/file-system.js";
import { change, deadLetter, keys, segment } from "../stores/contract.mjs";
import { memoryFiles } from "../stores/memory-files.mjs";
import { event, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();
const { crc32 } = await loadPlatform();
const path = "/log";
const delivered = (...remove) => ({ ...change({ remove }), isDelivered: true });

/** A store, and the names of the calls that it makes for its file. */
async function fixture(options) {
  const { platform, files } = memoryFiles({ crc32 });
  const calls = [];
  const { open, stat } = platform.fs;
  platform.fs.stat = (name, ...rest) => {
    if (name === path) calls.push("stat");
    return stat(name, ...rest);
  };
  platform.fs.open = async (name, ...rest) => {
    const handle = await open(name, ...rest);
    if (name !== path) return handle;
    for (const call of ["read", "write", "datasync", "truncate"]) {
      const original = handle[call];
      handle[call] = (...args) => {
        calls.push(call);
        return original(...args);
      };
    }
    return handle;
  };
  const store = fileStore(path, { platform, ...options });
  const problems = [];
  await store.open("x", ({ message }) => problems.push(message));
  const callsOf = async (work) => {
    calls.length = 0;
    await work();
    return calls.join(" ");
  };
  return { store, files, problems, callsOf };
}

/** What the next process finds in these bytes. */
async function found(data) {
  const { platform, files } = memoryFiles({ crc32 });
  files.set("/copy", { data: data.slice(), mode: 0o600, ino: 1000 });
  const store = fileStore("/copy", { platform });
  const problems = [];
  await store.open("x", ({ message }) => problems.push(message));
  const all = [await keys(store), (await store.dead(9)).map(({ key }) => key), problems];
  await store.close();
  return all;
}

test("the removal of delivered events is one write, and the next change flushes it", async () => {
  const { store, files, callsOf } = await fixture();
  const put = (key) => () => store.write(change({ put: [segment(key)] }));
  assert.equal(await callsOf(put("a")), "write stat read datasync");
  await put("b")();
  assert.equal(await callsOf(() => store.write(delivered("a"))), "write");
  assert.deepEqual(await found(files.get(path).data), [["b"], [], []], "after a crash of the process");
  assert.deepEqual(await found(files.get(path).flushed), [["a", "b"], [], []], "after a loss of power");
  assert.equal(await callsOf(put("c")), "write stat read datasync");
  assert.deepEqual(await found(files.get(path).flushed), [["b", "c"], [], []]);
  await store.write(delivered("b"));
  assert.equal(await callsOf(() => store.close()), "stat read datasync");
  assert.deepEqual(await found(files.get(path).flushed), [["c"], [], []]);
});

test("other removals are flushed, also together with those of delivered events", async () => {
  const { store, files } = await fixture();
  await store.write(change({ put: ["a", "b", "c", "d"].map((key) => segment(key)), deadPut: [deadLetter("x")] }));
  await store.write(change({ remove: ["a"] }));
  assert.deepEqual((await found(files.get(path).flushed))[0], ["b", "c", "d"]);
  await Promise.all([store.write(delivered("b")), store.write(change({ deadRemove: ["x"] }))]);
  assert.deepEqual(await found(files.get(path).flushed), [["c", "d"], [], []]);
  await store.close();
});

test("when the last event is delivered and the store is closed, a loss of power brings nothing back", async () => {
  const { store, files } = await fixture();
  await store.write(change({ put: [segment("a")] }));
  await store.write(delivered("a"));
  await store.close();
  assert.deepEqual(await found(files.get(path).flushed), [[], [], []]);
});

test("a store that survives only crashes of the process flushes nothing", async () => {
  const { store, callsOf } = await fixture({ durability: "os" });
  const calls = await callsOf(async () => {
    await store.write(change({ put: [segment("a"), segment("b")] }));
    await store.write(delivered("a"));
    await store.close();
  });
  assert.equal(calls, "write stat read write stat read");
});

const TRUNCATIONS = {
  "before a removal": { before: 1, length: 20 },
  "between two removals": { before: 2, length: 20 },
  "between two removals, to the end of the last change": { before: 2, length: undefined },
  "after two removals": { before: 3, length: 20 },
};
for (const [when, { before, length }] of Object.entries(TRUNCATIONS)) {
  test(`a file that is truncated ${when} of delivered events is noticed at the next change`, async () => {
    const { store, files, problems } = await fixture();
    await store.write(change({ put: ["a", "b", "c"].map((key) => segment(key)) }));
    const end = length ?? files.get(path).data.length;
    const truncate = () => {
      files.get(path).data = files.get(path).data.slice(0, end);
    };
    if (before === 1) truncate();
    await store.write(delivered("a"));
    if (before === 2) truncate();
    await store.write(delivered("b"));
    if (before === 3) truncate();
    assert.deepEqual(problems, []);
    await store.write(change({ put: [segment("d")] }));
    assert.equal(problems.length, 1);
    assert.deepEqual(await found(files.get(path).data), [["c", "d"], [], []]);
    await store.write(change({ put: [segment("e")] }));
    assert.equal(problems.length, 1);
    await store.close();
  });
}

test("a file is checked and flushed within many removals of delivered events", async () => {
  const { store, files, problems, callsOf } = await fixture();
  const names = Array.from({ length: 1000 }, (_, at) => `key-${1000 + at}`);
  await store.write(change({ put: names.map((key) => segment(key)) }));
  const calls = await callsOf(async () => {
    for (const key of names.slice(0, 500)) await store.write(delivered(key));
  });
  const checks = calls.split(" ").filter((call) => call === "stat").length;
  assert.ok(checks >= 2 && checks <= 10, `${checks} checks`);
  files.delete(path);
  for (const key of names.slice(500, 900)) await store.write(delivered(key));
  assert.equal(problems.length, 1);
  await store.close();
  assert.deepEqual((await found(files.get(path).data))[0], names.slice(900));
});

test("a loss of power at any time loses no event that was accepted and not delivered", async () => {
  let seed = 7;
  const below = (limit) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  for (let round = 0; round < 20; round++) {
    const { store, files } = await fixture();
    const [pending, gone, purged] = [new Set(), new Set(), new Set()];
    for (let at = 0; at < 40; at++) {
      const key = `k${100 + at}`;
      const [oldest] = pending;
      const kind = oldest === undefined ? 0 : below(4);
      if (kind < 2) {
        await store.write(change({ put: [segment(key)] }));
        pending.add(key);
      } else {
        await store.write(kind === 2 ? delivered(oldest) : change({ remove: [oldest] }));
        pending.delete(oldest);
        (kind === 2 ? gone : purged).add(oldest);
      }
      const [there, , problems] = await found(files.get(path).flushed);
      assert.deepEqual(problems, []);
      for (const one of pending) assert.ok(there.includes(one), `${one} is lost`);
      for (const one of there) assert.ok(pending.has(one) || gone.has(one), `${one} was removed`);
    }
    await store.close();
    assert.deepEqual((await found(files.get(path).flushed))[0], [...pending]);
  }
});

test("the outbox says which removals are those of delivered events: purged and refused ones must not come back", async () => {
  const changes = [];
  const outboxOf = (to) => {
    const store = storeWith();
    const { write } = store;
    store.write = (one) => {
      changes.push([one.put.length, one.remove.length, one.deadPut.length, one.isDelivered === true]);
      return write.call(store, one);
    };
    return publisherTo(to, { outbox: { store } });
  };
  const publish = async (publisher) => {
    const session = publisher.session();
    session.publish(event(1));
    await session.flush();
  };
  const accepting = outboxOf(server(202));
  await publish(accepting);
  await accepting.outbox.drain();
  await accepting.outbox.close();
  assert.deepEqual(changes.splice(0), [
    [1, 0, 0, false],
    [0, 1, 0, true],
  ]);
  const refusing = outboxOf(server(400));
  await publish(refusing);
  await refusing.outbox.drain();
  assert.deepEqual(changes.splice(0), [
    [1, 0, 0, false],
    [0, 1, 1, false],
  ]);
  const down = outboxOf(server(503));
  await publish(down);
  await down.outbox.purge();
  assert.deepEqual(changes.splice(0), [
    [1, 0, 0, false],
    [0, 1, 0, false],
  ]);
  for (const { outbox } of [refusing, down]) await outbox.close();
});
