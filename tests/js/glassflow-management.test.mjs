// The management of GlassFlow against the emulator: what is created is there, each mistake has its error, and no token or
// secret is shown.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { AccessToken, GlassFlowClient, Pipeline, PipelineEvent, Secret, Space } from "eventferry/glassflow";
import { createEmulator } from "eventferry/testing";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const TOKEN = "personal-token-1";
const CODE = "def handler(data, log):\n    return data\n";
const WEBHOOK = { kind: "webhook", config: { url: "https://sink.example/", method: "POST", headers: [] } };

/** An emulator, a client of it, the requests that it makes, and a space. */
function management(options = {}) {
  const emulator = createEmulator({ glassflow: { personalAccessTokens: [TOKEN], ...options } });
  const requests = [];
  const fetch = async (url, init) => {
    assert.equal(typeof url, "string");
    const { pathname, search } = new URL(url);
    requests.push({ line: `${init.method} ${pathname}${search}`, headers: new Headers(init.headers), body: init.body });
    return emulator.fetch(url, init);
  };
  const clientOptions = { personalAccessToken: TOKEN, baseUrl: "http://emulator/glassflow/v1", fetch };
  const flow = new GlassFlowClient(clientOptions);
  return { emulator, flow, requests, clientOptions, lines: () => requests.splice(0).map(({ line }) => line) };
}

async function withPipeline(options, settings = {}) {
  const all = management(options);
  const space = await all.flow.createSpace("orders");
  const pipeline = await all.flow.createPipeline({ name: "n", spaceId: space.id, transformation: CODE, ...settings });
  return { ...all, space, pipeline };
}

test("a pipeline that is created is there with all its settings", async () => {
  const { flow, pipeline, space, emulator } = await withPipeline(
    {},
    {
      requirements: "x==1",
      sink: WEBHOOK,
      env: { A: "1", B: "two" },
      metadata: { team: { name: "a" } },
      state: "paused",
    },
  );
  const fetched = await flow.getPipeline(pipeline.id);
  for (const one of [pipeline, fetched]) {
    assert.ok(one instanceof Pipeline);
    assert.deepEqual(
      [
        one.name,
        one.spaceId,
        one.state,
        one.metadata,
        one.env,
        one.source,
        one.sink,
        one.transformation,
        one.requirements,
      ],
      ["n", space.id, "paused", { team: { name: "a" } }, { A: "1", B: "two" }, undefined, WEBHOOK, CODE, "x==1"],
    );
    assert.match(one.createdAt, /^\d{4}-.*Z$/);
    assert.deepEqual(
      one.accessTokens.map(({ name, token }) => [name, token]),
      [["default", emulator.glassflow.pipeline(pipeline.id).accessToken]],
    );
  }
  assert.equal(fetched.spaceName, "orders");
  const { totalAmount, pipelines } = await flow.listPipelines();
  assert.deepEqual(
    [totalAmount, pipelines.map(({ id, name, state }) => [id, name, state])],
    [1, [[pipeline.id, "n", "paused"]]],
  );
  assert.deepEqual((await flow.listPipelines({ spaceIds: ["elsewhere"] })).pipelines, []);
});

test("a source and a sink of a pipeline have its token, and the tokens are fetched once", async () => {
  const { emulator, clientOptions, lines } = management();
  emulator.glassflow.createPipeline({ id: "p1", accessTokens: ["t1", "t2"] });
  const pipeline = new Pipeline({ ...clientOptions, id: "p1" });
  const source = await pipeline.getSource();
  await source.publish({ n: 1 });
  const sink = await pipeline.getSink("token-2");
  assert.deepEqual((await sink.consume()).event.response, { n: 1 });
  assert.deepEqual(lines(), [
    "GET /glassflow/v1/pipelines/p1/access_tokens",
    "POST /glassflow/v1/pipelines/p1/topics/input/events",
    "POST /glassflow/v1/pipelines/p1/topics/output/events/consume",
  ]);
  await assert.rejects(pipeline.getSource("zzz"), {
    code: "ERR_INVALID_ARGUMENT",
    message: /"default", "token-2".*"zzz"/,
  });
});

