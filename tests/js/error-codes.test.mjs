// Each error code is provoked once, and its message is compared word by word. A new code needs an entry here.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CloudEvent, EventBatch, fromHttp, fromRequest, memoryStore, Publisher } from "eventferry";
import { GlassFlowClient } from "eventferry/glassflow";
import { publish } from "../../dist/entries/node/internals.js";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const url = "https://example.com/?token=s3cret";
const base = { type: "t", source: "/s", id: "1" };
const received = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
const answers =
  (status, headers = {}) =>
  async () =>
    new Response(null, { status, headers });
const once = { retry: { attempts: 1 } };
const send = (fetch, options) =>
  new Publisher({ url, fetch, ...once, ...options }).send(new CloudEvent(base), { signal: options?.signal });

/** A session whose publisher keeps its events in memory. */
function session(fetch, outbox = {}, options = {}) {
  return new Publisher({ url, fetch, outbox: { store: "memory", ...outbox }, ...options }).session();
}

/** The management of GlassFlow by a server that answers with `status`. */
function pipelines(status) {
  return new GlassFlowClient({ personalAccessToken: "s3cret", fetch: answers(status) });
}

/** Runs a program in a process of its own, which has no engine yet. It prints the code and the message of its error. */
function inProcess(code) {
  const program = `const report = (error) => console.log(JSON.stringify([error.code, error.message])); ${code}`;
  const printed = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  const [errorCode, message] = JSON.parse(printed);
  throw Object.assign(new Error(message), { name: "FerryError", code: errorCode });
}

/** (module (func (export "f") unreachable)) */
const UNREACHABLE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
]);

