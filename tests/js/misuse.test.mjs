// Arguments of wrong types, which only TypeScript prevents: each is rejected with a clear error.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CloudEvent,
  EventBatch,
  fromRequest,
  Publisher,
  toBatch,
  toBinary,
  toMessage,
  toRequest,
  toStructured,
  webhook,
} from "eventferry";

const url = "https://example.com/";
const event = new CloudEvent({ type: "t", source: "/s" });
const headers = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
const misuse = { name: "FerryError", code: "ERR_INVALID_ARGUMENT", culprit: "caller" };

test("a value that is not an event, list, format, filter or URL is rejected", () => {
  for (const bad of [undefined, null, 5, {}, "x"]) {
    for (const use of [
      toBinary,
      toStructured,
      (it) => toMessage(it, "kafka"),
      (it) => EventBatch.of([it]),
      (it) => toBatch([it]),
      (it) => toRequest(url, [it]),
    ]) {
      assert.throws(() => use(bad), misuse, `${use} ${bad}`);
    }
    if (bad !== "x") assert.throws(() => toBatch(bad), misuse);
    assert.throws(() => EventBatch.of([event]).filter(bad), misuse);
  }
  assert.throws(() => EventBatch.parse("[]", { format: "xml" }), misuse);
  assert.throws(() => EventBatch.of([event]).toBytes("xml"), misuse);
  assert.throws(() => toRequest("nowhere", event), misuse);
});

test("an object without toString is rejected like any other value", () => {
  const bare = Object.create(null);
  assert.throws(() => toBinary(bare), misuse);
  assert.throws(() => new CloudEvent({ type: "t", source: "/s", ext: bare }), {
    code: "ERR_INVALID_ATTRIBUTE_VALUE",
    attribute: "ext",
  });
});

test("a fetch that does not return a Response rejects send() immediately", async () => {
  for (const answer of [undefined, null, {}, { status: 204 }, "ok"]) {
    const publisher = new Publisher({ url, fetch: async () => answer });
    await assert.rejects(
      publisher.send(event),
      (error) => error.code === "ERR_NETWORK" && /did not return a Response/.test(error.cause.message),
    );
  }
  await assert.rejects(new Publisher({ url }).send(undefined), misuse);
});

test("a limit that is not a number of bytes is rejected", async () => {
  for (const maxBytes of [NaN, -1, "10", null]) {
    await assert.rejects(fromRequest(new Response("x", { headers }), { maxBytes }), misuse);
    assert.throws(() => webhook({ allowedOrigins: "*", onEvent() {}, maxBytes }), misuse);
  }
});

test("a body stream of strings is rejected", async () => {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue("abc");
      controller.close();
    },
  });
  await assert.rejects(fromRequest(new Response(body, { headers })), misuse);
});

test("an authorize function that throws authorizes nothing, and the handler answers 500", async () => {
  const seen = [];
  const handle = webhook({
    allowedOrigins: "*",
    onEvent: () => seen.push("event"),
    authorize() {
      throw new Error("down");
    },
    onError: ({ message }) => seen.push(message),
  });
  assert.equal((await handle(toRequest(url, event))).status, 500);
  assert.deepEqual(seen, ["down"]);
});
