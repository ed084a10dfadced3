// Damaged files of the file store, and files of other versions. The files are in memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FerryError, fileStore } from "eventferry";
import { loadPlatform } from "../../dist/stores/file-system.js";
import { flipBits } from "../stores/bit-flips.mjs";
import { change, deadKeys, deadLetter, keys, segment } from "../stores/contract.mjs";
import { memoryFiles } from "../stores/memory-files.mjs";

const { crc32 } = await loadPlatform();
const HEADER = 20;
const RECORD_HEAD = 8;
const path = "/log";

/** A file in memory. `open` returns the store and the problems that it tells; `write` makes one record for each change. */
function fixture(options) {
  const disk = memoryFiles({ crc32, ...options });
  const open = async () => {
    const store = fileStore(path, { platform: disk.platform });
    const problems = [];
    await store.open("x", (problem) => problems.push(problem));
    return { store, problems };
  };
  const write = async (...changes) => {
    const { store } = await open();
    const ends = [HEADER];
    for (const one of changes) {
      await store.write(one);
      ends.push(disk.files.get(path).data.length);
    }
    await store.close();
    return ends;
  };
  const read = async () => {
    const { store, problems } = await open();
    const found = {
      keys: await keys(store),
      dead: await deadKeys(store),
      problems: problems.map(({ message }) => message),
    };
    await store.close();
    return found;
  };
  const file = () => disk.files.get(path);
  return { ...disk, open, write, read, file };
}

const puts = (...names) => names.map((key) => change({ put: [segment(key)] }));

test("a flipped bit costs one event at most, and is told", async () => {
  // Records of 64 bytes: a flipped bit of a length can make one record look like two.
  const { flips, lossy } = await flipBits({ textBytes: 19, step: 89 });
  assert.ok(flips > 500 && lossy > 500, `${flips} flips, ${lossy} lost an event`);
});

test("a damaged length does not delete the records behind it", async () => {
  for (const bit of [0, 3, 6, 7, 15, 23, 31]) {
    const { write, read, file, files } = fixture();
    const ends = await write(...puts("a", "b", "c", "d", "e"));
    file().data[ends[1] + (bit >> 3)] ^= 1 << (bit & 7);
    const damaged = file().data.slice(ends[1], ends[2]);
    const { keys, problems } = await read();
    assert.deepEqual(keys, ["a", "c", "d", "e"]);
    assert.match(
      problems.join(),
      /^the file \/log is damaged: \d+ bytes cannot be read, and were moved to \/log\.damaged/,
    );
    assert.deepEqual(files.get(`${path}.damaged`).data, damaged);
    assert.equal(files.get(`${path}.damaged`).mode, 0o600);
    assert.deepEqual((await read()).problems, []);
  }
});

test("a record that is found behind damaged bytes adds events and removes none", async () => {
  const { write, read, file } = fixture();
  const ends = await write(
    change({ put: [segment("a"), segment("b", ["1", "2", "3"])], deadPut: [deadLetter("x")] }),
    change({ put: [segment("c")] }),
    change({ remove: ["a"], deadRemove: ["x"] }),
    change({ put: [segment("b", ["3"]), segment("d")], deadPut: [deadLetter("y")] }),
  );
  file().data[ends[1]] ^= 64;
  const { keys, dead, problems } = await read();
  assert.deepEqual(keys, ["a", "b", "d"]);
  assert.deepEqual(dead, ["x", "y"]);
  assert.match(problems.join(), /events may be sent again/);
});

test("behind a damaged record with an intact length, removals count", async () => {
  const { write, read, file } = fixture();
  const ends = await write(...puts("a", "b"), change({ remove: ["a"] }), ...puts("c"));
  file().data[ends[1] + 12] ^= 1;
  assert.deepEqual((await read()).keys, ["c"]);
});

test("a sector of zeros in the middle costs what was in it", async () => {
  const { write, read, file } = fixture();
  const names = Array.from({ length: 60 }, (_, n) => `k${100 + n}`);
  const ends = await write(...puts(...names));
  file().data.fill(0, ends[20] + 5, ends[30] - 3);
  const { keys, problems } = await read();
  assert.deepEqual(
    keys,
    names.filter((_, n) => n < 20 || n >= 30),
  );
  assert.equal(problems.length, 1);
});

