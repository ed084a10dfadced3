// The emulator: each thing it promises, through its fetch handler and over real sockets.
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createServer, connect } from "node:net";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  CloudEvent,
  EventBatch,
  batchFromRequest,
  fromHttp,
  fromRequest,
  toBatch,
  toBinary,
  toStructured,
} from "../../dist/entries/cloudevents.js";
import { createEmulator, isFerryError } from "../../dist/entries/testing.js";

const HERE = "http://emulator.test";
const event = (more = {}) => new CloudEvent({ type: "com.example.tested", source: "/tests", data: { n: 1 }, ...more });
const post = (send, path, message, init = {}) =>
  send(HERE + path, {
    method: "POST",
    ...message,
    body: bytesOf(message.body),
    ...init,
    headers: { ...message.headers, ...init.headers },
  });
const bytesOf = (body) => (typeof body === "string" ? new TextEncoder().encode(body) : body);
const until = async (isSo, what) => {
  for (let tries = 0; tries < 200; tries++) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`waited in vain until ${what}`);
};
const abortAfter = (ms) => {
  const aborter = new AbortController();
  setTimeout(() => aborter.abort(), ms);
  return aborter.signal;
};
const refused = (code) => (error) => isFerryError(error, code);

/** Runs `body` with an emulator that listens; everything is closed afterwards. */
async function listening(options, body) {
  const emulator = createEmulator(options);
  try {
    const { url } = await emulator.listen();
    await body(emulator, url);
  } finally {
    await emulator.close();
  }
}

/** Reads server-sent events as the standard says, one block at a time. */
async function* blocks(response) {
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const block = { data: [] };
      for (const line of text.slice(0, end).split("\n")) {
        const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
        if (field === "") block.comment = value;
        else if (field === "data") block.data.push(value);
        else block[field] = value;
      }
      text = text.slice(end + 2);
      yield { ...block, data: block.data.length > 0 ? block.data.join("\n") : undefined };
    }
  }
}

/** The next blocks that carry an event. */
async function take(stream, count) {
  const found = [];
  while (found.length < count) {
    const { value, done } = await stream.next();
    if (done) break;
    if (value.data !== undefined) found.push(value);
  }
  return found;
}

/** Sends bytes as they are and gives back what comes until the other side closes. */
function raw(url, bytes, { keepOpen = false } = {}) {
  const { port } = new URL(url);
  return new Promise((resolve) => {
    const chunks = [];
    let error;
    const socket = connect(Number(port), "127.0.0.1", () => (keepOpen ? socket.write(bytes) : socket.end(bytes)));
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", (problem) => (error = problem.code));
    socket.on("close", () => resolve({ text: Buffer.concat(chunks).toString("latin1"), error }));
  });
}

