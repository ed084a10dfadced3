// The GlassFlow service of the emulator, over HTTP.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "eventferry/testing";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

function pipelineWith(options) {
  const emulator = createEmulator({ glassflow: { maxBodyBytes: 100 } });
  const pipeline = emulator.glassflow.createPipeline({ id: "pipe/1", accessTokens: ["t1", "t2"], ...options });
  const call = (path, { body, method = "POST", token = "t1", id = "pipe%2F1", base = "/glassflow/v1" } = {}) =>
    emulator.fetch(`http://emulator${base}/pipelines/${id}/${path}`, {
      method,
      body,
      headers: token === null ? {} : { "x-pipeline-access-token": token },
    });
  const publish = (body, more) => call("topics/input/events", { body, ...more });
  const consume = (topic = "output", more) => call(`topics/${topic}/events/consume`, more);
  const status = (more) => call("status/access_token", { method: "GET", ...more });
  return { emulator, pipeline, call, publish, consume, status };
}

test("an event is published, transformed, and consumed once", async () => {
  const { pipeline, publish, consume } = pipelineWith({
    transform: ({ n }, log) => {
      log(`saw ${n}`);
      return n < 0 ? undefined : { n: n + 1 };
    },
  });
  assert.equal((await publish('{"n":1}')).status, 200);
  const response = await consume();
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/json"]);
  const { event_context: context, req_id: id, receive_time: time, ...event } = await response.json();
  assert.deepEqual(event, { payload: { n: 1 }, status: "success", response: { n: 2 } });
  assert.deepEqual(context, { request_id: id, external_id: null, receive_time: time });
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual([pipeline.published[0].requestId, pipeline.logs], [id, ["saw 1"]]);
  const empty = await consume();
  assert.deepEqual([empty.status, await empty.text()], [204, ""]);
  await publish('{"n":-1}');
  assert.equal("response" in (await (await consume()).json()), false);
});

test("an exception of the transformation makes a failed event", async () => {
  const { publish, consume, pipeline } = pipelineWith({
    transform: () => {
      throw new RangeError("too far");
    },
  });
  await publish("[1]");
  assert.deepEqual(pipeline.waiting, { input: 0, output: 0, failed: 1 });
  assert.equal((await consume()).status, 204);
  const {
    payload,
    status,
    error_details: details,
    stack_trace: trace,
    ...others
  } = await (await consume("failed")).json();
  assert.deepEqual([payload, status, details, "response" in others], [[1], "error", "RangeError: too far", false]);
  assert.match(trace, /^RangeError: too far\n/);
  pipeline.transform = () => {
    throw "a text";
  };
  await publish("1");
  assert.equal((await (await consume("failed")).json()).error_details, "Error: a text");
  pipeline.transform = () => 1n;
  await publish("1");
  assert.match((await (await consume("failed")).json()).error_details, /BigInt/);
});

test("async transformations keep the order, and idle waits for them", async () => {
  const release = [];
  const { publish, pipeline, consume } = pipelineWith({
    transform: async (n) => {
      await new Promise((resolve) => release.push(resolve));
      return n;
    },
  });
  for (const n of [1, 2, 3]) await publish(String(n));
  assert.deepEqual(pipeline.waiting, { input: 2, output: 0, failed: 0 });
  let isIdle = false;
  const idle = pipeline.idle().then(() => {
    isIdle = true;
  });
  for (let count = 0; count < 3; count++) {
    assert.equal(isIdle, false);
    release.shift()();
    await sleep(1);
  }
  await idle;
  const seen = [];
  for (let response = await consume(); response.status === 200; response = await consume())
    seen.push((await response.json()).payload);
  assert.deepEqual(seen, [1, 2, 3]);
});

test("a paused pipeline accepts events and returns none", async () => {
  const { publish, pipeline, consume } = pipelineWith();
  pipeline.pause();
  await publish("1");
  assert.equal((await consume()).status, 204);
  pipeline.resume();
  assert.equal((await consume()).status, 200);
});

test("the text of an event keeps all digits", async () => {
  const { publish, consume, pipeline } = pipelineWith();
  const text = '{"n": 12345678901234567890}';
  for (const transform of [pipeline.transform, (data) => ({ ...data })]) {
    pipeline.transform = transform;
    await publish(text);
    const body = await (await consume()).text();
    assert.equal(body.split(text).length, 3, "in the payload and in the response");
  }
});

test("tokens, ids, paths and methods are checked as by the service", async () => {
  const { call, publish, consume, status, emulator } = pipelineWith();
  for (const request of [
    publish.bind(undefined, "1"),
    consume.bind(undefined, "output"),
    consume.bind(undefined, "failed"),
    status,
  ]) {
    assert.ok([200, 204].includes((await request({ token: "t2" })).status));
    for (const token of [null, "", "T1", "t1 t2"]) {
      const refused = await request({ token });
      assert.deepEqual([refused.status, await refused.json()], [401, { detail: "unauthorized" }]);
    }
    const unknown = await request({ id: "other" });
    assert.deepEqual([unknown.status, await unknown.json()], [404, { detail: "pipeline not found" }]);
    assert.ok([200, 204].includes((await request({ base: "/glassflow" })).status), "without v1");
  }
  assert.equal((await call("topics/input/events", { method: "GET" })).headers.get("allow"), "POST");
  assert.equal((await status({ method: "POST" })).status, 405);
  for (const path of ["", "topics", "topics/output/events", "constructor"])
    assert.equal((await call(path)).status, 404);
  assert.equal((await call("../x")).status, 401, "a path of the management API, which has tokens of its own");
  assert.equal((await emulator.fetch("http://emulator/glassflow")).status, 404);
  assert.equal((await call("status/access_token", { method: "GET", id: "%zz" })).status, 404);
});

