// A file store whose disk is full, and whose file somebody removes, renames, replaces or truncates. The files are in
// memory, and time is virtual.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileStore } from "eventferry";
import { loadPlatform } from "../../dist/stores/file-system.js";
import { change, deadLetter, keys, rejects, segment } from "../stores/contract.mjs";
import { memoryFiles } from "../stores/memory-files.mjs";
import { event, listen, publisherTo, server } from "./outbox-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();
const { crc32 } = await loadPlatform();
const path = "/log";

function fixture(options) {
  const disk = memoryFiles({ crc32, ...options });
  const open = async () => {
    const store = fileStore(path, { platform: disk.platform });
    const problems = [];
    await store.open("x", ({ message }) => problems.push(message));
    return { store, problems };
  };
  const names = () => [...disk.files.keys(), ...disk.links.keys()].sort();
  return { ...disk, open, names };
}

test("a full disk leaves no lock file, and the next start works", async () => {
  const { open, disk, names } = fixture({ capacity: 0 });
  for (let attempt = 0; attempt < 20; attempt++) {
    const error = await rejects(open());
    assert.equal(error.cause.code, "ENOSPC");
    assert.deepEqual(names(), []);
  }
  disk.capacity = Infinity;
  const { store } = await open();
  await store.close();
  assert.deepEqual(names(), [path]);
});

test("the lock of a full disk is a lock: one process has it, and it is taken over when that has ended", async () => {
  const { open, disk, links, names, platform } = fixture();
  const { store } = await open();
  await store.write(change({ put: [segment("a")] }));
  await store.close();
  disk.capacity = 0;
  // Of another process, which runs and then has ended.
  links.set(`${path}.lock`, "77 -");
  assert.match((await rejects(open())).message, /in use by process 77$/);
  platform.process.kill = () => {
    throw Object.assign(new Error("no such process"), { code: "ESRCH" });
  };
  const next = await open();
  assert.equal(links.get(`${path}.lock`), "42 -");
  assert.deepEqual(await keys(next.store), ["a"]);
  await next.store.close();
  assert.deepEqual(names(), [path]);
});

test("on a full disk, removals are stored", async () => {
  const { open, disk, files } = fixture();
  const { store } = await open();
  // Two records have several segments, and one segment was replaced.
  await store.write(
    change({ put: [segment("a", ["1", "2"]), segment("b"), segment("c")], deadPut: [deadLetter("x")] }),
  );
  await store.write(change({ put: [segment("a", ["2"]), segment("d")], deadPut: [deadLetter("y")] }));
  const { length } = files.get(path).data;
  disk.capacity = length;
  await rejects(store.write(change({ put: [segment("e")] })));
  await rejects(store.write(change({ remove: ["b"], deadPut: [deadLetter("z")] })));
  await Promise.all([
    store.write(change({ remove: ["a", "c", "none"], deadRemove: ["x"] })),
    rejects(store.write(change({ put: [segment("e")] }))),
  ]);
  assert.deepEqual(await keys(store), ["b", "d"]);
  assert.equal(files.get(path).data.length, length);
  await store.close();
  const next = await open();
  assert.deepEqual(next.problems, []);
  assert.deepEqual(await keys(next.store), ["b", "d"]);
  assert.deepEqual(
    (await next.store.dead(9)).map(({ key }) => key),
    ["y"],
  );
  await next.store.write(change({ remove: ["b", "d"], deadRemove: ["y"] }));
  await next.store.write(change({ put: [segment("f")] }));
  await next.store.write(change({ remove: ["f"] }));
  await next.store.close();
  assert.equal(files.get(path).data.length, 20);
});

