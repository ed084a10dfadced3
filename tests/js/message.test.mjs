// Messages of Kafka, AMQP, MQTT and NATS, in the shapes of their clients.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, fromMessage, toMessage } from "eventferry/cloudevents";

const event = new CloudEvent({
  id: "1",
  type: "t",
  source: "/s",
  time: "2026-01-01T00:00:00Z",
  subject: "Euro € 100%",
  datacontenttype: "application/json",
  partitionkey: "k",
  count: 5,
  flag: true,
  data: { a: 1 },
});
const attributes = (e) => [
  e.id,
  e.type,
  e.source,
  e.time,
  e.subject,
  e.datacontenttype,
  e.get("partitionkey"),
  String(e.get("count")),
  String(e.get("flag")),
  e.data,
];

test("an event is the same after a round trip through every binding in both modes", () => {
  for (const binding of ["kafka", "amqp", "mqtt", "nats"]) {
    for (const mode of ["binary", "structured"]) {
      assert.deepEqual(
        attributes(fromMessage(toMessage(event, binding, mode), binding)),
        attributes(event),
        `${binding} ${mode}`,
      );
    }
  }
});

test("Kafka has ce_ headers in UTF-8, the partition key, and null for an event without data", () => {
  const message = toMessage(event, "kafka");
  assert.deepEqual(message, {
    key: "k",
    value: '{"a":1}',
    headers: {
      "content-type": "application/json",
      ce_specversion: "1.0",
      ce_id: "1",
      ce_source: "/s",
      ce_type: "t",
      ce_time: "2026-01-01T00:00:00Z",
      ce_subject: "Euro € 100%",
      ce_partitionkey: "k",
      ce_count: "5",
      ce_flag: "true",
    },
  });
  assert.equal(toMessage(event.with({ data: undefined }), "kafka").value, null);
  assert.deepEqual(toMessage(event, "kafka", "structured").headers, {
    "content-type": "application/cloudevents+json; charset=utf-8",
  });
  const received = {
    value: Buffer.from('{"a":1}'),
    headers: Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, Buffer.from(value)])),
  };
  assert.deepEqual(attributes(fromMessage(received, "kafka")), attributes(event));
  assert.throws(
    () => fromMessage({ value: null, headers: { ...message.headers, ce_id: Buffer.from([0xff]) } }, "kafka"),
    { code: "ERR_INVALID_HEADER_VALUE", attribute: "id" },
  );
});

test("AMQP has application properties with either separator and native types", () => {
  const message = toMessage(event, "amqp");
  assert.equal(message.content_type, "application/json");
  assert.deepEqual(
    [message.application_properties.cloudEvents_count, message.application_properties.cloudEvents_flag],
    [5, true],
  );
  const colons = Object.fromEntries(
    Object.entries(message.application_properties).map(([name, value]) => [name.replace("_", ":"), value]),
  );
  colons["cloudEvents:time"] = new Date("2026-01-01T00:00:00Z");
  assert.equal(fromMessage({ ...message, application_properties: colons }, "amqp").time, "2026-01-01T00:00:00.000Z");
});

test("MQTT has names without a prefix, and other user properties are ignored", () => {
  const message = toMessage(event, "mqtt");
  assert.equal(message.properties.userProperties.subject, "Euro € 100%");
  assert.equal(message.properties.contentType, "application/json");
  message.properties.userProperties["Not-Ours"] = "x";
  assert.equal(fromMessage(message, "mqtt").get("not-ours"), undefined);
  assert.equal(
    fromMessage({ payload: event.toString(), properties: { contentType: "application/cloudevents+json" } }, "mqtt").id,
    "1",
  );
});

test("NATS has percent-encoded ce- headers, also one for the media type", () => {
  const message = toMessage(event, "nats");
  assert.equal(message.headers["ce-subject"], "Euro%20%E2%82%AC%20100%25");
  assert.equal(message.headers["ce-datacontenttype"], "application/json");
  assert.deepEqual(toMessage(event, "nats", "structured").headers, {
    "Content-Type": "application/cloudevents+json; charset=utf-8",
  });
  const asHdrs = new Map(Object.entries(message.headers).map(([name, value]) => [name, [value]]));
  assert.deepEqual(
    attributes(fromMessage({ data: new TextEncoder().encode(message.data), headers: asHdrs }, "nats")),
    attributes(event),
  );
});

