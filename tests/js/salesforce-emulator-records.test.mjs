// What the Salesforce emulator records, its options, and CORS.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "../../dist/entries/testing.js";
import { CHANNEL, hasCode, ORIGIN, openPeer } from "./salesforce-emulator-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("requests, logins, sessions and messages are recorded, and waitFor waits for a condition", async () => {
  const emulator = createEmulator();
  const { salesforce } = emulator;
  const subscribed = salesforce.waitFor(({ sessions }) => sessions[0]?.subscriptions.includes(CHANNEL));
  const peer = await openPeer(emulator);
  await peer.subscribe(CHANNEL);
  await subscribed;
  assert.deepEqual(salesforce.sessions, [
    { clientId: peer.clientId, username: "user@example.com", subscriptions: [CHANNEL], isHeld: false },
  ]);
  assert.deepEqual(
    salesforce.requests.map(({ messages, version }) => [messages[0].channel, version]),
    [
      ["/meta/handshake", "60.0"],
      ["/meta/connect", "60.0"],
      ["/meta/subscribe", "60.0"],
    ],
  );
  assert.equal(salesforce.requests[0].headers["content-type"], "application/json");
  assert.deepEqual(
    salesforce.messages("/meta/subscribe").map(({ subscription }) => subscription),
    [CHANNEL],
  );
  salesforce.clear();
  assert.deepEqual([salesforce.requests, salesforce.logins], [[], []]);
  await assert.rejects(
    salesforce.waitFor(() => false, { timeoutMs: 1 }),
    hasCode("ERR_TIMEOUT"),
  );
  await assert.rejects(salesforce.waitFor(true), hasCode("ERR_INVALID_ARGUMENT"));
  const failing = salesforce.waitFor(({ events }) => events.length > 0 && assert.fail("the condition threw"));
  salesforce.publish(CHANNEL, {});
  await assert.rejects(failing, /the condition threw/);
  const never = salesforce.waitFor(() => false);
  await emulator.close();
  await assert.rejects(never, hasCode("ERR_CLOSED"));
});

test("options out of range are refused", () => {
  for (const options of [
    { timeoutMs: -1 },
    { maxClients: 0 },
    { unauthorizedStatus: 403 },
    { now: 7 },
    { maxEventsPerAnswer: 0 },
    { eventsPerDay: -1 },
  ]) {
    assert.throws(
      () => createEmulator({ salesforce: options }),
      hasCode("ERR_INVALID_ARGUMENT"),
      JSON.stringify(options),
    );
  }
});

const origin = "https://page.example";
const preflight = {
  method: "OPTIONS",
  headers: {
    origin,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
  },
};

test("pages of other origins may call with cookies", async () => {
  const emulator = createEmulator();
  const asked = await emulator.fetch(`${ORIGIN}/salesforce/cometd/60.0`, preflight);
  assert.equal(asked.headers.get("access-control-allow-origin"), origin);
  assert.equal(asked.headers.get("access-control-allow-credentials"), "true");
  assert.equal(asked.headers.get("access-control-allow-headers"), "authorization,content-type");
  const answer = await emulator.fetch(`${ORIGIN}/cometd/60.0`, { method: "POST", body: "[", headers: { origin } });
  assert.equal(answer.headers.get("access-control-allow-origin"), origin);
  assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
});

test("cors: false refuses pages of other origins, as Salesforce does", async () => {
  const emulator = createEmulator({ salesforce: { cors: false } });
  const asked = await emulator.fetch(`${ORIGIN}/salesforce/cometd/60.0`, preflight);
  assert.equal(asked.status, 405);
  assert.equal(asked.headers.get("access-control-allow-origin"), null);
  const other = await emulator.fetch(`${ORIGIN}/cloudevents`, preflight);
  assert.equal(other.headers.get("access-control-allow-origin"), "*");
});
