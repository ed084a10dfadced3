// `eventferry/lambda`: events as a function URL, an HTTP API and a REST API shape them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { CloudEvent, toBatch, toBinary, toStructured, webhook } from "eventferry/cloudevents";
import { batchFromLambda, fromLambda, toLambdaHandler } from "eventferry/lambda";

const event = new CloudEvent({ id: "1", type: "t", source: "/s", subject: "Å", data: { text: "Euro €" } });
const bytesOf = (body) => (typeof body === "string" ? Buffer.from(body) : Buffer.from(body ?? ""));
const text = (body) => ({ body: bytesOf(body).toString(), isBase64Encoded: false });
const base64 = (body) => ({ body: bytesOf(body).toString("base64"), isBase64Encoded: true });

/** Payload format 2.0, of function URLs and HTTP APIs. */
const v2 = ({ headers, body }, { encode = text, method = "POST", ...more } = {}) => ({
  version: "2.0",
  routeKey: "$default",
  rawPath: "/hooks/a%20b",
  rawQueryString: "a=1&b=%20",
  headers: { host: "abc.lambda-url.eu-west-1.on.aws", "x-forwarded-proto": "https", ...headers },
  requestContext: {
    accountId: "anonymous",
    http: { method, path: "/hooks/a b", protocol: "HTTP/1.1" },
    stage: "$default",
  },
  ...encode(body),
  ...more,
});

/** Payload format 1.0, of REST APIs: each header twice. */
const v1 = ({ headers, body }, { encode = text, method = "POST", ...more } = {}) => {
  const all = { Host: "abc.execute-api.eu-west-1.amazonaws.com", ...headers };
  return {
    resource: "/{proxy+}",
    path: "/hooks/a",
    httpMethod: method,
    headers: all,
    multiValueHeaders: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]])),
    queryStringParameters: { a: "2", b: " " },
    multiValueQueryStringParameters: { a: ["1", "2"], b: [" "] },
    requestContext: { stage: "prod", httpMethod: method },
    ...encode(body),
    ...more,
  };
};

const SHAPES = [
  ["function URL and HTTP API, text", v2],
  ["function URL and HTTP API, Base64", (message, more) => v2(message, { encode: base64, ...more })],
  ["REST API, text", v1],
  ["REST API, Base64", (message, more) => v1(message, { encode: base64, ...more })],
  ["HTTP API with format 1.0", (message, more) => v1(message, { version: "1.0", ...more })],
  ["REST API, single headers only", (message, more) => v1(message, { multiValueHeaders: null, ...more })],
];

const receiver = (options = {}) => {
  const received = [];
  const handle = webhook({
    allowedOrigins: ["sender.example"],
    onEvent: (event, { env, ctx }) => void received.push([event, env, ctx]),
    ...options,
  });
  return { handler: toLambdaHandler(handle), received };
};

for (const [name, shape] of SHAPES) {
  test(`${name}: all three modes, the handshake and 413`, async () => {
    const { handler, received } = receiver({ maxBytes: 1000 });
    for (const message of [toBinary(event), toStructured(event), toBatch([event])]) {
      const answer = await handler(shape(message));
      assert.deepEqual(answer, { statusCode: 204, headers: {}, body: "", isBase64Encoded: false });
    }
    assert.equal(received.length, 3);
    for (const [one] of received) assert.ok(one.equals(event));
    const ask = { headers: { "WebHook-Request-Origin": "sender.example" }, body: undefined };
    const consent = await handler(shape(ask, { method: "OPTIONS", body: null, isBase64Encoded: false }));
    assert.deepEqual([consent.statusCode, consent.headers["webhook-allowed-origin"]], [200, "sender.example"]);
    const large = await handler(shape({ ...toStructured(event), body: " ".repeat(2000) }));
    assert.deepEqual([large.statusCode, large.body], [413, "the body is larger than the limit of 1000 bytes\n"]);
    for (const read of [fromLambda, async (given) => (await batchFromLambda(given)).at(0)])
      assert.ok((await read(shape(toBinary(event)))).equals(event));
  });
}