test("records of node-rdkafka and of AWS Lambda are read, whose headers are lists", () => {
  const sent = toMessage(event.with({ subject: "Euro €" }), "kafka");
  const rdkafka = {
    value: Buffer.from(sent.value),
    key: Buffer.from("k"),
    topic: "events",
    partition: 0,
    headers: Object.entries(sent.headers).map(([name, value]) => ({ [name]: Buffer.from(value) })),
  };
  const lambda = {
    topic: "events",
    partition: 0,
    offset: 15,
    timestamp: 1545084650987,
    timestampType: "CREATE_TIME",
    key: Buffer.from("k").toString("base64"),
    value: Buffer.from(sent.value).toString("base64"),
    headers: Object.entries(sent.headers).map(([name, value]) => ({ [name]: [...Buffer.from(value)] })),
  };
  const signed = { ...lambda, headers: lambda.headers.map(toSigned) };
  for (const record of [rdkafka, lambda, signed])
    assert.ok(event.with({ subject: "Euro €" }).equals(fromMessage(record, "kafka")));
  assert.equal(fromMessage({ ...lambda, value: null }, "kafka").data, undefined);
  assert.equal(fromMessage({ ...lambda, value: undefined }, "kafka").data, undefined);
  assert.throws(() => fromMessage({ ...lambda, value: "{}" }, "kafka"), { code: "ERR_INVALID_DATA", culprit: "peer" });
  assert.throws(() => fromMessage({ ...lambda, headers: [...lambda.headers, { CE_ID: [50] }] }, "kafka"), {
    attribute: "id",
  });
  const structured = { ...lambda, headers: [], value: Buffer.from(event.toString()).toString("base64") };
  assert.equal(fromMessage(structured, "kafka", { lenient: true }).id, "1");

  function toSigned(header) {
    return Object.fromEntries(Object.entries(header).map(([name, bytes]) => [name, [...Int8Array.from(bytes)]]));
  }
});

test("headers for nats.js are a plain object with a method that only nats.js sees", () => {
  const { headers } = toMessage(event, "nats");
  assert.deepEqual(Object.keys({ ...headers }).includes("encode"), false);
  const text = new TextDecoder().decode(headers.encode());
  assert.ok(text.startsWith("NATS/1.0\r\n") && text.endsWith("\r\n\r\n"));
  assert.equal(text.split("\r\n").length, Object.keys(headers).length + 3);
});

test("Service Bus has the names of its own client, and a Buffer as body", () => {
  const message = toMessage(event, "service-bus");
  assert.deepEqual(message, {
    contentType: "application/json",
    applicationProperties: toMessage(event, "amqp").application_properties,
    body: Buffer.from('{"a":1}'),
  });
  assert.equal(toMessage(event.with({ data: undefined }), "service-bus").body.length, 0);
  assert.deepEqual(fromMessage({ ...message, body: { a: 1 } }, "service-bus").data, { a: 1 });
  // A string is a value that the client has parsed, unless the body was a value of AMQP itself.
  assert.equal(fromMessage({ ...message, body: '{"a":1}' }, "service-bus").data, '{"a":1}');
  const value = { ...message, body: '{"a":1}', _rawAmqpMessage: { bodyType: "value" } };
  assert.deepEqual(fromMessage(value, "service-bus").data, { a: 1 });
  for (const bodyType of ["sequence", "value"])
    assert.throws(() => fromMessage({ ...message, body: [[1]], _rawAmqpMessage: { bodyType } }, "service-bus"), {
      code: "ERR_INVALID_ARGUMENT",
    });
});

test("a message without an event and an unknown binding or mode are rejected", () => {
  assert.throws(() => fromMessage({ value: "x", headers: {} }, "kafka"), { code: "ERR_NOT_A_CLOUDEVENT" });
  assert.throws(() => fromMessage({}, "stan"), { code: "ERR_INVALID_ARGUMENT" });
  assert.throws(() => toMessage(event, "stan"), { code: "ERR_INVALID_ARGUMENT" });
  assert.throws(() => toMessage(event, "kafka", "batch"), { code: "ERR_INVALID_ARGUMENT" });
});
