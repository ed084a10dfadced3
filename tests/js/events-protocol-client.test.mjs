// The client of the events protocol: requests, responses and errors. `events-protocol-sockets.test.mjs` has the tests over
// sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import * as everything from "eventferry";
import {
  ErrorResponseException,
  EventBuilder,
  EventClient,
  EventProcessor,
  EventRegistry,
  FailedDependencyException,
  FerryError,
  isFerryError,
  RequestEvent,
} from "eventferry/events-protocol";
import { createEmulator } from "eventferry/testing";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const EVENTS_URL = "https://example.com/events?key=s3cret";
const RESPONSE = {
  name: "get:it:response",
  version: 1,
  id: "i",
  flowId: "f",
  payload: { ok: true },
  identity: {},
  auth: {},
  metadata: {},
};
const hasCode = (code) => (error) => isFerryError(error, code);

/** A client whose requests are answered by a function, and the requests that it made. */
function clientOf(respond, options = {}) {
  const requests = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    requests.push({
      url: request.url,
      headers: Object.fromEntries(request.headers),
      body: await request.clone().json(),
    });
    return respond(request, requests.length);
  };
  return { client: new EventClient({ url: EVENTS_URL, fetch, ...options }), requests };
}
const responds = (body, init) => () => new Response(typeof body === "string" ? body : JSON.stringify(body), init);

test("an event is sent with all its members, and its response is returned", async () => {
  const { client, requests } = clientOf(responds(RESPONSE), {
    headers: async () => ({ authorization: "Bearer abc", "x-tenant": "1" }),
  });
  const event = {
    name: "get:it",
    version: 2,
    id: "id-1",
    flowId: "flow-1",
    payload: [1, { ç: "€" }],
    identity: { userId: 7 },
    auth: { token: "t" },
    metadata: { origin: "web" },
  };
  const response = await client.sendEvent({ ...event, headers: { "x-tenant": "2" } });
  assert.deepEqual(requests[0].body, event);
  assert.deepEqual(
    [requests[0].headers["content-type"], requests[0].headers.authorization, requests[0].headers["x-tenant"]],
    ["application/json", "Bearer abc", "2"],
  );
  assert.deepEqual(
    [
      response.isSuccess,
      response.isRedirect,
      response.isError,
      response.kind,
      response.errorType,
      response.payload,
      response.status,
    ],
    [true, false, false, "success", undefined, { ok: true }, 200],
  );
});

test("ids are fresh for each event, and those of the parent if one is given", async () => {
  const { client, requests } = clientOf(responds(RESPONSE));
  await client.sendEvent({ name: "get:it" });
  await client.sendEvent({ name: "get:it" });
  const ids = requests.flatMap(({ body }) => [body.id, body.flowId]);
  assert.equal(new Set(ids).size, 4);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const parent = EventBuilder.event({ name: "do:that", id: "p", flowId: "pf" });
  for (const more of [{}, { id: "own" }, { flowId: "own" }])
    await client.sendEvent({ name: "get:it", parent, ...more });
  assert.deepEqual(
    requests.slice(2).map(({ body }) => [body.id, body.flowId]),
    [
      ["p", "pf"],
      ["own", "pf"],
      ["p", "own"],
    ],
  );
});

test("an event of the builder can be sent more than once", async () => {
  const { client, requests } = clientOf(responds(RESPONSE));
  const event = EventBuilder.event({ name: "get:it", auth: { token: "t" } });
  await client.sendEvent(event);
  await client.sendEvent(event, { timeoutMs: 1000 });
  assert.deepEqual(requests[0].body, requests[1].body);
  assert.deepEqual(requests[0].body.auth, { token: "t" });
});

