// `eventferry/node` with node:http alone. `tests/runtimes/servers.mjs` has the frameworks. On real time, because sockets are.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { CloudEvent, fromRequest, toBinary, toStructured, webhook } from "eventferry/cloudevents";
import { batchFromIncoming, fromIncoming, toNodeHandler } from "eventferry/node";
import { SERVER_CASES } from "./server-cases.mjs";

/** The server of the cases. */
async function start({ handle, read }) {
  const hooks = toNodeHandler(handle, { onError: () => undefined });
  const server = createServer((request, response) =>
    request.url === "/read" ? read(request, response) : hooks(request, response),
  );
  return listen(server);
}

async function listen(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { port: server.address().port, close };
}

for (const [name, run] of SERVER_CASES) test(`node:http: ${name}`, () => run(start));

const event = new CloudEvent({ id: "1", type: "t", source: "/s", data: { n: 1 } });
const structured = toStructured(event);

/** Serves one listener, sends it a request, and resolves to the text of the answer. */
async function answerTo(listener, init, path = "/hooks") {
  const server = await listen(createServer(listener));
  try {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method: "POST", ...init });
    return [response.status, await response.text()];
  } finally {
    await server.close();
  }
}

/** What `fromIncoming` makes of a request whose body a framework has read: `parse` makes `body` and `rawBody` of it. */
async function readAfter(parse, init) {
  const listener = async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    Object.assign(request, parse(Buffer.concat(chunks)));
    try {
      response.end(JSON.stringify((await fromIncoming(request)).data ?? null));
    } catch (error) {
      response.end(`${error.code}: ${error.message}`);
    }
  };
  return (await answerTo(listener, init))[1];
}

const sent = (data) => ({
  ...structured,
  body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":${data}}`,
});
const asJson = (bytes) => ({ body: JSON.parse(bytes) });
const PARSED = /^ERR_INVALID_ARGUMENT: the body of the request was parsed before, .*express\.raw/;

test("a body that was read before is taken if that was lossless", async () => {
  for (const [name, parse] of [
    ["bytes", (body) => ({ body })],
    ["text", (bytes) => ({ body: bytes.toString() })],
    ["a value of JSON", asJson],
    ["bytes beside what was parsed", (rawBody) => ({ rawBody, body: { other: true } })],
  ]) {
    assert.equal(
      await readAfter(parse, sent('{"n":1,"card":"4111111111111111"}')),
      '{"n":1,"card":"4111111111111111"}',
      name,
    );
  }
  assert.equal(await readAfter(asJson, toBinary(event)), '{"n":1}');
});

test("a parsed body that may have lost something is refused with the way to read it unparsed", async () => {
  for (const [name, parse, init] of [
    ["white space", asJson, sent('{"n": 1}')],
    ["digits", asJson, sent("12345678901234567890")],
    ["a number in another form", asJson, sent("1.0")],
    [
      "characters that are not UTF-8",
      (bytes) => ({ body: bytes.toString() }),
      { ...sent('"?"'), body: Buffer.from([0x22, 0xff, 0x22]) },
    ],
    ["fields of a form", () => ({ body: { a: "1" } }), { body: "a=1" }],
    ["nothing but an empty object", () => ({ body: {} }), structured],
  ]) {
    assert.match(await readAfter(parse, init), PARSED, name);
  }
  const unread = await readAfter(() => ({}), structured);
  assert.equal(
    unread,
    "ERR_INVALID_ARGUMENT: the body of the request was read before; call the adapter before anything reads the body",
  );
});

test("bytes that a parser has inflated are not inflated again, and others are", async () => {
  const body = gzipSync(structured.body);
  const init = { headers: { ...structured.headers, "content-encoding": "gzip" }, body };
  const chunked = () => ({ ...init, body: new Blob([body]).stream(), duplex: "half" });
  const inflated = () => ({ body: Buffer.from(structured.body) });
  const asSent = (body) => ({ body });
  for (const [parse, request] of [
    [inflated, init],
    [inflated, chunked()],
    [asSent, init],
    [asSent, chunked()],
  ]) {
    assert.equal(await readAfter(parse, request), '{"n":1}');
  }
});

