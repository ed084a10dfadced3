// The BriteEvents cases: each was run on the original. What `advice` says to mirror is compared with that; what it says to mend has a line here
// that says how. The bodies that the original sent are then given to the emulator.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createEmulator } from "../../dist/entries/testing.js";
import { isFerryError } from "../../dist/entries/bc-events.js";
import { readCases } from "../vectors.mjs";
import { testCases } from "./case-tests.mjs";
import { onlyKnown, onlyOneOf } from "./known-keys.mjs";
import { clientTo, server, topics as defaultTopics } from "./bc-events-world.mjs";

const cases = readCases("bc_events_cases");
const BASE = "http://127.0.0.1:9";
/** Nobody waits longer for a delivery that will not come about. */
const DEADLINE_MS = 250;

/** Does what a case says, and notes what came of it. */
async function perform({ input }) {
  const scripted = (input.server ?? []).map(answerOf);
  const last = answerOf(input.server_default ?? { status: 201, json: { eventId: "e1", jobId: "j1" } });
  const world = input.api === "http://127.0.0.1:1" ? server(new TypeError("refused")) : server(...scripted, last);
  const seen = { steps: [], requests: world.requests, reports: [] };
  const topics = input.topics?.$yaml ?? input.topics ?? defaultTopics;
  let client;
  try {
    client = clientTo(world, {
      apiUrl: input.api?.replace("{BASE}", BASE),
      topics,
      serviceName: input.service_name ?? "MyService",
    });
  } catch (error) {
    seen.steps.push({ op: "new EventClient", error });
    return seen;
  }
  const [kind = "user", ...rest] = input.session ?? ["user", "USER_ID", "JOB_ID"];
  let session;
  try {
    session = {
      user: () => client.userSession(rest[0], rest[1]),
      service: () => client.serviceSession(rest[0]),
      third_party: () => client.thirdPartySession(rest[0]),
      raw: () => client.userSession(rest[0], rest[2], { publishImmediately: rest[3] }),
    }[kind]();
  } catch (error) {
    seen.steps.push({ op: "session", error });
    return seen;
  }
  let queue = [];
  const publish = (call) => {
    const before = session.staged;
    const receipt = call();
    receipt.delivered.catch(() => undefined);
    if (session.staged > before) queue.push(receipt);
    else receipt.delivered.catch(() => undefined);
  };
  const values = (data) => JSON.parse(JSON.stringify(data), (_, value) => (value === "$NaN" ? NaN : value));
  const perform = {
    publish: (event) => publish(() => session.publish(values(event))),
    magic: (name, data) => publish(() => session[name](values(data))),
    magic_n: (name, data, times) => {
      for (let at = 0; at < times; at++) publish(() => session[name](values(data)));
    },
    magic_kw: (name, kwargs) => publish(() => session[name](...Object.values(values(kwargs)))),
    flush: async () => {
      queue = [];
      seen.reports.push(await session.flush({ until: "delivered", deadlineMs: DEADLINE_MS }));
    },
    rollback: () => {
      queue = [];
      session.rollback();
    },
    queue_len: () => session.staged,
    queue: () => queue.length,
    topics: () =>
      Object.fromEntries(
        client.topics.map(({ name, category, entity, action }) => [name, { category, entity, action }]),
      ),
    get_topic: (...names) => String(client.getTopic(...names)),
    urls: () => ({
      publish_url: client.publishUrl?.replace(BASE, "{BASE}") ?? null,
      publish_bulk_url: client.publishBulkUrl?.replace(BASE, "{BASE}") ?? null,
      default_category: client.defaultCategory ?? null,
    }),
    actor: () => ({
      actor_id: session.actorId,
      actor_type: session.actorType,
      job_id: session.jobId,
      publish_immediately: session.publishImmediately,
    }),
    hasattr: (name) => name in session,
  };
  for (const [op, ...given] of input.ops) {
    const name = op.startsWith("magic") || op === "hasattr" ? `${op} ${given[0]}` : op;
    try {
      const returns = await perform[op](...given);
      seen.steps.push({ op: name, returns: returns ?? null });
    } catch (error) {
      seen.steps.push({ op: name, error });
    }
  }
  if (rest[3]) await client.outbox.drain({ deadlineMs: DEADLINE_MS });
  seen.stats = client.outbox.stats();
  await client.close();
  return seen;
}

function answerOf({ status, json, text, drop }) {
  if (drop) return new TypeError("the connection broke");
  return [status, text ?? json ?? ""];
}

