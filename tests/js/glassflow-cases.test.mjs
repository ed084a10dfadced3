// The GlassFlow cases, measured with the original, through the public API. Where this package differs on purpose, the
// runner calls `differs(reason)`.
import assert from "node:assert/strict";
import { PipelineDataSink, PipelineDataSource } from "eventferry/glassflow";
import { readCases } from "../vectors.mjs";
import { testCases } from "./case-tests.mjs";
import { monotonicNow } from "../../dist/platform/clock.js";
import { delaysBetween } from "./glassflow-fixtures.mjs";
import { isManagement, runManagementCase } from "./glassflow-management-cases.mjs";
import { onlyKnown, onlyOneOf } from "./known-keys.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const BASE = "http://server.test";
testCases("glassflow", readCases("glassflow_cases"), {
  atLeast: 52,
  run: async (testCase, t) => {
    checkKeys(testCase);
    const difference = await runCase(testCase);
    if (difference) t.diagnostic(`differs on purpose: ${difference}`);
  },
});

/** Throws for a key that the runner does not check. */
function checkKeys(testCase) {
  const { id, server, expected } = testCase;
  // Documentation: the reason of the case, what it means for this package, and where it was measured.
  onlyKnown(testCase, ["id", "call", "server", "expected", "why", "advice", "source"], "the case", id);
  for (const answer of server) onlyKnown(answer, ["status", "json", "text", "headers", "drop"], "server", id);
  onlyKnown(expected, ["2.1.0", "2.0.8", "1.0.11"], "expected", id);
  for (const [version, measured] of Object.entries(expected)) {
    if (typeof measured === "string") {
      onlyOneOf(measured, ["same as 2.1.0"], `expected["${version}"]`, id);
      continue;
    }
    // Documentation: fetch decides on the number of connections.
    onlyKnown(measured, ["steps", "requests", "sleeps", "connections"], `expected["${version}"]`, id);
    for (const step of measured.steps) {
      if (typeof step === "string") {
        // Documentation: the class of the return value in Python, where the call returns nothing here.
        onlyOneOf(
          step,
          ["Response", "NoneType", "returned PipelineTooManyRequestsError", "returned NoneType"],
          "steps",
          id,
        );
        continue;
      }
      // Documentation: classes and texts of Python, the body that `server` has too, delays that `sleeps` has too, and
      // the values that a client has read from its environment, which `environment` checks.
      const documented = [
        "type",
        "str",
        "json()",
        "body",
        "detail",
        "delay_after",
        "delay_a",
        "delay_b",
        "pipeline_id",
        "token",
      ];
      const managed = isManagement(testCase.call) ? ["name", "state", "tokens", "id", "n", "next", "key"] : [];
      onlyKnown(step, ["status_code", "raises", "event()", "published", ...managed, ...documented], "steps", id);
    }
    for (const request of measured.requests) {
      // Documentation: the body as a value, of which body_text is the text.
      onlyKnown(request, ["method", "path", "query", "headers", "body_text", "body_json"], "requests", id);
      // Documentation: all but the first two are headers of the HTTP client of Python.
      onlyKnown(
        request.headers,
        [
          "x-pipeline-access-token",
          "personal-access-token",
          "content-type",
          "content-length",
          "accept",
          "accept-encoding",
          "connection",
          "user-agent",
          "gf-client",
          "gf-python-version",
        ],
        "requests.headers",
        id,
      );
    }
  }
}

async function runCase({ id, call, server, expected }) {
  if (call.includes("PIPELINE_ID")) return environment();
  const measured = newestOf(expected);
  if (isManagement(call)) return runManagementCase({ id, call }, measured, scriptedServer(server), `${BASE}/v1`);
  const plan = parseCall(call);
  const { fetch, requests } = scriptedServer(
    server,
    measured.requests.length === 0 && /Connection/.test(measured.steps[0]?.raises),
  );
  const outcomes = [];
  const clients = new Map();
  for (const step of plan) {
    try {
      const client = clients.get(step.client) ?? createClient(step, fetch);
      clients.set(step.client, client);
      outcomes.push({ value: await client[step.method](...step.args) });
    } catch (error) {
      assert.equal(error?.name, "FerryError", `every error is a FerryError; received ${error?.stack}`);
      assert.ok(
        !JSON.stringify([error.message, String(error.cause)]).includes(step.token ?? "tok-1"),
        "the token is not shown",
      );
      outcomes.push({ error });
    }
  }
  return compare(plan, outcomes, requests, measured, server);
}

/** The outcome of the newest version that was measured. */
function newestOf(expected) {
  for (const version of ["2.1.0", "2.0.8", "1.0.11"])
    if (typeof expected[version] === "object") return { version, ...expected[version] };
  throw new Error("no version was measured");
}