test("no error shows a token, wherever the token was", async () => {
  const token = "s3cret";
  const echo = async (request) => new Response(await request.text(), { status: 500 });
  for (const answer of [
    echo,
    responds("no", { status: 400 }),
    responds({}),
    () => Promise.reject(new Error("reset")),
  ]) {
    const { client } = clientOf(answer, { headers: { authorization: `Bearer ${token}` } });
    const error = await client.sendEvent({ name: "get:it", auth: { token } }).catch((error) => error);
    if (!(error instanceof Error)) continue;
    assert.ok(
      error instanceof FerryError &&
        error instanceof FailedDependencyException &&
        !(error instanceof ErrorResponseException),
    );
    for (const shown of [
      error.message,
      error.stack,
      String(error),
      JSON.stringify(error),
      inspect(error, { depth: 9, showHidden: true }),
    ])
      assert.ok(!shown.includes(token), shown);
  }
  const { client } = clientOf(responds(RESPONSE));
  for (const wrong of [{ auth: [token] }, { auth: token }, { auth: { token, circle: 1n } }, { identity: token }]) {
    const error = await client.sendEvent({ name: "get:it", ...wrong }).catch((error) => error);
    assert.ok(isFerryError(error, "ERR_INVALID_ARGUMENT") && !inspect(error, { depth: 9 }).includes(token));
  }
  assert.ok(!inspect(client, { depth: 9, showHidden: true }).includes(token));
});

test("a response that is not an event rejects with the code of its status and keeps the body", async () => {
  for (const [status, code] of [
    [200, "ERR_INVALID_EVENT"],
    [202, "ERR_INVALID_EVENT"],
    [302, "ERR_REDIRECTED"],
    [400, "ERR_REJECTED"],
    [401, "ERR_UNAUTHORIZED"],
    [404, "ERR_REJECTED"],
    [410, "ERR_GONE"],
    [429, "ERR_RATE_LIMITED"],
    [500, "ERR_UNAVAILABLE"],
    [503, "ERR_UNAVAILABLE"],
  ]) {
    const { client } = clientOf(responds("<h1>no</h1>", { status }));
    const error = await client.sendEvent({ name: "get:it" }).catch((error) => error);
    assert.deepEqual([error.code, error.status], [code, status]);
    if (status !== 302) assert.equal(error.bodyText, "<h1>no</h1>");
  }
  const error = await clientOf(responds({ ...RESPONSE, version: "v1" }))
    .client.sendEvent({ name: "get:it" })
    .catch((error) => error);
  assert.equal(
    error.message,
    "POST https://example.com/events: the text is not an event in the JSON format (HTTP 200): the member version of the response must be an integer",
  );
});

test("the size of a response and of the body kept in an error is limited", async () => {
  const long = "é".repeat(100_000);
  const error = await clientOf(responds(long, { status: 500 }))
    .client.sendEvent({ name: "get:it" })
    .catch((error) => error);
  assert.equal(error.bodyText, "é".repeat(8 * 1024));
  const large = { ...RESPONSE, payload: "x".repeat(2000) };
  const size = JSON.stringify(large).length;
  assert.equal(
    (await clientOf(responds(large), { maxResponseBytes: size }).client.sendEvent({ name: "get:it" })).payload.length,
    2000,
  );
  await assert.rejects(
    clientOf(responds(large), { maxResponseBytes: size - 1 }).client.sendEvent({ name: "get:it" }),
    (error) => isFerryError(error, "ERR_TOO_LARGE") && /raise maxResponseBytes to allow more/.test(error.message),
  );
  const mebibytes = { ...RESPONSE, payload: "x".repeat(3 * 2 ** 20) };
  assert.equal((await clientOf(responds(mebibytes)).client.sendEvent({ name: "get:it" })).payload.length, 3 * 2 ** 20);
});

test("a response without ids gets those of the request, and hasRequestIds is set", async () => {
  for (const [left, found] of [
    ["id", ["mine", "f", true]],
    ["flowId", ["i", "ours", true]],
    ["metadata", ["i", "f", false]],
  ]) {
    const { [left]: _, ...answer } = RESPONSE;
    const response = await clientOf(responds(answer)).client.sendEvent({ name: "get:it", id: "mine", flowId: "ours" });
    assert.deepEqual([response.id, response.flowId, response.hasRequestIds], found);
  }
});

