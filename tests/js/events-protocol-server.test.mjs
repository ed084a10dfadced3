// The server of the events protocol: what handlers may do, and what comes of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  EventBuilder,
  EventException,
  EventNotFoundException,
  EventProcessor,
  EventRegistry,
  MissingEventInformationException,
  RequestEvent,
  ResponseEvent,
  isFerryError,
} from "eventferry/events-protocol";
import { call } from "../../dist/engine/instance.js";

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

/** A server with one handler; its answers as objects. */
function server(handle, { schema, camelCase, ...options } = {}) {
  const events = new EventRegistry().register({
    name: "do:it",
    handle,
    ...(schema && { schema }),
    ...(camelCase && { camelCase }),
  });
  const processor = new EventProcessor(events, options);
  return { events, processor, ask: async (members, more) => JSON.parse(await processor.process(text(members), more)) };
}
const refusal = (code) => (error) => isFerryError(error, code);

test("what a handler gives back is the payload, whatever JSON it is", async () => {
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
    const answer = await server(() => given).ask();
    assert.deepEqual([answer.name, answer.payload], ["do:it:response", payload]);
  }
});

test("what JSON cannot say is an error that nobody handled, and the server goes on", async () => {
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
    const told = [];
    const { ask } = server(() => given, { onError: (error) => told.push(error) });
    assert.deepEqual((await ask()).payload, { code: "UNHANDLED_ERROR", parameters: {} });
    assert.equal(told.length, 1);
  }
});

test("auth is never repeated, nor is anything else of the one who asked, unless echo is on", async () => {
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
    const answer = await server(handle).ask();
    assert.deepEqual([answer.identity, answer.auth, answer.metadata], [{}, {}, {}]);
    assert.ok(!JSON.stringify(answer).includes("s3cret"));
  }
  const echoed = await server(() => ({}), { echo: true }).ask();
  assert.deepEqual([echoed.identity, echoed.auth, echoed.metadata], [{ userId: 7 }, {}, { origin: "web" }]);
  // Not even one who tries.
  const tried = await server(
    (event) => new ResponseEvent({ name: "do:it:response", auth: event.auth, metadata: { by: "us" } }),
  ).ask();
  assert.deepEqual([tried.auth, tried.metadata], [{}, { by: "us" }]);
});

test("no stack and no message of a handler's error gets out, unless it is asked for", async () => {
  const told = [];
  const crash = () => {
    throw new TypeError("password is hunter2");
  };
  const { ask } = server(crash, { onError: (error, event) => told.push([error.message, event.id]) });
  assert.deepEqual((await ask()).payload, { code: "UNHANDLED_ERROR", parameters: {} });
  assert.deepEqual(told, [["password is hunter2", "id-1"]]);
  const exposed = (await server(crash, { exposeErrors: true }).ask()).payload.parameters;
  assert.deepEqual([exposed.name, exposed.message], ["TypeError", "password is hunter2"]);
  assert.match(exposed.stack, /events-protocol-server/);
});

test("whatever a handler throws is answered", async () => {
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
      const { ask } = server(handle, {
        onError() {
          throw new Error("onError itself");
        },
        exposeErrors: true,
      });
      assert.equal((await ask()).payload.code, "UNHANDLED_ERROR");
    }
  }
});

test("exceptions become what they say, also those of classes of one's own", async () => {
  class InvalidEmail extends EventException {
    static code = "INVALID_EMAIL";
    static type = "userDenied";
  }
  const { ask } = server((event, payload) => {
    throw payload.own
      ? new InvalidEmail({ email: "x" })
      : new EventException({ b: 2 }, { code: "GONE", type: "gone", expected: true });
  });
  assert.deepEqual(await ask({ payload: { own: true } }).then(({ name, payload }) => [name, payload]), [
    "do:it:userDenied",
    { code: "INVALID_EMAIL", parameters: { email: "x" } },
  ]);
  assert.deepEqual(await ask().then(({ name, payload }) => [name, payload]), [
    "do:it:gone",
    { code: "GONE", parameters: { b: 2 } },
  ]);
  assert.throws(() => new EventException({}, { code: "C", type: "badRequst" }), refusal("ERR_INVALID_ARGUMENT"));
  assert.throws(() => new EventException("text", { code: "C" }), refusal("ERR_INVALID_ARGUMENT"));
});

test("onError hears of what nobody expected, and of nothing else", async () => {
  const told = [];
  const exceptions = {
    own: new EventException({}, { code: "OWN" }),
    expected: new EventException({}, { code: "EXPECTED", expected: true }),
    missing: new MissingEventInformationException({}),
  };
  const { ask } = server(
    (event, { k }) => {
      throw exceptions[k];
    },
    { schema: ({ k }) => k !== "schema", onError: ({ code }) => told.push(code) },
  );
  for (const k of ["own", "expected", "missing", "schema"])
    assert.equal((await ask({ payload: { k } })).name.startsWith("do:it:"), true);
  assert.deepEqual(told, ["OWN", "MISSING_FIELDS"]);
});

