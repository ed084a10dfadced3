// Bodies whose objects come from another realm, as under jsdom and in sandboxes: none is an instance of the classes here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { batchFromHttp, CloudEvent, fromHttp, fromMessage, fromRequest, toBatch, toBinary } from "eventferry";

const realm = createContext({});
const foreign = (code, value) => Object.assign(realm, { value }) && runInContext(code, realm);
const bytesOf = (text) => foreign("Uint8Array.from(value)", [...new TextEncoder().encode(text)]);

const event = new CloudEvent({ type: "t", source: "/s", data: { text: "Euro €" } });
const { headers, body } = toBinary(event);
const foreignHeaders = foreign("({ ...value })", headers);

test("the values of these tests are of another realm", () => {
  assert.equal(bytesOf(body) instanceof Uint8Array, false);
  assert.equal(bytesOf(body).buffer instanceof ArrayBuffer, false);
  assert.equal(foreignHeaders instanceof Object, false);
});

test("fromHttp reads bytes, a buffer and headers of another realm", () => {
  for (const each of [bytesOf(body), bytesOf(body).buffer, foreign("new DataView(value)", bytesOf(body).buffer)])
    assert.equal(fromHttp(foreignHeaders, each).data.text, "Euro €");
});

test("batchFromHttp reads bytes of another realm", () => {
  const batch = toBatch([event, event]);
  assert.equal(batchFromHttp(batch.headers, bytesOf(batch.body)).length, 2);
});

test("fromRequest reads a request whose stream has bytes of another realm", async () => {
  const bytes = bytesOf(body);
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(bytes.subarray(0, 5));
      controller.enqueue(bytes.subarray(5));
      controller.close();
    },
  });
  const request = new Request("http://example.com/", { method: "POST", headers, body: stream, duplex: "half" });
  assert.equal((await fromRequest(request)).data.text, "Euro €");
});

test("fromMessage reads a Kafka message whose value is of another realm", () => {
  const message = { headers: foreign("({ 'content-type': value })", bytesOf("application/cloudevents+json")) };
  assert.equal(fromMessage({ ...message, value: bytesOf(event.toString()) }, "kafka").data.text, "Euro €");
});

test("data of another realm is an event's data", () => {
  const data = foreign("({ list: [1, new Date(0)] })");
  assert.equal(toBinary(event.with({ data })).body, '{"list":[1,"1970-01-01T00:00:00.000Z"]}');
  const binary = new CloudEvent({ type: "t", source: "/s", data: bytesOf("abc") });
  assert.equal(new TextDecoder().decode(binary.dataBytes), "abc");
});
