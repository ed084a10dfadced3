// The webhook receiver.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  batchFromRequest,
  CloudEvent,
  contentMode,
  FerryError,
  fromRequest,
  toRequest,
  webhook,
} from "eventferry/cloudevents";

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

test("a Response for an event of a batch is an error: 500, and onError is told", async () => {
  const seen = [];
  const errors = [];
  const { handle } = receiver({
    onEvent: ({ id }) => {
      seen.push(id);
      return id === "2" ? new Response(null, { status: 202 }) : undefined;
    },
    onError: (error) => errors.push(error),
  });
  const answer = await handle(
    toRequest(
      url,
      ["1", "2", "3"].map((id) => event.with({ id })),
    ),
  );
  assert.deepEqual([answer.status, seen], [500, ["1", "2"]]);
  assert.match(errors[0].message, /Response/);
});

test("events that onEvent returns are the reply", async () => {
  const reply = (id, more) => new CloudEvent({ id, type: "reply", source: "/r", data: { id }, ...more });
  const answer = async (result, events = event, init) => {
    const { handle } = receiver({ onEvent: async (event) => (typeof result === "function" ? result(event) : result) });
    return handle(toRequest(url, events, init));
  };
  const binary = await answer(reply("a"));
  assert.deepEqual([binary.status, contentMode(binary.headers), (await fromRequest(binary)).id], [200, "binary", "a"]);
  const structured = await answer([reply("a")], event, { mode: "structured" });
  assert.equal(contentMode(structured.headers), "structured");
  assert.deepEqual((await fromRequest(structured)).data, { id: "a" });
  const several = await answer([reply("a"), reply("b", { specversion: "0.3" })]);
  assert.equal(contentMode(several.headers), "batch");
  assert.deepEqual(
    Array.from(await batchFromRequest(several), ({ id }) => id),
    ["a", "b"],
  );
  const each = await answer(
    ({ id }) => (id === "2" ? [] : reply(`to ${id}`)),
    ["1", "2", "3"].map((id) => event.with({ id })),
  );
  assert.deepEqual(
    Array.from(await batchFromRequest(each), ({ id }) => id),
    ["to 1", "to 3"],
  );
  // What a short function happens to return is no reply.
  for (const other of [1, "text", true, null, {}, [], [1], [reply("a"), 1], { type: "t" }])
    assert.equal((await answer(other)).status, 204);
});

test("a reply that cannot be written fails its event", async () => {
  const errors = [];
  const bad = new CloudEvent({ id: "r", type: "t", source: "/r", data: { a: 1 } });
  bad.data.self = bad.data;
  const { handle } = receiver({ onEvent: () => bad, onError: (error) => errors.push(error) });
  assert.deepEqual([(await handle(toRequest(url, event))).status, errors.length], [500, 1]);
});

/** A Standard Schema by hand: an object with a number `n`, which it doubles. */
const schema = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: async (value) =>
      typeof value?.n === "number"
        ? { value: { n: 2 * value.n } }
        : { issues: [{ message: `secret ${JSON.stringify(value)}`, path: ["a/b", { key: "n~" }] }, { message: "x" }] },
  },
};

test("data are validated and read as the schema converts them; others are answered with 422 and the path", async () => {
  const told = [];
  const seen = [];
  const onEvent = ({ id, data }) => void seen.push([id, data]);
  const onRejected = ({ code, status, message, attribute }) => told.push([code, status, message, attribute]);
  const { handle } = receiver({ schema, onEvent, onRejected });
  const batch = (...data) =>
    toRequest(
      url,
      data.map((one, at) => event.with({ id: String(at), data: one })),
    );
  assert.equal((await handle(toRequest(url, event.with({ data: { n: 4 } })))).status, 204);
  const answer = await handle(batch({ n: 1 }, { password: "hidden" }));
  assert.equal(answer.status, 422);
  const text = await answer.text();
  assert.match(text, /\/a~1b\/n~0 and 1 more/);
  assert.ok(!text.includes("hidden"));
  assert.deepEqual(seen, [["1", { n: 8 }]]);
  assert.deepEqual(told, [["ERR_INVALID_DATA", 422, text.trim(), "data"]]);
  const skipped = [];
  const lenient = receiver({
    schema,
    onEvent,
    onRejected,
    onInvalid: (error, raw, index) => skipped.push([raw, index]),
  });
  assert.equal((await lenient.handle(batch({ n: 1 }, { m: 1 }, { n: 2 }))).status, 204);
  assert.deepEqual(
    skipped.map(([raw, index]) => [JSON.parse(raw).data, index]),
    [[{ m: 1 }, 1]],
  );
  assert.deepEqual(seen.slice(1), [
    ["0", { n: 2 }],
    ["2", { n: 4 }],
  ]);
  assert.equal(told.at(-1)[1], 422);
});

