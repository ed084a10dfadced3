// The BriteEvents cases, recorded from the original. A case whose `advice` is to mirror the original is compared with the
// recording. A case whose advice is to fix the original has an expectation in `FIXED`. In addition, the emulator must
// accept the bodies that the original sent.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createEmulator } from "eventferry/testing";
import { isFerryError } from "eventferry/bc-events";
import { readCases } from "../vectors.mjs";
import { testCases } from "./case-tests.mjs";
import { onlyKnown, onlyOneOf } from "./known-keys.mjs";
import { clientTo, server, topics as defaultTopics } from "./bc-events-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const cases = readCases("bc_events_cases");
const BASE = "http://127.0.0.1:9";
/** The virtual time after which a flush stops waiting for a delivery. */
const DEADLINE_MS = 250;

/** Runs the operations of a case and records their results. */
async function runCase({ input }) {
  const scripted = (input.server ?? []).map(responseOf);
  const last = responseOf(input.server_default ?? { status: 201, json: { eventId: "e1", jobId: "j1" } });
  const scriptedServer =
    input.api === "http://127.0.0.1:1" ? server(new TypeError("refused")) : server(...scripted, last);
  const recorded = { steps: [], requests: scriptedServer.requests, reports: [] };
  const topics = input.topics?.$yaml ?? input.topics ?? defaultTopics;
  let client;
  try {
    client = clientTo(scriptedServer, {
      apiUrl: input.api?.replace("{BASE}", BASE),
      topics,
      serviceName: input.service_name ?? "MyService",
    });
  } catch (error) {
    recorded.steps.push({ op: "new BriteEventsClient", error });
    return recorded;
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
    recorded.steps.push({ op: "session", error });
    return recorded;
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
  const operations = {
    publish: (event) => publish(() => session.publish(values(event))),
    magic: (name, data) => publish(() => session[name](values(data))),
    magic_n: (name, data, times) => {
      for (let index = 0; index < times; index++) publish(() => session[name](values(data)));
    },
    magic_kw: (name, kwargs) => publish(() => session[name](...Object.values(values(kwargs)))),
    flush: async () => {
      queue = [];
      recorded.reports.push(await session.flush({ until: "delivered", deadlineMs: DEADLINE_MS }));
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
  for (const [op, ...args] of input.ops) {
    const name = op.startsWith("magic") || op === "hasattr" ? `${op} ${args[0]}` : op;
    try {
      const returns = await operations[op](...args);
      recorded.steps.push({ op: name, returns: returns ?? null });
    } catch (error) {
      recorded.steps.push({ op: name, error });
    }
  }
  if (rest[3]) await client.outbox.drain({ deadlineMs: DEADLINE_MS });
  recorded.stats = client.outbox.stats();
  await client.close();
  return recorded;
}

function responseOf({ status, json, text, drop }) {
  if (drop) return new TypeError("the connection broke");
  return [status, text ?? json ?? ""];
}

/** The first difference from the original. Errors may come earlier: the original checks some things only at flush. */
function difference({ expected }, recorded) {
  const isRaised = expected.steps.map(
    ({ raises }, at) =>
      raises !== undefined && recorded.steps.slice(0, at + 1).some(({ error }) => isFerryError(error)),
  );
  for (const [at, step] of expected.steps.entries()) {
    const found = recorded.steps[at];
    if (step.raises?.startsWith("tenacity.")) {
      if (!recorded.reports.some(({ pending }) => pending.length > 0)) return `${step.op} was not left pending`;
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
        !recorded.steps.some(
          ({ error }) => error?.attribute?.endsWith(step.path.at(-1)) || error?.message.includes(step.path.join("/")),
        )
      )
        return `nothing names ${step.path.join(".")}`;
    } else if (found?.error) {
      if (!expected.steps.slice(at + 1).some(({ raises }) => raises)) return `${step.op} threw ${found.error.message}`;
    } else if (step.op === "queue") {
      if (found.returns !== step.returns.length) return `${found.returns} are queued`;
    } else if (
      JSON.stringify(withSortedKeys(found?.returns ?? null)) !== JSON.stringify(withSortedKeys(step.returns ?? null)) &&
      step.op !== "queue_len"
    ) {
      return `${step.op} gave ${JSON.stringify(found?.returns)}`;
    }
  }
  const expectedRequests = expected.requests;
  const exhausted = expected.steps.some(({ raises }) => raises?.startsWith("tenacity."));
  if (!exhausted && expectedRequests.length !== recorded.requests.length)
    return `${recorded.requests.length} requests, not ${expectedRequests.length}`;
  for (const [at, { path, body_json, headers }] of expectedRequests.entries()) {
    const found = recorded.requests[at];
    if (!found) return exhausted ? undefined : `there is no request ${at}`;
    if (found.path !== path) return `request ${at} went to ${found.path}`;
    if (headers?.["x-britecore-job-id"] && found.job !== headers["x-britecore-job-id"])
      return `request ${at} has the job ${found.job}`;
    if (!found.job) return `request ${at} has no job`;
    const body =
      body_json?.$array_length === undefined
        ? found.body
        : { $array_length: found.body.length, $first: found.body[0], $last: found.body.at(-1) };
    // The order of the members must be the same too.
    if (JSON.stringify(body) !== JSON.stringify(body_json)) return `request ${at} has the body ${JSON.stringify(body)}`;
  }
  return undefined;
}

const withSortedKeys = (value) =>
  typeof value === "object" && value !== null
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, withSortedKeys(value[key])]),
      )
    : value;

