// Messages of eventferry through real clients, both ways: nats.js and mqtt.js over small brokers on the loopback, kafkajs,
// rhea and @azure/service-bus through their own encoders and decoders, which need no broker.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { build } from "esbuild";
import mqtt from "mqtt";
import { connect, headers as natsHeaders } from "nats";
import { CloudEvent, fromHttp, fromMessage, toMessage } from "../../dist/entries/index.js";
import { Tally } from "../tally.mjs";
import { startMqttBroker } from "./peers/mqtt-broker.mjs";
import { startNatsServer } from "./peers/nats-server.mjs";

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

await tally.check(
  "nats.js carries every event in both modes, with its own headers and with ours as they are",
  async () => {
    const server = await startNatsServer();
    const connection = await connect({ servers: server.url });
    try {
      const received = connection.subscribe("events")[Symbol.asyncIterator]();
      for (const [name, event] of Object.entries(events)) {
        for (const mode of ["binary", "structured"]) {
          const { data, headers } = toMessage(event, "nats", mode);
          const own = natsHeaders();
          for (const [header, value] of Object.entries(headers)) own.append(header, value);
          for (const written of [headers, own]) {
            connection.publish("events", data, { headers: written });
            const { value } = await received.next();
            const back = fromMessage(value, "nats");
            assert.ok(event.equals(back), `${name} in ${mode} mode: ${back}`);
          }
        }
      }
    } finally {
      await connection.close();
      await server.close();
    }
  },
);

await tally.check("mqtt.js carries every event in both modes", async () => {
  const broker = await startMqttBroker();
  const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  try {
    await client.subscribeAsync("events");
    for (const [name, event] of Object.entries(events)) {
      for (const mode of ["binary", "structured"]) {
        const { payload, properties } = toMessage(event, "mqtt", mode);
        const delivered = once(client, "message");
        await client.publishAsync("events", payload, { properties });
        const [, , packet] = await delivered;
        const back = fromMessage(packet, "mqtt");
        assert.ok(event.equals(back), `${name} in ${mode} mode: ${back}`);
      }
    }
  } finally {
    await client.endAsync();
    await broker.close();
  }
});

const serviceBus = await serviceBusCodec();
for (const skipParsingBodyAsJson of [true, false]) {
  const how = skipParsingBodyAsJson ? "as bytes" : "parsed by the client";
  await tally.check(`@azure/service-bus carries every event in both modes, its body ${how}`, () => {
    for (const [name, event] of Object.entries(events)) {
      for (const mode of ["binary", "structured"]) {
        const sent = serviceBus.toRheaMessage(toMessage(event, "service-bus", mode), serviceBus.defaultDataTransformer);
        const wire = amqp.decode(amqp.encode(sent));
        const delivered = serviceBus.fromRheaMessage(wire, { skipParsingBodyAsJson, skipConvertingDate: false });
        for (const binding of ["service-bus", "amqp"]) {
          const back = fromMessage(delivered, binding);
          assert.ok(event.equals(back), `${name} in ${mode} mode: ${back}`);
          assert.deepEqual([back.get("flag"), back.get("count")], [event.get("flag"), event.get("count")]);
        }
      }
    }
  });
}

await tally.check(
  "a body that @azure/service-bus has parsed although it is not JSON is refused with the option that helps",
  () => {
    const event = new CloudEvent({ ...base, datacontenttype: "text/plain", data: "17" });
    const sent = serviceBus.toRheaMessage(toMessage(event, "service-bus"), serviceBus.defaultDataTransformer);
    const delivered = serviceBus.fromRheaMessage(amqp.decode(amqp.encode(sent)), { skipParsingBodyAsJson: false });
    assert.equal(delivered.body, 17);
    assert.throws(() => fromMessage(delivered, "service-bus"), { message: /skipParsingBodyAsJson: true/ });
  },
);

tally.finish();

/** The encoder and decoder of @azure/service-bus. They are not exported, and its files are bundled by their users. */
async function serviceBusCodec() {
  const { outputFiles } = await build({
    stdin: {
      contents: `
        export { fromRheaMessage, toRheaMessage } from "@azure/service-bus/dist-esm/src/serviceBusMessage.js";
        export { defaultDataTransformer } from "@azure/service-bus/dist-esm/src/dataTransformer.js";`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    format: "cjs",
    platform: "node",
    write: false,
    logLevel: "error",
  });
  const module = { exports: {} };
  new Function("module", "exports", "require", outputFiles[0].text)(module, module.exports, require);
  return module.exports;
}
