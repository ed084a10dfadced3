// Event formats, subscriptions and publishing of the Salesforce emulator.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "../../dist/entries/testing.js";
import { CHANNEL, manualClock, ORIGIN, openPeer, Peer, replayIds } from "./salesforce-emulator-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("each kind of channel has its event format", async () => {
  const time = manualClock();
  const { salesforce } = createEmulator({ salesforce: { now: time.now } });
  const createdDate = "2026-01-01T00:00:00.000Z";
  assert.deepEqual(salesforce.publish("/topic/T", { Id: "001", Name: "x" }, { type: "updated" }).data, {
    event: { createdDate, replayId: 1, type: "updated" },
    sobject: { Id: "001", Name: "x" },
  });
  assert.deepEqual(salesforce.publish("/u/x", "text").data, { event: { createdDate, replayId: 2 }, payload: "text" });
  const platform = salesforce.publish("/event/Low_Ink__e", { Ink__c: 0.2 }).data;
  assert.match(platform.event.EventUuid, /^[0-9a-f-]{36}$/);
  assert.deepEqual(platform.payload, { CreatedDate: createdDate, CreatedById: "005D0000001cSZsIAM", Ink__c: 0.2 });
  const change = salesforce.publish("/data/AccountChangeEvent", { Name: "Acme" }, { changeType: "GAP_UPDATE" }).data;
  assert.deepEqual(
    [
      change.payload.Name,
      change.payload.ChangeEventHeader.entityName,
      change.payload.ChangeEventHeader.changeType,
      change.payload.ChangeEventHeader.commitTimestamp,
      change.event.replayId,
    ],
    ["Acme", "Account", "GAP_UPDATE", time.now(), 5],
  );
  assert.deepEqual(salesforce.publish("/other", { a: 1 }).data, { a: 1 });
});

test("events are delivered to subscriptions whose filter matches", async () => {
  const emulator = createEmulator();
  const got = async (subscription, ...records) => {
    const peer = await openPeer(emulator);
    assert.equal((await peer.subscribe(subscription)).successful, true);
    for (const record of records) emulator.salesforce.publish("/topic/T", record);
    return (await peer.connect({ advice: { timeout: 0 } })).events.map(({ channel, data }) => [
      channel,
      data.sobject.Id,
    ]);
  };
  assert.deepEqual(await got("/topic/T?Name='x'", { Id: "1", Name: "x" }, { Id: "2", Name: "y" }, { Id: "3" }), [
    ["/topic/T", "1"],
  ]);
  assert.deepEqual(
    await got(
      "/topic/T?Name='x & y'&Phone='(415) 555-1212'",
      { Id: "1", Name: "x & y" },
      { Id: "2", Phone: "(415) 555-1212" },
      { Id: "3", Phone: "1" },
    ),
    [
      ["/topic/T", "1"],
      ["/topic/T", "2"],
    ],
  );
  assert.deepEqual(await got("/topic/T?Amount=5", { Id: "1", Amount: 5 }, { Id: "2", Amount: 6 }), [["/topic/T", "1"]]);
});

test("an event is delivered once per session, also through patterns, until unsubscribed", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  assert.equal((await peer.send("/meta/subscribe", { subscription: ["/u/*", "/u/**", "/u/a"] })).successful, true);
  const got = async () => {
    for (const channel of ["/u/a", "/u/b/c", "/ux"]) emulator.salesforce.publish(channel, channel);
    return (await peer.connect({ advice: { timeout: 0 } })).events.map(({ channel }) => channel);
  };
  assert.deepEqual(await got(), ["/u/a", "/u/b/c"]);
  assert.equal((await peer.send("/meta/unsubscribe", { subscription: "/u/**" })).successful, true);
  assert.deepEqual(await got(), ["/u/a"]);
});

test("subscriptions to unknown channels and events beyond the daily limit are refused", async () => {
  const time = manualClock();
  const emulator = createEmulator({
    salesforce: { channels: ["/topic/T", CHANNEL], eventsPerDay: 1, now: time.now },
  });
  const peer = await openPeer(emulator);
  const error = async (subscription) => (await peer.subscribe(subscription)).error;
  assert.equal(await error("/u/none"), "400::The channel you requested to subscribe to does not exist {/u/none}");
  assert.equal(await error(""), "400::Channel name not specified");
  assert.equal(await error("topic/T"), "400::Channel subscriptions must start with a leading '/'");
  assert.equal(await error("/meta/connect"), "403::Restricted channel");
  assert.equal(await error("/topic/T?Name='x'"), undefined);
  assert.equal(await error("/service/any"), undefined);
  assert.equal(await error(CHANNEL), undefined);
  emulator.salesforce.publish(CHANNEL, {});
  assert.equal((await peer.connect()).events.length, 1);
  assert.equal((await peer.connect()).error, "403::Organization total events daily limit exceeded");
  assert.equal(await error(CHANNEL), "403::Organization total events daily limit exceeded");
  time.advance(24 * 3_600_000);
  const again = await openPeer(emulator);
  assert.equal((await again.subscribe(CHANNEL)).successful, true);
});