const throwsMatching = (pattern) => (recorded) =>
  assert.ok(
    recorded.steps.some(({ error }) => isFerryError(error) && pattern.test(error.message)),
    JSON.stringify(recorded.steps.map(({ op, error }) => [op, error?.message])),
  );
const deliversAll = (requests) => (recorded) => {
  assert.ok(
    recorded.reports.length > 0 && recorded.reports.every(({ pending, dead }) => pending.length + dead.length === 0),
    JSON.stringify(recorded.reports),
  );
  assert.equal(recorded.requests.length, requests);
};
const becomesDeadLetter =
  (code, status, requests = 1) =>
  (recorded) => {
    assert.deepEqual(
      recorded.reports.at(-1).dead.map(({ code, status }) => [code, status]),
      [[code, status]],
    );
    assert.equal(recorded.requests.length, requests);
  };
const staysPending = (recorded) => {
  assert.equal(recorded.reports.at(-1).pending.length, 1);
  assert.deepEqual(recorded.reports.at(-1).delivered, []);
};

/** The expectations of cases in which the original is wrong. */
const FIXED = {
  "bc-topics-no-Topics-key": throwsMatching(/Topics/),
  "bc-topics-null": throwsMatching(/Topics must be a list of topics; received null/),
  "bc-topics-missing-Entity": throwsMatching(/Topics\[0\] needs the member Entity/),
  "bc-topics-missing-Action": throwsMatching(/Topics\[0\] needs the member Action/),
  "bc-topics-missing-Schema": throwsMatching(/Topics\[0\] needs the member Schema/),
  "bc-topics-no-default-category": throwsMatching(/Topics\[0\] needs the member Category/),
  "bc-topics-yaml11-bool": ({ steps }) => assert.deepEqual(Object.keys(steps[0].returns), ["testing.TestOn"]),
  "bc-topics-yaml-number-category": throwsMatching(/DefaultCategory must be a non-empty string; received 5/),
  "bc-get-topic": ({ steps }) =>
    assert.deepEqual(
      [steps[0].returns, ...steps.slice(1).map(({ error }) => error.message.split(";")[0])],
      ["testing.TestCreated", "Topic not found: testing.TestCreated", "Topic not found: nope.NotRealFailed"],
    ),
  "bc-publish-no-action": throwsMatching(/action must be a non-empty string/),
  "bc-publish-no-data": throwsMatching(/data breaks the rule type/),
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
  "bc-validate-action-trailing-newline": throwsMatching(/action breaks the rule pattern/),
  "bc-validate-draft6-exclusiveMinimum-number-rejected": throwsMatching(/exclusiveMinimum/),
  "bc-validate-schema-null": throwsMatching(/Topics\[0\]\.Schema must be a JSON Schema, an object; received null/),
  // In JavaScript 1.0 and 1 are the same number. true is not an integer.
  "bc-validate-integer-float": throwsMatching(/data\.n breaks the rule type .*: it must be integer, not boolean/),
  "bc-flush-5-single-posts": (recorded) => {
    deliversAll(5)(recorded);
    assert.equal(recorded.steps.at(-1).returns, 0);
  },
  "bc-flush-twice-resends": deliversAll(1),
  "bc-flush-rollback-flush": deliversAll(1),
  "bc-flush-threshold-crossed-by-leftovers": (recorded) => {
    deliversAll(6)(recorded);
    assert.ok(recorded.requests.every(({ path }) => path === "/events"));
  },
  "bc-job-id-none": (recorded) => {
    deliversAll(1)(recorded);
    assert.match(recorded.requests[0].job, /^[0-9a-f-]{36}$/);
  },
  "bc-job-id-non-latin": throwsMatching(/jobId must be a string of printable ASCII characters/),
  "bc-body-unicode": deliversAll(1),
  "bc-body-nan": throwsMatching(/data\.n must be a finite number/),
  "bc-no-retry-400-other": becomesDeadLetter("ERR_REJECTED", 400),
  "bc-400-without-errorType": becomesDeadLetter("ERR_REJECTED", 400),
  "bc-status-401-json-silent": (recorded) =>
    assert.ok(recorded.requests.length >= 2, "the request was retried and succeeded"),
  "bc-status-409-json-silent": becomesDeadLetter("ERR_REJECTED", 409),
  "bc-status-422-json-silent": becomesDeadLetter("ERR_REJECTED", 422),
  "bc-status-502-json-silent": deliversAll(2),
  "bc-status-503-json-silent": deliversAll(2),
  "bc-status-201-empty-body": deliversAll(1),
  "bc-status-204": deliversAll(1),
  "bc-retry-connection-drop": deliversAll(2),
  "bc-no-timeout-slow-server": deliversAll(1),
  "bc-retry-exhausted-500": staysPending,
  // The original gives up after 2 s; the outbox goes on.
  "bc-slow-then-retryable": deliversAll(2),
  "bc-bulk-partial-non-retryable": (recorded) => {
    assert.equal(recorded.requests.length, 1);
    assert.deepEqual(
      recorded.reports[0].dead.map(({ code, reason, text }) => [code, reason, JSON.parse(text).data.n]),
      [["ERR_REJECTED", "the server refused the request (HTTP 201): ValidationException", 5]],
    );
    assert.equal(recorded.reports[0].delivered.length, 5);
  },
  "bc-bulk-records-short": (recorded) => {
    deliversAll(2)(recorded);
    assert.deepEqual(
      recorded.requests[1].body.map(({ data }) => data.n),
      [1, 2, 3, 4, 5],
    );
  },
  "bc-bulk-records-objects": (recorded) => {
    deliversAll(2)(recorded);
    assert.deepEqual(
      recorded.requests[1].body.map(({ data }) => data.n),
      [0],
    );
  },
  // The batch is halved to find the bad event; there was none.
  "bc-bulk-non-retryable-400-continues": (recorded) => {
    assert.equal(recorded.reports[0].delivered.length, 251);
    assert.deepEqual(
      recorded.requests.map(({ body }) => body.length),
      [250, 125, 125, 1],
    );
  },
};
/** Cases that the runner cannot express; each has its own test in `bc-events-*.test.mjs`. */
const TESTED_ELSEWHERE = {
  "bc-magic-resolved-at-attribute-access": "a call keeps the topic that it had when it was read",
  "bc-session-copy-recursion": "a session can be inspected, awaited and written as JSON",
  "bc-flush-sends-mutated-data": "changes to the data after publish are not sent",
  "bc-bulk-second-chunk-exhausted": "delivered events of a flush are not sent again when others fail",
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

/** Throws for keys that the runner does not check. */
function checkKeys(testCase) {
  const { id, input, expected } = testCase;
  // Documentation: the reason for the case, and where it was measured.
  onlyKnown(testCase, ["id", "input", "expected", "advice", "why", "source"], "the case", id);
  onlyKnown(input, ["api", "topics", "service_name", "session", "ops", "server", "server_default"], "input", id);
  onlyOneOf(input.session?.[0], [undefined, "user", "service", "third_party", "raw"], "session", id);
  for (const [op] of input.ops) onlyOneOf(op, OPS, "op", id);
  for (const answer of [input.server ?? [], input.server_default ?? []].flat()) {
    // Documentation: the delay of a response. The original has no time limit; that of this package has other tests.
    onlyKnown(answer, ["status", "json", "text", "drop", "delay"], "server", id);
  }
  // Documentation: the log of Python, and its delays between attempts.
  onlyKnown(expected, ["steps", "requests", "log", "gaps_seconds"], "expected", id);
  for (const step of expected.steps) {
    // Documentation: the duration of the call in Python.
    onlyKnown(step, ["op", "raises", "returns", "message", "path", "seconds"], "steps", id);
  }
  for (const request of expected.requests) {
    onlyKnown(request, ["method", "path", "headers", "body_json", "body_text"], "requests", id);
    // Documentation: all but the first come from Python's HTTP client.
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
  cases.filter(({ id }) => !(id in TESTED_ELSEWHERE)),
  {
    atLeast: 76,
    run: async (testCase) => {
      const { id, advice } = testCase;
      checkKeys(testCase);
      const recorded = await runCase(testCase);
      if (FIXED[id]) return FIXED[id](recorded);
      assert.match(advice, /^(?:mirror|same)/, "the case is in FIXED, or its advice is to mirror");
      assert.equal(difference(testCase, recorded), undefined);
    },
  },
);

for (const [id, name] of Object.entries(TESTED_ELSEWHERE)) {
  test(`${id} is tested as "${name}"`, () => {
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

test("every case of FIXED is in the file", () => {
  for (const id of Object.keys(FIXED))
    assert.ok(
      cases.some((testCase) => testCase.id === id),
      id,
    );
});

test("the emulator accepts every body that the original sent, with a response that the original understands", async () => {
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
      const json = await answer.json();
      const sent = [body_json].flat();
      // The members that `retry_if_we_need_to` of the original reads.
      if (path === "/events") assert.equal(json.failedRecords ?? 0, 0);
      else assert.deepEqual(json, { failedRecords: 0, records: sent.map(() => "Success") });
      assert.equal(json.errorType, undefined);
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
