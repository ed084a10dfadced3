// `EventBatch.parse(…, { filter })` and `EventBatch.stream(…, { filter })`: the same as to filter the batch, but of bytes only
// the events that a `Filter` keeps are copied.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventBatch, Filter } from "eventferry/cloudevents";
import { collectGarbage } from "./garbage-collector.mjs";

const event = (n) =>
  `{"specversion":"1.0","id":"${n}","source":"/s","type":"t${n % 3}","subject":"é${n}","region":"r${n % 2}","data":{"n":${n},"x":"}]😀"}}`;
const events = Array.from({ length: 30 }, (_, n) => event(n));
const encode = (text) => new TextEncoder().encode(text);
const decode = (bytes) => new TextDecoder().decode(bytes);
const arrays = { compact: `[${events.join(",")}]`, spaced: `\ufeff [ ${events.join(" ,\n ")} ] ` };
const ndjson = `${events.join("\r\n\n")}\n`;
const sql = (expression, options) => Filter.sql(expression, options);
const filters = {
  some: sql("type = 't1' AND subject LIKE 'é%'"),
  "an extension attribute": sql("region = 'r1'"),
  none: sql("id = 'x'"),
  all: Filter.from([]),
  "a function of the user": sql("isOdd(id)", { functions: { isOdd: (id) => Number(id) % 2 === 1 } }),
  "a function": ({ id }) => id.endsWith("3"),
  "an object": { matches: ({ data }) => data.n > 20 },
};

/** What can be seen of a batch. */
const shown = (batch) => ({
  length: batch.length,
  ids: [...batch].map(({ id, data }) => [id, data.n]),
  last: batch.at(-1)?.get("region"),
  batch: decode(batch.toBytes()),
  lines: decode(batch.toBytes("ndjson")),
  again: decode(batch.filter(filters.some).toBytes()),
  twice: batch.filter(filters["an extension attribute"]).filter(({ data }) => data.n > 10).length,
});

test("a filter as an option keeps the events that the batch filtered later has", () => {
  for (const [name, filter] of Object.entries(filters))
    for (const check of ["full", "structure"])
      for (const [format, text] of [...Object.values(arrays).map((text) => ["batch", text]), ["ndjson", ndjson]])
        for (const input of format === "batch" && text.startsWith("\ufeff") ? [encode(text)] : [text, encode(text)]) {
          const expected = shown(EventBatch.parse(input, { format, check }).filter(filter));
          const batch = EventBatch.parse(input, { format, check, filter });
          assert.deepEqual(shown(batch), expected, `${name}, ${check}, ${format}`);
          // Another batch takes its place in the memory of the engine.
          EventBatch.parse(encode("[]"));
          assert.deepEqual(shown(batch), expected, `${name}, ${check}, ${format}, after another batch`);
          assert.deepEqual(batch.rejected, []);
        }
});

test("the events that were kept stay as they were when the bytes change", () => {
  for (const check of ["full", "structure"]) {
    const bytes = encode(arrays.compact);
    const batch = EventBatch.parse(bytes, { check, filter: filters.some });
    const expected = shown(batch);
    bytes.fill(0);
    assert.deepEqual(shown(batch), expected, check);
    batch.toBytes().fill(0);
    assert.deepEqual(shown(batch), expected, check);
  }
});

test("a function of the user that changes the bytes while it filters changes no event", () => {
  const bytes = encode(arrays.compact);
  const erase = () => {
    bytes.fill(0x20);
    EventBatch.parse(encode(`[${event(7)}]`));
    return true;
  };
  for (const filter of [sql("erase()", { functions: { erase } }), erase, { matches: erase }]) {
    bytes.set(encode(arrays.compact));
    assert.equal(decode(EventBatch.parse(bytes, { filter }).toBytes()), arrays.compact);
  }
});