test("an outbox that has filled its disk can still send, also after a restart", async () => {
  const { platform, disk, files, names } = fixture({ capacity: 20_000 });
  const store = () => fileStore(path, { platform });
  const down = publisherTo(server(503), { outbox: { store: store() } });
  const session = down.session();
  const accepted = [];
  for (let id = 0; ; id++) {
    session.publish(event(id, { data: "x".repeat(500) }));
    const report = await session.flush({ deadlineMs: 200 });
    accepted.push(...report.accepted);
    if (report.aborted) break;
  }
  assert.ok(accepted.length > 20);
  await down.outbox.close();
  // Something else has taken the rest of the disk, so that there is not even space for a lock.
  disk.capacity = files.get(path).data.length;
  const to = server(202);
  const up = publisherTo(to, { outbox: { store: store() } });
  const { delivered, pending } = await up.outbox.drain({ deadlineMs: 20_000 });
  assert.deepEqual([delivered, pending], [accepted.length, 0]);
  await until(() => files.get(path).data.length === 20);
  const next = up.session();
  next.publish(event("new"));
  assert.deepEqual((await next.flush()).accepted, ["new"]);
  await up.outbox.drain();
  await up.outbox.close();
  assert.deepEqual(to.ids().flat(), [...accepted, "new"]);
  assert.deepEqual(names(), [path]);
});

test("a change that follows a larger one has none of its bytes", async () => {
  const { open } = fixture();
  const { store } = await open();
  const rows = [10, 700_000, 40, 3].map((length, at) =>
    segment(`k${at}`, [`"${String(at).repeat(length)}"`, "1"], { orderingKeys: at % 2 ? [5, 0] : undefined }),
  );
  for (const row of rows) await store.write(change({ put: [row], deadPut: [deadLetter(`x${row.key}`)] }));
  const newest = segment("k1", ["2"]);
  await store.write(change({ put: [newest], remove: ["k2"], deadRemove: ["xk0"] }));
  await store.close();
  const { store: next, problems } = await open();
  const all = await next.peek({ events: Infinity, bytes: Infinity, skip: new Set() });
  const shown = ({ key, body, sizes, orderingKeys, at }) => [
    key,
    new TextDecoder().decode(body),
    sizes,
    orderingKeys,
    at,
  ];
  assert.deepEqual(all.map(shown), [rows[0], newest, rows[3]].map(shown));
  assert.deepEqual([(await next.dead(9)).map(({ key }) => key), problems], [["xk1", "xk2", "xk3"], []]);
  await next.close();
});

const CHANGES = {
  removed: ({ files }) => files.delete(path),
  renamed: ({ files }) => {
    files.set(`${path}.1`, files.get(path));
    files.delete(path);
  },
  "truncated to nothing": ({ files }) => {
    files.get(path).data = new Uint8Array(0);
  },
  "truncated in a record": ({ files }) => {
    files.get(path).data = files.get(path).data.slice(0, 60);
  },
  "replaced by an empty file": ({ files }) => files.set(path, { data: new Uint8Array(0), mode: 0o600, ino: 1000 }),
  "removed with its lock": ({ files }) => files.clear(),
};
for (const [how, act] of Object.entries(CHANGES)) {
  test(`a file that is ${how} is noticed at the next change, and its content is written again`, async () => {
    const all = fixture();
    const { store, problems } = await all.open();
    await store.write(change({ put: [segment("a"), segment("b")], deadPut: [deadLetter("x")] }));
    await store.write(change({ put: [segment("c")] }));
    act(all);
    await store.write(change({ put: [segment("d")], remove: ["a"] }));
    assert.deepEqual(problems, [
      "the file /log was removed, renamed or changed while it was in use; its content was written again",
    ]);
    await store.write(change({ put: [segment("e")] }));
    assert.equal(problems.length, 1);
    // As after a crash: what counts is the file.
    const copy = memoryFiles({ crc32 });
    copy.files.set("/copy", { ...all.files.get(path), ino: 5 });
    const after = fileStore("/copy", { platform: copy.platform });
    await after.open("x");
    assert.deepEqual(await keys(after), ["b", "c", "d", "e"]);
    assert.equal((await after.dead(9)).length, 1);
    await after.close();
    await store.close();
    assert.equal(all.names().includes(`${path}.lock`), false);
  });

  test(`a file that is ${how} is noticed when nothing changes, and at the end`, async () => {
    const all = fixture();
    const { store, problems } = await all.open();
    await store.write(change({ put: [segment("a")] }));
    act(all);
    await sleep(6000);
    assert.equal(problems.length, 1);
    act(all);
    await store.close();
    assert.equal(problems.length, 2);
    const { store: next } = await all.open();
    assert.deepEqual(await keys(next), ["a"]);
    await next.close();
  });
}

