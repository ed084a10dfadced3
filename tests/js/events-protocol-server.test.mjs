// The server of the events protocol: handlers, schemas, exceptions, timeouts and fetch.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  EventBuilder,
  EventException,
  EventNotFoundException,
  EventProcessor,
  EventRegistry,
  isFerryError,
  MissingEventInformationException,
  RequestEvent,
  ResponseEvent,
} from "eventferry/events-protocol";
import { eventsProtocol } from "../../dist/entries/node/internals.js";
import { sleep, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const text = (members = {}) =>
  JSON.stringify({
    name: "do:it",
    version: 1,
    id: "id-1",
    flowId: "flow-1",
    payload: { a: 1 },
    identity: { userId: 7 },
    auth: { token: "s3cret" },
    metadata: { origin: "web" },
    ...members,
  });

/** A server with one handler. `send` returns its response as an object. */
function server(handle, { schema, camelCase, ...options } = {}) {
  const events = new EventRegistry().register({
    name: "do:it",
    handle,
    ...(schema && { schema }),
    ...(camelCase && { camelCase }),
  });
  const processor = new EventProcessor(events, options);
  return { events, processor, send: async (members, more) => JSON.parse(await processor.process(text(members), more)) };
}
const hasCode = (code) => (error) => isFerryError(error, code);

test("the value that a handler returns is the payload, any JSON", async () => {
  for (const [given, payload] of [
    [{ a: 1 }, { a: 1 }],
    [
      [1, [2]],
      [1, [2]],
    ],
    ["text", "text"],
    [0, 0],
    [false, false],
    [null, null],
    [undefined, {}],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
  ]) {
    const answer = await server(() => given).send();
    assert.deepEqual([answer.name, answer.payload], ["do:it:response", payload]);
  }
});

test("a value that JSON cannot express becomes an unhandled error", async () => {
  const circle = {};
  circle.circle = circle;
  for (const given of [
    () => 1,
    Symbol("s"),
    1n,
    circle,
    {
      toJSON() {
        throw new Error("no");
      },
    },
  ]) {
    const reported = [];
    const { send } = server(() => given, { onError: (error) => reported.push(error) });
    assert.deepEqual((await send()).payload, { code: "UNHANDLED_ERROR", parameters: {} });
    assert.equal(reported.length, 1);
  }
});

test("auth is never repeated, and identity and metadata only with echo", async () => {
  const handlers = [
    () => ({}),
    (event) => EventBuilder.responseFor(event, {}),
    (event) => event,
    () => {
      throw new EventNotFoundException("no");
    },
    () => {
      throw new Error("s3cret");
    },
  ];
  for (const handle of handlers) {
    const answer = await server(handle).send();
    assert.deepEqual([answer.identity, answer.auth, answer.metadata], [{}, {}, {}]);
    assert.ok(!JSON.stringify(answer).includes("s3cret"));
  }
  const echoed = await server(() => ({}), { echo: true }).send();
  assert.deepEqual([echoed.identity, echoed.auth, echoed.metadata], [{ userId: 7 }, {}, { origin: "web" }]);
  // Also if the handler puts it into the response.
  const tried = await server(
    (event) => new ResponseEvent({ name: "do:it:response", auth: event.auth, metadata: { by: "us" } }),
  ).send();
  assert.deepEqual([tried.auth, tried.metadata], [{}, { by: "us" }]);
});

test("stack and message of an unhandled error are sent only with exposeErrors", async () => {
  const reported = [];
  const crash = () => {
    throw new TypeError("password is hunter2");
  };
  const { send } = server(crash, { onError: (error, event) => reported.push([error.message, event.id]) });
  assert.deepEqual((await send()).payload, { code: "UNHANDLED_ERROR", parameters: {} });
  assert.deepEqual(reported, [["password is hunter2", "id-1"]]);
  const exposed = (await server(crash, { exposeErrors: true }).send()).payload.parameters;
  assert.deepEqual([exposed.name, exposed.message], ["TypeError", "password is hunter2"]);
  assert.match(exposed.stack, /events-protocol-server/);
});

test("any thrown value is answered", async () => {
  for (const thrown of [
    undefined,
    null,
    0,
    "text",
    {},
    {
      then() {
        throw new Error("then");
      },
    },
    Object.create(null),
    new Proxy(
      {},
      {
        getPrototypeOf() {
          throw new Error("trap");
        },
      },
    ),
  ]) {
    for (const handle of [
      () => {
        throw thrown;
      },
      async () => {
        throw thrown;
      },
    ]) {
      const { send } = server(handle, {
        onError() {
          throw new Error("onError itself");
        },
        exposeErrors: true,
      });
      assert.equal((await send()).payload.code, "UNHANDLED_ERROR");
    }
  }
});

test("exceptions become responses with their type and code, also those of subclasses", async () => {
  class InvalidEmail extends EventException {
    static code = "INVALID_EMAIL";
    static type = "userDenied";
  }
  const { send } = server((_event, payload) => {
    throw payload.own
      ? new InvalidEmail({ email: "x" })
      : new EventException({ b: 2 }, { code: "GONE", type: "gone", expected: true });
  });
  assert.deepEqual(await send({ payload: { own: true } }).then(({ name, payload }) => [name, payload]), [
    "do:it:userDenied",
    { code: "INVALID_EMAIL", parameters: { email: "x" } },
  ]);
  assert.deepEqual(await send().then(({ name, payload }) => [name, payload]), [
    "do:it:gone",
    { code: "GONE", parameters: { b: 2 } },
  ]);
  assert.throws(() => new EventException({}, { code: "C", type: "badRequst" }), hasCode("ERR_INVALID_ARGUMENT"));
  assert.throws(() => new EventException("text", { code: "C" }), hasCode("ERR_INVALID_ARGUMENT"));
});

test("onError receives unexpected errors only", async () => {
  const reported = [];
  const exceptions = {
    own: new EventException({}, { code: "OWN" }),
    expected: new EventException({}, { code: "EXPECTED", expected: true }),
    missing: new MissingEventInformationException({}),
  };
  const { send } = server(
    (_event, { k }) => {
      throw exceptions[k];
    },
    { schema: ({ k }) => k !== "schema", onError: ({ code }) => reported.push(code) },
  );
  for (const k of ["own", "expected", "missing", "schema"])
    assert.equal((await send({ payload: { k } })).name.startsWith("do:it:"), true);
  assert.deepEqual(reported, ["OWN", "MISSING_FIELDS"]);
});

test("onException maps other errors, and the first mapping that matches wins", async () => {
  class NoRows extends Error {}
  const { events, send } = server((_event, { k }) => {
    throw { rows: new NoRows("none"), range: new RangeError("r"), broken: new SyntaxError("s"), other: new Error("o") }[
      k
    ];
  });
  events
    .onException(NoRows, (error) => new EventNotFoundException(error.message))
    .onException(
      (error) => error instanceof RangeError,
      async (_error, event) => EventBuilder.errorFor(event, "badRequest", "RANGE", { of: event.name }),
    )
    .onException(SyntaxError, () => {
      throw new Error("the mapping itself");
    })
    .onException(NoRows, () => new EventException({}, { code: "TOO_LATE" }));
  const found = async (k) =>
    send({ payload: { k } }).then(({ name, payload }) => [name, payload.code, payload.parameters]);
  assert.deepEqual(await found("rows"), ["do:it:notFound", "EVENT_NOT_FOUND", { message: "none" }]);
  assert.deepEqual(await found("range"), ["do:it:badRequest", "RANGE", { of: "do:it" }]);
  for (const k of ["broken", "other"]) assert.deepEqual(await found(k), ["do:it:error", "UNHANDLED_ERROR", {}]);
});

const standard = (validate) => ({ "~standard": { version: 1, vendor: "tests", validate } });

test("a schema may be a Standard Schema, also async, and its value is the payload of the handler", async () => {
  for (const validate of [(value) => ({ value: value.a + 1 }), async (value) => ({ value: value.a + 1 })]) {
    // The types of arktype are functions too.
    for (const schema of [standard(validate), Object.assign(() => assert.fail("called"), standard(validate))]) {
      assert.equal((await server((_event, payload) => payload, { schema }).send()).payload, 2);
    }
  }
});

test("an invalid payload is answered with every issue", async () => {
  const issues = [
    { message: "m1", path: ["a"] },
    { message: "m2", path: [{ key: "b" }, 0, { key: "c/d" }], code: "invalid_type" },
    { message: "m3", path: [], errorType: "own" },
  ];
  const { name, payload } = await server(() => assert.fail("the handler ran"), {
    schema: standard(() => ({ issues })),
  }).send({
    payload: { a: 1, b: [{ "c/d": 1 }] },
  });
  assert.deepEqual(
    [name, payload],
    [
      "do:it:badRequest",
      {
        code: "MISSING_FIELDS",
        parameters: {
          fields: [
            { name: "a", errorType: "value_error", message: "m1" },
            { name: "b.0.c/d", errorType: "invalid_type", message: "m2", pointer: "/b/0/c~1d" },
            { name: "", errorType: "own", message: "m3" },
          ],
        },
      },
    ],
  );
  const many = await server(() => {}, {
    schema: standard(() => ({ issues: Array.from({ length: 5000 }, () => ({ message: "x".repeat(5000) })) })),
  }).send();
  assert.ok(JSON.stringify(many).length < 50_000);
});

test("a schema may be a function, which returns false or throws for an invalid payload", async () => {
  const fields = async (schema) => (await server((_event, payload) => ({ payload }), { schema }).send()).payload;
  for (const schema of [() => true, () => undefined, async () => true])
    assert.deepEqual(await fields(schema), { payload: { a: 1 } });
  assert.deepEqual(await fields(({ a }) => ({ b: a })), { payload: { b: 1 } });
  const refused = (message, errorType = "value_error") => ({
    code: "MISSING_FIELDS",
    parameters: { fields: [{ name: "", errorType, message }] },
  });
  assert.deepEqual(await fields(() => false), refused("the payload does not match the schema"));
  assert.deepEqual(
    await fields(() => {
      throw new Error("a is odd");
    }),
    refused("a is odd"),
  );
  // Messages of the JavaScript engine are not sent.
  assert.deepEqual(await fields(({ b }) => b.c.d), refused("the payload does not match the schema"));
  assert.deepEqual(
    (
      await fields(() => {
        throw { issues: [{ message: "of a schema", path: ["z"] }] };
      })
    ).parameters.fields,
    [{ name: "z", errorType: "value_error.missing", message: "of a schema" }],
  );
  assert.deepEqual((await fields(() => ({ issues: [{ message: "given back", path: ["a"] }] }))).parameters.fields, [
    { name: "a", errorType: "value_error", message: "given back" },
  ]);
  assert.deepEqual(await fields(() => ({ issues: ["an open one"] })), { payload: { issues: ["an open one"] } });
  assert.deepEqual(
    (
      await fields(() => {
        throw new MissingEventInformationException({ own: 1 });
      })
    ).parameters,
    { own: 1 },
  );
});

test("member names are converted to camel case only with camelCase", async () => {
  const payload = { user_name: 1, address: [{ zip_code: 2, _own: 3, a__b: 4 }], "x-y_z": 5, __proto_x: 6 };
  const { send } = server((_event, payload) => payload, { camelCase: true });
  assert.deepEqual((await send({ payload })).payload, {
    userName: 1,
    address: [{ zipCode: 2, _own: 3, aB: 4 }],
    "x-yZ": 5,
    __protoX: 6,
  });
  assert.deepEqual((await server((_event, payload) => payload).send({ payload })).payload, payload);
});

test("a member called __proto__ is an own member", async () => {
  const { processor } = server((_event, payload) => ({ own: Object.keys(payload), polluted: {}.polluted ?? null }), {
    camelCase: true,
  });
  const { payload } = JSON.parse(
    await processor.process(text().replace('"payload":{"a":1}', '"payload":{"__proto__":{"polluted":1}}')),
  );
  assert.deepEqual(payload, { own: ["__proto__"], polluted: null });
});

test("a handler receives the event and its sender, and inspecting them shows no token", async () => {
  let seen;
  const { send } = server((event, _payload, context) => {
    seen = { event, context };
  });
  await send({ identity: { user: { id: 42, type: "CONSUMER" } } });
  const { event, context } = seen;
  assert.ok(event instanceof RequestEvent);
  assert.deepEqual(
    [event.name, event.version, event.id, event.flowId, event.payload, event.payloadText, event.origin],
    ["do:it", 1, "id-1", "flow-1", { a: 1 }, '{"a":1}', "web"],
  );
  assert.deepEqual([event.userId, event.userType, event.auth], ["42", "CONSUMER", { token: "s3cret" }]);
  assert.equal(event.payload, event.payload, "parsed once");
  assert.deepEqual(
    [
      context.id,
      context.flowId,
      context.eventName,
      context.eventVersion,
      context.userId,
      context.userType,
      context.signal.aborted,
    ],
    ["id-1", "flow-1", "do:it", 1, "42", "CONSUMER", false],
  );
  for (const shown of [
    inspect(event, { depth: 9, showHidden: true }),
    JSON.stringify(event),
    String(event),
    inspect(context, { depth: 9, showHidden: true }),
  ])
    assert.ok(!shown.includes("s3cret"), shown);
  assert.ok(event.toText().includes("s3cret"));
});

test("payloadText has digits that JavaScript numbers cannot hold", async () => {
  let seen;
  const { processor } = server((event) => {
    seen = event.payloadText;
  });
  await processor.process(text().replace('{"a":1}', '{ "a": 12345678901234567890.10 }'));
  assert.equal(seen, '{ "a": 12345678901234567890.10 }');
});

test("text, bytes and objects are processed alike, and other values are not events", async () => {
  const { processor } = server((_event, payload) => payload);
  const odd = text({ id: 'ç€😀\n"\\', name: "do:it" });
  const bytes = new TextEncoder().encode(odd);
  const answers = await Promise.all(
    [
      odd,
      bytes,
      bytes.buffer,
      new DataView(bytes.buffer),
      Buffer.from(bytes),
      JSON.parse(odd),
      new RequestEvent(JSON.parse(odd)),
      `\ufeff${odd}`,
      new Uint8Array([0xef, 0xbb, 0xbf, ...bytes]),
    ].map((body) => processor.process(body)),
  );
  for (const answer of answers) {
    assert.equal(answer, answers[0]);
    assert.equal(JSON.parse(answer).id, 'ç€😀\n"\\');
  }
  for (const body of [
    undefined,
    null,
    7,
    true,
    Symbol("s"),
    () => {},
    1n,
    new Blob(["x"]),
    "\ud800",
    odd.replace("ç", "\ud800"),
  ]) {
    assert.equal(JSON.parse(await processor.process(body)).name, "badProtocol", String(body));
  }
});

test("ids with half a surrogate pair are returned unchanged", async () => {
  const { processor } = server(() => ({}));
  const answer = await processor.process(text().replace("id-1", "\\ud800\\u0000"));
  assert.equal(JSON.parse(answer).id, "\ud800\u0000");
});

test("a handler that does not finish in time is answered and aborted, and its later error is ignored", async () => {
  const reported = [];
  let signal;
  let finish;
  const { send, processor } = server(
    (_event, _payload, context) =>
      new Promise((_resolve, reject) => {
        signal = context.signal;
        finish = reject;
      }),
    { handlerTimeoutMs: 50, onError: (error) => reported.push(error.code) },
  );
  const response = send();
  await sleep(49);
  assert.equal(signal.aborted, false);
  await sleep(1);
  const { name, payload } = await response;
  assert.deepEqual(
    [name, payload],
    ["do:it:error", { code: "EVENT_TIMEOUT", parameters: { message: "the handler did not finish within 50 ms" } }],
  );
  assert.deepEqual(
    [signal.aborted, signal.reason.code, reported, processor.inFlight],
    [true, "ERR_TIMEOUT", ["ERR_TIMEOUT"], 0],
  );
  finish(new Error("late"));
  await new Promise((resolve) => setImmediate(resolve));
});

test("a schema that does not finish in time is answered too", async () => {
  const { send } = server(() => {}, { schema: () => new Promise(() => {}), handlerTimeoutMs: 50 });
  const start = virtualClock().now();
  assert.equal((await send()).payload.code, "EVENT_TIMEOUT");
  assert.equal(virtualClock().now() - start, 50);
});

test("no timer is left running", async () => {
  const before = virtualClock().timers();
  const { send } = server(() => ({}));
  for (let round = 0; round < 10; round++) await send();
  assert.equal(virtualClock().timers(), before);
});

test("handlers run concurrently up to maxInFlight, and further events are refused", async () => {
  const waiting = [];
  const { send, processor } = server(() => new Promise((resolve) => waiting.push(resolve)), { maxInFlight: 3 });
  const first = [send({ id: "0" }), send({ id: "1" }), send({ id: "2" })];
  assert.equal(processor.inFlight, 3);
  const refused = await send({ id: "3" });
  assert.deepEqual([refused.name, refused.id, refused.payload.code], ["do:it:error", "3", "TOO_MANY_EVENTS"]);
  // An event without a handler needs no capacity.
  assert.equal((await send({ name: "do:that" })).name, "eventNotFound");
  for (const [at, resolve] of waiting.reverse().entries()) resolve({ at });
  assert.deepEqual(
    (await Promise.all(first)).map(({ id, payload }) => [id, payload.at]),
    [
      ["0", 2],
      ["1", 1],
      ["2", 0],
    ],
  );
  assert.equal((await Promise.all([send(), waiting.pop()({})]))[0].name, "do:it:response");
});

test("aborting the signal aborts the handler, which may still answer", async () => {
  const controller = new AbortController();
  const { send } = server(
    (_event, _payload, { signal }) =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve({ reason: signal.reason }))),
  );
  const answer = send({}, { signal: controller.signal });
  controller.abort("gone");
  assert.deepEqual((await answer).payload, { reason: "gone" });
  // Also if it aborts before the handler reads its signal.
  for (const given of [AbortSignal.abort("before"), undefined]) {
    const late = new AbortController();
    const { send } = server(async (_event, _payload, context) => {
      late.abort("before");
      const { signal } = context;
      return [signal.aborted, signal.reason, signal === context.signal, { ...context }.signal === signal];
    });
    assert.deepEqual((await send({}, { signal: given ?? late.signal })).payload, [true, "before", true, true]);
  }
});