describe("takes events", () => {
  test("in all three modes, and keeps what came", async () => {
    const emulator = createEmulator();
    const before = Date.now();
    assert.equal(
      (await post(emulator.fetch, "/cloudevents", toBinary(event({ id: "1", subject: "ü %" })))).status,
      204,
    );
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
    assert.equal(received[1].url, `${HERE}/cloudevents/orders`);
    assert.ok(received[0].receivedAt.getTime() >= before && received[3].receivedAt.getTime() <= Date.now());
    emulator.cloudEvents.clear();
    assert.deepEqual(emulator.cloudEvents.received, []);
    await post(emulator.fetch, "/cloudevents", toBinary(event()));
    assert.equal(emulator.cloudEvents.received[0].seq, 5);
  });

  test("with 202 where that is wanted", async () => {
    const emulator = createEmulator({ cloudEvents: { status: 202 } });
    assert.equal((await post(emulator.fetch, "/cloudevents", toBinary(event()))).status, 202);
    assert.throws(() => createEmulator({ cloudEvents: { status: 201 } }), refused("ERR_INVALID_ARGUMENT"));
  });

  test("and refuses others with the words of the error", async () => {
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

  test("and knows its addresses", async () => {
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
      assert.equal((await fetch(HERE + path, { method })).status, status, `${method} ${path}`);
  });

  test("up to a number and a size, and counts what went", async () => {
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

  test("and waitFor tells when they are there", async () => {
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
      (error) => isFerryError(error, "ERR_TIMEOUT") && error.message === "2 of 3 events came within 20 ms",
    );
    await assert.rejects(emulator.cloudEvents.waitFor(0), refused("ERR_INVALID_ARGUMENT"));
    const never = emulator.cloudEvents.waitFor(3);
    await emulator.close();
    await assert.rejects(never, refused("ERR_CLOSED"));
    await assert.rejects(emulator.fetch(`${HERE}/cloudevents`), TypeError);
    await assert.rejects(emulator.listen(), refused("ERR_CLOSED"));
  });
});

describe("gives events back", () => {
  const odd =
    '{ "type":"t",\r\n"specversion":"1.0","data" : {"big":12345678901234567890, "f":1.0}, "source":"/s","subject":"ü","id":"\\u0041"}';
  const structured = { headers: { "content-type": "application/cloudevents+json" }, body: odd };

  test("as a batch, byte for byte as they came", async () => {
    const { fetch } = createEmulator();
    await post(fetch, "/cloudevents/c", structured);
    await post(fetch, "/cloudevents/other", toBinary(event()));
    await post(fetch, "/cloudevents/c", {
      headers: { "content-type": "application/cloudevents-batch+json" },
      body: `[ ${odd} ,${odd}]`,
    });
    const answer = await fetch(`${HERE}/cloudevents/c/events`);
    assert.equal(answer.headers.get("content-type"), "application/cloudevents-batch+json; charset=UTF-8");
    assert.equal(await answer.text(), `[${odd},${odd},${odd}]`);
  });

  test("in pages, each of one version", async () => {
    const { fetch } = createEmulator();
    for (const specversion of ["1.0", "1.0", "0.3", "1.0"])
      await post(fetch, "/cloudevents/c", toBinary(event({ specversion })));
    const seen = [];
    let next = "/cloudevents/c/events?limit=5";
    while (next) {
      const answer = await fetch(HERE + next);
      next = /<(.*)>; rel="next"/.exec(answer.headers.get("link"))?.[1];
      seen.push([...(await batchFromRequest(answer))].map((event) => event.specversion));
    }
    assert.deepEqual(seen, [["1.0", "1.0"], ["0.3"], ["1.0"]]);
    const page = await batchFromRequest(await fetch(`${HERE}/cloudevents/c/events?after=0&limit=1`));
    assert.equal(page.length, 1);
    assert.equal(await (await fetch(`${HERE}/cloudevents/c/events?after=4`)).text(), "[]");
  });

  test("one by one, in either mode", async () => {
    const { fetch } = createEmulator();
    await post(fetch, "/cloudevents/c", structured);
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    await post(
      fetch,
      "/cloudevents/c",
      toBinary(event({ id: "b", datacontenttype: "application/x-thing", data: bytes, more: "ü" })),
    );
    const asItCame = await fetch(`${HERE}/cloudevents/c/events/1`);
    assert.equal(await asItCame.text(), odd);
    const binary = await fetch(`${HERE}/cloudevents/c/events/1?mode=binary`);
    assert.equal(binary.headers.get("ce-id"), "A");
    assert.equal(await binary.text(), '{"big":12345678901234567890, "f":1.0}');
    const second = await fetch(`${HERE}/cloudevents/c/events/2`);
    assert.equal(second.headers.get("content-type"), "application/x-thing");
    assert.equal(second.headers.get("ce-more"), "%C3%BC");
    assert.match(second.headers.get("access-control-expose-headers"), /\bce-more\b/);
    assert.deepEqual(new Uint8Array(await second.arrayBuffer()), bytes);
    const back = await fromRequest(await fetch(`${HERE}/cloudevents/c/events/2?mode=structured`));
    assert.deepEqual(back.dataBytes, bytes);
    assert.equal((await fetch(`${HERE}/cloudevents/c/events/2?mode=batch`)).status, 400);
    assert.equal((await fetch(`${HERE}/cloudevents/other/events/2`)).status, 404);
    await post(fetch, "/cloudevents/c", {
      headers: structured.headers,
      body: '{"specversion":"0.3","id":"1","source":"/","type":"t","map":{"a":1}}',
    });
    assert.equal((await fetch(`${HERE}/cloudevents/c/events/3?mode=binary`)).status, 406);
  });

  test("without data and content type where there are none", async () => {
    const { fetch } = createEmulator();
    await post(fetch, "/cloudevents", toBinary(new CloudEvent({ type: "t", source: "/" })));
    const answer = await fetch(`${HERE}/cloudevents/default/events/1?mode=binary`);
    assert.equal(answer.headers.get("content-type"), null);
    assert.equal((await fromRequest(answer)).data, undefined);
  });
});

describe("streams", () => {
  const odd = '{"specversion":"1.0",\r\n"id":"odd",\r"source":"/",\n"type":"t","data":"a\\nb"}';

  test("live, with events over several lines", async () => {
    const emulator = createEmulator();
    await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: "before" })));
    const answer = await emulator.fetch(`${HERE}/cloudevents/c/stream`);
    assert.equal(answer.headers.get("content-type"), "text/event-stream; charset=utf-8");
    const stream = blocks(answer);
    assert.deepEqual((await stream.next()).value, { retry: "1000", id: "1", data: undefined });
    const first = take(stream, 1);
    await post(emulator.fetch, "/cloudevents/elsewhere", toBinary(event({ id: "elsewhere" })));
    await post(emulator.fetch, "/cloudevents/c", {
      headers: { "content-type": "application/cloudevents+json" },
      body: odd,
    });
    const [{ id, data }] = await first;
    assert.equal(id, "3");
    assert.equal(data, odd.replace("\r\n", "\n").replace("\r", "\n"));
    assert.equal(CloudEvent.fromJSON(data).data, "a\nb");
    await stream.return();
    await emulator.close();
  });

  test("resume where the reader was", async () => {
    const emulator = createEmulator();
    for (let id = 1; id <= 200; id++) await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: String(id) })));
    const ids = async (path, headers, count) => {
      const stream = blocks(await emulator.fetch(`${HERE}/cloudevents/c/${path}`, { headers }));
      const found = await take(stream, count);
      await stream.return();
      return found.map(({ id, data }) => (assert.equal(CloudEvent.fromJSON(data).id, id), Number(id)));
    };
    assert.deepEqual(
      await ids("stream?after=0", {}, 200),
      Array.from({ length: 200 }, (_, at) => at + 1),
    );
    assert.deepEqual(await ids("stream?after=198", {}, 2), [199, 200]);
    assert.deepEqual(await ids("stream?after=0", { "last-event-id": "197" }, 3), [198, 199, 200]);
    assert.deepEqual(await ids("stream?after=199", { "last-event-id": "not ours" }, 1), [200]);
    assert.deepEqual(await ids("stream", { "last-event-id": "5000" }, 1), [1], "an id of an emulator before this one");
    await emulator.close();
  });

  test("say what is gone, and that they live", async () => {
    const emulator = createEmulator({ cloudEvents: { maxEvents: 2, heartbeatMs: 10 } });
    for (const id of ["1", "2", "3"]) await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id })));
    const stream = blocks(await emulator.fetch(`${HERE}/cloudevents/c/stream?after=0`));
    assert.equal((await stream.next()).value.comment, "events before 2 are gone");
    await take(stream, 2);
    assert.deepEqual((await stream.next()).value, { comment: "", data: undefined });
    await stream.return();
  });

  test("end when the reader aborts, and when the emulator is closed", async () => {
    const emulator = createEmulator();
    const aborter = new AbortController();
    const stream = blocks(await emulator.fetch(`${HERE}/cloudevents/c/stream`, { signal: aborter.signal }));
    await stream.next();
    const rest = stream.next();
    aborter.abort();
    assert.equal((await rest).done, true);
    const other = blocks(await emulator.fetch(`${HERE}/cloudevents/c/stream`));
    await other.next();
    const otherRest = other.next();
    await emulator.close();
    assert.equal((await otherRest).done, true);
  });
});

