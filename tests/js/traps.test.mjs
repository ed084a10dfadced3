// What happens when the engine itself breaks. No input is known that makes it trap, so a module of one instruction does
// it in its place, behind the same door.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, Publisher, isFerryError } from "eventferry";
import { call, engine, fullGlue } from "../../dist/engine/instance.js";

const text = '{"specversion":"1.0","id":"1","source":"/s","type":"t"}';
/** (module (func (export "f") unreachable)) */
const UNREACHABLE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
]);
const trap = new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f;
const provoke = () =>
  assert.throws(
    () => call(trap),
    (error) => isFerryError(error, "ERR_INTERNAL") && error.cause instanceof WebAssembly.RuntimeError,
  );

test("after a trap the instance is replaced, and events decoded before stay whole", () => {
  const before = CloudEvent.fromJSON(text);
  const old = engine();
  provoke();
  assert.notEqual(engine(), old);
  assert.equal(before.id, "1");
  assert.equal(CloudEvent.fromJSON(text).type, "t");
});

test("a thousand traps in a row leave everything working", () => {
  for (let round = 0; round < 1000; round++) {
    provoke();
    if (round % 100 === 0) assert.equal(CloudEvent.fromJSON(text).id, "1");
  }
  assert.equal(CloudEvent.fromJSON(text).id, "1");
});

test("a trap rejects what was under way, and the client goes on afterwards", async () => {
  let answer = () => new Promise(() => {});
  const publisher = new Publisher({ url: "https://example.com/", fetch: () => answer() });
  const pending = publisher.send(CloudEvent.fromJSON(text));
  await new Promise((resolve) => setTimeout(resolve));
  const rejected = assert.rejects(pending, { code: "ERR_INTERNAL", culprit: "internal" });
  provoke();
  await rejected;
  answer = async () => new Response(null, { status: 202 });
  assert.equal((await publisher.send(CloudEvent.fromJSON(text))).status, 202);
  publisher.close();
});

test("the end of what a trap broke off is not taken for that of what has its number now", async () => {
  let answers = [() => new Promise(() => {}), async () => new Response(null, { status: 202 })];
  const publisher = new Publisher({ url: "https://example.com/", fetch: () => answers.shift()() });
  const broken = assert.rejects(publisher.send(CloudEvent.fromJSON(text)), { code: "ERR_INTERNAL" });
  provoke();
  // In the same breath: the new engine counts from the beginning.
  const { status } = await publisher.send(CloudEvent.fromJSON(text));
  assert.equal(status, 202);
  await broken;
  publisher.close();
});

test("an answer that comes after a trap hurts nobody", async () => {
  let answer;
  const publisher = new Publisher({
    url: "https://example.com/",
    fetch: () => new Promise((resolve) => (answer = () => resolve(new Response("x", { status: 202 })))),
  });
  const rejected = assert.rejects(publisher.send(CloudEvent.fromJSON(text)), { code: "ERR_INTERNAL" });
  await new Promise((resolve) => setTimeout(resolve));
  provoke();
  answer();
  await rejected;
  await new Promise((resolve) => setTimeout(resolve, 5));
  publisher.close();
});

test("growing the memory does not disturb what was read", () => {
  const small = CloudEvent.fromJSON(text);
  const large = CloudEvent.fromJSON(
    `{"specversion":"1.0","id":"2","source":"/s","type":"t","data":"${"x".repeat(3_000_000)}"}`,
  );
  assert.deepEqual([small.id, large.id, large.data.length], ["1", "2", 3_000_000]);
  assert.throws(() => CloudEvent.fromJSON("x".repeat(128 * 1024 * 1024 + 1)), { code: "ERR_TOO_LARGE" });
  assert.equal(CloudEvent.fromJSON(text).id, "1");
});

test("an engine that breaks while a call is given up or the client is closed: nobody hears of it but those who wait", async () => {
  const strays = [];
  const note = (error) => strays.push(error);
  process.on("uncaughtException", note);
  const { prototype } = fullGlue().CallsPort;
  const original = { cancel: prototype.cancel, close: prototype.close };
  try {
    const publisher = new Publisher({ url: "https://example.com/", fetch: () => new Promise(() => {}) });
    const controller = new AbortController();
    const pending = publisher.send(CloudEvent.fromJSON(text), { signal: controller.signal });
    const rejected = assert.rejects(pending, { code: "ERR_INTERNAL" });
    await new Promise((resolve) => setTimeout(resolve));
    prototype.cancel = prototype.close = trap;
    controller.abort();
    await rejected;
    const other = publisher.send(CloudEvent.fromJSON(text));
    const ended = assert.rejects(other, { code: "ERR_INTERNAL" });
    await new Promise((resolve) => setTimeout(resolve));
    publisher.close();
    await ended;
    await assert.rejects(publisher.send(CloudEvent.fromJSON(text)), { code: "ERR_CLOSED" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(strays, []);
  } finally {
    Object.assign(prototype, original);
    process.off("uncaughtException", note);
  }
});
