// Magic calls: the topic of each name, names without a topic, and names that runtimes look up.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import { BriteEventsSession } from "eventferry/bc-events";
import { clientTo, server, thrown } from "./bc-events-fixtures.mjs";
import { problemsOf } from "./typescript.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const Schema = { type: "object" };

/** The topics to which these calls publish. */
async function called(names, more = {}) {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch }, more);
  const session = client.userSession("USER_ID", "JOB_ID");
  for (const name of names) session[name]({ id: "1", url: "u", name: "n" });
  await session.flush({ until: "delivered" });
  await client.close();
  return requests.flatMap(({ body }) => body).map(({ entity, action }) => `${entity}.${action}`);
}

test("both orders work in snake_case and camelCase, whatever the case of the words", async () => {
  const twoWords = [
    "created_test",
    "test_created",
    "createdTest",
    "testCreated",
    "CREATED_TEST",
    "cReAtEd_tEsT",
    "CreatedTest",
  ];
  assert.deepEqual(
    await called(twoWords),
    twoWords.map(() => "Test.Created"),
  );
  const fourWords = [
    "updated_policy_holder_address",
    "policy_holder_address_updated",
    "updatedPolicyHolderAddress",
    "policyHolderAddressUpdated",
    "updated_policyHolderAddress",
    "PolicyHolderAddress_updated",
  ];
  assert.deepEqual(
    await called(fourWords),
    fourWords.map(() => "PolicyHolderAddress.Updated"),
  );
});

test("a call of an unknown name throws with the nearest names in the same spelling", () => {
  const session = clientTo().userSession("USER_ID");
  for (const [name, nearest] of [
    ["creatdTest", "createdTest, deletedTest, createdMyEntity"],
    ["creatd_test", "created_test, deleted_test, created_my_entity"],
    ["tested_create", "test_created, test_deleted, created_test"],
    ["created__test", "created_test, deleted_test, created_my_entity"],
    ["test_created_", "test_created, test_deleted, my_entity_created"],
    ["createdNothing", "createdTest, createdMyEntity, deletedTest"],
  ]) {
    const error = thrown(() => session[name]({ a: 1 }));
    assert.deepEqual(
      [error.code, error.message],
      ["ERR_INVALID_ARGUMENT", `Could not resolve convenience wrapper for: ${name}; the nearest are ${nearest}`],
    );
    assert.equal(name in session, false);
  }
  assert.equal(session.staged, 0);
});

test("topics of other categories have no magic calls", () => {
  const session = clientTo(server(201), {
    topics: { DefaultCategory: "testing", Topics: [{ Action: "Created", Entity: "Test", Category: "claims", Schema }] },
  }).userSession("USER_ID");
  assert.equal("createdTest" in session, false);
  assert.match(thrown(() => session.createdTest({ a: 1 })).message, /there are no topics/);
});

test("an ambiguous name is refused, but in snake_case it means what it means in the original", async () => {
  const two = {
    DefaultCategory: "testing",
    Topics: [
      { Entity: "Created", Action: "Updated", Schema },
      { Entity: "Updated", Action: "Created", Schema },
    ],
  };
  assert.deepEqual(await called(["created_updated", "updated_created"], { topics: two }), [
    "Created.Updated",
    "Updated.Created",
  ]);
  const session = clientTo(server(201), { topics: two }).userSession("USER_ID");
  const error = thrown(() => session.createdUpdated({ a: 1 }));
  assert.equal(error.code, "ERR_INVALID_ARGUMENT");
  assert.match(
    error.message,
    /^createdUpdated may mean testing\.CreatedUpdated or testing\.UpdatedCreated; use publish/,
  );
  assert.equal("createdUpdated" in session, false);
  assert.deepEqual(
    await called(["created_created", "createdCreated"], {
      topics: { DefaultCategory: "a", Topics: [{ Entity: "Created", Action: "Created", Schema }] },
    }),
    ["Created.Created", "Created.Created"],
  );
});

test("methods take precedence over topics, which stay reachable in the other order", async () => {
  const hidden = {
    DefaultCategory: "testing",
    Topics: [
      { Entity: "Id", Action: "Job", Schema },
      { Entity: "Bulk", Action: "Publish", Schema },
    ],
  };
  const session = clientTo(server(201), { topics: hidden }).userSession("USER_ID", "JOB");
  assert.equal(session.jobId, "JOB");
  assert.deepEqual(session.publishBulk([]), []);
  assert.deepEqual(await called(["idJob", "id_job", "job_id", "bulk_publish"], { topics: hidden }), [
    "Id.Job",
    "Id.Job",
    "Id.Job",
    "Bulk.Publish",
  ]);
});

test("a magic call takes exactly one argument", () => {
  const session = clientTo().userSession("USER_ID");
  for (const given of [[], [{ a: 1 }, { b: 2 }]])
    assert.match(
      thrown(() => session.createdMyEntity(...given)).message,
      new RegExp(`createdMyEntity takes one argument, the data of the event; received ${given.length} arguments`),
    );
});

test("a call keeps the topic that it had when it was read", async () => {
  const { requests, fetch } = server(201);
  const client = clientTo({ fetch });
  const session = client.userSession("USER_ID");
  const call = session.createdTest;
  // Detached from its session.
  call({ id: "1", url: "u" });
  assert.equal(session.staged, 1);
  await session.flush({ until: "delivered" });
  assert.equal(requests[0].body.entity, "Test");
  await client.close();
});

