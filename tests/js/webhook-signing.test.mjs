// A publisher that signs: what `send` and the outbox put on a request, and that our own receiver takes it.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { batchFromHttp, contentMode, standardWebhooks, webhook } from "eventferry";
import { event, publisherTo } from "./outbox-fixtures.mjs";
import { realTime, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();
// Signatures and compressed bodies are made in the thread pool, in real time.
for (const name of ["digest", "importKey", "sign", "verify"]) {
  const original = crypto.subtle[name].bind(crypto.subtle);
  crypto.subtle[name] = (...given) => realTime(original(...given));
}
const { arrayBuffer } = Response.prototype;
Response.prototype.arrayBuffer = function () {
  return realTime(arrayBuffer.call(this));
};

const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;

/** A receiver that verifies, which answers with these statuses in turn before its own answer. */
function receiver(...statuses) {
  const seen = { requests: [], received: [], reasons: [] };
  const handle = webhook({
    verify: standardWebhooks(SECRET),
    onEvent: ({ id }) => void seen.received.push(id),
    onRejected: ({ message }) => void seen.reasons.push(message),
  });
  const fetch = async (input, init) => {
    const request = new Request(input, init);
    const text = await realTime(request.clone().text());
    const { headers, keepalive } = request;
    seen.requests.push({ headers, text, keepalive, id: headers.get("webhook-id") });
    const { status } = await realTime(handle(request));
    const next = statuses.shift();
    // The timestamp of a signature has seconds.
    return new Response(null, { status: next ?? status, headers: next ? { "retry-after": "2" } : {} });
  };
  return { ...seen, fetch };
}
const sign = () => standardWebhooks(SECRET);

test("send signs each attempt anew, under the id of its events", async () => {
  const to = receiver(503, 503);
  const publisher = publisherTo(to, { sign: sign(), retry: { attempts: 3, baseMs: 20_000 } });
  await publisher.send(event(1));
  const [first, second, third] = to.requests;
  assert.equal(third.id, first.id);
  assert.match(first.id, /^msg_[\da-f]{32}$/);
  const times = to.requests.map(({ headers }) => Number(headers.get("webhook-timestamp")));
  assert.ok(times[2] > times[0], `${times}`);
  assert.notEqual(second.headers.get("webhook-signature"), first.headers.get("webhook-signature"));
  assert.deepEqual([to.received, to.reasons], [["1", "1", "1"], []]);
  assert.equal(contentMode(first.headers), "structured");
  publisher.close();
});

test("the id of a request is a digest of the source and id of exactly its events, in any order", async () => {
  const to = receiver();
  const publisher = publisherTo(to, { sign: sign() });
  await publisher.send([event(1), event(2)]);
  await publisher.send([event(2), event(1)]);
  await publisher.send([event(1, { data: "other" }), event(2)]);
  await publisher.send([event(1), event(2), event(3)]);
  await publisher.send([event(1), event(2, { source: "/other" })]);
  await publisher.send([event(12)]);
  await publisher.send(event(1), { mode: "binary" });
  await publisher.send(event(1), { mode: "structured" });
  const ids = to.requests.map(({ id }) => id);
  assert.deepEqual([ids[1], ids[2], ids[7]], [ids[0], ids[0], ids[6]]);
  assert.equal(new Set(ids).size, 5);
  assert.deepEqual(to.reasons, []);
  publisher.close();
});

test("the outbox signs each request when it is sent; a repeated body has the same id", async () => {
  const to = receiver(503);
  const publisher = publisherTo(to, { sign: sign(), outbox: { gzip: true, retry: { baseMs: 10_000, maxMs: 10_000 } } });
  const session = publisher.session();
  for (let at = 0; at < 100; at++) session.publish(event(at));
  await session.flush({ until: "delivered" });
  assert.equal(to.requests.length, 2);
  assert.equal(to.requests[0].id, to.requests[1].id);
  assert.equal(to.requests[0].headers.get("content-encoding"), "gzip");
  assert.deepEqual([to.received.length, to.reasons], [200, []]);
  session.publish(event("more"));
  await session.flush({ until: "delivered" });
  assert.notEqual(to.requests[2].id, to.requests[0].id);
  await publisher.outbox.close();
});

test("a server that takes no batches gets signed events in structured mode", async () => {
  const to = receiver(415);
  const publisher = publisherTo(to, { sign: sign() });
  const session = publisher.session();
  session.publish(event(1));
  session.publish(event(2));
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    to.requests.map(({ headers }) => contentMode(headers)),
    ["batch", "structured", "structured"],
  );
  assert.deepEqual(to.reasons, []);
  await publisher.outbox.close();
});

