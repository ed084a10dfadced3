// The management calls of the Python SDK of GlassFlow against the emulator, and ours against the same: what one client has
// made, the other reads; what one cannot do, the other cannot either.
import assert from "node:assert/strict";
import { GlassFlowClient } from "../../dist/entries/glassflow.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { runChild } from "../child.mjs";
import { python } from "../python.mjs";
import { Tally } from "../tally.mjs";

const TOKEN = "personal-token";
const CODE = "def handler(data, log):\n    return data\n";
const WEBHOOK = {
  kind: "webhook",
  config: { url: "https://sink.example/", method: "POST", headers: [{ name: "a", value: "b" }] },
};
const POSTGRES = {
  kind: "postgres",
  config: { db_host: "h", db_user: "u", db_pass: "p", db_name: "d", replication_slot: "r" },
};

const tally = new Tally();
const compile = () => (event, log) => {
  log(`saw ${event.n}`);
  if (event.n < 0) throw new RangeError("negative");
  return { n: event.n + 1 };
};
const emulator = createEmulator({ glassflow: { personalAccessTokens: [TOKEN], compile } });
const { url, close } = await emulator.listen();
const baseUrl = `${url}/glassflow/v1`;

/** Runs Python statements, with `flow`, `describe` and `raised` at hand. Prints and returns the variable `result`. */
const PROLOGUE = `
import json, sys, tempfile
from glassflow import GlassFlowClient, Pipeline, Secret, Space
from glassflow.api_client import APIClient
job = json.loads(sys.argv[1])
APIClient.glassflow_config.server_url = job["url"]
flow = GlassFlowClient(job["token"])
def file_of(text):
    file = tempfile.NamedTemporaryFile("w", suffix=".py", delete=False)
    file.write(text)
    file.close()
    return file.name
def plain(value):
    return value.model_dump(mode="json", exclude_none=True) if hasattr(value, "model_dump") else value
def describe(pipeline):
    names = ["id", "name", "space_id", "state", "source_kind", "sink_kind", "requirements", "transformation_code"]
    fields = {name: getattr(pipeline, name) for name in names}
    fields["state"] = getattr(fields["state"], "value", fields["state"])
    # The SDK does not read the metadata of a pipeline that it fetches, but of one that it lists.
    fields["metadata"] = next(item.metadata for item in flow.list_pipelines().pipelines if item.id == pipeline.id)
    fields["source_config"] = plain(pipeline.source_config)
    fields["sink_config"] = plain(pipeline.sink_config)
    fields["env"] = {item["name"]: item["value"] for item in (plain(pipeline.env_vars) or [])}
    fields["tokens"] = [[token.name, token.token] for token in pipeline.access_tokens]
    return fields
def raised(body):
    try:
        body()
        return None
    except Exception as error:
        return [type(error).__name__, getattr(error, "status_code", None)]
`;

let interpreter;
await tally.check("glassflow 2.1.0 for Python is installed", async () => {
  interpreter = await python("glassflow", ["glassflow==2.1.0"]);
});

async function sdk(statements, job = {}) {
  const program = `${PROLOGUE}${statements}\nprint(json.dumps(result))`;
  const { problem, output } = await runChild(
    interpreter,
    [
      "-c",
      program,
      JSON.stringify({ url: baseUrl, token: TOKEN, code: CODE, webhook: WEBHOOK, postgres: POSTGRES, ...job }),
    ],
    { show: false, minutes: 2 },
  );
  if (problem) throw new Error(`${problem}\n${output}`);
  return JSON.parse(output.trim().split("\n").at(-1));
}

const flow = new GlassFlowClient({ personalAccessToken: TOKEN, baseUrl });

