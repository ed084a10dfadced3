// The Python SDK of GlassFlow, the last release that publishes and consumes, against our emulator; and our clients beside it.
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

/** Runs steps with the SDK, each `[class, method, argument?]`, and gives what each came to. */
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
await tally.check("glassflow 2.1.0 for Python is there", async () => {
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

const ours = ({ id, accessToken }) => {
  const options = { pipelineId: id, pipelineAccessToken: accessToken, baseUrl };
  return { source: new PipelineDataSource(options), sink: new PipelineDataSink(options) };
};

/** A transformation that changes events and fails at some. */
const transform = (event) => {
  if (event.n % 5 === 3) throw new RangeError(`no room for ${event.n}`);
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

/** Of an event, what both clients can say. */
const theirs = ({ payload, response, status, error_details, stack_trace, event_context: context }) => [
  payload,
  response ?? null,
  status,
  error_details,
  stack_trace !== null,
  context.request_id,
  new Date(context.receive_time).getTime(),
];
const mine = ({ payload, response, status, errorDetails, stackTrace, requestId, receiveTime }) => [
  payload,
  response ?? null,
  status,
  errorDetails ?? null,
  stackTrace !== undefined,
  requestId,
  new Date(receiveTime).getTime(),
];
/** The same without what differs from one publishing to the other. */
const said = (event) => event.slice(0, 5);

async function everything(sink, method) {
  const all = [];
  for (let result; (result = await sink[method]()).status === 200; ) all.push(mine(result.event));
  return all;
}

if (interpreter) {
  const ids = ["published-by-them", "published-by-us", "read-by-them"];
  const [byThem, byUs, twin] = ids.map((id) => emulator.glassflow.createPipeline({ id, transform }));

  await tally.check("what the SDK publishes our sink sees, all of it and in the same order", async () => {
    const results = await sdk(byThem, published);
    assert.deepEqual([...new Set(results.map(({ status }) => status))], [200]);
    assert.deepEqual(
      byThem.published.map(({ payload }) => payload),
      events,
    );
    const output = await everything(ours(byThem).sink, "consume");
    assert.deepEqual(
      output.map(([payload]) => payload),
      events.filter((event) => !failing.includes(event)),
    );
    assert.deepEqual(
      output.map(([, response]) => response),
      output.map(([payload]) => transform(payload)),
    );
    const failed = await everything(ours(byThem).sink, "consumeFailed");
    assert.deepEqual(
      failed.map(([payload, , status, details]) => [payload, status, details]),
      failing.map((event) => [event, "error", `RangeError: no room for ${event.n}`]),
    );
  });

  await tally.check("what our source publishes the SDK sees, all of it and in the same order", async () => {
    const { source } = ours(byUs);
    assert.deepEqual(await source.publishAll(events), { published: events.length, failed: [] });
    const count = events.length - failing.length;
    const results = await sdk(byUs, [
      ...consumed(count),
      ...consumed(failing.length, "consume_failed"),
      ["sink", "consume"],
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      [...Array(events.length).fill(200), 204],
    );
    const bodies = results.slice(0, -1).map(({ body }) => theirs(body));
    assert.deepEqual(
      bodies.slice(0, count).map(([payload]) => payload),
      events.filter((event) => !failing.includes(event)),
    );
    assert.deepEqual(
      bodies.slice(count).map(([payload]) => payload),
      failing,
    );
  });

  await tally.check("both clients read the same from the same queues", async () => {
    const results = await sdk(twin, [...published, ...consumed(12)]);
    const first = results.slice(events.length).map(({ body }) => theirs(body));
    const rest = await everything(ours(twin).sink, "consume");
    assert.equal(first.length + rest.length, events.length - failing.length);
    // Published anew, and read the other way round.
    await sdk(twin, published);
    const sink = ours(twin).sink;
    const again = [];
    for (let count = 0; count < 12; count++) again.push(mine((await sink.consume()).event));
    const others = await sdk(twin, consumed(rest.length));
    assert.deepEqual(again.map(said), first.map(said));
    assert.deepEqual(
      others.map(({ body }) => said(theirs(body))),
      rest.map(said),
    );
  });

  await tally.check("a failed event that is published again goes through to the SDK", async () => {
    twin.transform = (event) => ({ mended: event.n });
    const failed = [];
    for await (const event of ours(twin).sink.events({ failed: true })) {
      failed.push(event.payload.n);
      await event.republish(ours(twin).source);
      if (twin.waiting.failed === 0) break;
    }
    const results = await sdk(twin, consumed(failed.length));
    assert.deepEqual(
      results.map(({ body }) => body.response.mended),
      failed,
    );
    assert.equal(failed.length, failing.length * 2);
  });

  await tally.check("the emulator refuses the SDK as the service does", async () => {
    assert.deepEqual(
      await sdk(
        twin,
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
        twin,
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
      await sdk(twin, [
        ["source", "validate_credentials"],
        ["sink", "consume"],
      ]),
      [{ status: 200 }, { status: 204, body: null }],
    );
  });

  await tally.check("for 429 the SDK has a return value, and we have an error", async () => {
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
    await assert.rejects(ours(limited).source.publish({}), { code: "ERR_RATE_LIMITED", status: 429 });
  });
}

await emulator.close();
await close();
tally.finish();
