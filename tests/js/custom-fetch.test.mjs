// A custom `fetch` is called as the global one is, and errors lead to the caller and to the documentation.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  BayeuxClient,
  CloudEvent,
  EventsProtocolClient,
  FerryError,
  isFerryError,
  PipelineDataSource,
  Publisher,
} from "eventferry";

const url = "https://example.com/x";
const event = () => new CloudEvent({ type: "t", source: "/s" });
const pipeline = { pipelineId: "p", pipelineAccessToken: "secret-token" };

const CALLS = {
  "Publisher.send": (fetch) => new Publisher({ url, fetch }).send(event()),
  "PipelineDataSource.publish": (fetch) => new PipelineDataSource({ ...pipeline, fetch }).publish({}),
  "EventsProtocolClient.sendEvent": (fetch) =>
    new EventsProtocolClient({ url, fetch }).sendEvent({ name: "get:x:y", version: 1, payload: {} }),
  "BayeuxClient.open": (fetch) =>
    new BayeuxClient(url, { fetch, transports: ["long-polling"], connectionTimeoutMs: 50 }).open(),
};

for (const [name, call] of Object.entries(CALLS)) {
  test(`${name} calls fetch with a URL and options, and tells why the network failed, and to whom`, async () => {
    const cause = new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") });
    let args;
    const failing = async (...all) => {
      args ??= all;
      throw cause;
    };
    const error = await waitingCaller(call, failing);
    assert.equal(args.length, 2);
    const [address, init] = args;
    assert.equal(typeof address, "string");
    assert.equal(Object.getPrototypeOf(init), Object.prototype);
    assert.equal(init.method, "POST");
    assert.ok(init.signal instanceof AbortSignal && [...new Headers(init.headers)].length > 0);
    assert.ok(new Request(address, init).url.startsWith("https://"));
    assert.ok(isFerryError(error, "ERR_NETWORK"), error.stack);
    assert.equal(error.cause, cause);
    assert.match(error.docs, /#err_network$/);
    assert.match(error.stack, /waitingCaller/);
  });
}

async function waitingCaller(call, fetch) {
  try {
    await call(fetch);
  } catch (error) {
    return error;
  }
  throw new Error("the call has not failed");
}

test("the address of the documentation is on the site of the package, which has an anchor for each code", () => {
  const { homepage } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const page = readFileSync(new URL("../../www/docs/errors.md", import.meta.url), "utf8");
  for (const code of ["ERR_NETWORK", "ERR_INVALID_ARGUMENT", "ERR_STORE", "ERR_INTERNAL"]) {
    const { docs } = new FerryError(code);
    assert.equal(docs, `${homepage}docs/errors.html#${code.toLowerCase()}`);
    assert.match(page, new RegExp(`^### ${code}$`, "m"));
  }
});
