// The Salesforce service of the emulator: its replies, as documented by Salesforce and seen in the logs of its users.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEmulator, isFerryError } from "../../dist/entries/testing.js";
import { abortAfter, realTime, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const ORIGIN = "http://emulator.test";
const CHANNEL = "/event/A__e";
const isError = (code) => (error) => isFerryError(error, code);
const replayIds = (events) => events.map(({ data }) => String(data.event.replayId));

/** Sets the wall clock ahead. Timers do not run, so held polls stay held. */
const advance = (ms) => virtualClock().setUnix(virtualClock().unixNow() + ms);

/** Requests a token. Returns the status and the fields of the response. */
async function login(fetch, fields, { base = `${ORIGIN}/salesforce`, headers = {} } = {}) {
  const answer = await fetch(`${base}/services/oauth2/token`, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers,
  });
  assert.match(answer.headers.get("content-type"), /^application\/json/);
  return { status: answer.status, ...(await answer.json()) };
}
const PASSWORD = {
  grant_type: "password",
  client_id: "key",
  client_secret: "secret",
  username: "u@example.com",
  password: "pw",
};

/** A minimal client that shows the replies of the server. It keeps cookies and numbers its messages. */
class Peer {
  cookies = new Map();
  count = 0;
  constructor(
    emulator,
    {
      token = emulator.salesforce.issueToken(),
      base = `${ORIGIN}/salesforce`,
      version = "60.0",
      fetch = emulator.fetch,
    } = {},
  ) {
    Object.assign(this, { token, address: `${base}/cometd/${version}`, fetch });
  }
  async post(body, { headers = {}, signal } = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await this.fetch(this.address, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal,
      headers: {
        "content-type": "application/json",
        ...(this.token && { authorization: `Bearer ${this.token}` }),
        ...(cookie && { cookie }),
        ...headers,
      },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    return answer;
  }
  message(channel, more = {}) {
    return { channel, id: String(++this.count), ...(this.clientId && { clientId: this.clientId }), ...more };
  }
  /** Sends one message. Returns the reply, with the events that arrived before it. */
  async send(channel, more, options) {
    const messages = await (await this.post([this.message(channel, more)], options)).json();
    const reply = messages.at(-1);
    return Object.assign(reply, { events: messages.slice(0, -1) });
  }
  handshake(more = {}) {
    return this.send("/meta/handshake", { version: "1.0", supportedConnectionTypes: ["long-polling"], ...more });
  }
  connect(more = {}, options) {
    return this.send("/meta/connect", { connectionType: "long-polling", ...more }, options);
  }
  subscribe(subscription, replay, more = {}) {
    return this.send("/meta/subscribe", {
      subscription,
      ...(replay !== undefined && { ext: { replay: { [subscription.split("?")[0]]: replay } } }),
      ...more,
    });
  }
  async open(more) {
    this.clientId = (await this.handshake(more)).clientId;
    await this.connect();
    return this;
  }
}
const opened = (emulator, options) => new Peer(emulator, options).open();
/** Runs a test over real sockets, during which virtual time stands still. */
const overLoopback = (run) =>
  realTime(
    (async () => {
      const emulator = createEmulator();
      const { url } = await emulator.listen();
      try {
        await run(emulator, url);
      } finally {
        await emulator.close();
      }
    })(),
  );
const untilHeld = (emulator) => emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));