/** What differs from the original, if anything. Errors come earlier than there: what it finds at flush is found when something is published. */
function difference({ expected }, seen) {
  const isRaised = expected.steps.map(
    ({ raises }, at) => raises !== undefined && seen.steps.slice(0, at + 1).some(({ error }) => isFerryError(error)),
  );
  for (const [at, step] of expected.steps.entries()) {
    const found = seen.steps[at];
    if (step.raises?.startsWith("tenacity.")) {
      if (!seen.reports.some(({ pending }) => pending.length > 0)) return `${step.op} was not left pending`;
    } else if (step.raises) {
      if (!isRaised[at]) return `${step.op} raised nothing, and nothing before it did`;
      if (
        found?.error &&
        step.message?.startsWith("Topic not found: ") &&
        !step.message.includes("None") &&
        !found.error.message.startsWith(step.message)
      )
        return `${found.error.message}, not ${step.message}`;
      if (
        found?.error &&
        step.message?.startsWith("Could not resolve") &&
        !found.error.message.startsWith(step.message)
      )
        return `${found.error.message}, not ${step.message}`;
      if (found?.error && !isFerryError(found.error)) return `${step.op} threw ${found.error}`;
      if (
        step.path?.length > 0 &&
        !seen.steps.some(
          ({ error }) => error?.attribute?.endsWith(step.path.at(-1)) || error?.message.includes(step.path.join("/")),
        )
      )
        return `nothing names ${step.path.join(".")}`;
    } else if (found?.error) {
      if (!expected.steps.slice(at + 1).some(({ raises }) => raises)) return `${step.op} threw ${found.error.message}`;
    } else if (step.op === "queue") {
      if (found.returns !== step.returns.length) return `${found.returns} are queued`;
    } else if (
      JSON.stringify(sorted(found?.returns ?? null)) !== JSON.stringify(sorted(step.returns ?? null)) &&
      step.op !== "queue_len"
    ) {
      return `${step.op} gave ${JSON.stringify(found?.returns)}`;
    }
  }
  const wanted = expected.requests;
  const exhausted = expected.steps.some(({ raises }) => raises?.startsWith("tenacity."));
  if (!exhausted && wanted.length !== seen.requests.length)
    return `${seen.requests.length} requests, not ${wanted.length}`;
  for (const [at, { path, body_json, headers }] of wanted.entries()) {
    const found = seen.requests[at];
    if (!found) return exhausted ? undefined : `there is no request ${at}`;
    if (found.path !== path) return `request ${at} went to ${found.path}`;
    if (headers?.["x-britecore-job-id"] && found.job !== headers["x-britecore-job-id"])
      return `request ${at} has the job ${found.job}`;
    if (!found.job) return `request ${at} has no job`;
    const body =
      body_json?.$array_length === undefined
        ? found.body
        : { $array_length: found.body.length, $first: found.body[0], $last: found.body.at(-1) };
    // Also the order of the members.
    if (JSON.stringify(body) !== JSON.stringify(body_json)) return `request ${at} has the body ${JSON.stringify(body)}`;
  }
  return undefined;
}

const sorted = (value) =>
  typeof value === "object" && value !== null
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, sorted(value[key])]),
      )
    : value;

const refuses = (pattern) => (seen) =>
  assert.ok(
    seen.steps.some(({ error }) => isFerryError(error) && pattern.test(error.message)),
    JSON.stringify(seen.steps.map(({ op, error }) => [op, error?.message])),
  );
const delivers = (requests) => (seen) => {
  assert.ok(
    seen.reports.length > 0 && seen.reports.every(({ pending, dead }) => pending.length + dead.length === 0),
    JSON.stringify(seen.reports),
  );
  assert.equal(seen.requests.length, requests);
};
const stops =
  (code, status, requests = 1) =>
  (seen) => {
    assert.deepEqual(
      seen.reports.at(-1).dead.map(({ code, status }) => [code, status]),
      [[code, status]],
    );
    assert.equal(seen.requests.length, requests);
  };
const waits = (seen) => {
  assert.equal(seen.reports.at(-1).pending.length, 1);
  assert.deepEqual(seen.reports.at(-1).delivered, []);
};

