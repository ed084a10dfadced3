// Messages of eventferry through the encoders of kafkajs and rhea, which need no broker, and messages of rhea read back.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { CloudEvent, fromHttp, fromMessage, toMessage } from "../../dist/entries/index.js";
import { Tally } from "../tally.mjs";

const require = createRequire(import.meta.url);
const encodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0/index.js");
const decodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0/decoder.js");
const KafkaDecoder = require("kafkajs/src/protocol/decoder.js");
const { message: amqp, types } = require("rhea");
const tally = new Tally();

const base = { type: "t", source: "/s", id: "1", time: "2026-01-01T00:00:00Z" };
const received = {
  "ce-specversion": "1.0",
  "ce-id": "1",
  "ce-source": "/s",
  "ce-type": "t",
  "content-type": "application/json",
};
const events = {
  JSON: new CloudEvent({ ...base, subject: "Euro €", data: { n: 1 }, flag: true, count: 5 }),
  bytes: new CloudEvent({ ...base, datacontenttype: "application/protobuf", data: new Uint8Array([1, 2, 255]) }),
  text: new CloudEvent({ ...base, datacontenttype: "text/plain", data: "hé" }),
  "no data": new CloudEvent(base),
  "a body that came as bytes": fromHttp(received, Buffer.from('{"n":1}')),
};

for (const [name, event] of Object.entries(events)) {
  for (const mode of ["binary", "structured"]) {
    await tally.check(`kafkajs carries ${name} in ${mode} mode`, async () => {
      const { key = null, value, headers } = toMessage(event, "kafka", mode);
      const { buffer } = await encodeRecord({ offsetDelta: 0, timestampDelta: 0, key, value, headers });
      const decoder = new KafkaDecoder(buffer);
      // A record starts with its length.
      decoder.readVarInt();
      const record = decodeRecord(decoder, { firstOffset: "0", firstTimestamp: "0", magicByte: 2 });
      assert.ok(event.equals(fromMessage(record, "kafka")), fromMessage(record, "kafka").toString());
    });

    await tally.check(`rhea carries ${name} in ${mode} mode, in a Data section`, () => {
      const wire = amqp.encode(toMessage(event, "amqp", mode));
      const read = amqp.decode(wire);
      if (event.dataBytes !== undefined || mode === "structured") assert.equal(read.body.typecode, 0x75);
      const back = fromMessage(read, "amqp");
      assert.ok(event.equals(back), back.toString());
      assert.deepEqual([back.get("flag"), back.get("count")], [event.get("flag"), event.get("count")]);
    });
  }
}

await tally.check("messages of other AMQP senders are read: several Data sections, a string, typed properties", () => {
  const application_properties = Object.fromEntries(
    Object.entries({ specversion: "1.0", id: "1", source: "/s", type: "t" }).map(([name, value]) => [
      `cloudEvents:${name}`,
      value,
    ]),
  );
  const read = (body) =>
    fromMessage(amqp.decode(amqp.encode({ content_type: "application/json", application_properties, body })), "amqp");
  assert.equal(read(amqp.data_section(Buffer.from('{"n":1}'))).data.n, 1);
  assert.equal(read(amqp.data_sections([Buffer.from('{"n"'), Buffer.from(":1}")])).data.n, 1);
  assert.equal(read('{"n":1}').data.n, 1);
  assert.throws(() => read(amqp.sequence_section([1, 2])), { code: "ERR_INVALID_ARGUMENT" });
  application_properties["cloudEvents:raw"] = Buffer.from([0, 255]);
  application_properties["cloudEvents:count"] = types.wrap_int(-7);
  const event = read("{}");
  assert.deepEqual([event.get("raw"), event.get("count")], ["AP8=", -7]);
});

tally.finish();