function parseCall(call) {
  const literal = (text) => reviveNumbers(JSON.parse(pythonToJson(text)));
  const named = /^(PipelineDataSource|PipelineDataSink)\((.*?)\)\.(\w+)\((.*)\)$/s.exec(call);
  if (named) {
    const [, kind, constructorArgs, method, args] = named;
    const [id, token] = literal(`[${constructorArgs}]`);
    return [{ client: 1, kind, id, token, method: camelCase(method), args: args === "" ? [] : literal(`[${args}]`) }];
  }
  const standard = { client: 1, kind: "PipelineDataSource", id: "pipe-1", token: "tok-1", method: "publish" };
  const base = /^server_url='\{BASE\}(.*?)' then publish\((.*)\)$/.exec(call);
  if (base) return [{ ...standard, base: BASE + base[1], args: [literal(base[2])] }];
  if (/^source\.publish/.test(call))
    return call.split("; ").map((step) => ({ ...standard, args: [literal(/publish\((.*)\)$/.exec(step)[1])] }));
  const sink = { ...standard, kind: "PipelineDataSink", args: [] };
  if (/^two sinks/.test(call)) return [1, 2].map((client) => ({ ...sink, client, method: "consume" }));
  const NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
  const many = /^(\w+) (consume|consume_failed)\(\) calls/.exec(call);
  if (many) return Array(NUMBERS.indexOf(many[1])).fill({ ...sink, method: camelCase(many[2]) });
  const calls = [...call.matchAll(/(consume_failed|consume|publish)\(([^)]*)\)/g)];
  if (calls.length > 0)
    return calls.map(([, method, args]) => ({
      ...(method === "publish" ? standard : sink),
      client: method === "publish" ? 1 : 2,
      method: camelCase(method),
      args: args === "" ? [] : [literal(args)],
    }));
  throw new Error(`the runner cannot parse the call ${call}`);
}

/** Replaces the markers of `pythonToJson` with numbers that JSON cannot represent. */
function reviveNumbers(value) {
  if (typeof value === "string")
    return value.startsWith("BigInt ")
      ? BigInt(value.slice(7))
      : value.startsWith("Float ")
        ? Number(value.slice(6))
        : value;
  if (Array.isArray(value)) return value.map(reviveNumbers);
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, value]) => [name, reviveNumbers(value)]))
    : value;
}

/** Translates the Python literals that the cases use. */
function pythonToJson(text) {
  return text.replace(
    /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|float\('(\w+)'\)|(\d+)\*\*(\d+)|\b(None|True|False)\b/g,
    (_, single, double, float, base, exponent, word) => {
      if (float) return `"Float ${{ nan: "NaN", inf: "Infinity", infinity: "Infinity" }[float.toLowerCase()]}"`;
      if (word) return { None: "null", True: "true", False: "false" }[word];
      if (base) return `"BigInt ${BigInt(base) ** BigInt(exponent)}"`;
      return `"${(single ?? double ?? "").replace(/\\'/g, "'").replace(/(?<!\\)"/g, '\\"')}"`;
    },
  );
}

const camelCase = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

function createClient({ kind, id, token, base = `${BASE}/v1` }, fetch) {
  const Client = kind === "PipelineDataSource" ? PipelineDataSource : PipelineDataSink;
  return new Client({ pipelineId: id, pipelineAccessToken: token, baseUrl: base, fetch });
}

function scriptedServer(responses, isRefusing) {
  const left = [...responses];
  const requests = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    const { method, url, headers } = request;
    requests.push({
      method,
      url: new URL(url),
      headers: Object.fromEntries(headers),
      text: await request.text(),
      at: monotonicNow(),
    });
    const { status = 200, json, text, headers: given = {}, drop } = left.shift() ?? {};
    if (isRefusing || drop) throw new TypeError("fetch failed");
    const body = json !== undefined ? JSON.stringify(json) : (text ?? null);
    return new Response([204, 304].includes(status) ? null : body, {
      status,
      headers: {
        ...(json !== undefined && { "content-type": "application/json" }),
        ...JSON.parse(JSON.stringify(given).replaceAll("{BASE}", BASE)),
      },
    });
  };
  return { fetch, requests };
}

