// The webhook receiver.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, FerryError, toRequest, webhook } from "eventferry/cloudevents";

const url = "https://hook.example/events";
const event = new CloudEvent({ id: "1", type: "t", source: "/s" });
const receiver = (options = {}) => {
  const received = [];
  const handle = webhook({
    allowedOrigins: ["sender.example"],
    onEvent: (event) => void received.push(event.id),
    ...options,
  });
  return { handle, received };
};
const options = (headers) => new Request(url, { method: "OPTIONS", headers });

test("a receiver accepts all three content modes", async () => {
  const { handle, received } = receiver();
  for (const request of [
    toRequest(url, event),
    toRequest(url, event, { mode: "structured" }),
    toRequest(url, [event, event.with({ id: "2" })]),
  ]) {
    assert.equal((await handle(request)).status, 204);
  }
  assert.deepEqual(received, ["1", "1", "1", "2"]);
});

test("the handshake allows only the configured origins, by headers and not by the status", async () => {
  const { handle } = receiver({ allowedRate: 120 });
  const allowed = await handle(options({ "webhook-request-origin": "SENDER.example", "webhook-request-rate": "500" }));
  assert.deepEqual(
    [
      allowed.headers.get("webhook-allowed-origin"),
      allowed.headers.get("webhook-allowed-rate"),
      allowed.headers.get("allow"),
    ],
    ["SENDER.example", "120", "POST, OPTIONS"],
  );
  const other = await handle(options({ "webhook-request-origin": "other.example" }));
  assert.equal(other.headers.get("webhook-allowed-origin"), null);
  const all = await receiver({ allowedOrigins: "*" }).handle(
    options({ "webhook-request-origin": "x", "webhook-request-rate": "7" }),
  );
  assert.deepEqual([all.headers.get("webhook-allowed-origin"), all.headers.get("webhook-allowed-rate")], ["*", "7"]);
});

test("a CORS preflight is answered", async () => {
  const { handle } = receiver();
  const preflight = {
    origin: "https://sender.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "ce-id, ce-type",
  };
  const answer = await handle(options(preflight));
  assert.deepEqual(
    [answer.headers.get("access-control-allow-origin"), answer.headers.get("access-control-allow-headers")],
    ["https://sender.example", "ce-id, ce-type"],
  );
  assert.equal(
    (await handle(options({ ...preflight, origin: "https://evil.example" }))).headers.get(
      "access-control-allow-origin",
    ),
    null,
  );
});

test("only a page of an allowed host can read the response", async () => {
  for (const [origin, expected] of [
    ["https://sender.example", "https://sender.example"],
    ["https://evil.example", null],
  ]) {
    for (const request of [
      toRequest(url, event, { headers: { origin } }),
      new Request(url, { method: "POST", headers: { origin }, body: "x" }),
    ]) {
      assert.equal((await receiver().handle(request)).headers.get("access-control-allow-origin"), expected);
    }
  }
});

test("each kind of rejection has its status", async () => {
  const { handle, received } = receiver({
    maxBytes: 100,
    authorize: (request) => request.headers.get("authorization") !== "Bearer bad",
  });
  const post = (headers, body) => new Request(url, { method: "POST", headers, body });
  const good = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
  for (const [status, request] of [
    [405, new Request(url)],
    [403, post({ ...good, "webhook-request-origin": "other.example" })],
    [401, post({ ...good, authorization: "Bearer bad" })],
    [415, post({ "content-type": "text/plain" }, "x")],
    [415, post({ "content-type": "application/cloudevents+xml" }, "x")],
    [413, post(good, "x".repeat(101))],
    [400, post({ ...good, "ce-time": "now" })],
    [400, post({ "content-type": "application/cloudevents+json" }, "{")],
  ]) {
    const answer = await handle(request);
    assert.equal(answer.status, status, await answer.text());
  }
  assert.equal((await handle(new Request(url))).headers.get("allow"), "POST, OPTIONS");
  assert.deepEqual(received, []);
});

test("the result of onEvent decides the response", async () => {
  const errors = [];
  const answer = (onEvent) =>
    receiver({ onEvent, onError: (error) => errors.push(error) }).handle(toRequest(url, event));
  assert.equal((await answer(() => new Response("done", { status: 200 }))).status, 200);
  assert.equal((await answer(() => new Response(null, { status: 202 }))).status, 202);
  const failed = await answer(() => {
    throw new Error("secret");
  });
  assert.deepEqual([failed.status, (await failed.text()).includes("secret")], [500, false]);
  const full = await answer(async () => {
    throw new FerryError("ERR_QUEUE_FULL");
  });
  assert.deepEqual([full.status, full.headers.get("retry-after")], [429, "1"]);
  assert.equal(errors.length, 2);
});

test("an error response of onEvent ends the batch", async () => {
  const seen = [];
  const { handle } = receiver({
    onEvent: ({ id }) => {
      seen.push(id);
      return new Response(null, { status: id === "2" ? 410 : 204 });
    },
  });
  const answer = await handle(
    toRequest(
      url,
      ["1", "2", "3"].map((id) => event.with({ id })),
    ),
  );
  assert.deepEqual([answer.status, seen], [410, ["1", "2"]]);
});

test("options are checked when the receiver is created", () => {
  for (const bad of [
    { allowedOrigins: "example.com" },
    { allowedRate: 0 },
    { allowedRate: 1.5 },
    { onEvent: undefined },
  ]) {
    assert.throws(() => receiver(bad), { code: "ERR_INVALID_ARGUMENT" });
  }
});