describe("the token endpoint", () => {
  test("supports the password flow, and returns the service as the instance", async () => {
    const { fetch, salesforce } = createEmulator();
    const answer = await login(fetch, PASSWORD);
    assert.equal(answer.status, 200);
    assert.deepEqual(Object.keys(answer).sort(), [
      "access_token",
      "id",
      "instance_url",
      "issued_at",
      "scope",
      "signature",
      "status",
      "token_type",
    ]);
    assert.equal(answer.instance_url, `${ORIGIN}/salesforce`);
    assert.equal(answer.token_type, "Bearer");
    assert.match(answer.access_token, /^00D\w{12}!AQ[\w.]{48}$/);
    assert.equal((await login(fetch, PASSWORD, { base: ORIGIN })).instance_url, ORIGIN);
    assert.deepEqual(salesforce.logins[0], {
      grantType: "password",
      username: "u@example.com",
      consumerKey: "key",
      error: undefined,
    });
    const userInfo = await fetch(`${ORIGIN}/salesforce/services/oauth2/userinfo`, {
      headers: { authorization: `Bearer ${answer.access_token}` },
    });
    assert.equal((await userInfo.json()).username, "u@example.com");
    assert.equal((await fetch(answer.id)).status, 403);
  });

  test("returns the host name that the client used, over a socket", () =>
    overLoopback(async (_emulator, url) => {
      const { instance_url } = await login(fetch, PASSWORD, {
        base: `${url.replace("127.0.0.1", "localhost")}/salesforce`,
      });
      assert.equal(instance_url, `${url.replace("127.0.0.1", "localhost")}/salesforce`);
    }));

  test("signs tokens with the consumer secret", async () => {
    const { fetch } = createEmulator();
    const { id, issued_at, signature } = await login(fetch, PASSWORD);
    const { createHmac } = await import("node:crypto");
    assert.equal(
      signature,
      createHmac("sha256", "secret")
        .update(id + issued_at)
        .digest("base64"),
    );
  });

  test("refuses requests without the fields of their flow", async () => {
    const { fetch, salesforce } = createEmulator();
    const cases = [
      [{}, "invalid_request", "grant type is missing"],
      [{ grant_type: "magic" }, "unsupported_grant_type", "grant type not supported"],
      [{ ...PASSWORD, client_id: "" }, "invalid_client_id", "client identifier invalid"],
      [{ ...PASSWORD, client_secret: "" }, "invalid_client", "invalid client credentials"],
      [{ ...PASSWORD, password: "" }, "invalid_grant", "authentication failure"],
      [{ grant_type: "refresh_token", client_id: "key" }, "invalid_grant", "expired access/refresh token"],
      [
        { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: "a.b" },
        "invalid_grant",
        "invalid assertion",
      ],
    ];
    for (const [fields, error, error_description] of cases)
      assert.deepEqual(await login(fetch, fields), { status: 400, error, error_description });
    assert.equal(salesforce.logins.at(-1).error, "invalid_grant");
    assert.equal((await fetch(`${ORIGIN}/salesforce/services/oauth2/token`)).status, 405);
    const noForm = await fetch(`${ORIGIN}/salesforce/services/oauth2/token`, {
      method: "POST",
      body: JSON.stringify(PASSWORD),
      headers: { "content-type": "application/json" },
    });
    assert.equal((await noForm.json()).error, "invalid_request");
  });

  test("accepts only the configured accounts", async () => {
    const account = {
      username: "u@example.com",
      password: "pw",
      securityToken: "TOKEN",
      consumerKey: "key",
      consumerSecret: "secret",
      refreshToken: "r1",
    };
    const { fetch } = createEmulator({ salesforce: { accounts: [account] } });
    const error = async (fields) => (await login(fetch, fields)).error;
    const good = { ...PASSWORD, password: "pwTOKEN" };
    assert.equal(await error(good), undefined);
    assert.equal(await error(PASSWORD), "invalid_grant");
    assert.equal(await error({ ...good, username: "other" }), "invalid_grant");
    assert.equal(await error({ ...good, client_id: "other" }), "invalid_client_id");
    assert.equal(await error({ ...good, client_secret: "other" }), "invalid_client");
    const refresh = { grant_type: "refresh_token", client_id: "key", refresh_token: "r1" };
    assert.equal(await error(refresh), undefined);
    assert.equal(await error({ ...refresh, client_secret: "other" }), "invalid_client");
    assert.equal(await error({ ...refresh, refresh_token: "r2" }), "invalid_grant");
    assert.equal(
      await error({ grant_type: "client_credentials", client_id: "key", client_secret: "secret" }),
      undefined,
    );
    assert.throws(() => createEmulator({ salesforce: { accounts: [{}] } }), isError("ERR_INVALID_ARGUMENT"));
  });

  test("accepts refresh tokens until they are revoked or replaced, and client credentials in HTTP Basic", async () => {
    const { fetch } = createEmulator({ salesforce: { rotateRefreshTokens: true } });
    const refresh = (token) =>
      login(
        fetch,
        { grant_type: "refresh_token", refresh_token: token },
        { headers: { authorization: `Basic ${btoa("a%20key:secret")}` } },
      );
    const first = await refresh("r1");
    assert.equal(first.status, 200);
    assert.equal((await refresh("r1")).error, "invalid_grant");
    const second = await refresh(first.refresh_token);
    assert.equal(second.status, 200);
    const revoke = (token) =>
      fetch(`${ORIGIN}/salesforce/services/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token }) });
    assert.equal((await revoke(second.refresh_token)).status, 200);
    assert.equal((await revoke("unknown")).status, 400);
    assert.equal((await refresh(second.refresh_token)).error, "invalid_grant");
  });

  test("accepts a JWT that the connected app has signed", async () => {
    const { publicKey, privateKey } = await crypto.subtle.generateKey(
      { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
      true,
      ["sign", "verify"],
    );
    const account = {
      username: "u@example.com",
      consumerKey: "key",
      publicKey: await crypto.subtle.exportKey("jwk", publicKey),
    };
    const { fetch } = createEmulator({ salesforce: { accounts: [account] } });
    const seconds = virtualClock().unixNow() / 1000;
    const errorOf = async (changes = {}, { header = { alg: "RS256" }, spoil = false } = {}) => {
      const claims = {
        iss: "key",
        sub: "u@example.com",
        aud: "https://login.salesforce.com",
        exp: seconds + 180,
        ...changes,
      };
      const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
      const signature = Buffer.from(
        await crypto.subtle.sign("RSASSA-PKCS1-v1_5", privateKey, Buffer.from(spoil ? `${text} ` : text)),
      ).toString("base64url");
      const { status, error_description } = await login(fetch, {
        grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion: `${text}.${signature}`,
      });
      return error_description ?? status;
    };
    assert.equal(await errorOf(), 200);
    assert.equal(await errorOf({ aud: `${ORIGIN}/salesforce` }), 200);
    assert.equal(await errorOf({ aud: "https://elsewhere.example" }), "Audience validation failed");
    assert.equal(await errorOf({ exp: seconds }), "invalid assertion");
    assert.equal(await errorOf({ exp: seconds + 3600 }), "invalid assertion");
    assert.equal(await errorOf({ iss: "other" }), "client identifier invalid");
    assert.equal(await errorOf({ sub: "other" }), "user hasn't approved this consumer");
    assert.equal(await errorOf({}, { spoil: true }), "invalid assertion");
    assert.equal(await errorOf({}, { header: { alg: "none" } }), "invalid assertion");
  });
});

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
    salesforce.clearTroubles();
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