/** Throws for a wrong outcome. Returns the reason of a difference on purpose. */
function compare(plan, outcomes, requests, measured, responses) {
  let difference;
  const differs = (reason) => {
    difference ??= reason;
  };
  let requestCount = 0;
  const compareStep = (step, at) => {
    const { value, error } = outcomes[at];
    const what = `step ${at + 1}`;
    // Of several calls that succeeded the case may have only the number.
    const original = measured.steps[0]?.published >= plan.length ? { status_code: 200 } : (measured.steps[at] ?? {});
    if (step.token === null || step.token === "" || /[\r\n]/.test(step.token)) {
      assert.equal(error?.code, "ERR_INVALID_ARGUMENT", what);
      return original.raises ? undefined : differs("a missing token is refused by the constructor");
    }
    if (["", ".", ".."].includes(step.id)) {
      assert.equal(error?.code, "ERR_INVALID_ARGUMENT", what);
      return differs("an id that is not usable in a URL path is refused by the constructor");
    }
    const event = step.args[0];
    if (step.method === "publish" && event === null) {
      assert.equal(error?.code, "ERR_INVALID_ARGUMENT", what);
      return differs("null is refused: it would be sent as an empty body");
    }
    const request = requests[requestCount];
    const measuredRequest = measured.requests[requestCount];
    const response = responses[requestCount] ?? {};
    if (!measuredRequest && !request) return assert.ok(error && original.raises, what);
    requestCount++;
    compareRequest(step, request, measuredRequest, differs);
    const status = response.status ?? 200;
    if (!measuredRequest || response.drop || /Connection|Timeout/.test(original.raises ?? ""))
      return assert.equal(error?.code, "ERR_NETWORK", what);
    if (status >= 300 && status < 400) {
      assert.equal(error?.code, "ERR_REDIRECTED", what);
      return differs("a redirect is not followed: it may lose the event");
    }
    if (status === 429 && !step.method.startsWith("consume")) {
      assert.deepEqual([error?.code, error?.status], ["ERR_RATE_LIMITED", 429], what);
      return original.raises ? undefined : differs("429 is an error");
    }
    if (status >= 400 && status !== 429) return compareError(error, status, response, original, what);
    if (step.method === "validateCredentials") return assert.equal(error ?? value, undefined, what);
    if (step.method === "publish") return assert.deepEqual(value, { status: original.status_code }, what);
    compareConsumed(step, { value, error }, original, response, status, differs, what);
  };
  plan.forEach((step, at) => void compareStep(step, at));
  // Each request of the original is one of ours, except for redirects that were followed.
  assert.equal(requests.length, requestCount, "no other requests");
  compareDelays(plan, requests, measured, responses, differs);
  return difference;
}

function compareRequest(step, request, original, differs) {
  assert.ok(request, "there is a request");
  if (!original) return;
  assert.equal(request.method, original.method);
  const path = original.path + (original.query ? `?${original.query}` : "");
  const ours = request.url.pathname + request.url.search;
  if (ours !== path) {
    const encoded = encodeURIComponent(step.id);
    const endpoint = {
      publish: "topics/input/events",
      consume: "topics/output/events/consume",
      consumeFailed: "topics/failed/events/consume",
      validateCredentials: "status/access_token",
    }[step.method];
    assert.equal(ours, `/v1/pipelines/${encoded}/${endpoint}`);
    differs(
      path.includes("//")
        ? "a slash at the end of the base URL is not doubled"
        : "the id is percent-encoded and stays one segment of the path",
    );
  }
  assert.equal(request.headers["x-pipeline-access-token"], original.headers["x-pipeline-access-token"]);
  assert.equal(request.headers["content-type"], original.headers["content-type"]);
  // The original writes other spaces and escapes.
  const normalized = (text) =>
    text === ""
      ? text
      : text.replace(/"(?:[^"\\]|\\.)*"|\s+/g, (part) =>
          part.startsWith('"') ? JSON.stringify(JSON.parse(part)) : "",
        );
  assert.equal(normalized(request.text), normalized(original.body_text ?? ""));
  assert.ok(!request.text.includes("tok-1"), "the token is not in the body");
}

function compareError(error, status, response, original, what) {
  const codes = {
    401: "ERR_UNAUTHORIZED",
    403: "ERR_UNAUTHORIZED",
    410: "ERR_GONE",
    413: "ERR_TOO_LARGE",
    415: "ERR_UNSUPPORTED_FORMAT",
    429: "ERR_RATE_LIMITED",
  };
  const code =
    codes[status] ??
    (status === 408 || status === 425 || (status >= 500 && status !== 501) ? "ERR_UNAVAILABLE" : "ERR_REJECTED");
  assert.ok(original.raises, what);
  assert.deepEqual([error?.code, error?.status], [code, status], what);
  const detail = response.json?.detail ?? response.text;
  if (detail) assert.ok(error.message.includes(detail), `${error.message} has ${detail}`);
  assert.deepEqual(
    new TextDecoder().decode(error.body),
    response.json === undefined ? (response.text ?? "") : JSON.stringify(response.json),
    what,
  );
}

