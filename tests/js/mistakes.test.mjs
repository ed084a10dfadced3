// Plausible mistakes: the message names the remedy.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { CloudEvent, fromHttp, fromRequest, Publisher, toBinary, webhook } from "eventferry";

const base = { type: "t", source: "/s" };
const url = "https://example.com/";
const received = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };

const MISTAKES = {
  "retry is a number": [
    () => new Publisher({ url, retry: 3 }),
    "retry must be an object; received 3; pass { attempts: 3 }",
  ],
  "an option of retry one level too high": [
    () => new Publisher({ url, attempts: 3 }),
    'a Publisher has no option "attempts"; did you mean retry.attempts?',
  ],
  "an option of the outbox one level too high": [
    () => new Publisher({ url, gzip: true }),
    'a Publisher has no option "gzip"; did you mean outbox.gzip?',
  ],
  "a misspelt option": [() => new Publisher({ url, timeoutMS: 3 }), /did you mean "timeoutMs"\?/],
  "a mode of another library": [
    () => new Publisher({ url, mode: "json" }),
    'mode must be "binary", "structured" or "batch"; received "json"; did you mean "structured"?',
  ],
  "a host without a scheme": [
    () => new Publisher({ url: "localhost:8080/t0ken" }),
    'url must be an http or https URL; received "localhost:"; did you mean "http://localhost:8080"?',
  ],
  "a relative URL outside of a page": [() => new Publisher({ url: "/events" }), "url must be an absolute URL"],
  "a plain object as an event": [
    () => toBinary(base),
    "event must be a CloudEvent; received [object Object]; make one with new CloudEvent(event)",
  ],
  "an attribute in camel case": [() => new CloudEvent({ ...base, traceId: "x" }), /did you mean "traceid"\?$/],
  "an attribute in snake case": [() => new CloudEvent({ ...base, trace_id: "x" }), /did you mean "traceid"\?$/],
  "a name that cannot be mended": [() => new CloudEvent({ ...base, é: "x" }), /data is reserved$/],
  "a body that was parsed": [() => fromHttp(received, { n: 1 }), /it was parsed before; .*express\.raw/],
  "an array that was parsed": [() => fromHttp(received, [1]), /express\.raw/],
  "nobody decides who may deliver": [
    () => webhook({ onEvent() {} }),
    /pass allowedOrigins: "\*" to let everybody deliver$/,
  ],
};

for (const [mistake, [make, message]] of Object.entries(MISTAKES)) {
  test(`${mistake}: the message names the remedy`, () => {
    assert.throws(make, (error) => {
      assert.equal(error.name, "FerryError");
      if (typeof message === "string") assert.equal(error.message, message);
      else assert.match(error.message, message);
      assert.doesNotMatch(error.message, /t0ken/);
      return true;
    });
  });
}

test("a request of Node's http module: the message names fromHttp", async () => {
  let error;
  const server = createServer((request, response) => {
    fromRequest(request).catch((reason) => {
      error = reason;
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  await fetch(`http://127.0.0.1:${server.address().port}/`);
  server.closeAllConnections();
  server.close();
  assert.deepEqual(
    [error.code, /fromHttp\(request\.headers, body\)$/.test(error.message)],
    ["ERR_INVALID_ARGUMENT", true],
  );
  for (const message of [undefined, null, {}, { headers: {} }])
    await assert.rejects(fromRequest(message), { name: "FerryError" });
});

test("the URL of a publisher is relative to that of its page", async () => {
  globalThis.location = { href: "https://shop.example/cart?x=1" };
  try {
    let sent;
    const fetch = async (input) => {
      sent = typeof input === "string" ? input : input.url;
      return new Response(null, { status: 202 });
    };
    await new Publisher({ url: "/events", fetch }).send(new CloudEvent(base));
    assert.equal(sent, "https://shop.example/events");
  } finally {
    delete globalThis.location;
  }
});

test("an event of another SDK becomes an event of this one", () => {
  const foreign = {
    id: "1",
    specversion: "1.0",
    time: "2026-01-01T00:00:00.000Z",
    ...base,
    datacontenttype: undefined,
    subject: undefined,
  };
  assert.deepEqual(new CloudEvent({ ...foreign, data: { a: 1 } }).data, { a: 1 });
  const binary = new CloudEvent({
    ...foreign,
    datacontenttype: "image/png",
    data: new Uint32Array([1, 2]),
    data_base64: "AQI=",
  });
  assert.deepEqual(binary.data, new Uint8Array([1, 2]));
  assert.equal(new CloudEvent(JSON.parse(binary.toString())).equals(binary), true);
  assert.throws(() => new CloudEvent({ ...foreign, data_base64: "?" }), {
    code: "ERR_INVALID_DATA",
    culprit: "caller",
  });
});
