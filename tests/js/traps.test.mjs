// Traps of the engine. No input is known that causes one, so a module with one instruction takes its place.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, isFerryError, Publisher } from "eventferry";
import { codecs, publish } from "../../dist/entries/node/internals.js";
import { EngineModule } from "../../dist/engine/module.js";
import { Pump } from "../../dist/engine/pump.js";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const text = '{"specversion":"1.0","id":"1","source":"/s","type":"t"}';
/** (module (func (export "f") unreachable)) */
const UNREACHABLE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
]);
const trap = new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f;
const provokeTrap = (module) =>
  assert.throws(
    () => module.call(trap),
    (error) => isFerryError(error, "ERR_INTERNAL") && error.cause instanceof WebAssembly.RuntimeError,
  );

test("after a trap the instance is replaced, and events decoded before stay intact", () => {
  const before = CloudEvent.fromJSON(text);
  const { exports } = codecs;
  provokeTrap(codecs);
  assert.notEqual(codecs.exports, exports);
  assert.equal(before.id, "1");
  assert.equal(CloudEvent.fromJSON(text).type, "t");
});

test("everything works after a thousand traps", () => {
  for (let round = 0; round < 1000; round++) {
    provokeTrap(codecs);
    if (round % 100 === 0) assert.equal(CloudEvent.fromJSON(text).id, "1");
  }
  assert.equal(CloudEvent.fromJSON(text).id, "1");
});

test("a trap rejects the calls in progress, and the client works afterwards", async () => {
  let respond = () => new Promise(() => {});
  const publisher = new Publisher({ url: "https://example.com/", fetch: () => respond() });
  const pending = publisher.send(CloudEvent.fromJSON(text));
  await sleep();
  const rejected = assert.rejects(pending, { code: "ERR_INTERNAL", culprit: "internal" });
  provokeTrap(publish);
  await rejected;
  respond = async () => new Response(null, { status: 202 });
  assert.equal((await publisher.send(CloudEvent.fromJSON(text))).status, 202);
  publisher.close();
});

test("the end of an exchange from before a trap is not taken for that of a new one with the same id", async () => {
  const responses = [() => new Promise(() => {}), async () => new Response(null, { status: 202 })];
  const publisher = new Publisher({ url: "https://example.com/", fetch: () => responses.shift()() });
  const broken = assert.rejects(publisher.send(CloudEvent.fromJSON(text)), { code: "ERR_INTERNAL" });
  provokeTrap(publish);
  // Immediately: the ids of the new engine start at 1 again.
  const { status } = await publisher.send(CloudEvent.fromJSON(text));
  assert.equal(status, 202);
  await broken;
  publisher.close();
});

test("a response that arrives after a trap is ignored", async () => {
  let respond;
  const publisher = new Publisher({
    url: "https://example.com/",
    fetch: () => new Promise((resolve) => (respond = () => resolve(new Response("x", { status: 202 })))),
  });
  const rejected = assert.rejects(publisher.send(CloudEvent.fromJSON(text)), { code: "ERR_INTERNAL" });
  await sleep();
  provokeTrap(publish);
  respond();
  await rejected;
  await sleep(5);
  publisher.close();
});

/** A pump whose machines, counted from 1, handle an input with `handle(effects, machine)`. The handler is `note`. */
function pumpOf(handle, note) {
  const glue = { initSync() {}, exportsNow: () => ({}), __wbg_reset_state() {} };
  const module = new EngineModule("fake", glue);
  module.source = () => new Uint8Array();
  let machines = 0;
  const makePort = (_glue, effects) => {
    const machine = ++machines;
    return { input: () => handle(effects, machine), free() {} };
  };
  return { module, pump: new Pump({ module, makePort, fetch: undefined, handlers: { note }, onReset() {} }) };
}

test("the outputs of a machine that trapped are not carried out for the next one", () => {
  const noted = [];
  const handle = (effects, machine) => {
    effects.note(machine);
    if (machine === 1) trap();
  };
  const { pump } = pumpOf(handle, (machine) => noted.push(machine));
  assert.throws(() => pump.send((port) => port.input()), { code: "ERR_INTERNAL" });
  pump.send((port) => port.input());
  assert.deepEqual(noted, [2]);
});

test("after a trap in a handler the outputs of the old machine are dropped, and all of the new one carried out", () => {
  const noted = [];
  const handle = (effects, machine) => {
    for (const output of ["a", "b", "c"]) effects.note(`${machine}${output}`);
  };
  const { module, pump } = pumpOf(handle, (output) => {
    noted.push(output);
    if (output !== "1b") return;
    provokeTrap(module);
    pump.send((port) => port.input());
  });
  pump.send((port) => port.input());
  assert.deepEqual(noted, ["1a", "1b", "2a", "2b", "2c"]);
});

test("a request that is being signed when its client closes leaves no unhandled rejection", async () => {
  const unhandled = [];
  const onUnhandled = (error) => unhandled.push(error);
  process.on("unhandledRejection", onUnhandled);
  const { pump } = pumpOf(
    (effects) => effects.note(),
    () => {
      pump.close();
      pump.startExchange(1, Promise.reject(new Error("no signature")));
    },
  );
  pump.send((port) => port.input());
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onUnhandled);
  assert.deepEqual(unhandled, []);
});

test("growth of the memory does not change events decoded before", () => {
  const small = CloudEvent.fromJSON(text);
  const large = CloudEvent.fromJSON(
    `{"specversion":"1.0","id":"2","source":"/s","type":"t","data":"${"x".repeat(3_000_000)}"}`,
  );
  assert.deepEqual([small.id, large.id, large.data.length], ["1", "2", 3_000_000]);
  assert.throws(() => CloudEvent.fromJSON("x".repeat(128 * 1024 * 1024 + 1)), { code: "ERR_TOO_LARGE" });
  assert.equal(CloudEvent.fromJSON(text).id, "1");
});

test("a trap during an abort or close rejects the calls in progress and causes no uncaught error", async () => {
  const uncaught = [];
  const onUncaught = (error) => uncaught.push(error);
  process.on("uncaughtException", onUncaught);
  const { prototype } = publish.glue.CallsPort;
  const original = { input: prototype.input };
  try {
    const publisher = new Publisher({ url: "https://example.com/", fetch: () => new Promise(() => {}) });
    const controller = new AbortController();
    const pending = publisher.send(CloudEvent.fromJSON(text), { signal: controller.signal });
    const rejected = assert.rejects(pending, { code: "ERR_INTERNAL" });
    await sleep();
    prototype.input = trap;
    controller.abort();
    await rejected;
    const other = publisher.send(CloudEvent.fromJSON(text));
    const ended = assert.rejects(other, { code: "ERR_INTERNAL" });
    await sleep();
    publisher.close();
    await ended;
    await assert.rejects(publisher.send(CloudEvent.fromJSON(text)), { code: "ERR_CLOSED" });
    await sleep(5);
    assert.deepEqual(uncaught, []);
  } finally {
    Object.assign(prototype, original);
    process.off("uncaughtException", onUncaught);
  }
});
