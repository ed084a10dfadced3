// Connect requests of the Salesforce emulator, which it holds until there is an event.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "../../dist/entries/testing.js";
import { CHANNEL, manualClock, openPeer, Peer, replayIds, untilHeld } from "./salesforce-emulator-fixtures.mjs";

test("the first connect returns immediately with advice, later ones are held until an event", async () => {
  const emulator = createEmulator();
  const peer = new Peer(emulator);
  peer.clientId = (await peer.handshake()).clientId;
  const first = await peer.connect();
  assert.deepEqual(first, {
    clientId: peer.clientId,
    channel: "/meta/connect",
    id: "2",
    successful: true,
    advice: { interval: 0, timeout: 110000, reconnect: "retry" },
    events: [],
  });
  await peer.subscribe(CHANNEL);
  const poll = peer.connect();
  await untilHeld(emulator);
  emulator.salesforce.publish(CHANNEL, { N__c: 1 });
  emulator.salesforce.publish(CHANNEL, { N__c: 2 });
  const second = await poll;
  assert.equal(second.advice, undefined);
  assert.deepEqual(
    second.events.map(({ channel, data }) => [channel, data.payload.N__c]),
    [
      [CHANNEL, 1],
      [CHANNEL, 2],
    ],
  );
  assert.deepEqual(replayIds(second.events), ["1", "2"]);
});

test("a held connect returns after the timeout of the server, or a shorter one of the client", async () => {
  const emulator = createEmulator({ salesforce: { timeoutMs: 1 } });
  const peer = await openPeer(emulator);
  assert.deepEqual((await peer.connect()).events, []);
  assert.equal((await peer.connect({ advice: { timeout: 60_000 } })).successful, true);
  const other = await openPeer(createEmulator());
  assert.equal((await other.connect({ advice: { timeout: 0 } })).successful, true);
  assert.equal((await other.connect({ advice: { timeout: 1 } })).successful, true);
});

test("a connect is not held beside other messages or when events are queued", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  const both = await (
    await peer.post([
      peer.message("/meta/connect", { connectionType: "long-polling" }),
      peer.message("/meta/subscribe", { subscription: CHANNEL }),
    ])
  ).json();
  assert.deepEqual(
    both.map(({ channel, successful }) => [channel, successful]),
    [
      ["/meta/connect", true],
      ["/meta/subscribe", true],
    ],
  );
  emulator.salesforce.publish(CHANNEL, {});
  assert.deepEqual(replayIds((await peer.connect()).events), ["1"]);
});

test("a second connect fails the first one", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  const first = peer.post([peer.message("/meta/connect", { connectionType: "long-polling" })]);
  await untilHeld(emulator);
  const second = peer.connect();
  assert.equal((await first).status, 500);
  emulator.salesforce.answerPolls();
  assert.equal((await second).successful, true);
});

test("events stay queued when the caller aborts a held connect", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  await peer.subscribe(CHANNEL);
  const aborter = new AbortController();
  const poll = peer.connect({}, { signal: aborter.signal });
  await untilHeld(emulator);
  aborter.abort();
  await assert.rejects(poll, { name: "AbortError" });
  emulator.salesforce.publish(CHANNEL, {});
  assert.deepEqual(replayIds((await peer.connect()).events), ["1"]);
});

test("over a socket, a held connect ends when the client disconnects", async () => {
  const emulator = createEmulator();
  const { url } = await emulator.listen();
  const peer = await openPeer(emulator, { base: `${url}/salesforce`, fetch });
  const aborter = new AbortController();
  const poll = peer.connect({}, { signal: aborter.signal });
  await untilHeld(emulator);
  aborter.abort();
  await assert.rejects(poll, { name: "AbortError" });
  await emulator.salesforce.waitFor(({ sessions }) => !sessions[0].isHeld);
  await emulator.close();
});

test("closing the emulator breaks a held connect", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  const poll = peer.connect();
  await untilHeld(emulator);
  await emulator.close();
  await assert.rejects(poll, TypeError);
});

test("a session expires when the next connect comes too late", async () => {
  const time = manualClock();
  const emulator = createEmulator({ salesforce: { now: time.now } });
  const peer = await openPeer(emulator);
  time.advance(40_000);
  const poll = peer.connect();
  await untilHeld(emulator);
  time.advance(110_000);
  emulator.salesforce.answerPolls();
  assert.equal((await poll).successful, true);
  time.advance(40_001);
  const late = await peer.connect();
  assert.equal(late.error, "403::Unknown client");
  assert.deepEqual(late.advice, { reconnect: "handshake", interval: 0 });
  assert.deepEqual(emulator.salesforce.sessions, []);
});

test("each problem with cookie, session, token or user has its own error", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  const errorOf = async (change, more) =>
    (
      await Object.assign(
        Object.assign(new Peer(emulator), {
          clientId: peer.clientId,
          cookies: new Map(peer.cookies),
          token: peer.token,
        }),
        change,
      ).connect(more)
    ).error;
  assert.equal(
    await errorOf({ cookies: new Map() }),
    `400::Client ${peer.clientId} has established a session, but no BAYEUX_BROWSER cookie present`,
  );
  assert.equal(await errorOf({ cookies: new Map([["BAYEUX_BROWSER", "other"]]) }), "403::Unknown client");
  assert.equal(await errorOf({ clientId: "other" }), "403::Unknown client");
  assert.equal(await errorOf({ clientId: undefined }), "403::Unknown client");
  assert.equal(await errorOf({ token: "other" }), "401::Authentication invalid");
  assert.equal(await errorOf({ token: "" }), "401::Request requires authentication");
  assert.equal(
    await errorOf({ token: emulator.salesforce.issueToken({ username: "other@example.com" }) }),
    "400::Authenticated user id does not match the session's user id",
  );
  assert.equal(await errorOf({}, { connectionType: "websocket" }), "400::Invalid connection type websocket");
  assert.equal((await new Peer(emulator).subscribe(CHANNEL)).error, "403::Client has not completed handshake");
  const lost = new Peer(emulator);
  lost.clientId = "gone";
  assert.equal((await lost.subscribe(CHANNEL)).error, "403::Unknown client");
  assert.match(lost.cookies.get("sfdc-stream"), /^!/, "as if another server of the cluster had answered");
});

test("requireCookie: false accepts requests without the session cookie", async () => {
  const emulator = createEmulator({ salesforce: { requireCookie: false } });
  const peer = await openPeer(emulator);
  peer.cookies.clear();
  assert.equal((await peer.subscribe(CHANNEL)).successful, true);
});

test("a disconnect ends the session and its held connect", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  const poll = peer.connect();
  await untilHeld(emulator);
  assert.equal((await peer.send("/meta/disconnect")).successful, true);
  await poll;
  assert.deepEqual(emulator.salesforce.sessions, []);
});
