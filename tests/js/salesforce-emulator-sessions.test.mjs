// Sessions of the Salesforce emulator: handshakes and held polls.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEmulator } from "eventferry/testing";
import { advance, CHANNEL, opened, overLoopback, Peer, replayIds, untilHeld } from "./salesforce-emulator-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

describe("a handshake", () => {
  test("returns a client id, the supported extensions and two cookies", async () => {
    const emulator = createEmulator();
    const peer = new Peer(emulator);
    const answer = await peer.post([
      peer.message("/meta/handshake", {
        version: "1.0",
        supportedConnectionTypes: ["long-polling"],
        ext: { replay: true, ack: true },
      }),
    ]);
    const [reply] = await answer.json();
    assert.match(reply.clientId, /^[a-z0-9]{26}$/);
    assert.deepEqual(reply, {
      channel: "/meta/handshake",
      id: "1",
      successful: true,
      clientId: reply.clientId,
      version: "1.0",
      minimumVersion: "1.0",
      supportedConnectionTypes: ["long-polling"],
      ext: { replay: true, "payload.format": true },
    });
    const [browser, route] = answer.headers.getSetCookie();
    assert.match(browser, /^BAYEUX_BROWSER=\w{22}; Path=\/; HttpOnly$/);
    assert.match(route, /^sfdc-stream=!\S+=; path=\/; SameSite=None; Secure; Expires=\w{3}, /);
    // The second session of a browser has the same cookie.
    assert.deepEqual(
      (
        await peer.post([peer.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })])
      ).headers.getSetCookie().length,
      1,
    );
  });

  test("is refused without a valid token, for other transports and above maxClients", async () => {
    const emulator = createEmulator({ salesforce: { maxClients: 1 } });
    const reasonOf = async (peer, more) => {
      const reply = await peer.handshake(more);
      assert.equal(reply.error, "403::Handshake denied");
      assert.deepEqual(reply.advice, { reconnect: "none", interval: 0 });
      return reply.ext.sfdc.failureReason;
    };
    assert.equal(await reasonOf(new Peer(emulator, { token: "" })), "401::Request requires authentication");
    assert.equal(await reasonOf(new Peer(emulator, { token: "expired" })), "401::Authentication invalid");
    assert.equal(
      await reasonOf(new Peer(emulator), { supportedConnectionTypes: ["websocket"] }),
      "400::Invalid connection type websocket",
    );
    await opened(emulator);
    assert.equal(await reasonOf(new Peer(emulator)), "403::Organization concurrent user limit exceeded");
    emulator.salesforce.expireSessions();
    assert.equal((await new Peer(emulator).handshake()).successful, true);
  });

  test("is answered alone, without the messages beside it", async () => {
    const emulator = createEmulator();
    const peer = new Peer(emulator);
    const messages = await (
      await peer.post([
        peer.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] }),
        peer.message("/meta/connect"),
      ])
    ).json();
    assert.deepEqual(
      messages.map(({ channel }) => channel),
      ["/meta/handshake"],
    );
  });

  test("accepts every authorization scheme until the token expires", async () => {
    let now = Date.UTC(2026, 0, 1);
    const emulator = createEmulator({ salesforce: { now: () => now, tokenLifetimeMs: 1000, unauthorizedStatus: 401 } });
    const token = emulator.salesforce.issueToken({ accessToken: "session" });
    for (const authorization of ["Bearer session", "OAuth session", "session"]) {
      const peer = new Peer(emulator, { token });
      const [reply] = await (
        await peer.post([peer.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })], {
          headers: { authorization },
        })
      ).json();
      assert.equal(reply.successful, true, authorization);
    }
    now += 1000;
    const peer = new Peer(emulator, { token });
    const answer = await peer.post([peer.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })]);
    assert.equal(answer.status, 401);
    assert.equal((await answer.json())[0].ext.sfdc.failureReason, "401::Authentication invalid");
  });

  test("requires a supported API version and a valid Bayeux body", async () => {
    const emulator = createEmulator();
    const cases = [
      [
        "36.0",
        /^400::Unsupported API version\. Only API versions '37\.0' and later are supported\. URI format: '\/cometd\/68\.0'$/,
      ],
      ["60", /^400::Unsupported API version/],
      ["", /^400::API version in the URI is mandatory\. URI format: '\/cometd\/68\.0'$/],
    ];
    for (const [version, error] of cases) {
      const peer = new Peer(emulator, { version });
      const answer = await peer.post([peer.message("/meta/handshake")]);
      assert.equal(answer.status, 400);
      assert.match((await answer.json())[0].error, error);
    }
    const peer = new Peer(emulator);
    assert.equal((await emulator.fetch(peer.address)).status, 405);
    for (const body of ["", "[]", "{", "7", "[7]", "[[{}]]"]) assert.equal((await peer.post(body)).status, 400, body);
    const large = await peer.post(JSON.stringify([peer.message("/meta/connect", { more: "x".repeat(32_768) })]));
    assert.equal(large.status, 413);
    assert.deepEqual(await large.json(), [{ successful: false, error: "413::Maximum Request Size Exceeded" }]);
    const form = new URLSearchParams({
      message: JSON.stringify(peer.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })),
    });
    const answer = await peer.post(String(form), { headers: { "content-type": "application/x-www-form-urlencoded" } });
    assert.equal((await answer.json())[0].successful, true);
  });
});

