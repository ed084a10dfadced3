// Clients and sessions: options, actors, jobs, publishing, flushing and rolling back, and local mode.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { EventClient, memoryStore } from "../../dist/entries/bc-events.js";
import { API, clientTo, server, thrown, topics } from "./bc-events-world.mjs";

const data = { id: "1", url: "u" };

test("options are refused by name", () => {
  for (const [options, pattern] of [
    [undefined, /^the options of an EventClient must be an object; received undefined$/],
    [{ serviceName: "MyService" }, /^topics is an object/],
    [{ topics }, /^serviceName is a text, not undefined$/],
    [{ topics, serviceName: "" }, /^serviceName is a text, not ""$/],
    [{ topics, serviceName: "MyService", url: API }, /^an EventClient has no option "url"; the options are .*apiUrl/],
    [{ topics, serviceName: "MyService", apiUrl: "events.example.com" }, /^apiUrl must be an absolute URL$/],
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
    [{ topics, serviceName: "MyService", apiUrl: API, outbox: { stroe: "memory" } }, /^outbox: stroe is not known/],
  ]) {
    const error = thrown(() => new EventClient(options));
    assert.deepEqual(
      [error.code, pattern.test(error.message), error.message.includes("s3cret")],
      ["ERR_INVALID_ARGUMENT", true, false],
      error.message,
    );
  }
});

test("addresses are put together without a slash too many, and keep their query", () => {
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
    const client = new EventClient({ serviceName: "MyService", topics, apiUrl });
    assert.deepEqual([client.publishUrl, client.publishBulkUrl, client.defaultCategory], [publish, bulk, "testing"]);
  }
});