test("an update changes what it names, with the requests of the original", async () => {
  const { pipeline, lines, flow } = await withPipeline({}, { sink: WEBHOOK, env: { A: "1" }, requirements: "x==1" });
  lines();
  const path = `/glassflow/v1/pipelines/${pipeline.id}`;
  const fetches = [`GET ${path}`, `GET ${path}/access_tokens`, `GET ${path}/functions/main/artifacts/latest`];
  await pipeline.update({ name: "renamed", state: "paused" });
  assert.deepEqual(lines(), [...fetches, `PATCH ${path}`]);
  const code = "def handler(data, log):\n    return None\n";
  await pipeline.update({ transformation: code, env: [{ name: "B", value: "2" }], metadata: { v: 2 } });
  assert.deepEqual(lines(), [
    ...fetches,
    `POST ${path}/functions/main/artifacts`,
    `PATCH ${path}/functions/main`,
    `PATCH ${path}`,
  ]);
  const fetched = await flow.getPipeline(pipeline.id);
  for (const one of [pipeline, fetched])
    assert.deepEqual(
      [one.name, one.state, one.transformation, one.requirements, one.env, one.metadata, one.sink],
      ["renamed", "paused", code, "x==1", { B: "2" }, { v: 2 }, WEBHOOK],
    );
});

test("a pipeline that is deleted is gone, and a space can be deleted when it is empty", async () => {
  const { pipeline, space, flow } = await withPipeline();
  await assert.rejects(space.delete(), {
    code: "ERR_CONFLICT",
    status: 409,
    retryable: false,
    message: /is not empty/,
  });
  await pipeline.delete();
  await assert.rejects(flow.getPipeline(pipeline.id), {
    code: "ERR_NOT_FOUND",
    status: 404,
    message: /no such pipeline/,
  });
  await space.delete();
  assert.deepEqual((await flow.listSpaces()).spaces, []);
  await assert.rejects(space.delete(), { code: "ERR_NOT_FOUND", message: /no such space/ });
});

test("secrets are created, listed by their keys, referred to by connectors, and deleted", async () => {
  const { flow, emulator } = management();
  const secret = await flow.createSecret("DB_PASS", "hunter2-secret");
  assert.ok(secret instanceof Secret);
  assert.equal(emulator.glassflow.secrets.get("DB_PASS"), "hunter2-secret");
  await assert.rejects(flow.createSecret("DB_PASS", "again"), {
    code: "ERR_CONFLICT",
    message: /secret with this key/,
  });
  const space = await flow.createSpace("s");
  assert.ok(space instanceof Space);
  const config = { addr: "db:9000", database: "d", username: "u", password: { secret: "DB_PASS" }, table: "t" };
  const sink = { kind: "clickhouse", config };
  const settings = { name: "n", spaceId: space.id, transformation: CODE };
  const pipeline = await flow.createPipeline({ ...settings, sink });
  const { sink: stored } = emulator.glassflow.pipeline(pipeline.id).settings;
  assert.deepEqual(stored.configuration.password, { secret_ref: { type: "organization", key: "DB_PASS" } });
  assert.deepEqual(stored.configuration.table, { value: "t" });
  assert.deepEqual((await flow.getPipeline(pipeline.id)).sink, sink);
  const unknown = { kind: "clickhouse", config: { ...config, password: { secret: "NONE" } } };
  await assert.rejects(flow.createPipeline({ ...settings, sink: unknown }), { code: "ERR_REJECTED", status: 400 });
  assert.deepEqual(
    (await flow.listSecrets()).secrets.map(({ key }) => key),
    ["DB_PASS"],
  );
  await secret.delete();
  await assert.rejects(secret.delete(), { code: "ERR_NOT_FOUND", message: /no such secret/ });
});

test("a test runs the transformation without the queues, and says how it failed", async () => {
  const compile = () => (event, log) => {
    log("ran");
    if (event.n > 1) throw new RangeError("too large");
    return { n: event.n + 1 };
  };
  const { pipeline, emulator } = await withPipeline({ compile });
  const passed = await pipeline.test({ n: 1 });
  assert.ok(passed instanceof PipelineEvent);
  assert.deepEqual(
    [passed.isFailed, passed.payload, passed.response, passed.status],
    [false, { n: 1 }, { n: 2 }, "success"],
  );
  const failed = await pipeline.test({ n: 5 });
  assert.deepEqual([failed.isFailed, failed.errorDetails, failed.data], [true, "RangeError: too large", { n: 5 }]);
  assert.deepEqual(emulator.glassflow.pipeline(pipeline.id).waiting, { input: 0, output: 0, failed: 0 });
  assert.equal(passed.toCloudEvent().source, `http://emulator/glassflow/v1/pipelines/${pipeline.id}`);
});