test("a session can be inspected, awaited and written as JSON", async () => {
  const session = clientTo().userSession("USER_ID", "s3cret-job");
  assert.equal(await session, session);
  assert.equal(JSON.stringify(session), "{}");
  assert.equal(inspect(session), "BriteEventsSession {}");
  assert.equal(inspect(session, { showProxy: true, showHidden: true, depth: 0 }).includes("s3cret"), false);
  assert.ok(session instanceof BriteEventsSession);
  assert.equal(Object.prototype.toString.call(session), "[object Object]");
  assert.equal(String(session), "[object Object]");
  assert.equal(session.constructor, BriteEventsSession);
  for (const name of [
    "then",
    "toJSON",
    "inspect",
    "catch",
    "finally",
    "asymmetricMatch",
    "nodeType",
    "$$typeof",
    "_isVue",
    "__v_skip",
    "__esModule",
    "@@iterator",
    "length",
    "0",
    "",
  ])
    assert.equal(session[name], undefined, name);
  for (const symbol of [
    Symbol.iterator,
    Symbol.toPrimitive,
    Symbol.toStringTag,
    Symbol.for("nodejs.util.inspect.custom"),
    Symbol("mine"),
  ]) {
    assert.equal(session[symbol], undefined);
    assert.equal(symbol in session, false);
  }
  isDeepStrictEqual(session, clientTo().userSession("USER_ID"));
  assert.deepEqual(Object.keys(session), []);
  assert.deepEqual({ ...session }, {});
});

test("the in operator tells which calls exist", () => {
  const session = clientTo().userSession("USER_ID");
  assert.deepEqual(
    ["created_test", "createdTest", "flush", "createdNothing", "__len__", "then"].map((name) => name in session),
    [true, true, true, false, false, false],
  );
});

test("sessions of two clients have the calls of their own topics", () => {
  const other = clientTo(server(201), {
    topics: { DefaultCategory: "a", Topics: [{ Action: "Closed", Entity: "Door", Schema }] },
  }).userSession("USER_ID");
  const session = clientTo().userSession("USER_ID");
  assert.deepEqual(
    ["closedDoor" in other, "createdTest" in other, "closedDoor" in session, "createdTest" in session],
    [true, false, false, true],
  );
});

test("adversarial names are refused quickly", () => {
  const session = clientTo().userSession("USER_ID");
  for (const name of ["a".repeat(50_000), "a_".repeat(25_000), "aB".repeat(25_000), `${"a_".repeat(25_000)}!`])
    assert.equal(name in session, false);
});

test("calls and data are typed if the topics are a constant", () => {
  const code = `
import { BriteEventsClient, type DataOf } from "eventferry/bc-events";
const topics = {
  DefaultCategory: "shop",
  Topics: [
    {
      Action: "Created",
      Entity: "PolicyHolder",
      Schema: {
        type: "object",
        required: ["id"],
        properties: {
          id: { type: "string" },
          age: { type: "integer" },
          tags: { type: "array", items: { enum: ["a", "b"] } },
        },
      },
    },
    { Action: "Deleted", Entity: "Cart", Category: "claims", Schema: { type: "object" } },
    { Action: "Closed", Entity: "Cart", Category: "shop", Schema: { type: "object" } },
  ],
} as const;
const session = new BriteEventsClient({ serviceName: "orders", topics }).userSession("user-1");
session.createdPolicyHolder({ id: "1", age: 2, tags: ["a"] });
session.policyHolderCreated({ id: "1" });
session.created_policy_holder({ id: "1" });
session.policy_holder_created({ id: "1" }).delivered.then(({ status }) => status.toFixed());
session.closedCart({ any: 1 });
session.publish({ action: "Deleted", entity: "Cart", category: "claims", data: { x: 1 } });
session.flush({ until: "delivered" });
type Data = DataOf<{
  readonly type: "object";
  readonly properties: {
    readonly n: { readonly type: readonly ["number", "null"] };
    readonly e: { readonly anyOf: readonly [{ readonly type: "string" }, { readonly const: 7 }] };
  };
}>;
const data: Data = { n: null, e: 7 };
// Without "as const", but written in place.
new BriteEventsClient({
  serviceName: "orders",
  topics: { DefaultCategory: "a", Topics: [{ Action: "Created", Entity: "Test", Schema: { type: "object" } }] },
})
  .serviceSession()
  .createdTest({ a: 1 });
// Nothing is known about a variable.
declare const anything: { DefaultCategory: string; Topics: { Action: string; Entity: string; Schema: object }[] };
new BriteEventsClient({ serviceName: "orders", topics: anything }).userSession("user-1").createdWhatever({ a: 1 });
const loose = new BriteEventsClient({ serviceName: "orders", topics: "Topics: []" }).thirdPartySession("job");
loose.created_whatever({ a: 1 });
const count: number = loose.staged;
loose.flush().then(({ delivered }) => delivered.length + count + (data.n ?? 0));
// @ts-expect-error no such topic
session.createdNothing({ a: 1 });
// @ts-expect-error another category
session.deletedCart({ a: 1 });
// @ts-expect-error data without an id
session.createdPolicyHolder({ age: 2 });
// @ts-expect-error data of another kind
session.createdPolicyHolder({ id: 1 });
// @ts-expect-error a tag that is not among them
session.createdPolicyHolder({ id: "1", tags: ["c"] });
// @ts-expect-error not among the topics
session.publish({ action: "Opened", entity: "Cart", data: { x: 1 } });
// @ts-expect-error no data
session.publish({ action: "Closed", entity: "Cart" });
// @ts-expect-error not a category
new BriteEventsClient({ serviceName: "orders", topics: { Topics: [], DefaultCategory: 5 } });
`;
  assert.deepEqual(problemsOf([code]), []);
});
