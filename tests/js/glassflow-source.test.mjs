// Publishing to GlassFlow pipelines: one event, many events, sessions. The token appears in its header only.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  CloudEvent,
  FerryError,
  PipelineDataSink,
  PipelineDataSource,
  isFerryError,
  memoryStore,
} from "eventferry/glassflow";
import { BASE, TOKEN, emulatedPipeline, server, sinkOf, sourceTo, text } from "./glassflow-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const range = (count) => Array.from({ length: count }, (_, n) => ({ n }));

test("publish makes one request, the same as the original", async () => {
  const fake = server(200);
  assert.deepEqual(await sourceTo(fake).publish({ a: "ç€😀" }), { status: 200 });
  const [{ method, url, headers, body }] = fake.requests;
  assert.deepEqual([method, url, body], ["POST", `${BASE}/pipelines/pipe-1/topics/input/events`, '{"a":"ç€😀"}']);
  const { accept, "content-type": type, "x-pipeline-access-token": token } = headers;
  assert.deepEqual({ accept, type, token }, { accept: "application/json", type: "application/json", token: TOKEN });
});

test("any JSON value is an event, and a value that JSON cannot represent is refused before a request", async () => {
  const fake = server(200);
  const source = sourceTo(fake);
  const good = [
    [{}, "{}"],
    [[1, null], "[1,null]"],
    ["null", '"null"'],
    [0, "0"],
    [false, "false"],
    [{ x: 2n ** 70n, y: [-1n], z: "1n" }, '{"x":1180591620717411303424,"y":[-1],"z":"1n"}'],
    [7n, "7"],
  ];
  for (const [event] of good) await source.publish(event);
  assert.deepEqual(
    fake.requests.map(({ body }) => body),
    good.map(([, body]) => body),
  );
  const circle = {};
  circle.self = circle;
  for (const bad of [
    undefined,
    null,
    () => 1,
    Symbol("s"),
    NaN,
    { deep: [{ here: -Infinity }] },
    { a: 1n, b: NaN },
    circle,
    new Uint8Array(2),
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(1)),
  ]) {
    await assert.rejects(source.publish(bad), { code: "ERR_INVALID_ARGUMENT" }, inspect(bad));
  }
  await assert.rejects(source.publish({ deep: [{ here: -Infinity }] }), {
    message: 'the event has -Infinity in "here"; JSON cannot represent this number',
  });
  assert.equal(fake.requests.length, good.length);
});

test("a CloudEvent is published in the JSON event format, with all digits", async () => {
  const fake = server(200);
  const json = '{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":12345678901234567890}}';
  await sourceTo(fake).publish(CloudEvent.fromJSON(json));
  assert.equal(fake.requests[0].body, json);
});

test("an error names the pipeline and the cause, with the detail from the server", async () => {
  const table = [
    [401, "ERR_UNAUTHORIZED", "the pipeline access token was refused (HTTP 401): detail from the server"],
    [404, "ERR_REJECTED", "there is no such pipeline (HTTP 404): detail from the server"],
    [429, "ERR_RATE_LIMITED", "the server limits the rate of requests (HTTP 429): detail from the server"],
    [500, "ERR_UNAVAILABLE", "the server could not handle the request (HTTP 500): detail from the server"],
    [
      new Response("<html>\n<h1>Bad  gateway</h1>\u0007", { status: 502 }),
      "ERR_UNAVAILABLE",
      "the server could not handle the request (HTTP 502): <html> <h1>Bad gateway</h1>",
    ],
    [
      new Response('{"msg":"not empty"}', { status: 409 }),
      "ERR_REJECTED",
      "the server refused the request (HTTP 409): not empty",
    ],
    [
      new Response(null, { status: 302, headers: { location: "/elsewhere" } }),
      "ERR_REDIRECTED",
      "the server responded with a redirect, which is not followed (HTTP 302)",
    ],
    [
      new Response("x".repeat(1000), { status: 400 }),
      "ERR_REJECTED",
      `the server refused the request (HTTP 400): ${"x".repeat(199)}…`,
    ],
  ];
  for (const [response, code, message] of table) {
    const status = typeof response === "number" ? response : response.status;
    const verbs = [
      [(fake) => sourceTo(fake).publish({}), "publish to"],
      [(fake) => sourceTo(fake).validateCredentials(), "validate the access token of"],
      [(fake) => sinkOf(fake).validateCredentials(), "validate the access token of"],
    ];
    if (status !== 429)
      verbs.push(
        [(fake) => sinkOf(fake).consume(), "consume from"],
        [(fake) => sinkOf(fake).consumeFailed(), "consume a failed event of"],
      );
    for (const [call, verb] of verbs) {
      await assert.rejects(call(server(response)), {
        code,
        status,
        message: `${verb} pipeline "pipe-1" at ${BASE}: ${message}`,
      });
    }
  }
  const refused = await sourceTo(server(401))
    .publish({})
    .catch((error) => error);
  assert.equal(text(refused.body), '{"detail":"detail from the server"}');
});

