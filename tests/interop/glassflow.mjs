// The Python SDK of GlassFlow, in the last release that publishes and consumes, against the emulator, next to our
// clients.
import assert from "node:assert/strict";
import { PipelineDataSink, PipelineDataSource } from "../../dist/entries/glassflow.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { runChild } from "../child.mjs";
import { python } from "../python.mjs";
import { Tally } from "../tally.mjs";

const tally = new Tally();
const emulator = createEmulator();
const { url, close } = await emulator.listen();
const baseUrl = `${url}/glassflow/v1`;

/** Runs steps with the SDK, each `[client, method, argument?]`, and prints the result of each. */
const PROGRAM = `
import json, sys
from glassflow import PipelineDataSource, PipelineDataSink
from glassflow.api_client import APIClient
job = json.loads(sys.argv[1])
APIClient.glassflow_config.server_url = job["url"]
clients = {"source": PipelineDataSource(job["id"], job["token"]), "sink": PipelineDataSink(job["id"], job["token"])}
results = []
for client, method, *arguments in job["steps"]:
    try:
        result = getattr(clients[client], method)(*arguments)
        status = getattr(result, "status_code", None)
        body = getattr(result, "body", None)
        body = None if body is None or method == "publish" else body.model_dump(mode="json")
        results.append({"status": status, "body": body} if hasattr(result, "model_dump") else {"status": status})
    except Exception as error:
        results.append({"raises": type(error).__name__})
print(json.dumps(results))
`;

let interpreter;
await tally.check("glassflow 2.1.0 for Python is installed", async () => {
  interpreter = await python("glassflow", ["glassflow==2.1.0"]);
});

async function sdk(pipeline, steps, { token = pipeline.accessToken, id = pipeline.id } = {}) {
  const { problem, output } = await runChild(
    interpreter,
    ["-c", PROGRAM, JSON.stringify({ url: baseUrl, id, token, steps })],
    { show: false, minutes: 2 },
  );
  if (problem) throw new Error(`${problem}\n${output}`);
  return JSON.parse(output.trim().split("\n").at(-1));
}

const clientsOf = ({ id, accessToken }) => {
  const options = { pipelineId: id, pipelineAccessToken: accessToken, baseUrl };
  return { source: new PipelineDataSource(options), sink: new PipelineDataSink(options) };
};

/** A transformation that changes events and fails at every fifth. */
const transform = (event) => {
  if (event.n % 5 === 3) throw new RangeError(`refused ${event.n}`);
  return { ...event, doubled: event.n * 2, ключ: "значение 😀" };
};
const events = Array.from({ length: 40 }, (_, n) => ({
  n,
  text: `Euro € ${n} "quoted" 😀`,
  list: [1, 2.5, null],
  nested: { deep: [true] },
}));
const failing = events.filter(({ n }) => n % 5 === 3);
const published = events.map((event) => ["source", "publish", event]);
const consumed = (count, method = "consume") => Array.from({ length: count }, () => ["sink", method]);

/** The fields of an event that both clients have: as the SDK returns it, and as our sink does. */
const sdkFields = ({ payload, response, status, error_details, stack_trace, event_context: context }) => [
  payload,
  response ?? null,
  status,
  error_details,
  stack_trace !== null,
  context.request_id,
  new Date(context.receive_time).getTime(),
];
const ourFields = ({ payload, response, status, errorDetails, stackTrace, requestId, receiveTime }) => [
  payload,
  response ?? null,
  status,
  errorDetails ?? null,
  stackTrace !== undefined,
  requestId,
  new Date(receiveTime).getTime(),
];
/** The fields that do not change when the event is published again. */
const stableFields = (fields) => fields.slice(0, 5);

async function consumeAll(sink, method) {
  const all = [];
  for (let result = await sink[method](); result.status === 200; result = await sink[method]())
    all.push(ourFields(result.event));
  return all;
}