test("a request whose body was read costs its answer and no process", async () => {
  const errors = [];
  const handler = toNodeHandler(webhook({ allowedOrigins: "*", onEvent: () => undefined }), {
    onError: (error) => errors.push(error.message),
  });
  const listener = async (request, response) => {
    for await (const _ of request);
    handler(request, response);
  };
  assert.deepEqual(await answerTo(listener, structured), [500, "the request could not be handled\n"]);
  assert.match(errors[0], /call the adapter before anything reads the body/);
  const next = [];
  const withNext = async (request, response) => {
    for await (const _ of request);
    toNodeHandler(() => new Response())(request, response, (error) => response.end(String(next.push(error.code))));
  };
  assert.deepEqual(await answerTo(withNext, structured), [200, "1"]);
  assert.deepEqual(next, ["ERR_INVALID_ARGUMENT"]);
});

test("a response that was already sent fails the handler and not the process", async () => {
  const errors = [];
  const handler = toNodeHandler(async () => new Response("late"), { onError: (error) => errors.push(error.code) });
  const listener = (request, response) => {
    response.end("first");
    handler(request, response);
  };
  assert.deepEqual(await answerTo(listener, structured), [200, "first"]);
  while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.deepEqual(errors, ["ERR_HTTP_HEADERS_SENT"]);
});

test("a client that has left before the handler is called ends the body and aborts the signal", async () => {
  const seen = [];
  const handler = toNodeHandler(async (request) => {
    seen.push(request.signal.aborted, await request.text().catch((error) => error.message));
    return new Response("for nobody");
  });
  const server = await listen(
    createServer(async (request, response) => {
      request.on("error", () => undefined);
      while (!request.destroyed) await new Promise((resolve) => setTimeout(resolve, 2));
      handler(request, response);
      await assert.rejects(fromIncoming(request), { code: "ERR_NETWORK" });
      seen.push("read");
    }),
  );
  try {
    const socket = connect(server.port, "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
    setTimeout(() => socket.destroy(), 50);
    while (seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual(seen.sort(), ["read", "the request was aborted by the client", true]);
  } finally {
    await server.close();
  }
});

test("the handler gets the target, the headers and the objects of the server", async () => {
  const seen = [];
  const handler = toNodeHandler(async (request, incoming, outgoing) => {
    seen.push(request.url, request.headers.get("x-twice"), incoming.method, typeof outgoing.setHeader);
    const headers = new Headers({ "x-one": "1" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    return new Response((await fromRequest(request)).id, { status: 202, headers });
  });
  const server = await listen(createServer(handler));
  try {
    const response = await fetch(`http://127.0.0.1:${server.port}/hooks?a=1&b=%20`, { method: "POST", ...structured });
    assert.deepEqual(
      [response.status, await response.text(), response.headers.getSetCookie()],
      [202, "1", ["a=1", "b=2"]],
    );
    assert.deepEqual(seen, [`http://127.0.0.1:${server.port}/hooks?a=1&b=%20`, null, "POST", "function"]);
  } finally {
    await server.close();
  }
});

test("batchFromIncoming reads any content mode", async () => {
  const listener = async (request, response) => response.end(String((await batchFromIncoming(request)).length));
  assert.deepEqual(await answerTo(listener, structured), [200, "1"]);
  const batch = { headers: { "content-type": "application/cloudevents-batch+json" }, body: `[${event},${event}]` };
  assert.deepEqual(await answerTo(listener, batch), [200, "2"]);
});

test("wrong arguments are refused with what to do", async () => {
  assert.throws(() => toNodeHandler({}), { code: "ERR_INVALID_ARGUMENT", message: /^handler must be a function/ });
  assert.throws(() => toNodeHandler(() => new Response(), { onerror: 1 }), { message: /did you mean "onError"/ });
  await assert.rejects(fromIncoming(new Request("http://x/")), { message: /read with fromRequest/ });
  await assert.rejects(fromIncoming({ headers: {} }), { message: /^request must be a request of node:http/ });
});