function compareConsumed(step, { value, error }, original, response, status, differs, what) {
  const raw = response.json === undefined ? (response.text ?? "") : JSON.stringify(response.json);
  if (status !== 200) {
    assert.deepEqual([value?.status, value?.event], [status, undefined], what);
    if (value.body) assert.equal(new TextDecoder().decode(value.body), raw, "the body may be an event");
    return;
  }
  let body;
  try {
    body = JSON.parse(raw);
  } catch {
    // Not JSON: there is no event.
  }
  if (typeof body !== "object" || body === null || Array.isArray(body) || !("payload" in body || "response" in body)) {
    assert.ok(original.raises, what);
    assert.equal(error?.code, "ERR_INVALID_EVENT", what);
    assert.equal(new TextDecoder().decode(error.body), raw, "the error has all bytes of the deleted event");
    return differs("an unreadable response is in the error, byte for byte");
  }
  const { event } = value ?? assert.fail(`${what}: ${error}`);
  const context = body.event_context ?? {};
  const read = [
    event.payload,
    event.response ?? null,
    event.status,
    event.requestId,
    event.receiveTime,
    event.externalId,
    event.errorDetails,
    event.stackTrace,
  ];
  const expected = [
    body.payload,
    body.response ?? null,
    body.status,
    context.request_id ?? body.req_id,
    context.receive_time ?? body.receive_time,
    context.external_id ?? undefined,
    body.error_details ?? undefined,
    body.stack_trace ?? undefined,
  ];
  assert.deepEqual(read, expected, what);
  if (original.raises) return differs("a response with missing fields is read: the server has deleted the event");
  if (step.method === "consumeFailed") {
    assert.deepEqual(event.data, body.payload, what);
    if (original["event()"] === null) differs("the data of a failed event is its payload");
  } else {
    assert.deepEqual(event.data ?? null, original["event()"], what);
  }
}

/** The delays before the requests of one sink. The original has a jitter of 0.05 s; this package 0 to 0.1 s. */
function compareDelays(plan, requests, { sleeps = [] }, responses, differs) {
  const isOneSink = plan.every(({ client, kind }) => client === plan[0].client && kind === "PipelineDataSink");
  if (!isOneSink) return;
  const left = [...sleeps];
  let [least, most] = [1000, 1000];
  let isDifferent = false;
  for (const [at, delay] of delaysBetween(requests).entries()) {
    const { status = 200, drop, headers = {} } = responses[at] ?? {};
    const isError = drop || (status >= 300 && status !== 429);
    if (status === 200 && !drop) [least, most] = [1000, 1000];
    else if (isError || status === 204 || status === 429)
      [least, most] = [Math.min(least * 2, 60_000), Math.min(most * 2, 60_000) + 100];
    const retryAfterMs = Number(headers["Retry-After"] ?? 0) * 1000;
    isDifferent ||= isError || retryAfterMs > least;
    const [from, to] =
      most > 1000 ? [Math.max(least, retryAfterMs), Math.max(most, retryAfterMs)] : [retryAfterMs, retryAfterMs];
    assert.ok(delay >= from && delay <= to + 1, `${delay} is not from ${from} to ${to}`);
    // The original has the same delays, until the first difference on purpose.
    const original = most > 1000 && !isDifferent ? left.shift() * 1000 : undefined;
    if (original !== undefined)
      assert.ok(
        original >= least && original <= most,
        `the delay of the original is ${original}, not from ${least} to ${most}`,
      );
  }
  if (isDifferent) differs("errors cause a delay too, and Retry-After is honoured");
  else assert.deepEqual(left, [], "the original has as many delays");
}

async function environment() {
  const options = { fetch: async () => new Response("{}") };
  const saved = [process.env.PIPELINE_ID, process.env.PIPELINE_ACCESS_TOKEN];
  try {
    delete process.env.PIPELINE_ID;
    delete process.env.PIPELINE_ACCESS_TOKEN;
    assert.throws(() => new PipelineDataSource(options), { code: "ERR_INVALID_ARGUMENT", message: /PIPELINE_ID/ });
    process.env.PIPELINE_ID = "env-id";
    assert.throws(() => new PipelineDataSink(options), {
      code: "ERR_INVALID_ARGUMENT",
      message: /PIPELINE_ACCESS_TOKEN/,
    });
    process.env.PIPELINE_ACCESS_TOKEN = "env-tok";
    assert.equal(new PipelineDataSource(options).pipelineId, "env-id");
    assert.equal(new PipelineDataSink({ ...options, pipelineId: "mine" }).pipelineId, "mine");
  } finally {
    for (const [at, name] of ["PIPELINE_ID", "PIPELINE_ACCESS_TOKEN"].entries()) {
      if (saved[at] === undefined) delete process.env[name];
      else process.env[name] = saved[at];
    }
  }
}
