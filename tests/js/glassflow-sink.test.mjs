// Consuming from GlassFlow pipelines: single events, iteration, rests; and that nothing is dropped that was taken.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import { call } from "../../dist/engine/instance.js";
import {
  BASE,
  TOKEN,
  bytes,
  consumed,
  jumpingClock,
  server,
  sinkOf,
  sourceTo,
  text,
  world,
} from "./glassflow-world.mjs";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async (count) => {
  for (let at = 0; at < count; at++) await turn();
};
/** Runs a test whose rests take no time. */
const withoutWaiting = (body) => async (t) => {
  const clock = jumpingClock();
  try {
    await body(clock, t);
  } finally {
    clock.restore();
  }
};
/** An answer that comes when it is told to. */
function held(answer) {
  let give;
  const when = new Promise((resolve) => (give = resolve));
  return {
    give: () => give(),
    answer: () =>
      when.then(() => (typeof answer === "number" ? new Response(null, { status: answer }) : Response.json(answer))),
  };
}

test("an event has what the service says of it", async () => {
  const fake = server(consumed());
  const { status, event, ...more } = await sinkOf(fake).consume();
  assert.deepEqual([status, more], [200, {}]);
  const { payload, response, data, requestId, receiveTime, externalId, errorDetails, stackTrace, isFailed } = event;
  assert.deepEqual(
    {
      payload,
      response,
      data,
      status: event.status,
      requestId,
      receiveTime,
      externalId,
      errorDetails,
      stackTrace,
      isFailed,
    },
    {
      payload: { a: 1 },
      response: { a: 1, b: 2 },
      data: { a: 1, b: 2 },
      status: "success",
      requestId: "r-1",
      receiveTime: "2024-09-23T07:28:27.958Z",
      externalId: "x-1",
      errorDetails: undefined,
      stackTrace: undefined,
      isFailed: false,
    },
  );
  assert.equal(event.payload, event.payload, "parsed once");
  assert.deepEqual(JSON.parse(text(event.body)), consumed());
  assert.match(inspect(event), /^PipelineEvent \{\n {2}payload: \{ a: 1 \}/);
  assert.equal(JSON.parse(JSON.stringify(event)).requestId, "r-1");
  const [{ method, url, headers, body }] = fake.requests;
  assert.deepEqual(
    [method, url, body, headers["x-pipeline-access-token"], headers["content-type"]],
    ["POST", `${BASE}/pipelines/pipe-1/topics/output/events/consume`, "", TOKEN, undefined],
  );
});

test("a failed event has its payload as data, the details and the stack trace", async () => {
  const fake = server(
    consumed({
      response: undefined,
      status: "error",
      error_details: "KeyError: 'b'",
      stack_trace: "Traceback …\n  line",
    }),
  );
  const { event } = await sinkOf(fake).consumeFailed();
  assert.deepEqual(
    [event.isFailed, event.data, event.response, event.errorDetails, event.stackTrace],
    [true, { a: 1 }, undefined, "KeyError: 'b'", "Traceback …\n  line"],
  );
  assert.equal(fake.requests[0].url, `${BASE}/pipelines/pipe-1/topics/failed/events/consume`);
});

test("what the service leaves out is undefined, and what it says in another form is there all the same", async () => {
  const { event } = await sinkOf(server({ payload: null, status: { code: 7 }, error_details: null })).consume();
  assert.deepEqual(
    [event.payload, event.response, event.data, event.requestId, event.receiveTime, event.status, event.errorDetails],
    [null, undefined, undefined, undefined, undefined, '{"code":7}', undefined],
  );
  const { event: nothing } = await sinkOf(server(consumed({ response: null }))).consume();
  assert.deepEqual([nothing.response, nothing.data], [null, null]);
});

test("an event is not parsed before somebody looks, and loses no digit", async () => {
  const body =
    '{"payload": {"n": 12345678901234567890, "m": 1.50}, "event_context": {"request_id": "r"}, "response": [1e400, "\\u00e9"]}';
  const { event } = await sinkOf(server(new Response(body))).consume();
  assert.equal(event.payloadText, '{"n": 12345678901234567890, "m": 1.50}');
  assert.equal(event.responseText, '[1e400, "\\u00e9"]');
  assert.deepEqual(event.response, [Infinity, "é"]);
  assert.equal(event.toCloudEvent().dataText, event.responseText);
});

test("an event becomes a CloudEvent", async () => {
  const { event } = await sinkOf(server(consumed())).consume();
  const cloudEvent = event.toCloudEvent();
  assert.deepEqual(cloudEvent.toJSON(), {
    specversion: "1.0",
    id: "r-1",
    source: `${BASE}/pipelines/pipe-1`,
    type: "dev.glassflow.pipeline.output",
    time: "2024-09-23T07:28:27.958Z",
    pipelinestatus: "success",
    externalid: "x-1",
    datacontenttype: "application/json",
    data: { a: 1, b: 2 },
  });
  const failed = (
    await sinkOf(server(consumed({ response: undefined, error_details: "boom" }))).consumeFailed()
  ).event.toCloudEvent();
  assert.deepEqual(
    [failed.type, failed.data, failed.get("errordetails")],
    ["dev.glassflow.pipeline.failed", { a: 1 }, "boom"],
  );
  const odd = consumed({
    response: undefined,
    error_details: "two\nlines",
    event_context: { receive_time: "2024-09-23T07:28:27" },
    req_id: undefined,
    receive_time: undefined,
  });
  const bare = (await sinkOf(server(odd)).consume()).event.toCloudEvent();
  assert.deepEqual([bare.time, bare.get("errordetails"), bare.data], [undefined, undefined, undefined]);
  assert.match(bare.id, /^[0-9a-f-]{36}$/);
});

test("an answer that cannot be read is in the error, byte for byte, and its message says nothing of it", async () => {
  const bad = [
    "",
    "hello",
    "<html>secret</html>",
    "[]",
    "null",
    "{}",
    '{"status":"success"}',
    '{"payload":1',
    '\ufeff{"payload":1}',
    new Uint8Array([123, 255, 254]),
    `{"payload":${"[".repeat(600)}${"]".repeat(600)}}`,
  ];
  for (const body of bad) {
    for (const [method, verb] of [
      ["consume", "consume from"],
      ["consumeFailed", "consume a failed event of"],
    ]) {
      const error = await sinkOf(server(new Response(body)))
        [method]()
        .catch((error) => error);
      assert.deepEqual([error.code, error.status, error.culprit], ["ERR_INVALID_EVENT", 200, "peer"], String(body));
      assert.deepEqual(error.body, typeof body === "string" ? bytes(body) : body);
      const sentence =
        body === ""
          ? "the answer is empty"
          : "the answer is not an event that can be read; its bytes are in the body of this error";
      assert.equal(error.message, `${verb} pipeline "pipe-1" at ${BASE}: ${sentence} (HTTP 200)`);
      assert.ok(
        !("body" in JSON.parse(JSON.stringify(error))) && !inspect(error).includes("Uint8Array"),
        "no log shows it by accident",
      );
    }
  }
});

test("an event may be large, and one that is larger than maxEventBytes comes raw", async () => {
  const large = consumed({ payload: "x".repeat(3_000_000), response: 1 });
  assert.equal((await sinkOf(server(large)).consume()).event.payload.length, 3_000_000);
  const error = await sinkOf(server(large), { maxEventBytes: 1_000_000 })
    .consume()
    .catch((error) => error);
  assert.equal(error.code, "ERR_TOO_LARGE");
  assert.deepEqual(JSON.parse(text(error.body)), large);
  assert.match(
    error.message,
    /larger than the 1000000 bytes of maxEventBytes; all 30\d+ bytes are in the body of this error/,
  );
  const exact = JSON.stringify(consumed()).length;
  assert.equal((await sinkOf(server(consumed()), { maxEventBytes: exact }).consume()).status, 200);
  await assert.rejects(sinkOf(server(consumed()), { maxEventBytes: exact - 1 }).consume(), { code: "ERR_TOO_LARGE" });
});

test("an answer that breaks off is handed over as far as it came", async () => {
  const { emulator, pipeline, source, sink } = world();
  await source.publish({ text: "x".repeat(1000) });
  emulator.faults.add({ match: "/glassflow/v1/pipelines/pipe-1/topics/output", cutBodyAfter: 300 });
  const error = await sink.consume().catch((error) => error);
  assert.equal(error.code, "ERR_INVALID_EVENT");
  assert.equal(error.body.length, 300);
  assert.match(text(error.body), /^\{"req_id":/);
  assert.equal(pipeline.waiting.output, 0, "it is gone from the server");
});

test("the bytes of an answer may be of another realm, as in test environments that have globals of their own", async () => {
  const foreign = runInNewContext("Uint8Array.from(bytes)", { bytes: [...bytes(JSON.stringify(consumed()))] });
  assert.ok(!(foreign instanceof Uint8Array));
  const answer = () =>
    new Response(
      new ReadableStream({
        start: (controller) => (
          controller.enqueue(foreign.subarray(0, 9)), controller.enqueue(foreign.subarray(9)), controller.close()
        ),
      }),
    );
  assert.deepEqual((await sinkOf(server(answer)).consume()).event.payload, { a: 1 });
});

test("other successes are no event, and what they have said is not thrown away", async () => {
  assert.deepEqual(await sinkOf(server(204)).consume(), { status: 204 });
  assert.deepEqual(await sinkOf(server(new Response("slow down", { status: 429 }))).consume(), { status: 429 });
  assert.deepEqual(await sinkOf(server(new Response(null, { status: 202 }))).consume(), { status: 202 });
  const { status, event, body } = await sinkOf(server(new Response('{"payload":1}', { status: 202 }))).consumeFailed();
  assert.deepEqual([status, event, text(body)], [202, undefined, '{"payload":1}']);
});

test(
  "rests twice as long each time there is nothing, for both queues, and comes down with an event",
  withoutWaiting(async (clock) => {
    const fake = server(204, 429, 204, 204, 204, 204, 204, 204, consumed(), 204);
    const sink = sinkOf(fake);
    for (let at = 0; at < 10; at++) await (at % 2 ? sink.consumeFailed() : sink.consume());
    const rests = clock.rests(fake.requests);
    let [least, most] = [1000, 1000];
    for (const rest of rests.slice(0, 8)) {
      [least, most] = [Math.min(2 * least, 60_000), Math.min(2 * most, 60_000) + 101];
      assert.ok(rest >= least && rest <= most, `${rest} is not from ${least} to ${most}`);
    }
    assert.equal(rests[8], 0);
  }),
);

test(
  "keeps what Retry-After says, and rests after errors as well",
  withoutWaiting(async (clock) => {
    const fake = server(
      new Response(null, { status: 429, headers: { "retry-after": "7" } }),
      500,
      new TypeError("gone"),
      401,
      consumed(),
    );
    const sink = sinkOf(fake);
    const outcomes = [];
    for (let at = 0; at < 5; at++)
      outcomes.push(
        await sink.consume().then(
          ({ status }) => status,
          ({ code }) => code,
        ),
      );
    assert.deepEqual(outcomes, [429, "ERR_UNAVAILABLE", "ERR_NETWORK", "ERR_UNAUTHORIZED", 200]);
    const [first, ...others] = clock.rests(fake.requests);
    assert.ok(first >= 7000 && first < 7002, `${first}`);
    [4000, 8000, 16_000].forEach((least, at) =>
      assert.ok(others[at] >= least && others[at] < least + 1600, `${others}`),
    );
  }),
);

test(
  "the rests can be chosen",
  withoutWaiting(async (clock) => {
    const fake = server(204);
    const sink = sinkOf(fake, { backoff: { baseMs: 10, maxMs: 30 } });
    for (let at = 0; at < 4; at++) await sink.consume();
    clock
      .rests(fake.requests)
      .forEach((rest, at) => assert.ok(rest >= [20, 30, 30][at] && rest <= [22, 33, 33][at], `${rest}`));
  }),
);

test("a call that rests can be given up, and makes no request", async () => {
  const fake = server(204);
  const sink = sinkOf(fake);
  await sink.consume();
  const aborter = new AbortController();
  const resting = sink.consume({ signal: aborter.signal });
  await turn();
  aborter.abort("enough");
  await assert.rejects(resting, { code: "ERR_ABORTED", cause: "enough" });
  await assert.rejects(sink.consume({ signal: AbortSignal.abort("before") }), { code: "ERR_ABORTED", cause: "before" });
  assert.equal(fake.requests.length, 1);
  assert.deepEqual(await sink.close(), []);
});

test("a request that is under way when its call is given up goes on, and the next call has its event", async () => {
  const slow = held(consumed({ payload: "not lost" }));
  const fake = server(slow.answer, 204);
  const sink = sinkOf(fake);
  const aborter = new AbortController();
  const given = sink.consume({ signal: aborter.signal });
  await turns(3);
  aborter.abort();
  await assert.rejects(given, { code: "ERR_ABORTED" });
  assert.ok(!fake.requests[0].signal.aborted, "aborted, it would have taken the event with it");
  const next = sink.consume();
  slow.give();
  assert.equal((await next).event.payload, "not lost");
  assert.equal(fake.requests.length, 1);
});

test("an event that comes when nobody wants it waits for the next call for its queue", async () => {
  const slow = held(consumed({ payload: "failed" }));
  const fake = server(slow.answer, consumed({ payload: "output" }));
  const sink = sinkOf(fake);
  const aborter = new AbortController();
  const given = sink.consumeFailed({ signal: aborter.signal });
  await turns(3);
  aborter.abort();
  await assert.rejects(given, { code: "ERR_ABORTED" });
  slow.give();
  assert.equal((await sink.consume()).event.payload, "output");
  assert.equal((await sink.consumeFailed()).event.payload, "failed");
  assert.equal(fake.requests.length, 2);
});

test("closing waits for the request that is under way and gives what it brings", async () => {
  const slow = held(consumed({ payload: "late" }));
  const sink = sinkOf(server(slow.answer));
  const waiting = sink.consume();
  const another = sink.consume();
  await turns(3);
  const closing = sink.close();
  await assert.rejects(waiting, { code: "ERR_CLOSED" });
  await assert.rejects(another, { code: "ERR_CLOSED" });
  await assert.rejects(sink.consume(), { code: "ERR_CLOSED" });
  assert.throws(() => sink.events(), { code: "ERR_CLOSED" });
  slow.give();
  const left = await closing;
  assert.deepEqual(
    left.map(({ status, event }) => [status, event.payload]),
    [[200, "late"]],
  );
  assert.equal(sink.close(), sink.close());
  await assert.rejects(sink.validateCredentials(), { code: "ERR_CLOSED" });
});

test("what cannot be read is given by close as well", async () => {
  const slow = { give: undefined };
  const sink = sinkOf(server(() => new Promise((resolve) => (slow.give = () => resolve(new Response("raw"))))));
  void sink.consume().catch(() => {});
  await turns(3);
  const closing = sink.close();
  slow.give();
  assert.deepEqual(
    (await closing).map(({ status, body }) => [status, text(body)]),
    [[200, "raw"]],
  );
});

test("a signal closes the sink", async () => {
  const aborter = new AbortController();
  const sink = sinkOf(server(204), { signal: aborter.signal });
  await sink.consume();
  const resting = sink.consume();
  aborter.abort();
  await assert.rejects(resting, { code: "ERR_CLOSED" });
  await assert.rejects(sinkOf(server(204), { signal: AbortSignal.abort() }).consume(), { code: "ERR_CLOSED" });
});

test("calls wait for each other, so events come in their order", async () => {
  const { source, sink } = world();
  await source.publishAll([0, 1, 2, 3, 4]);
  const results = await Promise.all([0, 1, 2, 3, 4].map(() => sink.consume()));
  assert.deepEqual(
    results.map(({ event }) => event.payload),
    [0, 1, 2, 3, 4],
  );
});

test("iteration asks for an event when one is wanted, and not before", async () => {
  const { pipeline, source, sink } = world();
  await source.publishAll([1, 2, 3]);
  const iterator = sink[Symbol.asyncIterator]();
  assert.equal(pipeline.waiting.output, 3);
  assert.equal((await iterator.next()).value.payload, 1);
  await turns(5);
  assert.equal(pipeline.waiting.output, 2);
  assert.deepEqual(
    (await Promise.all([iterator.next(), iterator.next()])).map(({ value }) => value.payload),
    [2, 3],
  );
  assert.deepEqual(await iterator.return(), { done: true, value: undefined });
  assert.deepEqual(await iterator.next(), { done: true, value: undefined });
});

test(
  "iteration goes on while there is nothing, and after failures that time can mend, and tells of those",
  withoutWaiting(async (clock) => {
    const fake = server(
      204,
      new TypeError("gone"),
      503,
      new Response(null, { status: 429, headers: { "retry-after": "9" } }),
      consumed(),
    );
    const told = [];
    for await (const event of sinkOf(fake).events({ onRetry: ({ code }, delayMs) => told.push([code, delayMs]) })) {
      assert.deepEqual(event.payload, { a: 1 });
      break;
    }
    assert.deepEqual(
      told.map(([code]) => code),
      ["ERR_NETWORK", "ERR_UNAVAILABLE", "ERR_RATE_LIMITED"],
    );
    const rests = clock.rests(fake.requests).slice(1);
    told.forEach(([, delayMs], at) =>
      assert.ok(Math.abs(delayMs - rests[at]) < 2, `${delayMs} was told, and ${rests[at]} rested`),
    );
  }),
);

test("iteration ends with what time cannot mend, and a new one goes on with the next event", async () => {
  const sink = sinkOf(
    server(
      consumed({ payload: 1 }),
      new Response("what is this?"),
      new Response("{}", { status: 202 }),
      401,
      consumed({ payload: 2 }),
    ),
    { backoff: { baseMs: 1, maxMs: 1 } },
  );
  const seen = [];
  for (let at = 0; at < 4; at++) {
    try {
      for await (const event of sink) {
        seen.push(event.payload);
        if (event.payload === 2) break;
      }
    } catch (error) {
      seen.push([error.code, error.status, text(error.body)]);
    }
  }
  assert.deepEqual(seen, [
    1,
    ["ERR_INVALID_EVENT", 200, "what is this?"],
    ["ERR_REJECTED", 202, "{}"],
    ["ERR_UNAUTHORIZED", 401, '{"detail":"words of the server"}'],
    2,
  ]);
  const iterator = sinkOf(server(404))[Symbol.asyncIterator]();
  await assert.rejects(iterator.next(), { code: "ERR_REJECTED", status: 404 });
  assert.equal((await iterator.next()).done, true);
});

test("a signal ends an iteration without an error: at once while it rests, and what is under way is kept", async () => {
  const aborter = new AbortController();
  const slow = held(consumed({ payload: "kept" }));
  const fake = server(204, slow.answer, 204);
  const sink = sinkOf(fake, { backoff: { baseMs: 1, maxMs: 1 } });
  const seen = [];
  const ended = (async () => {
    for await (const event of sink.events({ signal: aborter.signal })) seen.push(event);
  })();
  while (fake.requests.length < 2) await turn();
  aborter.abort();
  await ended;
  assert.deepEqual(seen, []);
  slow.give();
  await turns(5);
  assert.equal((await sink.consume()).event.payload, "kept");
  for await (const event of sink.events({ signal: AbortSignal.abort() })) seen.push(event);
  assert.deepEqual(seen, []);
  const resting = sinkOf(server(204));
  await resting.consume();
  const other = new AbortController();
  setImmediate(() => other.abort());
  for await (const event of resting.events({ signal: other.signal })) seen.push(event);
  assert.deepEqual(seen, []);
});

test("return ends an iteration that rests, and close ends all of them", async () => {
  const sink = sinkOf(server(204));
  await sink.consume();
  const iterator = sink[Symbol.asyncIterator]();
  const next = iterator.next();
  await iterator.return();
  assert.deepEqual(await next, { done: true, value: undefined });
  const others = [sink[Symbol.asyncIterator](), sink.events({ failed: true })[Symbol.asyncIterator]()].map((iterator) =>
    iterator.next(),
  );
  await sink.close();
  assert.deepEqual(await Promise.all(others), [
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
});

test("options of an iteration are checked", () => {
  const sink = sinkOf(server(204));
  for (const bad of [
    { failed: "yes" },
    { fail: true },
    { signal: 1 },
    { onRetry: 1 },
    { store: "memory" },
    { store: {} },
    { maxUnacknowledged: 0 },
    7,
    null,
  ]) {
    assert.throws(() => sink.events(bad), { code: "ERR_INVALID_ARGUMENT" }, inspect(bad));
  }
});

test("a failed event is published again in one call, byte for byte", async () => {
  const { pipeline, source, sink } = world({
    transform: (data) => {
      throw new TypeError(`cannot take ${typeof data}`);
    },
  });
  const json = '{ "n": 12345678901234567890,  "t": "\\u00e9" }';
  await source.publishText(json, {});
  const { event } = await sink.consumeFailed();
  assert.deepEqual(
    [event.errorDetails, event.stackTrace.includes("cannot take object")],
    ["TypeError: cannot take object", true],
  );
  pipeline.transform = (data) => ({ mended: data.t });
  assert.deepEqual(await event.republish(source), { status: 200 });
  assert.equal(pipeline.published[1].text, json);
  assert.deepEqual((await sink.consume()).event.response, { mended: "é" });
  for (const bad of [undefined, sink, "source"])
    await assert.rejects(event.republish(bad), { code: "ERR_INVALID_ARGUMENT" });
  await assert.rejects(event.republish(sourceTo(server(503))), { code: "ERR_UNAVAILABLE" });
});

test("ack without a store has nothing to do", async () => {
  const { event } = await sinkOf(server(consumed())).consume();
  assert.equal(await event.ack(), undefined);
  assert.equal(await event.ack(), undefined);
});

test("when the engine traps, what was kept is still there and the sink goes on", async () => {
  const UNREACHABLE = new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
  ]);
  const trap = new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f;
  const slow = held(consumed({ payload: "kept" }));
  const hang = () => new Promise(() => {});
  const sink = sinkOf(server(slow.answer, hang, consumed({ payload: "next" })));
  const aborter = new AbortController();
  const given = sink.consume({ signal: aborter.signal });
  await turns(3);
  aborter.abort();
  await assert.rejects(given, { code: "ERR_ABORTED" });
  slow.give();
  await turns(5);
  const lost = sink.consumeFailed();
  await turns(3);
  assert.throws(() => call(trap), { code: "ERR_INTERNAL" });
  await assert.rejects(lost, { code: "ERR_INTERNAL" });
  assert.equal((await sink.consume()).event.payload, "kept");
  assert.equal((await sink.consume()).event.payload, "next");
  assert.deepEqual(await sink.close(), []);
});
