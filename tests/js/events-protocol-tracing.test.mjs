// Access logs, traces and matchers of the events protocol.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventBuilder, EventClient, EventException, EventProcessor, EventRegistry } from "eventferry/events-protocol";
import { assertEvent, eventMatchers } from "eventferry/testing";

const registry = new EventRegistry();
registry.register({ name: "get:user", handle: () => ({ name: "Åsa" }) });
registry.register({
  name: "go:on",
  handle: (event) => EventBuilder.redirectFor(event, { url: "https://example.com" }),
});
registry.register({
  name: "get:nobody",
  handle: () => {
    throw new EventException({}, { code: "NO_SUCH_USER", type: "notFound" });
  },
});
registry.register({
  name: "break:down",
  handle: () => {
    throw new Error("broken");
  },
});
registry.register({ name: "be:slow", handle: () => new Promise(() => undefined) });
const request = (name) => ({
  name,
  version: 2,
  id: "e1",
  flowId: "f1",
  identity: { user: { id: 7, type: "admin" } },
  auth: { token: "s3cret" },
  metadata: { origin: "web" },
  payload: {},
});
for (const name of ["get:user", "go:on", "get:nobody", "break:down", "be:slow"])
  registry.register({ ...registry.get(name), version: 2 });

test("a server tells its trace of every request, with its outcome and never with auth", async () => {
  const lines = [];
  const trace = (event) => (result) => lines.push({ ...event, ...result });
  const processor = new EventProcessor(registry, { trace, handlerTimeoutMs: 5, onError: () => undefined });
  for (const name of ["get:user", "go:on", "get:nobody", "break:down", "be:slow", "get:nothing"])
    await processor.process(request(name));
  await processor.process("no event");
  assert.deepEqual(
    lines.map(({ operation, outcome, code }) => [operation, outcome, code]),
    [
      ["get:user:V2", "success", undefined],
      ["go:on:V2", "redirect", undefined],
      ["get:nobody:V2", "notFound", "NO_SUCH_USER"],
      ["break:down:V2", "error", "UNHANDLED_ERROR"],
      ["be:slow:V2", "error", "EVENT_TIMEOUT"],
      ["get:nothing:V2", "eventNotFound", "NO_EVENT_HANDLER_FOUND"],
      ["", "badProtocol", "INVALID_COMMUNICATION_PROTOCOL"],
    ],
  );
  const [{ role, id, flowId, userId, userType, origin, durationMs }] = lines;
  assert.deepEqual([role, id, flowId, userId, userType, origin], ["server", "e1", "f1", "7", "admin", "web"]);
  assert.ok(durationMs >= 0);
  assert.ok(!JSON.stringify(lines).includes("s3cret"));
});

test("a client tells its trace of every event, also of one without a response", async () => {
  const processor = new EventProcessor(registry);
  const lines = [];
  const trace = (event) => ({
    end: (result) => lines.push([event.role, event.operation, result.outcome, result.code, result.status]),
  });
  const client = new EventClient({
    url: "https://example.com/events",
    fetch: (...args) => processor.fetch(new Request(...args)),
    trace,
  });
  await client.sendEvent(request("get:user"));
  await client.sendEvent(request("get:nobody"));
  const broken = new EventClient({
    url: "https://example.com/events",
    fetch: async () => new Response("gone", { status: 410 }),
    retry: { attempts: 1 },
    trace,
  });
  await assert.rejects(broken.sendEvent(request("get:user")), { code: "ERR_GONE" });
  assert.deepEqual(lines, [
    ["client", "get:user:V2", "success", undefined, 200],
    ["client", "get:nobody:V2", "notFound", "NO_SUCH_USER", 200],
    ["client", "get:user:V2", "failed", "ERR_GONE", 410],
  ]);
});

test("a trace runs the handler in its context, and one that throws changes nothing", async () => {
  let depth = 0;
  let seen;
  const inside = new EventRegistry().register({ name: "look:around", handle: () => (seen = depth) });
  const run = (work) => {
    depth++;
    try {
      return work();
    } finally {
      depth--;
    }
  };
  await new EventProcessor(inside, { trace: () => ({ run }) }).process({ ...request("look:around"), version: 1 });
  assert.equal(seen, 1);
  const broken = () => {
    throw new Error("broken trace");
  };
  for (const trace of [broken, () => broken, () => ({ run: broken, end: broken }), () => ({ run: () => undefined })]) {
    const answer = JSON.parse(await new EventProcessor(registry, { trace }).process(request("get:user")));
    assert.deepEqual([answer.name, answer.payload], ["get:user:response", { name: "Åsa" }]);
  }
  assert.throws(() => new EventProcessor(registry, { trace: "log" }), { code: "ERR_INVALID_ARGUMENT" });
  assert.throws(() => new EventClient({ url: "https://example.com", trace: 1 }), { code: "ERR_INVALID_ARGUMENT" });
});

