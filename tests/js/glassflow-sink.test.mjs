// Consuming from GlassFlow pipelines: single events, iteration, delays. A consumed event is never dropped.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import { glassflow } from "../../dist/entries/node/internals.js";
import {
  BASE,
  TOKEN,
  bytes,
  consumed,
  delaysBetween,
  emulatedPipeline,
  server,
  sinkOf,
  sourceTo,
  text,
} from "./glassflow-fixtures.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** A response that is sent when `release` is called. */
function heldResponse(json) {
  let release;
  const released = new Promise((resolve) => {
    release = resolve;
  });
  return { release: () => release(), response: () => released.then(() => Response.json(json)) };
}

test("an event has the fields that the service sends", async () => {
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

test("a failed event has its payload as data, the error details and the stack trace", async () => {
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

test("a missing field is undefined, and a field of an unexpected type is its JSON text", async () => {
  const { event } = await sinkOf(server({ payload: null, status: { code: 7 }, error_details: null })).consume();
  assert.deepEqual(
    [event.payload, event.response, event.data, event.requestId, event.receiveTime, event.status, event.errorDetails],
    [null, undefined, undefined, undefined, undefined, '{"code":7}', undefined],
  );
  const { event: nothing } = await sinkOf(server(consumed({ response: null }))).consume();
  assert.deepEqual([nothing.response, nothing.data], [null, null]);
});

test("an event is parsed on first read and keeps all digits", async () => {
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

test("an unreadable response is in the error, byte for byte, and not in its message", async () => {
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
          ? "the response is empty"
          : "the response is not a readable event; its bytes are in the body of this error";
      assert.equal(error.message, `${verb} pipeline "pipe-1" at ${BASE}: ${sentence} (HTTP 200)`);
      assert.ok(
        !("body" in JSON.parse(JSON.stringify(error))) && !inspect(error).includes("Uint8Array"),
        "logs do not show it",
      );
    }
  }
});

test("an event may be large, and one above maxEventBytes is the body of the error", async () => {
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
  const size = JSON.stringify(consumed()).length;
  assert.equal((await sinkOf(server(consumed()), { maxEventBytes: size }).consume()).status, 200);
  await assert.rejects(sinkOf(server(consumed()), { maxEventBytes: size - 1 }).consume(), { code: "ERR_TOO_LARGE" });
});

test("a response that breaks off is in the error as far as it was received", async () => {
  const { emulator, pipeline, source, sink } = emulatedPipeline();
  await source.publish({ text: "x".repeat(1000) });
  emulator.faults.add({ match: "/glassflow/v1/pipelines/pipe-1/topics/output", cutBodyAfter: 300 });
  const error = await sink.consume().catch((error) => error);
  assert.equal(error.code, "ERR_INVALID_EVENT");
  assert.equal(error.body.length, 300);
  assert.match(text(error.body), /^\{"req_id":/);
  assert.equal(pipeline.waiting.output, 0, "the server has deleted it");
});

test("the bytes of a response may come from another realm, as in test environments with their own globals", async () => {
  const foreign = runInNewContext("Uint8Array.from(bytes)", { bytes: [...bytes(JSON.stringify(consumed()))] });
  assert.ok(!(foreign instanceof Uint8Array));
  const response = () =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(foreign.subarray(0, 9));
          controller.enqueue(foreign.subarray(9));
          controller.close();
        },
      }),
    );
  assert.deepEqual((await sinkOf(server(response)).consume()).event.payload, { a: 1 });
});

test("another 2xx status is no event, and its body is in the result", async () => {
  assert.deepEqual(await sinkOf(server(204)).consume(), { status: 204 });
  assert.deepEqual(await sinkOf(server(new Response("slow down", { status: 429 }))).consume(), { status: 429 });
  assert.deepEqual(await sinkOf(server(new Response(null, { status: 202 }))).consume(), { status: 202 });
  const { status, event, body } = await sinkOf(server(new Response('{"payload":1}', { status: 202 }))).consumeFailed();
  assert.deepEqual([status, event, text(body)], [202, undefined, '{"payload":1}']);
});

test("the delay doubles on each 204 and 429, for both queues together, and an event ends it", async () => {
  const fake = server(204, 429, 204, 204, 204, 204, 204, 204, consumed(), 204);
  const sink = sinkOf(fake);
  for (let at = 0; at < 10; at++) await (at % 2 ? sink.consumeFailed() : sink.consume());
  const delays = delaysBetween(fake.requests);
  let [least, most] = [1000, 1000];
  for (const delay of delays.slice(0, 8)) {
    [least, most] = [Math.min(2 * least, 60_000), Math.min(2 * most, 60_000) + 101];
    assert.ok(delay >= least && delay <= most, `${delay} is not from ${least} to ${most}`);
  }
  assert.equal(delays[8], 0);
});

test("Retry-After is honoured, and errors cause a delay too", async () => {
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
  const [first, ...others] = delaysBetween(fake.requests);
  assert.ok(first >= 7000 && first < 7002, `${first}`);
  for (const [at, least] of [4000, 8000, 16_000].entries())
    assert.ok(others[at] >= least && others[at] < least + 1600, `${others}`);
});

test("the delays can be configured", async () => {
  const fake = server(204);
  const sink = sinkOf(fake, { backoff: { baseMs: 10, maxMs: 30 } });
  for (let at = 0; at < 4; at++) await sink.consume();
  for (const [at, delay] of delaysBetween(fake.requests).entries())
    assert.ok(delay >= [20, 30, 30][at] && delay <= [22, 33, 33][at], `${delay}`);
});

test("a delayed call can be aborted, and makes no request", async () => {
  const fake = server(204);
  const sink = sinkOf(fake);
  await sink.consume();
  const aborter = new AbortController();
  const delayed = sink.consume({ signal: aborter.signal });
  await sleep(1);
  aborter.abort("enough");
  await assert.rejects(delayed, { code: "ERR_ABORTED", cause: "enough" });
  await assert.rejects(sink.consume({ signal: AbortSignal.abort("before") }), { code: "ERR_ABORTED", cause: "before" });
  assert.equal(fake.requests.length, 1);
  assert.deepEqual(await sink.close(), []);
});

test("the request of an aborted call continues, and the next call returns its event", async () => {
  const slow = heldResponse(consumed({ payload: "not lost" }));
  const fake = server(slow.response, 204);
  const sink = sinkOf(fake);
  const aborter = new AbortController();
  const aborted = sink.consume({ signal: aborter.signal });
  await sleep(1);
  aborter.abort();
  await assert.rejects(aborted, { code: "ERR_ABORTED" });
  assert.ok(!fake.requests[0].signal.aborted, "an aborted request would lose the event");
  const next = sink.consume();
  slow.release();
  assert.equal((await next).event.payload, "not lost");
  assert.equal(fake.requests.length, 1);
});

test("the event of an aborted call is kept for the next call for its queue", async () => {
  const slow = heldResponse(consumed({ payload: "failed" }));
  const fake = server(slow.response, consumed({ payload: "output" }));
  const sink = sinkOf(fake);
  const aborter = new AbortController();
  const aborted = sink.consumeFailed({ signal: aborter.signal });
  await sleep(1);
  aborter.abort();
  await assert.rejects(aborted, { code: "ERR_ABORTED" });
  slow.release();
  assert.equal((await sink.consume()).event.payload, "output");
  assert.equal((await sink.consumeFailed()).event.payload, "failed");
  assert.equal(fake.requests.length, 2);
});

test("close waits for the request in flight and returns its event", async () => {
  const slow = heldResponse(consumed({ payload: "late" }));
  const sink = sinkOf(server(slow.response));
  const waiting = sink.consume();
  const another = sink.consume();
  await sleep(1);
  const closing = sink.close();
  await assert.rejects(waiting, { code: "ERR_CLOSED" });
  await assert.rejects(another, { code: "ERR_CLOSED" });
  await assert.rejects(sink.consume(), { code: "ERR_CLOSED" });
  assert.throws(() => sink.events(), { code: "ERR_CLOSED" });
  slow.release();
  const left = await closing;
  assert.deepEqual(
    left.map(({ status, event }) => [status, event.payload]),
    [[200, "late"]],
  );
  assert.equal(sink.close(), sink.close());
  await assert.rejects(sink.validateCredentials(), { code: "ERR_CLOSED" });
});

test("close returns the bytes of an unreadable response too", async () => {
  let release;
  const released = new Promise((resolve) => {
    release = resolve;
  });
  const sink = sinkOf(server(() => released.then(() => new Response("raw"))));
  void sink.consume().catch(() => {});
  await sleep(1);
  const closing = sink.close();
  release();
  assert.deepEqual(
    (await closing).map(({ status, body }) => [status, text(body)]),
    [[200, "raw"]],
  );
});

test("the signal of the client closes the sink", async () => {
  const aborter = new AbortController();
  const sink = sinkOf(server(204), { signal: aborter.signal });
  await sink.consume();
  const delayed = sink.consume();
  aborter.abort();
  await assert.rejects(delayed, { code: "ERR_CLOSED" });
  await assert.rejects(sinkOf(server(204), { signal: AbortSignal.abort() }).consume(), { code: "ERR_CLOSED" });
});

test("calls run one after the other, so events keep their order", async () => {
  const { source, sink } = emulatedPipeline();
  await source.publishAll([0, 1, 2, 3, 4]);
  const results = await Promise.all([0, 1, 2, 3, 4].map(() => sink.consume()));
  assert.deepEqual(
    results.map(({ event }) => event.payload),
    [0, 1, 2, 3, 4],
  );
});

test("an iteration requests an event when the loop asks for one, and not before", async () => {
  const { pipeline, source, sink } = emulatedPipeline();
  await source.publishAll([1, 2, 3]);
  const iterator = sink[Symbol.asyncIterator]();
  assert.equal(pipeline.waiting.output, 3);
  assert.equal((await iterator.next()).value.payload, 1);
  await sleep(1);
  assert.equal(pipeline.waiting.output, 2);
  assert.deepEqual(
    (await Promise.all([iterator.next(), iterator.next()])).map(({ value }) => value.payload),
    [2, 3],
  );
  assert.deepEqual(await iterator.return(), { done: true, value: undefined });
  assert.deepEqual(await iterator.next(), { done: true, value: undefined });
});

test("an iteration continues while the queue is empty, and after retryable failures, which it reports", async () => {
  const fake = server(
    204,
    new TypeError("gone"),
    503,
    new Response(null, { status: 429, headers: { "retry-after": "9" } }),
    consumed(),
  );
  const reported = [];
  for await (const event of sinkOf(fake).events({ onRetry: ({ code }, delayMs) => reported.push([code, delayMs]) })) {
    assert.deepEqual(event.payload, { a: 1 });
    break;
  }
  assert.deepEqual(
    reported.map(([code]) => code),
    ["ERR_NETWORK", "ERR_UNAVAILABLE", "ERR_RATE_LIMITED"],
  );
  const delays = delaysBetween(fake.requests).slice(1);
  for (const [at, [, delayMs]] of reported.entries())
    assert.ok(Math.abs(delayMs - delays[at]) < 2, `${delayMs} was reported, and the delay was ${delays[at]}`);
});

test("an error that a retry cannot fix ends an iteration, and a new one continues with the next event", async () => {
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
    ["ERR_UNAUTHORIZED", 401, '{"detail":"detail from the server"}'],
    2,
  ]);
  const iterator = sinkOf(server(404))[Symbol.asyncIterator]();
  await assert.rejects(iterator.next(), { code: "ERR_REJECTED", status: 404 });
  assert.equal((await iterator.next()).done, true);
});

