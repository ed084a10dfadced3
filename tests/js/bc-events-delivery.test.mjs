// BriteEvents with the outbox: batches, jobs, the meaning of responses, and that no event is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "eventferry/bc-events";
import { createEmulator } from "eventferry/testing";
import { clientTo, server } from "./bc-events-fixtures.mjs";
import { virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const SUCCESS = "Success";
const TEMPORARY = "InternalFailureException";
const numbers = ({ body }) => [body].flat().map(({ data }) => data.n);
const publish = (session, from, to) =>
  Array.from({ length: to - from }, (_, index) => session.createdMyEntity({ n: from + index }));

for (const [count, expected] of [
  [1, [["/events", 1]]],
  [5, Array(5).fill(["/events", 1])],
  [6, [["/events/bulk/", 6]]],
  [250, [["/events/bulk/", 250]]],
  [
    251,
    [
      ["/events/bulk/", 250],
      ["/events/bulk/", 1],
    ],
  ],
  [
    600,
    [
      ["/events/bulk/", 250],
      ["/events/bulk/", 250],
      ["/events/bulk/", 100],
    ],
  ],
]) {
  test(`a flush of ${count} makes ${expected.length} requests in order, each with the job`, async () => {
    const { requests, fetch } = server(201);
    const client = clientTo({ fetch });
    const session = client.userSession("USER_ID", "JOB_ID");
    publish(session, 0, count);
    assert.equal((await session.flush({ until: "delivered" })).delivered.length, count);
    assert.deepEqual(
      requests.map(({ path, body }) => [path, [body].flat().length]),
      expected,
    );
    assert.ok(requests.every(({ body, path }) => Array.isArray(body) === (path !== "/events")));
    assert.deepEqual(
      requests.flatMap(numbers),
      Array.from({ length: count }, (_, n) => n),
    );
    assert.deepEqual(
      [...new Set(requests.map(({ job, headers }) => `${job} ${headers.get("content-type")}`))],
      ["JOB_ID application/json"],
    );
    await client.close();
  });
}

test("a batch of 250 events of four kilobytes is not split", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID", "JOB_ID");
  for (let n = 0; n < 250; n++) session.createdMyEntity({ n, text: "x".repeat(3800) });
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    requests.map(({ body }) => body.length),
    [250],
  );
  await client.close();
});

test("sessions with different jobs share the outbox, but no requests", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const jobs = { "job-a": 7, "job-b": 3, 'job "c", "event":': 251, "job-d": 1 };
  const sessions = Object.entries(jobs).map(([job, count], at) => {
    const session = client.userSession("USER_ID", job);
    publish(session, at * 1000, at * 1000 + count);
    return session;
  });
  client.outbox.pause();
  const flushes = sessions.map((session) => session.flush({ until: "delivered" }));
  client.outbox.resume();
  await Promise.all(flushes);
  const byJob = (job) => requests.filter((request) => request.job === job);
  for (const [at, [job, count]] of Object.entries(jobs).entries()) {
    assert.deepEqual(
      byJob(job).flatMap(numbers),
      Array.from({ length: count }, (_, n) => at * 1000 + n),
      job,
    );
  }
  assert.deepEqual(
    byJob("job-b").map(({ path }) => path),
    ["/events", "/events", "/events"],
  );
  assert.equal(requests.length, 1 + 3 + 2 + 1);
  await client.close();
});