test("errors of other kinds are answered as was said for their class, the first that fits", async () => {
  class NoRows extends Error {}
  const { events, ask } = server((event, { k }) => {
    throw { rows: new NoRows("none"), range: new RangeError("r"), broken: new SyntaxError("s"), other: new Error("o") }[
      k
    ];
  });
  events
    .onException(NoRows, (error) => new EventNotFoundException(error.message))
    .onException(
      (error) => error instanceof RangeError,
      async (error, event) => EventBuilder.errorFor(event, "badRequest", "RANGE", { of: event.name }),
    )
    .onException(SyntaxError, () => {
      throw new Error("the mapping itself");
    })
    .onException(NoRows, () => new EventException({}, { code: "TOO_LATE" }));
  const found = async (k) =>
    ask({ payload: { k } }).then(({ name, payload }) => [name, payload.code, payload.parameters]);
  assert.deepEqual(await found("rows"), ["do:it:notFound", "EVENT_NOT_FOUND", { message: "none" }]);
  assert.deepEqual(await found("range"), ["do:it:badRequest", "RANGE", { of: "do:it" }]);
  for (const k of ["broken", "other"]) assert.deepEqual(await found(k), ["do:it:error", "UNHANDLED_ERROR", {}]);
});

const standard = (validate) => ({ "~standard": { version: 1, vendor: "tests", validate } });

test("a schema may be a Standard Schema, also async, and gives the payload that the handler gets", async () => {
  for (const validate of [(value) => ({ value: value.a + 1 }), async (value) => ({ value: value.a + 1 })]) {
    // The types of arktype are functions.
    for (const schema of [standard(validate), Object.assign(() => assert.fail("called"), standard(validate))]) {
      assert.equal((await server((event, payload) => payload, { schema }).ask()).payload, 2);
    }
  }
});

test("a schema that refuses is answered with all that is wrong", async () => {
  const issues = [
    { message: "m1", path: ["a"] },
    { message: "m2", path: [{ key: "b" }, 0, { key: "c/d" }], code: "invalid_type" },
    { message: "m3", path: [], errorType: "own" },
  ];
  const { name, payload } = await server(() => assert.fail("it ran"), { schema: standard(() => ({ issues })) }).ask({
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
  }).ask();
  assert.ok(JSON.stringify(many).length < 50_000);
});