describe("forwards", () => {
  test("in order, in the mode that is wanted, and counts", async () => {
    const [first, second] = [createEmulator(), createEmulator()];
    const same = first.cloudEvents.forwardTo(`${HERE}/cloudevents/same`, {
      fetch: second.fetch,
      headers: { "x-by": "test" },
    });
    const structured = first.cloudEvents.forwardTo(`${HERE}/cloudevents/structured`, {
      fetch: second.fetch,
      mode: "structured",
    });
    second.faults.add({ match: "/cloudevents/same", status: 503, times: 1 });
    await post(first.fetch, "/cloudevents", toBinary(event({ id: "refused" })));
    await post(first.fetch, "/cloudevents", toBatch([event({ id: "1" }), event({ id: "2" })]));
    await post(first.fetch, "/cloudevents", toBinary(event({ id: "3" })));
    await Promise.all([same.idle(), structured.idle()]);
    assert.deepEqual([same.delivered, same.failed, structured.delivered, structured.failed], [3, 1, 4, 0]);
    assert.ok(isFerryError(same.lastError, "ERR_REJECTED"));
    assert.equal(same.lastError.status, 503);
    const at = (channel) => second.cloudEvents.received.filter((it) => it.channel === channel);
    assert.deepEqual(
      at("same").map(({ event, mode }) => [event.id, mode]),
      [
        ["1", "batch"],
        ["2", "batch"],
        ["3", "binary"],
      ],
    );
    assert.equal(at("same")[0].headers["x-by"], "test");
    assert.ok(at("structured").every(({ mode }) => mode === "structured"));
    same.stop();
    structured.stop();
    await post(first.fetch, "/cloudevents", toBinary(event()));
    await same.idle();
    assert.equal(same.delivered + same.failed, 4);
    assert.throws(() => first.cloudEvents.forwardTo("nowhere"), refused("ERR_INVALID_ARGUMENT"));
    assert.throws(() => first.cloudEvents.forwardTo(HERE, { mode: "other" }), refused("ERR_INVALID_ARGUMENT"));
  });

  test("gives up a message that takes too long, or when it is stopped", async () => {
    const [first, second] = [createEmulator(), createEmulator()];
    second.faults.add({ hang: true });
    const forwarding = first.cloudEvents.forwardTo(`${HERE}/cloudevents`, { fetch: second.fetch, timeoutMs: 20 });
    await post(first.fetch, "/cloudevents", toBinary(event()));
    await forwarding.idle();
    assert.ok(isFerryError(forwarding.lastError, "ERR_TIMEOUT"));
    const other = first.cloudEvents.forwardTo(`${HERE}/cloudevents`, { fetch: second.fetch });
    await post(first.fetch, "/cloudevents", toBinary(event()));
    setTimeout(() => other.stop(), 10);
    await other.idle();
    assert.equal(other.failed, 1);
  });
});