test("generic channels accept events over Bayeux, and platform and generic events over REST", async () => {
  const emulator = createEmulator();
  const peer = await openPeer(emulator);
  for (const channel of ["/u/x", CHANNEL, "/chat"]) await peer.subscribe(channel);
  const published = await peer.send("/u/x", { data: "over Bayeux" });
  assert.equal(published.successful, true);
  assert.equal((await peer.send("/chat", { data: { text: "hi" } })).successful, true);
  assert.equal((await peer.send(CHANNEL, { data: {} })).error, "403:denied_by_security_policy:publish_denied");
  const rest = async (path, body) => {
    const answer = await emulator.fetch(`${ORIGIN}/salesforce/services/data/v60.0/${path}`, {
      method: body ? "POST" : "GET",
      body: body && JSON.stringify(body),
      headers: { authorization: `Bearer ${peer.token}` },
    });
    return { status: answer.status, body: await answer.json() };
  };
  assert.equal((await rest("sobjects/A__e", { N__c: 1 })).status, 201);
  const {
    body: {
      records: [{ Id }],
    },
  } = await rest(`query?q=${encodeURIComponent("SELECT Id FROM StreamingChannel WHERE Name = '/u/x' LIMIT 1")}`);
  assert.deepEqual(
    (await rest(`sobjects/StreamingChannel/${Id}/push`, { pushEvents: [{ payload: "over REST", userIds: [] }] })).body,
    [{ fanoutCount: 1, userOnlineStatus: {} }],
  );
  assert.deepEqual((await rest(`sobjects/StreamingChannel/${Id}/push`)).body, {
    OnlineUserIds: [],
    ChannelName: "/u/x",
  });
  assert.equal((await rest(`sobjects/StreamingChannel/${Id}/push`, { pushEvents: [{ payload: 7 }] })).status, 400);
  assert.equal((await rest("sobjects/Account", {})).status, 404);
  emulator.salesforce.revokeTokens();
  assert.equal((await rest("sobjects/A__e", {})).body[0].errorCode, "INVALID_SESSION_ID");
  peer.token = emulator.salesforce.issueToken();
  // The event published over Bayeux was delivered with the reply to it.
  const { events } = await peer.connect({ advice: { timeout: 0 } });
  assert.deepEqual(
    events.map(({ data }) => data.payload.N__c ?? data.payload),
    [1, "over REST"],
  );
  assert.deepEqual(
    published.events.map(({ data }) => data.payload),
    ["over Bayeux"],
  );
  const strict = await openPeer(createEmulator({ salesforce: { allowPublish: false } }));
  assert.equal((await strict.send("/u/x", { data: 1 })).successful, false);
});

test("with the acknowledgement extension, events are repeated until they are acknowledged", async () => {
  const emulator = createEmulator({ salesforce: { acknowledges: true } });
  const peer = new Peer(emulator);
  const { clientId, ext } = await peer.handshake({ ext: { ack: true } });
  peer.clientId = clientId;
  assert.equal(ext.ack, true);
  const connect = async (ack) => {
    const reply = await peer.connect({ ext: { ack }, advice: { timeout: 0 } });
    return [reply.ext.ack, replayIds(reply.events)];
  };
  assert.deepEqual(await connect(0), [1, []]);
  await peer.subscribe(CHANNEL);
  emulator.salesforce.publish(CHANNEL, {});
  assert.deepEqual((await peer.subscribe("/u/x")).events, [], "events are sent with connect replies only");
  assert.deepEqual(await connect(1), [2, ["1"]]);
  emulator.salesforce.publish(CHANNEL, {});
  assert.deepEqual(await connect(2), [3, ["2"]]);
  assert.deepEqual(await connect(2), [4, ["2"]], "the previous response was lost");
  assert.deepEqual(await connect(4), [5, []]);
});