const post = (body, init = {}) => new Request("https://example.com/events", { method: "POST", body, ...init });

test("fetch can be detached, and passes env and ctx on to the handler", async () => {
  const { processor } = server((_event, _payload, { env, ctx, request }) => ({ env, ctx, url: request.url }));
  const { fetch } = processor;
  const response = await fetch(post(text()), { KEY: 1 }, { waitUntil: 2 });
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/json; charset=utf-8"]);
  assert.deepEqual((await response.json()).payload, {
    env: { KEY: 1 },
    ctx: { waitUntil: 2 },
    url: "https://example.com/events",
  });
});

test("errors are events with status 200, and other methods are answered with 405", async () => {
  const { processor } = server(() => ({}), { maxBytes: 1000 });
  for (const body of ["", "no", text({ name: "do:that" }), text({ payload: "x".repeat(2000) })]) {
    const response = await processor.fetch(post(body));
    assert.deepEqual([response.status, new ResponseEvent(await response.json()).isError], [200, true]);
  }
  for (const method of ["GET", "PUT", "DELETE"]) {
    const response = await processor.fetch(
      new Request("https://example.com/events", { method, ...(method !== "GET" && { body: "x" }) }),
    );
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "POST, OPTIONS"]);
  }
});

test("a request that is too large is refused, and only a limited part of it is read", async () => {
  const { processor } = server(() => ({}), { maxBytes: 1000 });
  const megabytes = (count) => {
    let sent = 0;
    const body = new ReadableStream({
      pull: (controller) => (sent++ < count ? controller.enqueue(new Uint8Array(2 ** 20)) : controller.close()),
    });
    return { body, sent: () => sent };
  };
  const message = async (stream) =>
    (await (await processor.fetch(post(stream.body, { duplex: "half" }))).json()).payload.parameters.message;
  const some = megabytes(4);
  assert.equal(await message(some), "the text is longer than this server allows");
  assert.equal(some.sent(), 5);
  const many = megabytes(1000);
  assert.equal(await message(many), "the text is longer than this server allows");
  assert.ok(many.sent() < 20, `${many.sent()} MiB were read`);
  assert.match(await processor.process(text({ payload: "x".repeat(2000) })), /longer than this server allows/);
});

