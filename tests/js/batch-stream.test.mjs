// A stream of a JSON batch or NDJSON is read in pieces, and equals the batch that is read at once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventBatch, Filter, isFerryError } from "eventferry/cloudevents";

const line = (id, more = "") =>
  `{"specversion":"1.0","id":"${id}","source":"/s","type":"t${id % 2}","subject":"é😀","data":{"n":[${id},"],[{\\"\\\\"]}${more}}`;
const lines = Array.from({ length: 40 }, (_, id) => line(id, id % 7 === 0 ? ',"ext":"ü"' : ""));
const texts = {
  batch: `\ufeff [ ${lines.join(" ,\n ")} ] \n`,
  ndjson: `\n${lines.join("\r\n\n")}`,
};

/** A stream of the text in chunks of this size. Counts the chunks that were taken. */
function streamOf(text, size) {
  const bytes = new TextEncoder().encode(text);
  const state = { taken: 0, isCancelled: false };
  const body = new ReadableStream(
    {
      pull(controller) {
        const at = state.taken++ * size;
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, at + size));
      },
      cancel() {
        state.isCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return Object.assign(state, { body });
}

async function read(text, size, options) {
  const batches = [];
  for await (const batch of EventBatch.stream(streamOf(text, size).body, options)) batches.push(batch);
  return batches;
}

for (const [format, text] of Object.entries(texts))
  for (const size of [1, 2, 3, 7, 100, 1000, 1_000_000])
    for (const pieceBytes of [1, 300, 5000, undefined])
      test(`${format} in chunks of ${size}, pieces of ${pieceBytes}`, async () => {
        const batches = await read(text, size, { format, pieceBytes });
        assert.deepEqual(
          batches.flatMap((batch) => Array.from(batch, String)),
          lines,
        );
        if (pieceBytes === 300) assert.ok(batches.length > 5, `${batches.length} batches`);
        if (pieceBytes === undefined) assert.equal(batches.length, 1);
        const filter = Filter.sql("type = 't1'");
        assert.equal(
          batches.reduce((sum, batch) => sum + batch.filter(filter).length, 0),
          20,
        );
      });

test("an empty batch and empty lines have no events", async () => {
  for (const [format, text] of [
    ["batch", " [ ] "],
    ["batch", "[]"],
    ["ndjson", ""],
    ["ndjson", "\n \n"],
  ])
    for (const size of [1, 100]) assert.deepEqual(await read(text, size, { format }), [], text);
});

test("what EventBatch.parse rejects is rejected in a stream as well", async () => {
  const [a, b] = lines;
  const old = a.replace("1.0", "0.3");
  for (const [format, text] of [
    ...["", "{}", `${a}`, "[", `[${a}`, `[${a},`, `[${a},]`, `[,${a}]`, `[${a},,${b}]`, `[${a}]]`, `[${a}] x`].map(
      (t) => ["batch", t],
    ),
    ...[`[${a}}`, `[${a} ${b}]`, `[5]`, `[${a.slice(0, -1)}]`, `[${a},{"specversion":"1.0"}]`, `[${a},${old}]`].map(
      (t) => ["batch", t],
    ),
    ...[`[${a}`, `${a} ${b}`, `${a}\n{`, `${a}\n5`, `${a},\n${b}`].map((t) => ["ndjson", t]),
  ]) {
    assert.throws(() => EventBatch.parse(text, { format }), isFerryError, text);
    for (const size of [1, 50, 1000])
      for (const pieceBytes of [1, 1000])
        await assert.rejects(read(text, size, { format, pieceBytes }), isFerryError, text);
  }
});

test("an invalid event has its index in the whole stream", async () => {
  const bad = '{"specversion":"1.0"}';
  for (const [format, text] of [
    ["batch", `[${[...lines, bad, ...lines].join()}]`],
    ["ndjson", [...lines, bad, ...lines].join("\n")],
  ]) {
    await assert.rejects(read(text, 100, { format, pieceBytes: 300 }), /event 40 of the batch/);
    const batches = await read(text, 100, { format, pieceBytes: 300, onInvalid: "skip" });
    assert.deepEqual(
      batches.flatMap(({ rejected }) => rejected.map(({ index }) => index)),
      [40],
    );
    assert.equal(
      batches.reduce((sum, { length }) => sum + length, 0),
      80,
    );
  }
});

test("memory is bounded by the pieces and by the largest event", async () => {
  const endless = streamOf(`[${lines.join()}`, 100);
  const iterator = EventBatch.stream(endless.body, { pieceBytes: 300 })[Symbol.asyncIterator]();
  await iterator.next();
  const { taken } = endless;
  assert.ok(taken < 10, `${taken} chunks for the first piece`);
  await iterator.return();
  assert.equal(endless.isCancelled, true);
  const large = `{"specversion":"1.0","id":"1","data":"${"x".repeat(10_000)}`;
  for (const [format, text] of [
    ["batch", `[${large}`],
    ["ndjson", large],
  ])
    await assert.rejects(read(text, 100, { format, maxBytes: 5000 }), (error) => isFerryError(error, "ERR_TOO_LARGE"));
});

test("a stream that fails is an error of the network, and the arguments are checked at once", async () => {
  const body = new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) });
  await assert.rejects(
    async () => {
      for await (const _ of EventBatch.stream(body)) assert.fail();
    },
    (error) => isFerryError(error, "ERR_NETWORK"),
  );
  const isInvalid = (error) => isFerryError(error, "ERR_INVALID_ARGUMENT");
  assert.throws(() => EventBatch.stream("[]"), isInvalid);
  const { body: good } = streamOf("[]", 1);
  for (const options of [{ format: "json" }, { check: "no" }, { pieceBytes: 0 }, { maxBytes: -1 }, { onInvalid: 5 }])
    assert.throws(() => EventBatch.stream(good, options), isInvalid, JSON.stringify(options));
});