test("onInvalid gets the index in the batch as it arrived, also behind events that were left out before", async () => {
  const told = [];
  const onInvalid = (error, raw, index) => told.push([error.code, JSON.parse(raw).id, index]);
  const { handle } = receiver({ schema, onInvalid });
  const batch = [{ n: 1 }, { n: 2 }, { m: 1 }, { n: 3 }, { m: 2 }].map((data, at) => ({
    specversion: at % 2 === 1 ? "9" : "1.0",
    id: String(at),
    type: "t",
    source: "/s",
    data,
  }));
  const headers = { "content-type": "application/cloudevents-batch+json" };
  await handle(new Request(url, { method: "POST", headers, body: JSON.stringify(batch) }));
  assert.deepEqual(
    told.filter(([code]) => code === "ERR_INVALID_DATA"),
    [
      ["ERR_INVALID_DATA", "2", 2],
      ["ERR_INVALID_DATA", "4", 4],
    ],
  );
  assert.equal(told.length, 4);
});

test("a schema that throws is a failure, and one that is none is refused", async () => {
  const errors = [];
  const validate = () => {
    throw new Error("broken");
  };
  const broken = { "~standard": { ...schema["~standard"], validate } };
  const { handle } = receiver({ schema: broken, onError: (error) => errors.push(error.message) });
  assert.deepEqual([(await handle(toRequest(url, event))).status, errors], [500, ["broken"]]);
  for (const bad of [{}, () => true, null, "x"])
    assert.throws(() => receiver({ schema: bad }), { code: "ERR_INVALID_ARGUMENT" });
});

test("fromRequest validates data", async () => {
  const good = await fromRequest(toRequest(url, event.with({ data: { n: 4 } })), { schema });
  assert.deepEqual([good.data, good.dataText], [{ n: 8 }, '{"n":4}']);
  await assert.rejects(fromRequest(toRequest(url, event.with({ data: {} })), { schema }), {
    code: "ERR_INVALID_DATA",
    status: 422,
    message: /\/a~1b\/n~0/,
  });
  await assert.rejects(fromRequest(toRequest(url, event), { schema: {} }), { code: "ERR_INVALID_ARGUMENT" });
});

test("options are checked when the receiver is created", () => {
  for (const bad of [
    { allowedOrigins: "example.com" },
    { allowedRate: 0 },
    { allowedRate: 1.5 },
    { onEvent: undefined },
    { onRejected: 1 },
    { authorize: "Bearer x" },
    { allowedOrigins: ["https://"] },
    { allowedOrigins: [5] },
    { allowedOrigins: [""] },
    { lenient: 1 },
    { onInvalid: "ignore" },
    { maxBytes: "1" },
  ]) {
    assert.throws(() => receiver(bad), { code: "ERR_INVALID_ARGUMENT" });
  }
});

test("a misspelt option is refused, because without verify everybody would be let in", () => {
  for (const [bad, message] of [
    [{ verfiy: () => true }, /^webhook has no option "verfiy"; did you mean "verify"\?/],
    [{ authorise: () => false }, /did you mean "authorize"\?/],
    [{ deduplicate: {} }, /"deduplicate"/],
  ])
    assert.throws(() => receiver(bad), { code: "ERR_INVALID_ARGUMENT", message });
  assert.throws(() => webhook(), { code: "ERR_INVALID_ARGUMENT" });
});