test("bytes of an event never pass as a record", async () => {
  const source = fixture();
  const ends = await source.write(...puts("forged"));
  const record = source.file().data.slice(ends[0], ends[1]);
  const { open, read, file, files } = fixture({ salt: 99 });
  const { store } = await open();
  // The record as another file has it, and with the checksum that any program would compute.
  const plain = record.slice();
  new DataView(plain.buffer).setUint32(4, crc32(plain.subarray(RECORD_HEAD)), true);
  const body = new Uint8Array([...record, ...plain]);
  await store.write(change({ put: [{ key: "a", body, sizes: Uint32Array.of(body.length), at: 1 }] }));
  await store.write(change({ put: [segment("b")] }));
  await store.close();
  file().data[HEADER] ^= 1;
  assert.deepEqual((await read()).keys, ["b"]);
  assert.ok(files.get(`${path}.damaged`).data.length > body.length);
});

test("many bytes that look like records do not stop the start", async () => {
  const { open, read, file } = fixture();
  const { store } = await open();
  // Each position could be the start of a record that reaches to the end.
  const body = new Uint8Array(2_000_000);
  const view = new DataView(body.buffer);
  for (let at = 0; at + 16 <= body.length; at += 16) {
    view.setUint32(at, Math.max(0, body.length - at - 8), true);
    view.setUint32(at + 8, 2, true);
    view.setUint32(at + 12, Math.max(0, body.length - at - 16), true);
  }
  await store.write(change({ put: [{ key: "a", body, sizes: Uint32Array.of(body.length), at: 1 }] }));
  await store.close();
  file().data[HEADER + 1] ^= 1;
  const start = performance.now();
  assert.deepEqual((await read()).keys, []);
  assert.ok(performance.now() - start < 10_000);
});

test("an incomplete change at the end is dropped without a word, a damaged one is told", async () => {
  const { write, read, file, files } = fixture();
  const ends = await write(...puts("a", "b"));
  const whole = file().data;
  for (const length of [ends[2] - 1, ends[2] - 20, ends[1] + 9, ends[1] + 3]) {
    file().data = whole.slice(0, length);
    assert.deepEqual(await read(), { keys: ["a"], dead: [], problems: [] });
    assert.equal(file().data.length, ends[1]);
  }
  assert.equal(files.has(`${path}.damaged`), false);
  file().data = whole.slice();
  file().data[ends[1] + 1] ^= 1;
  assert.equal((await read()).problems.length, 1);
});

test("the damaged bytes stay in the file while they cannot be kept elsewhere", async () => {
  const { write, read, open, file, disk } = fixture();
  const ends = await write(...puts("a", "b", "c"));
  file().data[ends[1] + 9] ^= 1;
  const damaged = file().data.slice();
  disk.capacity = damaged.length;
  const { keys, problems } = await read();
  assert.deepEqual(keys, ["a", "c"]);
  assert.match(problems.join(), /they stay in the file/);
  assert.deepEqual(file().data, damaged);
  disk.capacity = Infinity;
  disk.files.set(`${path}.damaged`, { data: new Uint8Array(64 * 1024 * 1024), mode: 0o600, ino: 99 });
  const { store } = await open();
  await store.write(change({ put: [segment("d")] }));
  await store.close();
  assert.deepEqual((await read()).keys, ["a", "c", "d"]);
});

test("a damaged header is repaired if the records are intact", async () => {
  const kinds = [
    ["one byte", (data) => data.set([0xff], 3)],
    ["the magic", (data) => data.fill(0, 0, 8)],
    ["two salts", (data) => data.fill(7, 8, 12).fill(9, 12, 16)],
    ["the magic and one salt", (data) => data.fill(0, 0, 12)],
  ];
  for (const [name, damage] of kinds) {
    const { write, read, file } = fixture();
    await write(...puts("a", "b"));
    damage(file().data);
    const { keys, problems } = await read();
    assert.deepEqual([keys, problems], [["a", "b"], ["the file /log had a damaged header"]], name);
    assert.deepEqual((await read()).problems, []);
  }
});

test("a file whose records do not fit its header is refused and not touched", async () => {
  const { write, open, file } = fixture();
  await write(...puts("a", "b"));
  file().data.fill(0, 0, HEADER);
  const before = file().data.slice();
  await assert.rejects(open, { code: "ERR_STORE", message: /exists and is not an outbox/ });
  assert.deepEqual(file().data, before);
});

