// The clients of Salesforce against the emulator: login, replay, recovery, replay positions.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inspect } from "node:util";
import {
  FerryError,
  SalesforceClient,
  SalesforceStreamingClient,
  clientCredentialsAuth,
  fileStore,
  jwtBearerAuth,
  memoryStore,
  passwordAuth,
  refreshTokenAuth,
  replayStore,
  sessionAuth,
  tokenAuth,
} from "eventferry";
import { createEmulator } from "eventferry/testing";
import { recordEvents } from "./bayeux-server.mjs";
import { abortAfter, realTime, sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const SECRETS = {
  consumerKey: "key-1",
  consumerSecret: "c0nsumer-s3cret",
  username: "u@example.com",
  password: "p4ssword!",
};
const A = "/event/A__e";
const BASE = "https://emulator.example/salesforce";
const emulator = createEmulator();
// A login signs its response with the crypto of the platform, which takes real time.
const emulatorFetch = (...args) => {
  const request = new Request(...args);
  return request.url.includes("oauth2") ? realTime(emulator.fetch(request)) : emulator.fetch(request);
};
after(() => emulator.close());

const RETRY = { baseMs: 1, maxMs: 10 };
const clientOf = (options = {}) =>
  new SalesforceStreamingClient({ ...SECRETS, loginUrl: BASE, retry: RETRY, fetch: emulatorFetch, ...options });

async function opened(options = {}, channel = A) {
  emulator.salesforce.clear();
  const client = clientOf(options);
  await client.open();
  if (channel) await client.subscribe(channel);
  return client;
}

const numbers = async (client, count) => {
  const found = [];
  for (let n = 0; n < count; n++) found.push((await client.receive({ signal: abortAfter(8000) })).data.payload.N);
  return found;
};

test("logs in with user name, password and security token, and receives an event", async () => {
  const client = await opened({ securityToken: "TOKEN" });
  const sent = emulator.salesforce.publish(A, { N: 1 });
  const message = await client.receive();
  assert.deepEqual([message.channel, message.replayId, message.data.payload.N], [A, String(sent.replayId), 1]);
  assert.equal(message.createdDate, message.data.payload.CreatedDate);
  const event = message.toCloudEvent();
  assert.deepEqual(
    [event.type, event.subject, event.get("replayid"), event.time, event.id],
    ["com.salesforce.event.A__e", A, message.replayId, message.createdDate, message.data.event.EventUuid],
  );

  await client.close();
  assert.equal(emulator.salesforce.sessions.length, 0);
});

test("a wrong password rejects open without a retry", async () => {
  let logins = 0;
  const client = clientOf({
    fetch: async () => {
      logins++;
      return Response.json({ error: "invalid_grant", error_description: "authentication failure" }, { status: 400 });
    },
  });
  await assert.rejects(client.open(), (error) => {
    assert.deepEqual(
      [error.code, error.status, error.message],
      ["ERR_UNAUTHORIZED", 400, "the login server refused: invalid_grant: authentication failure"],
    );
    return error instanceof FerryError;
  });
  assert.equal(logins, 1);
});

test("a text with the character that separates the texts of a module is refused, and neither cut nor shown", async () => {
  for (const [name, value] of [
    ["password", "p4ss\u001eword"],
    ["consumerKey", "\u001ekey"],
  ])
    await assert.rejects(clientOf({ [name]: value }).open(), (error) => {
      assert.equal(error.code, "ERR_INVALID_ARGUMENT");
      assert.match(error.message, /^\w+ must not contain the character U\+001E$/);
      return true;
    });
});

test("no auth object, client or error shows a secret", async () => {
  const auths = [
    passwordAuth({ ...SECRETS, securityToken: "T0KEN" }),
    refreshTokenAuth({ consumerKey: "k", consumerSecret: SECRETS.consumerSecret, refreshToken: "r3fresh" }),
    clientCredentialsAuth({
      consumerKey: "k",
      consumerSecret: SECRETS.consumerSecret,
      loginUrl: "https://acme.my.salesforce.com",
    }),
    sessionAuth({ accessToken: "acc3ss", instanceUrl: "https://acme.my.salesforce.com" }),
  ];
  const errors = [];
  for (const auth of auths) {
    for (const fetch of [
      async () => Promise.reject(new TypeError("no")),
      async (request) => new Response(await request.text(), { status: 400 }),
    ]) {
      const client = new SalesforceClient(auth, { fetch, retry: RETRY, connectionTimeoutMs: 5 });
      await client.open().catch((error) => errors.push(error));
      errors.push(client);
    }
  }
  const output = [auths, errors]
    .map((all) => [inspect(all, { depth: 9, showHidden: true }), JSON.stringify(all), String(all)].join())
    .join();
  for (const secret of [SECRETS.consumerSecret, SECRETS.password, "T0KEN", "r3fresh", "acc3ss"])
    assert.ok(!output.includes(secret), secret);
  assert.ok(errors.some((error) => error.code));
});

test("loses no event after a revoked token, a lost response, an expired session and a restart", async () => {
  const client = await opened();
  const events = recordEvents(client);
  const { salesforce } = emulator;
  salesforce.publish(A, { N: 1 });
  assert.deepEqual(await numbers(client, 1), [1]);
  salesforce.revokeTokens();
  salesforce.publish(A, { N: 2 });
  assert.deepEqual(await numbers(client, 1), [2]);
  salesforce.loseAnswers(1);
  salesforce.publish(A, { N: 3 });
  salesforce.publish(A, { N: 4 });
  assert.deepEqual(await numbers(client, 2), [3, 4]);
  salesforce.expireSessions();
  salesforce.publish(A, { N: 5 });
  assert.deepEqual(await numbers(client, 1), [5]);
  salesforce.restart();
  salesforce.publish(A, { N: 6 });
  assert.deepEqual(await numbers(client, 1), [6]);
  assert.ok(!events.includes("possible_gap") && events.includes("session_replaced"), events.join());
  assert.equal(salesforce.logins.length, 2, "a lost session costs no login");
  await client.close();
});

test("replay starts with all events, behind a replay id, or with new events", async () => {
  const channel = "/event/Start__e";
  const ids = [1, 2, 3].map((N) => emulator.salesforce.publish(channel, { N }).replayId);
  const all = await opened({ replay: "all" }, channel);
  assert.deepEqual(await numbers(all, 3), [1, 2, 3]);
  await all.close();
  const behind = await opened({ replay: ids[1] }, channel);
  assert.deepEqual(await numbers(behind, 1), [3]);
  await behind.close();
  const fresh = await opened({}, channel);
  emulator.salesforce.publish(channel, { N: 4 });
  assert.deepEqual(await numbers(fresh, 1), [4]);
  await fresh.close();
});

test("a client with drain reads what there is, saves its position and closes", async () => {
  const channel = "/event/Drained__e";
  const markers = new Map();
  const storage = {
    get: (name) => markers.get(name),
    set: (name, marker) => void markers.set(name, marker),
    initial: "all",
  };
  for (const expected of [[1, 2, 3], [4], []]) {
    for (const N of expected) emulator.salesforce.publish(channel, { N });
    const client = clientOf({ replay: storage, drain: true });
    const subscribed = client.subscribe(channel);
    await client.open();
    await subscribed;
    const found = [];
    for await (const { data } of client) found.push(data.payload.N);
    assert.deepEqual([found, client.closed], [expected, true]);
  }
  assert.equal(emulator.salesforce.sessions.length, 0);
});

test("filtered topics deliver, and continue after an expired session", async () => {
  const client = await opened({}, "/topic/T?Name='x'");
  emulator.salesforce.publish("/topic/T", { Name: "x" });
  assert.equal((await client.receive()).channel, "/topic/T");
  emulator.salesforce.expireSessions();
  emulator.salesforce.publish("/topic/T", { Name: "x" });
  assert.equal((await client.receive({ signal: abortAfter(5000) })).data.sobject.Name, "x");
  await client.close();
});

test("a replay id that the server no longer has is an error, or a replay_gap with replayFallback", async () => {
  const channel = "/event/Old__e";
  const { replayId } = emulator.salesforce.publish(channel, { N: 1 });
  emulator.salesforce.forgetEvents();
  emulator.salesforce.publish(channel, { N: 2 });
  const strict = await opened({ replay: replayId }, null);
  await assert.rejects(strict.subscribe(channel), (error) => {
    assert.deepEqual([error.code, error.status], ["ERR_GONE", 400]);
    return new RegExp(`no longer has the replay id ${replayId} of ${channel}, so events were lost`).test(error.message);
  });
  await strict.close();
  const tolerant = await opened({ replay: replayId, replayFallback: "all" }, null);
  const events = recordEvents(tolerant);
  await tolerant.subscribe(channel);
  assert.deepEqual(await numbers(tolerant, 1), [2]);
  assert.ok(events.includes("replay_gap"));
  await tolerant.close();
});

test("with the policy automatic a position is saved before receive returns", async () => {
  const markers = new Map();
  const client = await opened({ replay: markers });
  const { replayId } = emulator.salesforce.publish(A, { N: 1 });
  const message = await client.receive();
  assert.deepEqual(markers.get(A), { replayId: String(replayId), date: message.createdDate });
  await client.close();
  emulator.salesforce.publish(A, { N: 2 });
  const next = await opened({ replay: markers });
  assert.deepEqual(await numbers(next, 1), [2]);
  await next.close();
});

test("with the policy manual a position is saved when all messages before it were acknowledged", async () => {
  const markers = new Map();
  const client = await opened({
    replay: {
      get: (channel) => markers.get(channel),
      set: (channel, marker) => void markers.set(channel, marker),
      policy: "manual",
    },
  });
  for (const N of [1, 2, 3]) emulator.salesforce.publish(A, { N });
  const [one, two, three] = [await client.receive(), await client.receive(), await client.receive()];
  await two.ack();
  assert.equal(markers.size, 0);
  await one.ack();
  assert.equal(markers.get(A).replayId, two.replayId);
  await three.ack();
  await three.ack();
  assert.equal(markers.get(A).replayId, three.replayId);
  await client.close();
});

test("with the policy next a position is saved with the next receive or with close", async () => {
  const markers = new Map();
  const client = await opened({
    replay: Object.assign(
      Object.create({ get: (channel) => markers.get(channel), set: (channel, marker) => markers.set(channel, marker) }),
      { policy: "next" },
    ),
  });
  emulator.salesforce.publish(A, { N: 1 });
  emulator.salesforce.publish(A, { N: 2 });
  const one = await client.receive();
  assert.equal(markers.size, 0);
  const two = await client.receive();
  assert.equal(markers.get(A).replayId, one.replayId);
  await client.close();
  assert.equal(markers.get(A).replayId, two.replayId);
});

test("a position is saved when the listener is done", async () => {
  const markers = new Map();
  const client = await opened({ replay: markers }, null);
  let release;
  await client.subscribe(A, () => new Promise((resolve) => (release = resolve)));
  emulator.salesforce.publish(A, { N: 1 });
  await until(() => release);
  assert.equal(markers.size, 0);
  release();
  await until(() => markers.size === 1);
  await client.close();
});

test("replayStore keeps positions in a store, from client to client", async () => {
  const folder = mkdtempSync(join(tmpdir(), "replay-"));
  const path = join(folder, "positions");
  const channel = "/event/Kept__e";
  for (const N of [1, 2]) emulator.salesforce.publish(channel, { N });
  for (const expected of [1, 2]) {
    const storage = replayStore(fileStore(path), { initial: "all" });
    const client = await opened({ replay: storage }, channel);
    assert.deepEqual(await numbers(client, 1), [expected]);
    await client.close();
    await storage.close();
  }
  assert.ok(existsSync(path));
  rmSync(folder, { recursive: true });
});

test("receive returns the same message after a failed save", async () => {
  let fails = true;
  const client = await opened({
    replay: {
      get: () => undefined,
      set: () => {
        if (fails) throw new Error("disk full");
      },
    },
  });
  emulator.salesforce.publish(A, { N: 1 });
  await assert.rejects(client.receive(), {
    code: "ERR_STORE",
    message: "failed to save the replay position: disk full",
  });
  fails = false;
  assert.deepEqual(await numbers(client, 1), [1]);
  await client.close();
  const unreadable = await opened({ replay: { get: () => Promise.reject(new Error("no")), set() {} } }, null);
  await assert.rejects(unreadable.subscribe(A), { code: "ERR_STORE" });
  await unreadable.close();
  const store = memoryStore();
  await store.write({
    put: [{ key: "x", body: new Uint8Array([123, 125]), sizes: Uint32Array.of(2), at: 0 }],
    remove: [],
    deadPut: [],
    deadRemove: [],
  });
  await assert.rejects(async () => replayStore(store).get(A), { code: "ERR_STORE", message: /its own store/ });
});

test("jwtBearerAuth signs claims that the public key verifies", async () => {
  const { publicKey, privateKey } = await crypto.subtle.generateKey(
    { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
    true,
    ["sign", "verify"],
  );
  const pem = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(await crypto.subtle.exportKey("pkcs8", privateKey))
    .toString("base64")
    .replace(/(.{64})/g, "$1\n")}\n-----END PRIVATE KEY-----\n`;
  for (const key of [pem, privateKey]) {
    let form;
    let loginSeconds;
    const fetch = async (...args) => {
      const request = new Request(...args);
      if (request.url.includes("oauth2")) {
        loginSeconds = virtualClock().unixNow() / 1000;
        form = new URLSearchParams(await request.clone().text());
      }
      return emulatorFetch(...args);
    };
    const client = new SalesforceClient(
      jwtBearerAuth({
        consumerKey: "key-1",
        username: "u@example.com",
        privateKey: key,
        loginUrl: BASE,
        sandbox: true,
      }),
      // Signing takes real time, in which virtual time may pass.
      { fetch, retry: RETRY, connectionTimeoutMs: Infinity },
    );
    await client.open();
    const [head, claims, signature] = form.get("assertion").split(".");
    assert.equal(form.get("grant_type"), "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert.ok(
      await crypto.subtle.verify(
        "RSASSA-PKCS1-v1_5",
        publicKey,
        Buffer.from(signature, "base64url"),
        new TextEncoder().encode(`${head}.${claims}`),
      ),
    );
    const { iss, sub, aud, exp } = JSON.parse(Buffer.from(claims, "base64url"));
    assert.deepEqual([iss, sub, aud], ["key-1", "u@example.com", "https://test.salesforce.com"]);
    assert.ok(Math.abs(exp - loginSeconds - 170) < 30);
    await client.close();
  }
  const broken = new SalesforceClient(
    jwtBearerAuth({
      consumerKey: "k",
      username: "u",
      privateKey: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
      loginUrl: BASE,
    }),
    { fetch: emulatorFetch, connectionTimeoutMs: Infinity },
  );
  await assert.rejects(broken.open(), {
    code: "ERR_INVALID_ARGUMENT",
    message: "signing failed: privateKey must be an RSA key for RS256",
  });
});

test("a new refresh token replaces the old one and is reported", async () => {
  const received = [];
  const tokens = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    if (request.url.includes("oauth2")) {
      tokens.push(new URLSearchParams(await request.clone().text()).get("refresh_token"));
      return Response.json({
        access_token: emulator.salesforce.issueToken(),
        instance_url: BASE,
        refresh_token: `r${tokens.length + 1}`,
      });
    }
    return emulatorFetch(request);
  };
  const client = new SalesforceClient(
    refreshTokenAuth({
      consumerKey: "k",
      refreshToken: "r1",
      loginUrl: BASE,
      onRefreshToken: (token) => received.push(token),
    }),
    { fetch, retry: RETRY },
  );
  await client.open();
  await client.subscribe(A);
  emulator.salesforce.revokeTokens();
  await until(() => tokens.length === 2);
  assert.deepEqual([tokens, received.slice(0, 1)], [["r1", "r2"], ["r2"]]);
  await client.close();
});

test("sessionAuth works until the server refuses the token", async () => {
  const client = new SalesforceClient(
    sessionAuth({ accessToken: emulator.salesforce.issueToken(), instanceUrl: BASE }),
    { retry: RETRY, fetch: emulatorFetch },
  );
  await client.open();
  await client.subscribe(A);
  emulator.salesforce.publish(A, { N: 1 });
  assert.deepEqual(await numbers(client, 1), [1]);
  const waiting = client.receive();
  emulator.salesforce.revokeTokens();
  await assert.rejects(waiting, { code: "ERR_UNAUTHORIZED", message: /cannot be renewed/ });
  assert.equal(client.closed, true);
});

test("errors of the server become error codes with advice", async () => {
  const client = await opened();
  const { salesforce } = emulator;
  await assert.rejects(client.publish(A, {}), {
    code: "ERR_INVALID_ARGUMENT",
    message: /POST \/services\/data\/vXX\.X\/sobjects\/A__e/,
  });
  const off = salesforce.refuse({ on: "/meta/subscribe", error: "403:denied_by_security_policy:create_denied" });
  await assert.rejects(client.subscribe("/topic/X"), { code: "ERR_REJECTED", status: 403 });
  off();
  await client.close();
  salesforce.refuse({
    on: "/meta/handshake",
    error: "403::Handshake denied",
    failureReason: "403::Organization concurrent user limit exceeded",
  });
  await assert.rejects(
    clientOf().open(),
    (error) => error.code === "ERR_RATE_LIMITED" && /concurrent user limit/.test(error.message),
  );
  salesforce.clearOverrides();
});

test("invalid arguments are rejected with a message that names them and shows no secret", () => {
  const good = { ...SECRETS };
  for (const [make, message] of [
    [() => clientOf({ sandbax: true }), /has no option "sandbax"/],
    [() => clientOf({ replay: "newest" }), /^replay must be "new", "all" or a replay id; received "/],
    [() => clientOf({ replay: "" }), /^replay must be "new", "all" or a replay id; received "/],
    [() => clientOf({ replay: 1.5 }), /^replay must be "new", "all" or a replay id; received 1.5$/],
    [() => clientOf({ replayFallback: "old" }), /^replayFallback must be "new" or "all"; received "old"$/],
    [() => clientOf({ apiVersion: "v68" }), /^apiVersion must be a version such as "68.0"; received "v68"$/],
    [() => clientOf({ streamingUrl: "/cometd" }), /streamingUrl must be an absolute URL/],
    [() => clientOf({ loginUrl: "login" }), /loginUrl must be an absolute URL/],
    [() => passwordAuth({ ...good, password: 1234567 }), /^password must be a non-empty string$/],
    [() => passwordAuth({ ...good, consumerKey: undefined }), /^consumerKey must be a non-empty string$/],
    [() => passwordAuth({ ...good, sandbox: "yes" }), /^sandbox must be a boolean; received "yes"$/],
    [
      () => passwordAuth(undefined),
      /^the options of passwordAuth must be an object such as \{ consumerKey: … \}; received undefined$/,
    ],
    [
      () => clientCredentialsAuth({ consumerKey: "k", consumerSecret: "s" }),
      /^loginUrl must be the URL of My Domain; received undefined; /,
    ],
    [
      () => jwtBearerAuth({ consumerKey: "k", username: "u", privateKey: "-----BEGIN RSA PRIVATE KEY-----" }),
      /PKCS #8/,
    ],
    [
      () => refreshTokenAuth({ consumerKey: "k", refreshToken: "r", onRefreshToken: 1 }),
      /^onRefreshToken must be a function$/,
    ],
    [() => sessionAuth({ accessToken: "x" }), /instanceUrl must be an absolute URL/],
    [() => new SalesforceClient({ flow: "password" }), /^auth must be the result of passwordAuth/],
    [() => new SalesforceClient(undefined), /^auth must be the result of passwordAuth/],
    [() => replayStore({}), /^store must be a store such as memoryStore\(\)/],
    [
      () => replayStore(memoryStore(), { policy: "auto" }),
      /^policy must be "automatic", "next" or "manual"; received "auto"$/,
    ],
  ]) {
    assert.throws(
      make,
      (error) => error.code === "ERR_INVALID_ARGUMENT" && message.test(error.message) && !/1234567/.test(error.message),
      String(make),
    );
  }
});

test("a stored replay id that is not a number is sent unchanged", async () => {
  const sent = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    const [message] = JSON.parse(await request.clone().text());
    if (message.channel === "/meta/subscribe") sent.push(message.ext.replay);
    return Response.json([
      {
        id: message.id,
        channel: message.channel,
        subscription: message.subscription,
        successful: true,
        clientId: "c1",
        version: "1.0",
        ext: { replay: true },
        supportedConnectionTypes: ["long-polling"],
        advice: { reconnect: "retry", interval: 60_000, timeout: 30_000 },
      },
    ]);
  };
  const markers = new Map([
    ["/event/A__e", { replayId: "eyJv.12-x" }],
    ["/event/B__e", { replayId: "all" }],
    ["/event/C__e", { replayId: "41" }],
    ["/event/D__e", { replayId: "two words" }],
    ["/event/E__e", "41"],
  ]);
  const client = new SalesforceClient(sessionAuth({ accessToken: "t", instanceUrl: "https://example.com" }), {
    fetch,
    replay: markers,
  });
  await client.open();
  for (const channel of ["A", "B", "C"]) await client.subscribe(`/event/${channel}__e`);
  assert.deepEqual(sent, [{ "/event/A__e": "eyJv.12-x" }, { "/event/B__e": -2 }, { "/event/C__e": 41 }]);
  for (const channel of ["D", "E"])
    await assert.rejects(client.subscribe(`/event/${channel}__e`), {
      code: "ERR_INVALID_ARGUMENT",
      message: /^replayId of a stored marker must be a replay id as text; received /,
    });
  await client.close();
});

test("a goodbye of Salesforce, alone or beside a refusal, loses no event and ends nothing", async () => {
  const client = await opened();
  let n = 0;
  for (const end of ["revokeTokens", "expireSessions"])
    for (const disconnect of ["first", "last", "alone"]) {
      emulator.salesforce.publish(A, { N: ++n });
      assert.deepEqual(await numbers(client, 1), [n]);
      await emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
      emulator.salesforce[end]({ disconnect });
      emulator.salesforce.publish(A, { N: ++n });
      assert.deepEqual(await numbers(client, 1), [n], `${end}, ${disconnect}`);
    }
  assert.equal(client.closed, false);
  await client.close();
});

test("the token of a login goes to no instance that the application has not allowed", async () => {
  const sent = [];
  const loginUrl = "https://login.example";
  const fetchFor = (instance) => async (url, init) => {
    const request = new Request(url, init);
    sent.push(new URL(request.url).host);
    if (request.url.endsWith("/token"))
      return Response.json({ access_token: "T", instance_url: instance, token_type: "Bearer" });
    const messages = await request.json();
    return Response.json(messages.map(({ channel, id }) => ({ channel, id, successful: false, error: "400::no" })));
  };
  const open = async (instance, options = {}) => {
    sent.length = 0;
    const auth = clientCredentialsAuth({ consumerKey: "k", consumerSecret: "s", loginUrl });
    const settings = { fetch: fetchFor(instance), retry: RETRY, connectionTimeoutMs: 100, ...options };
    const client = new SalesforceClient(auth, settings);
    const error = await client.open().catch((error) => error);
    return { error, hosts: [...new Set(sent)] };
  };
  for (const instance of [
    "https://evil.example",
    "http://acme.my.salesforce.com",
    "https://acme.my.salesforce.com@evil.example",
    "https://salesforce.com.evil.example",
  ]) {
    const { error, hosts } = await open(instance);
    assert.equal(error.code, "ERR_REJECTED", instance);
    assert.match(error.message, /allowedInstances/);
    assert.deepEqual(hosts, ["login.example"], instance);
  }
  for (const [instance, options] of [
    ["https://acme.my.salesforce.com"],
    ["https://login.example"],
    ["https://crm.example", { allowedInstances: ["https://crm.example"] }],
    ["https://eu.crm.example", { allowedInstances: ["*.crm.example"] }],
  ])
    assert.ok((await open(instance, options)).hosts.includes(new URL(instance).host), instance);
  const auth = clientCredentialsAuth({ consumerKey: "k", consumerSecret: "s", loginUrl });
  for (const options of [
    { allowedInstances: "crm.example" },
    { allowedInstances: ["http://crm.example"] },
    { streamingUrl: "http://proxy.example/cometd/68.0" },
  ])
    assert.throws(() => new SalesforceClient(auth, options), { code: "ERR_INVALID_ARGUMENT" });
});

test("an onRefreshToken that throws or rejects is reported, and the login goes on", async () => {
  for (const onRefreshToken of [
    () => {
      throw new Error("the disk is full");
    },
    () => Promise.reject(new Error("the disk is full")),
  ]) {
    emulator.salesforce.clear();
    const fetch = async (...args) => {
      const request = new Request(...args);
      const response = await emulatorFetch(request);
      if (!request.url.includes("oauth2")) return response;
      return Response.json({ ...(await response.json()), refresh_token: "NEW" });
    };
    const first = await emulatorFetch(
      new Request(`${BASE}/services/oauth2/token`, {
        method: "POST",
        body: new URLSearchParams({
          grant_type: "password",
          client_id: SECRETS.consumerKey,
          client_secret: SECRETS.consumerSecret,
          username: SECRETS.username,
          password: SECRETS.password,
        }),
      }),
    );
    const { refresh_token: refreshToken = "none" } = await first.json();
    const auth = refreshTokenAuth({ consumerKey: SECRETS.consumerKey, refreshToken, loginUrl: BASE, onRefreshToken });
    const client = new SalesforceClient(auth, { fetch, retry: RETRY });
    const errors = [];
    client.addEventListener("error", ({ detail }) => errors.push(detail.error.message));
    await client.open().catch(() => undefined);
    await until(() => errors.length > 0 || client.closed);
    if (refreshToken !== "none") assert.deepEqual(errors, ["the disk is full"]);
    await client.close();
  }
});

test("a JWT expires by the wall clock after the computer has slept", async () => {
  const { privateKey } = await crypto.subtle.generateKey(
    { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
    true,
    ["sign"],
  );
  const expiries = [];
  const clock = virtualClock();
  const fetch = async (...args) => {
    const request = new Request(...args);
    if (request.url.includes("oauth2")) {
      const assertion = new URLSearchParams(await request.clone().text()).get("assertion");
      expiries.push(JSON.parse(atob(assertion.split(".")[1])).exp * 1000 - clock.unixNow());
      return Response.json({ access_token: `T${expiries.length}`, instance_url: BASE });
    }
    const messages = await request.json();
    const isRefused =
      messages[0].channel === "/meta/connect" && expiries.length === 1 && messages[0].advice === undefined;
    if (isRefused) clock.setUnix(clock.unixNow() + 3_600_000);
    else if (messages[0].channel === "/meta/connect" && messages[0].advice === undefined) await sleep(100_000);
    return Response.json(
      messages.map(({ channel, id }) => ({
        channel,
        id,
        successful: !isRefused,
        ...(isRefused && { error: "401::Authentication invalid" }),
        clientId: "c",
        supportedConnectionTypes: ["long-polling"],
      })),
    );
  };
  const auth = jwtBearerAuth({ consumerKey: "k", username: "u", privateKey, loginUrl: BASE });
  const client = new SalesforceClient(auth, { fetch, retry: RETRY, connectionTimeoutMs: Infinity });
  await client.open();
  await until(() => expiries.length === 2, 1e9);
  for (const millis of expiries) assert.ok(millis > 100_000 && millis < 180_000, String(millis));
  await client.close();
});

test("tokenAuth asks a function of the program for tokens, again when one is refused, and again when it throws", async () => {
  emulator.salesforce.clear();
  const asked = [];
  const accessToken = async ({ renew }) => {
    asked.push(renew);
    if (asked.length === 2) throw new TypeError("the backend is away");
    return emulator.salesforce.issueToken();
  };
  const client = new SalesforceClient(tokenAuth({ accessToken, instanceUrl: BASE }), {
    fetch: emulatorFetch,
    retry: RETRY,
  });
  assert.equal(client.credentials, undefined);
  await client.open();
  await client.subscribe(A);
  const { accessToken: first, instanceUrl, issuedAt } = client.credentials;
  assert.deepEqual([instanceUrl, issuedAt.getTime() <= virtualClock().unixNow()], [BASE, true]);
  assert.ok(!`${inspect(client.credentials)} ${JSON.stringify(client.credentials)}`.includes(first));
  emulator.salesforce.revokeTokens();
  await until(() => asked.length === 3 && client.state === "connected");
  emulator.salesforce.publish(A, { N: 3 });
  assert.deepEqual([await numbers(client, 1), asked], [[3], [false, true, true]]);
  assert.notEqual(client.credentials.accessToken, first);
  await client.close();

  const never = tokenAuth({ accessToken: () => Promise.reject(new Error("no session")), instanceUrl: BASE });
  const failing = new SalesforceClient(never, { fetch: emulatorFetch, retry: RETRY, connectionTimeoutMs: 1000 });
  await assert.rejects(failing.open(), { code: "ERR_UNAUTHORIZED", message: /accessToken failed: no session/ });
  for (const options of [{}, { accessToken: "t", instanceUrl: BASE }, { accessToken, instanceUrl: "acme" }])
    assert.throws(() => tokenAuth(options), { code: "ERR_INVALID_ARGUMENT" });
});

test("use acknowledges a message unless the function throws", async () => {
  const positions = new Map();
  const replay = {
    get: (channel) => positions.get(channel),
    set: (channel, marker) => void positions.set(channel, marker.replayId),
    policy: "manual",
  };
  const client = await opened({ replay });
  assert.equal(client.transport, "long-polling");
  const sent = [1, 2].map((N) => String(emulator.salesforce.publish(A, { N }).replayId));
  const [first, second] = [await client.receive(), await client.receive()];
  await assert.rejects(
    first.use(() => Promise.reject(new Error("not processed"))),
    /not processed/,
  );
  await second.use(() => undefined);
  assert.equal(positions.size, 0);
  assert.equal(await first.use(({ data }) => data.payload.N), 1);
  assert.deepEqual([...positions.values()], [sent[1]]);
  await assert.rejects(first.use("x"), { code: "ERR_INVALID_ARGUMENT" });
  await client.close();
  assert.equal(client.transport, undefined);
});
