// The sender of signed web hooks, with its faults, against a receiver.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, memoryStore, standardWebhooks, webhook } from "eventferry/cloudevents";
import { deliverWebhook } from "eventferry/testing";

const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const sign = standardWebhooks(SECRET);
const event = new CloudEvent({ id: "1", type: "t", source: "/s", data: { a: 1 } });

function receiver(options = {}) {
  const handled = [];
  const reasons = [];
  const handle = webhook({
    verify: standardWebhooks(SECRET),
    onEvent: ({ id }) => void handled.push(id),
    onRejected: ({ message }) => void reasons.push(message),
    ...options,
  });
  return { handled, reasons, fetch: async (url, init) => handle(new Request(url, init)) };
}
const deliver = (fetch, options, events = event) =>
  deliverWebhook("https://hook.example/", events, { sign, fetch, ...options });

test("a delivery without a fault is let in, in every mode", async () => {
  const { fetch, handled } = receiver();
  for (const mode of [undefined, "structured", "binary", "batch"])
    assert.equal((await deliver(fetch, { mode })).status, 204);
  assert.equal((await deliver(fetch, {}, [event, event.with({ id: "2" })])).status, 204);
  assert.deepEqual(handled, ["1", "1", "1", "1", "1", "2"]);
});

test("each fault of a signature is refused, and would be taken by a receiver that does not verify", async () => {
  for (const [fault, reason] of [
    ["wrong-signature", /matches/],
    ["old-timestamp", /older/],
    ["no-signature", /missing/],
  ]) {
    const safe = receiver();
    assert.equal((await deliver(safe.fetch, { fault })).status, 401);
    assert.match(safe.reasons[0], reason);
    assert.deepEqual(safe.handled, []);
    const careless = receiver({ verify: undefined, allowedOrigins: "*" });
    assert.equal((await deliver(careless.fetch, { fault })).status, 204);
    assert.deepEqual(careless.handled, ["1"]);
  }
});

test("a replay is handled twice, and once with dedupe", async () => {
  for (const [options, expected] of [
    [{}, ["1", "1"]],
    [{ dedupe: memoryStore() }, ["1"]],
  ]) {
    const { fetch, handled } = receiver(options);
    assert.equal((await deliver(fetch, { fault: "replay" })).status, 204);
    assert.deepEqual(handled, expected);
  }
});

test("options are checked", async () => {
  for (const bad of [{ fault: "late" }, { sign: undefined }, { sign: SECRET }, { timeoutMs: 0 }, { mode: "json" }])
    await assert.rejects(deliver(receiver().fetch, bad), { code: "ERR_INVALID_ARGUMENT" });
});

test("events of a generator have the same id of their request as those of an array", async () => {
  const ids = [];
  const fetch = async (_, { headers }) => {
    ids.push(headers["webhook-id"]);
    return new Response(null, { status: 204 });
  };
  const events = [event, event.with({ id: "2" })];
  await deliver(fetch, {}, events);
  await deliver(
    fetch,
    {},
    (function* () {
      yield* events;
    })(),
  );
  assert.equal(ids[1], ids[0]);
});

test("a receiver that never answers and ignores the signal is given up after timeoutMs", async () => {
  const never = () => new Promise(() => undefined);
  await assert.rejects(deliver(never, { timeoutMs: 10 }), { code: "ERR_TIMEOUT" });
});