test("two flushes of one session are not combined, and stay in order", async () => {
  const { requests, fetch } = server(503, 201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID", "JOB_ID");
  publish(session, 0, 6);
  await session.flush();
  publish(session, 6, 8);
  await session.flush();
  publish(session, 8, 14);
  await session.flush({ until: "delivered" });
  await client.outbox.drain();
  assert.deepEqual(
    requests.slice(1).map((request) => [request.path, numbers(request)]),
    [
      ["/events/bulk/", [0, 1, 2, 3, 4, 5]],
      ["/events", [6]],
      ["/events", [7]],
      ["/events/bulk/", [8, 9, 10, 11, 12, 13]],
    ],
  );
  await client.close();
});

test("only the events of a batch that failed for now are sent again, in one request", async () => {
  const records = [
    SUCCESS,
    TEMPORARY,
    SUCCESS,
    "ProvisionedThroughputExceededException",
    "ValidationException",
    { errorType: TEMPORARY },
    SUCCESS,
  ];
  const { requests, fetch } = server(
    [201, { failedRecords: 4, records }],
    [201, { failedRecords: 0, records: Array(3).fill(SUCCESS) }],
  );
  const client = clientTo({ fetch });
  const dead = [];
  client.outbox.addEventListener("dead", ({ detail }) => dead.push(detail));
  const session = client.userSession("USER_ID", "JOB_ID");
  const receipts = publish(session, 0, 7);
  const report = await session.flush({ until: "delivered" });
  assert.deepEqual(
    requests.map((request) => [request.path, request.job, numbers(request)]),
    [
      ["/events/bulk/", "JOB_ID", [0, 1, 2, 3, 4, 5, 6]],
      ["/events/bulk/", "JOB_ID", [1, 3, 5]],
    ],
  );
  assert.deepEqual(
    report.delivered,
    receipts.filter((_, at) => at !== 4).map(({ id }) => id),
  );
  assert.deepEqual(
    report.dead.map(({ id, code, status, reason, text, attempts }) => [
      id,
      code,
      status,
      reason,
      JSON.parse(text).data,
      attempts,
    ]),
    [
      [
        receipts[4].id,
        "ERR_REJECTED",
        201,
        "the server refused the request (HTTP 201): ValidationException",
        { n: 4 },
        1,
      ],
    ],
  );
  assert.deepEqual(
    dead.map(({ id, error }) => [id, error.code]),
    [[receipts[4].id, "ERR_REJECTED"]],
  );
  assert.equal((await receipts[3].delivered).attempts, 2);
  await assert.rejects(receipts[4].delivered, { code: "ERR_REJECTED", status: 201 });
  await client.close();
});

test("a response with records also works for a single event", async () => {
  const { requests, fetch } = server([201, { failedRecords: 1, records: [TEMPORARY] }], 201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID", "JOB_ID");
  publish(session, 1, 2);
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    requests.map(({ path, body }) => [path, body.data.n]),
    [
      ["/events", 1],
      ["/events", 1],
    ],
  );
  await client.close();
});

test("delivered events of a flush are not sent again when others fail", async () => {
  let left = 1;
  const { requests, fetch } = server(() =>
    left-- > 0
      ? new Response("{}", { status: 201 })
      : new Response(JSON.stringify({ errorType: TEMPORARY }), { status: 500 }),
  );
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID", "JOB_ID");
  publish(session, 0, 600);
  const { delivered, pending, aborted } = await session.flush({ until: "delivered", deadlineMs: 40 });
  assert.deepEqual([delivered.length, pending.length, aborted, session.staged], [250, 350, true, 0]);
  left = Infinity;
  assert.equal((await client.outbox.drain()).delivered, 600);
  assert.ok(requests.length > 3 && requests.slice(1).every((request) => numbers(request)[0] >= 250));
  await client.close();
});

test("responses that are not a success are retried with their error", async () => {
  for (const [answer, code] of [
    [[401, { message: "no" }], "ERR_UNAUTHORIZED"],
    [[403, { message: "no" }], "ERR_UNAUTHORIZED"],
    [[404, { message: "no" }], "ERR_REJECTED"],
    [[429, { message: "slow" }], "ERR_RATE_LIMITED"],
    [[500, { message: "oops" }], "ERR_UNAVAILABLE"],
    [[502, "<html>Bad gateway</html>"], "ERR_UNAVAILABLE"],
    [[503, ""], "ERR_UNAVAILABLE"],
    [[504, "not JSON"], "ERR_UNAVAILABLE"],
    [[200, "<!doctype html><title>Sign in</title>"], "ERR_UNAVAILABLE"],
    [[201, '{"eventId":'], "ERR_UNAVAILABLE"],
    [[400, { errorType: "ProvisionedThroughputExceededException" }], "ERR_UNAVAILABLE"],
  ]) {
    for (const count of [1, 6]) {
      const { requests, fetch } = server(answer, 201);
      const client = clientTo({ fetch });
      const retries = [];
      client.outbox.addEventListener("retry", ({ detail }) => retries.push(detail.error));
      const session = client.userSession("USER_ID", "JOB_ID");
      publish(session, 0, count);
      const { delivered } = await session.flush({ until: "delivered" });
      assert.equal(delivered.length, count);
      assert.deepEqual(
        requests.map((request) => numbers(request).length),
        [count, count],
        `${answer}`,
      );
      assert.deepEqual(
        retries.map(({ code, status }) => [code, status]),
        [[code, answer[0]]],
      );
      await client.close();
    }
  }
});

test("a rejected event becomes a dead letter with the server's reason, and can be replayed with its job", async () => {
  for (const [answer, code, status] of [
    [[400, { errorType: "ValidationException" }], "ERR_REJECTED", 400],
    [[500, { errorType: "ValidationException" }], "ERR_REJECTED", 500],
    [[400, { message: "bad" }], "ERR_REJECTED", 400],
    [[422, { message: "bad" }], "ERR_REJECTED", 422],
  ]) {
    const { requests, fetch } = server(answer, answer, 201);
    const client = clientTo({ fetch });
    const deadLetters = [];
    for (const job of ["job-a", "job-b"]) {
      const session = client.userSession("USER_ID", job);
      publish(session, 1, 2);
      deadLetters.push(...(await session.flush({ until: "delivered" })).dead);
    }
    assert.deepEqual(
      deadLetters.map(({ code, status }) => [code, status]),
      [
        [code, status],
        [code, status],
      ],
    );
    assert.match(deadLetters[0].reason, new RegExp(`HTTP ${status}.*(ValidationException|bad)`));
    assert.deepEqual(JSON.parse(deadLetters[0].text), {
      action: "Created",
      category: "testing",
      entity: "MyEntity",
      data: { n: 1 },
      actor: { id: "USER_ID", type: "user" },
    });
    assert.deepEqual(
      (await client.outbox.dead.list()).map(({ id }) => id),
      deadLetters.map(({ id }) => id),
    );
    assert.equal(await client.outbox.dead.replay(deadLetters.map(({ id }) => id)), 2);
    await client.outbox.drain();
    assert.deepEqual(
      requests
        .slice(2)
        .map(({ path, job }) => `${path} ${job}`)
        .sort(),
      ["/events job-a", "/events job-b"],
    );
    await client.close();
  }
});

test("one bad event of a batch is isolated, and the others are delivered", async () => {
  const { requests, fetch } = server(({ body }) =>
    [body].flat().some(({ data }) => data.n === 77)
      ? new Response('{"errorType":"X"}', { status: 400 })
      : new Response("{}", { status: 201 }),
  );
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID", "JOB_ID");
  publish(session, 0, 250);
  const { delivered, dead } = await session.flush({ until: "delivered" });
  assert.deepEqual([delivered.length, dead.map(({ text }) => JSON.parse(text).data.n)], [249, [77]]);
  assert.ok(requests.every(({ path }) => path === "/events/bulk/") && requests.length < 20);
  await client.close();
});

test("events stored by an earlier process are sent in the same batches, with their jobs", async () => {
  const store = memoryStore();
  const persistentStore = {
    ...store,
    kind: "mine",
    close: async () => undefined,
    open: async () => ({ durability: "disk", isShared: false }),
  };
  for (const name of ["write", "peek", "dead", "count"]) persistentStore[name] = (...args) => store[name](...args);
  await store.open("x");
  const down = clientTo(server(new TypeError("no network")), { outbox: { store: persistentStore } });
  for (const [job, count] of [
    ["job-a", 6],
    ["job-b", 2],
  ]) {
    const session = down.userSession("USER_ID", job);
    publish(session, 0, count);
    await session.flush();
  }
  await down.close();
  const { requests, fetch } = server(201);
  const up = clientTo({ fetch }, { outbox: { store: persistentStore } });
  await up.outbox.drain();
  assert.deepEqual(requests.map(({ path, job, body }) => `${job} ${path} ${[body].flat().length}`).sort(), [
    "job-a /events/bulk/ 6",
    "job-b /events 1",
    "job-b /events 1",
  ]);
  assert.equal(up.outbox.stats().pending, 0);
  await up.close();
});

test("a corrupt stored event becomes a dead letter and does not block others", async () => {
  const store = memoryStore();
  const body = new TextEncoder().encode('{"bulk":0,"id":"1","job":"j');
  const emulator = createEmulator();
  const client = clientTo({ fetch: emulator.fetch }, { apiUrl: "http://emulator/brite-events", outbox: { store } });
  client.outbox.pause();
  const session = client.userSession("USER_ID", "JOB_ID");
  publish(session, 0, 1);
  await session.flush();
  const [{ key }] = await store.peek({ events: 1, bytes: 1, skip: new Set() });
  await store.write({
    put: [
      {
        key: `${key.split(".")[0]}.000000000-000000-a`,
        at: virtualClock().unixNow(),
        body,
        sizes: Uint32Array.of(body.length),
      },
    ],
    remove: [],
    deadPut: [],
    deadRemove: [],
  });
  await client.outbox.close();
  const next = clientTo({ fetch: emulator.fetch }, { apiUrl: "http://emulator/brite-events", outbox: { store } });
  const { delivered, dead, pending } = await next.outbox.drain();
  assert.deepEqual([delivered, dead, pending], [1, 1, 0]);
  await next.close();
  await client.close();
});

test("no event is lost when the emulator fails at random", async () => {
  const emulator = createEmulator();
  emulator.faults.add({ match: "/brite-events", probability: 0.2, seed: 7, status: 503 });
  emulator.faults.add({ match: "/brite-events", probability: 0.2, seed: 8, after: "store", reset: true });
  emulator.briteEvents.refuse({ errorType: TEMPORARY, match: ({ data }) => data.n % 7 === 0, times: 60 });
  const client = clientTo({ fetch: emulator.fetch }, { apiUrl: "http://emulator/brite-events" });
  let next = 0;
  const sent = new Map();
  for (const [job, count] of [
    ["a", 3],
    ["b", 20],
    ["a", 260],
    ["c", 1],
    ["b", 5],
    ["c", 6],
  ]) {
    const session = client.userSession("USER_ID", job);
    for (let at = 0; at < count; at++, next++) {
      session.createdMyEntity({ n: next });
      sent.set(next, job);
    }
    await session.flush();
  }
  await client.outbox.drain();
  const arrived = new Map(emulator.briteEvents.received.map(({ event, jobId }) => [event.data.n, jobId]));
  assert.deepEqual(
    [...arrived].sort(([a], [b]) => a - b),
    [...sent],
  );
  assert.deepEqual(client.outbox.stats().dead, 0);
  await client.close();
  await emulator.close();
});