test("every type of error is read from the name, and others are unknown", async () => {
  for (const type of [
    "error",
    "badRequest",
    "badProtocol",
    "notFound",
    "eventNotFound",
    "unauthorized",
    "forbidden",
    "userDenied",
    "resourceDenied",
    "expired",
    "gone",
    "unprocessable",
  ]) {
    for (const name of [`get:it:${type}`, type]) {
      const { errorType, errorCode, errorParameters, isError } = await clientOf(
        responds({ ...RESPONSE, name, payload: { code: "C", parameters: { a: 1 } } }),
      ).client.sendEvent({ name: "get:it" });
      assert.deepEqual([errorType, errorCode, errorParameters, isError], [type, "C", { a: 1 }, true]);
    }
  }
  for (const payload of [null, 7, "x", [], { code: 7, parameters: "x" }]) {
    const response = await clientOf(responds({ ...RESPONSE, name: "get:it:bad_request", payload })).client.sendEvent({
      name: "get:it",
    });
    assert.deepEqual(
      [response.errorType, response.suffix, response.errorCode, response.errorParameters],
      ["unknown", "bad_request", undefined, undefined],
    );
  }
});

test("throwOnError rejects for errors only", async () => {
  const denied = { ...RESPONSE, name: "get:it:userDenied", payload: { code: "NO", parameters: {} } };
  const { client } = clientOf(responds(denied), { throwOnError: true });
  const error = await client.sendEvent({ name: "get:it", auth: { token: "s3cret" } }).catch((error) => error);
  assert.ok(
    error instanceof ErrorResponseException &&
      error instanceof FerryError &&
      !(error instanceof FailedDependencyException),
  );
  assert.deepEqual(
    [error.code, error.message, error.response.errorType, error.name],
    [
      "ERR_REJECTED",
      'the response to "get:it" is "get:it:userDenied", code "NO"',
      "userDenied",
      "ErrorResponseException",
    ],
  );
  assert.equal((await client.sendEvent({ name: "get:it", throwOnError: false })).errorType, "userDenied");
  assert.ok(
    (
      await clientOf(responds({ ...RESPONSE, name: "get:it:redirect" }), { throwOnError: true }).client.sendEvent({
        name: "get:it",
      })
    ).isRedirect,
  );
  assert.ok(!(new FerryError("ERR_REJECTED") instanceof ErrorResponseException));
});

test("a call can time out and can be aborted, and close aborts all calls", async () => {
  const { client } = clientOf(
    (request) =>
      new Promise((_resolve, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason))),
  );
  await assert.rejects(
    client.sendEvent({ name: "get:it", timeoutMs: 1 }),
    (error) => isFerryError(error, "ERR_TIMEOUT") && error.retryable && error.bodyText === undefined,
  );
  const controller = new AbortController();
  const given = client.sendEvent({ name: "get:it", signal: controller.signal });
  controller.abort("enough");
  await assert.rejects(
    given,
    (error) =>
      isFerryError(error, "ERR_ABORTED") && error.cause === "enough" && !(error instanceof FailedDependencyException),
  );
  const last = client.sendEvent({ name: "get:it" });
  client.close();
  await assert.rejects(last, hasCode("ERR_ABORTED"));
  await assert.rejects(client.sendEvent({ name: "get:it" }), hasCode("ERR_CLOSED"));
});

test("a response body that breaks off or stalls rejects, whatever its status", async () => {
  const halfBody = (end) => () =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode(JSON.stringify(RESPONSE).slice(0, 50))),
        pull: end,
      }),
    );
  await assert.rejects(
    clientOf(halfBody((controller) => controller.error(new Error("reset")))).client.sendEvent({ name: "get:it" }),
    (error) => isFerryError(error, "ERR_NETWORK") && error.cause.message === "reset",
  );
  const stalled = (request) =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new Uint8Array([123]));
          request.signal.addEventListener("abort", () => controller.error(request.signal.reason));
        },
      }),
    );
  await assert.rejects(clientOf(stalled).client.sendEvent({ name: "get:it", timeoutMs: 20 }), hasCode("ERR_TIMEOUT"));
});

