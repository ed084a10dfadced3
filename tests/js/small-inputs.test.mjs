// Single inputs that real senders and clients produced.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import {
  CloudEvent,
  fromHttp,
  fromMessage,
  toBinary,
  toMessage,
  toRequest,
  toStructured,
} from "eventferry/cloudevents";

const base = { specversion: "1.0", id: "1", source: "/s", type: "t" };
const binary = Object.fromEntries(Object.entries(base).map(([name, value]) => [`ce-${name}`, value]));
const structured = { "content-type": "application/cloudevents+json" };

test("fetch adds no media type to an event that has none", () => {
  const event = fromHttp(binary, "plain");
  const { headers, body } = toBinary(event);
  assert.deepEqual([headers["content-type"], body], [undefined, new TextEncoder().encode("plain")]);
  for (const request of [
    toRequest("https://e.example", event),
    new Request("https://e.example", { method: "POST", ...toBinary(event) }),
  ])
    assert.equal(request.headers.get("content-type"), null);
});

test("raw UTF-8 in a header is read as UTF-8, and other bytes are refused", async () => {
  const receive = async (bytes) => {
    let result;
    const server = createServer((request, response) => {
      try {
        result = fromHttp(request.headers, "").subject;
      } catch (error) {
        result = error;
      }
      response.writeHead(204).end();
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    await new Promise((resolve) => {
      const socket = connect(server.address().port, "127.0.0.1").on("data", () => resolve(socket.end()));
      const lines = Object.entries(binary).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(
        Buffer.concat([
          Buffer.from(`POST / HTTP/1.1\r\nHost: x\r\n${lines.join("")}ce-subject: `),
          bytes,
          Buffer.from("\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ]),
      );
    });
    server.close();
    return result;
  };
  for (const subject of ["café.txt", "Größe 100%", "注文", "😀", "a%C3%A9 é"])
    assert.equal(await receive(Buffer.from(subject)), subject.replace("%C3%A9", "é"));
  for (const bytes of [[0xe9], [0xc3], [0x61, 0xff], [0xed, 0xa0, 0x80]])
    assert.equal((await receive(Buffer.from(bytes))).code, "ERR_INVALID_HEADER_VALUE");
  // A platform that has decoded the text itself.
  assert.equal(fromHttp({ ...binary, "ce-subject": "注文" }).subject, "注文");
});

test("quotes are removed only if they enclose the whole value", () => {
  for (const [value, subject] of [
    ['"a b"', "a b"],
    ['"a \\"b\\""', 'a "b"'],
    ['"a" b', '"a" b'],
    ['"a" and "b"', '"a" and "b"'],
    ['"abc', '"abc'],
    ['5" disk', '5" disk'],
  ])
    assert.equal(fromHttp({ ...binary, "ce-subject": value }).subject, subject);
});

test("AMQP values keep their types, and Binary is Base64", () => {
  const properties = Object.fromEntries(Object.entries(base).map(([name, value]) => [`cloudEvents:${name}`, value]));
  const event = fromMessage(
    {
      application_properties: {
        ...properties,
        "cloudEvents:flag": true,
        "cloudEvents:off": false,
        "cloudEvents:count": 42,
        "cloudEvents:zero": 0,
        "cloudEvents:long": 12345678901n,
        "cloudEvents:raw": Buffer.from([0, 255]),
        "cloudEvents:empty": null,
      },
    },
    "amqp",
  );
  assert.deepEqual(
    { ...event.extensions },
    { flag: true, off: false, count: 42, zero: 0, long: "12345678901", raw: "AP8=" },
  );
  assert.deepEqual({ ...fromMessage(toMessage(event, "amqp"), "amqp").extensions }, { ...event.extensions });
});

test("an attribute that a message has twice is refused in every binding", () => {
  const kafka = Object.fromEntries(Object.entries(base).map(([name, value]) => [`ce_${name}`, value]));
  const amqp = Object.fromEntries(Object.entries(base).map(([name, value]) => [`cloudEvents:${name}`, value]));
  const messages = [
    [{ value: "x", headers: { ...kafka, CE_ID: "2" } }, "kafka"],
    [{ value: "x", headers: { ...kafka, ce_x: ["a", "b"] } }, "kafka"],
    [{ application_properties: { ...amqp, cloudEvents_id: "2" } }, "amqp"],
    [{ application_properties: { ...amqp, "cloudEvents:X": "1", "cloudEvents:x": "1" } }, "amqp"],
    [{ payload: "x", properties: { userProperties: { ...base, id: ["1", "2"] } } }, "mqtt"],
    [
      {
        data: "x",
        headers: new Map(Object.entries({ ...binary, "CE-Id": ["1"] }).map(([name, value]) => [name, [value].flat()])),
      },
      "nats",
    ],
    [
      {
        data: "x",
        headers: Object.entries(binary).map(([name, value]) => [name, name === "ce-type" ? [value, "u"] : [value]]),
      },
      "nats",
    ],
  ];
  for (const [message, binding] of messages)
    assert.throws(
      () => fromMessage(message, binding),
      { code: "ERR_INVALID_EVENT", message: /more than once/ },
      binding,
    );
});

test("a byte order mark in a header of Kafka is kept, and one before JSON is dropped", () => {
  const headers = Object.fromEntries(Object.entries(base).map(([name, value]) => [`ce_${name}`, Buffer.from(value)]));
  const event = fromMessage({ value: "x", headers: { ...headers, ce_subject: Buffer.from("\ufeffx") } }, "kafka");
  assert.equal(event.subject, "\ufeffx");
  const json = fromHttp({ ...binary, "content-type": "application/json" }, Buffer.from('\ufeff{"n":1}'));
  assert.deepEqual(JSON.parse(toStructured(json).body).data, { n: 1 });
});

test("a user property of MQTT with the name data belongs to another protocol", () => {
  const message = { payload: "x", properties: { userProperties: { ...base, data: "y" } } };
  assert.equal(fromMessage(message, "mqtt").dataText, "x");
});

test("NATS headers with raw text are read as text", () => {
  const headers = { ...binary, "ce-subject": "café %41", "ce-note": "a\u00ffb" };
  const event = fromMessage({ data: "", headers }, "nats");
  assert.deepEqual([event.subject, event.get("note")], ["café A", "a\u00ffb"]);
});

test("half a surrogate pair in a message is an error of this package", () => {
  for (const [message, binding] of [
    [{ payload: "x", properties: { userProperties: { ...base, subject: "\ud800" } } }, "mqtt"],
    [{ data: "x", headers: { ...binary, "ce-subject": "\udc00" } }, "nats"],
  ])
    assert.throws(() => fromMessage(message, binding), { code: "ERR_INVALID_HEADER_VALUE", attribute: "subject" });
  for (const message of [undefined, null, 5])
    assert.throws(() => fromMessage(message, "kafka"), { code: "ERR_INVALID_ARGUMENT" });
  assert.throws(() => fromMessage({}, "toString"), { code: "ERR_INVALID_ARGUMENT" });
});

test("JSON as Base64 is the same data as in binary mode", () => {
  for (const [members, data] of [
    [{ datacontenttype: "application/json", data_base64: btoa('{"n":1}') }, { n: 1 }],
    [{ datacontenttype: "application/x+json; charset=utf-8", data_base64: btoa("\xef\xbb\xbf[1]") }, [1]],
    [{ specversion: "0.3", datacontenttype: "application/json", datacontentencoding: "base64", data: btoa("5") }, 5],
    [{ data_base64: btoa("{}") }, new Uint8Array([0x7b, 0x7d])],
    [{ datacontenttype: "image/png", data_base64: btoa("{}") }, new Uint8Array([0x7b, 0x7d])],
  ]) {
    const text = JSON.stringify({ ...base, ...members });
    const event = fromHttp(structured, text);
    assert.deepEqual(event.data, data);
    assert.equal(event.toString(), text);
    const { headers, body } = toBinary(event);
    assert.deepEqual(fromHttp(headers, body).data, data);
    assert.deepEqual(event.with({ subject: "x" }).data, data);
  }
  const broken = fromHttp(
    structured,
    JSON.stringify({ ...base, datacontenttype: "application/json", data_base64: btoa("{") }),
  );
  assert.throws(() => broken.data, { code: "ERR_INVALID_DATA" });
  assert.deepEqual(broken.dataBytes, new Uint8Array([0x7b]));
});

test("bytes of an event of 0.3 stay bytes under a JSON media type", () => {
  const event = new CloudEvent({
    ...base,
    specversion: "0.3",
    datacontenttype: "application/json",
    data: Buffer.from("{}"),
  });
  const { data, datacontentencoding } = JSON.parse(event.toString());
  assert.deepEqual([data, datacontentencoding], ["e30=", "base64"]);
});

test("blanks around a media type are trimmed in headers and refused in attributes", () => {
  assert.equal(fromHttp({ ...binary, "content-type": " text/plain " }, "x").datacontenttype, "text/plain");
  for (const datacontenttype of ["text/plain ", "text/plain\t", "text/plain;\tcharset=utf-8"])
    assert.throws(() => new CloudEvent({ ...base, datacontenttype }), { attribute: "datacontenttype" });
});

test("bytes for Kafka are a Buffer, because clients write other bytes as the text of their numbers", () => {
  const event = new CloudEvent({ ...base, datacontenttype: "application/protobuf", data: new Uint8Array([1, 255]) });
  const json = fromHttp({ ...binary, "content-type": "application/json" }, new TextEncoder().encode("{}"));
  const structuredEvent = CloudEvent.fromJSON(new TextEncoder().encode(JSON.stringify(base)));
  for (const message of [
    toMessage(event, "kafka"),
    toMessage(json, "kafka"),
    toMessage(structuredEvent, "kafka", "structured"),
  ])
    assert.ok(Buffer.isBuffer(message.value));
  assert.deepEqual([...toMessage(event, "kafka").value], [1, 255]);
});

test("the data of an AMQP message are in a Data section, and are read from one or several", () => {
  const event = new CloudEvent({ ...base, data: { n: 1 } });
  const message = toMessage(event, "amqp");
  assert.deepEqual([message.body.typecode, String(message.body.content)], [0x75, '{"n":1}']);
  const read = (body) => fromMessage({ ...message, body }, "amqp");
  for (const body of [
    message.body,
    { typecode: 0x75, content: Buffer.from('{"n":1}') },
    { typecode: 0x75, content: [Buffer.from('{"n"'), Buffer.from(":1}")], multiple: true },
    '{"n":1}',
    new TextEncoder().encode('{"n":1}'),
  ])
    assert.deepEqual(read(body).data, { n: 1 });
  for (const body of [{ typecode: 0x76, content: [1] }, { typecode: 0x75, content: "x" }, 5, {}])
    assert.throws(() => read(body), { code: "ERR_INVALID_ARGUMENT", message: /Data sections/ });
});