test("the management API refuses what is not as it is described", async () => {
  const emulator = createEmulator({ glassflow: { personalAccessTokens: ["pat"] } });
  const call = (path, { method = "POST", body, token = "pat", type = "application/json" } = {}) =>
    emulator.fetch(`http://emulator/glassflow/v1${path}`, {
      method,
      body,
      headers: { "content-type": type, ...(token && { "personal-access-token": token }) },
    });
  const space = await (await call("/spaces", { body: '{"name":"s"}' })).json();
  const created = (more) => ({
    body: JSON.stringify({ name: "n", space_id: space.id, transformation_function: "code", ...more }),
  });
  const { id } = await (await call("/pipelines", created())).json();
  const cases = [
    [401, "/spaces", { body: '{"name":"s"}', token: null }],
    [401, "/spaces", { method: "GET", token: "other" }],
    [405, "/spaces", { method: "PUT" }],
    [400, "/spaces", { body: "{}" }],
    [400, "/spaces", { body: "{" }],
    [400, "/spaces", { body: "7" }],
    [400, "/pipelines", created({ name: "" })],
    [400, "/pipelines", created({ transformation_function: undefined })],
    [404, "/pipelines", created({ space_id: "other" })],
    [400, "/pipelines", created({ state: "stopped" })],
    [400, "/pipelines", created({ sink_connector: { kind: "webhook" } })],
    [400, "/pipelines", created({ sink_connector: { kind: "kafka", config: {} } })],
    [400, "/pipelines", created({ environments: [{ name: "A" }] })],
    [400, `/pipelines/${id}/functions/main/artifacts`, { body: "code" }],
    [400, `/pipelines/${id}/functions/main/test`, { body: "{" }],
    [400, `/pipelines/${id}/functions/main/logs?page_size=x`, { method: "GET" }],
    [404, "/pipelines/other/functions/main/test", { body: "1" }],
    [400, "/secrets", { body: '{"key":"1","value":"v"}' }],
    [400, "/secrets", { body: '{"key":"K"}' }],
    [404, "/secrets/K", { method: "DELETE" }],
  ];
  for (const [status, path, options] of cases) {
    const response = await call(path, options);
    assert.equal(response.status, status, `${path} ${options.body}`);
    assert.equal(typeof (await response.json()).detail, "string");
  }
  assert.equal((await call("/spaces", { method: "PUT" })).headers.get("allow"), "GET, POST");
  assert.equal([...emulator.glassflow.spaces].length, 1);
});

test("invalid JSON, large events, full queues and too many requests are refused", async () => {
  let now = 0;
  const { publish, consume, pipeline, status } = pipelineWith({ maxBytes: 200 });
  for (const body of ["", "{", "hello", new Uint8Array([34, 255, 34])]) assert.equal((await publish(body)).status, 400);
  assert.equal((await publish(`"${"x".repeat(99)}"`)).status, 413);
  assert.equal((await publish("1")).status, 200);
  assert.equal((await publish("2")).status, 503, "a consumed event is larger than the published one");
  await consume();
  const small = pipelineWith({ maxEvents: 2, rateLimit: { requests: 3, perMs: 1500 } });
  small.pipeline.now = () => now;
  assert.equal((await small.publish("1")).status, 200);
  assert.equal((await small.publish("2")).status, 200);
  const full = await small.publish("3");
  assert.deepEqual([full.status, full.headers.get("retry-after")], [503, "1"]);
  now = 400;
  const limited = await small.consume();
  assert.deepEqual(
    [limited.status, limited.headers.get("retry-after"), await limited.json()],
    [429, "2", { detail: "too many requests" }],
  );
  now = 1500;
  assert.equal((await small.consume()).status, 200);
  assert.equal(pipeline.id, "pipe/1");
  assert.equal((await status()).status, 200);
});

test("the record for assertions is bounded, and does not contain the token", async () => {
  const { publish, pipeline } = pipelineWith({
    maxKept: 5,
    transform: (n, log) => {
      log(n);
      return n;
    },
  });
  for (let n = 0; n < 37; n++) await publish(String(n));
  assert.deepEqual(
    pipeline.published.map(({ payload }) => payload),
    [32, 33, 34, 35, 36],
  );
  assert.deepEqual(pipeline.logs, [32, 33, 34, 35, 36]);
  assert.ok(!JSON.stringify(pipeline.published).includes('"t1"'));
});

test("pipelines are created, found and deleted, and invalid options are refused", () => {
  const { glassflow } = createEmulator();
  const pipeline = glassflow.createPipeline();
  assert.match(pipeline.id, /^[0-9a-f-]{36}$/);
  assert.match(pipeline.accessToken, /^[0-9a-f-]{36}$/);
  assert.equal(glassflow.pipeline(pipeline.id), pipeline);
  assert.throws(() => glassflow.createPipeline({ id: pipeline.id }), { code: "ERR_INVALID_ARGUMENT" });
  for (const bad of [
    { id: "" },
    { id: 7 },
    { transform: "x" },
    { maxEvents: 0 },
    { maxBytes: 0 },
    { rateLimit: { requests: 0, perMs: 1 } },
    { maxKept: -1 },
  ]) {
    assert.throws(() => glassflow.createPipeline(bad), { code: "ERR_INVALID_ARGUMENT" });
  }
  assert.equal(glassflow.deletePipeline(pipeline.id), true);
  assert.equal(glassflow.pipeline(pipeline.id), undefined);
  glassflow.createPipeline({ id: "x" });
  glassflow.clear();
  assert.equal(glassflow.pipeline("x"), undefined);
  assert.throws(() => createEmulator({ glassflow: { maxBodyBytes: 0 } }), { code: "ERR_INVALID_ARGUMENT" });
});