describe("OPTIONS", () => {
  test("shakes hands with web hooks", async () => {
    const { fetch } = createEmulator();
    const answer = await fetch(`${HERE}/cloudevents/c`, {
      method: "OPTIONS",
      headers: { "webhook-request-origin": "sender.example", "webhook-request-rate": "120" },
    });
    assert.equal(answer.headers.get("webhook-allowed-origin"), "*");
    assert.equal(answer.headers.get("webhook-allowed-rate"), "120");
    assert.match(answer.headers.get("allow"), /POST/);
  });

  test("lets every page in, also to answers of faults", async () => {
    const emulator = createEmulator();
    emulator.faults.add({ status: 503, headers: { "retry-after": "2" } });
    const asked = await emulator.fetch(`${HERE}/cloudevents/c`, {
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
});

describe("faults", () => {
  const deliver = (emulator, path = "/cloudevents/c", init) => post(emulator.fetch, path, toBinary(event()), init);

  test("answer in place of the service, as often as they should", async () => {
    const emulator = createEmulator();
    const fault = emulator.faults.add({
      match: "/cloudevents/c",
      status: 429,
      headers: { "retry-after": "3" },
      body: "slow down",
      times: 2,
    });
    assert.equal((await deliver(emulator, "/cloudevents/other")).status, 204);
    const answer = await deliver(emulator);
    assert.deepEqual([answer.status, answer.headers.get("retry-after"), await answer.text()], [429, "3", "slow down"]);
    assert.equal(emulator.faults.list.length, 1);
    await deliver(emulator);
    assert.equal(emulator.faults.list.length, 0);
    assert.equal(fault.hits, 2);
    assert.equal((await deliver(emulator)).status, 204);
    assert.equal(emulator.cloudEvents.received.length, 2);
  });

  test("choose by a function, in the order they were added, and can be removed", async () => {
    const emulator = createEmulator();
    const first = emulator.faults.add({ match: (request) => request.headers.get("x-who") === "me", status: 500 });
    emulator.faults.add({ status: 503 });
    assert.equal((await deliver(emulator, undefined, { headers: { "x-who": "me" } })).status, 500);
    assert.equal((await deliver(emulator)).status, 503);
    first.remove();
    assert.equal((await deliver(emulator, undefined, { headers: { "x-who": "me" } })).status, 503);
    emulator.faults.clear();
    assert.equal((await deliver(emulator)).status, 204);
  });

  test("strike at random, but the same requests for the same seed", async () => {
    const run = async (seed) => {
      const emulator = createEmulator();
      emulator.faults.add({ status: 503, probability: 0.3, seed });
      let struck = "";
      for (let at = 0; at < 300; at++) struck += (await deliver(emulator)).status === 503 ? "x" : ".";
      return struck;
    };
    const [one, again, two] = [await run(1), await run(1), await run(2)];
    assert.equal(one, again);
    assert.notEqual(one, two);
    const hits = one.replaceAll(".", "").length;
    assert.ok(hits > 60 && hits < 120, `${hits} of 300`);
  });

  test("delay, and stop waiting when the caller does", async () => {
    const emulator = createEmulator();
    emulator.faults.add({ delayMs: 30 });
    const start = performance.now();
    assert.equal((await deliver(emulator)).status, 204);
    assert.ok(performance.now() - start >= 28);
    emulator.faults.clear();
    emulator.faults.add({ delayMs: 60_000 });
    await assert.rejects(deliver(emulator, undefined, { signal: abortAfter(20) }), { name: "AbortError" });
    await assert.rejects(deliver(emulator, undefined, { signal: AbortSignal.abort() }), { name: "AbortError" });
    assert.equal(emulator.cloudEvents.received.length, 1);
  });

  test("hang until the caller aborts or the emulator is closed", async () => {
    const emulator = createEmulator();
    emulator.faults.add({ hang: true });
    await assert.rejects(deliver(emulator, undefined, { signal: abortAfter(20) }), { name: "AbortError" });
    const hanging = deliver(emulator);
    setTimeout(() => emulator.close(), 10);
    await assert.rejects(hanging, TypeError);
  });

  test("break the connection, before or after the event is stored", async () => {
    const emulator = createEmulator();
    emulator.faults.add({ reset: true, times: 1 });
    await assert.rejects(deliver(emulator), TypeError);
    assert.equal(emulator.cloudEvents.received.length, 0);
    emulator.faults.add({ after: "store", reset: true, times: 1 });
    await assert.rejects(deliver(emulator), TypeError);
    assert.equal(emulator.cloudEvents.received.length, 1);
    emulator.faults.add({ after: "store", status: 500, times: 1 });
    assert.equal((await deliver(emulator)).status, 500);
    assert.equal(emulator.cloudEvents.received.length, 2);
  });

  test("cut a body", async () => {
    const emulator = createEmulator();
    await deliver(emulator);
    emulator.faults.add({ cutBodyAfter: 10 });
    const answer = await emulator.fetch(`${HERE}/cloudevents/c/events`);
    const reader = answer.body.getReader();
    assert.equal((await reader.read()).value.length, 10);
    await assert.rejects(reader.read(), TypeError);
    await assert.rejects(deliver(emulator), TypeError, "an answer without a body is reset");
    emulator.faults.clear();
    emulator.faults.add({ body: "short", cutBodyAfter: 100 });
    await assert.rejects((await deliver(emulator)).text(), TypeError);
  });

  test("add headers to the answer of the service", async () => {
    const emulator = createEmulator();
    emulator.faults.add({ headers: { "x-odd": "1" } });
    const answer = await deliver(emulator);
    assert.deepEqual([answer.status, answer.headers.get("x-odd")], [204, "1"]);
  });

  test("are refused where they make no sense", () => {
    const { faults } = createEmulator();
    const bad = [
      null,
      {},
      { times: 1 },
      { status: 99 },
      { status: 600 },
      { status: 503.5 },
      { status: 500, times: 0 },
      { status: 500, probability: 2 },
      { status: 500, seed: 0.5 },
      { delayMs: -1 },
      { delayMs: 2 ** 31 },
      { hang: true, reset: true },
      { hang: true, status: 500 },
      { reset: true, body: "x" },
      { hang: true, cutBodyAfter: 1 },
      { status: 204, body: "x" },
      { reset: true, after: "later" },
      { reset: true, match: 7 },
    ];
    for (const fault of bad)
      assert.throws(() => faults.add(fault), refused("ERR_INVALID_ARGUMENT"), JSON.stringify(fault));
    assert.equal(faults.list.length, 0);
  });
});

describe("services of one's own", () => {
  test("stand beside ours, and their failures are answered", async () => {
    const emulator = createEmulator({
      services: [
        { prefix: "/", handle: (_, url) => new Response(`root ${url.pathname}`) },
        {
          prefix: "/mine/deep",
          handle: () => {
            throw new Error("on purpose");
          },
        },
        { prefix: "/mine", handle: () => new Response("mine") },
      ],
    });
    const text = async (path) => (await emulator.fetch(HERE + path)).text();
    assert.deepEqual(
      [await text("/other"), await text("/mine"), await text("/mine/x"), await text("/minex")],
      ["root /other", "mine", "mine", "root /minex"],
    );
    const failed = await emulator.fetch(`${HERE}/mine/deep/x`);
    assert.equal(failed.status, 500);
    assert.equal(await failed.text(), "the service /mine/deep failed: on purpose\n");
    for (const prefix of ["mine", "/mine/", "/a?b", "/cloudevents"]) {
      assert.throws(
        () => createEmulator({ services: [{ prefix, handle: () => new Response() }] }),
        refused("ERR_INVALID_ARGUMENT"),
        prefix,
      );
    }
  });
});

describe("over a socket", () => {
  test("takes headers as they are: doubled ones joined, bytes as Latin-1", () =>
    listening({}, async (emulator, url) => {
      const head = [
        "POST /cloudevents/c HTTP/1.1",
        "Host: x",
        "ce-specversion: 1.0",
        "CE-ID: 1",
        "ce-source: /",
        "ce-type: t",
        "X-Twice: a",
        "x-twice: b",
        "X-Latin: \xfc\xff",
        "Content-Length: 2",
        "",
        "{}",
      ];
      const { text } = await raw(url, Buffer.from(head.join("\r\n"), "latin1"), { keepOpen: true });
      assert.match(text, /^HTTP\/1\.1 204 /);
      assert.match(text, /\r\nconnection: close\r\n/i, "no connection is kept, so that no client resends by itself");
      const [{ headers, url: at }] = emulator.cloudEvents.received;
      assert.equal(headers["x-twice"], "a, b");
      assert.equal(headers["x-latin"], "\xfc\xff");
      assert.equal(at, `${url}/cloudevents/c`);
    }));

  test("refuses heads and bodies that are too large, and what is not HTTP", () =>
    listening({ maxHeaderBytes: 4096, cloudEvents: { maxBodyBytes: 1000 } }, async (emulator, url) => {
      const answer = await post(
        (path, init) => fetch(path.replace(HERE, url), init),
        "/cloudevents",
        toStructured(event({ data: "x".repeat(100_000) })),
      );
      assert.equal(answer.status, 413);
      const endless = async function* () {
        for (let at = 0; at < 100; at++) yield new Uint8Array(1000);
      };
      const streamed = await fetch(`${url}/cloudevents`, {
        method: "POST",
        headers: { "content-type": "application/cloudevents+json" },
        body: ReadableStream.from(endless()),
        duplex: "half",
      });
      assert.equal(streamed.status, 413);
      assert.match(
        (await raw(url, `GET / HTTP/1.1\r\nHost: x\r\nx-long: ${"x".repeat(5000)}\r\n\r\n`)).text,
        /^HTTP\/1\.1 431 /,
      );
      assert.match((await raw(url, "what?\r\n\r\n")).text, /^HTTP\/1\.1 400 /);
      assert.match(
        (await raw(url, "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", { keepOpen: true })).text,
        /^HTTP\/1\.1 400 /,
      );
      assert.equal((await fetch(`${url}/cloudevents`)).status, 405);
      assert.equal(emulator.cloudEvents.received.length, 0);
    }));

  test("streams live and resumes", () =>
    listening({}, async (emulator, url) => {
      const first = blocks(await fetch(`${url}/cloudevents/c/stream`));
      await first.next();
      await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: "1" })));
      const [{ id }] = await take(first, 1);
      await first.return();
      await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: "2" })));
      const second = blocks(await fetch(`${url}/cloudevents/c/stream`, { headers: { "last-event-id": id } }));
      assert.equal(CloudEvent.fromJSON((await take(second, 1))[0].data).id, "2");
      await second.return();
    }));

  test("a request is read while it is still being sent", () =>
    listening({ services: [{ prefix: "/echo", handle: (request) => new Response(request.body) }] }, async (_, url) => {
      let send;
      const body = new ReadableStream({ start: (controller) => void (send = controller) });
      send.enqueue(new TextEncoder().encode("one"));
      const answer = await fetch(`${url}/echo`, { method: "POST", body, duplex: "half" });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      assert.equal((await reader.read()).value, "one");
      send.enqueue(new TextEncoder().encode("two"));
      assert.equal((await reader.read()).value, "two");
      send.close();
      assert.equal((await reader.read()).done, true);
    }));

  test("large bodies come through whole both ways", () =>
    listening({ services: [{ prefix: "/echo", handle: (request) => new Response(request.body) }] }, async (_, url) => {
      const bytes = new Uint8Array(5_000_000).map((_, at) => at * 31);
      const answer = await fetch(`${url}/echo`, { method: "POST", body: bytes });
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(bytes)));
    }));

  test("a request that breaks off is not an event", () =>
    listening({}, async (emulator, url) => {
      await raw(
        url,
        "POST /cloudevents HTTP/1.1\r\nHost: x\r\nce-id: 1\r\nce-specversion: 1.0\r\nce-source: /\r\nce-type: t\r\nContent-Length: 10\r\n\r\n12345",
      );
      assert.equal(emulator.cloudEvents.received.length, 0);
    }));

  test("faults reach the socket: reset, half a body, lost answer", () =>
    listening({}, async (emulator, url) => {
      const send = () =>
        post((path, init) => fetch(path.replace(HERE, url), init), "/cloudevents/c", toBinary(event()));
      emulator.faults.add({ reset: true, times: 1 });
      await assert.rejects(
        send(),
        (error) => error instanceof TypeError && /ECONNRESET|UND_ERR_SOCKET/.test(error.cause?.code),
      );
      assert.equal(emulator.cloudEvents.received.length, 0);
      emulator.faults.add({ after: "store", reset: true, times: 1 });
      await assert.rejects(send(), TypeError);
      assert.equal(emulator.cloudEvents.received.length, 1);
      emulator.faults.add({ body: "0123456789", cutBodyAfter: 4, times: 1 });
      const { text } = await raw(url, "GET /cloudevents/c HTTP/1.1\r\nHost: x\r\n\r\n", { keepOpen: true });
      assert.match(text, /\r\n\r\n4\r\n0123\r\n$/, "four bytes and no end");
      emulator.faults.add({ body: "0123456789", cutBodyAfter: 4, times: 1 });
      await assert.rejects(
        fetch(`${url}/cloudevents/c`).then((answer) => answer.text()),
        TypeError,
      );
      emulator.faults.add({ status: 503, delayMs: 20, times: 1 });
      assert.equal((await send()).status, 503);
      assert.equal((await send()).status, 204);
    }));

  test("a client that leaves ends what hangs and what streams", () =>
    listening({}, async (emulator, url) => {
      let ended = 0;
      emulator.faults.add({
        match: (request) => (request.signal.addEventListener("abort", () => ended++), request.url.endsWith("/hang")),
        hang: true,
      });
      const aborter = new AbortController();
      const hanging = fetch(`${url}/cloudevents/hang`, { method: "POST", signal: aborter.signal });
      await blocks(await fetch(`${url}/cloudevents/c/stream`, { signal: aborter.signal })).next();
      aborter.abort();
      await assert.rejects(hanging, { name: "AbortError" });
      await until(() => ended === 2, "both have ended");
    }));

  test("close ends everything at once, and leaves nothing behind", async () => {
    const handles = () => process.getActiveResourcesInfo().filter((name) => /TCP|Server/.test(name)).length;
    const emulator = createEmulator();
    const before = handles();
    const server = await emulator.listen();
    emulator.faults.add({ match: "/cloudevents/hang", hang: true });
    const hanging = Array.from({ length: 12 }, () =>
      assert.rejects(fetch(`${server.url}/cloudevents/hang`), TypeError),
    );
    const streams = await Promise.all(Array.from({ length: 12 }, () => fetch(`${server.url}/cloudevents/c/stream`)));
    const unread = await fetch(`${server.url}/cloudevents/c/stream?after=0`);
    const halfSent = raw(server.url, "POST /cloudevents HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1", {
      keepOpen: true,
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    const start = performance.now();
    await Promise.all([server.close(), server.close()]);
    assert.ok(performance.now() - start < 500, "at once");
    await Promise.all([...hanging, halfSent]);
    for (const stream of [...streams, unread]) await assert.rejects(stream.text());
    await until(() => handles() <= before, "all sockets are gone");
    // The emulator itself goes on, and can listen again on the same port.
    const again = await emulator.listen(Number(new URL(server.url).port));
    assert.equal(again.url, server.url);
    await emulator.close();
    await assert.rejects(fetch(again.url), TypeError);
  });

  test("says that a port is taken", async () => {
    const other = createServer();
    await new Promise((resolve) => other.listen(0, "127.0.0.1", resolve));
    const emulator = createEmulator();
    await assert.rejects(
      emulator.listen(other.address().port),
      (error) => isFerryError(error, "ERR_INVALID_ARGUMENT") && error.cause.code === "EADDRINUSE",
    );
    await assert.rejects(emulator.listen(70_000), refused("ERR_INVALID_ARGUMENT"));
    await new Promise((resolve) => other.close(resolve));
  });
});

