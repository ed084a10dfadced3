// The emulator forwards received CloudEvents to another server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBatch, toBinary } from "eventferry/cloudevents";
import { createEmulator, isFerryError } from "eventferry/testing";
import { event, hasCode, ORIGIN, post } from "./emulator-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("events are forwarded in order and in the requested mode, and counted", async () => {
  const [first, second] = [createEmulator(), createEmulator()];
  const same = first.cloudEvents.forwardTo(`${ORIGIN}/cloudevents/same`, {
    fetch: second.fetch,
    headers: { "x-by": "test" },
  });
  const structured = first.cloudEvents.forwardTo(`${ORIGIN}/cloudevents/structured`, {
    fetch: second.fetch,
    mode: "structured",
  });
  second.faults.add({ match: "/cloudevents/same", status: 503, times: 1 });
  await post(first.fetch, "/cloudevents", toBinary(event({ id: "refused" })));
  await post(first.fetch, "/cloudevents", toBatch([event({ id: "1" }), event({ id: "2" })]));
  await post(first.fetch, "/cloudevents", toBinary(event({ id: "3" })));
  await Promise.all([same.idle(), structured.idle()]);
  assert.deepEqual([same.delivered, same.failed, structured.delivered, structured.failed], [3, 1, 4, 0]);
  assert.ok(isFerryError(same.lastError, "ERR_REJECTED"));
  assert.equal(same.lastError.status, 503);
  const at = (channel) => second.cloudEvents.received.filter((it) => it.channel === channel);
  assert.deepEqual(
    at("same").map(({ event, mode }) => [event.id, mode]),
    [
      ["1", "batch"],
      ["2", "batch"],
      ["3", "binary"],
    ],
  );
  assert.equal(at("same")[0].headers["x-by"], "test");
  assert.ok(at("structured").every(({ mode }) => mode === "structured"));
  same.stop();
  structured.stop();
  await post(first.fetch, "/cloudevents", toBinary(event()));
  await same.idle();
  assert.equal(same.delivered + same.failed, 4);
  assert.throws(() => first.cloudEvents.forwardTo("nowhere"), hasCode("ERR_INVALID_ARGUMENT"));
  assert.throws(() => first.cloudEvents.forwardTo(ORIGIN, { mode: "other" }), hasCode("ERR_INVALID_ARGUMENT"));
});

test("forwarding aborts a message on timeout and on stop", async () => {
  const [first, second] = [createEmulator(), createEmulator()];
  second.faults.add({ hang: true });
  const forwarding = first.cloudEvents.forwardTo(`${ORIGIN}/cloudevents`, { fetch: second.fetch, timeoutMs: 20 });
  await post(first.fetch, "/cloudevents", toBinary(event()));
  await forwarding.idle();
  assert.ok(isFerryError(forwarding.lastError, "ERR_TIMEOUT"));
  const other = first.cloudEvents.forwardTo(`${ORIGIN}/cloudevents`, { fetch: second.fetch });
  await post(first.fetch, "/cloudevents", toBinary(event()));
  const idle = other.idle();
  await sleep(10);
  other.stop();
  await idle;
  assert.equal(other.failed, 1);
});