/** Our pipeline in the names of the SDK. */
function described(pipeline) {
  const { id, name, spaceId, state, metadata, source, sink, requirements, transformation, env, accessTokens } =
    pipeline;
  return {
    ...{ id, name, state, metadata, requirements, env },
    space_id: spaceId,
    source_kind: source?.kind ?? null,
    source_config: source?.config ?? null,
    sink_kind: sink?.kind ?? null,
    sink_config: sink?.config ?? null,
    transformation_code: transformation,
    tokens: accessTokens.map(({ name, token }) => [name, token]),
  };
}

const raisedBy = async (body) => {
  try {
    await body();
    return null;
  } catch (error) {
    return [error.code, error.status ?? null];
  }
};

if (interpreter) {
  const space = await flow.createSpace("by us");
  let bySdk;

  await tally.check("a pipeline of the SDK is the same for both clients", async () => {
    bySdk = await sdk(
      `
space = flow.create_space("by the SDK")
pipeline = flow.create_pipeline("p", space.id, transformation_file=file_of(job["code"]), requirements="x==1",
    sink_kind="webhook", sink_config=job["webhook"]["config"], source_kind="postgres", source_config=job["postgres"]["config"],
    env_vars=[{"name": "A", "value": "1"}], metadata={"k": [1, {"l": None}]}, state="paused")
result = describe(flow.get_pipeline(pipeline.id))`,
    );
    assert.deepEqual(described(await flow.getPipeline(bySdk.id)), bySdk);
    assert.equal(emulator.glassflow.pipeline(bySdk.id).isPaused, true);
  });

  await tally.check("a pipeline of ours is the same for both clients, and made by the same request", async () => {
    const pipeline = await flow.createPipeline({
      ...{ name: "p", spaceId: space.id, transformation: CODE, requirements: "x==1", state: "paused" },
      ...{ source: POSTGRES, sink: WEBHOOK, env: { A: "1" }, metadata: { k: [1, { l: null }] } },
    });
    const fetched = described(await flow.getPipeline(pipeline.id));
    assert.deepEqual(await sdk(`result = describe(flow.get_pipeline(job["id"]))`, { id: pipeline.id }), fetched);
    const { id: _, space_id: __, tokens: ___, ...settings } = fetched;
    const { id, space_id, tokens, ...sdkSettings } = bySdk;
    assert.deepEqual(settings, sdkSettings);
  });

  await tally.check("updates of both clients leave the same state", async () => {
    const settings = { name: "u", spaceId: space.id, transformation: CODE, sink: WEBHOOK, env: { A: "1" } };
    const [first, second] = [await flow.createPipeline(settings), await flow.createPipeline(settings)];
    const code = "def handler(data, log):\n    return None\n";
    await sdk(
      `
flow.get_pipeline(job["id"]).update(name="renamed", state="paused", transformation_file=file_of(job["next"]),
    requirements="y==2", metadata={"v": 2}, env_vars=[{"name": "B", "value": "2"}])
result = None`,
      { id: first.id, next: code },
    );
    await second.update({
      ...{ name: "renamed", state: "paused", transformation: code, requirements: "y==2", metadata: { v: 2 } },
      env: { B: "2" },
    });
    const withoutNames = ({ id, tokens, ...others }) => others;
    const [bySdk, byUs] = [await flow.getPipeline(first.id), await flow.getPipeline(second.id)].map(described);
    assert.deepEqual(withoutNames(byUs), withoutNames(bySdk));
    assert.deepEqual(
      [byUs.name, byUs.state, byUs.env, byUs.transformation_code],
      ["renamed", "paused", { B: "2" }, code],
    );
    assert.deepEqual(byUs.sink_config, WEBHOOK.config);
  });

  await tally.check("lists, logs, tests and data clients of both are the same", async () => {
    const pipeline = await flow.createPipeline({ name: "t", spaceId: space.id, transformation: CODE });
    const fromSdk = await sdk(
      `
pipeline = flow.get_pipeline(job["id"])
pipeline.get_source().publish({"n": 1})
result = {
    "consumed": pipeline.get_sink("default").consume().event(),
    "test": plain(pipeline.test({"n": 4})),
    "failed": pipeline.test({"n": -4}).error_details,
    "logs": [[entry.level, entry.severity_code, entry.payload.message] for entry in pipeline.get_logs().logs],
    "pipelines": sorted(item.id for item in flow.list_pipelines([job["space"]]).pipelines),
    "spaces": sorted(item.name for item in flow.list_spaces().spaces),
}`,
      { id: pipeline.id, space: space.id },
    );
    const sink = await pipeline.getSink("default");
    await (await pipeline.getSource()).publish({ n: 1 });
    const test = await pipeline.test({ n: 4 });
    const logs = [];
    for await (const { level, severityCode, message } of pipeline.logs()) logs.push([level, severityCode, message]);
    assert.deepEqual((await sink.consume()).event.response, fromSdk.consumed);
    assert.deepEqual(
      [test.status, test.payload, test.response],
      [fromSdk.test.status, fromSdk.test.payload, fromSdk.test.response],
    );
    assert.equal((await pipeline.test({ n: -4 })).errorDetails, fromSdk.failed);
    assert.deepEqual(logs.slice(0, fromSdk.logs.length), fromSdk.logs);
    const { pipelines } = await flow.listPipelines({ spaceIds: [space.id] });
    assert.deepEqual(pipelines.map(({ id }) => id).sort(), fromSdk.pipelines);
    assert.deepEqual((await flow.listSpaces()).spaces.map(({ name }) => name).sort(), fromSdk.spaces);
  });

  await tally.check("secrets of both clients are the same", async () => {
    await flow.createSecret("OURS", "1");
    const keys = await sdk(`
flow.create_secret("THEIRS", "2")
result = [item.key for item in flow.list_secrets().secrets]`);
    assert.deepEqual(keys, ["OURS", "THEIRS"]);
    assert.deepEqual(
      (await flow.listSecrets()).secrets.map(({ key }) => key),
      keys,
    );
    assert.deepEqual(Object.fromEntries(emulator.glassflow.secrets), { OURS: "1", THEIRS: "2" });
    await sdk(`
Secret(job["token"], key="OURS").delete()
result = None`);
    assert.deepEqual([...emulator.glassflow.secrets.keys()], ["THEIRS"]);
  });

  await tally.check("what one client cannot do, the other cannot either", async () => {
    const building = createEmulator({ glassflow: { personalAccessTokens: [TOKEN], buildMs: 3_600_000 } });
    const { url: buildingUrl } = await building.listen();
    const buildingFlow = new GlassFlowClient({ personalAccessToken: TOKEN, baseUrl: `${buildingUrl}/glassflow/v1` });
    const slow = await buildingFlow.createPipeline({
      ...{ name: "b", transformation: CODE, spaceId: (await buildingFlow.createSpace("s")).id },
    });
    const wrong = new GlassFlowClient({ personalAccessToken: "wrong", baseUrl });
    const fromSdk = await sdk(
      `
wrong = GlassFlowClient("wrong")
missing = GlassFlowClient()
result = [
    raised(lambda: wrong.list_spaces()),
    raised(lambda: missing.list_pipelines()),
    raised(lambda: wrong.get_pipeline(job["id"])),
    raised(lambda: flow.get_pipeline("nowhere")),
    raised(lambda: Pipeline(job["token"], id="nowhere").delete()),
    raised(lambda: Space(job["token"], id=job["space"]).delete()),
    raised(lambda: Space(job["token"], id="nowhere").delete()),
    raised(lambda: Secret(job["token"], key="NONE").delete()),
    raised(lambda: flow.create_secret("not-a-key", "v")),
    raised(lambda: flow.create_pipeline("n", job["space"], transformation_file=file_of(""), sink_kind="webhook")),
    raised(lambda: flow.create_pipeline("n", job["space"])),
    raised(lambda: flow.get_pipeline(job["id"]).get_source("zzz")),
]
APIClient.glassflow_config.server_url = job["building"]
result.append(raised(lambda: flow.get_pipeline(job["slow"])))`,
      { id: bySdk.id, space: space.id, building: `${buildingUrl}/glassflow/v1`, slow: slow.id },
    );
    const options = { personalAccessToken: TOKEN, baseUrl };
    const { Pipeline, Secret, Space } = await import("../../dist/entries/glassflow.js");
    const settings = { name: "n", spaceId: space.id, transformation: CODE };
    const fromUs = [
      await raisedBy(() => wrong.listSpaces()),
      await raisedBy(() => new GlassFlowClient({ baseUrl }).listPipelines()),
      await raisedBy(() => wrong.getPipeline(bySdk.id)),
      await raisedBy(() => flow.getPipeline("nowhere")),
      await raisedBy(() => new Pipeline({ ...options, id: "nowhere" }).delete()),
      await raisedBy(() => space.delete()),
      await raisedBy(() => new Space({ ...options, id: "nowhere" }).delete()),
      await raisedBy(() => new Secret({ ...options, key: "NONE" }).delete()),
      await raisedBy(() => flow.createSecret("not-a-key", "v")),
      await raisedBy(() => flow.createPipeline({ ...settings, sink: { kind: "webhook" } })),
      await raisedBy(() => flow.createPipeline({ ...settings, transformation: undefined })),
      await raisedBy(async () => (await flow.getPipeline(bySdk.id)).getSource("zzz")),
      await raisedBy(() => buildingFlow.getPipeline(slow.id)),
    ];
    const pairs = fromSdk.map((sdk, at) => [sdk, fromUs[at]]);
    assert.deepEqual(pairs, [
      [
        ["UnauthorizedError", 401],
        ["ERR_UNAUTHORIZED", 401],
      ],
      [
        ["UnauthorizedError", 401],
        ["ERR_INVALID_ARGUMENT", null],
      ],
      [
        ["PipelineUnauthorizedError", 401],
        ["ERR_UNAUTHORIZED", 401],
      ],
      [
        ["PipelineNotFoundError", 404],
        ["ERR_NOT_FOUND", 404],
      ],
      [
        ["PipelineNotFoundError", 404],
        ["ERR_NOT_FOUND", 404],
      ],
      [
        ["SpaceIsNotEmptyError", 409],
        ["ERR_CONFLICT", 409],
      ],
      [
        ["SpaceNotFoundError", 404],
        ["ERR_NOT_FOUND", 404],
      ],
      [
        ["SecretNotFoundError", 404],
        ["ERR_NOT_FOUND", 404],
      ],
      [
        ["SecretInvalidKeyError", null],
        ["ERR_INVALID_ARGUMENT", null],
      ],
      [
        ["ConnectorConfigValueError", null],
        ["ERR_INVALID_ARGUMENT", null],
      ],
      [
        ["ValueError", null],
        ["ERR_INVALID_ARGUMENT", null],
      ],
      [
        ["ValueError", null],
        ["ERR_INVALID_ARGUMENT", null],
      ],
      [
        ["PipelineArtifactStillInProgressError", 425],
        ["ERR_NOT_READY", 425],
      ],
    ]);
    await building.close();
  });

  await tally.check("pipelines and spaces of one client are deleted by the other", async () => {
    const pipeline = await flow.createPipeline({ name: "d", spaceId: space.id, transformation: CODE });
    await sdk(
      `
Pipeline(job["token"], id=job["id"]).delete()
result = None`,
      { id: pipeline.id },
    );
    assert.equal(emulator.glassflow.pipeline(pipeline.id), undefined);
    await (await flow.getPipeline(bySdk.id)).delete();
    const { spaces } = await flow.listSpaces();
    await spaces.find(({ name }) => name === "by the SDK").delete();
    assert.deepEqual(await sdk("result = [item.name for item in flow.list_spaces().spaces]"), ["by us"]);
  });
}

await emulator.close();
await close();
tally.finish();