test("a response that was cloned is read up to the limit, and the rest is not awaited", async () => {
  const kept = new Response("x".repeat(100_000), { status: 400 });
  await assert.rejects(sourceTo({ fetch: async () => kept.clone() }, { timeoutMs: 300 }).publish({}), {
    code: "ERR_REJECTED",
    status: 400,
  });
});

test("without a response the error has the cause that fetch has thrown", async () => {
  const cause = new TypeError("fetch failed");
  const error = await sourceTo(server(cause))
    .publish({})
    .catch((error) => error);
  assert.deepEqual([error.code, error.retryable, error.status, error.cause], ["ERR_NETWORK", true, undefined, cause]);
  const hanging = server(() => new Promise(() => {}));
  await assert.rejects(sourceTo(hanging, { timeoutMs: 5 }).publish({}), { code: "ERR_TIMEOUT" });
  assert.ok(hanging.requests[0].signal.aborted);
});

test("the token appears in its header only, even if the server repeats it", async () => {
  const echo = () => new Response(JSON.stringify({ detail: `the token ${TOKEN} is unknown` }), { status: 401 });
  const echoingError = new TypeError(`Invalid header value ${TOKEN}`);
  const seen = [];
  for (const response of [echo, echoingError]) {
    for (const call of [
      (fake) => sourceTo(fake).publish({}),
      (fake) => sourceTo(fake).validateCredentials(),
      (fake) => sinkOf(fake).consume(),
    ]) {
      const error = await call(server(response)).catch((error) => error);
      assert.ok(isFerryError(error));
      seen.push(
        error.message,
        String(error),
        JSON.stringify(error),
        inspect(error, { depth: 9, showHidden: true }),
        text(error.body ?? new Uint8Array()),
        String(error.cause),
      );
    }
  }
  for (const Client of [PipelineDataSource, PipelineDataSink]) {
    for (const pipelineAccessToken of [`${TOKEN}\n`, ` ${TOKEN}`, `${TOKEN}\u20ac`]) {
      assert.throws(
        () => new Client({ pipelineId: "p", pipelineAccessToken }),
        (error) => {
          seen.push(inspect(error));
          return error.code === "ERR_INVALID_ARGUMENT";
        },
      );
      const lazy = new Client({
        pipelineId: "p",
        pipelineAccessToken: () => pipelineAccessToken,
        fetch: server(200).fetch,
      });
      const error = await (lazy.publish?.({}) ?? lazy.consume()).catch((error) => error);
      assert.equal(error.code, "ERR_INVALID_ARGUMENT");
      seen.push(inspect(error));
    }
  }
  const source = sourceTo(server(200));
  for (const client of [source, sinkOf(server(204)), source.outbox, source.session()])
    seen.push(inspect(client, { depth: 9, showHidden: true }), JSON.stringify(client), String(client));
  source.close();
  for (const shown of seen) assert.ok(!shown?.includes(TOKEN), shown);
  assert.ok(seen.some((shown) => shown.includes("the token … is unknown")));
});

test("the token may be a function, also an async one, which is called before each request", async () => {
  const fake = server(200);
  let count = 0;
  const source = sourceTo(fake, {
    pipelineAccessToken: async () => `token-${++count}`,
    outbox: { store: memoryStore() },
  });
  await source.publish({});
  await source.validateCredentials();
  const session = source.session();
  session.publish({});
  session.publish({});
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    fake.requests.map(({ headers }) => headers["x-pipeline-access-token"]),
    ["token-1", "token-2", "token-3", "token-4"],
  );
  source.close();
});

