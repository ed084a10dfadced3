// Runs the blocks of the README and of the pages of www/docs: they print what their comments say, and send what they say to
// a real server. `docs.test.mjs` compares tables and names with the code.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as docs from "./doc-blocks.mjs";

const { compiled, read } = docs;
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const manifest = JSON.parse(read("package.json"));
const run = (name, options) => docs.run(name, { emulator: url, ...options });
const runAlone = (name, options) => docs.runAlone(name, { emulator: url, ...options });

let emulator;
let url;
const folder = mkdtempSync(join(tmpdir(), "eventferry-docs-"));
before(async () => {
  process.chdir(folder); // stores of the blocks are files
  const { createEmulator } = await import("eventferry/testing");
  emulator = createEmulator();
  emulator.glassflow.createPipeline({ id: "demo", accessTokens: ["demo"] });
  ({ url } = await emulator.listen());
});
after(async () => {
  await emulator.close();
  process.chdir(root);
  rmSync(folder, { recursive: true });
});

/** As much of a Durable Object's storage as the store uses. `tests/faults` has the real one. */
function storageInMemory() {
  const rows = new Map();
  const storage = {
    get: async (key) =>
      Array.isArray(key)
        ? new Map(key.filter((one) => rows.has(one)).map((one) => [one, rows.get(one)]))
        : rows.get(key),
    put: async (key, value) =>
      void (typeof key === "string"
        ? rows.set(key, value)
        : Object.entries(key).forEach(([name, value]) => rows.set(name, value))),
    delete: async (keys) => [keys].flat().filter((key) => rows.delete(key)).length,
    list: async ({ prefix = "", start, startAfter, limit = Infinity } = {}) =>
      new Map(
        [...rows]
          .filter(([key]) => key.startsWith(prefix) && (!start || key >= start) && (!startAfter || key > startAfter))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .slice(0, limit),
      ),
    transaction: (body) => body(storage),
    sync: async () => undefined,
    getAlarm: async () => null,
    setAlarm: async () => undefined,
    deleteAlarm: async () => undefined,
  };
  return storage;
}

const channel = (name) => [["https://example.com/events", `${url}/cloudevents/${name}`]];
const arrived = (name) => emulator.cloudEvents.received.filter((received) => received.channel === name);

