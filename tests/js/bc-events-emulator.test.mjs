// The BriteEvents service of the emulator.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator, isFerryError } from "eventferry/testing";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const API = "http://emulator.test/brite-events";
const event = (n, more = {}) => ({
  action: "Created",
  category: "testing",
  entity: "Test",
  data: { n },
  actor: { id: "USER_ID", type: "user" },
  ...more,
});
const post = (emulator, path, body, headers = {}) =>
  emulator.fetch(API + path, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": "application/json", ...headers },
  });

test("a single event is accepted with its job", async () => {
  const emulator = createEmulator();
  const answer = await post(emulator, "/events", event(1), { "x-britecore-job-id": "J" });
  const { eventId, jobId } = await answer.json();
  assert.deepEqual([answer.status, jobId], [201, "J"]);
  const [received, ...more] = emulator.briteEvents.received;
  assert.equal(more.length, 0);
  assert.deepEqual(
    [received.seq, received.event, received.eventId, received.jobId, received.mode],
    [1, event(1), eventId, "J", "single"],
  );
  assert.equal(received.headers["x-britecore-job-id"], "J");
  assert.deepEqual(JSON.parse(new TextDecoder().decode(received.rawBody)), event(1));
});

test("events that the original would not send are refused with a message", async () => {
  const emulator = createEmulator();
  for (const [body, pattern] of [
    ["no JSON", /the body is not JSON/],
    [[event(1)], /the event must be an object/],
    [{ ...event(1), extra: 1 }, /extra is not allowed/],
    [{ ...event(1), action: undefined }, /action is missing/],
    [event(1, { action: "WasCreated" }), /action must be one capitalized word/],
    [event(1, { action: 1 }), /action must be a string/],
    [event(1, { category: "cat1" }), /category must be one lower-case word/],
    [event(1, { entity: "PolicyURL" }), /entity must be capitalized words/],
    [event(1, { data: {} }), /data must have at least one member/],
    [event(1, { data: [1] }), /data must be an object/],
    [event(1, { actor: "me" }), /actor must be an object/],
    [event(1, { actor: { type: "user" } }), /actor\.id is missing/],
    [event(1, { actor: { id: 12345, type: "user" } }), /actor\.id must be a string/],
    [event(1, { actor: { id: "ABCD", type: "user" } }), /actor\.id must have at least 5 characters/],
    [event(1, { actor: { id: "USER_ID", type: "robot" } }), /actor\.type must be one of user, service, third-party/],
  ]) {
    const answer = await post(emulator, "/events", body);
    const { errorType, message } = await answer.json();
    assert.deepEqual([answer.status, errorType], [400, "ValidationException"]);
    assert.match(message, pattern);
  }
  // The original allows further members of an actor.
  assert.equal(
    (await post(emulator, "/events", event(1, { actor: { id: "😀😀😀😀😀", type: "third-party", more: 1 } }))).status,
    201,
  );
  assert.equal(emulator.briteEvents.received.length, 1);
});

test("each event of a batch has its result", async () => {
  const emulator = createEmulator();
  emulator.briteEvents.refuse({ errorType: "InternalFailureException", match: ({ data }) => data.n === 3 });
  const answer = await post(emulator, "/events/bulk/", [event(1), event(2, { data: {} }), event(3), event(4)]);
  assert.deepEqual(
    [answer.status, await answer.json()],
    [201, { failedRecords: 2, records: ["Success", "ValidationException", "InternalFailureException", "Success"] }],
  );
  assert.deepEqual(
    emulator.briteEvents.received.map(({ event, mode, jobId }) => [event.data.n, mode, jobId]),
    [
      [1, "bulk", undefined],
      [4, "bulk", undefined],
    ],
  );
  assert.equal(emulator.briteEvents.received[0].rawBody, emulator.briteEvents.received[1].rawBody);
  for (const bad of [[], Array.from({ length: 251 }, (_, n) => event(n)), event(1), "["])
    assert.equal((await post(emulator, "/events/bulk/", bad)).status, 400);
  assert.equal(
    (
      await post(
        emulator,
        "/events/bulk/",
        Array.from({ length: 250 }, (_, n) => event(n)),
      )
    ).status,
    201,
  );
});