test("a body that breaks off is not an event, and a body that was read before rejects", async () => {
  const { processor } = server(() => ({}));
  const broken = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{"name"')),
    pull: (controller) => controller.error(new Error("reset")),
  });
  assert.equal((await (await processor.fetch(post(broken, { duplex: "half" }))).json()).name, "badProtocol");
  const read = post(text());
  await read.text();
  await assert.rejects(processor.fetch(read), hasCode("ERR_INVALID_ARGUMENT"));
});

test("pages of the allowed origins may send events", async () => {
  const { processor } = server(() => ({}), { allowedOrigins: ["https://shop.example"] });
  const send = (origin, method = "POST") =>
    processor.fetch(
      new Request("https://example.com/events", {
        method,
        ...(method === "POST" && { body: text() }),
        headers: {
          origin,
          ...(method === "OPTIONS" && {
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type, x-tenant",
          }),
        },
      }),
    );
  const preflight = await send("https://shop.example", "OPTIONS");
  assert.deepEqual(
    [
      preflight.status,
      ...["origin", "methods", "headers"].map((name) => preflight.headers.get(`access-control-allow-${name}`)),
    ],
    [204, "https://shop.example", "POST", "content-type, x-tenant"],
  );
  assert.equal((await send("https://shop.example")).headers.get("access-control-allow-origin"), "https://shop.example");
  for (const method of ["OPTIONS", "POST"])
    assert.equal((await send("https://evil.example", method)).headers.get("access-control-allow-origin"), null);
});

