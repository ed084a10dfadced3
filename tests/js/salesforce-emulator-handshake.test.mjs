// Handshakes with the Salesforce emulator.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createEmulator } from "../../dist/entries/testing.js";
import { manualClock, openPeer, Peer } from "./salesforce-emulator-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("a handshake reply has a client id, the extensions and two cookies", async () => {
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

test("a handshake is denied without a valid token, a known transport or a free session", async () => {
  const emulator = createEmulator({ salesforce: { maxClients: 1 } });
  const why = async (peer, more) => {
    const reply = await peer.handshake(more);
    assert.equal(reply.error, "403::Handshake denied");
    assert.deepEqual(reply.advice, { reconnect: "none", interval: 0 });
    return reply.ext.sfdc.failureReason;
  };
  assert.equal(await why(new Peer(emulator, { token: "" })), "401::Request requires authentication");
  assert.equal(await why(new Peer(emulator, { token: "expired" })), "401::Authentication invalid");
  assert.equal(
    await why(new Peer(emulator), { supportedConnectionTypes: ["websocket"] }),
    "400::Invalid connection type websocket",
  );
  await openPeer(emulator);
  assert.equal(await why(new Peer(emulator)), "403::Organization concurrent user limit exceeded");
  emulator.salesforce.expireSessions();
  assert.equal((await new Peer(emulator).handshake()).successful, true);
});

test("messages beside a handshake are ignored", async () => {
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

test("every authorization scheme is accepted until the token expires", async () => {
  const time = manualClock();
  const emulator = createEmulator({ salesforce: { now: time.now, tokenLifetimeMs: 1000, unauthorizedStatus: 401 } });
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
  time.advance(1000);
  const peer = new Peer(emulator, { token });
  const answer = await peer.post([peer.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })]);
  assert.equal(answer.status, 401);
  assert.equal((await answer.json())[0].ext.sfdc.failureReason, "401::Authentication invalid");
});

test("unsupported API versions and bodies that are not Bayeux are refused", async () => {
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