test("a token function that fails is an error of the caller, and no request is made", async () => {
  const cause = new Error("no session");
  for (const pipelineAccessToken of [
    () => {
      throw cause;
    },
    async () => {
      throw cause;
    },
  ]) {
    const fake = server(200);
    for (const call of [
      () => sourceTo(fake, { pipelineAccessToken }).publish({}),
      () => sinkOf(fake, { pipelineAccessToken }).consume(),
    ]) {
      await assert.rejects(call(), { code: "ERR_NETWORK", culprit: "caller", retryable: true, cause });
    }
    assert.equal(fake.requests.length, 0);
  }
});

test("the options of a client are checked by its constructor, and the message names the option", () => {
  const good = { pipelineId: "p", pipelineAccessToken: "t" };
  const bad = [
    [{ ...good, pipelineID: "x" }, /has no option "pipelineID"; did you mean "pipelineId"\?$/],
    [{ ...good, pipelineId: 7 }, /^pipelineId must be a string; received 7$/],
    [{ ...good, pipelineId: "" }, /^pipelineId must be usable in a URL path; received ""$/],
    [{ ...good, pipelineId: ".." }, /^pipelineId must be usable in a URL path; received "\.\."$/],
    [{ ...good, pipelineAccessToken: "" }, /^pipelineAccessToken must be a non-empty string; received ""$/],
    [
      { ...good, pipelineAccessToken: 7 },
      /^pipelineAccessToken must be a string or a function that returns one; received a value of type number$/,
    ],
    [{ ...good, pipelineAccessToken: null }, /received null$/],
    [
      { ...good, baseUrl: "api.glassflow.dev" },
      /^baseUrl must be an absolute URL; did you mean "https:\/\/api.glassflow.dev"\?$/,
    ],
    [{ ...good, baseUrl: "ftp://example.com" }, /^baseUrl must be an http or https URL; received "ftp:"$/],
    [
      { ...good, baseUrl: "https://user:secret@example.com" },
      /^baseUrl must not contain a user name or password; use an authorization header$/,
    ],
    [
      { ...good, baseUrl: "https://example.com/v1?key=1" },
      /^baseUrl must be a URL without a query and a fragment; paths are appended to it$/,
    ],
    [
      { ...good, timeoutMs: 0 },
      /^timeoutMs must be a number of milliseconds above 0 and up to 2147483647; received 0$/,
    ],
    [{ ...good, fetch: "fetch" }, /^fetch must be a function; received "fetch"$/],
    [{ ...good, signal: {} }, /^signal must be an AbortSignal/],
    [null, /^the options of .* must be an object/],
  ];
  for (const [options, message] of bad)
    for (const Client of [PipelineDataSource, PipelineDataSink])
      assert.throws(() => new Client(options), { code: "ERR_INVALID_ARGUMENT", message });
  for (const [options, message] of [
    [{ retry: { attempts: 0 } }, /^retry\.attempts/],
    [{ outbox: { nme: "x" } }, /^outbox has no option "nme"; did you mean "name"\?$/],
  ]) {
    assert.throws(() => new PipelineDataSource({ ...good, ...options }), { code: "ERR_INVALID_ARGUMENT", message });
  }
  for (const [options, message] of [
    [{ backoff: { baseMs: 0 } }, /^backoff\.baseMs must be an integer from 1 to 86400000; received 0$/],
    [{ backoff: { min: 1 } }, /^backoff has no option "min"/],
    [{ maxEventBytes: 2 ** 28 }, /^maxEventBytes must be an integer from 1 to 134217728; received 268435456$/],
    [{ retry: {} }, /has no option "retry"/],
  ]) {
    assert.throws(() => new PipelineDataSink({ ...good, ...options }), { code: "ERR_INVALID_ARGUMENT", message });
  }
});

test("a call has the options timeoutMs and signal, and no others", async () => {
  const source = sourceTo(server(() => new Promise(() => {})));
  await assert.rejects(source.publish({}, { timeoutMs: 5 }), { code: "ERR_TIMEOUT" });
  await assert.rejects(source.publish({}, { signal: AbortSignal.abort("enough") }), {
    code: "ERR_ABORTED",
    cause: "enough",
  });
  const aborter = new AbortController();
  const publishing = source.publish({}, { signal: aborter.signal });
  void sleep(1).then(() => aborter.abort("enough"));
  await assert.rejects(publishing, { code: "ERR_ABORTED", cause: "enough" });
  for (const bad of [{ timeout: 5 }, { signal: 7 }, { timeoutMs: -1 }, null]) {
    await assert.rejects(source.publish({}, bad), { code: "ERR_INVALID_ARGUMENT" });
    await assert.rejects(source.validateCredentials(bad), { code: "ERR_INVALID_ARGUMENT" });
  }
  source.close();
  await assert.rejects(source.publish({}), { code: "ERR_CLOSED" });
  assert.throws(() => source.session(), { code: "ERR_CLOSED" });
});