test("after a trap the next event is answered", async () => {
  const unreachable = new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
  ]);
  const trap = new WebAssembly.Instance(new WebAssembly.Module(unreachable)).exports.f;
  let finish;
  const { send } = server(() => new Promise((resolve) => (finish = resolve)));
  const under = send();
  await undefined;
  assert.throws(() => eventsProtocol.call(trap), hasCode("ERR_INTERNAL"));
  finish({ still: "here" });
  assert.deepEqual((await under).payload, { still: "here" });
  const next = send({ id: "2" });
  finish({});
  assert.equal((await next).id, "2");
});

test("a registry refuses wrong registrations", () => {
  const events = new EventRegistry();
  const handle = () => ({});
  for (const [wrong, words] of [
    [undefined, /the options of register must be an object/],
    [{ name: "do:it" }, /handle must be a function/],
    [{ name: "it", handle }, /two or more parts/],
    [{ name: "do:it", handle, version: "1" }, /version must be a 32-bit integer; received "1"/],
    [{ name: "do:it", handle, version: 1.5 }, /must be a 32-bit integer/],
    [{ name: "do:it", handle, schema: {} }, /Standard Schema/],
    [{ name: "do:it", handle, shema: handle }, /no option "shema"/],
  ])
    assert.throws(
      () => events.register(wrong),
      (error) => isFerryError(error, "ERR_INVALID_ARGUMENT") && words.test(error.message),
      String(words),
    );
  assert.deepEqual(events.events, []);
  events.register({ name: "do:it", handle }).register({ name: "do:it", version: 2, handle });
  assert.throws(
    () => events.register({ name: "do:it", handle }),
    /a handler for version 1 of "do:it" is already registered; set replace: true/,
  );
  assert.deepEqual([events.has("do:it"), events.has("do:it", 3), events.events.length], [true, false, 2]);
  assert.throws(() => new EventRegistry({ checkName: false }), /no option "checkName"/);
  assert.throws(() => new EventRegistry().onException("Error", handle), hasCode("ERR_INVALID_ARGUMENT"));
});