/** How what was wrong there is here, by case. */
const MENDED = {
  "bc-topics-no-Topics-key": refuses(/Topics/),
  "bc-topics-null": refuses(/Topics is a list of topics, not null/),
  "bc-topics-missing-Entity": refuses(/Topics\[0\] needs the member Entity/),
  "bc-topics-missing-Action": refuses(/Topics\[0\] needs the member Action/),
  "bc-topics-missing-Schema": refuses(/Topics\[0\] needs the member Schema/),
  "bc-topics-no-default-category": refuses(/Topics\[0\] needs the member Category/),
  "bc-topics-yaml11-bool": ({ steps }) => assert.deepEqual(Object.keys(steps[0].returns), ["testing.TestOn"]),
  "bc-topics-yaml-number-category": refuses(/DefaultCategory is a text, not 5/),
  "bc-get-topic": ({ steps }) =>
    assert.deepEqual(
      [steps[0].returns, ...steps.slice(1).map(({ error }) => error.message.split(";")[0])],
      ["testing.TestCreated", "Topic not found: testing.TestCreated", "Topic not found: nope.NotRealFailed"],
    ),
  "bc-publish-no-action": refuses(/publish needs action/),
  "bc-publish-no-data": refuses(/data breaks the rule type/),
  "bc-magic-camel-token-fails": ({ steps }) =>
    assert.deepEqual(
      steps.map(({ error }) => error),
      [undefined, undefined],
    ),
  "bc-magic-underscores": ({ steps }) =>
    assert.ok(steps.filter(({ op }) => op.startsWith("magic")).every(({ error }) => error instanceof Error)),
  "bc-magic-shadowed-by-real-method": ({ steps }) =>
    assert.equal(steps.find(({ op }) => op === "queue").returns >= 2, true),
  "bc-magic-hasattr": ({ steps }) =>
    assert.deepEqual(
      steps.map(({ returns }) => returns),
      [true, false, true, false],
    ),
  "bc-validate-action-trailing-newline": refuses(/action breaks the rule pattern/),
  "bc-validate-draft6-exclusiveMinimum-number-rejected": refuses(/exclusiveMinimum/),
  "bc-validate-schema-null": refuses(/Topics\[0\]\.Schema is a JSON Schema, which is an object, not null/),
  // JavaScript has one kind of number: 1.0 is 1. true is no integer here either.
  "bc-validate-integer-float": refuses(/data\.n breaks the rule type .*: it has to be integer, not boolean/),
  "bc-flush-5-single-posts": (seen) => {
    delivers(5)(seen);
    assert.equal(seen.steps.at(-1).returns, 0);
  },
  "bc-flush-twice-resends": delivers(1),
  "bc-flush-rollback-flush": delivers(1),
  "bc-flush-threshold-crossed-by-leftovers": (seen) => {
    delivers(6)(seen);
    assert.ok(seen.requests.every(({ path }) => path === "/events"));
  },
  "bc-job-id-none": (seen) => {
    delivers(1)(seen);
    assert.match(seen.requests[0].job, /^[0-9a-f-]{36}$/);
  },
  "bc-job-id-non-latin": refuses(/jobId is a text of ASCII characters/),
  "bc-body-unicode": delivers(1),
  "bc-body-nan": refuses(/data\.n is not a finite number/),
  "bc-no-retry-400-other": stops("ERR_REJECTED", 400),
  "bc-400-without-errorType": stops("ERR_REJECTED", 400),
  "bc-status-401-json-silent": (seen) =>
    assert.ok(seen.requests.length >= 2, "it was tried again, and the second time it worked"),
  "bc-status-409-json-silent": stops("ERR_REJECTED", 409),
  "bc-status-422-json-silent": stops("ERR_REJECTED", 422),
  "bc-status-502-json-silent": delivers(2),
  "bc-status-503-json-silent": delivers(2),
  "bc-status-201-empty-body": delivers(1),
  "bc-status-204": delivers(1),
  "bc-retry-connection-drop": delivers(2),
  "bc-no-timeout-slow-server": delivers(1),
  "bc-retry-exhausted-500": waits,
  // A budget of 2 s is not ours: the outbox goes on.
  "bc-slow-then-retryable": delivers(2),
  "bc-bulk-partial-non-retryable": (seen) => {
    assert.equal(seen.requests.length, 1);
    assert.deepEqual(
      seen.reports[0].dead.map(({ code, reason, text }) => [code, reason, JSON.parse(text).data.n]),
      [["ERR_REJECTED", "the server refused the request (HTTP 201): ValidationException", 5]],
    );
    assert.equal(seen.reports[0].delivered.length, 5);
  },
  "bc-bulk-records-short": (seen) => {
    delivers(2)(seen);
    assert.deepEqual(
      seen.requests[1].body.map(({ data }) => data.n),
      [1, 2, 3, 4, 5],
    );
  },
  "bc-bulk-records-objects": (seen) => {
    delivers(2)(seen);
    assert.deepEqual(
      seen.requests[1].body.map(({ data }) => data.n),
      [0],
    );
  },
  // Halved until the culprit stands alone; there was none.
  "bc-bulk-non-retryable-400-continues": (seen) => {
    assert.equal(seen.reports[0].delivered.length, 251);
    assert.deepEqual(
      seen.requests.map(({ body }) => body.length),
      [250, 125, 125, 1],
    );
  },
};
/** What cannot be told in the language of the cases; each has a test of its own in `bc-events-*.test.mjs`. */
const ELSEWHERE = {
  "bc-magic-resolved-at-attribute-access": "the topic is that of the moment at which the call was read",
  "bc-session-copy-recursion": "a session can be inspected, awaited and written as JSON",
  "bc-flush-sends-mutated-data": "what is changed after publish is not sent",
  "bc-bulk-second-chunk-exhausted": "what of a flush was delivered is not sent again, whatever became of the rest",
};