test("the log is read page by page, as far as it is read", async () => {
  const compile = () => (event, log) => log({ at: event });
  const { pipeline, lines } = await withPipeline({ compile });
  for (let n = 1; n <= 5; n++) await pipeline.test(n);
  lines();
  const entries = [];
  for await (const entry of pipeline.logs({ pageSize: 2 })) entries.push(entry);
  assert.deepEqual(
    entries.map(({ message, level, severityCode }) => [message, level, severityCode]),
    [1, 2, 3, 4, 5].map((n) => [`{"at":${n}}`, "INFO", 200]),
  );
  assert.equal(lines().length, 3);
  for await (const entry of pipeline.logs({ pageSize: 2, startTime: new Date(0) })) {
    assert.equal(entry.message, '{"at":1}');
    break;
  }
  assert.match(lines().join(), /page_size=2&severity_code=100&start_time=1970-01-01T00%3A00%3A00.000Z$/);
  for await (const entry of pipeline.logs({ severityCode: 500 })) assert.fail(entry);
});

test("while code is built, 425 is an error of its own that a retry can help", async () => {
  const { pipeline, flow } = await withPipeline({ buildMs: 60_000 });
  const notReady = { code: "ERR_NOT_READY", status: 425, retryable: true, message: /still being built/ };
  await assert.rejects(pipeline.test(1), notReady);
  await assert.rejects(flow.getPipeline(pipeline.id), notReady);
  await assert.rejects(pipeline.update({ name: "x" }), notReady);
  await sleep(60_000);
  assert.equal((await pipeline.update({ name: "x" })).name, "x");
});

const refused = (t, what, body, expected) =>
  t.test(what, () => assert.rejects(async () => body(), { name: "FerryError", ...expected }));

test("mistakes of the caller are refused before a request, and name the field", async (t) => {
  const { flow, clientOptions, lines } = management();
  const invalid = (message) => ({ code: "ERR_INVALID_ARGUMENT", culprit: "caller", message });
  const settings = { name: "n", spaceId: "s", transformation: CODE };
  const create = (more) => () => flow.createPipeline({ ...settings, ...more });
  const cases = {
    "no token": [() => new GlassFlowClient({}), /^personalAccessToken must be/],
    "an empty token": [() => new GlassFlowClient({ personalAccessToken: "" }), /^personalAccessToken must be/],
    "a token with a line break": [
      () => new GlassFlowClient({ personalAccessToken: "a\nb" }),
      /^personalAccessToken must be/,
    ],
    "a misspelt option": [() => new GlassFlowClient({ personalAccesToken: "x" }), /did you mean "personalAccessToken"/],
    "a bad base URL": [() => new GlassFlowClient({ ...clientOptions, baseUrl: "x" }), /^baseUrl/],
    "a pipeline without id": [() => new Pipeline(clientOptions).getSink(), /^id must be a string/],
    "an id that is no path segment": [() => flow.getPipeline(".."), /^id must be usable/],
    "no name": [() => new Pipeline(clientOptions).create(), /^name must be/],
    "no space": [create({ spaceId: undefined }), /^spaceId must be/],
    "no code": [create({ transformation: undefined }), /^transformation must be/],
    "a misspelt setting": [create({ transform: CODE }), /no option "transform"/],
    "a bad state": [create({ state: "stopped" }), /^state must be/],
    "metadata that is no object": [create({ metadata: [] }), /^metadata must be/],
    "metadata that is no JSON": [create({ metadata: { n: 1n } }), /BigInt/],
    "env that is not text": [create({ env: { A: 1 } }), /^the environment variable A must be a string$/],
    "a connector without its config": [
      create({ sink: { kind: "webhook" } }),
      /^sink.config must be .*url, method, headers/,
    ],
    "a config without its kind": [
      create({ source: { config: { project_id: "p" } } }),
      /^source.kind must be one of google_pubsub/,
    ],
    "an unknown kind": [create({ sink: { kind: "kafka", config: {} } }), /^sink.kind must be one of webhook/],
    "a kind of the other role": [create({ source: WEBHOOK }), /^source.kind/],
    "a missing member": [
      create({ sink: { kind: "mongodb_json", config: { db_name: "d" } } }),
      /^sink.config.connection_uri must be a string .*it is missing/,
    ],
    "a misspelt member": [
      create({ sink: { kind: "mongodb_json", config: { db_nam: "d" } } }),
      /^sink.config has no option "db_nam"; did you mean "db_name"/,
    ],
    "a bad method": [
      create({ sink: { kind: "webhook", config: { ...WEBHOOK.config, method: "TRACE" } } }),
      /^sink.config.method must be GET/,
    ],
    "a secret key with a digit first": [() => flow.createSecret("1abc", "v"), /^key must be a letter/],
    "a secret without a value": [() => flow.createSecret("A"), /^value must be a string/],
    "a bad page size": [() => new Pipeline({ ...clientOptions, id: "p" }).logs({ pageSize: 0 }), /^pageSize must be/],
    "a bad severity": [
      () => new Pipeline({ ...clientOptions, id: "p" }).logs({ severityCode: 7 }),
      /^severityCode must be/,
    ],
    "a time that is none": [
      () => new Pipeline({ ...clientOptions, id: "p" }).logs({ startTime: "soon" }),
      /^startTime must be/,
    ],
    "an update of the space": [
      () => new Pipeline({ ...clientOptions, id: "p" }).update({ spaceId: "s" }),
      /no option "spaceId"/,
    ],
    "an event that is no JSON": [() => new Pipeline({ ...clientOptions, id: "p" }).test(undefined), /^event must be/],
  };
  for (const [what, [body, message]] of Object.entries(cases)) await refused(t, what, body, invalid(message));
  assert.deepEqual(lines(), []);
});

