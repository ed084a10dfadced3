// Bodies with a content encoding.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { CloudEvent, Publisher } from "eventferry";
import { batchFromRequest, fromRequest, webhook } from "eventferry/cloudevents";

const url = "https://hook.example/";
const text = '{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":1}}';
const request = (body, encoding, type = "application/cloudevents+json") =>
  new Request(url, { method: "POST", headers: { "content-type": type, "content-encoding": encoding }, body });

test("gzip and deflate are undone by all readers of a request", async () => {
  const both = gzipSync(deflateSync(text));
  for (const [encoding, body] of [
    ["gzip", gzipSync(text)],
    ["GZIP", gzipSync(text)],
    ["x-gzip", gzipSync(text)],
    ["deflate", deflateSync(text)],
    ["identity", text],
    ["deflate, gzip", both],
    ["deflate,identity , gzip", both],
  ]) {
    assert.equal((await fromRequest(request(body, encoding))).data.n, 1, encoding);
    assert.equal((await batchFromRequest(request(body, encoding))).length, 1, encoding);
    let seen = 0;
    const handle = webhook({ allowedOrigins: "*", onEvent: () => void seen++ });
    assert.deepEqual([(await handle(request(body, encoding))).status, seen], [204, 1], encoding);
  }
});

test("an encoding that the platform does not know is an unsupported format", async () => {
  for (const [encoding, body] of [
    ["rot13", text],
    ["gzip, gzip, gzip", text],
    ["constructor", text],
    ["deflate-raw", text],
  ])
    await assert.rejects(fromRequest(request(body, encoding)), { code: "ERR_UNSUPPORTED_FORMAT" });
  const brotli = fromRequest(request(brotliCompressSync(text), "br"));
  // Whether it is known depends on the platform.
  await brotli.then(
    (event) => assert.equal(event.data.n, 1),
    (error) => assert.equal(error.code, "ERR_UNSUPPORTED_FORMAT"),
  );
});

test("a body is bounded after it was inflated, and also a broken one is refused", async () => {
  const bomb = gzipSync(Buffer.alloc(5_000_000, 0x20));
  await assert.rejects(fromRequest(request(bomb, "gzip"), { maxBytes: 100_000 }), { code: "ERR_TOO_LARGE" });
  const handle = webhook({ allowedOrigins: "*", onEvent: () => undefined });
  assert.equal((await handle(request(bomb, "gzip"))).status, 413);
  for (const body of [text, gzipSync(text).subarray(0, -5), Buffer.concat([gzipSync(text), Buffer.from("x")])])
    await assert.rejects(fromRequest(request(body, "gzip")), {
      code: "ERR_INVALID_EVENT",
      message: /content encoding "gzip"/,
    });
  assert.equal((await handle(request(text, "gzip"))).status, 400);
});

test("a response that fetch has inflated is not inflated again", async () => {
  const server = createServer((_, response) =>
    response
      .writeHead(200, { "content-type": "application/cloudevents+json", "content-encoding": "gzip" })
      .end(gzipSync(text)),
  );
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
    assert.equal((await fromRequest(response)).data.n, 1);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  const made = new Response(gzipSync(text), {
    headers: { "content-type": "application/cloudevents+json", "content-encoding": "gzip" },
  });
  assert.equal((await fromRequest(made)).data.n, 1);
});

test("an outbox that compresses delivers to a webhook", async () => {
  const seen = [];
  const handle = webhook({ allowedOrigins: "*", onEvent: ({ id }) => void seen.push(id) });
  const encodings = new Set();
  const fetch = (input, init) => {
    const request = new Request(input, init && { ...init, duplex: "half" });
    encodings.add(request.headers.get("content-encoding"));
    return handle(request);
  };
  const publisher = new Publisher({
    url,
    mode: "batch",
    fetch,
    outbox: { gzip: true, retry: { baseMs: 1, maxMs: 1 } },
  });
  const session = publisher.session();
  for (let n = 0; n < 20; n++)
    session.publish(new CloudEvent({ type: "t", source: "/s", id: String(n), data: { text: "xy".repeat(2500) } }));
  const report = await session.flush({ until: "delivered", deadlineMs: 5000 });
  await publisher.outbox.close();
  assert.deepEqual([report.delivered.length, report.dead.length, seen.length], [20, 0, 20]);
  assert.ok(encodings.has("gzip"));
});