// First: before another entry point has brought the module along.
test("slim loads the module from where it is told", async () => {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end(readFileSync(join(root, manifest.exports["./wasm/codecs.wasm"].default)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await runAlone("slim", { replace: [['"/assets/', `"http://127.0.0.1:${server.address().port}/assets/`]] });
    assert.deepEqual(asked, ["/assets/codecs.wasm"]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("publish: what the page sends arrives", async () => {
  await runAlone("publish");
  const [{ event, mode }, ...more] = arrived("publish");
  assert.equal(more.length, 0);
  assert.deepEqual(
    [mode, event.type, event.subject, event.data],
    ["structured", "com.example.order.created", "Åre – 2 × kaffe", { orderId: 7 }],
  );
  assert.match(event.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.ok(Math.abs(Date.parse(event.time) - Date.now()) < 60_000);
});

test("edge: takes what the page sent, and refuses what is no event", async () => {
  const { toRequest } = await import("eventferry");
  const [{ event }] = arrived("publish");
  const { module, printed, expected } = await run("edge");
  for (const mode of ["binary", "structured"])
    assert.equal((await module.default.fetch(toRequest("https://example.com/", event, { mode }))).status, 204);
  assert.deepEqual(printed, [expected[0], expected[0]]);
  assert.equal(
    (await module.default.fetch(new Request("https://example.com/", { method: "POST", body: "no event" }))).status,
    400,
  );
});

test("node: takes what the page sent, and refuses what is no event", async () => {
  const { toRequest } = await import("eventferry");
  const [{ event }] = arrived("publish");
  const { module, printed, expected } = await run("node", {
    replace: [["server.listen(8080)", 'server.listen(0, "127.0.0.1")']],
    more: "export { server };",
  });
  const { server } = module;
  try {
    if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
    const at = `http://127.0.0.1:${server.address().port}/`;
    for (const mode of ["binary", "structured"])
      assert.equal((await fetch(toRequest(at, event, { mode }))).status, 204);
    assert.deepEqual(printed, [expected[0], expected[0]]);
    assert.equal((await fetch(at, { method: "POST", body: "no event" })).status, 400);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("bc-types: the block is good TypeScript, and works", async () => {
  assert.deepEqual(compiled("bc-types"), []);
  const { module } = await run("bc-types", { more: "export { client };" });
  assert.match(module.order("7").id, /^[0-9a-f-]{36}$/);
  await module.client.close();
});

test("types: the block is good TypeScript, and works", async () => {
  assert.deepEqual(compiled("types"), []);
  const { CloudEvent, toRequest } = await import("eventferry");
  const { orderFrom } = await runAlone("types");
  const { data } = await orderFrom(
    toRequest("https://example.com/", new CloudEvent({ type: "t", source: "/s", data: { orderId: 7 } })),
  );
  assert.deepEqual(data, { orderId: 7 });
});

test("session: what was rolled back stays away, and what was flushed arrives", async () => {
  await runAlone("session", {
    replace: channel("session"),
    more: "await publisher.outbox.drain(); publisher.close();",
  });
  assert.deepEqual(
    arrived("session").map(({ mode, event }) => [mode, event.type.slice("com.example.".length)]),
    [
      ["batch", "cart.paid"],
      ["batch", "order.created"],
    ],
  );
});

test("accounts: the event waits for the user who published it, and arrives with their token", async () => {
  const { module } = await run("accounts", {
    replace: channel("accounts"),
    more: "export const signIn = (other) => void (user = other); export { publisher };",
  });
  assert.equal((await module.publisher.outbox.drain({ deadlineMs: 5000 })).aborted, false);
  assert.equal(arrived("accounts").length, 1);
  module.signIn({ id: "bob", token: "token-of-bob" });
  assert.equal(module.publisher.outbox.stats().accepted, 0);
  await module.publisher.outbox.close();
});

test("adopt and sign-out: they report what they say", async () => {
  for (const name of ["adopt", "sign-out"]) await runAlone(name, { more: "await publisher.outbox.close();" });
});

test("worker: the runtime is asked to wait until the event has arrived", async () => {
  const { module } = await run("worker", { replace: channel("worker"), more: "export { publisher };" });
  const work = [];
  const answer = await module.default.fetch(
    new Request("https://example.com/"),
    {},
    { waitUntil: (promise) => work.push(promise) },
  );
  assert.equal(await answer.text(), "ok");
  assert.ok(work.length > 0);
  await Promise.all(work);
  assert.deepEqual(
    arrived("worker").map(({ event }) => event.type),
    ["com.example.page.viewed"],
  );
  module.publisher.close();
});

test("bc-worker: three events of a request arrive with its job, or none of them", async () => {
  const { module } = await run("bc-worker", {
    replace: [["https://events.example.com", `${url}/brite-events`]],
    more: "export { client };",
  });
  const work = [];
  const ask = (order) =>
    module.default.fetch(
      new Request("https://example.com/", {
        method: "POST",
        headers: { "x-job-id": "job-7" },
        body: JSON.stringify(order),
      }),
      {},
      { waitUntil: (promise) => work.push(promise) },
    );
  const refused = await ask({ id: "1", count: 2, cart: "c" });
  assert.deepEqual(
    [refused.status, await refused.text()],
    [400, 'orders.StockReserved: data breaks the rule required at #/required: it needs the member "sku"'],
  );
  assert.equal((await ask({ id: "1", sku: "s", count: 2, cart: "c" })).status, 202);
  await Promise.all(work);
  assert.deepEqual(
    emulator.briteEvents.received.map(({ event, jobId, mode }) => [
      `${event.category}.${event.entity}${event.action}`,
      event.actor.id,
      jobId,
      mode,
    ]),
    ["OrderCreated", "StockReserved", "ShoppingCartClosed"].map((name) => [
      `orders.${name}`,
      "user-4711",
      "job-7",
      "single",
    ]),
  );
  await module.client.close();
});

test("bc-events: errors are as shown", async () => {
  const { printed } = await run("bc-events", { more: "await client.close();" });
  const [, table] = /\| what is printed \|\n\|---\|\n((?:\| .* \|\n)+)/.exec(
    docs.PAGES.get("www/docs/brite-events.md"),
  );
  assert.deepEqual(
    printed,
    table
      .trim()
      .split("\n")
      .map((row) => row.slice(2, -2)),
  );
});

test("object: what is answered with 202 is in the storage, and an alarm delivers it", async () => {
  const { module } = await run("object", { replace: channel("object") });
  const object = new module.Orders({ storage: storageInMemory() });
  assert.equal((await object.fetch(new Request("https://example.com/"))).status, 202);
  await object.alarm();
  assert.deepEqual(
    arrived("object").map(({ event }) => event.type),
    ["com.example.order.created"],
  );
  object.publisher.close();
});

/** A block with a client for streams, against a server in memory. `options` stand in the place where the client is made. */
async function runStream(name, replace, intercept) {
  const { BayeuxServer } = await import("./bayeux-server.mjs");
  const server = new BayeuxServer();
  server.intercept = (seen, request) => intercept?.(server, seen, request);
  globalThis[Symbol.for("eventferry.readme.fetch")] = async (address, init) =>
    address.endsWith("/token") ? intercept(server, undefined, new Request(address, init)) : server.fetch(address, init);
  const { printed, expected } = await run(name, { replace });
  assert.deepEqual(printed, expected);
  assert.equal(server.sessions.size, 0);
  return server;
}
const FETCH = 'fetch: globalThis[Symbol.for("eventferry.readme.fetch")]';

test("bayeux: receives what it publishes", () =>
  runStream("bayeux", [
    ['"https://example.com/cometd"', `"https://example.com/cometd", { transports: ["long-polling"], ${FETCH} }`],
  ]));

test("bayeux-extensions: headers are set, several channels share a message, a service channel none", async () => {
  const server = await runStream("bayeux-extensions", [
    ['"https://example.com/cometd", {', `"https://example.com/cometd", { transports: ["long-polling"], ${FETCH},`],
  ]);
  assert.equal(server.requests[0].headers.get("x-trace"), "trace of /meta/handshake");
  assert.equal(server.count("/meta/subscribe"), 1);
});

test("migrate-cometd: receives what it publishes", () =>
  runStream("migrate-cometd", [
    ['"https://example.com/cometd"', `"https://example.com/cometd", { transports: ["long-polling"], ${FETCH} }`],
  ]));

test("salesforce: receives an event, and its replay position is saved", async () => {
  const { fileStore, replayStore } = await import("eventferry/salesforce");
  const path = join(folder, "orders.positions");
  await runStream("salesforce", [["{ replay: positions }", `{ replay: positions, ${FETCH} }`]], (server, seen) => {
    if (!seen) return Response.json({ access_token: "T1", instance_url: "https://acme.my.salesforce.com" });
    const { channels, headers } = seen;
    assert.equal(headers.get("authorization"), "Bearer T1");
    // When the subscription is there, and the answer is on its way.
    if (channels.includes("/meta/subscribe"))
      setTimeout(() => server.publish("/event/Order__e", { payload: { Total__c: 7 }, event: { replayId: 42 } }));
  });
  const storage = replayStore(fileStore(path));
  assert.equal((await storage.get("/event/Order__e")).replayId, "42");
  await storage.close();
});

test("modes: the messages are as shown, and the structured one arrives", async () => {
  await runAlone("modes", { replace: channel("modes") });
  assert.deepEqual(
    arrived("modes").map(({ mode, event }) => [mode, event.id, event.time]),
    [["structured", "100 %", undefined]],
  );
});

test("webhook: shakes hands, lets in and keeps out", async () => {
  const { CloudEvent, toRequest } = await import("eventferry");
  const { module, printed, expected } = await run("webhook");
  const hook = "https://example.com/hook";
  const handshake = await module.default.fetch(
    new Request(hook, { method: "OPTIONS", headers: { "webhook-request-origin": "events.example.com" } }),
  );
  assert.deepEqual(
    [handshake.headers.get("webhook-allowed-origin"), handshake.headers.get("webhook-allowed-rate")],
    ["events.example.com", "120"],
  );
  const deliver = async (headers) =>
    (await module.default.fetch(toRequest(hook, new CloudEvent({ id: "1", type: "t", source: "/s" }), { headers })))
      .status;
  assert.equal(await deliver({ authorization: "Bearer s3cret" }), 204);
  assert.equal(await deliver({}), 401);
  assert.equal(await deliver({ authorization: "Bearer s3cret", "webhook-request-origin": "other.example.com" }), 403);
  assert.deepEqual(printed, expected);
});

test("publish-one-step: the event arrives as beforeSend has made it", async () => {
  await runAlone("publish-one-step");
  assert.deepEqual(
    arrived("one-step").map(({ event }) => [event.id, event.get("region")]),
    [["7", "eu"]],
  );
});

test("webhook-verify: lets in what is signed with any of the keys", async () => {
  const { CloudEvent, standardWebhooks, toStructured } = await import("eventferry");
  const { module, printed, expected } = await run("webhook-verify");
  const key = (byte) => `whsec_${Buffer.alloc(32, byte).toString("base64")}`;
  const handle = module.handlerFor({ NEW_SECRET: key(1), OLD_SECRET: key(2), GITHUB_SECRET: "s3cret" });
  const { headers, body } = toStructured(new CloudEvent({ type: "com.example.order.created", source: "/s" }));
  const signature = await standardWebhooks(key(2)).sign({ id: "msg_1", body: new TextEncoder().encode(body) });
  const deliver = async (more) =>
    (await handle(new Request("https://example.com/", { method: "POST", headers: { ...headers, ...more }, body })))
      .status;
  assert.deepEqual([await deliver(signature), await deliver({})], [204, 401]);
  assert.deepEqual(printed, expected);
});

test("messages-lambda: reads the records of AWS Lambda as they come", async () => {
  const { module, printed, expected } = await run("messages-lambda");
  const headers = { ce_specversion: "1.0", ce_id: "1", ce_source: "/s", ce_type: "com.example.made" };
  const record = {
    topic: "orders",
    timestampType: "CREATE_TIME",
    value: Buffer.from('{"n":1}').toString("base64"),
    headers: Object.entries({ ...headers, "content-type": "application/json" }).map(([name, value]) => ({
      [name]: [...Buffer.from(value)],
    })),
  };
  await module.handler({ eventSource: "aws:kafka", records: { "orders-0": [record] } });
  assert.deepEqual(printed, expected);
});

test("webhook-jwt: refuses a delivery without a token", async () => {
  const { module } = await run("webhook-jwt");
  const request = new Request("https://example.com/events", { method: "POST", body: "{}" });
  assert.equal((await module.handle(request)).status, 401);
});

test("webhook-sign: what it sends is signed", async () => {
  const { CloudEvent } = await import("eventferry");
  const { module } = await run("webhook-sign", { emulator: url });
  const publisher = module.publisherFor({ WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 1).toString("base64")}` });
  await publisher.send(new CloudEvent({ type: "com.example.order.created", source: "/s" }));
  assert.match(arrived("signed")[0].headers["webhook-signature"], /^v1,/);
  publisher.close();
});

test("webhook-dedupe, webhook-test and webhook-reply: they do what they say", async () => {
  const { CloudEvent, fromRequest, toRequest } = await import("eventferry");
  await runAlone("webhook-dedupe");
  await runAlone("webhook-test");
  const { module } = await run("webhook-reply");
  const deliver = (data) =>
    module.handle(toRequest("https://example.com/", new CloudEvent({ type: "t", source: "/s", data })));
  assert.deepEqual((await fromRequest(await deliver({ total: 10 }))).data, { tax: 2 });
  const refused = await deliver({ total: "10" });
  assert.deepEqual([refused.status, await refused.text()], [422, "the data does not match the schema at /total\n"]);
});

test("glassflow: what is published comes out transformed, or failed, and can be published again", async () => {
  const pipeline = emulator.glassflow.createPipeline({
    id: "orders",
    accessTokens: ["t0ken"],
    transform: ({ orderId, total }) => {
      if (typeof total !== "number") throw new TypeError("a total is a number");
      return { orderId, withTax: total * 1.2 };
    },
  });
  const replace = [["{ pipelineId:", `{ baseUrl: "${url}/glassflow/v1", pipelineId:`]];
  await runAlone("glassflow", { replace });
  assert.deepEqual(
    pipeline.published.map(({ payload }) => payload.orderId),
    [7, 8, 8],
  );
  assert.deepEqual(pipeline.waiting, { input: 0, output: 0, failed: 1 });

  await fetch(`${url}/glassflow/v1/pipelines/orders/topics/input/events`, {
    method: "POST",
    headers: { "x-pipeline-access-token": "t0ken" },
    body: '{"orderId":7,"total":1}',
  });
  emulator.faults.add({ match: "/glassflow", status: 503, times: 1 });
  await runAlone("glassflow-store", { replace });
  assert.equal(pipeline.waiting.output, 0);
});

test("extensions: a reply has the id of its cause", async () => {
  await runAlone("extensions");
});

test("glassflow-management: what is created is tested, changed, listed and deleted", async () => {
  process.env.PERSONAL_ACCESS_TOKEN = emulator.glassflow.personalAccessToken;
  const spaces = emulator.glassflow.spaces.length;
  await runAlone("glassflow-management", {
    replace: [["{ personalAccessToken:", `{ baseUrl: "${url}/glassflow/v1", personalAccessToken:`]],
  });
  assert.deepEqual([emulator.glassflow.spaces.length, emulator.glassflow.secrets.size], [spaces, 0]);
});

test("events-server and events-client: one answers the other", async () => {
  const { module } = await run("events-server");
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await module.default.fetch(
      new Request("http://localhost/", { method: request.method, body: Buffer.concat(chunks) }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await runAlone("events-client", {
      replace: [["https://example.com/events", `http://127.0.0.1:${server.address().port}/`]],
      more: "client.close();",
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("salesforce-proxy: a signed-in page may subscribe to the allowed channels, and never sees the token", async () => {
  const { module } = await run("salesforce-proxy", {
    replace: [["https://acme.my.salesforce.com", `${url}/salesforce`]],
  });
  const send = (message, { origin = "https://app.example.com", cookie = "session=7" } = {}) =>
    module.default.fetch(
      new Request("https://edge.example.com/sf/cometd/60.0", {
        method: "POST",
        body: JSON.stringify([message]),
        headers: { origin, cookie, "content-type": "application/json" },
      }),
    );
  const handshake = { channel: "/meta/handshake", version: "1.0", supportedConnectionTypes: ["long-polling"] };
  const [{ clientId }] = await (await send(handshake)).json();
  const [event, other] = await Promise.all(
    ["/event/Order_Changed__e", "/event/Other__e"].map(
      async (subscription) => (await (await send({ channel: "/meta/subscribe", clientId, subscription })).json())[0],
    ),
  );
  assert.deepEqual([event.successful, other.successful, other.error], [true, false, "403::Restricted channel"]);
  assert.equal((await send(handshake, { cookie: "" })).status, 403);
  assert.equal((await send(handshake, { origin: "https://evil.example" })).status, 403);
  assert.equal(emulator.salesforce.logins.length, 1);
});

test("webhook-to-glassflow: what is delivered with the secret is in the pipeline", async () => {
  const { CloudEvent, toRequest } = await import("eventferry");
  const { module } = await run("webhook-to-glassflow");
  const pipeline = emulator.glassflow.createPipeline({ id: "hooks", accessTokens: ["t0ken"] });
  const env = {
    PIPELINE_ID: "hooks",
    PIPELINE_ACCESS_TOKEN: "t0ken",
    GLASSFLOW_URL: `${url}/glassflow/v1`,
    HOOK_SECRET: "s3cret",
  };
  const event = new CloudEvent({ type: "t", source: "/s", id: "1", data: { n: 1 } });
  const deliver = async (headers) =>
    (await module.default.fetch(toRequest("https://example.com/", event, { headers }), env)).status;
  assert.equal(await deliver({ authorization: "Bearer s3cret" }), 204);
  assert.equal(await deliver({ authorization: "Bearer other" }), 401);
  emulator.faults.add({ match: "/glassflow", status: 403, times: 1 });
  assert.equal(await deliver({ authorization: "Bearer s3cret" }), 500);
  assert.deepEqual(
    pipeline.published.map(({ payload }) => payload),
    [{ id: "1", type: "t", data: { n: 1 } }],
  );
});

test("next-route and next-client: the route receives, and the client publishes", async () => {
  const { CloudEvent, toRequest } = await import("eventferry");
  const { module: route, printed, expected } = await run("next-route");
  const event = new CloudEvent({ type: "com.example.order.created", source: "/s" });
  process.env.HOOK_SECRET = "s3cret";
  const headers = { authorization: "Bearer s3cret" };
  assert.equal((await route.POST(toRequest("https://example.com/", event, { headers }))).status, 204);
  assert.equal((await route.POST(toRequest("https://example.com/", event))).status, 401);
  assert.deepEqual(printed, expected);
  const { module: client } = await run("next-client");
  const { accepted } = await client.track("com.example.page.viewed", {});
  assert.equal(accepted.length, 1);
  await emulator.cloudEvents.waitFor(emulator.cloudEvents.received.length + (arrived("next").length === 0 ? 1 : 0));
  assert.equal(arrived("next").length, 1);
});

test("webhook-envelope: an event of Event Grid arrives", async () => {
  const { module, printed, expected } = await run("webhook-envelope");
  const event = { id: "1", topic: "/t", subject: "/blobs/a.txt", eventType: "Microsoft.Storage.BlobCreated" };
  const body = JSON.stringify([{ ...event, eventTime: "2026-01-01T00:00:00Z", data: {}, dataVersion: "" }]);
  const deliver = (query) => module.handle(new Request(`https://example.com/${query}`, { method: "POST", body }));
  assert.equal((await deliver("")).status, 401);
  assert.equal((await deliver("?key=s3cret")).status, 204);
  assert.deepEqual(printed, expected);
});

test("node-http, from-incoming and lambda: events arrive through the adapters", async () => {
  const { toBinary, CloudEvent } = await import("eventferry");
  const event = new CloudEvent({ type: "com.example.order.created", source: "/s", data: { orderId: 7 } });
  const { headers, body } = toBinary(event);
  const message = { method: "POST", headers: { ...headers, authorization: "Bearer s3cret" }, body };
  Object.assign(process.env, { HOOK_SECRET: "s3cret", PORT: "0" });
  for (const name of ["node-http", "from-incoming"]) {
    const { module, printed, expected } = await run(name);
    if (!module.server.listening) await new Promise((resolve) => module.server.once("listening", resolve));
    const { port } = module.server.address();
    assert.equal((await fetch(`http://127.0.0.1:${port}/`, message)).status, 204);
    assert.deepEqual(printed, expected);
    module.server.close();
    module.server.closeAllConnections();
  }
  const { module, printed, expected } = await run("lambda");
  const request = { version: "2.0", headers: message.headers, requestContext: { http: { method: "POST" } }, body };
  assert.equal((await module.handler(request, { awsRequestId: "r-1" })).statusCode, 204);
  assert.deepEqual(printed, expected);
  // tests/runtimes runs them with their frameworks.
  for (const name of ["express", "fastify"]) docs.claim(name);
});

for (const [name, file] of Object.entries({
  hono: "hono-middleware/app.mjs",
  "webhook-to-glassflow": "worker-webhook/src/worker.mjs",
  "next-route": "next-app/app/api/events/route.js",
  "next-client": "next-app/lib/events.js",
})) {
  test(`${name}: the block is the program of the example, which tests/examples runs`, () => {
    if (name === "hono") docs.claim(name);
    // Formatted, where the formatter of the repository breaks its lines otherwise.
    const squeezed = (code) => code.replace(/\s+/g, "").replace(/,([)}\]])/g, "$1");
    assert.equal(squeezed(docs.BLOCKS.get(name).code), squeezed(read(`www/examples/${file}`)));
  });
}

test("every page is in the index", () => {
  const index = docs.PAGES.get("www/docs/index.md");
  for (const path of docs.PAGES.keys()) {
    const name = path.replace("www/docs/", "");
    if (name !== "README.md" && name !== "index.md")
      assert.ok(
        index.includes(`](${name})`),
        `www/docs/index.md has no link to ${name}; add it to the group where it belongs`,
      );
  }
});

test("every block of JavaScript runs", () => {
  for (const [path, text] of docs.PAGES) {
    for (const [line, language, mark] of text.matchAll(/^```(\S+)(.*)$/gm)) {
      const isCode = /^(?:[cm]?[jt]sx?|javascript|typescript)$/.test(language);
      assert.ok(!isCode || mark.startsWith(" run="), `${path}: ${line}`);
      assert.ok(isCode || ["sh", "json", "text", "http", "html"].includes(language), `${path}: ${line}`);
    }
  }
});

// Last: the blocks that have no scenario above need nothing but the emulator.
test("every other block prints what it says", async (t) => {
  assert.ok(docs.BLOCKS.size >= 30, `there are only ${docs.BLOCKS.size}`);
  for (const name of docs.blocksWithoutTest()) {
    await t.test(`${name}, in ${docs.BLOCKS.get(name).path}`, async () => {
      if (docs.BLOCKS.get(name).language === "ts") assert.deepEqual(compiled(name), []);
      await runAlone(name);
    });
  }
});
