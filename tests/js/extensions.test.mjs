// The documented extension attributes: replies, and the trace of OpenTelemetry.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { CloudEvent, memoryStore, Publisher, traceContext } from "eventferry";
import { createEmulator } from "eventferry/testing";

const base = { type: "com.example.made", source: "/orders" };
const API = Symbol.for("opentelemetry.js.api.1");
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

afterEach(() => delete globalThis[API]);

/** Registers what `@opentelemetry/api` registers, with an active span. */
function register(spanContext) {
  const span = { spanContext: () => spanContext };
  const context = { getValue: (key) => (key === Symbol.for("OpenTelemetry Context Key SPAN") ? span : undefined) };
  globalThis[API] = { version: "1.9.0", context: { active: () => context } };
}

test("a reply has the id of its cause, the correlation of the first event, and its trace", () => {
  const trace = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "a=1" };
  const first = new CloudEvent({ ...base, id: "1", ...trace });
  const second = first.reply({ ...base, id: "2", data: { n: 1 } });
  const third = second.reply({ type: "t", source: "/s", id: "3" });
  assert.deepEqual({ ...second.extensions }, { correlationid: "1", causationid: "1", ...trace });
  assert.deepEqual({ ...third.extensions }, { correlationid: "1", causationid: "2", ...trace });
  assert.deepEqual(second.data, { n: 1 });
  const own = first.reply({ ...base, correlationid: "mine", traceparent: null, tracestate: null });
  assert.deepEqual({ ...own.extensions }, { correlationid: "mine", causationid: "1" });
  const plain = new CloudEvent({ ...base, id: "4", specversion: "0.3" }).reply(base);
  assert.deepEqual([plain.specversion, { ...plain.extensions }], ["0.3", { correlationid: "4", causationid: "4" }]);
  assert.throws(() => first.reply({ source: "/s" }), { code: "ERR_MISSING_ATTRIBUTE", attribute: "type" });
});

test("the trace context is that of the active span, and empty without a valid one", () => {
  assert.deepEqual({ ...traceContext() }, {});
  register({ traceId: TRACE, spanId: SPAN, traceFlags: 1, traceState: { serialize: () => "b=2" } });
  assert.deepEqual(traceContext(), { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "b=2" });
  register({ traceId: TRACE, spanId: SPAN, traceFlags: 0 });
  assert.deepEqual(traceContext(), { traceparent: `00-${TRACE}-${SPAN}-00` });
  for (const wrong of [
    undefined,
    { traceId: "0".repeat(32), spanId: SPAN },
    { traceId: TRACE, spanId: "x".repeat(16) },
  ]) {
    register(wrong);
    assert.deepEqual({ ...traceContext() }, {});
  }
  for (const api of [{}, { context: {} }, { context: { active: () => undefined } }]) {
    globalThis[API] = api;
    assert.deepEqual({ ...traceContext() }, {});
  }
});

test("events that are sent and published have the trace of their code, unless they have their own", async () => {
  const emulator = createEmulator();
  const publisher = new Publisher({
    url: "http://emulator/cloudevents",
    fetch: emulator.fetch,
    outbox: { store: memoryStore() },
  });
  const received = () => emulator.cloudEvents.received.map(({ event }) => [event.id, event.get("traceparent")]);
  await publisher.send(new CloudEvent({ ...base, id: "before" }));
  register({ traceId: TRACE, spanId: SPAN, traceFlags: 1 });
  const traceparent = `00-${TRACE}-${SPAN}-01`;
  await publisher.send(new CloudEvent({ ...base, id: "one" }));
  await publisher.send([new CloudEvent({ ...base, id: "two" })]);
  const session = publisher.session();
  session.publish(new CloudEvent({ ...base, id: "three" }));
  session.publish(new CloudEvent({ ...base, id: "own", traceparent: "00-1" }));
  // The span may have ended when events are flushed.
  delete globalThis[API];
  await session.flush({ until: "delivered" });
  assert.deepEqual(received(), [
    ["before", undefined],
    ["one", traceparent],
    ["two", traceparent],
    ["three", traceparent],
    ["own", "00-1"],
  ]);
  publisher.close();
});
