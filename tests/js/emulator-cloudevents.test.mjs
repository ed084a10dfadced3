// The CloudEvents service of the emulator: receiving, storing, returning and the OPTIONS requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { batchFromRequest, CloudEvent, fromRequest, toBatch, toBinary, toStructured } from "eventferry/cloudevents";
import { createEmulator, isFerryError } from "eventferry/testing";
import { bytesOf, event, hasCode, ORIGIN, post } from "./emulator-fixtures.mjs";
import { virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("the service receives events in all three content modes and stores them", async () => {
  const emulator = createEmulator();
  const before = virtualClock().unixNow();
  assert.equal((await post(emulator.fetch, "/cloudevents", toBinary(event({ id: "1", subject: "ü %" })))).status, 204);
  await post(emulator.fetch, "/cloudevents/orders", toStructured(event({ id: "2" })), {
    headers: { "x-more": "yes" },
  });
  const batch = toBatch([event({ id: "3" }), event({ id: "4" })]);
  const answer = await post(emulator.fetch, "/cloudevents/orders/", batch);
  assert.equal(await answer.text(), "");
  const { received } = emulator.cloudEvents;
  assert.deepEqual(
    received.map(({ event, mode, channel, seq }) => [event.id, mode, channel, seq]),
    [
      ["1", "binary", "default", 1],
      ["2", "structured", "orders", 2],
      ["3", "batch", "orders", 3],
      ["4", "batch", "orders", 4],
    ],
  );
  assert.equal(received[0].event.subject, "ü %");
  assert.equal(received[0].headers["ce-subject"], "%C3%BC%20%25");
  assert.equal(received[1].headers["x-more"], "yes");
  assert.deepEqual(received[2].rawBody, bytesOf(batch.body));
  assert.equal(received[2].rawBody, received[3].rawBody);
  assert.equal(received[1].url, `${ORIGIN}/cloudevents/orders`);
  assert.ok(received[0].receivedAt.getTime() >= before && received[3].receivedAt.getTime() <= virtualClock().unixNow());
  emulator.cloudEvents.clear();
  assert.deepEqual(emulator.cloudEvents.received, []);
  await post(emulator.fetch, "/cloudevents", toBinary(event()));
  assert.equal(emulator.cloudEvents.received[0].seq, 5);
});

test("the option status makes the service respond with 202", async () => {
  const emulator = createEmulator({ cloudEvents: { status: 202 } });
  assert.equal((await post(emulator.fetch, "/cloudevents", toBinary(event()))).status, 202);
  assert.throws(() => createEmulator({ cloudEvents: { status: 201 } }), hasCode("ERR_INVALID_ARGUMENT"));
});

test("the service refuses invalid messages with a status and the error message", async () => {
  const emulator = createEmulator({ cloudEvents: { maxBodyBytes: 100 } });
  const cases = [
    [
      { "content-type": "application/cloudevents+json" },
      '{"specversion":"1.0","id":"1","source":"/"}',
      400,
      'the attribute "type" is missing\n',
    ],
    [{ "content-type": "application/cloudevents+json" }, "{", 400, /^the text is not an event/],
    [
      { "content-type": "application/cloudevents-batch+json" },
      '[{"specversion":"1.0"}]',
      400,
      /^event 0 of the batch: the attribute "id" is missing/,
    ],
    [{ "content-type": "application/cloudevents+xml" }, "<x/>", 415, /\+json is\n$/],
    [{ "content-type": "application/json" }, "{}", 415, /^the message has no ce- headers/],
    [{}, new Uint8Array(1), 400, /^the message has no ce- headers/],
    [
      { "content-type": "application/cloudevents+json" },
      "x".repeat(101),
      413,
      "the body is larger than the limit of 100 bytes\n",
    ],
  ];
  for (const [headers, body, status, words] of cases) {
    const answer = await post(emulator.fetch, "/cloudevents", { headers, body });
    assert.equal(answer.status, status);
    const text = await answer.text();
    if (words instanceof RegExp) assert.match(text, words);
    else assert.equal(text, words);
  }
  assert.equal(emulator.cloudEvents.received.length, 0);
});

test("unknown addresses and methods get 404, 405 or 400", async () => {
  const { fetch } = createEmulator();
  const statuses = [
    ["GET", "/cloudevents", 405],
    ["PUT", "/cloudevents/x", 405],
    ["POST", "/cloudevents/x/events", 405],
    ["GET", "/cloudevents/x/other", 404],
    ["GET", "/cloudevents/x/stream/1", 404],
    ["GET", "/cloudevents/x/events/1/more", 404],
    ["GET", "/cloudeventsx", 404],
    ["GET", "/", 404],
    ["GET", "/cloudevents/%E0%A4%A/events", 400],
    ["GET", "/cloudevents/x/events/one", 400],
    ["GET", "/cloudevents/x/events?after=-1", 400],
    ["GET", "/cloudevents/x/events?limit=0", 400],
    ["GET", "/cloudevents/x/stream?after=x", 400],
    ["GET", "/cloudevents/x/events/1", 404],
  ];
  for (const [method, path, status] of statuses)
    assert.equal((await fetch(ORIGIN + path, { method })).status, status, `${method} ${path}`);
});

test("the service stores a limited number and size of events and counts the evicted ones", async () => {
  const emulator = createEmulator({ cloudEvents: { maxEvents: 3 } });
  const send = (to, id) => post(to.fetch, "/cloudevents", toBinary(event({ id })));
  for (const id of ["1", "2", "3", "4", "5"]) await send(emulator, id);
  assert.deepEqual(
    emulator.cloudEvents.received.map(({ event }) => event.id),
    ["3", "4", "5"],
  );
  assert.equal(emulator.cloudEvents.dropped, 2);
  assert.equal((await emulator.cloudEvents.waitFor(5)).length, 3);
  emulator.cloudEvents.clear();
  assert.equal(emulator.cloudEvents.dropped, 0);

  const small = createEmulator({ cloudEvents: { maxBytes: 5000 } });
  for (const id of ["1", "2", "3"])
    await post(small.fetch, "/cloudevents", toBinary(event({ id, data: "x".repeat(2000) })));
  assert.deepEqual(
    small.cloudEvents.received.map(({ event }) => event.id),
    ["2", "3"],
  );
  await post(small.fetch, "/cloudevents", toBinary(event({ id: "big", data: "x".repeat(9000) })));
  assert.deepEqual(
    small.cloudEvents.received.map(({ event }) => event.id),
    ["big"],
  );
});

test("waitFor resolves once the events are received, and rejects on timeout and close", async () => {
  const emulator = createEmulator();
  const both = emulator.cloudEvents.waitFor(2);
  await post(emulator.fetch, "/cloudevents", toBinary(event({ id: "a" })));
  await post(emulator.fetch, "/cloudevents", toBinary(event({ id: "b" })));
  assert.deepEqual(
    (await both).map(({ event }) => event.id),
    ["a", "b"],
  );
  await assert.rejects(
    emulator.cloudEvents.waitFor(3, { timeoutMs: 20 }),
    (error) => isFerryError(error, "ERR_TIMEOUT") && error.message === "received 2 of 3 events within 20 ms",
  );
  await assert.rejects(emulator.cloudEvents.waitFor(0), hasCode("ERR_INVALID_ARGUMENT"));
  const never = emulator.cloudEvents.waitFor(3);
  await emulator.close();
  await assert.rejects(never, hasCode("ERR_CLOSED"));
  await assert.rejects(emulator.fetch(`${ORIGIN}/cloudevents`), TypeError);
  await assert.rejects(emulator.listen(), hasCode("ERR_CLOSED"));
});

const odd =
  '{ "type":"t",\r\n"specversion":"1.0","data" : {"big":12345678901234567890, "f":1.0}, "source":"/s","subject":"ü","id":"\\u0041"}';
const structured = { headers: { "content-type": "application/cloudevents+json" }, body: odd };

test("stored events are returned as a batch, byte for byte as they were received", async () => {
  const { fetch } = createEmulator();
  await post(fetch, "/cloudevents/c", structured);
  await post(fetch, "/cloudevents/other", toBinary(event()));
  await post(fetch, "/cloudevents/c", {
    headers: { "content-type": "application/cloudevents-batch+json" },
    body: `[ ${odd} ,${odd}]`,
  });
  const answer = await fetch(`${ORIGIN}/cloudevents/c/events`);
  assert.equal(answer.headers.get("content-type"), "application/cloudevents-batch+json; charset=utf-8");
  assert.equal(await answer.text(), `[${odd},${odd},${odd}]`);
});

test("stored events are returned in pages with one specversion each", async () => {
  const { fetch } = createEmulator();
  for (const specversion of ["1.0", "1.0", "0.3", "1.0"])
    await post(fetch, "/cloudevents/c", toBinary(event({ specversion })));
  const seen = [];
  let next = "/cloudevents/c/events?limit=5";
  while (next) {
    const answer = await fetch(ORIGIN + next);
    next = /<(.*)>; rel="next"/.exec(answer.headers.get("link"))?.[1];
    seen.push([...(await batchFromRequest(answer))].map((event) => event.specversion));
  }
  assert.deepEqual(seen, [["1.0", "1.0"], ["0.3"], ["1.0"]]);
  const page = await batchFromRequest(await fetch(`${ORIGIN}/cloudevents/c/events?after=0&limit=1`));
  assert.equal(page.length, 1);
  assert.equal(await (await fetch(`${ORIGIN}/cloudevents/c/events?after=4`)).text(), "[]");
});

test("a stored event is returned in binary or structured mode", async () => {
  const { fetch } = createEmulator();
  await post(fetch, "/cloudevents/c", structured);
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
  await post(
    fetch,
    "/cloudevents/c",
    toBinary(event({ id: "b", datacontenttype: "application/x-thing", data: bytes, more: "ü" })),
  );
  const asItCame = await fetch(`${ORIGIN}/cloudevents/c/events/1`);
  assert.equal(await asItCame.text(), odd);
  const binary = await fetch(`${ORIGIN}/cloudevents/c/events/1?mode=binary`);
  assert.equal(binary.headers.get("ce-id"), "A");
  assert.equal(await binary.text(), '{"big":12345678901234567890, "f":1.0}');
  const second = await fetch(`${ORIGIN}/cloudevents/c/events/2`);
  assert.equal(second.headers.get("content-type"), "application/x-thing");
  assert.equal(second.headers.get("ce-more"), "%C3%BC");
  assert.match(second.headers.get("access-control-expose-headers"), /\bce-more\b/);
  assert.deepEqual(new Uint8Array(await second.arrayBuffer()), bytes);
  const back = await fromRequest(await fetch(`${ORIGIN}/cloudevents/c/events/2?mode=structured`));
  assert.deepEqual(back.dataBytes, bytes);
  assert.equal((await fetch(`${ORIGIN}/cloudevents/c/events/2?mode=batch`)).status, 400);
  assert.equal((await fetch(`${ORIGIN}/cloudevents/other/events/2`)).status, 404);
  await post(fetch, "/cloudevents/c", {
    headers: structured.headers,
    body: '{"specversion":"0.3","id":"1","source":"/","type":"t","map":{"a":1}}',
  });
  assert.equal((await fetch(`${ORIGIN}/cloudevents/c/events/3?mode=binary`)).status, 406);
});

test("an event without data is returned without data and content type", async () => {
  const { fetch } = createEmulator();
  await post(fetch, "/cloudevents", toBinary(new CloudEvent({ type: "t", source: "/" })));
  const answer = await fetch(`${ORIGIN}/cloudevents/default/events/1?mode=binary`);
  assert.equal(answer.headers.get("content-type"), null);
  assert.equal((await fromRequest(answer)).data, undefined);
});

test("OPTIONS answers the web hook handshake", async () => {
  const { fetch } = createEmulator();
  const answer = await fetch(`${ORIGIN}/cloudevents/c`, {
    method: "OPTIONS",
    headers: { "webhook-request-origin": "sender.example", "webhook-request-rate": "120" },
  });
  assert.equal(answer.headers.get("webhook-allowed-origin"), "*");
  assert.equal(answer.headers.get("webhook-allowed-rate"), "120");
  assert.match(answer.headers.get("allow"), /POST/);
});

test("every page may read responses, including those of faults", async () => {
  const emulator = createEmulator();
  emulator.faults.add({ status: 503, headers: { "retry-after": "2" } });
  const asked = await emulator.fetch(`${ORIGIN}/cloudevents/c`, {
    method: "OPTIONS",
    headers: {
      origin: "http://127.0.0.1:1",
      "access-control-request-method": "POST",
      "access-control-request-headers": "ce-id,content-type",
    },
  });
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get("access-control-allow-origin"), "*");
  assert.equal(asked.headers.get("access-control-allow-headers"), "ce-id,content-type");
  assert.equal(asked.headers.get("access-control-allow-methods"), "POST");
  const answer = await post(emulator.fetch, "/cloudevents/c", toBinary(event()));
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  assert.equal(answer.headers.get("access-control-expose-headers"), "retry-after");
});