test("publishAll with one request in flight publishes in order, also after failures", async () => {
  const { emulator, pipeline, source } = emulatedPipeline(
    {},
    { source: { retry: { attempts: 20, baseMs: 1, maxMs: 1 } } },
  );
  emulator.faults.add({ match: (request) => request.url.includes("/input/"), status: 503, probability: 0.3 });
  assert.deepEqual(await source.publishAll(range(200)), { published: 200, failed: [] });
  assert.deepEqual(
    pipeline.published.map(({ payload }) => payload.n),
    range(200).map(({ n }) => n),
  );
});

test("publishAll limits the requests in flight, and takes the next event when the oldest has finished", async () => {
  const open = new Map();
  const arrived = [];
  let taken = 0;
  function* events() {
    for (const event of range(30)) {
      taken++;
      yield event;
    }
  }
  const fetch = async (...args) => {
    const request = new Request(...args);
    const { n } = await request.json();
    await new Promise((resolve) => open.set(n, resolve));
    return new Response("{}");
  };
  const publishing = sourceTo({ fetch }).publishAll(events(), { concurrency: 4 });
  let most = 0;
  while (arrived.length < 30) {
    await sleep(1);
    most = Math.max(most, open.size);
    // The newest request gets its response first.
    const n = Math.max(...open.keys());
    const oldest = Math.min(...open.keys());
    assert.ok(taken <= oldest + 4, `${taken} were taken before ${oldest} had finished`);
    arrived.push(n);
    open.get(n)();
    open.delete(n);
  }
  assert.deepEqual(await publishing, { published: 30, failed: [] });
  assert.equal(most, 4);
  assert.deepEqual(arrived.slice(0, 8), [3, 2, 1, 0, 7, 6, 5, 4]);
  for (const [place, n] of arrived.entries()) assert.ok(n - place < 4, `${n} has overtaken more than 3 others`);
});

test("publishAll keeps events with the same key in order, with many requests in flight too", async () => {
  const { emulator, pipeline, source } = emulatedPipeline();
  let calls = 0;
  emulator.faults.add({ match: () => ++calls % 3 === 0, delayMs: 3 });
  const events = range(120).map(({ n }) => ({ n, user: n % 7 }));
  assert.deepEqual(
    await source.publishAll(events, { concurrency: 16, key: ({ user }) => (user === 0 ? undefined : `user ${user}`) }),
    { published: 120, failed: [] },
  );
  const all = pipeline.published.map(({ payload }) => payload);
  assert.notDeepEqual(all, events, "events without a key have overtaken others");
  for (let user = 1; user < 7; user++)
    assert.deepEqual(
      all.filter((event) => event.user === user),
      events.filter((event) => event.user === user),
    );
});

test("the report has each failed event with its index and error, and the other events are published", async () => {
  const { emulator, pipeline, source } = emulatedPipeline();
  emulator.faults.add({ match: "/glassflow/v1/pipelines/pipe-1/topics/input", status: 500, probability: 0.2 });
  const events = [...range(50), NaN, undefined, { n: 52 }];
  for (const concurrency of [1, 8]) {
    pipeline.now = () => 0;
    const before = pipeline.waiting.output;
    const report = await source.publishAll(events, { concurrency });
    assert.equal(report.published + report.failed.length, events.length);
    assert.equal(report.published, pipeline.waiting.output - before);
    assert.deepEqual(
      report.failed.map(({ index }) => index),
      report.failed.map(({ index }) => index).sort((a, b) => a - b),
    );
    assert.ok(report.failed.every(({ index, event, error }) => Object.is(event, events[index]) && isFerryError(error)));
    assert.ok(report.failed.length > 5);
    assert.deepEqual(
      report.failed.filter(({ index }) => index === 50 || index === 51).map(({ error }) => error.code),
      ["ERR_INVALID_ARGUMENT", "ERR_INVALID_ARGUMENT"],
    );
    assert.deepEqual(Object.keys(report), ["published", "failed"]);
  }
});