/** A client whose server answers each request with the same response. */
function answering(body, init) {
  const fetch = async () => new Response(typeof body === "string" ? body : JSON.stringify(body), init);
  return new GlassFlowClient({ personalAccessToken: TOKEN, baseUrl: "https://server.example/v1", fetch });
}

test("a wrong token and bad answers of a server are errors of their own", async (t) => {
  const { clientOptions } = management();
  const wrong = new GlassFlowClient({ ...clientOptions, personalAccessToken: "wrong-token-2" });
  await refused(t, "a wrong token", () => wrong.listSpaces(), { code: "ERR_UNAUTHORIZED", status: 401 });
  const cases = {
    "not JSON": ["<html>", {}, "ERR_INVALID_DATA"],
    "no list": [{}, {}, "ERR_INVALID_DATA"],
    "a list of numbers": [{ spaces: [1] }, {}, "ERR_INVALID_DATA"],
    "a name that is no text": [{ spaces: [{ id: "1", name: { a: 1 } }] }, {}, "ERR_INVALID_DATA"],
    "no body": ["", {}, "ERR_INVALID_DATA"],
    "a redirect": ["", { status: 302, headers: { location: "https://other.example/" } }, "ERR_REDIRECTED"],
    "a broken server": [{ detail: "oops" }, { status: 500 }, "ERR_UNAVAILABLE"],
    "too many requests": ["", { status: 429 }, "ERR_RATE_LIMITED"],
    "a refusal": [{ detail: "not like this" }, { status: 400 }, "ERR_REJECTED"],
  };
  for (const [what, [body, init, code]] of Object.entries(cases))
    await refused(t, what, () => answering(body, init).listSpaces(), { code });
  await assert.rejects(answering({ detail: "not like this" }, { status: 400 }).listSpaces(), /: not like this$/);
  const deep = `{"pipelines":[{"id":"1","name":"n","metadata":${"[".repeat(5000)}${"]".repeat(5000)}}]}`;
  assert.equal((await answering(deep).listPipelines()).pipelines[0].name, "n");
});

test("a response that is too large is not read", async () => {
  const chunk = new Uint8Array(1024 * 1024);
  let pulled = 0;
  const fetch = async () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          pulled++;
          controller.enqueue(chunk);
        },
      }),
    );
  const flow = new GlassFlowClient({ personalAccessToken: TOKEN, fetch });
  await assert.rejects(flow.listSpaces(), { code: "ERR_TOO_LARGE" });
  assert.ok(pulled < 40, `${pulled} chunks of 1 MiB were read`);
});

test("a request ends with its time limit, its signal, and the error of fetch", async () => {
  const signals = [];
  const hanging = (url, { signal }) => {
    signals.push(signal);
    return new Promise(() => undefined);
  };
  const flow = new GlassFlowClient({ personalAccessToken: TOKEN, fetch: hanging });
  await assert.rejects(flow.listSpaces({ timeoutMs: 50 }), { code: "ERR_TIMEOUT", retryable: true });
  const controller = new AbortController();
  const aborted = assert.rejects(flow.listSpaces({ signal: controller.signal }), { code: "ERR_ABORTED" });
  await sleep(1);
  controller.abort();
  await aborted;
  assert.deepEqual(
    signals.map((signal) => signal.aborted),
    [true, true],
  );
  await assert.rejects(flow.listSpaces({ signal: controller.signal }), { code: "ERR_ABORTED" });
  const broken = new GlassFlowClient({
    personalAccessToken: TOKEN,
    fetch: () => {
      throw new TypeError(`no way with ${TOKEN}`);
    },
  });
  await assert.rejects(broken.listSpaces(), (error) => {
    assert.equal(error.code, "ERR_NETWORK");
    assert.equal(error.cause.message, "no way with …");
    return true;
  });
  const noResponse = new GlassFlowClient({ personalAccessToken: TOKEN, fetch: async () => undefined });
  await assert.rejects(noResponse.listSpaces(), { code: "ERR_NETWORK" });
});