test("a schema may be a function, which refuses with false or by throwing", async () => {
  const fields = async (schema) => (await server((event, payload) => ({ payload }), { schema }).ask()).payload;
  for (const schema of [() => true, () => undefined, async () => true])
    assert.deepEqual(await fields(schema), { payload: { a: 1 } });
  assert.deepEqual(await fields(({ a }) => ({ b: a })), { payload: { b: 1 } });
  const refused = (message, errorType = "value_error") => ({
    code: "MISSING_FIELDS",
    parameters: { fields: [{ name: "", errorType, message }] },
  });
  assert.deepEqual(await fields(() => false), refused("the payload does not fit"));
  assert.deepEqual(
    await fields(() => {
      throw new Error("a is odd");
    }),
    refused("a is odd"),
  );
  // What the engine says is about our code.
  assert.deepEqual(await fields(({ b }) => b.c.d), refused("the payload does not fit"));
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

test("names in camel case are made only where they are asked for", async () => {
  const payload = { user_name: 1, address: [{ zip_code: 2, _own: 3, a__b: 4 }], "x-y_z": 5, __proto_x: 6 };
  const { ask } = server((event, payload) => payload, { camelCase: true });
  assert.deepEqual((await ask({ payload })).payload, {
    userName: 1,
    address: [{ zipCode: 2, _own: 3, aB: 4 }],
    "x-yZ": 5,
    __protoX: 6,
  });
  assert.deepEqual((await server((event, payload) => payload).ask({ payload })).payload, payload);
});

test("a member called __proto__ stays a member", async () => {
  const { processor } = server((event, payload) => ({ own: Object.keys(payload), polluted: {}.polluted ?? null }), {
    camelCase: true,
  });
  const { payload } = JSON.parse(
    await processor.process(text().replace('"payload":{"a":1}', '"payload":{"__proto__":{"polluted":1}}')),
  );
  assert.deepEqual(payload, { own: ["__proto__"], polluted: null });
});

test("a handler knows the event and who sent it, and shows no token by accident", async () => {
  let seen;
  const { ask } = server((event, payload, context) => void (seen = { event, context }));
  await ask({ identity: { user: { id: 42, type: "CONSUMER" } } });
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

test("digits that JavaScript's numbers cannot hold are there for those who look", async () => {
  let seen;
  const { processor } = server((event) => void (seen = event.payloadText));
  await processor.process(text().replace('{"a":1}', '{ "a": 12345678901234567890.10 }'));
  assert.equal(seen, '{ "a": 12345678901234567890.10 }');
});

test("text, bytes and objects are processed alike, and everything else is no event", async () => {
  const { processor } = server((event, payload) => payload);
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

test("ids with half a surrogate pair come back as they were", async () => {
  const { processor } = server(() => ({}));
  const answer = await processor.process(text().replace("id-1", "\\ud800\\u0000"));
  assert.equal(JSON.parse(answer).id, "\ud800\u0000");
});

test("a handler that does not end is answered in time and aborted, and its end is nobody's business", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const told = [];
  let signal;
  let finish;
  const { ask, processor } = server(
    (event, payload, context) =>
      new Promise((resolve, reject) => {
        signal = context.signal;
        finish = reject;
      }),
    { handlerTimeoutMs: 50, onError: (error) => told.push(error.code) },
  );
  const answer = ask();
  await undefined;
  t.mock.timers.tick(49);
  assert.equal(signal.aborted, false);
  t.mock.timers.tick(1);
  const { name, payload } = await answer;
  assert.deepEqual(
    [name, payload],
    [
      "do:it:error",
      { code: "EVENT_TIMEOUT", parameters: { message: "the handler did not come to an end within 50 ms" } },
    ],
  );
  assert.deepEqual(
    [signal.aborted, signal.reason.code, told, processor.underWay],
    [true, "ERR_TIMEOUT", ["ERR_TIMEOUT"], 0],
  );
  finish(new Error("late"));
  await new Promise((resolve) => setImmediate(resolve));
});

test("a schema that does not end is answered in time too", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { ask } = server(() => {}, { schema: () => new Promise(() => {}), handlerTimeoutMs: 50 });
  const answer = ask();
  await undefined;
  t.mock.timers.tick(50);
  assert.equal((await answer).payload.code, "EVENT_TIMEOUT");
});

test("no timer is left behind", async () => {
  const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const { ask } = server(() => ({}));
  for (let round = 0; round < 10; round++) await ask();
  assert.equal(process.getActiveResourcesInfo().filter((name) => name === "Timeout").length, before);
});

test("handlers run side by side, up to the bound, and the next ones are sent away", async () => {
  const waiting = [];
  const { ask, processor } = server(() => new Promise((resolve) => waiting.push(resolve)), { maxInFlight: 3 });
  const first = [ask({ id: "0" }), ask({ id: "1" }), ask({ id: "2" })];
  assert.equal(processor.underWay, 3);
  const refused = await ask({ id: "3" });
  assert.deepEqual([refused.name, refused.id, refused.payload.code], ["do:it:error", "3", "TOO_MANY_EVENTS"]);
  // What has no handler needs no room.
  assert.equal((await ask({ name: "do:that" })).name, "eventNotFound");
  waiting.reverse().forEach((resolve, at) => resolve({ at }));
  assert.deepEqual(
    (await Promise.all(first)).map(({ id, payload }) => [id, payload.at]),
    [
      ["0", 2],
      ["1", 1],
      ["2", 0],
    ],
  );
  assert.equal((await Promise.all([ask(), waiting.pop()({})]))[0].name, "do:it:response");
});

test("who gives up aborts the handler, which may still answer", async () => {
  const controller = new AbortController();
  const { ask } = server(
    (event, payload, { signal }) =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve({ reason: signal.reason }))),
  );
  const answer = ask({}, { signal: controller.signal });
  controller.abort("gone");
  assert.deepEqual((await answer).payload, { reason: "gone" });
  // Also one who has given up before the handler asks.
  for (const given of [AbortSignal.abort("before"), undefined]) {
    const late = new AbortController();
    const { ask } = server(async (event, payload, context) => {
      late.abort("before");
      const { signal } = context;
      return [signal.aborted, signal.reason, signal === context.signal, { ...context }.signal === signal];
    });
    assert.deepEqual((await ask({}, { signal: given ?? late.signal })).payload, [true, "before", true, true]);
  }
});

const post = (body, init = {}) => new Request("https://example.com/events", { method: "POST", body, ...init });

test("fetch is a handler of its own, and hands on what the runtime gives", async () => {
  const { processor } = server((event, payload, { env, ctx, request }) => ({ env, ctx, url: request.url }));
  const { fetch } = processor;
  const response = await fetch(post(text()), { KEY: 1 }, { waitUntil: 2 });
  assert.deepEqual([response.status, response.headers.get("content-type")], [200, "application/json; charset=utf-8"]);
  assert.deepEqual((await response.json()).payload, {
    env: { KEY: 1 },
    ctx: { waitUntil: 2 },
    url: "https://example.com/events",
  });
});

test("errors are events with status 200, and other methods 405", async () => {
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

test("a request that is too large is not kept, and read to its end only within bounds", async () => {
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
  assert.equal(await message(some), "the text is longer than this server takes");
  assert.equal(some.sent(), 5);
  const many = megabytes(1000);
  assert.equal(await message(many), "the text is longer than this server takes");
  assert.ok(many.sent() < 20, `${many.sent()} MiB were read`);
  assert.match(await processor.process(text({ payload: "x".repeat(2000) })), /longer than this server takes/);
});

test("a body that breaks off is no event; one that was read before is the caller's mistake", async () => {
  const { processor } = server(() => ({}));
  const broken = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{"name"')),
    pull: (controller) => controller.error(new Error("reset")),
  });
  assert.equal((await (await processor.fetch(post(broken, { duplex: "half" }))).json()).name, "badProtocol");
  const read = post(text());
  await read.text();
  await assert.rejects(processor.fetch(read), refusal("ERR_INVALID_ARGUMENT"));
});

test("pages of other origins are let in by name", async () => {
  const { processor } = server(() => ({}), { allowedOrigins: ["https://shop.example"] });
  const ask = (origin, method = "POST") =>
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
  const preflight = await ask("https://shop.example", "OPTIONS");
  assert.deepEqual(
    [
      preflight.status,
      ...["origin", "methods", "headers"].map((name) => preflight.headers.get(`access-control-allow-${name}`)),
    ],
    [204, "https://shop.example", "POST", "content-type, x-tenant"],
  );
  assert.equal((await ask("https://shop.example")).headers.get("access-control-allow-origin"), "https://shop.example");
  for (const method of ["OPTIONS", "POST"])
    assert.equal((await ask("https://evil.example", method)).headers.get("access-control-allow-origin"), null);
});

test("after a trap the next event is answered", async () => {
  const unreachable = new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
  ]);
  const trap = new WebAssembly.Instance(new WebAssembly.Module(unreachable)).exports.f;
  let finish;
  const { ask } = server(() => new Promise((resolve) => (finish = resolve)));
  const under = ask();
  await undefined;
  assert.throws(() => call(trap), refusal("ERR_INTERNAL"));
  finish({ still: "here" });
  assert.deepEqual((await under).payload, { still: "here" });
  const next = ask({ id: "2" });
  finish({});
  assert.equal((await next).id, "2");
});

test("a registry refuses what would surprise later", () => {
  const events = new EventRegistry();
  const handle = () => ({});
  for (const [wrong, words] of [
    [undefined, /register takes an object/],
    [{ name: "do:it" }, /handle is a function/],
    [{ name: "it", handle }, /at least two words/],
    [{ name: "do:it", handle, version: "1" }, /whole number of 32 bits, not "1"/],
    [{ name: "do:it", handle, version: 1.5 }, /whole number/],
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
    /there is a handler for version 1 of "do:it" already; replace: true/,
  );
  assert.deepEqual([events.has("do:it"), events.has("do:it", 3), events.events.length], [true, false, 2]);
  assert.throws(() => new EventRegistry({ checkName: false }), /no option "checkName"/);
  assert.throws(() => new EventRegistry().onException("Error", handle), refusal("ERR_INVALID_ARGUMENT"));
});

test("a processor refuses what would surprise later", () => {
  const events = new EventRegistry();
  for (const [options, words] of [
    [{ envelope: "loose" }, /"usual", "strict" or "lenient"/],
    [{ envelope: "toString" }, /"usual", "strict" or "lenient"/],
    [{ handlerTimeoutMs: 0 }, /handlerTimeoutMs must be a number of milliseconds/],
    [{ maxInFlight: 0 }, /maxInFlight is a whole number/],
    [{ maxBytes: "1" }, /maxBytes is a whole number/],
    [{ onError: true }, /onError is a function/],
    [{ allowedOrigins: "https://a" }, /allowedOrigins/],
    [{ maxByte: 1 }, /no option "maxByte"/],
    ["x", /takes an object/],
  ])
    assert.throws(
      () => new EventProcessor(events, options),
      (error) => isFerryError(error, "ERR_INVALID_ARGUMENT") && words.test(error.message),
      String(words),
    );
  assert.throws(() => new EventProcessor({}), /takes an EventRegistry/);
  new EventProcessor(events, { handlerTimeoutMs: Infinity });
});

test("the builder refuses what receivers could not read", () => {
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
    assert.throws(wrong, refusal("ERR_INVALID_ARGUMENT"), String(wrong));
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