test("publishAll accepts sync and async iterables, also of promises, and nothing else", async () => {
  const { pipeline, source } = emulatedPipeline();
  const published = () => pipeline.published.map(({ payload }) => payload);
  await source.publishAll(new Set([1, 2]));
  await source.publishAll([Promise.resolve(3)]);
  await source.publishAll(
    (async function* () {
      yield 4;
    })(),
  );
  await source.publishAll([]);
  assert.deepEqual(published(), [1, 2, 3, 4]);
  for (const bad of ["text", 7, null, undefined, {}])
    await assert.rejects(source.publishAll(bad), { code: "ERR_INVALID_ARGUMENT" });
  for (const bad of [
    { concurrency: 0 },
    { concurrency: 65 },
    { concurrency: "2" },
    { key: "id" },
    { ordered: true },
    { signal: 1 },
  ]) {
    await assert.rejects(source.publishAll([1], bad), { code: "ERR_INVALID_ARGUMENT" });
  }
  assert.deepEqual(published(), [1, 2, 3, 4]);
});

test("an iterable that throws ends publishAll: earlier events are published, the report has the error", async () => {
  const { pipeline, source } = emulatedPipeline();
  const cause = new Error("the file ends here");
  const report = await source.publishAll(
    (function* () {
      yield 1;
      yield 2;
      throw cause;
    })(),
    { concurrency: 3 },
  );
  assert.deepEqual(report, { published: 2, failed: [], aborted: true, cause });
  assert.equal(pipeline.published.length, 2);
});

test("publishAll ends when its signal aborts: no further event is taken, and those in flight have failed", async () => {
  const aborter = new AbortController();
  let isEnded = false;
  function* endless() {
    try {
      for (let n = 0; ; n++) yield n;
    } finally {
      isEnded = true;
    }
  }
  let count = 0;
  const source = sourceTo({
    fetch: async (...args) => {
      const request = new Request(...args);
      if (++count <= 10) return new Response("{}");
      void sleep(1).then(() => aborter.abort());
      return new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)));
    },
  });
  const report = await source.publishAll(endless(), { signal: aborter.signal, concurrency: 2 });
  assert.deepEqual(
    [report.published, report.aborted, report.failed.map(({ event, error }) => [event, error.code])],
    [
      10,
      true,
      [
        [10, "ERR_ABORTED"],
        [11, "ERR_ABORTED"],
      ],
    ],
  );
  assert.ok(isEnded, "the iterator was closed");
});

test("publishAll does not await a pending iterator after an abort, and reports its late event", async () => {
  const aborter = new AbortController();
  let resolveNext;
  const events = {
    [Symbol.asyncIterator]: () => ({
      next: () =>
        new Promise((resolve) => {
          resolveNext = resolve;
        }),
      return: () => new Promise(() => {}),
    }),
  };
  const publishing = sourceTo(server(200)).publishAll(events, { signal: aborter.signal });
  await sleep(1);
  aborter.abort();
  const report = await publishing;
  assert.deepEqual(report, { published: 0, failed: [], aborted: true });
  resolveNext({ done: false, value: "late" });
  await sleep(1);
  assert.deepEqual(
    report.failed.map(({ index, event, error }) => [index, event, error.code]),
    [[0, "late", "ERR_ABORTED"]],
  );
});

test("publishAll ends when the source is closed", async () => {
  const closeAndRespond = () => {
    source.close();
    return new Response("{}");
  };
  const source = sourceTo(server(closeAndRespond));
  const report = await source.publishAll(range(100));
  assert.equal(report.aborted, true);
  assert.ok(report.published + report.failed.length < 4);
});

