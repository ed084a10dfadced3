// Lines that are not valid events are left out in one scan; the others are as if each were decoded alone.
import assert from "node:assert/strict";
import test from "node:test";
import { CloudEvent, EventBatch, Filter, isFerryError } from "eventferry/cloudevents";

const event = (id, more = {}) =>
  JSON.stringify({ specversion: "1.0", id: String(id), source: "/s", type: "t", ...more });
const skip = { format: "ndjson", onInvalid: "skip" };

/** What `parse` must find, line by line. */
function expected(body) {
  const [ids, rejected] = [[], []];
  const lines = body.split("\n").filter((line) => /\S/.test(line));
  lines.forEach((line, index) => {
    try {
      ids.push(CloudEvent.fromJSON(line).id);
    } catch (error) {
      if (!isFerryError(error)) throw error;
      rejected.push({ index, code: error.code, text: line.trim() });
    }
  });
  return { ids, rejected };
}

function found(batch) {
  const rejected = batch.rejected.map(({ index, error, text }) => ({ index, code: error.code, text }));
  return { ids: Array.from(batch, ({ id }) => id), rejected };
}

function check(body) {
  const want = expected(body);
  for (const input of [body, new TextEncoder().encode(body)]) {
    const batch = EventBatch.parse(input, skip);
    // Before `rejected` is read, and after that.
    assert.equal(batch.length, want.ids.length, JSON.stringify(body));
    assert.deepEqual(found(batch), want, JSON.stringify(body));
    const told = [];
    EventBatch.parse(input, { ...skip, onInvalid: ({ code }, text, index) => told.push({ index, code, text }) });
    assert.deepEqual(told, want.rejected);
  }
  return want;
}

const BODIES = [
  "",
  "\n\n",
  "x",
  `${event(1)}\n${event(2)}`,
  `\r\n ${event(1)} \r\n\r\n[]\r\n\t${event(2)}\r\n`,
  // An event that ends beyond its line.
  `{"a":[\n${event(1)}\n]}\n${event(2)}\n`,
  `x\n${event(1, { data: [1] }).slice(0, -2)}\n]}\n${event(2)}`,
  // Characters of one to four bytes, before and in invalid lines.
  `${event("é日😀")}\n{"é":"日😀\n${event("ü")}\nnull\n${event("😀", { data: "é" })}`,
  `${event(1)}${event(2)}\n${event(3)}`,
  `${event(1)} \u00a0\n${event(2)}`,
  "\u0000\n".repeat(3) + event(1),
  `${'{"a":['.repeat(5)}\n`.repeat(300) + event(1),
];

test("the lines that are valid alone are in the batch, and the others are rejected with the same errors", () => {
  for (const body of BODIES) check(body);
});

test("the same with random faults", checkRandomFaults);

function checkRandomFaults() {
  let seed = 7;
  const below = (limit) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  const special = [...'"\\{}[],:\n\n 1é😀\u0000'];
  let [valid, invalid] = [0, 0];
  for (let round = 0; round < 400; round++) {
    let body = Array.from({ length: 1 + below(6) }, (_, at) => event(at, { data: { a: [1, "é{"] }, ext: "x" })).join(
      "\n",
    );
    for (let faults = below(4); faults > 0; faults--) {
      const chars = [...body];
      chars.splice(below(chars.length), below(3), special[below(special.length)]);
      body = chars.join("");
    }
    // In a body with a fault no event has more than one line.
    body = `x\n${body}`;
    const { ids, rejected } = check(body);
    valid += ids.length;
    invalid += rejected.length;
  }
  assert.ok(valid > 200 && invalid > 200, `${valid} and ${invalid}`);
}

test("an event over many lines is one event in a body without faults", () => {
  const pretty = JSON.stringify(JSON.parse(event(1)), undefined, 2);
  assert.deepEqual(found(EventBatch.parse(`${pretty}\n${event(2)}`, skip)), { ids: ["1", "2"], rejected: [] });
});

test("a line with a byte order mark is an event", () => {
  const bytes = new TextEncoder().encode(`${event(1)}\nx\n\ufeff${event(2)}\n`);
  const { ids, rejected } = found(EventBatch.parse(bytes, skip));
  assert.deepEqual(ids, ["1", "2"]);
  assert.deepEqual(
    rejected.map(({ index }) => index),
    [1],
  );
});

test("bytes that are not UTF-8 concern their line alone", () => {
  const bytes = new TextEncoder().encode(`${event(1)}\n${event("?")}\n${event(2)}`);
  bytes[bytes.indexOf(0x3f)] = 0xff;
  const { ids, rejected } = found(EventBatch.parse(bytes, skip));
  assert.deepEqual([ids, rejected.map(({ index }) => index)], [["1", "2"], [1]]);
});

test("a filter of lines, some of which are not valid, still has them when another batch was parsed", () => {
  const filter = Filter.sql("id LIKE '%2'");
  const body = Array.from({ length: 30 }, (_, at) => (at % 7 === 3 ? `${event(at)}]` : event(at))).join("\n");
  // The fault is in the data, which the check of the structure alone accepts.
  const hidden = body.replace(event(5), event(5, { data: {} }).replace("{}", "{1}"));
  for (const input of [body, hidden]) {
    const batch = EventBatch.parse(input, skip);
    EventBatch.parse(`[${event("other")}]`);
    assert.deepEqual(
      found(batch.filter(filter)).ids,
      ["2", "12", "22"].filter((id) => id % 7 !== 3),
    );
  }
  // The module of the filters scans now.
  for (const again of BODIES) check(again);
  checkRandomFaults();
});