describe("real events", () => {
  // An official collection, which is not part of the repository.
  const folder = join(dirname(fileURLToPath(import.meta.url)), "../../../shared/cases/real_events");
  const files = existsSync(folder)
    ? readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".json"))
    : [];

  /** What is an event is read as it is; what is only a payload, or breaks a rule of events, becomes the data of one. */
  const eventOf = (file) => {
    const bytes = new Uint8Array(readFileSync(join(folder, file)));
    const value = JSON.parse(new TextDecoder().decode(bytes));
    // One of Google's has an attribute called methodName, which CloudEvents 1.0 forbids.
    const isEvent =
      "specversion" in value && Object.keys(value).every((name) => /^([a-z0-9]+|data_base64)$/.test(name));
    if (isEvent) return CloudEvent.fromJSON(bytes);
    const headers = {
      "ce-specversion": "1.0",
      "ce-id": file,
      "ce-source": "/real",
      "ce-type": value.context?.type ?? "google.data",
      "content-type": "application/json",
    };
    return fromHttp(headers, bytes);
  };

  test(
    "come back byte for byte through each mode",
    { skip: files.length === 0 && "the folder of real events is not here" },
    () =>
      listening({}, async (emulator, url) => {
        const send = (message) => post((path, init) => fetch(path.replace(HERE, url), init), "/cloudevents/c", message);
        const events = files.map(eventOf);
        for (const event of events) assert.equal((await send(toBinary(event))).status, 204);
        for (const event of events) assert.equal((await send(toStructured(event))).status, 204);
        assert.equal((await send(toBatch(EventBatch.of(events)))).status, 204);
        const received = await emulator.cloudEvents.waitFor(3 * events.length);
        const replayed = [...(await batchFromRequest(await fetch(`${url}/cloudevents/c/events`)))];
        assert.equal(replayed.length, received.length);
        const one = async ({ seq }, mode) =>
          fromRequest(await fetch(`${url}/cloudevents/c/events/${seq}?mode=${mode}`));
        for (const [at, entry] of received.entries()) {
          const sent = events[at % events.length];
          const name = files[at % events.length];
          const inJson = [await one(entry, "structured"), replayed[at]];
          const asBytes = [entry.event, await one(entry, "binary")];
          for (const event of [...inJson, ...asBytes]) {
            assert.equal(event.id, sent.id, name);
            assert.deepEqual({ ...event.extensions }, { ...sent.extensions });
            // In the JSON format white space around a value is not part of it; all else is the same byte for byte.
            const exact = entry.mode === "binary" && asBytes.includes(event);
            const [got, want] = [event, sent].map(({ dataText }) => (exact ? dataText : dataText.trim()));
            assert.equal(got, want, name);
            if (want === sent.dataText) assert.deepEqual(event.dataBytes, sent.dataBytes);
          }
        }
      }),
  );
});
