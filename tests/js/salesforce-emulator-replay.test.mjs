// Replay of stored events by the Salesforce emulator.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "../../dist/entries/testing.js";
import { CHANNEL, hasCode, manualClock, openPeer, replayIds } from "./salesforce-emulator-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** An emulator with five events, whose ids are 1, 2, 4, 5 and 10. */
function withFiveEvents(options) {
  const emulator = createEmulator({ salesforce: options });
  for (let n = 1; n <= 5; n++) emulator.salesforce.publish(CHANNEL, { N__c: n });
  return emulator;
}

test("a subscription replays all events, those after an id, or none", async () => {
  const emulator = withFiveEvents();
  const replayed = async (id) => replayIds((await (await openPeer(emulator)).subscribe(CHANNEL, id)).events);
  assert.deepEqual(await replayed(-2), ["1", "2", "4", "5", "10"]);
  assert.deepEqual(await replayed(4), ["5", "10"]);
  assert.deepEqual(await replayed("4"), ["5", "10"]);
  assert.deepEqual(await replayed(10), []);
  assert.deepEqual(await replayed(-1), []);
  assert.deepEqual(await replayed(undefined), []);
});

test("a replay from an unknown id is refused", async () => {
  const emulator = withFiveEvents();
  const peer = await openPeer(emulator);
  for (const id of [3, 0, 11, "x"]) {
    const { error, successful } = await peer.subscribe(CHANNEL, id);
    assert.equal(successful, false);
    assert.equal(
      error,
      `400::The replayId {${id}} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.`,
    );
  }
  assert.deepEqual(emulator.salesforce.sessions[0].subscriptions, []);
  emulator.salesforce.forgetEvents({ channel: CHANNEL, upTo: 4 });
  assert.match((await peer.subscribe(CHANNEL, 4)).error, /^400::The replayId \{4\}/);
  assert.deepEqual(replayIds((await peer.subscribe(CHANNEL, -2)).events), ["5", "10"]);
  emulator.salesforce.forgetEvents();
  assert.deepEqual(emulator.salesforce.events, []);
});

test("events are retained for 24 or 72 hours, depending on the channel", async () => {
  const time = manualClock();
  const { salesforce } = createEmulator({ salesforce: { now: time.now } });
  for (const channel of ["/topic/T", "/u/x", CHANNEL, "/data/AccountChangeEvent"]) salesforce.publish(channel, {});
  const channels = () => salesforce.events.map(({ channel }) => channel);
  time.advance(24 * 3_600_000 - 1);
  assert.equal(channels().length, 4);
  time.advance(1);
  assert.deepEqual(channels(), [CHANNEL, "/data/AccountChangeEvent"]);
  time.advance(48 * 3_600_000);
  assert.deepEqual(channels(), []);
});

test("the keys of the replay map are channels without the filter", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  const reply = await peer.send("/meta/subscribe", {
    subscription: "/topic/T?Name='x'",
    ext: { replay: { "/topic/T?Name='x'": -1 } },
  });
  assert.equal(
    reply.error,
    "400::The replayId for channel {/topic/T} wasn't found using the provided replay ID map {{/topic/T?Name='x'=-1}}. " +
      "Ensure that the channel name you provided in the replay map is valid and matches the channel name used for subscribing.",
  );
  assert.equal((await peer.subscribe("/topic/T?Name='x'", -1)).successful, true);
});

test("replayed events precede the subscribe reply, in responses of limited size", async () => {
  const emulator = withFiveEvents({ maxEventsPerAnswer: 2 });
  const peer = await openPeer(emulator);
  assert.deepEqual(replayIds((await peer.subscribe(CHANNEL, -2)).events), ["1", "2"]);
  assert.deepEqual(replayIds((await peer.connect()).events), ["4", "5"]);
  assert.deepEqual(replayIds((await peer.connect()).events), ["10"]);
});

test("replay ids may exceed the safe integers, and may be missing", async () => {
  const emulator = createEmulator({ salesforce: { firstReplayId: 700 } });
  const peer = await openPeer(emulator);
  await peer.subscribe(CHANNEL);
  emulator.salesforce.publishData(CHANNEL, '{"payload":{},"event":{"replayId":9007199254740993}}');
  emulator.salesforce.publishData("/systemTopic/Logging", { sobject: { Id: "07L" } });
  emulator.salesforce.publish(CHANNEL, {}, { replayId: "0012" });
  const text = await (await peer.post([peer.message("/meta/connect", { connectionType: "long-polling" })])).text();
  assert.ok(
    text.startsWith(`[{"data":{"payload":{},"event":{"replayId":9007199254740993}},"channel":"${CHANNEL}"},`),
    text,
  );
  assert.deepEqual(
    emulator.salesforce.events.map(({ replayId }) => replayId),
    ["9007199254740993", undefined, "0012"],
  );
  assert.equal((await peer.subscribe(CHANNEL, "9007199254740993")).events.length, 1);
  assert.equal(emulator.salesforce.publish(CHANNEL, {}).replayId, "700");
  assert.throws(() => emulator.salesforce.publishData(CHANNEL, "{"), hasCode("ERR_INVALID_ARGUMENT"));
  assert.throws(() => emulator.salesforce.publish("/topic/T?Name='x'", {}), hasCode("ERR_INVALID_ARGUMENT"));
});

test("stored events are limited in number and size, and a session that exceeds its queue is removed", async () => {
  const { salesforce } = createEmulator({ salesforce: { maxEvents: 3 } });
  for (let n = 0; n < 5000; n++) salesforce.publish("/u/x", `${n}`);
  assert.deepEqual(
    salesforce.events.map(({ data }) => data.payload),
    ["4997", "4998", "4999"],
  );
  const small = createEmulator({ salesforce: { maxBytes: 600, maxQueue: 2 } });
  const peer = await openPeer(small);
  await peer.subscribe("/u/x");
  for (let n = 0; n < 3; n++) small.salesforce.publish("/u/x", "x".repeat(400));
  assert.equal(small.salesforce.events.length, 1);
  assert.equal((await peer.connect()).error, "403::Unknown client");
});