test("an object that looks like a Filter is not asked while the bytes are in the memory of the engine", () => {
  const filter = {
    matches: () => true,
    selectEvents: (indices, ensureScanned) => {
      EventBatch.parse(encode("[]"));
      return filters.some.selectEvents(indices, ensureScanned);
    },
  };
  const batch = EventBatch.parse(encode(arrays.compact), { filter });
  assert.deepEqual(shown(batch), shown(EventBatch.parse(arrays.compact).filter(filters.some)));
});

test("events that a filter would not keep are checked all the same", () => {
  const invalid = event(4).replace('"id":"4"', '"id":""');
  const [text, lines] = [arrays.compact.replace(event(4), invalid), ndjson.replace(event(4), invalid)];
  for (const filter of [filters.none, filters.some, filters["a function"]])
    for (const input of [text, encode(text)]) {
      assert.throws(() => EventBatch.parse(input, { filter }), {
        code: "ERR_INVALID_ATTRIBUTE_VALUE",
        message: /event 4 of the batch/,
      });
      const batch = EventBatch.parse(input, { filter, onInvalid: "skip" });
      assert.deepEqual(
        batch.rejected.map(({ index, text }) => [index, text]),
        [[4, invalid]],
      );
      assert.equal(batch.length, EventBatch.parse(text, { onInvalid: "skip" }).filter(filter).length);
    }
  for (const input of [lines, encode(lines)]) {
    const told = [];
    const onInvalid = (_, raw, index) => told.push([index, raw]);
    const options = { format: "ndjson", filter: filters.some };
    for (const batch of [
      EventBatch.parse(input, { ...options, onInvalid }),
      EventBatch.parse(input, { ...options, onInvalid: "skip" }),
    ])
      assert.deepEqual([batch.length, batch.rejected.map(({ index, text }) => [index, text])], [9, [[4, invalid]]]);
    assert.deepEqual(told, [[4, invalid]]);
  }
});

test("a lenient batch is filtered by what is left of its events", () => {
  const text = arrays.compact.replace('"region":"r1"', '"Region":"r1"');
  const batch = EventBatch.parse(encode(text), { lenient: true, filter: filters["an extension attribute"] });
  assert.deepEqual([batch.length, batch.at(0).id], [14, "3"]);
});

test("what is no filter is an error that says what is", () => {
  for (const filter of [null, "type = 't1'", {}, 1]) {
    const expected = { code: "ERR_INVALID_ARGUMENT", message: /filter must be a Filter, a function or an object/ };
    assert.throws(() => EventBatch.parse("[]", { filter }), expected);
    assert.throws(() => EventBatch.stream(new Blob(["[]"]).stream(), { filter }), expected);
  }
});

test("a stream has only the batches that keep events, and counts all of them", async () => {
  const read = async (text, options) => {
    const batches = [];
    for await (const batch of EventBatch.stream(new Blob([text]).stream(), { pieceBytes: 300, ...options }))
      batches.push(batch);
    return batches;
  };
  const batches = await read(arrays.compact, { filter: sql("id = '3' OR id = '27'") });
  assert.deepEqual(
    batches.map((batch) => [...batch].map(({ id }) => id)),
    [["3"], ["27"]],
  );
  const broken = arrays.compact.replace('"id":"28"', '"id":""');
  await assert.rejects(read(broken, { filter: filters.none }), { message: /event 28 of the batch/ });
  const told = [];
  const some = await read(broken, { filter: filters.none, onInvalid: (_, __, index) => told.push(index) });
  assert.deepEqual([told, some.map(({ rejected }) => rejected[0].index)], [[28], [28]]);
});

test("a batch that keeps one event of many does not keep the bytes of all", () => {
  const bytes = encode(`[${Array.from({ length: 8000 }, (_, n) => event(n)).join(",")}]`);
  const filter = sql("id = '17'");
  const kept = [];
  const add = (count) => {
    for (let at = 0; at < count; at++) kept.push(EventBatch.parse(bytes, { filter }));
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const before = add(5);
  const grown = add(40) - before;
  assert.ok(grown < bytes.length, `${grown} bytes for 40 batches of ${bytes.length}`);
  assert.deepEqual([kept.length, kept[44].at(0).data.n], [45, 17]);
});