test("a processor refuses wrong options", () => {
  const events = new EventRegistry();
  for (const [options, words] of [
    [{ envelope: "loose" }, /"usual", "strict" or "lenient"/],
    [{ envelope: "toString" }, /"usual", "strict" or "lenient"/],
    [{ handlerTimeoutMs: 0 }, /handlerTimeoutMs must be a number of milliseconds/],
    [{ maxInFlight: 0 }, /maxInFlight must be an integer/],
    [{ maxBytes: "1" }, /maxBytes must be an integer/],
    [{ onError: true }, /onError must be a function/],
    [{ allowedOrigins: "https://a" }, /allowedOrigins/],
    [{ maxByte: 1 }, /no option "maxByte"/],
    ["x", /the options of EventProcessor must be an object/],
  ])
    assert.throws(
      () => new EventProcessor(events, options),
      (error) => isFerryError(error, "ERR_INVALID_ARGUMENT") && words.test(error.message),
      String(words),
    );
  assert.throws(() => new EventProcessor({}), /registry must be an EventRegistry/);
  new EventProcessor(events, { handlerTimeoutMs: Infinity });
});

test("the builder refuses events that receivers cannot read", () => {
  const event = EventBuilder.event({ name: "do:it" });
  for (const wrong of [
    () => EventBuilder.event({}),
    () => EventBuilder.event({ name: "" }),
    () => EventBuilder.event({ name: "do:it", identity: [] }),
    () => EventBuilder.event({ name: "do:it", auth: "token" }),
    () => EventBuilder.event({ name: "do:it", id: 7 }),
    () => EventBuilder.event({ name: "do:it", payload: 1n }),
    () => EventBuilder.event({ name: "do:it", payload: () => {} }),
    () => EventBuilder.responseFor({ name: "do:it" }, {}),
    () => EventBuilder.responseFor(undefined, {}),
    () => EventBuilder.errorFor(event, "unknown", "CODE"),
    () => EventBuilder.errorFor(event, "response", "CODE"),
    () => EventBuilder.errorFor(event, "error"),
    () => EventBuilder.errorFor(event, "error", ""),
    () => EventBuilder.errorFor(event, "error", "CODE", []),
    () => EventBuilder.redirectFor(event, ""),
    () => EventBuilder.redirectFor(event, {}),
  ])
    assert.throws(wrong, hasCode("ERR_INVALID_ARGUMENT"), String(wrong));
  const { name, payload, id, version } = EventBuilder.redirectFor(
    event,
    new URL("https://e.x/a"),
    { b: 1 },
    { metadata: { m: 1 } },
  );
  assert.deepEqual(
    [name, payload, id, version],
    ["do:it:redirect", { url: "https://e.x/a", queryParameters: { b: 1 } }, event.id, 1],
  );
  assert.equal(EventBuilder.errorFor(event, new EventNotFoundException("no")).errorType, "notFound");
});
