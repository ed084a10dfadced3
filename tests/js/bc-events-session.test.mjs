// Clients and sessions: options, actors, jobs, publish, flush, rollback and local mode.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { BriteEventsClient, memoryStore } from "eventferry/bc-events";
import { API, clientTo, server, thrown, topics } from "./bc-events-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const data = { id: "1", url: "u" };

test("wrong options are refused with their name", () => {
  for (const [options, pattern] of [
    [undefined, /^the options of BriteEventsClient must be an object such as \{ apiUrl: … \}; received undefined$/],
    [{ serviceName: "MyService" }, /^topics must be an object/],
    [{ topics }, /^serviceName must be a non-empty string; received undefined$/],
    [{ topics, serviceName: "" }, /^serviceName must be a non-empty string; received ""$/],
    [
      { topics, serviceName: "MyService", url: API },
      /^BriteEventsClient has no option "url"; did you mean "apiUrl"\?$/,
    ],
    [
      { topics, serviceName: "MyService", apiUrl: "events.example.com" },
      /^apiUrl must be an absolute URL; did you mean "https:\/\/events.example.com"\?$/,
    ],
    [
      { topics, serviceName: "MyService", apiUrl: "ftp://example.com" },
      /^apiUrl must be an http or https URL; received "ftp:"$/,
    ],
    [
      { topics, serviceName: "MyService", apiUrl: "https://me:s3cret@example.com" },
      /^apiUrl must not contain a user name or password/,
    ],
    [{ topics, serviceName: "MyService", apiUrl: API, timeoutMs: -1 }, /^timeoutMs/],
    [{ topics, serviceName: "MyService", apiUrl: API, fetch: 7 }, /^fetch/],
    [
      { topics, serviceName: "MyService", apiUrl: API, outbox: { stroe: "memory" } },
      /^outbox has no option "stroe"; did you mean "store"\?$/,
    ],
  ]) {
    const error = thrown(() => new BriteEventsClient(options));
    assert.deepEqual(
      [error.code, pattern.test(error.message), error.message.includes("s3cret")],
      ["ERR_INVALID_ARGUMENT", true, false],
      error.message,
    );
  }
});

test("URLs are joined with one slash and keep their query", () => {
  for (const [apiUrl, publish, bulk] of [
    ["https://example.com", "https://example.com/events", "https://example.com/events/bulk/"],
    ["https://example.com/v1/", "https://example.com/v1/events", "https://example.com/v1/events/bulk/"],
    [
      new URL("https://example.com/v1//?key=1#x"),
      "https://example.com/v1/events?key=1",
      "https://example.com/v1/events/bulk/?key=1",
    ],
    ["", null, null],
    [null, null, null],
  ]) {
    const client = new BriteEventsClient({ serviceName: "MyService", topics, apiUrl });
    assert.deepEqual([client.publishUrl, client.publishBulkUrl, client.defaultCategory], [publish, bulk, "testing"]);
  }
});

test("a session has a user, the service or a third party as its actor", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  for (const session of [
    client.userSession("USER_ID", "J"),
    client.serviceSession("J"),
    client.thirdPartySession("J"),
  ]) {
    assert.equal(session.client, client);
    session.createdTest(data);
    await session.flush({ until: "delivered" });
    assert.deepEqual(requests.at(-1).body.actor, { id: session.actorId, type: session.actorType });
  }
  assert.deepEqual(
    requests.map(({ body }) => body.actor),
    [
      { id: "USER_ID", type: "user" },
      { id: "MyService", type: "service" },
      { id: "MyService", type: "third-party" },
    ],
  );
  await client.close();
});

test("publish refuses an actor with less than five characters", () => {
  for (const [session, id] of [
    [clientTo().userSession("ABCD"), "ABCD"],
    [clientTo(server(201), { serviceName: "Auth" }).serviceSession(), "Auth"],
  ]) {
    const error = thrown(() => session.createdTest(data));
    assert.deepEqual(
      [error.code, error.attribute, session.actorId, session.staged],
      ["ERR_INVALID_DATA", "actor.id", id, 0],
    );
    assert.match(error.message, /actor\.id breaks the rule minLength: it must have at least 5 characters/);
  }
  assert.match(thrown(() => clientTo().userSession(4711)).message, /^userId must be a string; received 4711$/);
});