test("a session sends one event in each request, in order, and has an id for each", async () => {
  const { pipeline, source } = emulatedPipeline({}, { source: { outbox: { store: memoryStore() } } });
  const session = source.session();
  session.publish({ dropped: true });
  assert.equal(session.rollback().length, 1);
  const receipts = range(20).map((event) => session.publish(event));
  const made = session.publish(new CloudEvent({ id: "my-id", type: "t", source: "/s", time: null }));
  assert.equal(made.id, "my-id");
  const { delivered, dead } = await session.flush({ until: "delivered" });
  assert.deepEqual(delivered, [...receipts.map(({ id }) => id), "my-id"]);
  assert.equal(new Set(delivered).size, 21);
  assert.deepEqual(dead, []);
  assert.deepEqual(
    pipeline.published.map(({ text }) => text),
    [...range(20).map((event) => JSON.stringify(event)), '{"specversion":"1.0","id":"my-id","source":"/s","type":"t"}'],
  );
  assert.equal((await receipts[3].delivered).status, 200);
  assert.throws(() => session.publish(null), { code: "ERR_INVALID_ARGUMENT" });
  await source.outbox.close();
});

test("a refused event becomes a dead letter with its text, and can be replayed", async () => {
  const fake = server(400, 200);
  const source = sourceTo(fake, { outbox: { store: memoryStore(), retry: { baseMs: 1, maxMs: 1 } } });
  const session = source.session();
  const long = "x".repeat(5000);
  session.publish(new CloudEvent({ id: long, type: "t", source: "/s", time: null }));
  const { dead } = await session.flush({ until: "delivered" });
  assert.equal(JSON.parse(dead[0].text).id, long);
  assert.equal(dead[0].status, 400);
  assert.ok(dead[0].id.length < 100, "the store has a short id instead of one that is too long");
  assert.equal(await source.outbox.dead.replay([dead[0].id]), 1);
  await source.outbox.drain();
  assert.equal(JSON.parse(fake.requests[1].body).id, long);
  await source.outbox.close();
});

test("a flushed event survives a refused token, and is sent with the next token", async () => {
  const { pipeline, source, emulator } = emulatedPipeline();
  let token = "old";
  const mine = sourceTo(emulator, {
    baseUrl: "http://emulator/glassflow/v1",
    pipelineAccessToken: () => token,
    outbox: { store: memoryStore(), retry: { baseMs: 1, maxMs: 1 } },
  });
  const degraded = [];
  mine.outbox.addEventListener("degraded", ({ detail }) => {
    degraded.push(detail.error.code);
    token = TOKEN;
  });
  const session = mine.session();
  session.publish({ kept: true });
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    pipeline.published.map(({ payload }) => payload),
    [{ kept: true }],
  );
  assert.deepEqual(degraded, ["ERR_UNAUTHORIZED"]);
  await mine.outbox.close();
  source.close();
});

test("credentials are validated, and 429 is an error", async () => {
  const fake = server(200);
  assert.equal(await sourceTo(fake).validateCredentials(), undefined);
  assert.equal(await sinkOf(fake).validateCredentials(), undefined);
  for (const { method, url, headers, body } of fake.requests) {
    assert.deepEqual(
      [method, url, body, headers["content-type"]],
      ["GET", `${BASE}/pipelines/pipe-1/status/access_token`, "", undefined],
    );
    assert.equal(headers["x-pipeline-access-token"], TOKEN);
  }
  await assert.rejects(
    sourceTo(server(429)).validateCredentials(),
    (error) => error instanceof FerryError && error.code === "ERR_RATE_LIMITED",
  );
});

test("headers of the user are sent, and do not replace the token", async () => {
  const fake = server(200);
  const headers = { "x-mine": "1", "x-pipeline-access-token": "other" };
  await sourceTo(fake, { headers }).publish({});
  await sinkOf(server(204), { headers: () => headers }).consume();
  const both = server(204);
  await sinkOf(both, { headers: async () => headers }).consume();
  for (const { headers } of [...fake.requests, ...both.requests])
    assert.deepEqual([headers["x-mine"], headers["x-pipeline-access-token"]], ["1", TOKEN]);
});

test("pages without HTTPS have no randomUUID: events with a BigInt and sessions work there too", async () => {
  const { randomUUID } = crypto;
  crypto.randomUUID = undefined;
  try {
    const fake = server(200);
    const source = sourceTo(fake);
    await source.publish({ big: 2n ** 70n });
    const session = source.session();
    const { id } = session.publish({ n: 1 });
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    assert.deepEqual((await session.flush({ until: "delivered" })).delivered, [id]);
    assert.deepEqual(
      fake.requests.map(({ body }) => body),
      ['{"big":1180591620717411303424}', '{"n":1}'],
    );
    source.close();
  } finally {
    crypto.randomUUID = randomUUID;
  }
});