describe("a poll", () => {
  test("is held, apart from the first one, which returns the advice", async () => {
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

  test("is held until the timeout of the server, or a shorter one of the client", async () => {
    const emulator = createEmulator({ salesforce: { timeoutMs: 1 } });
    const peer = await opened(emulator);
    assert.deepEqual((await peer.connect()).events, []);
    assert.equal((await peer.connect({ advice: { timeout: 60_000 } })).successful, true);
    const second = await opened(createEmulator());
    assert.equal((await second.connect({ advice: { timeout: 0 } })).successful, true);
    assert.equal((await second.connect({ advice: { timeout: 1 } })).successful, true);
  });

  test("is not held beside other messages or while events wait", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
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

  test("fails when another poll of the session arrives", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    const first = peer.post([peer.message("/meta/connect", { connectionType: "long-polling" })]);
    await untilHeld(emulator);
    const second = peer.connect();
    assert.equal((await first).status, 500);
    emulator.salesforce.answerPolls();
    assert.equal((await second).successful, true);
  });

  test("that is aborted keeps its events for the next one", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    await peer.subscribe(CHANNEL);
    const aborter = new AbortController();
    const poll = peer.connect({}, { signal: aborter.signal });
    await untilHeld(emulator);
    aborter.abort();
    await assert.rejects(poll, { name: "AbortError" });
    emulator.salesforce.publish(CHANNEL, {});
    assert.deepEqual(replayIds((await peer.connect()).events), ["1"]);
  });

  test("that is aborted over a socket is released", () =>
    overLoopback(async (emulator, url) => {
      const peer = await opened(emulator, { base: `${url}/salesforce`, fetch });
      const aborter = new AbortController();
      const poll = peer.connect({}, { signal: aborter.signal });
      await untilHeld(emulator);
      aborter.abort();
      await assert.rejects(poll, { name: "AbortError" });
      await emulator.salesforce.waitFor(({ sessions }) => !sessions[0].isHeld);
    }));

  test("fails when the emulator is closed", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    const poll = peer.connect();
    await untilHeld(emulator);
    await emulator.close();
    await assert.rejects(poll, TypeError);
  });

  test("must follow the previous one in time, or the session is lost", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    advance(40_000);
    const poll = peer.connect();
    await untilHeld(emulator);
    advance(110_000);
    emulator.salesforce.answerPolls();
    assert.equal((await poll).successful, true);
    advance(40_001);
    const late = await peer.connect();
    assert.equal(late.error, "403::Unknown client");
    assert.deepEqual(late.advice, { reconnect: "handshake", interval: 0 });
    assert.deepEqual(emulator.salesforce.sessions, []);
  });

  test("is refused with the reason that Salesforce gives", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
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
      await errorOf({ token: emulator.salesforce.issueToken({ username: "other" }) }),
      "400::Authenticated user id does not match the session's user id",
    );
    assert.equal(await errorOf({}, { connectionType: "websocket" }), "400::Invalid connection type websocket");
    assert.equal((await new Peer(emulator).subscribe(CHANNEL)).error, "403::Client has not completed handshake");
    const lost = new Peer(emulator);
    lost.clientId = "gone";
    assert.equal((await lost.subscribe(CHANNEL)).error, "403::Unknown client");
    assert.match(lost.cookies.get("sfdc-stream"), /^!/, "another server handles the session");
  });

  test("needs no cookie with requireCookie: false", async () => {
    const emulator = createEmulator({ salesforce: { requireCookie: false } });
    const peer = await opened(emulator);
    peer.cookies.clear();
    assert.equal((await peer.subscribe(CHANNEL)).successful, true);
  });

  test("is answered when the session disconnects", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    const poll = peer.connect();
    await untilHeld(emulator);
    assert.equal((await peer.send("/meta/disconnect")).successful, true);
    await poll;
    assert.deepEqual(emulator.salesforce.sessions, []);
  });
});