test("target, cookies and repeated headers arrive", async () => {
  const seen = [];
  const handler = toLambdaHandler((request, env, ctx) => {
    seen.push([request.url, request.headers.get("cookie"), request.headers.get("x-twice"), request.method, env, ctx]);
    return new Response(null, {
      status: 202,
      headers: [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ],
    });
  });
  const context = { awsRequestId: "r" };
  const second = v2({ headers: { "x-twice": "1,2" }, body: "x" }, { cookies: ["c=1", "d=2"] });
  assert.deepEqual(await handler(second, context), {
    statusCode: 202,
    headers: {},
    cookies: ["a=1", "b=2"],
    body: "",
    isBase64Encoded: false,
  });
  const first = v1({ headers: {}, body: "x" });
  first.multiValueHeaders["x-twice"] = ["1", "2"];
  assert.deepEqual((await handler(first, context)).multiValueHeaders, { "set-cookie": ["a=1", "b=2"] });
  assert.deepEqual(seen, [
    ["https://abc.lambda-url.eu-west-1.on.aws/hooks/a%20b?a=1&b=%20", "c=1; d=2", "1,2", "POST", second, context],
    ["https://abc.execute-api.eu-west-1.amazonaws.com/hooks/a?a=1&a=2&b=+", null, "1, 2", "POST", first, context],
  ]);
});

test("bodies are the bytes that arrived, and compressed ones are inflated", async () => {
  const { handler, received } = receiver();
  const { headers, body } = toStructured(event);
  const message = { headers: { ...headers, "content-encoding": "gzip" }, body: gzipSync(body) };
  assert.equal((await handler(v2(message, { encode: base64 }))).statusCode, 204);
  const binary = new CloudEvent({
    type: "t",
    source: "/s",
    datacontenttype: "image/png",
    data: Uint8Array.of(0, 255, 128),
  });
  assert.equal((await handler(v2(toBinary(binary), { encode: base64 }))).statusCode, 204);
  assert.deepEqual(received[1][0].dataBytes, Uint8Array.of(0, 255, 128));
});

test("a response of bytes is Base64, and one of text is text", async () => {
  const answer = (body) => toLambdaHandler(() => new Response(body))(v2({ headers: {} }));
  assert.deepEqual(await answer(Uint8Array.of(0, 255)), {
    statusCode: 200,
    headers: {},
    body: "AP8=",
    isBase64Encoded: true,
  });
  assert.deepEqual((await answer("Euro €")).body, "Euro €");
});

test("a body with wrong Base64 is answered with 400 and a reason, and read as such", async () => {
  const { handler, received } = receiver();
  const wrong = v2(toStructured(event), { body: "a%b", isBase64Encoded: true });
  const answer = await handler(wrong);
  assert.deepEqual(
    [answer.statusCode, answer.body],
    [400, "the body is not Base64, although isBase64Encoded is true\n"],
  );
  await assert.rejects(fromLambda(wrong), { code: "ERR_INVALID_DATA", culprit: "peer" });
  const noUrl = v2(toStructured(event));
  noUrl.headers.host = "a b";
  assert.equal((await handler(noUrl)).statusCode, 400);
  assert.deepEqual(received, []);
});

test("an event of another trigger is a mistake of the configuration", async () => {
  const { handler } = receiver();
  const problem = {
    code: "ERR_INVALID_ARGUMENT",
    message: /^event must be an event of a function URL or of API Gateway/,
  };
  for (const other of [{ Records: [] }, { records: {} }, null, undefined, "x"])
    await assert.rejects(handler(other), problem);
  await assert.rejects(handler(v2({ headers: {} }, { encode: () => ({ body: {} }) })), /event.body must be a string/);
  assert.throws(() => toLambdaHandler({}), /^FerryError: handler must be a function/);
});

test("200 requests at once are all answered", async () => {
  const { handler, received } = receiver();
  const answers = Array.from({ length: 200 }, (_, at) => handler(v2(toBinary(event.with({ id: `${at}` })))));
  for (const { statusCode } of await Promise.all(answers)) assert.equal(statusCode, 204);
  assert.equal(new Set(received.map(([{ id }]) => id)).size, 200);
});
