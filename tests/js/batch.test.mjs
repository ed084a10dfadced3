// Batches of events.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, EventBatch } from "eventferry/cloudevents";

const line = (id, more = "") =>
  `{"specversion":"1.0","id":"${id}","source":"/s","type":"t${id % 2}","subject":"é😀","data":{"n":${id},"f":1.0}${more}}`;
const lines = Array.from({ length: 50 }, (_, id) => line(id, id % 7 === 0 ? ',"ext":"ü"' : ""));
const text = `[${lines.join(" , ")}]`;
const inputs = { text, bytes: new TextEncoder().encode(text) };

for (const [kind, input] of Object.entries(inputs)) {
  test(`a batch from ${kind} is decoded lazily and in order`, () => {
    const batch = EventBatch.parse(input);
    assert.equal(batch.length, 50);
    assert.deepEqual(
      [...batch].map(({ id }) => id),
      Array.from({ length: 50 }, (_, id) => String(id)),
    );
    const event = batch.at(7);
    assert.deepEqual(
      [event.type, event.subject, event.get("ext"), event.data, event.toString()],
      ["t1", "é😀", "ü", { n: 7, f: 1 }, lines[7]],
    );
    assert.deepEqual(
      [batch.at(-1).id, batch.at(50), batch.at(-51), batch.at(NaN), batch.at(1.9).id],
      ["49", undefined, undefined, undefined, "1"],
    );
  });

  test(`a filtered batch from ${kind} has the selected events byte for byte`, () => {
    const odd = EventBatch.parse(input)
      .filter((event) => event.type === "t1")
      .filter((event) => event.data.n > 40);
    assert.equal(odd.length, 5);
    const expected = [41, 43, 45, 47, 49].map((id) => lines[id]);
    assert.equal(new TextDecoder().decode(odd.toBytes()), `[${expected.join(",")}]`);
    assert.equal(new TextDecoder().decode(odd.toBytes("ndjson")), expected.map((line) => `${line}\n`).join(""));
    assert.equal(odd.filter({ matches: () => false }).length, 0);
    assert.equal(new TextDecoder().decode(odd.filter(() => false).toBytes()), "[]");
    assert.equal(odd.filter(() => false).toBytes("ndjson").length, 0);
  });

  test(`NDJSON is decoded from ${kind}`, () => {
    const ndjson = `${lines.join("\r\n\n")}\n`;
    const batch = EventBatch.parse(kind === "text" ? ndjson : new TextEncoder().encode(ndjson), { format: "ndjson" });
    assert.deepEqual([batch.length, batch.at(49).data.n], [50, 49]);
    assert.equal(EventBatch.parse(kind === "text" ? "\n" : new Uint8Array([10]), { format: "ndjson" }).length, 0);
  });
}

test("an event with line breaks becomes one line of NDJSON", () => {
  const pretty = JSON.stringify(JSON.parse(lines[1]), null, 2);
  for (const input of [`[${pretty}]`, new TextEncoder().encode(`[${pretty}]`)]) {
    const out = new TextDecoder().decode(EventBatch.parse(input).toBytes("ndjson"));
    assert.equal(out.trimEnd().split("\n").length, 1);
    assert.equal(EventBatch.parse(out, { format: "ndjson" }).at(0).data.n, 1);
  }
});

test("an error tells which event is invalid, and why", () => {
  for (const [input, code, message] of [
    [
      `[${line(1)},{"specversion":"1.0","source":"/s","type":"t"}]`,
      "ERR_MISSING_ATTRIBUTE",
      'event 1 of the batch: the attribute "id" is missing',
    ],
    [
      `[${line(1)},${line(2, ',"Bad":1')}]`,
      "ERR_INVALID_ATTRIBUTE_NAME",
      'event 1 of the batch: the attribute "Bad" has an invalid name: only a-z and 0-9 are allowed, and data is reserved; the option lenient leaves such an attribute off',
    ],
    [
      `[${line(1)},7]`,
      "ERR_INVALID_BATCH",
      /^the text is not a batch in the JSON batch format: event 1 of the batch is not a JSON object/,
    ],
    ["{}", "ERR_INVALID_BATCH", /: it is not a JSON array/],
    [`[${line(1)}] x`, "ERR_INVALID_BATCH", /: it has more text after its end/],
    [
      `[${line(1)},${line(2).replace("1.0", "0.3")}]`,
      "ERR_INVALID_BATCH",
      /: event 1 of the batch has another specversion than the events before it/,
    ],
  ]) {
    for (const form of [input, new TextEncoder().encode(input)])
      assert.throws(() => EventBatch.parse(form), { code, message });
  }
  for (const input of [undefined, null, [], {}])
    assert.throws(() => EventBatch.parse(input), { code: "ERR_INVALID_ARGUMENT" });
});

test("a batch does not change when the bytes it was decoded from change", () => {
  const bytes = new TextEncoder().encode(text);
  const batch = EventBatch.parse(bytes);
  bytes.fill(0);
  assert.equal(batch.at(3).id, "3");
});

test("a batch can be created from events", () => {
  const made = [1, 2].map((id) => new CloudEvent({ id: String(id), type: "t", source: "/s", data: id }));
  const batch = EventBatch.of(made);
  assert.equal(batch.at(0), made[0]);
  assert.deepEqual(
    [...EventBatch.parse(batch.toBytes())].map(({ data }) => data),
    [1, 2],
  );
  assert.equal(batch.filter(({ id }) => id === "2").length, 1);
});

test("a large batch is decoded completely", () => {
  const many = `[${Array.from({ length: 20_000 }, (_, id) => line(id)).join()}]`;
  const batch = EventBatch.parse(many);
  assert.deepEqual([batch.length, batch.at(19_999).data.n], [20_000, 19_999]);
  const empty = '{"specversion":"1.0","id":"1","source":"s","type":"t"}';
  assert.equal(EventBatch.parse(`[${Array(30_000).fill(empty).join()}]`).length, 30_000);
});