test("somebody must decide who may deliver", async () => {
  assert.throws(() => webhook({ onEvent() {} }), {
    code: "ERR_INVALID_ARGUMENT",
    message: /authorize or allowedOrigins/,
  });
  const handle = webhook({ authorize: () => true, onEvent() {} });
  assert.equal(
    (await handle(toRequest(url, event, { headers: { "webhook-request-origin": "x.example" } }))).status,
    204,
  );
  const answer = await handle(options({ "webhook-request-origin": "x.example" }));
  assert.equal(answer.headers.get("webhook-allowed-origin"), null);
});

test("only true authorizes a delivery", async () => {
  for (const result of [false, undefined, null, "false", "true", 1, {}, new Response(null, { status: 401 })]) {
    for (const authorize of [() => result, async () => result]) {
      const { handle, received } = receiver({ authorize });
      assert.deepEqual([(await handle(toRequest(url, event))).status, received], [401, []]);
    }
  }
  assert.equal((await receiver({ authorize: async () => true }).handle(toRequest(url, event))).status, 204);
});

test("authorize may read the body, by its context, the request or a clone of it", async () => {
  const text = event.toString();
  const seen = [];
  const readers = [
    (_, { body }) => new TextDecoder().decode(body),
    (request) => request.text(),
    (request) => request.clone().text(),
  ];
  for (const read of readers) {
    const { handle, received } = receiver({
      authorize: async (request, context) => {
        seen.push([await read(request, context), context.env, context.ctx, request.headers.get("x-key")]);
        return true;
      },
    });
    const request = toRequest(url, event, { mode: "structured", headers: { "x-key": "k" } });
    assert.equal((await handle(request, "env", "ctx")).status, 204);
    assert.deepEqual(received, ["1"]);
  }
  assert.deepEqual(seen, Array(3).fill([text, "env", "ctx", "k"]));
});

test("onEvent gets the request, what the platform passes, and a signal", async () => {
  let context;
  const { handle } = receiver({ onEvent: (_, given) => void (context = given) });
  const request = toRequest(url, event);
  await handle(request, { KV: 1 }, "ctx");
  assert.deepEqual([context.request, context.env, context.ctx], [request, { KV: 1 }, "ctx"]);
  assert.ok(context.signal instanceof AbortSignal);
});

test("onRejected hears of every refusal, with the status of the answer", async () => {
  const refusals = [];
  const errors = [];
  const { handle } = receiver({
    maxBytes: 100,
    authorize: (request) => {
      if (request.headers.get("authorization") === "Bearer boom") throw new Error("boom");
      return request.headers.get("authorization") !== "Bearer bad";
    },
    onRejected: (error, request) => refusals.push([error.status, error.code, request.method]),
    onError: (error) => errors.push(error.message),
  });
  const post = (headers, body) => new Request(url, { method: "POST", headers, body });
  const good = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
  const expected = [
    [405, "ERR_REJECTED", new Request(url)],
    [403, "ERR_UNAUTHORIZED", post({ ...good, "webhook-request-origin": "other.example" })],
    [401, "ERR_UNAUTHORIZED", post({ ...good, authorization: "Bearer bad" })],
    [500, "ERR_UNAUTHORIZED", post({ ...good, authorization: "Bearer boom" })],
    [415, "ERR_NOT_A_CLOUDEVENT", post({ "content-type": "text/plain" }, "x")],
    [415, "ERR_UNSUPPORTED_FORMAT", post({ "content-type": "application/cloudevents+xml" }, "x")],
    [415, "ERR_UNSUPPORTED_FORMAT", post({ ...good, "content-encoding": "rot13" }, "x")],
    [413, "ERR_TOO_LARGE", post(good, "x".repeat(101))],
    [400, "ERR_INVALID_ATTRIBUTE_VALUE", post({ ...good, "ce-time": "now" })],
    [400, "ERR_INVALID_EVENT", post({ ...good, "content-encoding": "gzip" }, "x")],
    [400, "ERR_NOT_A_CLOUDEVENT", post({}, undefined)],
  ];
  for (const [status, , request] of expected) assert.equal((await handle(request)).status, status);
  assert.deepEqual(
    refusals,
    expected.map(([status, code, { method }]) => [status, code, method]),
  );
  assert.deepEqual(errors, ["boom"]);
});

