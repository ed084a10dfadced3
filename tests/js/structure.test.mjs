// Text that was checked before is skipped 64 bytes at a time. What is found in it, and where it ends, does not depend on how
// its strings, brackets and escapes lie across these 64 bytes.
import assert from "node:assert/strict";
import test from "node:test";
import { CloudEvent, EventBatch, Filter } from "eventferry/cloudevents";

// From now on the module of the filters scans batches and finds values.
Filter.sql("TRUE");

let seed = 64;
const below = (limit) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * limit);
};
const PIECES = [
  '"',
  "\\",
  "\\\\",
  "{",
  "}",
  "[",
  "]",
  "é",
  "日",
  "😀",
  "a",
  "word ",
  ",",
  ":",
  "\n",
  "x".repeat(61),
  "\\u0022",
];
const text = () => Array.from({ length: below(12) }, () => PIECES[below(PIECES.length)]).join("");

function value(depth) {
  switch (below(depth > 0 ? 5 : 3)) {
    case 0:
      return below(1e6) - 5e5;
    case 1:
    case 2:
      return text();
    case 3:
      return Array.from({ length: below(5) }, () => value(depth - 1));
    default:
      return Object.fromEntries(Array.from({ length: below(5) }, () => [text(), value(depth - 1)]));
  }
}

const eventOf = (id, data) => ({ specversion: "1.0", id: String(id), source: "/s", type: "t", data, ext: "é" });

test("a batch has the same events, whether all of it is checked or its structure alone", () => {
  for (let round = 0; round < 500; round++) {
    const events = Array.from({ length: 1 + below(4) }, (_, at) => eventOf(at, [value(4)]));
    const json = JSON.stringify(events, undefined, below(3));
    for (const input of [json, new TextEncoder().encode(json)]) {
      const batch = EventBatch.parse(input, { check: "structure" });
      assert.deepEqual(
        Array.from(batch, ({ id, data, extensions }) => [id, data, extensions.ext]),
        events.map(({ id, data }) => [id, data, "é"]),
      );
      assert.deepEqual(batch.toBytes(), EventBatch.parse(input).toBytes());
    }
  }
});

test("a value is found by its pointer behind all kinds of others", () => {
  for (let round = 0; round < 1500; round++) {
    const [before, wanted, after] = [value(4), value(3), value(4)];
    const json = JSON.stringify(eventOf(1, { before, list: [before, wanted, after], after }), undefined, below(3));
    assert.deepEqual(CloudEvent.fromJSON(json).at("/list/1"), wanted, json);
    assert.deepEqual(CloudEvent.fromJSON(json).at("/after"), after, json);
  }
});

test("text that is not JSON is rejected, however its brackets are", () => {
  const data = JSON.stringify({ a: ["]", { b: "}".repeat(70) }], c: "[".repeat(70) });
  const batch = `[${JSON.stringify(eventOf(1, null)).replace("null", data)}]`;
  assert.equal(EventBatch.parse(batch, { check: "structure" }).length, 1);
  for (let end = 0; end < batch.length; end++)
    assert.throws(() => EventBatch.parse(batch.slice(0, end), { check: "structure" }), { name: "FerryError" });
});