test("a signal ends an iteration without an error, during a delay too, and the event in flight is kept", async () => {
  const aborter = new AbortController();
  const slow = heldResponse(consumed({ payload: "kept" }));
  const fake = server(204, slow.response, 204);
  const sink = sinkOf(fake, { backoff: { baseMs: 1, maxMs: 1 } });
  const seen = [];
  const ended = (async () => {
    for await (const event of sink.events({ signal: aborter.signal })) seen.push(event);
  })();
  await until(() => fake.requests.length === 2);
  aborter.abort();
  await ended;
  assert.deepEqual(seen, []);
  slow.release();
  await sleep(1);
  assert.equal((await sink.consume()).event.payload, "kept");
  for await (const event of sink.events({ signal: AbortSignal.abort() })) seen.push(event);
  assert.deepEqual(seen, []);
  const delayed = sinkOf(server(204));
  await delayed.consume();
  const other = new AbortController();
  void sleep(1).then(() => other.abort());
  for await (const event of delayed.events({ signal: other.signal })) seen.push(event);
  assert.deepEqual(seen, []);
});

test("return ends an iteration during a delay, and close ends all iterations", async () => {
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

test("the options of an iteration are checked", () => {
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

test("republish publishes a failed event again, byte for byte", async () => {
  const { pipeline, source, sink } = emulatedPipeline({
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
  pipeline.transform = (data) => ({ fixed: data.t });
  assert.deepEqual(await event.republish(source), { status: 200 });
  assert.equal(pipeline.published[1].text, json);
  assert.deepEqual((await sink.consume()).event.response, { fixed: "é" });
  for (const bad of [undefined, sink, "source"])
    await assert.rejects(event.republish(bad), { code: "ERR_INVALID_ARGUMENT" });
  await assert.rejects(event.republish(sourceTo(server(503))), { code: "ERR_UNAVAILABLE" });
});

test("ack without a store does nothing", async () => {
  const { event } = await sinkOf(server(consumed())).consume();
  assert.equal(await event.ack(), undefined);
  assert.equal(await event.ack(), undefined);
});

test("after a trap of the engine the kept event is still there and the sink continues", async () => {
  const UNREACHABLE = new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
  ]);
  const trap = new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f;
  const slow = heldResponse(consumed({ payload: "kept" }));
  const hang = () => new Promise(() => {});
  const sink = sinkOf(server(slow.response, hang, consumed({ payload: "next" })));
  const aborter = new AbortController();
  const aborted = sink.consume({ signal: aborter.signal });
  await sleep(1);
  aborter.abort();
  await assert.rejects(aborted, { code: "ERR_ABORTED" });
  slow.release();
  await sleep(1);
  const lost = sink.consumeFailed();
  await sleep(1);
  assert.throws(() => glassflow.call(trap), { code: "ERR_INTERNAL" });
  await assert.rejects(lost, { code: "ERR_INTERNAL" });
  assert.equal((await sink.consume()).event.payload, "kept");
  assert.equal((await sink.consume()).event.payload, "next");
  assert.deepEqual(await sink.close(), []);
});