test("the token may come from a function, and may change", async () => {
  const { emulator, clientOptions } = management({ personalAccessTokens: ["first-token", "second-token"] });
  const seen = [];
  const tokens = ["first-token", "second-token"];
  const fetch = async (url, init) => {
    seen.push(new Headers(init.headers).get("personal-access-token"));
    return emulator.fetch(url, init);
  };
  const flow = new GlassFlowClient({ ...clientOptions, fetch, personalAccessToken: async () => tokens.shift() });
  await flow.listSpaces();
  await flow.listSpaces();
  assert.deepEqual(seen, ["first-token", "second-token"]);
  await assert.rejects(flow.listSpaces(), { code: "ERR_INVALID_ARGUMENT", message: /^personalAccessToken/ });
});

test("requests have the headers and the query of the original, and no token in their body", async () => {
  const { requests, clientOptions } = management();
  const flow = new GlassFlowClient({ ...clientOptions, organizationId: "org 1", headers: { "x-trace": "t" } });
  await flow.createSpace("s");
  const [{ line, headers, body }] = requests;
  assert.equal(line, "POST /glassflow/v1/spaces?organization_id=org+1");
  assert.deepEqual(Object.fromEntries(headers), {
    accept: "application/json",
    "content-type": "application/json",
    "personal-access-token": TOKEN,
    "x-trace": "t",
  });
  assert.equal(body, '{"name":"s"}');
});

test("no token and no secret is shown, whatever is logged and whatever a server repeats", async () => {
  const password = "clickhouse-pass-9";
  const config = { addr: "a:1", database: "d", username: "u", password, table: "t" };
  const all = await withPipeline({}, { sink: { kind: "clickhouse", config }, env: { KEY: "env-value-77" } });
  const secret = await all.flow.createSecret("K", "secret-value-5");
  const [accessToken] = all.pipeline.accessTokens;
  assert.ok(accessToken instanceof AccessToken);
  const hidden = [TOKEN, password, "env-value-77", "secret-value-5", accessToken.token];
  const showsNone = (text) => {
    for (const one of hidden) assert.equal(text.includes(one), false, text);
  };
  for (const one of [all.flow, all.pipeline, all.space, secret, accessToken, await all.pipeline.getSource()])
    showsNone(inspect(one, { depth: 9, showHidden: true }) + JSON.stringify(one) + String(one));
  assert.match(inspect(all.pipeline), /^Pipeline \{\s+id: '/);
  // A server that repeats what it was sent.
  const echo = async (url, init) =>
    new Response(JSON.stringify({ detail: `${init.body} ${new Headers(init.headers).get("personal-access-token")}` }), {
      status: 400,
    });
  const flow = new GlassFlowClient({ personalAccessToken: TOKEN, fetch: echo });
  const settings = { name: "n", spaceId: "s", transformation: CODE };
  const calls = [
    flow.createPipeline({ ...settings, sink: { kind: "clickhouse", config }, env: { KEY: "env-value-77" } }),
    flow.createSecret("K", "secret-value-5"),
    flow.listSpaces(),
  ];
  for (const call of calls)
    await assert.rejects(call, (error) => {
      assert.equal(error.code, "ERR_REJECTED");
      showsNone(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error) + error.stack);
      return true;
    });
  // Types of members that the API does not describe may be tokens too.
  const strange = { access_tokens: [{ name: "default", token: [accessToken.token] }] };
  const pipeline = new Pipeline({ personalAccessToken: TOKEN, id: "p", fetch: async () => Response.json(strange) });
  await assert.rejects(pipeline.getSource(), (error) => {
    assert.equal(error.code, "ERR_INVALID_DATA");
    showsNone(inspect(error, { depth: 9 }));
    return true;
  });
});

test("a page is warned", async (t) => {
  const warnings = [];
  t.mock.method(console, "warn", (message) => warnings.push(message));
  globalThis.document = {};
  try {
    new GlassFlowClient({ personalAccessToken: TOKEN });
  } finally {
    delete globalThis.document;
  }
  new Space({ personalAccessToken: TOKEN });
  assert.deepEqual(warnings.length, 1);
  assert.match(warnings[0], /GlassFlowClient is used in a page, .*use it on a server/);
});