test("a request is retried only if configured, with the same ids", async () => {
  const flaky = (_request, count) => (count === 1 ? new Response("no", { status: 503 }) : Response.json(RESPONSE));
  await assert.rejects(clientOf(flaky).client.sendEvent({ name: "get:it" }), hasCode("ERR_UNAVAILABLE"));
  const { client, requests } = clientOf(flaky, { retry: { attempts: 2, baseMs: 1 } });
  assert.ok((await client.sendEvent({ name: "get:it" })).isSuccess);
  assert.deepEqual(requests[0].body, requests[1].body);
  // An event is a response and is not retried.
  const busy = clientOf(responds({ ...RESPONSE, name: "get:it:error" }, { status: 503 }), {
    retry: { attempts: 5, baseMs: 1 },
  });
  assert.equal((await busy.client.sendEvent({ name: "get:it" })).errorType, "error");
  assert.equal(busy.requests.length, 1);
});

test("wrong arguments are refused before anything is sent", async () => {
  for (const [options, words] of [
    [undefined, /^the options of .* must be an object/],
    [{}, /url must be an absolute URL/],
    [{ url: "https://user:pass@example.com/" }, /must not contain a user name/],
    [{ url: EVENTS_URL, timeout: 1 }, /no option "timeout"/],
    [{ url: EVENTS_URL, maxResponseBytes: 0 }, /maxResponseBytes must be an integer/],
    [{ url: EVENTS_URL, retry: { attempts: 0 } }, /retry.attempts/],
  ])
    assert.throws(
      () => new EventClient(options),
      (error) => isFerryError(error, "ERR_INVALID_ARGUMENT") && words.test(error.message),
      String(words),
    );
  const { client, requests } = clientOf(responds(RESPONSE));
  for (const [event, words, attribute] of [
    [undefined, /the options of sendEvent must be an object/],
    ["get:it", /the options of sendEvent must be an object/],
    [{}, /name must be a non-empty string/, "name"],
    [{ name: "Get It" }, /name must be two or more parts of a-z/, "name"],
    [{ name: "get:it", version: "1" }, /version must be a 32-bit integer; received "1"/, "version"],
    [{ name: "get:it", flow_id: "f" }, /no option "flow_id"/],
    [{ name: "get:it", id: "" }, /id must be a non-empty string/, "id"],
    [{ name: "get:it", payload: () => {} }, /payload must be a value that JSON can express/, "payload"],
    [{ name: "get:it", metadata: 7 }, /metadata must be an object/, "metadata"],
    [{ name: "get:it", timeoutMs: 0 }, /timeoutMs must be a number/],
    [{ name: "get:it", signal: {} }, /signal must be an AbortSignal/],
    [{ name: "get:it", parent: "id" }, /parent must be an event or the context/],
  ])
    await assert.rejects(
      client.sendEvent(event),
      (error) =>
        isFerryError(error, "ERR_INVALID_ARGUMENT") && words.test(error.message) && error.attribute === attribute,
      String(words),
    );
  assert.equal(requests.length, 0);
  await clientOf(responds(RESPONSE), { checkNames: false }).client.sendEvent({ name: "Get It" });
});

test("handlers that send events to their own server keep the ids of their flows", async () => {
  const events = new EventRegistry();
  const { fetch } = new EventProcessor(events);
  const client = new EventClient({ url: EVENTS_URL, fetch });
  events.register({ name: "get:inner", handle: ({ id, flowId }, payload) => [id, flowId, payload.number] });
  events.register({
    name: "get:outer",
    async handle(event, { number }, context) {
      const answers = await Promise.all(
        [event, context].map((parent) =>
          client.sendEvent({ name: "get:inner", payload: { number }, parent, signal: context.signal }),
        ),
      );
      return answers.map(({ payload }) => payload);
    },
  });
  const all = await Promise.all(
    Array.from({ length: 200 }, (_, number) =>
      client.sendEvent({ name: "get:outer", payload: { number }, id: `i${number}`, flowId: `f${number}` }),
    ),
  );
  for (const [number, { payload }] of all.entries())
    assert.deepEqual(payload, [
      [`i${number}`, `f${number}`, number],
      [`i${number}`, `f${number}`, number],
    ]);
});