const PROVOKED = {
  ERR_MISSING_ATTRIBUTE: [() => fromHttp({ ...received, "ce-id": undefined }, ""), 'the attribute "id" is missing'],
  ERR_INVALID_ATTRIBUTE_NAME: [
    () => new CloudEvent({ ...base, trace_id: "x" }),
    'the attribute "trace_id" has an invalid name: only a-z and 0-9 are allowed, and data is reserved; did you mean "traceid"?',
  ],
  ERR_INVALID_ATTRIBUTE_VALUE: [
    () => CloudEvent.fromJSON({ ...base, specversion: "1.0", time: "yesterday" }),
    'the attribute "time" is not an RFC 3339 timestamp; the option lenient leaves such an attribute off',
  ],
  ERR_UNSUPPORTED_SPECVERSION: [
    () => new CloudEvent({ ...base, specversion: "2.0" }),
    'the attribute "specversion" is neither "1.0" nor "0.3": "2.0"',
  ],
  ERR_INVALID_EVENT: [
    () => CloudEvent.fromJSON('{"id"'),
    "the text is not an event in the JSON format: it is not JSON (at position 5)",
  ],
  ERR_INVALID_BATCH: [
    () => EventBatch.parse("{}"),
    "the text is not a batch in the JSON batch format: it is not a JSON array (at position 0)",
  ],
  ERR_INVALID_DATA: [
    () => new CloudEvent({ ...base, data: { items: new Map() } }),
    "data.items is a Map, which JSON would drop or write as {}; convert it first",
  ],
  ERR_INVALID_HEADER_VALUE: [
    () => fromHttp({ ...received, "ce-subject": "%FF" }, ""),
    'the header of the attribute "subject" is not UTF-8: "%FF"; the option lenient leaves such an attribute off',
  ],
  ERR_UNSUPPORTED_FORMAT: [
    () => fromHttp({ "content-type": "application/cloudevents+avro" }, "x"),
    'the event format of "application/cloudevents+avro" is not supported, only +json is',
  ],
  ERR_NOT_A_CLOUDEVENT: [
    () => fromHttp({ "content-type": "application/json" }, "{}"),
    "the message has no ce- headers and no content type of a CloudEvent; the option lenient reads a body in the JSON event format without them",
  ],
  ERR_NOT_CONVERTIBLE: [
    () => new CloudEvent({ ...base, specversion: "0.3", schemaurl: "/x" }).toVersion("1.0"),
    'the attribute "schemaurl" is not an absolute URI (RFC 3986): "/x"',
  ],
  ERR_TOO_LARGE: [
    () => fromRequest(new Response("12345", { headers: received }), { maxBytes: 4 }),
    "the body is larger than the limit of 4 bytes",
  ],
  ERR_INVALID_ARGUMENT: [
    () => new Publisher({ url, timeoutMs: "5s" }),
    'timeoutMs must be a number of milliseconds above 0 and up to 2147483647; received "5s"',
  ],
  ERR_NOT_INITIALIZED: [
    () =>
      inProcess(
        'import { CloudEvent } from "eventferry/slim"; try { CloudEvent.fromJSON("{}") } catch (e) { report(e) }',
      ),
    "the engine is not loaded yet: with eventferry/slim, await init({ codecs: … }) first",
  ],
  ERR_WASM_INIT: [
    () =>
      inProcess(
        'import { CloudEvent } from "eventferry"; delete globalThis.WebAssembly; try { CloudEvent.fromJSON("{}") } catch (e) { report(e) }',
      ),
    "this runtime has no WebAssembly; some browsers switch it off in a lockdown mode: WebAssembly is not defined",
  ],
  ERR_CLOSED: [
    async () => {
      const publisher = new Publisher({ url, fetch: answers(202), outbox: { store: "memory" } });
      await publisher.outbox.close();
      publisher.publish(new CloudEvent(base));
    },
    "the outbox is closed",
  ],
  ERR_ABORTED: [() => send(answers(202), { signal: AbortSignal.abort() }), "the operation was aborted"],
  ERR_TIMEOUT: [
    () => send(() => new Promise(() => undefined), { timeoutMs: 50 }),
    "POST https://example.com/: no response within the timeout",
  ],
  ERR_NETWORK: [
    () => send(() => Promise.reject(new TypeError("fetch failed"))),
    "POST https://example.com/: the request did not reach the server, or its response was lost",
  ],
  ERR_REDIRECTED: [
    () => send(answers(302, { location: "/other" })),
    "POST https://example.com/: the server responded with a redirect, which is not followed (HTTP 302)",
  ],
  ERR_UNAUTHORIZED: [
    () => send(answers(401)),
    "POST https://example.com/: the server refused the credentials (HTTP 401)",
  ],
  ERR_REJECTED: [() => send(answers(400)), "POST https://example.com/: the server refused the request (HTTP 400)"],
  ERR_NOT_FOUND: [
    () => pipelines(404).getPipeline("p-1"),
    'fetch pipeline "p-1" at https://api.glassflow.dev/v1: there is no such pipeline (HTTP 404)',
  ],
  ERR_CONFLICT: [
    () => pipelines(409).createSecret("KEY", "s3cret"),
    'create secret "KEY" at https://api.glassflow.dev/v1: there is a secret with this key (HTTP 409)',
  ],
  ERR_NOT_READY: [
    () => pipelines(425).getPipeline("p-1"),
    'fetch pipeline "p-1" at https://api.glassflow.dev/v1: the code of the pipeline is still being built; try again later (HTTP 425)',
  ],
  ERR_GONE: [() => send(answers(410)), "POST https://example.com/: the target is gone for good (HTTP 410)"],
  ERR_RATE_LIMITED: [
    () => send(answers(429)),
    "POST https://example.com/: the server limits the rate of requests (HTTP 429)",
  ],
  ERR_UNAVAILABLE: [
    () => send(answers(503)),
    "POST https://example.com/: the server could not handle the request (HTTP 503)",
  ],
  ERR_QUEUE_FULL: [
    () => {
      const full = session(answers(202), { maxBytes: 4096 });
      for (let n = 0; n < 100; n++) full.publish(new CloudEvent({ ...base, data: "x".repeat(1000) }));
    },
    "the outbox is full: it holds 3297 of 4096 bytes",
  ],
  ERR_STORE: [
    async () => {
      const store = Object.assign(memoryStore(), { open: () => Promise.reject(new Error("the disk is gone")) });
      const events = session(answers(202), { store });
      events.publish(new CloudEvent(base));
      await events.flush();
    },
    "memory: the disk is gone",
  ],
  ERR_ROLLED_BACK: [
    () => {
      const events = session(answers(202));
      const { accepted } = events.publish(new CloudEvent(base));
      events.rollback();
      return accepted;
    },
    "the event was rolled back before it was flushed",
  ],
  ERR_EXPIRED: [
    async () => {
      const events = session(answers(503), { retry: { maxAgeMs: 30 } });
      const { delivered } = events.publish(new CloudEvent(base));
      await Promise.all([events.flush({ until: "delivered" }), delivered]);
    },
    "the event was not delivered within its maximum age",
  ],
  ERR_EXPIRYTIME: [
    async () => {
      const events = session(answers(503));
      const { delivered } = events.publish(new CloudEvent({ ...base, expirytime: "2020-01-01T00:00:00Z" }));
      await Promise.all([events.flush({ until: "delivered" }), delivered]);
    },
    "the expirytime of the event has passed",
  ],
  ERR_DROPPED: [
    () => session(answers(202), {}, { beforeSend: () => null }).publish(new CloudEvent(base)).delivered,
    "beforeSend dropped the event",
  ],
  ERR_INTERNAL: [
    () => publish.call(new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f),
    "the engine stopped because of a bug and was reset",
  ],
};

test("every error code is provoked below", () => {
  const source = readFileSync(new URL("../../js/engine/generated/tables.ts", import.meta.url), "utf8");
  const codes = [...source.matchAll(/^ {2}\["(ERR_\w+)", "/gm)].map(([, code]) => code);
  assert.ok(codes.length >= 31);
  assert.deepEqual(Object.keys(PROVOKED), codes);
});

for (const [code, [provoke, message]] of Object.entries(PROVOKED)) {
  test(`${code} has the message that helps`, async () => {
    const error = await Promise.resolve()
      .then(provoke)
      .then(
        () => assert.fail("nothing was thrown"),
        (error) => error,
      );
    assert.equal(error.name, "FerryError", error.stack);
    assert.equal(error.code, code);
    assert.equal(error.message, message);
    assert.doesNotMatch(`${error.stack}`, /s3cret/);
  });
}