/** A file as version 0.1 wrote it: another header, and checksums without a salt. */
function firstForm(records) {
  const view = new DataView(records.buffer, records.byteOffset);
  for (let at = HEADER; at < records.length; ) {
    const length = view.getUint32(at, true);
    view.setUint32(at + 4, crc32(records.subarray(at + RECORD_HEAD, at + RECORD_HEAD + length)), true);
    at += RECORD_HEAD + length;
  }
  records.set(new TextEncoder().encode("eventferry outbox 1\n"));
  return records;
}

test("a file of the first form is read, and written again with a salt", async () => {
  const { write, read, file } = fixture();
  const ends = await write(...puts("a", "b", "c"), change({ remove: ["a"], deadPut: [deadLetter("x")] }));
  const first = firstForm(file().data.slice());
  file().data = first.slice();
  file().mode = 0o644;
  assert.deepEqual(await read(), { keys: ["b", "c"], dead: ["x"], problems: [] });
  assert.equal(file().mode, 0o600);
  assert.notDeepEqual(file().data.slice(0, HEADER), first.slice(0, HEADER));
  // Damage in it costs no more than in others.
  file().data = first.slice();
  file().data[ends[1] + 1] ^= 2;
  const { keys, problems } = await read();
  assert.deepEqual([keys, problems.length], [["a", "c"], 1]);
  file().data = first.slice();
  file().data[4] ^= 2;
  assert.deepEqual((await read()).keys, ["b", "c"]);
  for (const length of [0, 3, 19, 20]) {
    file().data = first.slice(0, length);
    assert.deepEqual(await read(), { keys: [], dead: [], problems: [] });
  }
});

test("rows of a newer version stay in the file, and do not stop the others", async () => {
  const { write, read, open, file } = fixture();
  const ends = await write(...puts("a", "b", "c"), change({ deadPut: [deadLetter("x"), deadLetter("y")] }));
  // Flags that this version does not know, in the segment b; and in the dead letter x a text that is no JSON.
  const { data } = file();
  const salt = new DataView(data.buffer, data.byteOffset).getUint32(8, true);
  const headOfB = ends[1] + RECORD_HEAD + 8 + 1;
  data[headOfB + 17] = 1;
  data[data.indexOf(0x7b, ends[3])] = 0x5b;
  for (const [start, end] of [
    [ends[1], ends[2]],
    [ends[3], ends[4]],
  ])
    new DataView(data.buffer, data.byteOffset).setUint32(
      start + 4,
      crc32(data.subarray(start + RECORD_HEAD, end), salt),
      true,
    );
  const bytesOfB = data.slice(headOfB, ends[2]);
  const found = await read();
  assert.deepEqual(
    [found.keys, found.dead, found.problems],
    [["a", "c"], ["y"], ["the file /log has 2 rows that this version cannot read"]],
  );
  // They survive a rewrite of the file, and the removal of everything else.
  let { store } = await open();
  assert.deepEqual(await store.unreadable(), { segments: ["b"], deadLetters: ["x"] });
  const large = "1".repeat(300_000);
  for (let n = 0; n < 10; n++) await store.write(change({ put: [segment("c", [large])] }));
  await store.write(change({ remove: ["a", "c"], deadRemove: ["y"] }));
  await store.close();
  assert.ok(Buffer.from(file().data).includes(Buffer.from(bytesOfB)));
  ({ store } = await open());
  assert.deepEqual(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
  await store.write(change({ remove: ["b"], deadRemove: ["x"] }));
  assert.equal(file().data.length, HEADER);
  await store.close();
});

test("a store beside another store's file is refused", () => {
  for (const name of ["a.lock", "a.lock.lock", "a.new", "a.damaged", "a.lock.0badcafe", "A.LOCK", "a.seen"])
    assert.throws(
      () => fileStore(name),
      (error) =>
        error instanceof FerryError && error.code === "ERR_INVALID_ARGUMENT" && /^path must be/.test(error.message),
    );
  for (const wrong of ["", undefined, 7, {}]) assert.throws(() => fileStore(wrong), { code: "ERR_INVALID_ARGUMENT" });
  for (const name of ["a.locked", "lock", "new", "a.new.1"]) fileStore(name);
});