test("a job id must be usable in a header, and is a fresh UUID by default", async () => {
  const client = clientTo();
  for (const bad of [7, "jób", "a\nb", " a", "a ", "", "€", {}]) {
    const error = thrown(() => client.userSession("USER_ID", bad));
    assert.equal(error.code, "ERR_INVALID_ARGUMENT");
    assert.match(error.message, /^jobId must be a string of printable ASCII characters/);
  }
  for (const none of [undefined, null]) {
    const session = client.userSession("USER_ID", none);
    assert.match(session.jobId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(session.jobId, session.jobId);
  }
  assert.equal(client.userSession("USER_ID", 'a "b" \\ c').jobId, 'a "b" \\ c');
  await client.close();
});

test("publish names the wrong argument", () => {
  const session = clientTo().userSession("USER_ID");
  for (const [given, pattern] of [
    [["Created", "Test"], /^publish takes one object: \{ action, entity, data/],
    [[], /^publish takes one object/],
    [[null], /^publish takes one object/],
    [[[]], /^publish takes one object/],
    [
      [{ action: "Created", entity: "Test", data, foo: 1 }],
      /^publish has no option "foo"; the options are action, entity, data, category$/,
    ],
    [[{ entity: "Test", data }], /^action must be a non-empty string such as Created; received undefined$/],
    [[{ action: "Created", data }], /^entity must be a non-empty string/],
    [[{ action: "Created", entity: "Test", category: 5, data }], /^category must be a string; received 5$/],
    [[{ action: "Created", entity: "Test" }], /data breaks the rule type: it must be an object$/],
    [[{ action: "Created", entity: "Test", data: "x" }], /data breaks the rule type/],
    [[{ action: "Created", entity: "Test", data: () => 1 }], /data breaks the rule type/],
  ]) {
    assert.match(thrown(() => session.publish(...given)).message, pattern);
  }
  assert.equal(session.staged, 0);
});

test("data is sent as JSON serializes it, and values that JSON cannot express are refused", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID");
  const loop = { a: {} };
  loop.a.b = loop;
  for (const [bad, pattern] of [
    [{ a: [1, { b: NaN }] }, /: data\.a\[1\]\.b must be a finite number/],
    [{ a: -Infinity, n: null }, /: data\.a must be a finite number/],
    [{ a: { b: 10n } }, /: data\.a\.b must not be a BigInt/],
    [loop, /: data cannot be serialized as JSON: Converting circular structure/],
    [
      {
        toJSON: () => {
          throw new Error("no");
        },
      },
      /: data cannot be serialized as JSON: no/,
    ],
    [{ a: undefined }, /data breaks the rule minProperties/],
  ]) {
    const error = thrown(() => session.createdMyEntity(bad));
    assert.match(error.message, pattern);
    assert.match(error.message, /^testing\.MyEntityCreated: /);
  }
  session.createdMyEntity({
    at: new Date(0),
    none: undefined,
    nothing: null,
    text: 'ç€😀"\n\ud800',
    data: 0,
    "$&": "$`",
  });
  await session.flush({ until: "delivered" });
  assert.equal(
    requests[0].text,
    '{"action":"Created","category":"testing","entity":"MyEntity","data":{"at":"1970-01-01T00:00:00.000Z","nothing":null,"text":"ç€😀\\"\\n\\ud800","data":0,"$&":"$`"},"actor":{"id":"USER_ID","type":"user"}}',
  );
  await client.close();
});

test("changes to the data after publish are not sent", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID");
  const data = { v: 1 };
  session.createdMyEntity(data);
  data.v = 2;
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    requests.map(({ body }) => body.data),
    [{ v: 1 }],
  );
  await client.close();
});

test("flush clears the staged events, and rollback drops only unflushed ones", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID");
  const first = session.createdMyEntity({ n: 1 });
  assert.equal(session.staged, 1);
  assert.deepEqual((await session.flush()).accepted, [first.id]);
  const second = session.createdMyEntity({ n: 2 });
  const third = session.createdMyEntity({ n: 3 });
  const dropped = assert.rejects(second.delivered, { code: "ERR_ROLLED_BACK" });
  assert.deepEqual(session.rollback(), [second.id, third.id]);
  await dropped;
  assert.deepEqual(session.rollback(), []);
  session.createdMyEntity({ n: 4 });
  await session.flush({ until: "delivered" });
  assert.deepEqual((await session.flush()).accepted, []);
  assert.deepEqual(await first.delivered, { status: 201, attempts: 1, ids: [first.id] });
  assert.deepEqual(
    requests.map(({ body }) => body.data.n),
    [1, 4],
  );
  await client.close();
});

