// HTTP messages, also as Request and Response.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  batchFromHttp,
  batchFromRequest,
  CloudEvent,
  contentMode,
  EventBatch,
  fromHttp,
  fromRequest,
  toBatch,
  toBinary,
  toRequest,
  toStructured,
} from "eventferry/cloudevents";

const url = "https://example.com/events";
const event = new CloudEvent({ id: "1", type: "t", source: "/s", time: null, subject: "Euro €", data: { a: 1 } });
const headers = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };

test("an event is the same after a round trip through a Request and a Response in every mode", async () => {
  for (const mode of ["binary", "structured", undefined]) {
    const request = toRequest(url, event, { mode, headers: { authorization: "Bearer x" } });
    assert.equal(request.method, "POST");
    assert.equal(request.headers.get("authorization"), "Bearer x");
    const back = await fromRequest(request);
    assert.deepEqual([back.id, back.subject, back.data], ["1", "Euro €", { a: 1 }]);
    const { headers, body } = mode === "structured" ? toStructured(event) : toBinary(event);
    assert.deepEqual((await fromRequest(new Response(body, { headers }))).data, { a: 1 });
  }
  const request = toRequest(url, [event, event.with({ id: "2" })]);
  assert.equal(contentMode(request.headers), "batch");
  assert.deepEqual(
    [...(await batchFromRequest(request))].map(({ id }) => id),
    ["1", "2"],
  );
  assert.equal((await batchFromRequest(toRequest(url, event))).length, 1);
  assert.equal((await batchFromRequest(toRequest(url, event, { mode: "batch" }))).length, 1);
  assert.throws(() => toRequest(url, [event, event], { mode: "binary" }), { code: "ERR_INVALID_ARGUMENT" });
  assert.equal(toRequest(url, event, { mode: "cors", method: "PUT" }).method, "PUT");
});

test("headers can have any shape, and names in any case", () => {
  const shapes = [
    headers,
    new Headers(headers),
    Object.entries(headers),
    new Map(Object.entries(headers)),
    {
      "CE-SPECVERSION": "1.0",
      "Ce-Id": "1",
      "cE-source": "/s",
      "ce-TYPE": ["t"],
      other: undefined,
      accept: ["a", "b"],
    },
  ];
  for (const shape of shapes) {
    assert.equal(fromHttp(shape, null).id, "1");
    assert.equal(contentMode(shape), "binary");
  }
  assert.throws(() => fromHttp({ ...headers, "CE-ID": "2" }), { code: "ERR_INVALID_EVENT", attribute: "id" });
  assert.throws(() => fromHttp({ ...headers, "ce-x": "1", "CE-X": "2" }), {
    code: "ERR_INVALID_EVENT",
    attribute: "x",
  });
  for (const bad of [undefined, null, "ce-id: 1", 5])
    assert.throws(() => fromHttp(bad, ""), { code: "ERR_INVALID_ARGUMENT" });
});

test("the content type decides the content mode", () => {
  for (const [contentType, mode] of [
    ["application/cloudevents+json", "structured"],
    [" Application/CloudEvents+JSON ; charset=x", "structured"],
    ["application/cloudevents+avro", "structured"],
    ["application/cloudevents-batch+json", "batch"],
    ["APPLICATION/CLOUDEVENTS-BATCH+JSON", "batch"],
    ["application/json", undefined],
    [undefined, undefined],
  ])
    assert.equal(contentMode(contentType === undefined ? {} : { "content-type": contentType }), mode, contentType);
  for (const name of Object.keys(headers)) assert.equal(contentMode({ [name]: "x" }), "binary");
});

test("a structured body takes precedence over ce- headers, even invalid ones", () => {
  const odd = { ...headers, "CE-ID": "twice", "ce-My_Ext": "%ff", "content-type": "application/cloudevents+json" };
  assert.equal(fromHttp(odd, event.toString()).subject, "Euro €");
});

