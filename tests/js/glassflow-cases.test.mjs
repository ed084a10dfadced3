// The GlassFlow cases, measured with the original, through the public API. Where the original is wrong, what we do instead stands in
// `mended(…)`, with the reason; calls of the management API, which this package does not have, are skipped.
import assert from "node:assert/strict";
import { PipelineDataSink, PipelineDataSource } from "eventferry/glassflow";
import { readCases } from "../vectors.mjs";
import { testCases } from "./case-tests.mjs";
import { jumpingClock } from "./glassflow-world.mjs";
import { onlyKnown, onlyOneOf } from "./known-keys.mjs";

const BASE = "http://server.test";
/** The management API, and the client of versions 1.x. */
const MANAGEMENT = /\b(?:Pipeline|Space|Secret|GlassFlowClient|PipelineClient|pipeline_client)\(/;

testCases("glassflow", readCases("glassflow_cases"), {
  atLeast: 30,
  skip: ({ call }) =>
    MANAGEMENT.test(call) && !call.includes("PIPELINE_ID") ? "the management API is not in this package" : undefined,
  run: async (testCase, t) => {
    checkKeys(testCase);
    const remark = await runCase(testCase);
    if (remark) t.diagnostic(`mended: ${remark}`);
  },
});

/** Throws for what the runner does not look at. */
function checkKeys(testCase) {
  const { id, server, expected } = testCase;
  // Documentation: why there is the case, what it means for us in words, and where it was measured.
  onlyKnown(testCase, ["id", "call", "server", "expected", "why", "advice", "source"], "the case", id);
  for (const answer of server) onlyKnown(answer, ["status", "json", "text", "headers", "drop"], "server", id);
  onlyKnown(expected, ["2.1.0", "2.0.8", "1.0.11"], "expected", id);
  for (const [version, measured] of Object.entries(expected)) {
    if (typeof measured === "string") {
      onlyOneOf(measured, ["same as 2.1.0"], `expected["${version}"]`, id);
      continue;
    }
    // Documentation: how many connections there are is for fetch to decide.
    onlyKnown(measured, ["steps", "requests", "sleeps", "connections"], `expected["${version}"]`, id);
    for (const step of measured.steps) {
      if (typeof step === "string") {
        // Documentation: the class of what the call gave in Python, where the call gives nothing here.
        onlyOneOf(
          step,
          ["Response", "NoneType", "returned PipelineTooManyRequestsError", "returned NoneType"],
          "steps",
          id,
        );
        continue;
      }
      // Documentation: classes and texts of Python, the body that the script has as well, delays, which `sleeps` has too, and what
      // a client has read from its environment, which `environment` has in words of its own.
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
      onlyKnown(step, ["status_code", "raises", "event()", "published", ...documented], "steps", id);
    }
    for (const request of measured.requests) {
      // Documentation: the body as a value, of which body_text is the text.
      onlyKnown(request, ["method", "path", "query", "headers", "body_text", "body_json"], "requests", id);
      // Documentation: all but the first two are of Python's HTTP client.
      onlyKnown(
        request.headers,
        [
          "x-pipeline-access-token",
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

async function runCase({ call, server, expected }) {
  if (call.includes("PIPELINE_ID")) return environment();
  const measured = resolved(expected);
  const plan = planned(call);
  const { fetch, requests } = scripted(
    server,
    measured.requests.length === 0 && /Connection/.test(measured.steps[0]?.raises),
  );
  const clock = jumpingClock();
  const outcomes = [];
  try {
    const clients = new Map();
    for (const step of plan) {
      try {
        const client = clients.get(step.client) ?? made(step, fetch);
        clients.set(step.client, client);
        outcomes.push({ value: await client[step.method](...step.given) });
      } catch (error) {
        assert.equal(error?.name, "FerryError", `nothing but a FerryError, not ${error?.stack}`);
        assert.ok(
          !JSON.stringify([error.message, String(error.cause)]).includes(step.token ?? "tok-1"),
          "the token is not shown",
        );
        outcomes.push({ error });
      }
    }
    return compare(plan, outcomes, requests, measured, server, clock);
  } finally {
    clock.restore();
  }
}

/** What the newest version did; older ones only where it has nothing. */
function resolved(expected) {
  for (const version of ["2.1.0", "2.0.8", "1.0.11"])
    if (typeof expected[version] === "object") return { version, ...expected[version] };
  throw new Error("no version was measured");
}

function planned(call) {
  const literal = (text) => revived(JSON.parse(pythonToJson(text)));
  const named = /^(PipelineDataSource|PipelineDataSink)\((.*?)\)\.(\w+)\((.*)\)$/s.exec(call);
  if (named) {
    const [, kind, constructed, method, given] = named;
    const [id, token] = literal(`[${constructed}]`);
    return [{ client: 1, kind, id, token, method: camel(method), given: given === "" ? [] : literal(`[${given}]`) }];
  }
  const standard = { client: 1, kind: "PipelineDataSource", id: "pipe-1", token: "tok-1", method: "publish" };
  const base = /^server_url='\{BASE\}(.*?)' then publish\((.*)\)$/.exec(call);
  if (base) return [{ ...standard, base: BASE + base[1], given: [literal(base[2])] }];
  if (/^source\.publish/.test(call))
    return call.split("; ").map((one) => ({ ...standard, given: [literal(/publish\((.*)\)$/.exec(one)[1])] }));
  const sink = { ...standard, kind: "PipelineDataSink", given: [] };
  if (/^two sinks/.test(call)) return [1, 2].map((client) => ({ ...sink, client, method: "consume" }));
  const NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
  const many = /^(\w+) (consume|consume_failed)\(\) calls/.exec(call);
  if (many) return Array(NUMBERS.indexOf(many[1])).fill({ ...sink, method: camel(many[2]) });
  const calls = [...call.matchAll(/(consume_failed|consume|publish)\(([^)]*)\)/g)];
  if (calls.length > 0)
    return calls.map(([, method, given]) => ({
      ...(method === "publish" ? standard : sink),
      client: method === "publish" ? 1 : 2,
      method: camel(method),
      given: given === "" ? [] : [literal(given)],
    }));
  throw new Error(`nobody knows how to call ${call}`);
}

/** What JSON has no words for. */
function revived(value) {
  if (typeof value === "string")
    return value.startsWith("BigInt ")
      ? BigInt(value.slice(7))
      : value.startsWith("Float ")
        ? Number(value.slice(6))
        : value;
  if (Array.isArray(value)) return value.map(revived);
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, value]) => [name, revived(value)]))
    : value;
}

/** As much of Python's literals as the cases have. */
function pythonToJson(text) {
  return text.replace(
    /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|float\('(\w+)'\)|(\d+)\*\*(\d+)|\b(None|True|False)\b/g,
    (all, single, double, float, base, exponent, word) => {
      if (float) return `"Float ${{ nan: "NaN", inf: "Infinity", infinity: "Infinity" }[float.toLowerCase()]}"`;
      if (word) return { None: "null", True: "true", False: "false" }[word];
      if (base) return `"BigInt ${BigInt(base) ** BigInt(exponent)}"`;
      return `"${(single ?? double ?? "").replace(/\\'/g, "'").replace(/(?<!\\)"/g, '\\"')}"`;
    },
  );
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

function made({ kind, id, token, base = `${BASE}/v1` }, fetch) {
  const Client = kind === "PipelineDataSource" ? PipelineDataSource : PipelineDataSink;
  return new Client({ pipelineId: id, pipelineAccessToken: token, baseUrl: base, fetch });
}

function scripted(answers, isRefusing) {
  const left = [...answers];
  const requests = [];
  const fetch = async (request) => {
    const { method, url, headers } = request;
    requests.push({
      method,
      url: new URL(url),
      headers: Object.fromEntries(headers),
      text: await request.text(),
      at: performance.now(),
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

/** Throws for what is wrong. Gives the reason where we differ on purpose. */
function compare(plan, outcomes, requests, measured, answers, clock) {
  let remark;
  const mended = (reason) => void (remark ??= reason);
  let asked = 0;
  plan.forEach((step, at) => {
    const { value, error } = outcomes[at];
    const what = `step ${at + 1}`;
    // Of several that worked it may only say how many.
    const theirs = measured.steps[0]?.published >= plan.length ? { status_code: 200 } : (measured.steps[at] ?? {});
    if (step.token === null || step.token === "" || /[\r\n]/.test(step.token)) {
      assert.equal(error?.code, "ERR_INVALID_ARGUMENT", what);
      return theirs.raises ? undefined : mended("a missing token is refused when the client is made");
    }
    if (["", ".", ".."].includes(step.id)) {
      assert.equal(error?.code, "ERR_INVALID_ARGUMENT", what);
      return mended("an id that no URL can carry is refused when the client is made");
    }
    const event = step.given[0];
    if (step.method === "publish" && event === null) {
      assert.equal(error?.code, "ERR_INVALID_ARGUMENT", what);
      return mended("null is refused: it would be sent as an empty body");
    }
    const request = requests[asked];
    const original = measured.requests[asked];
    const answer = answers[asked] ?? {};
    if (!original && !request) return assert.ok(error && theirs.raises, what);
    asked++;
    compareRequest(step, request, original, mended);
    const status = answer.status ?? 200;
    if (!original || answer.drop || /Connection|Timeout/.test(theirs.raises ?? ""))
      return assert.equal(error?.code, "ERR_NETWORK", what);
    if (status >= 300 && status < 400) {
      assert.equal(error?.code, "ERR_REDIRECTED", what);
      return mended("a redirect is not followed: it may lose the event");
    }
    if (status === 429 && !step.method.startsWith("consume")) {
      assert.deepEqual([error?.code, error?.status], ["ERR_RATE_LIMITED", 429], what);
      return theirs.raises ? undefined : mended("429 is an error");
    }
    if (status >= 400 && status !== 429) return compareError(error, status, answer, theirs, what);
    if (step.method === "validateCredentials") return assert.equal(error ?? value, undefined, what);
    if (step.method === "publish") return assert.deepEqual(value, { status: theirs.status_code }, what);
    compareConsumed(step, { value, error }, theirs, answer, status, mended, what);
  });
  // Each of theirs is one of ours, but for redirects that were followed.
  assert.equal(requests.length, asked, "no other requests");
  compareRests(plan, requests, measured, answers, clock, mended);
  return remark;
}

function compareRequest(step, request, original, mended) {
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
    mended(
      path.includes("//")
        ? "a slash at the end of the base URL is not doubled"
        : "the id is escaped and stays one segment of the path",
    );
  }
  assert.equal(request.headers["x-pipeline-access-token"], original.headers["x-pipeline-access-token"]);
  assert.equal(request.headers["content-type"], original.headers["content-type"]);
  // Of the spaces and escapes that JSON leaves open they choose others.
  const same = (text) =>
    text === ""
      ? text
      : text.replace(/"(?:[^"\\]|\\.)*"|\s+/g, (part) =>
          part.startsWith('"') ? JSON.stringify(JSON.parse(part)) : "",
        );
  assert.equal(same(request.text), same(original.body_text ?? ""));
  assert.ok(!request.text.includes("tok-1"), "the token is not in the body");
}

function compareError(error, status, answer, theirs, what) {
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
  assert.ok(theirs.raises, what);
  assert.deepEqual([error?.code, error?.status], [code, status], what);
  const said = answer.json?.detail ?? answer.text;
  if (said) assert.ok(error.message.includes(said), `${error.message} has ${said}`);
  assert.deepEqual(
    new TextDecoder().decode(error.body),
    answer.json === undefined ? (answer.text ?? "") : JSON.stringify(answer.json),
    what,
  );
}

function compareConsumed(step, { value, error }, theirs, answer, status, mended, what) {
  const raw = answer.json === undefined ? (answer.text ?? "") : JSON.stringify(answer.json);
  if (status !== 200) {
    assert.deepEqual([value?.status, value?.event], [status, undefined], what);
    if (value.body) assert.equal(new TextDecoder().decode(value.body), raw, "what may be an event is not thrown away");
    return;
  }
  let body;
  try {
    body = JSON.parse(raw);
  } catch {
    // Then there is none.
  }
  if (typeof body !== "object" || body === null || Array.isArray(body) || !("payload" in body || "response" in body)) {
    assert.ok(theirs.raises, what);
    assert.equal(error?.code, "ERR_INVALID_EVENT", what);
    assert.equal(new TextDecoder().decode(error.body), raw, "it is gone from the server, and here in full");
    return mended("what cannot be read is in the error, byte for byte");
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
  const there = [
    body.payload,
    body.response ?? null,
    body.status,
    context.request_id ?? body.req_id,
    context.receive_time ?? body.receive_time,
    context.external_id ?? undefined,
    body.error_details ?? undefined,
    body.stack_trace ?? undefined,
  ];
  assert.deepEqual(read, there, what);
  if (theirs.raises)
    return mended("an answer that lacks something is read all the same: the event is gone from the server");
  if (step.method === "consumeFailed") {
    assert.deepEqual(event.data, body.payload, what);
    if (theirs["event()"] === null) mended("of a failed event the data are its payload");
  } else {
    assert.deepEqual(event.data ?? null, theirs["event()"], what);
  }
}

/** The rests in front of the requests of one sink. Those of the original had a jitter of 0.05 s; ours have 0 to 0.1. */
function compareRests(plan, requests, { sleeps = [] }, answers, clock, mended) {
  const isOneSink = plan.every(({ client, kind }) => client === plan[0].client && kind === "PipelineDataSink");
  if (!isOneSink) return;
  const left = [...sleeps];
  let [least, most] = [1000, 1000];
  let isMended = false;
  clock.rests(requests).forEach((rest, at) => {
    const { status = 200, drop, headers = {} } = answers[at] ?? {};
    const isError = drop || (status >= 300 && status !== 429);
    if (status === 200 && !drop) [least, most] = [1000, 1000];
    else if (isError || status === 204 || status === 429)
      [least, most] = [Math.min(least * 2, 60_000), Math.min(most * 2, 60_000) + 100];
    const asked = Number(headers["Retry-After"] ?? 0) * 1000;
    isMended ||= isError || asked > least;
    const [from, to] = most > 1000 ? [Math.max(least, asked), Math.max(most, asked)] : [asked, asked];
    assert.ok(rest >= from && rest <= to + 1, `${rest} is not from ${from} to ${to}`);
    // Theirs are the same, until one of us differs on purpose.
    const theirs = most > 1000 && !isMended ? left.shift() * 1000 : undefined;
    if (theirs !== undefined)
      assert.ok(theirs >= least && theirs <= most, `they have rested ${theirs}, not from ${least} to ${most}`);
  });
  if (isMended) mended("errors rest as well, and Retry-After is kept");
  else assert.deepEqual(left, [], "they have rested as often");
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