test("the three kinds of actor", async () => {
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

test("an actor with less than five characters is refused when something is published", () => {
  for (const [session, id] of [
    [clientTo().userSession("ABCD"), "ABCD"],
    [clientTo(server(201), { serviceName: "Auth" }).serviceSession(), "Auth"],
  ]) {
    const error = thrown(() => session.createdTest(data));
    assert.deepEqual(
      [error.code, error.attribute, session.actorId, session.staged],
      ["ERR_INVALID_DATA", "actor.id", id, 0],
    );
    assert.match(error.message, /actor\.id breaks the rule minLength: it has to have 5 characters at least/);
  }
  assert.match(thrown(() => clientTo().userSession(4711)).message, /^userId is a text, not 4711$/);
});

test("a job id is text that a header can carry, and a fresh one if there is none", async () => {
  const client = clientTo();
  for (const bad of [7, "jób", "a\nb", " a", "a ", "", "€", {}]) {
    const error = thrown(() => client.userSession("USER_ID", bad));
    assert.equal(error.code, "ERR_INVALID_ARGUMENT");
    assert.match(error.message, /^jobId is a text of ASCII characters/);
  }
  for (const none of [undefined, null]) {
    const session = client.userSession("USER_ID", none);
    assert.match(session.jobId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(session.jobId, session.jobId);
  }
  assert.equal(client.userSession("USER_ID", 'a "b" \\ c').jobId, 'a "b" \\ c');
  await client.close();
});

test("publish says what it wants", () => {
  const session = clientTo().userSession("USER_ID");
  for (const [given, pattern] of [
    [["Created", "Test"], /^publish takes one object with action, entity, data/],
    [[], /^publish takes one object/],
    [[null], /^publish takes one object/],
    [[[]], /^publish takes one object/],
    [
      [{ action: "Created", entity: "Test", data, foo: 1 }],
      /^publish has no option "foo"; the options are action, entity, data, category$/,
    ],
    [[{ entity: "Test", data }], /^publish needs action, a text such as Created, not undefined$/],
    [[{ action: "Created", data }], /^publish needs entity/],
    [[{ action: "Created", entity: "Test", category: 5, data }], /^category is a text, not 5$/],
    [[{ action: "Created", entity: "Test" }], /data breaks the rule type: it has to be an object$/],
    [[{ action: "Created", entity: "Test", data: "x" }], /data breaks the rule type/],
    [[{ action: "Created", entity: "Test", data: () => 1 }], /data breaks the rule type/],
  ]) {
    assert.match(thrown(() => session.publish(...given)).message, pattern);
  }
  assert.equal(session.staged, 0);
});

test("data are what JSON makes of them, and what it cannot express is refused", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID");
  const loop = { a: {} };
  loop.a.b = loop;
  for (const [bad, pattern] of [
    [{ a: [1, { b: NaN }] }, /: data\.a\[1\]\.b is not a finite number/],
    [{ a: -Infinity, n: null }, /: data\.a is not a finite number/],
    [{ a: { b: 10n } }, /: data\.a\.b is a BigInt/],
    [loop, /: data cannot be written as JSON: Converting circular structure/],
    [
      {
        toJSON: () => {
          throw new Error("no");
        },
      },
      /: data cannot be written as JSON: no/,
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

test("what is changed after publish is not sent", async () => {
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

test("a flush clears what it flushed, and rollback drops only what was not", async () => {
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

test("with publishImmediately there is nothing to flush and nothing to roll back", async () => {
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

test("in local mode events are checked and count as delivered, and nothing is sent or taken out of a store", async () => {
  const store = memoryStore();
  const { requests, fetch } = server(201);
  const touched = [];
  const spied = new Proxy(store, { get: (target, name) => (touched.push(name), Reflect.get(target, name)) });
  for (const apiUrl of [undefined, null, ""]) {
    const client = new EventClient({ serviceName: "MyService", topics, apiUrl, fetch, outbox: { store: spied } });
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
  assert.equal(touched.includes("write"), false);
});

test("sessions of the outbox itself publish nothing", async () => {
  const client = clientTo();
  await assert.rejects(
    client.outbox.run((session) => session.publish({ action: "Created", entity: "Test", data })),
    { code: "ERR_INVALID_ARGUMENT", message: /^events are published with a session of the client/ },
  );
  await client.close();
});

test("a closed client takes nothing more", async () => {
  const client = clientTo();
  const session = client.userSession("USER_ID");
  await client.close();
  await client.close();
  assert.equal(thrown(() => session.createdTest(data)).code, "ERR_CLOSED");
  assert.equal(thrown(() => client.userSession("USER_ID")).code, "ERR_CLOSED");
  const unused = new EventClient({ serviceName: "MyService", topics });
  await unused.close();
  assert.equal(thrown(() => unused.outbox).code, "ERR_CLOSED");
  const aborter = new AbortController();
  const aborted = clientTo(server(201), { signal: aborter.signal });
  aborter.abort();
  assert.equal(thrown(() => aborted.userSession("USER_ID")).code, "ERR_CLOSED");
});

test("a session that is disposed of flushes", {
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

test("tokens are nowhere to be seen", async () => {
  const { requests, fetch } = server([401, { message: "no" }]);
  const client = clientTo(
    { fetch },
    { apiUrl: `${API}?key=s3cret`, headers: async () => ({ authorization: "Bearer s3cret" }) },
  );
  const told = [];
  client.outbox.addEventListener("degraded", ({ detail }) => told.push(detail.error));
  const session = client.userSession("USER_ID", "J");
  session.createdTest(data);
  const { pending } = await session.flush({ until: "delivered", deadlineMs: 50 });
  assert.equal(pending.length, 1);
  assert.equal(requests[0].headers.get("authorization"), "Bearer s3cret");
  assert.equal(told[0].code, "ERR_UNAUTHORIZED");
  for (const thing of [client, session, ...told])
    assert.equal(inspect(thing, { depth: 9, showHidden: true }).includes("Bearer s3cret"), false);
  for (const error of told) assert.equal(inspect(error, { depth: 9 }).includes("s3cret"), false);
  await client.close();
});