test("event formats other than JSON are rejected", () => {
  for (const contentType of [
    "application/cloudevents",
    "application/cloudevents+xml",
    "application/cloudevents+jsonx",
    "application/cloudevents-batch+avro",
  ]) {
    const read = contentType.includes("batch") ? batchFromHttp : fromHttp;
    assert.throws(() => read({ "content-type": contentType }, "{}"), { code: "ERR_UNSUPPORTED_FORMAT" }, contentType);
  }
  assert.throws(() => fromHttp({ "content-type": "application/cloudevents-batch+json" }, "[]"), {
    code: "ERR_INVALID_EVENT",
  });
  assert.throws(() => fromHttp({ "content-type": "text/plain" }, "x"), { code: "ERR_NOT_A_CLOUDEVENT" });
  assert.throws(() => fromHttp({ "content-type": "application/cloudevents+json" }), { code: "ERR_INVALID_EVENT" });
  assert.throws(() => fromHttp({ ...headers, "content-type": "text/plain" }, 5), { code: "ERR_INVALID_ARGUMENT" });
});

test("an event whose data is a CloudEvent is rejected in binary mode", () => {
  const nested = new CloudEvent({
    type: "t",
    source: "/s",
    datacontenttype: "application/cloudevents+json",
    data: { id: "inner" },
  });
  assert.throws(() => toBinary(nested), { code: "ERR_INVALID_ATTRIBUTE_VALUE", attribute: "datacontenttype" });
  assert.equal(
    fromHttp({ "content-type": "application/cloudevents+json" }, toStructured(nested).body).data.id,
    "inner",
  );
});

test("headers have only printable ASCII", () => {
  for (const message of [toBinary(event.with({ subject: 'a\u00e9\u4e2d😀\u00a0"%' })), toBinary(event)]) {
    for (const [name, value] of Object.entries(message.headers)) {
      assert.match(name, /^[a-z0-9-]+$/);
      assert.match(value, /^[\x21-\x7e]*$/);
    }
    assert.doesNotThrow(() => new Headers(message.headers));
  }
});

test("a body above the limit is rejected and its stream cancelled", async () => {
  let cancelled = 0;
  const endless = () =>
    new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(1000)), cancel: () => void cancelled++ }), {
      headers,
    });
  await assert.rejects(fromRequest(endless(), { maxBytes: 10_000 }), { code: "ERR_TOO_LARGE" });
  assert.equal(cancelled, 1);
  const announced = new Response("x".repeat(100), { headers: { ...headers, "content-length": "100" } });
  await assert.rejects(fromRequest(announced, { maxBytes: 99 }), { code: "ERR_TOO_LARGE" });
  assert.equal(
    (await fromRequest(new Response("x".repeat(100), { headers }), { maxBytes: 100 })).dataBytes.length,
    100,
  );
});

test("an incomplete body is rejected", async () => {
  let sent = 0;
  const broken = new Response(
    new ReadableStream({ pull: (c) => (sent++ ? c.error(new Error("gone")) : c.enqueue(new Uint8Array(5))) }),
    { headers },
  );
  await assert.rejects(fromRequest(broken), { code: "ERR_NETWORK" });
  const used = new Response("x", { headers });
  await used.text();
  await assert.rejects(fromRequest(used), { code: "ERR_INVALID_ARGUMENT" });
});

test("the events of a batch are encoded as they arrived, byte for byte", () => {
  const text = `[ ${event.toString()} ,{"specversion":"1.0","id":"2","source":"/s","type":"t","data":1.0}]`;
  for (const body of [text, new TextEncoder().encode(text)]) {
    const batch = batchFromHttp({ "content-type": "application/cloudevents-batch+json" }, body);
    const out = toBatch(batch).body;
    assert.equal(
      typeof out === "string" ? out : new TextDecoder().decode(out),
      `[${event.toString()},{"specversion":"1.0","id":"2","source":"/s","type":"t","data":1.0}]`,
    );
  }
  assert.equal(toBatch([]).body, "[]");
  assert.throws(
    () => toBatch([event, CloudEvent.fromJSON('{"specversion":"0.3","id":"1","source":"/s","type":"t"}')]),
    { code: "ERR_INVALID_BATCH" },
  );
  assert.throws(() => toBatch([{}]), { code: "ERR_INVALID_ARGUMENT" });
  assert.ok(batchFromHttp(headers, "x") instanceof EventBatch);
});
