// The faults of the emulator, through its fetch handler.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "eventferry/cloudevents";
import { createEmulator } from "eventferry/testing";
import { event, hasCode, ORIGIN, post } from "./emulator-fixtures.mjs";
import { abortAfter, sleep, virtualClock, virtualTime } from "./virtual-clock.mjs";
import { collectGarbage } from "./garbage-collector.mjs";

virtualTime();

const deliver = (emulator, path = "/cloudevents/c", init) => post(emulator.fetch, path, toBinary(event()), init);

test("a fault responds in place of the service, the given number of times", async () => {
  const emulator = createEmulator();
  const fault = emulator.faults.add({
    match: "/cloudevents/c",
    status: 429,
    headers: { "retry-after": "3" },
    body: "slow down",
    times: 2,
  });
  assert.equal((await deliver(emulator, "/cloudevents/other")).status, 204);
  const answer = await deliver(emulator);
  assert.deepEqual([answer.status, answer.headers.get("retry-after"), await answer.text()], [429, "3", "slow down"]);
  assert.equal(emulator.faults.list.length, 1);
  await deliver(emulator);
  assert.equal(emulator.faults.list.length, 0);
  assert.equal(fault.hits, 2);
  assert.equal((await deliver(emulator)).status, 204);
  assert.equal(emulator.cloudEvents.received.length, 2);
});

test("faults match by a function, apply in the order they were added, and can be removed", async () => {
  const emulator = createEmulator();
  const first = emulator.faults.add({ match: (request) => request.headers.get("x-who") === "me", status: 500 });
  emulator.faults.add({ status: 503 });
  assert.equal((await deliver(emulator, undefined, { headers: { "x-who": "me" } })).status, 500);
  assert.equal((await deliver(emulator)).status, 503);
  first.remove();
  assert.equal((await deliver(emulator, undefined, { headers: { "x-who": "me" } })).status, 503);
  emulator.faults.clear();
  assert.equal((await deliver(emulator)).status, 204);
});

test("a fault with a probability applies to the same requests for the same seed", async () => {
  const run = async (seed) => {
    const emulator = createEmulator();
    emulator.faults.add({ status: 503, probability: 0.3, seed });
    let struck = "";
    for (let at = 0; at < 300; at++) struck += (await deliver(emulator)).status === 503 ? "x" : ".";
    return struck;
  };
  const [one, again, two] = [await run(1), await run(1), await run(2)];
  assert.equal(one, again);
  assert.notEqual(one, two);
  const hits = one.replaceAll(".", "").length;
  assert.ok(hits > 60 && hits < 120, `${hits} of 300`);
});

test("a fault delays the response, and stops waiting when the caller aborts", async () => {
  const emulator = createEmulator();
  emulator.faults.add({ delayMs: 30 });
  const start = virtualClock().now();
  assert.equal((await deliver(emulator)).status, 204);
  assert.equal(virtualClock().now() - start, 30);
  emulator.faults.clear();
  emulator.faults.add({ delayMs: 60_000 });
  await assert.rejects(deliver(emulator, undefined, { signal: abortAfter(20) }), { name: "TimeoutError" });
  await assert.rejects(deliver(emulator, undefined, { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.equal(emulator.cloudEvents.received.length, 1);
});

test("a hanging request ends when the caller aborts or the emulator is closed", async () => {
  const emulator = createEmulator();
  emulator.faults.add({ hang: true });
  await assert.rejects(deliver(emulator, undefined, { signal: abortAfter(20) }), { name: "TimeoutError" });
  const hanging = assert.rejects(deliver(emulator), TypeError);
  await sleep(10);
  await emulator.close();
  await hanging;
});

test("a fault breaks the connection before or after the event is stored", async () => {
  const emulator = createEmulator();
  emulator.faults.add({ reset: true, times: 1 });
  await assert.rejects(deliver(emulator), TypeError);
  assert.equal(emulator.cloudEvents.received.length, 0);
  emulator.faults.add({ after: "store", reset: true, times: 1 });
  await assert.rejects(deliver(emulator), TypeError);
  assert.equal(emulator.cloudEvents.received.length, 1);
  emulator.faults.add({ after: "store", status: 500, times: 1 });
  assert.equal((await deliver(emulator)).status, 500);
  assert.equal(emulator.cloudEvents.received.length, 2);
});

test("a fault truncates a response body", async () => {
  const emulator = createEmulator();
  await deliver(emulator);
  emulator.faults.add({ cutBodyAfter: 10 });
  const answer = await emulator.fetch(`${ORIGIN}/cloudevents/c/events`);
  const reader = answer.body.getReader();
  assert.equal((await reader.read()).value.length, 10);
  await assert.rejects(reader.read(), TypeError);
  await assert.rejects(deliver(emulator), TypeError, "an answer without a body is reset");
  emulator.faults.clear();
  emulator.faults.add({ body: "short", cutBodyAfter: 100 });
  await assert.rejects((await deliver(emulator)).text(), TypeError);
});

test("a fault adds headers to the response of the service", async () => {
  const emulator = createEmulator();
  emulator.faults.add({ headers: { "x-odd": "1" } });
  const answer = await deliver(emulator);
  assert.deepEqual([answer.status, answer.headers.get("x-odd")], [204, "1"]);
});

test("invalid and contradictory faults are refused", () => {
  const { faults } = createEmulator();
  const bad = [
    null,
    {},
    { times: 1 },
    { status: 99 },
    { status: 600 },
    { status: 503.5 },
    { status: 500, times: 0 },
    { status: 500, probability: 2 },
    { status: 500, seed: 0.5 },
    { delayMs: -1 },
    { delayMs: 2 ** 31 },
    { hang: true, reset: true },
    { hang: true, status: 500 },
    { reset: true, body: "x" },
    { hang: true, cutBodyAfter: 1 },
    { status: 204, body: "x" },
    { reset: true, after: "later" },
    { reset: true, match: 7 },
  ];
  for (const fault of bad)
    assert.throws(() => faults.add(fault), hasCode("ERR_INVALID_ARGUMENT"), JSON.stringify(fault));
  assert.equal(faults.list.length, 0);
});

test("a request that hangs rejects when its caller aborts, also after a garbage collection", async () => {
  const controller = new AbortController();
  const hanging = (async () => {
    const emulator = createEmulator();
    emulator.faults.add({ match: "/cloudevents", hang: true });
    await emulator.fetch("http://emulator/cloudevents", { signal: controller.signal });
  })();
  const rejected = assert.rejects(hanging, { message: "given up" });
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  }
  controller.abort(new Error("given up"));
  await rejected;
});