test("callbacks that throw or reject never make the handler reject", async () => {
  const boom = () => {
    throw new Error("the logger is broken");
  };
  const reject = async () => boom();
  for (const callback of [boom, reject]) {
    const broken = { onError: callback, onRejected: callback };
    const requests = [
      [500, { onEvent: boom }],
      [500, { authorize: boom }],
      [401, { authorize: () => false }],
      [500, { lenient: boom }],
      [500, { onInvalid: boom }],
    ];
    for (const [status, given] of requests) {
      const { handle } = receiver({ ...broken, ...given });
      const body = '[{"specversion":"1.0","id":"1","source":"/s","type":"t","Bad":1}]';
      const batch = { method: "POST", headers: { "content-type": "application/cloudevents-batch+json" }, body };
      const request = given.lenient || given.onInvalid ? new Request(url, batch) : toRequest(url, event);
      assert.equal((await handle(request)).status, status);
    }
  }
  await new Promise((resolve) => setImmediate(resolve));
});

test("host names and URLs allow senders and pages", async () => {
  const { handle } = receiver({ allowedOrigins: ["sender.example", "https://app.example:8443"] });
  const grants = async (origin) =>
    (await handle(options({ "webhook-request-origin": origin }))).headers.get("webhook-allowed-origin") !== null;
  const reads = async (origin) =>
    (await handle(options({ origin, "access-control-request-method": "POST" }))).headers.get(
      "access-control-allow-origin",
    );
  for (const origin of ["sender.example", "https://sender.example", "http://sender.example:81", "app.example"])
    assert.ok(await grants(origin), origin);
  for (const origin of [
    "other.example",
    "evil-sender.example",
    "sender.example.evil",
    "",
    "null",
    "https://",
    "http://app.example:8443",
  ])
    assert.ok(!(await grants(origin)), origin);
  assert.equal(await reads("https://app.example:8443"), "https://app.example:8443");
  for (const origin of ["https://app.example", "http://app.example:8443", "null"])
    assert.equal(await reads(origin), null);
  assert.equal(
    (
      await receiver({ allowedOrigins: ["*"] }).handle(
        toRequest(url, event, { headers: { "webhook-request-origin": "x" } }),
      )
    ).status,
    204,
  );
});

test("with onInvalid the valid events of a batch are handed out, and the others are told", async () => {
  const told = [];
  const { handle, received } = receiver({
    onInvalid: "skip",
    onRejected: (error) => told.push([error.code, error.attribute]),
  });
  const events = [1, 2, 3].map((n) => ({
    specversion: "1.0",
    id: String(n),
    source: "/s",
    type: "t",
    ...(n === 2 && { tenant_id: "x" }),
  }));
  const request = () =>
    new Request(url, {
      method: "POST",
      headers: { "content-type": "application/cloudevents-batch+json" },
      body: JSON.stringify(events),
    });
  assert.equal((await handle(request())).status, 204);
  assert.deepEqual([received, told], [["1", "3"], [["ERR_INVALID_ATTRIBUTE_NAME", "tenant_id"]]]);
  assert.equal((await receiver().handle(request())).status, 400);
});

test("a lenient receiver takes events under application/json", async () => {
  const request = (body, type = "application/json") =>
    new Request(url, { method: "POST", headers: { "content-type": type }, body });
  const { handle, received } = receiver({ lenient: true });
  assert.equal((await handle(request(event.toString()))).status, 204);
  assert.equal((await handle(request(`[${event.toString()}]`))).status, 204);
  assert.deepEqual(received, ["1", "1"]);
  assert.equal((await handle(request("x", "text/plain"))).status, 415);
  assert.equal((await receiver().handle(request(event.toString()))).status, 415);
});

test("a body that is too large and was cloned is answered at once", async () => {
  const make = () =>
    new Request("https://example.com/", {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json" },
      body: JSON.stringify({ specversion: "1.0", id: "1", source: "/s", type: "t", data: "x".repeat(100_000) }),
    });
  const request = make();
  request.clone();
  await assert.rejects(fromRequest(request, { maxBytes: 1000 }), { code: "ERR_TOO_LARGE" });
  const second = make();
  second.clone();
  const handle = webhook({ allowedOrigins: "*", onEvent: () => undefined, maxBytes: 1000 });
  assert.equal((await handle(second)).status, 413);
});