test("headers of the application never replace those of the signature", async () => {
  const to = receiver();
  const headers = { "webhook-id": "mine", "webhook-signature": "v1,x", "webhook-timestamp": "1" };
  const publisher = publisherTo(to, { sign: sign(), headers });
  await publisher.send(event(1), { headers });
  const session = publisher.session();
  session.publish(event(2));
  await session.flush({ until: "delivered" });
  assert.deepEqual([to.received, to.reasons], [["1", "2"], []]);
  await publisher.outbox.close();
});

test("a key that cannot sign is refused when the publisher is created", () => {
  const key = `whpk_${Buffer.alloc(32, 1).toString("base64")}`;
  for (const bad of [standardWebhooks(key), SECRET, null, () => ({}), {}])
    assert.throws(
      () => publisherTo({}, { sign: bad }),
      (error) => {
        assert.equal(error.code, "ERR_INVALID_ARGUMENT");
        assert.ok(!error.message.includes(SECRET));
        return true;
      },
    );
});

test("a signer of the application that fails or hangs sends nothing, and loses nothing", async () => {
  for (const broken of [
    () => {
      throw new Error("no key");
    },
    async () => Promise.reject(new Error("no key")),
    () => new Promise(() => {}),
    async () => ({ "bad header\n": "x" }),
  ]) {
    const to = receiver();
    let isBroken = true;
    const own = { sign: async (message) => (isBroken ? broken(message) : sign().sign(message)) };
    const publisher = publisherTo(to, { sign: own, timeoutMs: 100 });
    await assert.rejects(publisher.send(event(1)), ({ code }) => /^ERR_(INVALID_ARGUMENT|TIMEOUT)$/.test(code));
    const session = publisher.session();
    const { delivered } = session.publish(event(2));
    await session.flush();
    await until(() => publisher.outbox.stats().attempts > 1);
    assert.equal(to.requests.length, 0);
    isBroken = false;
    await publisher.outbox.drain();
    await delivered;
    assert.deepEqual(to.received, ["2"]);
    await publisher.outbox.close();
  }
});

test("a signer of the application gets the body, and its headers are sent", async () => {
  const seen = [];
  const fetch = async (input, init) => {
    const request = new Request(input, init);
    const text = await request.clone().text();
    seen.push([request.headers.get("x-signature"), createHmac("sha256", "k").update(text).digest("hex")]);
    return new Response(null, { status: 202 });
  };
  const own = {
    sign: async ({ body }) => ({ "x-signature": createHmac("sha256", "k").update(body).digest("hex") }),
  };
  const publisher = publisherTo({ fetch }, { sign: own });
  await publisher.send(event(1));
  await publisher.send([event(1), event(2)]);
  for (const [sent, expected] of seen) assert.equal(sent, expected);
  assert.equal(seen.length, 2);
  publisher.close();
});

test("when a page is hidden its events are sent with signatures, and none without", async (t) => {
  t.mock.method(console, "warn", () => undefined);
  const page = new EventTarget();
  const names = ["document", "window", "addEventListener", "removeEventListener"];
  const before = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  globalThis.window = page;
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.removeEventListener = page.removeEventListener.bind(page);
  try {
    const to = receiver();
    const publisher = publisherTo(to, { sign: sign(), outbox: { batch: { maxAgeMs: 60_000 } } });
    await publisher.send(event("first"));
    const session = publisher.session();
    session.publish(event(1));
    session.publish(event(2));
    document.visibilityState = "hidden";
    document.dispatchEvent(new Event("visibilitychange"));
    // Nothing leaves the page in the same turn, because a signature needs one.
    assert.equal(to.requests.length, 1);
    await until(() => to.requests.length === 2);
    const { headers, text, keepalive } = to.requests[1];
    assert.equal(keepalive, true);
    assert.deepEqual(
      Array.from(batchFromHttp(headers, text), ({ id }) => id),
      ["1", "2"],
    );
    await until(() => publisher.outbox.stats().delivered === 2);
    assert.deepEqual([to.received, to.reasons], [["first", "1", "2"], []]);
    await publisher.outbox.close();
  } finally {
    for (const [name, descriptor] of before)
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else delete globalThis[name];
  }
});
