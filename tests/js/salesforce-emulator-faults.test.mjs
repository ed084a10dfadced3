// Faults of the Salesforce emulator, what it records for tests, and CORS.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEmulator } from "eventferry/testing";
import {
  CHANNEL,
  isError,
  login,
  ORIGIN,
  opened,
  PASSWORD,
  Peer,
  replayIds,
  untilHeld,
} from "./salesforce-emulator-fixtures.mjs";
import { abortAfter, virtualTime } from "./virtual-clock.mjs";

virtualTime();

describe("faults", () => {
  test("revoke tokens, expire sessions and drop polls, held ones included", async () => {
    const emulator = createEmulator();
    const { salesforce } = emulator;
    const polling = async () => {
      const peer = await opened(emulator);
      const poll = peer.connect();
      await untilHeld(emulator);
      return { peer, poll };
    };
    let { peer, poll } = await polling();
    salesforce.revokeTokens();
    const revoked = await poll;
    assert.deepEqual([revoked.error, revoked.advice.reconnect], ["401::Authentication invalid", "none"]);
    peer.token = salesforce.issueToken();
    assert.equal((await peer.subscribe(CHANNEL)).successful, true, "the session still exists");

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

  test("lose responses with their events", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
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

  test("refuse single messages with any error", async () => {
    const emulator = createEmulator();
    const { salesforce } = emulator;
    const peer = await opened(emulator);
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
      assert.throws(() => salesforce.refuse(refusal), isError("ERR_INVALID_ARGUMENT"));
  });

  test("replace whole responses", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
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
    assert.throws(() => emulator.salesforce.intercept({}), isError("ERR_INVALID_ARGUMENT"));
  });

  test("combine with the general faults of the emulator", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    emulator.faults.add({ match: "/salesforce/cometd", status: 503, times: 1 });
    assert.equal((await peer.post([peer.message("/meta/connect")])).status, 503);
    emulator.faults.add({ match: "/salesforce/services/oauth2/token", hang: true, times: 1 });
    await assert.rejects(
      login((url, init) => emulator.fetch(url, { ...init, signal: abortAfter(5) }), PASSWORD),
      { name: "TimeoutError" },
    );
  });
});

describe("inspection", () => {
  test("shows sessions and requests, and waits for a condition", async () => {
    const emulator = createEmulator();
    const { salesforce } = emulator;
    const subscribed = salesforce.waitFor(({ sessions }) => sessions[0]?.subscriptions.includes(CHANNEL));
    const peer = await opened(emulator);
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
      isError("ERR_TIMEOUT"),
    );
    await assert.rejects(salesforce.waitFor(true), isError("ERR_INVALID_ARGUMENT"));
    const failing = salesforce.waitFor(({ events }) => events.length > 0 && assert.fail("failed condition"));
    salesforce.publish(CHANNEL, {});
    await assert.rejects(failing, /failed condition/);
    const never = salesforce.waitFor(() => false);
    await emulator.close();
    await assert.rejects(never, isError("ERR_CLOSED"));
  });

  test("refuses options out of range", () => {
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
        isError("ERR_INVALID_ARGUMENT"),
        JSON.stringify(options),
      );
    }
  });
});

describe("recovery", () => {
  /** A generator of pseudo-random integers below a limit. */
  function randomIntegers(seed) {
    let state = seed;
    return (limit) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
  }

  for (const seed of [1, 2, 3, 4, 5]) {
    test(`a client that subscribes again behind its last id gets every event in order (seed ${seed})`, async () => {
      const next = randomIntegers(seed);
      const emulator = createEmulator({ salesforce: { maxEventsPerAnswer: 7 } });
      const { salesforce } = emulator;
      const faults = [
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
      const keep = (events) => {
        for (const id of replayIds(events).map(Number)) {
          if (id <= last) continue;
          last = id;
          received.push(id);
        }
      };
      const open = async () => {
        peer.clientId = undefined;
        await peer.open();
        keep((await peer.subscribe(CHANNEL, last)).events);
      };
      await open();
      while (received.length < 500) {
        const poll = peer.connect({ advice: { timeout: 5 } }).catch(() => ({ successful: false, events: [] }));
        for (let count = Math.min(next(12), 500 - published); count > 0; count--) {
          salesforce.publish(CHANNEL, {});
          published++;
        }
        faults[next(faults.length)]();
        const { successful, error, events } = await poll;
        keep(events);
        if (error === "401::Authentication invalid") peer.token = salesforce.issueToken();
        else if (!successful)
          await open().catch(() => {
            peer.token = salesforce.issueToken();
          });
      }
      assert.deepEqual(
        received,
        salesforce.events.map(({ replayId }) => Number(replayId)),
      );
    });
  }
});

describe("CORS", () => {
  const origin = "https://page.example";
  const preflight = {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    },
  };

  test("allows credentials for the origin of the page", async () => {
    const emulator = createEmulator();
    const asked = await emulator.fetch(`${ORIGIN}/salesforce/cometd/60.0`, preflight);
    assert.equal(asked.headers.get("access-control-allow-origin"), origin);
    assert.equal(asked.headers.get("access-control-allow-credentials"), "true");
    assert.equal(asked.headers.get("access-control-allow-headers"), "authorization,content-type");
    const answer = await emulator.fetch(`${ORIGIN}/cometd/60.0`, { method: "POST", body: "[", headers: { origin } });
    assert.equal(answer.headers.get("access-control-allow-origin"), origin);
    assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
  });

  test("can be disabled, as at Salesforce", async () => {
    const emulator = createEmulator({ salesforce: { cors: false } });
    const asked = await emulator.fetch(`${ORIGIN}/salesforce/cometd/60.0`, preflight);
    assert.equal(asked.status, 405);
    assert.equal(asked.headers.get("access-control-allow-origin"), null);
    const other = await emulator.fetch(`${ORIGIN}/cloudevents`, preflight);
    assert.equal(other.headers.get("access-control-allow-origin"), "*");
  });
});