if (interpreter) {
  const ids = ["published-by-sdk", "published-by-source", "read-by-both"];
  const [fromSdk, fromSource, shared] = ids.map((id) => emulator.glassflow.createPipeline({ id, transform }));

  await tally.check("our sink receives all events of the SDK in the same order", async () => {
    const results = await sdk(fromSdk, published);
    assert.deepEqual([...new Set(results.map(({ status }) => status))], [200]);
    assert.deepEqual(
      fromSdk.published.map(({ payload }) => payload),
      events,
    );
    const output = await consumeAll(clientsOf(fromSdk).sink, "consume");
    assert.deepEqual(
      output.map(([payload]) => payload),
      events.filter((event) => !failing.includes(event)),
    );
    assert.deepEqual(
      output.map(([, response]) => response),
      output.map(([payload]) => transform(payload)),
    );
    const failed = await consumeAll(clientsOf(fromSdk).sink, "consumeFailed");
    assert.deepEqual(
      failed.map(([payload, , status, details]) => [payload, status, details]),
      failing.map((event) => [event, "error", `RangeError: refused ${event.n}`]),
    );
  });

  await tally.check("the SDK receives all events of our source in the same order", async () => {
    const { source } = clientsOf(fromSource);
    assert.deepEqual(await source.publishAll(events), { published: events.length, failed: [] });
    const count = events.length - failing.length;
    const results = await sdk(fromSource, [
      ...consumed(count),
      ...consumed(failing.length, "consume_failed"),
      ["sink", "consume"],
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      [...Array(events.length).fill(200), 204],
    );
    const bodies = results.slice(0, -1).map(({ body }) => sdkFields(body));
    assert.deepEqual(
      bodies.slice(0, count).map(([payload]) => payload),
      events.filter((event) => !failing.includes(event)),
    );
    assert.deepEqual(
      bodies.slice(count).map(([payload]) => payload),
      failing,
    );
  });

  await tally.check("both clients read the same events from the same queues", async () => {
    const results = await sdk(shared, [...published, ...consumed(12)]);
    const first = results.slice(events.length).map(({ body }) => sdkFields(body));
    const others = await consumeAll(clientsOf(shared).sink, "consume");
    assert.equal(first.length + others.length, events.length - failing.length);
    // Published again, and read by the clients in the other order.
    await sdk(shared, published);
    const sink = clientsOf(shared).sink;
    const firstAgain = [];
    for (let count = 0; count < 12; count++) firstAgain.push(ourFields((await sink.consume()).event));
    const sdkOthers = await sdk(shared, consumed(others.length));
    assert.deepEqual(firstAgain.map(stableFields), first.map(stableFields));
    assert.deepEqual(
      sdkOthers.map(({ body }) => stableFields(sdkFields(body))),
      others.map(stableFields),
    );
  });

  await tally.check("the SDK receives a failed event that was published again", async () => {
    shared.transform = (event) => ({ fixed: event.n });
    const failed = [];
    for await (const event of clientsOf(shared).sink.events({ failed: true })) {
      failed.push(event.payload.n);
      await event.republish(clientsOf(shared).source);
      if (shared.waiting.failed === 0) break;
    }
    const results = await sdk(shared, consumed(failed.length));
    assert.deepEqual(
      results.map(({ body }) => body.response.fixed),
      failed,
    );
    assert.equal(failed.length, failing.length * 2);
  });

  await tally.check("the emulator refuses the SDK as the service does", async () => {
    assert.deepEqual(
      await sdk(
        shared,
        [
          ["source", "publish", {}],
          ["sink", "consume"],
          ["sink", "validate_credentials"],
        ],
        { token: "wrong" },
      ),
      Array(3).fill({ raises: "PipelineAccessTokenInvalidError" }),
    );
    assert.deepEqual(
      await sdk(
        shared,
        [
          ["source", "publish", {}],
          ["sink", "consume_failed"],
          ["source", "validate_credentials"],
        ],
        { id: "nowhere" },
      ),
      Array(3).fill({ raises: "PipelineNotFoundError" }),
    );
    assert.deepEqual(
      await sdk(shared, [
        ["source", "validate_credentials"],
        ["sink", "consume"],
      ]),
      [{ status: 200 }, { status: 204, body: null }],
    );
  });

  await tally.check("for 429 the SDK returns a value, and our source throws", async () => {
    const limited = emulator.glassflow.createPipeline({ rateLimit: { requests: 1, perMs: 3_600_000 } });
    limited.now = () => 0;
    assert.deepEqual(
      (
        await sdk(limited, [
          ["source", "publish", {}],
          ["source", "publish", {}],
        ])
      ).map(({ status }) => status),
      [200, 429],
    );
    await assert.rejects(clientsOf(limited).source.publish({}), { code: "ERR_RATE_LIMITED", status: 429 });
  });
}

await emulator.close();
await close();
tally.finish();
