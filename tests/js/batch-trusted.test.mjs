// Bytes that are trusted are not copied. Whoever changes them gets other events, and harms nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventBatch, Filter, isFerryError } from "eventferry/cloudevents";

const filter = Filter.sql("type = 't1' AND subject LIKE 'é%'");
const event = (n) =>
  `{"specversion":"1.0","id":"${n}","source":"/s","type":"t${n % 3}","subject":"é${n}","data":{"a":[{"b":"}]${n}"}]}}`;
const bytesOf = (count) => new TextEncoder().encode(`[${Array.from({ length: count }, (_, n) => event(n)).join(",")}]`);
const textOf = (batch) => new TextDecoder().decode(batch.toBytes());
const expected = `[${[1, 4, 7].map(event).join(",")}]`;

test("bytes that are checked in full are copied, trusted bytes are not", () => {
  for (const [check, isCopied] of [
    [undefined, true],
    ["full", true],
    ["structure", false],
  ]) {
    const bytes = bytesOf(9);
    const batch = EventBatch.parse(bytes, { check });
    const some = batch.filter(filter);
    assert.equal(textOf(some), expected);
    bytes.fill(0x20);
    assert.equal(textOf(some) === expected, isCopied, check);
    assert.equal(textOf(batch).includes("specversion"), isCopied, check);
  }
});

test("a batch that is checked in full keeps its bytes when another one is parsed", () => {
  const bytes = bytesOf(9);
  const batch = EventBatch.parse(new Uint8Array([0xef, 0xbb, 0xbf, ...bytes]));
  EventBatch.parse(bytesOf(30));
  assert.deepEqual(batch.toBytes(), bytes);
  assert.equal(textOf(batch.filter(filter)), expected);
});

test("an event that was handed out keeps its text when trusted bytes change", () => {
  const bytes = bytesOf(9);
  const found = EventBatch.parse(bytes, { check: "structure" }).at(4);
  bytes.fill(0);
  assert.deepEqual([found.id, found.data.a[0].b, found.toString()], ["4", "}]4", event(4)]);
});

test("trusted bytes that change do no harm to later batches, whatever they become", () => {
  let seed = 1;
  const random = (below) => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed % below;
  };
  for (let round = 0; round < 300; round++) {
    const bytes = bytesOf(9);
    const batch = EventBatch.parse(bytes, { check: "structure" });
    const some = batch.filter(filter);
    for (let change = random(40); change >= 0; change--) bytes[random(bytes.length)] = random(256);
    // Another batch takes the place of the first one in the memory of the engine.
    if (round % 2) EventBatch.parse(bytesOf(2));
    for (const use of [
      () => batch.filter(filter).toBytes(),
      () => some.filter(filter).toBytes("ndjson"),
      () => [...batch].map(({ id, subject }) => [id, subject]),
      () => batch.filter((one) => one.type === "t1").length,
      () => some.at(0).data,
    ])
      try {
        use();
      } catch (error) {
        const isKnown = isFerryError(error) ? error.code !== "ERR_INTERNAL" : error instanceof SyntaxError;
        assert.ok(isKnown, error);
      }
    assert.equal(textOf(EventBatch.parse(bytesOf(9), { check: "structure" }).filter(filter)), expected);
  }
});

test("trusted bytes in shared memory, or in memory that can be resized, are copied", () => {
  const bytes = bytesOf(9);
  const buffers = [new SharedArrayBuffer(bytes.length)];
  if ("resizable" in ArrayBuffer.prototype) buffers.push(new ArrayBuffer(bytes.length, { maxByteLength: 1e5 }));
  for (const buffer of buffers) {
    const view = new Uint8Array(buffer);
    view.set(bytes);
    const some = EventBatch.parse(view, { check: "structure" }).filter(filter);
    view.fill(0);
    assert.deepEqual([some.at(0).id, textOf(some)], ["1", expected]);
  }
});

test("trusted bytes that were transferred to somebody else are an error of the platform", () => {
  const bytes = bytesOf(9);
  const batch = EventBatch.parse(bytes, { check: "structure" });
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  assert.throws(() => batch.toBytes(), TypeError);
  assert.equal(EventBatch.parse(bytesOf(2), { check: "structure" }).length, 2);
});