test("publishImmediately sends events without flush", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.serviceSession("J", { publishImmediately: true });
  assert.equal(session.publishImmediately, true);
  const receipts = Array.from({ length: 7 }, (_, n) => session.createdMyEntity({ n: n + 1 }));
  assert.equal(session.staged, 0);
  assert.deepEqual(session.rollback(), []);
  await Promise.all(receipts.map(({ delivered }) => delivered));
  assert.deepEqual(
    requests.map(({ path, body }) => [path, body.data.n]),
    [1, 2, 3, 4, 5, 6, 7].map((n) => ["/events", n]),
  );
  assert.equal(thrown(() => session.createdMyEntity({})).code, "ERR_INVALID_DATA");
  for (const bad of [{ publishImmediatly: true }, { publishImmediately: 1 }, true])
    assert.equal(thrown(() => client.serviceSession("J", bad)).code, "ERR_INVALID_ARGUMENT");
  await client.close();
});

test("in local mode events are checked and count as delivered, and neither the server nor the store is used", async () => {
  const store = memoryStore();
  const { requests, fetch } = server(201);
  const usedMembers = [];
  const recordingStore = new Proxy(store, {
    get(target, name) {
      usedMembers.push(name);
      return Reflect.get(target, name);
    },
  });
  for (const apiUrl of [undefined, null, ""]) {
    const client = new BriteEventsClient({
      serviceName: "MyService",
      topics,
      apiUrl,
      fetch,
      outbox: { store: recordingStore },
    });
    const session = client.userSession("USER_ID", "J");
    assert.equal(thrown(() => session.createdTest({ bad: 1 })).code, "ERR_INVALID_DATA");
    const receipts = Array.from({ length: 7 }, () => session.createdTest(data));
    const { accepted, delivered } = await session.flush({ until: "delivered" });
    assert.deepEqual([accepted.length, delivered.length], [7, 7]);
    await receipts[0].accepted;
    assert.deepEqual((await receipts[6].delivered).ids, [receipts[6].id]);
    const now = client.serviceSession("J", { publishImmediately: true }).createdTest(data);
    await now.delivered;
    assert.equal(client.outbox.stats().pending, 0);
    await client.close();
  }
  assert.equal(requests.length, 0);
  assert.equal(usedMembers.includes("write"), false);
});

test("sessions of the outbox itself refuse to publish", async () => {
  const client = clientTo();
  await assert.rejects(
    client.outbox.run((session) => session.publish({ action: "Created", entity: "Test", data })),
    { code: "ERR_INVALID_ARGUMENT", message: /^publish events with a session of the client/ },
  );
  await client.close();
});

test("a closed client refuses sessions and events", async () => {
  const client = clientTo();
  const session = client.userSession("USER_ID");
  await client.close();
  await client.close();
  assert.equal(thrown(() => session.createdTest(data)).code, "ERR_CLOSED");
  assert.equal(thrown(() => client.userSession("USER_ID")).code, "ERR_CLOSED");
  const unused = new BriteEventsClient({ serviceName: "MyService", topics });
  await unused.close();
  assert.equal(thrown(() => unused.outbox).code, "ERR_CLOSED");
  const aborter = new AbortController();
  const aborted = clientTo(server(201), { signal: aborter.signal });
  aborter.abort();
  assert.equal(thrown(() => aborted.userSession("USER_ID")).code, "ERR_CLOSED");
});

test("disposing a session flushes it", {
  skip: !Symbol.asyncDispose && "this runtime has no Symbol.asyncDispose",
}, async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID");
  session.createdTest(data);
  await session[Symbol.asyncDispose]();
  await client.outbox.drain();
  assert.equal(requests.length, 1);
  await client[Symbol.asyncDispose]();
});

test("tokens do not appear in inspected objects and errors", async () => {
  const { requests, fetch } = server([401, { message: "no" }]);
  const client = clientTo(
    { fetch },
    { apiUrl: `${API}?key=s3cret`, headers: async () => ({ authorization: "Bearer s3cret" }) },
  );
  const reported = [];
  client.outbox.addEventListener("degraded", ({ detail }) => reported.push(detail.error));
  const session = client.userSession("USER_ID", "J");
  session.createdTest(data);
  const { pending } = await session.flush({ until: "delivered", deadlineMs: 50 });
  assert.equal(pending.length, 1);
  assert.equal(requests[0].headers.get("authorization"), "Bearer s3cret");
  assert.equal(reported[0].code, "ERR_UNAUTHORIZED");
  for (const thing of [client, session, ...reported])
    assert.equal(inspect(thing, { depth: 9, showHidden: true }).includes("Bearer s3cret"), false);
  for (const error of reported) assert.equal(inspect(error, { depth: 9 }).includes("s3cret"), false);
  await client.close();
});
