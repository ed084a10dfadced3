// The cases of the management API: calls of the original's GlassFlowClient and Pipeline, and ours for them.
import assert from "node:assert/strict";
import { GlassFlowClient, Pipeline, PipelineDataSink, PipelineDataSource } from "eventferry/glassflow";

const CALL = /^(GlassFlowClient|Pipeline)\('([^']*)'(?:,\s*(?:id=)?'([^']*)')?\)\.(\w+)\((.*)\)$/s;

/** Whether the call is one of the management API. */
export const isManagement = (call) => CALL.test(call);

/** The codes for the exceptions of the original. */
const CODES = {
  "builtins.ValueError": "ERR_INVALID_ARGUMENT",
  "glassflow.PipelineArtifactStillInProgressError": "ERR_NOT_READY",
};

/**
 * Runs a case.
 *
 * @param fetch a scripted server, which notes `requests`
 * @returns {Promise<string | undefined>} the reason if this package differs on purpose
 */
export async function runManagementCase({ id, call }, measured, { fetch, requests }, baseUrl) {
  const [, kind, token, subject, method, argumentText] = CALL.exec(call);
  const [step] = measured.steps;
  const names = [...argumentText.matchAll(/(?:^|,)\s*'([^']*)'/g)].map(([, text]) => text);
  const options = { personalAccessToken: token, baseUrl, fetch };
  let outcome;
  try {
    const value = await ours(kind, options, subject, method, names, measured.requests[0]?.body_json);
    outcome = { value };
  } catch (error) {
    assert.equal(error?.name, "FerryError", `every error is a FerryError; received ${error?.stack}`);
    assert.ok(!JSON.stringify([error.message, String(error.cause)]).includes(token), "the token is not shown");
    outcome = { error };
  }
  if (id === "gf-secret-key-starts-with-digit") {
    assert.deepEqual([outcome.error?.code, requests.length], ["ERR_INVALID_ARGUMENT", 0]);
    return "a key that starts with a digit is refused, as the original documents it";
  }
  assert.equal(requests.length, measured.requests.length, "no other requests");
  measured.requests.forEach((original, at) => void compareRequest(requests[at], original));
  if (step.raises) {
    assert.equal(outcome.error?.code, CODES[step.raises]);
    assert.equal(outcome.error.status, step.status_code);
    return undefined;
  }
  assert.equal(outcome.error, undefined);
  compareValue(outcome.value, step);
  if (outcome.value instanceof PipelineDataSource) {
    // The token that was chosen is in its requests only.
    await outcome.value.publish({});
    assert.equal(requests.at(-1).headers["x-pipeline-access-token"], step.token);
  }
  return undefined;
}

async function ours(kind, options, subject, method, [first, second], body) {
  if (kind === "Pipeline") {
    const pipeline = new Pipeline({ ...options, ...(subject !== undefined && { id: subject }) });
    if (method === "get_source") return pipeline.getSource(first);
    if (method === "get_sink") return pipeline.getSink(first);
    if (method === "create") return pipeline.create();
    if (method === "get_logs") {
      // The original returns one page.
      for await (const entry of pipeline.logs()) return entry;
    }
    throw new Error(`the runner does not know ${method}`);
  }
  const flow = new GlassFlowClient({ ...options, ...(subject !== undefined && { organizationId: subject }) });
  if (method === "get_pipeline") return flow.getPipeline(first);
  if (method === "create_secret") return flow.createSecret(first, second);
  if (method === "create_pipeline") {
    const { transformation_function: transformation, sink_connector: sink } = body;
    return flow.createPipeline({ name: first, spaceId: second, transformation, sink });
  }
  throw new Error(`the runner does not know ${method}`);
}

function compareRequest(request, original) {
  assert.deepEqual([request.method, request.url.pathname], [original.method, original.path]);
  assert.equal(request.url.search, original.query ? `?${original.query}` : "");
  for (const name of ["personal-access-token", "content-type"])
    assert.equal(request.headers[name], original.headers[name], name);
  assert.deepEqual(request.text === "" ? undefined : JSON.parse(request.text), original.body_json);
}

function compareValue(value, step) {
  for (const [name, expected] of Object.entries(step)) {
    if (name === "type") assert.ok(value instanceof { PipelineDataSource, PipelineDataSink }[expected], name);
    else if (name === "tokens") assert.equal(value.accessTokens.length, expected, name);
    else if (name === "pipeline_id") assert.equal(value.pipelineId, expected, name);
    // The token of a source is not shown; the request with the token that was chosen is another case.
    else if (name === "token")
      assert.ok(value instanceof PipelineDataSource || value.accessTokens[0].token === expected);
    else if (name === "n") assert.deepEqual([value.message, value.payload], ["m", { message: "m", k: 1 }]);
    else if (["name", "state", "id", "key"].includes(name)) assert.equal(value[name], expected, name);
    // A source shows no token, and the iteration of a log no end of a page.
    else assert.ok(["token", "next"].includes(name), "the runner knows the key");
  }
}
