// The Salesforce service of the emulator: what it answers to which message, as the documents of Salesforce and the logs of its users have it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEmulator, isFerryError } from "../../dist/entries/testing.js";

const HERE = "http://emulator.test";
const CHANNEL = "/event/A__e";
const refused = (code) => (error) => isFerryError(error, code);
const ids = (events) => events.map(({ data }) => String(data.event.replayId));

/** A clock that goes when it is told to. */
function clock() {
  let time = Date.UTC(2026, 0, 1);
  return { now: () => time, pass: (ms) => void (time += ms) };
}

/** Asks for a token and gives back status and answer. */
async function login(fetch, fields, { base = `${HERE}/salesforce`, headers = {} } = {}) {
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

/** As little of a client as tells what the server says: it keeps cookies, and counts its messages. */
class Peer {
  cookies = new Map();
  count = 0;
  constructor(
    emulator,
    {
      token = emulator.salesforce.issueToken(),
      base = `${HERE}/salesforce`,
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
  /** Sends one message and gives back the reply, with the events that came before it. */
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
const held = (emulator) => emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));

describe("gives tokens", () => {
  test("to the password flow, with an instance that leads back to the service", async () => {
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
    assert.equal(answer.instance_url, `${HERE}/salesforce`);
    assert.equal(answer.token_type, "Bearer");
    assert.match(answer.access_token, /^00D\w{12}!AQ[\w.]{48}$/);
    assert.equal((await login(fetch, PASSWORD, { base: HERE })).instance_url, HERE);
    assert.deepEqual(salesforce.logins[0], {
      grantType: "password",
      username: "u@example.com",
      consumerKey: "key",
      error: undefined,
    });
    const who = await fetch(`${HERE}/salesforce/services/oauth2/userinfo`, {
      headers: { authorization: `Bearer ${answer.access_token}` },
    });
    assert.equal((await who.json()).username, "u@example.com");
    assert.equal((await fetch(answer.id)).status, 403);
  });

  test("over a socket, for the name that the client has for it", async () => {
    const emulator = createEmulator();
    const { url } = await emulator.listen();
    const { instance_url } = await login(fetch, PASSWORD, {
      base: `${url.replace("127.0.0.1", "localhost")}/salesforce`,
    });
    assert.equal(instance_url, `${url.replace("127.0.0.1", "localhost")}/salesforce`);
    await emulator.close();
  });

  test("and signs them with the secret of the app", async () => {
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

  test("to nobody who leaves out what the flow needs", async () => {
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
    assert.equal((await fetch(`${HERE}/salesforce/services/oauth2/token`)).status, 405);
    const noForm = await fetch(`${HERE}/salesforce/services/oauth2/token`, {
      method: "POST",
      body: JSON.stringify(PASSWORD),
      headers: { "content-type": "application/json" },
    });
    assert.equal((await noForm.json()).error, "invalid_request");
  });

  test("only to the accounts, where there are some", async () => {
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
    assert.throws(() => createEmulator({ salesforce: { accounts: [{}] } }), refused("ERR_INVALID_ARGUMENT"));
  });

  test("for refresh tokens until they are revoked or replaced, and for a key in HTTP Basic", async () => {
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
      fetch(`${HERE}/salesforce/services/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token }) });
    assert.equal((await revoke(second.refresh_token)).status, 200);
    assert.equal((await revoke("unknown")).status, 400);
    assert.equal((await refresh(second.refresh_token)).error, "invalid_grant");
  });

  test("for a JWT that the app has signed", async () => {
    const time = clock();
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
    const { fetch } = createEmulator({ salesforce: { accounts: [account], now: time.now } });
    const seconds = time.now() / 1000;
    const ask = async (changes = {}, { header = { alg: "RS256" }, spoil = false } = {}) => {
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
    assert.equal(await ask(), 200);
    assert.equal(await ask({ aud: `${HERE}/salesforce` }), 200);
    assert.equal(await ask({ aud: "https://elsewhere.example" }), "Audience validation failed");
    assert.equal(await ask({ exp: seconds }), "invalid assertion");
    assert.equal(await ask({ exp: seconds + 3600 }), "invalid assertion");
    assert.equal(await ask({ iss: "other" }), "client identifier invalid");
    assert.equal(await ask({ sub: "other" }), "user hasn't approved this consumer");
    assert.equal(await ask({}, { spoil: true }), "invalid assertion");
    assert.equal(await ask({}, { header: { alg: "none" } }), "invalid assertion");
  });
});

describe("shakes hands", () => {
  test("with a client id, what it can, and two cookies", async () => {
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

  test("but not with everybody", async () => {
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
    await opened(emulator);
    assert.equal(await why(new Peer(emulator)), "403::Organization concurrent user limit exceeded");
    emulator.salesforce.expireSessions();
    assert.equal((await new Peer(emulator).handshake()).successful, true);
  });

  test("alone, whatever comes with it", async () => {
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

  test("with every scheme of authorization, until the token's time is over", async () => {
    const time = clock();
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
    time.pass(1000);
    const peer = new Peer(emulator, { token });
    const answer = await peer.post([peer.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })]);
    assert.equal(answer.status, 401);
    assert.equal((await answer.json())[0].ext.sfdc.failureReason, "401::Authentication invalid");
  });

  test("in the versions that are not retired, and with bodies that are Bayeux", async () => {
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

describe("holds a poll", () => {
  test("but not the first one, which brings the advice", async () => {
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
    await held(emulator);
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
    assert.deepEqual(ids(second.events), ["1", "2"]);
  });

  test("until its time is over, that of the server or a shorter one that the client wishes", async () => {
    const emulator = createEmulator({ salesforce: { timeoutMs: 1 } });
    const peer = await opened(emulator);
    assert.deepEqual((await peer.connect()).events, []);
    assert.equal((await peer.connect({ advice: { timeout: 60_000 } })).successful, true);
    const patient = await opened(createEmulator());
    assert.equal((await patient.connect({ advice: { timeout: 0 } })).successful, true);
    assert.equal((await patient.connect({ advice: { timeout: 1 } })).successful, true);
  });

  test("not in company, and not when something waits", async () => {
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
    assert.deepEqual(ids((await peer.connect()).events), ["1"]);
  });

  test("once: another one fails the first", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    const first = peer.post([peer.message("/meta/connect", { connectionType: "long-polling" })]);
    await held(emulator);
    const second = peer.connect();
    assert.equal((await first).status, 500);
    emulator.salesforce.answerPolls();
    assert.equal((await second).successful, true);
  });

  test("and keeps what it has when the caller goes", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    await peer.subscribe(CHANNEL);
    const aborter = new AbortController();
    const poll = peer.connect({}, { signal: aborter.signal });
    await held(emulator);
    aborter.abort();
    await assert.rejects(poll, { name: "AbortError" });
    emulator.salesforce.publish(CHANNEL, {});
    assert.deepEqual(ids((await peer.connect()).events), ["1"]);
  });

  test("also over a socket, where the caller goes without a word", async () => {
    const emulator = createEmulator();
    const { url } = await emulator.listen();
    const peer = await opened(emulator, { base: `${url}/salesforce`, fetch });
    const aborter = new AbortController();
    const poll = peer.connect({}, { signal: aborter.signal });
    await held(emulator);
    aborter.abort();
    await assert.rejects(poll, { name: "AbortError" });
    await emulator.salesforce.waitFor(({ sessions }) => !sessions[0].isHeld);
    await emulator.close();
  });

  test("until the emulator is closed", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    const poll = peer.connect();
    await held(emulator);
    await emulator.close();
    await assert.rejects(poll, TypeError);
  });

  test("for a session that comes back in time", async () => {
    const time = clock();
    const emulator = createEmulator({ salesforce: { now: time.now } });
    const peer = await opened(emulator);
    time.pass(40_000);
    const poll = peer.connect();
    await held(emulator);
    time.pass(110_000);
    emulator.salesforce.answerPolls();
    assert.equal((await poll).successful, true);
    time.pass(40_001);
    const late = await peer.connect();
    assert.equal(late.error, "403::Unknown client");
    assert.deepEqual(late.advice, { reconnect: "handshake", interval: 0 });
    assert.deepEqual(emulator.salesforce.sessions, []);
  });

  test("and says what is wrong with the one who asks", async () => {
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
      await errorOf({ token: emulator.salesforce.issueToken({ username: "somebody else" }) }),
      "400::Authenticated user id does not match the session's user id",
    );
    assert.equal(await errorOf({}, { connectionType: "websocket" }), "400::Invalid connection type websocket");
    assert.equal((await new Peer(emulator).subscribe(CHANNEL)).error, "403::Client has not completed handshake");
    const lost = new Peer(emulator);
    lost.clientId = "gone";
    assert.equal((await lost.subscribe(CHANNEL)).error, "403::Unknown client");
    assert.match(lost.cookies.get("sfdc-stream"), /^!/, "another server has taken over");
  });

  test("without a cookie where that is not wanted", async () => {
    const emulator = createEmulator({ salesforce: { requireCookie: false } });
    const peer = await opened(emulator);
    peer.cookies.clear();
    assert.equal((await peer.subscribe(CHANNEL)).successful, true);
  });

  test("and lets go of the session at a disconnect", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    const poll = peer.connect();
    await held(emulator);
    assert.equal((await peer.send("/meta/disconnect")).successful, true);
    await poll;
    assert.deepEqual(emulator.salesforce.sessions, []);
  });
});

describe("replays", () => {
  /** Five events, of which the ids are 1 2 4 5 10. */
  function stocked(options) {
    const emulator = createEmulator({ salesforce: options });
    for (let n = 1; n <= 5; n++) emulator.salesforce.publish(CHANNEL, { N__c: n });
    return emulator;
  }

  test("everything, what came behind an id, or nothing", async () => {
    const emulator = stocked();
    const replayed = async (id) => ids((await (await opened(emulator)).subscribe(CHANNEL, id)).events);
    assert.deepEqual(await replayed(-2), ["1", "2", "4", "5", "10"]);
    assert.deepEqual(await replayed(4), ["5", "10"]);
    assert.deepEqual(await replayed("4"), ["5", "10"]);
    assert.deepEqual(await replayed(10), []);
    assert.deepEqual(await replayed(-1), []);
    assert.deepEqual(await replayed(undefined), []);
  });

  test("not behind an id that it does not know", async () => {
    const emulator = stocked();
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
    assert.deepEqual(ids((await peer.subscribe(CHANNEL, -2)).events), ["5", "10"]);
    emulator.salesforce.forgetEvents();
    assert.deepEqual(emulator.salesforce.events, []);
  });

  test("for a day or three, depending on the channel", async () => {
    const time = clock();
    const { salesforce } = createEmulator({ salesforce: { now: time.now } });
    for (const channel of ["/topic/T", "/u/x", CHANNEL, "/data/AccountChangeEvent"]) salesforce.publish(channel, {});
    const channels = () => salesforce.events.map(({ channel }) => channel);
    time.pass(24 * 3_600_000 - 1);
    assert.equal(channels().length, 4);
    time.pass(1);
    assert.deepEqual(channels(), [CHANNEL, "/data/AccountChangeEvent"]);
    time.pass(48 * 3_600_000);
    assert.deepEqual(channels(), []);
  });

  test("by a map whose keys are channels without the filter", async () => {
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

  test("before the reply that makes it legal, in answers of a bounded size", async () => {
    const emulator = stocked({ maxEventsPerAnswer: 2 });
    const peer = await opened(emulator);
    assert.deepEqual(ids((await peer.subscribe(CHANNEL, -2)).events), ["1", "2"]);
    assert.deepEqual(ids((await peer.connect()).events), ["4", "5"]);
    assert.deepEqual(ids((await peer.connect()).events), ["10"]);
  });

  test("with ids larger than a number, and without any", async () => {
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
    assert.throws(() => emulator.salesforce.publishData(CHANNEL, "{"), refused("ERR_INVALID_ARGUMENT"));
    assert.throws(() => emulator.salesforce.publish("/topic/T?Name='x'", {}), refused("ERR_INVALID_ARGUMENT"));
  });

  test("up to a number and a size, and loses a session that falls behind", async () => {
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

describe("spreads events", () => {
  test("in the shape of their channel", async () => {
    const time = clock();
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

  test("to those whose filter fits", async () => {
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

  test("once, to patterns too, until they are unsubscribed", async () => {
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

  test("of channels that there are, as often a day as the organization may", async () => {
    const time = clock();
    const emulator = createEmulator({
      salesforce: { channels: ["/topic/T", CHANNEL], eventsPerDay: 1, now: time.now },
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
    time.pass(24 * 3_600_000);
    const again = await opened(emulator);
    assert.equal((await again.subscribe(CHANNEL)).successful, true);
  });

  test("that come over Bayeux for generic channels, and over REST", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    for (const channel of ["/u/x", CHANNEL, "/chat"]) await peer.subscribe(channel);
    const published = await peer.send("/u/x", { data: "over Bayeux" });
    assert.equal(published.successful, true);
    assert.equal((await peer.send("/chat", { data: { text: "hi" } })).successful, true);
    assert.equal((await peer.send(CHANNEL, { data: {} })).error, "403:denied_by_security_policy:publish_denied");
    const rest = async (path, body) => {
      const answer = await emulator.fetch(`${HERE}/salesforce/services/data/v60.0/${path}`, {
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
    // What was published over Bayeux came with the replies to it.
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

  test("again until they are acknowledged, where that was agreed", async () => {
    const emulator = createEmulator({ salesforce: { acknowledges: true } });
    const peer = new Peer(emulator);
    const { clientId, ext } = await peer.handshake({ ext: { ack: true } });
    peer.clientId = clientId;
    assert.equal(ext.ack, true);
    const connect = async (ack) => {
      const reply = await peer.connect({ ext: { ack }, advice: { timeout: 0 } });
      return [reply.ext.ack, ids(reply.events)];
    };
    assert.deepEqual(await connect(0), [1, []]);
    await peer.subscribe(CHANNEL);
    emulator.salesforce.publish(CHANNEL, {});
    assert.deepEqual((await peer.subscribe("/u/x")).events, [], "they come with a connect only");
    assert.deepEqual(await connect(1), [2, ["1"]]);
    emulator.salesforce.publish(CHANNEL, {});
    assert.deepEqual(await connect(2), [3, ["2"]]);
    assert.deepEqual(await connect(2), [4, ["2"]], "the answer before was lost");
    assert.deepEqual(await connect(4), [5, []]);
  });
});

describe("has go wrong what a test wants", () => {
  test("tokens, sessions and polls, for those who hold one at once", async () => {
    const emulator = createEmulator();
    const { salesforce } = emulator;
    const polling = async () => {
      const peer = await opened(emulator);
      const poll = peer.connect();
      await held(emulator);
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

  test("answers that are lost with their events", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    await peer.subscribe(CHANNEL);
    emulator.salesforce.loseAnswers();
    assert.equal(
      (await peer.connect({ advice: { timeout: 0 } })).successful,
      true,
      "one without events is none of those",
    );
    emulator.salesforce.publish(CHANNEL, {});
    await assert.rejects(peer.connect(), TypeError);
    assert.deepEqual((await peer.connect({ advice: { timeout: 0 } })).events, []);
    assert.deepEqual(ids((await peer.subscribe(CHANNEL, -2)).events), ["1"]);
  });

  test("single messages, with the words of every error", async () => {
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
      assert.throws(() => salesforce.refuse(refusal), refused("ERR_INVALID_ARGUMENT"));
  });

  test("whole answers of the test's own", async () => {
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
    assert.throws(() => emulator.salesforce.intercept({}), refused("ERR_INVALID_ARGUMENT"));
  });

  test("and the faults of the emulator beside them", async () => {
    const emulator = createEmulator();
    const peer = await opened(emulator);
    emulator.faults.add({ match: "/salesforce/cometd", status: 503, times: 1 });
    assert.equal((await peer.post([peer.message("/meta/connect")])).status, 503);
    emulator.faults.add({ match: "/salesforce/services/oauth2/token", hang: true, times: 1 });
    await assert.rejects(
      login((url, init) => emulator.fetch(url, { ...init, signal: AbortSignal.timeout(5) }), PASSWORD),
      { name: "TimeoutError" },
    );
  });
});

describe("tells a test", () => {
  test("what came, and when something is so", async () => {
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
      refused("ERR_TIMEOUT"),
    );
    await assert.rejects(salesforce.waitFor(true), refused("ERR_INVALID_ARGUMENT"));
    const failing = salesforce.waitFor(({ events }) => events.length > 0 && assert.fail("so it is"));
    salesforce.publish(CHANNEL, {});
    await assert.rejects(failing, /so it is/);
    const never = salesforce.waitFor(() => false);
    await emulator.close();
    await assert.rejects(never, refused("ERR_CLOSED"));
  });

  test("that an option is out of its range", () => {
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
        refused("ERR_INVALID_ARGUMENT"),
        JSON.stringify(options),
      );
    }
  });
});

describe("whatever goes wrong", () => {
  /** Numbers below `most` that a seed determines. */
  function chance(seed) {
    let state = seed;
    return (most) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * most);
    };
  }

  for (const seed of [1, 2, 3, 4, 5]) {
    test(`a client that subscribes again from its last id has every event, in order (seed ${seed})`, async () => {
      const next = chance(seed);
      const emulator = createEmulator({ salesforce: { maxEventsPerAnswer: 7 } });
      const { salesforce } = emulator;
      const troubles = [
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
        for (const event of ids(events).map(Number)) if (event > last) received.push((last = event));
      };
      const open = async () => {
        peer.clientId = undefined;
        await peer.open();
        keep((await peer.subscribe(CHANNEL, last)).events);
      };
      await open();
      while (received.length < 500) {
        const poll = peer.connect({ advice: { timeout: 5 } }).catch(() => ({ successful: false, events: [] }));
        for (let some = Math.min(next(12), 500 - published); some > 0; some--, published++)
          salesforce.publish(CHANNEL, {});
        troubles[next(troubles.length)]();
        const { successful, error, events } = await poll;
        keep(events);
        if (error === "401::Authentication invalid") peer.token = salesforce.issueToken();
        else if (!successful) await open().catch(() => (peer.token = salesforce.issueToken()));
      }
      assert.deepEqual(
        received,
        salesforce.events.map(({ replayId }) => Number(replayId)),
      );
    });
  }
});

describe("in a page of another origin", () => {
  const origin = "https://page.example";
  const preflight = {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    },
  };

  test("works with cookies", async () => {
    const emulator = createEmulator();
    const asked = await emulator.fetch(`${HERE}/salesforce/cometd/60.0`, preflight);
    assert.equal(asked.headers.get("access-control-allow-origin"), origin);
    assert.equal(asked.headers.get("access-control-allow-credentials"), "true");
    assert.equal(asked.headers.get("access-control-allow-headers"), "authorization,content-type");
    const answer = await emulator.fetch(`${HERE}/cometd/60.0`, { method: "POST", body: "[", headers: { origin } });
    assert.equal(answer.headers.get("access-control-allow-origin"), origin);
    assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
  });

  test("or not at all, as with Salesforce", async () => {
    const emulator = createEmulator({ salesforce: { cors: false } });
    const asked = await emulator.fetch(`${HERE}/salesforce/cometd/60.0`, preflight);
    assert.equal(asked.status, 405);
    assert.equal(asked.headers.get("access-control-allow-origin"), null);
    const other = await emulator.fetch(`${HERE}/cloudevents`, preflight);
    assert.equal(other.headers.get("access-control-allow-origin"), "*");
  });
});