test("a trace whose functions are async and reject ends no process", async () => {
  const uncaught = [];
  const onRejection = (error) => uncaught.push(error);
  process.on("unhandledRejection", onRejection);
  const run = async (work) => await work();
  const reject = async () => {
    throw new Error("broken trace");
  };
  const client = new EventClient({
    url: "https://example.com/events",
    fetch: async () => new Response("gone", { status: 410 }),
    retry: { attempts: 1 },
    trace: () => ({ run, end: reject }),
  });
  await assert.rejects(client.sendEvent(request("get:user")), { code: "ERR_GONE" });
  await new EventProcessor(registry, { trace: reject, onError: reject }).process(request("break:down"));
  await new Promise(setImmediate);
  process.off("unhandledRejection", onRejection);
  assert.deepEqual(uncaught, []);
});

test("a processor that is the fetch of a client gives its handlers no options of the request as env", async () => {
  let seen;
  const inside = new EventRegistry().register({ name: "look:around", handle: (_, { env }) => void (seen = [env]) });
  const client = new EventClient({ url: "https://example.com/events", fetch: new EventProcessor(inside).fetch });
  await client.sendEvent({ ...request("look:around"), version: 1 });
  assert.deepEqual(seen, [undefined]);
});

test("answers that cannot be written become answers that can", async () => {
  const errors = [];
  const odd = new EventRegistry();
  const exceptions = [{ toJSON: () => undefined }, { toJSON: () => () => 1 }, { toJSON: () => 7 }];
  for (const [at, parameters] of exceptions.entries())
    odd.register({
      name: `odd:${"abc"[at]}`,
      handle: () => {
        throw new EventException(parameters, { code: "ODD" });
      },
    });
  odd.register({ name: "much:data", handle: () => "x".repeat(140 * 2 ** 20) });
  const traced = [];
  const processor = new EventProcessor(odd, {
    onError: (error) => errors.push(error),
    trace: () => (result) => traced.push([result.outcome, result.code]),
  });
  for (const name of ["odd:a", "odd:b", "odd:c", "much:data"]) {
    const answer = JSON.parse(await processor.process({ ...request(name), version: 1 }));
    assert.deepEqual([answer.name, answer.payload.code], [`${name}:error`, "UNHANDLED_ERROR"]);
  }
  assert.ok(errors.length >= 4);
  assert.deepEqual(traced, Array(4).fill(["error", "UNHANDLED_ERROR"]));
  const response = await processor.fetch(
    new Request("https://example.com", {
      method: "POST",
      body: JSON.stringify({ ...request("much:data"), version: 1 }),
    }),
  );
  assert.equal((await response.json()).name, "much:data:error");
});

test("matchers name the first difference", () => {
  const event = EventBuilder.event({ name: "get:user", payload: { userId: 7 } });
  const success = EventBuilder.responseFor(event, { name: "Åsa", tags: ["a", "b"] });
  const error = EventBuilder.errorFor(event, "notFound", "NO_SUCH_USER", { userId: 7 });
  const redirect = EventBuilder.redirectFor(event, { url: "https://example.com/" });
  assertEvent(success, { kind: "success", answers: event, payload: { tags: ["a", "b"] } });
  assertEvent(event, { name: "get:user", version: 1, payload: { userId: 7 } });
  for (const [received, expected, message] of [
    [error, { kind: "success" }, "expected a success; received notFound, NO_SUCH_USER"],
    [success, { kind: "error" }, "expected an error; received a success"],
    [error, { errorCode: "OTHER" }, 'expected errorCode "OTHER"; received "NO_SUCH_USER" (notFound, NO_SUCH_USER)'],
    [success, { payload: { tags: ["a", "c"] } }, 'expected payload/tags/1 to be "c"; received "b"'],
    [success, { payload: { name: { first: "Åsa" } } }, 'expected payload/name to be {"first":"Åsa"}; received "Åsa"'],
    [
      EventBuilder.responseFor(event, { "a/b": { c: 1 } }),
      { payload: { "a/b": { c: 2 } } },
      "expected payload/a/b/c to be 2; received 1",
    ],
    [{ some: "object" }, {}, 'expected an event of the events protocol; received {"some":"object"}'],
  ])
    assert.throws(() => assertEvent(received, expected), { message });
  assert.throws(
    () => assertEvent(success, { answers: { ...event, id: "other", flowId: event.flowId } }),
    /with id "other"/,
  );
  assert.deepEqual(
    [
      eventMatchers.toBeSuccess(success),
      eventMatchers.toBeEventError(error, "notFound", "NO_SUCH_USER"),
      eventMatchers.toBeRedirect(redirect, "https://example.com/"),
      eventMatchers.toAnswer(error, event),
      eventMatchers.toHavePayload(error, { code: "NO_SUCH_USER" }),
    ].map(({ pass }) => pass),
    [true, true, true, true, true],
  );
  assert.deepEqual(
    [
      eventMatchers.toBeSuccess(undefined),
      eventMatchers.toBeRedirect(success),
      eventMatchers.toBeEventError(error, "error"),
    ].map(({ pass }) => pass),
    [false, false, false],
  );
  assert.equal(eventMatchers.toBeSuccess(success).message(), 'expected the event not to be kind "success", but it is');
});