test("refuse() refuses as many events as configured", async () => {
  const emulator = createEmulator();
  emulator.briteEvents.refuse({ errorType: "ProvisionedThroughputExceededException", times: 2 });
  const statuses = [];
  for (let n = 0; n < 3; n++) statuses.push((await post(emulator, "/events", event(n))).status);
  assert.deepEqual(statuses, [400, 400, 201]);
  for (const bad of [{}, { errorType: "" }, { errorType: "X", match: 7 }, { errorType: "X", times: 0 }])
    assert.throws(
      () => emulator.briteEvents.refuse(bad),
      (error) => isFerryError(error, "ERR_INVALID_ARGUMENT"),
    );
});

test("other paths and methods are answered with 404 and 405", async () => {
  const emulator = createEmulator();
  assert.equal((await emulator.fetch(`${API}/event`)).status, 404);
  const answer = await emulator.fetch(`${API}/events/bulk/`);
  assert.deepEqual([answer.status, answer.headers.get("allow")], [405, "POST, OPTIONS"]);
  assert.equal((await emulator.fetch(`${API}/events`, { method: "DELETE" })).status, 405);
  const preflight = await emulator.fetch(`${API}/events`, {
    method: "OPTIONS",
    headers: {
      origin: "https://page.test",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type,x-britecore-job-id",
    },
  });
  assert.deepEqual(
    [preflight.status, preflight.headers.get("access-control-allow-headers")],
    [204, "content-type,x-britecore-job-id"],
  );
});

test("received events can be read and waited for", async () => {
  const emulator = createEmulator();
  const waiting = emulator.briteEvents.waitFor(3);
  await post(emulator, "/events", event(1));
  await post(emulator, "/events/bulk/", [event(2), event(3)], { "x-britecore-job-id": "J" });
  assert.deepEqual(
    (await waiting).map(({ event }) => event.data.n),
    [1, 2, 3],
  );
  const page = await (await emulator.fetch(`${API}/events?after=1`)).json();
  assert.deepEqual(
    page.map(({ seq, event, jobId, mode }) => [seq, event.data.n, jobId, mode]),
    [
      [2, 2, "J", "bulk"],
      [3, 3, "J", "bulk"],
    ],
  );
  await assert.rejects(emulator.briteEvents.waitFor(4, { timeoutMs: 1 }), (error) =>
    isFerryError(error, "ERR_TIMEOUT"),
  );
  emulator.briteEvents.clear();
  assert.deepEqual(emulator.briteEvents.received, []);
  const never = emulator.briteEvents.waitFor(1);
  await Promise.all([assert.rejects(never, (error) => isFerryError(error, "ERR_CLOSED")), emulator.close()]);
});

test("the number of events and bytes that are kept is limited", async () => {
  const few = createEmulator({ briteEvents: { maxEvents: 3 } });
  for (let n = 0; n < 5; n++) await post(few, "/events", event(n));
  assert.deepEqual(
    few.briteEvents.received.map(({ seq, event }) => [seq, event.data.n]),
    [
      [3, 2],
      [4, 3],
      [5, 4],
    ],
  );
  const size = JSON.stringify(event(1)).length;
  const small = createEmulator({ briteEvents: { maxBytes: 2 * size + 1 } });
  for (let n = 0; n < 5; n++) await post(small, "/events", event(n));
  assert.deepEqual(
    small.briteEvents.received.map(({ event }) => event.data.n),
    [3, 4],
  );
  // All events of the last request are kept, whatever its size.
  await post(
    small,
    "/events/bulk/",
    Array.from({ length: 9 }, (_, n) => event(n)),
  );
  assert.equal(small.briteEvents.received.length, 9);
  await post(small, "/events", event(7));
  assert.deepEqual(
    small.briteEvents.received.map(({ event }) => event.data.n),
    [7],
  );
  const bounded = createEmulator({ briteEvents: { maxBodyBytes: 10 } });
  assert.equal((await post(bounded, "/events", event(1))).status, 413);
});