const OPS = [
  "publish",
  "magic",
  "magic_n",
  "magic_kw",
  "flush",
  "rollback",
  "queue_len",
  "queue",
  "topics",
  "get_topic",
  "urls",
  "actor",
  "hasattr",
];

/** Throws for what the runner does not look at. */
function checkKeys(testCase) {
  const { id, input, expected } = testCase;
  // Documentation: why there is the case, and where it was measured.
  onlyKnown(testCase, ["id", "input", "expected", "advice", "why", "source"], "the case", id);
  onlyKnown(input, ["api", "topics", "service_name", "session", "ops", "server", "server_default"], "input", id);
  onlyOneOf(input.session?.[0], [undefined, "user", "service", "third_party", "raw"], "session", id);
  for (const [op] of input.ops) onlyOneOf(op, OPS, "op", id);
  for (const answer of [input.server ?? [], input.server_default ?? []].flat()) {
    // Documentation: nobody waits for a slow answer; the original has no time limit, and ours is tried elsewhere.
    onlyKnown(answer, ["status", "json", "text", "drop", "delay"], "server", id);
  }
  // Documentation: what Python logged, and how long it waited between its tries.
  onlyKnown(expected, ["steps", "requests", "log", "gaps_seconds"], "expected", id);
  for (const step of expected.steps) {
    // Documentation: how long the call took in Python.
    onlyKnown(step, ["op", "raises", "returns", "message", "path", "seconds"], "steps", id);
  }
  for (const request of expected.requests) {
    onlyKnown(request, ["method", "path", "headers", "body_json", "body_text"], "requests", id);
    // Documentation: all but the first are of Python's HTTP client.
    onlyKnown(
      request.headers,
      ["x-britecore-job-id", "content-type", "content-length", "accept", "accept-encoding", "connection", "user-agent"],
      "requests.headers",
      id,
    );
  }
}

testCases(
  "bc-events",
  cases.filter(({ id }) => !(id in ELSEWHERE)),
  {
    atLeast: 76,
    run: async (testCase) => {
      const { id, advice } = testCase;
      checkKeys(testCase);
      const seen = await perform(testCase);
      if (MENDED[id]) return MENDED[id](seen);
      assert.match(advice, /^(?:mirror|same)/, "there is a rule for what is mended");
      assert.equal(difference(testCase, seen), undefined);
    },
  },
);

for (const [id, name] of Object.entries(ELSEWHERE)) {
  test(`${id} is tested as «${name}»`, () => {
    assert.ok(
      cases.some((testCase) => testCase.id === id),
      "the case is there",
    );
    const files = ["magic", "session", "delivery"].map((file) =>
      readFileSync(new URL(`bc-events-${file}.test.mjs`, import.meta.url), "utf8"),
    );
    assert.ok(
      files.some((text) => text.includes(`test("${name}"`)),
      "the test is there",
    );
  });
}

test("every case that is named here is in the file", () => {
  for (const id of Object.keys(MENDED))
    assert.ok(
      cases.some((testCase) => testCase.id === id),
      id,
    );
});

test("every body that the original has sent is taken by the emulator, and answered so that the original understands it", async () => {
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  let count = 0;
  for (const { id, expected } of cases) {
    for (const { method, path, headers, body_text, body_json } of expected.requests ?? []) {
      if (body_text === undefined || body_text.startsWith("[]") || id === "bc-validate-action-trailing-newline")
        continue;
      emulator.briteEvents.clear();
      const job = headers["x-britecore-job-id"];
      const answer = await fetch(`${url}/brite-events${path}`, {
        method,
        body: body_text,
        headers: { "content-type": "application/json", ...(job && { "x-britecore-job-id": job }) },
      });
      assert.equal(answer.status, 201, id);
      const said = await answer.json();
      const sent = [body_json].flat();
      // What `retry_if_we_need_to` of the original looks at.
      if (path === "/events") assert.equal(said.failedRecords ?? 0, 0);
      else assert.deepEqual(said, { failedRecords: 0, records: sent.map(() => "Success") });
      assert.equal(said.errorType, undefined);
      assert.deepEqual(
        emulator.briteEvents.received.map(({ event }) => event),
        sent,
        id,
      );
      assert.equal(new TextDecoder().decode(emulator.briteEvents.received[0].rawBody), body_text);
      assert.equal(emulator.briteEvents.received[0].jobId, job);
      count++;
    }
  }
  assert.ok(count > 40, `${count}`);
  await emulator.close();
});
