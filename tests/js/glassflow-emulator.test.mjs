// The GlassFlow service of the emulator, by its wire.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "eventferry/testing";

const turn = () => new Promise((resolve) => setImmediate(resolve));

function pipelineWith(options) {
  const emulator = createEmulator({ glassflow: { maxBodyBytes: 100 } });
  const pipeline = emulator.glassflow.createPipeline({ id: "pipe/1", accessTokens: ["t1", "t2"], ...options });
  const ask = (path, { body, method = "POST", token = "t1", id = "pipe%2F1", base = "/glassflow/v1" } = {}) =>
    emulator.fetch(`http://emulator${base}/pipelines/${id}/${path}`, {
      method,
      body,
      headers: token === null ? {} : { "x-pipeline-access-token": token },
    });
  const publish = (body, more) => ask("topics/input/events", { body, ...more });
  const consume = (topic = "output", more) => ask(`topics/${topic}/events/consume`, more);
  const status = (more) => ask("status/access_token", { method: "GET", ...more });
  return { emulator, pipeline, ask, publish, consume, status };
}

test("an event goes in, is transformed, and comes out once", async () => {
  const { pipeline, publish, consume } = pipelineWith({
    transform: ({ n }, log) => (log(`saw ${n}`), n < 0 ? undefined : { n: n + 1 }),
  });
  assert.equal((await publish('{"n":1}')).status, 200);
  const answer = await consume();
  assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, "application/json"]);
  const { event_context: context, req_id: id, receive_time: time, ...event } = await answer.json();
  assert.deepEqual(event, { payload: { n: 1 }, status: "success", response: { n: 2 } });
  assert.deepEqual(context, { request_id: id, external_id: null, receive_time: time });
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual([pipeline.published[0].requestId, pipeline.logs], [id, ["saw 1"]]);
  const empty = await consume();
  assert.deepEqual([empty.status, await empty.text()], [204, ""]);
  await publish('{"n":-1}');
  assert.equal("response" in (await (await consume()).json()), false);
});

test("what the transformation throws makes a failed event", async () => {
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
    ...rest
  } = await (await consume("failed")).json();
  assert.deepEqual([payload, status, details, "response" in rest], [[1], "error", "RangeError: too far", false]);
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
    transform: async (n) => (await new Promise((resolve) => release.push(resolve)), n),
  });
  for (const n of [1, 2, 3]) await publish(String(n));
  assert.deepEqual(pipeline.waiting, { input: 2, output: 0, failed: 0 });
  let isIdle = false;
  const idle = pipeline.idle().then(() => (isIdle = true));
  for (let count = 0; count < 3; count++) {
    assert.equal(isIdle, false);
    release.shift()();
    await turn();
  }
  await idle;
  const seen = [];
  for (let answer; (answer = await consume()).status === 200; ) seen.push((await answer.json()).payload);
  assert.deepEqual(seen, [1, 2, 3]);
});

test("a paused pipeline takes events and gives none", async () => {
  const { publish, pipeline, consume } = pipelineWith();
  pipeline.pause();
  await publish("1");
  assert.equal((await consume()).status, 204);
  pipeline.resume();
  assert.equal((await consume()).status, 200);
});

test("the text of an event keeps its digits", async () => {
  const { publish, consume, pipeline } = pipelineWith();
  const text = '{"n": 12345678901234567890}';
  for (const transform of [pipeline.transform, (data) => ({ ...data })]) {
    pipeline.transform = transform;
    await publish(text);
    const body = await (await consume()).text();
    assert.equal(body.split(text).length, 3, "in the payload and in the response");
  }
});

test("tokens, ids, paths and methods are looked at as the service does", async () => {
  const { ask, publish, consume, status, emulator } = pipelineWith();
  for (const call of [
    publish.bind(undefined, "1"),
    consume.bind(undefined, "output"),
    consume.bind(undefined, "failed"),
    status,
  ]) {
    assert.ok([200, 204].includes((await call({ token: "t2" })).status));
    for (const token of [null, "", "T1", "t1 t2"]) {
      const refused = await call({ token });
      assert.deepEqual([refused.status, await refused.json()], [401, { detail: "unauthorized" }]);
    }
    const unknown = await call({ id: "other" });
    assert.deepEqual([unknown.status, await unknown.json()], [404, { detail: "pipeline not found" }]);
    assert.ok([200, 204].includes((await call({ base: "/glassflow" })).status), "without v1");
  }
  assert.equal((await ask("topics/input/events", { method: "GET" })).headers.get("allow"), "POST");
  assert.equal((await status({ method: "POST" })).status, 405);
  for (const path of ["", "topics", "topics/output/events", "../x", "constructor"])
    assert.equal((await ask(path)).status, 404);
  assert.equal((await emulator.fetch("http://emulator/glassflow")).status, 404);
  assert.equal((await ask("status/access_token", { method: "GET", id: "%zz" })).status, 404);
});

test("what is no JSON, too large, too much or too often is refused", async () => {
  let now = 0;
  const { publish, consume, pipeline, status } = pipelineWith({ maxBytes: 200 });
  for (const body of ["", "{", "hello", new Uint8Array([34, 255, 34])]) assert.equal((await publish(body)).status, 400);
  assert.equal((await publish(`"${"x".repeat(99)}"`)).status, 413);
  assert.equal((await publish("1")).status, 200);
  assert.equal((await publish("2")).status, 503, "what is consumed is larger than what was published");
  await consume();
  const small = pipelineWith({ maxEvents: 2, rateLimit: { requests: 3, perMs: 1500 } });
  small.pipeline.now = () => now;
  assert.equal((await small.publish("1")).status, 200);
  assert.equal((await small.publish("2")).status, 200);
  const full = await small.publish("3");
  assert.deepEqual([full.status, full.headers.get("retry-after")], [503, "1"]);
  now = 400;
  const often = await small.consume();
  assert.deepEqual(
    [often.status, often.headers.get("retry-after"), await often.json()],
    [429, "2", { detail: "too many requests" }],
  );
  now = 1500;
  assert.equal((await small.consume()).status, 200);
  assert.equal(pipeline.id, "pipe/1");
  assert.equal((await status()).status, 200);
});

test("what is kept for assertions is bounded, and the token is not in it", async () => {
  const { publish, pipeline } = pipelineWith({ maxKept: 5, transform: (n, log) => (log(n), n) });
  for (let n = 0; n < 37; n++) await publish(String(n));
  assert.deepEqual(
    pipeline.published.map(({ payload }) => payload),
    [32, 33, 34, 35, 36],
  );
  assert.deepEqual(pipeline.logs, [32, 33, 34, 35, 36]);
  assert.ok(!JSON.stringify(pipeline.published).includes('"t1"'));
});

test("pipelines are made, found and taken away, and bad ones are refused", () => {
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
