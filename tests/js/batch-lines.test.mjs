// NDJSON of which lines that are not valid are left out: the same as reading each line alone.
import assert from "node:assert/strict";
import test from "node:test";
import { inspect } from "node:util";
import { CloudEvent, EventBatch, Filter } from "eventferry/cloudevents";

const line = (id, more = "") =>
  `{"specversion":"1.0","id":"${id}","source":"/s","type":"t${id % 2}","ext":"é😀","data":{"n":${id}}${more}}`;
const BAD = [
  "{",
  "7",
  '"text"',
  "[]",
  "null",
  "{}",
  "é😀",
  `${line(1)} ${line(2)}`,
  `${line(1)}x`,
  line(1).slice(0, -1),
  line(1, ',"tenant_id":"ü"'),
  line(1, ',"\\u0065xt":1'),
  line(1, ',"data":1'),
  line(1).replace("1.0", "2.0"),
  line(1).replace('"id":"1"', '"id":""'),
  line(1).replace("/s", "a b"),
  line(1).replace('"n":1', '"n":tru'),
  `{"data":"${"é".repeat(5000)}"}`,
  "\u0000",
  `a\u0000b${line(1)}`,
  "x".repeat(30),
];

function errorOf(text) {
  try {
    CloudEvent.fromJSON(text);
    return undefined;
  } catch (error) {
    return error;
  }
}

const bytesOf = (text) => new TextEncoder().encode(text);
const good = Array.from({ length: 60 }, (_, id) => line(id, id % 7 === 0 ? ',"big":"ü"' : ""));
/** Valid lines, with those that are not in between, several in a row at the end. */
const mixed = BAD.flatMap((bad, at) => [good[2 * at], good[2 * at + 1], bad]).concat(BAD);

for (const stage of ["by the codecs", "by the module of the filters"])
  test(`lines are judged one by one, ${stage}`, () => {
    if (stage !== "by the codecs") Filter.sql("TRUE");
    for (const separator of ["\n", "\r\n", " \n\n  "])
      for (const end of ["", separator])
        for (const input of [mixed.join(separator) + end, bytesOf(mixed.join(separator) + end)]) {
          const told = [];
          const onInvalid = (error, text, index) => told.push([error.code, text, index]);
          for (const batch of [
            EventBatch.parse(input, { format: "ndjson", onInvalid: "skip" }),
            EventBatch.parse(input, { format: "ndjson", onInvalid }),
          ]) {
            const expected = mixed.map((text, index) => [index, text]).filter(([, text]) => errorOf(text));
            assert.deepEqual(
              batch.rejected.map(({ index, text }) => [index, text]),
              expected,
            );
            for (const { error, text } of batch.rejected) {
              const { code, message, attribute } = errorOf(text);
              assert.deepEqual([error.code, error.message, error.attribute], [code, message, attribute], text);
            }
            assert.deepEqual(
              Array.from(batch, String),
              mixed.filter((text) => !errorOf(text)),
            );
          }
          assert.equal(told.length, mixed.filter(errorOf).length);
        }
  });

test("lines that are shorter than an event can be are judged as well", () => {
  for (const input of ["x\n".repeat(5000), bytesOf("x\n".repeat(5000)), `${good[0]}\n${"{}\n".repeat(5000)}`]) {
    const { rejected, length } = EventBatch.parse(input, { format: "ndjson", onInvalid: "skip" });
    assert.deepEqual([rejected.length, rejected.at(-1).index], [5000, 4999 + length]);
  }
});

test("bytes that are not UTF-8 concern their line alone", () => {
  const bytes = Buffer.concat([bytesOf(`${good[0]}\n{"a":"`), Buffer.of(0xff, 0xc3), bytesOf(`"}\n${good[1]}`)]);
  const batch = EventBatch.parse(bytes, { format: "ndjson", onInvalid: "skip" });
  assert.deepEqual([batch.length, batch.rejected[0].index, batch.rejected[0].text], [2, 1, '{"a":"\ufffd\ufffd"}']);
  assert.match(batch.rejected[0].error.message, /UTF-8/);
});

test("a batch with lines left out is filtered, also after another one was read", () => {
  const filter = Filter.sql("type = 't1'");
  // Trusted data are not checked.
  const text = mixed.filter((text) => !text.includes(":tru")).join("\n");
  for (const check of ["full", "structure"])
    for (const input of [text, bytesOf(text)]) {
      const batch = EventBatch.parse(input, { format: "ndjson", onInvalid: "skip", check });
      const expected = Array.from(batch, String).filter((text) => CloudEvent.fromJSON(text).type === "t1");
      assert.deepEqual(Array.from(batch.filter(filter), String), expected);
      EventBatch.parse("[]");
      assert.deepEqual(Array.from(batch.filter(filter), String), expected);
      assert.ok(expected.length > 15, `${expected.length}`);
    }
});

test("what is known of a line is shown, and cannot be changed", () => {
  const { rejected } = EventBatch.parse(`${good[0]}\n{}`, { format: "ndjson", onInvalid: "skip" });
  assert.match(inspect(rejected), /index: 1[\s\S]*ERR_[\s\S]*text: '{}'/);
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(rejected[0]))), ["index", "error", "text"]);
  assert.equal(rejected[0].error, rejected[0].error);
  assert.ok(Object.isFrozen(rejected) && Object.isFrozen(rejected[0]));
});

test("an index counts the lines of the whole stream", async () => {
  const body = new Blob([mixed.join("\n")]).stream();
  const indices = [];
  for await (const batch of EventBatch.stream(body, { format: "ndjson", onInvalid: "skip", pieceBytes: 500 }))
    indices.push(...batch.rejected.map(({ index }) => index));
  assert.deepEqual(
    indices,
    mixed.flatMap((text, index) => (errorOf(text) ? [index] : [])),
  );
});