for (const [when, isAfter] of Object.entries({
  "before the store cuts it": false,
  "after the store has cut it": true,
})) {
  test(`a file that is truncated to nothing while the outbox becomes empty, ${when}, gets its header again`, async () => {
    const all = fixture();
    const { open: openFile } = all.platform.fs;
    let isHarmed = false;
    const harm = () => {
      isHarmed = true;
      all.files.get(path).data = new Uint8Array(0);
    };
    all.platform.fs.open = async (...args) => {
      const handle = await openFile(...args);
      const { truncate } = handle;
      handle.truncate = async (length) => {
        if (!isHarmed && !isAfter) harm();
        await truncate(length);
        if (!isHarmed && isAfter) harm();
      };
      return handle;
    };
    const { store, problems } = await all.open();
    await store.write(change({ put: [segment("a")] }));
    await store.write(change({ remove: ["a"] }));
    await until(() => problems.length > 0);
    assert.ok(isHarmed);
    assert.match(problems[0], /was removed, renamed or changed while it was in use; its content was written again$/);
    await store.write(change({ put: [segment("b")] }));
    // As after a crash: what counts is the file.
    const copy = memoryFiles({ crc32 });
    copy.files.set("/copy", { ...all.files.get(path), ino: 5 });
    const after = fileStore("/copy", { platform: copy.platform });
    const told = [];
    await after.open("x", ({ message }) => told.push(message));
    assert.deepEqual([await keys(after), told], [["b"], []]);
    await after.close();
    await store.close();
  });
}

test("what somebody else has put in the place of the file is kept", async () => {
  const { open, files } = fixture();
  const { store, problems } = await open();
  await store.write(change({ put: [segment("a")] }));
  files.set(path, { data: new TextEncoder().encode("mine"), mode: 0o600, ino: 1000 });
  await store.write(change({ put: [segment("b")] }));
  const kept = () => new TextDecoder().decode(files.get(`${path}.damaged`).data);
  assert.equal(kept(), "mine");
  const { data } = files.get(path);
  files.get(path).data = new Uint8Array([...data, ...new TextEncoder().encode("!")]);
  await sleep(6000);
  assert.equal(kept(), "mine!");
  assert.equal(problems.length, 2);
  await store.close();
  const next = await open();
  assert.deepEqual([await keys(next.store), next.problems], [["a", "b"], []]);
  await next.store.close();
});

test("a file that another process has put there is not replaced", async () => {
  const { open, files } = fixture();
  const { store, problems } = await open();
  await store.write(change({ put: [segment("a")] }));
  files.set(path, { data: new TextEncoder().encode("theirs"), mode: 0o600, ino: 1000 });
  files.set(`${path}.lock`, { data: new TextEncoder().encode("77 -\n"), mode: 0o600, ino: 1001 });
  assert.match((await rejects(store.write(change({ put: [segment("b")] })))).message, /in use by process 77/);
  await sleep(30_000);
  assert.deepEqual(problems.length, 1, "the failed check is told once");
  files.delete(`${path}.lock`);
  await sleep(6000);
  assert.match(problems.at(-1), /written again$/);
  await store.close();
  const next = await open();
  assert.deepEqual(await keys(next.store), ["a", "b"]);
  await next.store.close();
});

test("the outbox tells of damage, and delivers the rest", async () => {
  const { platform, files } = fixture();
  const store = () => fileStore(path, { platform });
  const down = publisherTo(server(503), { outbox: { store: store() } });
  for (const id of [1, 2, 3]) {
    const session = down.session();
    session.publish(event(id));
    await session.flush();
  }
  await down.outbox.close();
  files.get(path).data[40] ^= 1;
  const to = server(202);
  const up = publisherTo(to, { outbox: { store: store() } });
  const told = listen(up.outbox, "degraded");
  await up.outbox.drain();
  assert.deepEqual(to.ids().flat(), ["2", "3"]);
  assert.deepEqual([told.length, told[0][1].error.code], [1, "ERR_STORE"]);
  await up.outbox.close();
});