test("the root exports the same classes, with the client as EventsProtocolClient only", () => {
  assert.equal(everything.EventsProtocolClient, EventClient);
  assert.equal(everything.RequestEvent, RequestEvent);
  assert.equal(everything.EventProcessor, EventProcessor);
  assert.ok(!("EventClient" in everything));
});

test("the emulator answers with its own and with added handlers, and records requests", async () => {
  const emulator = createEmulator({ eventsProtocol: { maxEvents: 6 } });
  const client = new EventClient({ url: "http://emulator/events", fetch: emulator.fetch });
  const { eventsProtocol } = emulator;
  const ask = (name, payload) => client.sendEvent({ name, payload, auth: { token: "t" }, identity: { userId: 7 } });
  assert.deepEqual((await ask("get:event:example", { example: "x" })).payload, { got: "x" });
  assert.deepEqual((await ask("get:event:example", {})).errorParameters.fields, [
    { name: "example", errorType: "value_error.missing", message: "example must be a string" },
  ]);
  assert.deepEqual((await ask("echo:event", [1])).payload, [1]);
  assert.equal((await ask("redirect:event", { url: "https://e.x/" })).payload.url, "https://e.x/");
  assert.equal((await ask("raise:error", { type: "gone", code: "C" })).errorType, "gone");
  assert.equal((await ask("crash:event")).errorCode, "UNHANDLED_ERROR");
  assert.equal((await ask("get:nothing")).errorType, "eventNotFound");
  eventsProtocol
    .register({ name: "echo:event", handle: () => ({ own: true }) })
    .register({ name: "get:user", handle: ({ userId }) => ({ userId }) });
  assert.deepEqual(
    [(await ask("echo:event")).payload, (await ask("get:user")).payload],
    [{ own: true }, { userId: "7" }],
  );
  const all = await eventsProtocol.waitFor(9);
  assert.deepEqual([all.length, eventsProtocol.dropped, all[0].seq], [6, 3, 4]);
  const { event, response, headers, rawBody } = all.at(-1);
  assert.deepEqual(
    [event.name, event.auth, response.payload, headers["content-type"]],
    ["get:user", { token: "t" }, { userId: "7" }, "application/json"],
  );
  assert.equal(JSON.parse(new TextDecoder().decode(rawBody)).name, "get:user");
  eventsProtocol.clear();
  assert.equal((await (await emulator.fetch("http://emulator/events")).text()).includes("POST"), true);
  await assert.rejects(eventsProtocol.waitFor(1, { timeoutMs: 0 }), hasCode("ERR_TIMEOUT"));
  const waiting = assert.rejects(eventsProtocol.waitFor(1), hasCode("ERR_CLOSED"));
  await emulator.close();
  await waiting;
});

test("the emulator and a strict server answer every invalid request alike", async () => {
  const emulator = createEmulator();
  const { fetch } = new EventProcessor(new EventRegistry().register({ name: "get:it", handle: () => ({ ok: true }) }), {
    envelope: "strict",
  });
  emulator.eventsProtocol.register({ name: "get:it", handle: () => ({ ok: true }) });
  const event = { ...RESPONSE, name: "get:it" };
  const bodies = [
    "",
    "no",
    "[]",
    "null",
    "{}",
    "\ufeff{}",
    ...Object.keys(event).flatMap((member) =>
      [undefined, null, 7, "x", [], {}, true].map((value) => JSON.stringify({ ...event, [member]: value })),
    ),
  ];
  for (const body of bodies) {
    const [theirs, ours] = await Promise.all(
      [emulator.fetch, fetch].map(async (answer) => {
        const { id, flowId, payload, ...rest } = await (
          await answer(new Request("http://emulator/events", { method: "POST", body }))
        ).json();
        // Only messages and fresh ids may differ.
        return {
          ...rest,
          payload: payload.parameters?.message ? { ...payload, parameters: "message" } : payload,
          ...(rest.name !== "badProtocol" && { id, flowId }),
        };
      }),
    );
    assert.deepEqual(ours, theirs, body);
  }
  assert.ok(bodies.length > 50);
  await emulator.close();
});
