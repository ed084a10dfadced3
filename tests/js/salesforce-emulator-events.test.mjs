// Events of the Salesforce emulator: replay and publishing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEmulator } from "eventferry/testing";
import { advance, CHANNEL, isError, ORIGIN, opened, Peer, replayIds } from "./salesforce-emulator-fixtures.mjs";
import { virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

describe("replay", () => {
  /** An emulator with five events, whose replay ids are 1, 2, 4, 5 and 10. */
  function emulatorWithEvents(options) {
    const emulator = createEmulator({ salesforce: options });
    for (let n = 1; n <= 5; n++) emulator.salesforce.publish(CHANNEL, { N__c: n });
    return emulator;
  }

  test("returns all events, those behind an id, or none", async () => {
    const emulator = emulatorWithEvents();
    const replayed = async (id) => replayIds((await (await opened(emulator)).subscribe(CHANNEL, id)).events);
    assert.deepEqual(await replayed(-2), ["1", "2", "4", "5", "10"]);
    assert.deepEqual(await replayed(4), ["5", "10"]);
    assert.deepEqual(await replayed("4"), ["5", "10"]);
    assert.deepEqual(await replayed(10), []);
    assert.deepEqual(await replayed(-1), []);
    assert.deepEqual(await replayed(undefined), []);
  });

  test("refuses an unknown id", async () => {
    const emulator = emulatorWithEvents();
    const peer = await opened(emulator);
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

  test("keeps events for one day or three, depending on the channel", async () => {
    const { salesforce } = createEmulator();
    for (const channel of ["/topic/T", "/u/x", CHANNEL, "/data/AccountChangeEvent"]) salesforce.publish(channel, {});
    const channels = () => salesforce.events.map(({ channel }) => channel);
    advance(24 * 3_600_000 - 1);
    assert.equal(channels().length, 4);
    advance(1);
    assert.deepEqual(channels(), [CHANNEL, "/data/AccountChangeEvent"]);
    advance(48 * 3_600_000);
    assert.deepEqual(channels(), []);
  });

  test("takes a map whose keys are channels without filters", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
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

  test("sends events before the reply to the subscription, in responses of limited size", async () => {
    const emulator = emulatorWithEvents({ maxEventsPerAnswer: 2 });
    const peer = await opened(emulator);
    assert.deepEqual(replayIds((await peer.subscribe(CHANNEL, -2)).events), ["1", "2"]);
    assert.deepEqual(replayIds((await peer.connect()).events), ["4", "5"]);
    assert.deepEqual(replayIds((await peer.connect()).events), ["10"]);
  });

  test("supports ids beyond the integers of JavaScript, and events without an id", async () => {
    const emulator = createEmulator({ salesforce: { firstReplayId: 700 } });
    const peer = await opened(emulator);
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
    assert.throws(() => emulator.salesforce.publishData(CHANNEL, "{"), isError("ERR_INVALID_ARGUMENT"));
    assert.throws(() => emulator.salesforce.publish("/topic/T?Name='x'", {}), isError("ERR_INVALID_ARGUMENT"));
  });

  test("keeps events up to maxEvents and maxBytes, and drops a session above maxQueue", async () => {
    const { salesforce } = createEmulator({ salesforce: { maxEvents: 3 } });
    for (let n = 0; n < 5000; n++) salesforce.publish("/u/x", `${n}`);
    assert.deepEqual(
      salesforce.events.map(({ data }) => data.payload),
      ["4997", "4998", "4999"],
    );
    const small = createEmulator({ salesforce: { maxBytes: 600, maxQueue: 2 } });
    const peer = await opened(small);
    await peer.subscribe("/u/x");
    for (let n = 0; n < 3; n++) small.salesforce.publish("/u/x", "x".repeat(400));
    assert.equal(small.salesforce.events.length, 1);
    assert.equal((await peer.connect()).error, "403::Unknown client");
  });
});

describe("publishing", () => {
  test("gives events the shape of their channel", async () => {
    const { salesforce } = createEmulator();
    virtualClock().setUnix(Date.UTC(2026, 0, 1));
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
      ["Acme", "Account", "GAP_UPDATE", Date.UTC(2026, 0, 1), 5],
    );
    assert.deepEqual(salesforce.publish("/other", { a: 1 }).data, { a: 1 });
  });

  test("delivers to subscriptions whose filter matches", async () => {
    const emulator = createEmulator();
    const got = async (subscription, ...records) => {
      const peer = await opened(emulator);
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
    assert.deepEqual(await got("/topic/T?Amount=5", { Id: "1", Amount: 5 }, { Id: "2", Amount: 6 }), [
      ["/topic/T", "1"],
    ]);
  });

  test("delivers once to overlapping patterns, until they are unsubscribed", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    assert.equal((await peer.send("/meta/subscribe", { subscription: ["/u/*", "/u/**", "/u/a"] })).successful, true);
    const got = async () => {
      for (const channel of ["/u/a", "/u/b/c", "/ux"]) emulator.salesforce.publish(channel, channel);
      return (await peer.connect({ advice: { timeout: 0 } })).events.map(({ channel }) => channel);
    };
    assert.deepEqual(await got(), ["/u/a", "/u/b/c"]);
    assert.equal((await peer.send("/meta/unsubscribe", { subscription: "/u/**" })).successful, true);
    assert.deepEqual(await got(), ["/u/a"]);
  });

  test("allows existing channels, and limits the events of a day", async () => {
    const emulator = createEmulator({
      salesforce: { channels: ["/topic/T", CHANNEL], eventsPerDay: 1 },
    });
    const peer = await opened(emulator);
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
    advance(24 * 3_600_000);
    const again = await opened(emulator);
    assert.equal((await again.subscribe(CHANNEL)).successful, true);
  });

  test("accepts events over Bayeux for generic channels, and over REST", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
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
      (await rest(`sobjects/StreamingChannel/${Id}/push`, { pushEvents: [{ payload: "over REST", userIds: [] }] }))
        .body,
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
    // Events published over Bayeux arrived with the replies.
    const { events } = await peer.connect({ advice: { timeout: 0 } });
    assert.deepEqual(
      events.map(({ data }) => data.payload.N__c ?? data.payload),
      [1, "over REST"],
    );
    assert.deepEqual(
      published.events.map(({ data }) => data.payload),
      ["over Bayeux"],
    );
    const strict = await opened(createEmulator({ salesforce: { allowPublish: false } }));
    assert.equal((await strict.send("/u/x", { data: 1 })).successful, false);
  });

  test("repeats events until they are acknowledged, with acknowledges: true", async () => {
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
    assert.deepEqual((await peer.subscribe("/u/x")).events, [], "events arrive only with a connect");
    assert.deepEqual(await connect(1), [2, ["1"]]);
    emulator.salesforce.publish(CHANNEL, {});
    assert.deepEqual(await connect(2), [3, ["2"]]);
    assert.deepEqual(await connect(2), [4, ["2"]], "the previous response was lost");
    assert.deepEqual(await connect(4), [5, []]);
  });
});
