// Failures that a test makes the Salesforce emulator produce.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "../../dist/entries/testing.js";
import {
  CHANNEL,
  hasCode,
  login,
  openPeer,
  PASSWORD,
  Peer,
  replayIds,
  untilHeld,
} from "./salesforce-emulator-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("revoked tokens, expired sessions, dropped connects and a restart reach held connects immediately", async () => {
  const emulator = createEmulator();
  const { salesforce } = emulator;
  const polling = async () => {
    const peer = await openPeer(emulator);
    const poll = peer.connect();
    await untilHeld(emulator);
    return { peer, poll };
  };
  let { peer, poll } = await polling();
  salesforce.revokeTokens();
  const revoked = await poll;
  assert.deepEqual([revoked.error, revoked.advice.reconnect], ["401::Authentication invalid", "none"]);
  peer.token = salesforce.issueToken();
  assert.equal((await peer.subscribe(CHANNEL)).successful, true, "the session is still there");

  ({ peer, poll } = await polling());
  salesforce.expireSessions();
  assert.equal((await poll).error, "403::Unknown client");

  ({ peer, poll } = await polling());
  salesforce.dropPolls();
  await assert.rejects(poll, TypeError);
  assert.equal((await peer.subscribe(CHANNEL)).successful, true);

  ({ peer, poll } = await polling());
  salesforce.publish(CHANNEL, {});
  salesforce.restart();
  await assert.rejects(poll, TypeError);
  assert.equal((await peer.connect()).error, "403::Unknown client");
  assert.equal(salesforce.events.length, 1);
});

test("loseAnswers loses connect responses together with their events", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  await peer.subscribe(CHANNEL);
  emulator.salesforce.loseAnswers();
  assert.equal(
    (await peer.connect({ advice: { timeout: 0 } })).successful,
    true,
    "a response without events is not lost",
  );
  emulator.salesforce.publish(CHANNEL, {});
  await assert.rejects(peer.connect(), TypeError);
  assert.deepEqual((await peer.connect({ advice: { timeout: 0 } })).events, []);
  assert.deepEqual(replayIds((await peer.subscribe(CHANNEL, -2)).events), ["1"]);
});

test("refuse rejects single messages with the given error", async () => {
  const emulator = createEmulator();
  const { salesforce } = emulator;
  const peer = await openPeer(emulator);
  const failureReason = "503::Server is too busy.  Please try your request again later.";
  salesforce.refuse({ on: "/meta/connect", error: "401::Authentication invalid", failureReason });
  assert.deepEqual(await peer.connect(), {
    clientId: peer.clientId,
    channel: "/meta/connect",
    id: "3",
    successful: false,
    error: "401::Authentication invalid",
    advice: { reconnect: "none", interval: 0 },
    ext: { sfdc: { failureReason } },
    events: [],
  });
  salesforce.refuse({
    on: "/meta/subscribe",
    subscription: CHANNEL,
    error: "403:denied_by_security_policy:create_denied",
    times: 2,
  });
  assert.equal((await peer.subscribe("/u/x")).successful, true);
  for (const successful of [false, false, true]) assert.equal((await peer.subscribe(CHANNEL)).successful, successful);
  const end = salesforce.refuse({ on: "*", error: "500::oops", reconnect: "retry", times: Infinity });
  assert.deepEqual((await peer.connect()).advice, { reconnect: "retry", interval: 0 });
  assert.deepEqual((await new Peer(emulator).handshake()).ext, { replay: true, "payload.format": true });
  end();
  salesforce.refuse({ on: "*", error: "500::oops" });
  salesforce.clearOverrides();
  assert.equal((await peer.subscribe(CHANNEL)).successful, true);
  for (const refusal of [undefined, {}, { on: "*" }, { on: "*", error: "x", times: 0 }])
    assert.throws(() => salesforce.refuse(refusal), hasCode("ERR_INVALID_ARGUMENT"));
});

test("intercept answers with messages or a Response of the test", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  const end = emulator.salesforce.intercept(([message]) =>
    message.channel === "/meta/connect"
      ? [{ channel: "/meta/connect", id: Number(message.id), successful: true }]
      : undefined,
  );
  assert.equal((await peer.connect()).id, 3);
  assert.equal((await peer.subscribe(CHANNEL)).successful, true);
  end();
  emulator.salesforce.intercept(
    () => new Response("<html/>", { status: 401, headers: { "content-type": "text/html" } }),
  );
  assert.equal((await peer.post([peer.message("/meta/connect")])).status, 401);
  assert.throws(() => emulator.salesforce.intercept({}), hasCode("ERR_INVALID_ARGUMENT"));
});

test("the faults of the emulator apply to Salesforce requests", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  emulator.faults.add({ match: "/salesforce/cometd", status: 503, times: 1 });
  assert.equal((await peer.post([peer.message("/meta/connect")])).status, 503);
  emulator.faults.add({ match: "/salesforce/services/oauth2/token", hang: true, times: 1 });
  const aborter = new AbortController();
  void sleep(5).then(() => aborter.abort());
  await assert.rejects(
    login((url, init) => emulator.fetch(url, { ...init, signal: aborter.signal }), PASSWORD),
    { name: "AbortError" },
  );
});

/** Pseudorandom integers below `limit` that the seed determines. */
function seededRandom(seed) {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`a client that resubscribes from its last id receives every event in order (seed ${seed})`, async () => {
    const next = seededRandom(seed);
    const emulator = createEmulator({ salesforce: { maxEventsPerAnswer: 7 } });
    const { salesforce } = emulator;
    const failures = [
      () => salesforce.expireSessions(),
      () => salesforce.restart(),
      () => salesforce.dropPolls(),
      () => salesforce.loseAnswers(),
      () => salesforce.revokeTokens(),
      () => undefined,
    ];
    const peer = new Peer(emulator);
    const received = [];
    let published = 0;
    let last = -2;
    const record = (events) => {
      for (const id of replayIds(events).map(Number)) {
        if (id <= last) continue;
        last = id;
        received.push(id);
      }
    };
    const open = async () => {
      peer.clientId = undefined;
      await peer.open();
      record((await peer.subscribe(CHANNEL, last)).events);
    };
    await open();
    while (received.length < 500) {
      const poll = peer.connect({ advice: { timeout: 5 } }).catch(() => ({ successful: false, events: [] }));
      const target = published + Math.min(next(12), 500 - published);
      for (; published < target; published++) salesforce.publish(CHANNEL, {});
      failures[next(failures.length)]();
      const { successful, error, events } = await poll;
      record(events);
      if (error === "401::Authentication invalid") peer.token = salesforce.issueToken();
      else if (!successful) await open().catch(() => (peer.token = salesforce.issueToken()));
    }
    assert.deepEqual(
      received,
      salesforce.events.map(({ replayId }) => Number(replayId)),
    );
  });
}
