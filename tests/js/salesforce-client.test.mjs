// The clients of Salesforce against the emulator: login, replay, recovery, marks.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
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
} from "eventferry";
import { createEmulator } from "eventferry/testing";
import { listen, until } from "./bayeux-world.mjs";

const SECRETS = {
  consumerKey: "key-1",
  consumerSecret: "c0nsumer-s3cret",
  username: "u@example.com",
  password: "p4ssword!",
};
const A = "/event/A__e";
let emulator;
let base;
before(async () => {
  emulator = createEmulator();
  const { url } = await emulator.listen();
  base = new URL("salesforce", url).href;
});
after(() => emulator.close());

const retry = { baseMs: 1, maxMs: 10 };
const clientOf = (options = {}) => new SalesforceStreamingClient({ ...SECRETS, loginUrl: base, retry, ...options });

async function opened(options = {}, channel = A) {
  emulator.salesforce.clear();
  const client = clientOf(options);
  await client.open();
  if (channel) await client.subscribe(channel);
  return client;
}

const numbers = async (client, count) => {
  const found = [];
  for (let n = 0; n < count; n++)
    found.push((await client.receive({ signal: AbortSignal.timeout(8000) })).data.payload.N);
  return found;
};

test("logs in by user name and password with the token behind it, and receives", async () => {
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

test("a wrong password is refused at once, and not tried again", async () => {
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

test("nothing shows a secret", async () => {
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
      const client = new SalesforceClient(auth, { fetch, retry, connectionTimeoutMs: 5 });
      await client.open().catch((error) => errors.push(error));
      errors.push(client);
    }
  }
  const shown = [auths, errors]
    .map((all) => [inspect(all, { depth: 9, showHidden: true }), JSON.stringify(all), String(all)].join())
    .join();
  for (const secret of [SECRETS.consumerSecret, SECRETS.password, "T0KEN", "r3fresh", "acc3ss"])
    assert.ok(!shown.includes(secret), secret);
  assert.ok(errors.some((error) => error.code));
});

test("comes through a revoked token, a lost answer, a lost session and a restart without a loss", async () => {
  const client = await opened();
  const heard = listen(client);
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
  assert.ok(!heard.includes("possible_gap") && heard.includes("session_replaced"), heard.join());
  assert.equal(salesforce.logins.length, 2, "a lost session costs no login");
  await client.close();
});

test("starts with everything, behind an event, or with what is new", async () => {
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

test("a client that drains reads what there is, saves how far it got, and leaves", async () => {
  const channel = "/event/Drained__e";
  const marks = new Map();
  const storage = { get: (name) => marks.get(name), set: (name, mark) => void marks.set(name, mark), initial: "all" };
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

test("filtered topics deliver, and go on where they were", async () => {
  const client = await opened({}, "/topic/T?Name='x'");
  emulator.salesforce.publish("/topic/T", { Name: "x" });
  assert.equal((await client.receive()).channel, "/topic/T");
  emulator.salesforce.expireSessions();
  emulator.salesforce.publish("/topic/T", { Name: "x" });
  assert.equal((await client.receive({ signal: AbortSignal.timeout(5000) })).data.sobject.Name, "x");
  await client.close();
});

test("an id that the server has forgotten is an error, or a gap that is noticed", async () => {
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
  const heard = listen(tolerant);
  await tolerant.subscribe(channel);
  assert.deepEqual(await numbers(tolerant, 1), [2]);
  assert.ok(heard.includes("replay_gap"));
  await tolerant.close();
});

test("marks are saved when a message is handed over", async () => {
  const marks = new Map();
  const client = await opened({ replay: marks });
  const { replayId } = emulator.salesforce.publish(A, { N: 1 });
  const message = await client.receive();
  assert.deepEqual(marks.get(A), { replayId: String(replayId), date: message.createdDate });
  await client.close();
  emulator.salesforce.publish(A, { N: 2 });
  const next = await opened({ replay: marks });
  assert.deepEqual(await numbers(next, 1), [2]);
  await next.close();
});

test("with the policy manual a mark moves when everything before it was acknowledged", async () => {
  const marks = new Map();
  const client = await opened({
    replay: {
      get: (channel) => marks.get(channel),
      set: (channel, mark) => void marks.set(channel, mark),
      policy: "manual",
    },
  });
  for (const N of [1, 2, 3]) emulator.salesforce.publish(A, { N });
  const [one, two, three] = [await client.receive(), await client.receive(), await client.receive()];
  await two.ack();
  assert.equal(marks.size, 0);
  await one.ack();
  assert.equal(marks.get(A).replayId, two.replayId);
  await three.ack();
  await three.ack();
  assert.equal(marks.get(A).replayId, three.replayId);
  await client.close();
});

test("with the policy next a mark is saved when the next message is asked for, or at the end", async () => {
  const marks = new Map();
  const client = await opened({
    replay: Object.assign(
      Object.create({ get: (channel) => marks.get(channel), set: (channel, mark) => marks.set(channel, mark) }),
      { policy: "next" },
    ),
  });
  emulator.salesforce.publish(A, { N: 1 });
  emulator.salesforce.publish(A, { N: 2 });
  const one = await client.receive();
  assert.equal(marks.size, 0);
  const two = await client.receive();
  assert.equal(marks.get(A).replayId, one.replayId);
  await client.close();
  assert.equal(marks.get(A).replayId, two.replayId);
});

test("listeners save a mark when they are done", async () => {
  const marks = new Map();
  const client = await opened({ replay: marks }, null);
  let release;
  await client.subscribe(A, () => new Promise((resolve) => (release = resolve)));
  emulator.salesforce.publish(A, { N: 1 });
  await until(() => release);
  assert.equal(marks.size, 0);
  release();
  await until(() => marks.size === 1);
  await client.close();
});

test("marks live in stores of this package, and outlive the client", async () => {
  const folder = mkdtempSync(join(tmpdir(), "marks-"));
  const path = join(folder, "marks");
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

test("a store that fails gives the message again", async () => {
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
    message: "how far a channel got could not be saved: disk full",
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
  await assert.rejects(async () => replayStore(store).get(A), { code: "ERR_STORE", message: /a store of its own/ });
});

test("jwt bearer signs a statement that the key's owner can check", async () => {
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
    const fetch = async (request) => {
      if (request.url.includes("oauth2")) form = new URLSearchParams(await request.clone().text());
      return globalThis.fetch(request);
    };
    const client = new SalesforceClient(
      jwtBearerAuth({
        consumerKey: "key-1",
        username: "u@example.com",
        privateKey: key,
        loginUrl: base,
        sandbox: true,
      }),
      { fetch, retry },
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
    assert.ok(Math.abs(exp - Date.now() / 1000 - 170) < 30);
    await client.close();
  }
  const broken = new SalesforceClient(
    jwtBearerAuth({
      consumerKey: "k",
      username: "u",
      privateKey: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
      loginUrl: base,
    }),
  );
  await assert.rejects(broken.open(), {
    code: "ERR_INVALID_ARGUMENT",
    message: "signing failed: privateKey must be an RSA key for RS256",
  });
});

test("a new refresh token takes the place of the old one, and is told", async () => {
  const told = [];
  const tokens = [];
  const fetch = async (request) => {
    if (request.url.includes("oauth2")) {
      tokens.push(new URLSearchParams(await request.clone().text()).get("refresh_token"));
      return Response.json({
        access_token: emulator.salesforce.issueToken(),
        instance_url: base,
        refresh_token: `r${tokens.length + 1}`,
      });
    }
    return globalThis.fetch(request);
  };
  const client = new SalesforceClient(
    refreshTokenAuth({
      consumerKey: "k",
      refreshToken: "r1",
      loginUrl: base,
      onRefreshToken: (token) => told.push(token),
    }),
    { fetch, retry },
  );
  await client.open();
  await client.subscribe(A);
  emulator.salesforce.revokeTokens();
  await until(() => tokens.length === 2);
  assert.deepEqual([tokens, told.slice(0, 1)], [["r1", "r2"], ["r2"]]);
  await client.close();
});

test("a given session works until it is refused", async () => {
  const client = new SalesforceClient(
    sessionAuth({ accessToken: emulator.salesforce.issueToken(), instanceUrl: base }),
    { retry },
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

test("what the server refuses leads to what can be done about it", async () => {
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
  salesforce.clearTroubles();
});

test("mistakes are named when they are made, and secrets are not", () => {
  const good = { ...SECRETS };
  for (const [make, words] of [
    [() => clientOf({ sandbax: true }), /has no option "sandbax"/],
    [() => clientOf({ replay: "newest" }), /replay is "new", "all" or a replay id/],
    [() => clientOf({ replay: "" }), /replay is "new", "all" or a replay id/],
    [() => clientOf({ replay: 1.5 }), /replay is "new"/],
    [() => clientOf({ replayFallback: "old" }), /replayFallback is/],
    [() => clientOf({ apiVersion: "v68" }), /apiVersion is/],
    [() => clientOf({ streamingUrl: "/cometd" }), /streamingUrl must be an absolute URL/],
    [() => clientOf({ loginUrl: "login" }), /loginUrl must be an absolute URL/],
    [() => passwordAuth({ ...good, password: 1234567 }), /^password is a string/],
    [() => passwordAuth({ ...good, consumerKey: undefined }), /^consumerKey is a string/],
    [() => passwordAuth({ ...good, sandbox: "yes" }), /sandbox is true or false/],
    [() => passwordAuth(undefined), /takes an object of options/],
    [
      () => clientCredentialsAuth({ consumerKey: "k", consumerSecret: "s" }),
      /needs loginUrl, the address of My Domain/,
    ],
    [
      () => jwtBearerAuth({ consumerKey: "k", username: "u", privateKey: "-----BEGIN RSA PRIVATE KEY-----" }),
      /PKCS #8/,
    ],
    [
      () => refreshTokenAuth({ consumerKey: "k", refreshToken: "r", onRefreshToken: 1 }),
      /onRefreshToken is a function/,
    ],
    [() => sessionAuth({ accessToken: "x" }), /instanceUrl must be an absolute URL/],
    [() => new SalesforceClient({ flow: "password" }), /auth is what passwordAuth/],
    [() => new SalesforceClient(undefined), /auth is what passwordAuth/],
    [() => replayStore({}), /replayStore takes a store/],
    [() => replayStore(memoryStore(), { policy: "auto" }), /policy is/],
  ]) {
    assert.throws(
      make,
      (error) => error.code === "ERR_INVALID_ARGUMENT" && words.test(error.message) && !/1234567/.test(error.message),
      String(make),
    );
  }
});

test("a stored mark that is no number goes to the server as it is: its ids are for the server to know", async () => {
  const asked = [];
  const fetch = async (request) => {
    const [message] = JSON.parse(await request.clone().text());
    if (message.channel === "/meta/subscribe") asked.push(message.ext.replay);
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
  const marks = new Map([
    ["/event/A__e", { replayId: "eyJv.12-x" }],
    ["/event/B__e", { replayId: "all" }],
    ["/event/C__e", { replayId: "41" }],
    ["/event/D__e", { replayId: "two words" }],
    ["/event/E__e", "41"],
  ]);
  const client = new SalesforceClient(sessionAuth({ accessToken: "t", instanceUrl: "https://example.com" }), {
    fetch,
    replay: marks,
  });
  await client.open();
  for (const channel of ["A", "B", "C"]) await client.subscribe(`/event/${channel}__e`);
  assert.deepEqual(asked, [{ "/event/A__e": "eyJv.12-x" }, { "/event/B__e": -2 }, { "/event/C__e": 41 }]);
  for (const channel of ["D", "E"])
    await assert.rejects(client.subscribe(`/event/${channel}__e`), {
      code: "ERR_INVALID_ARGUMENT",
      message: /a mark is { replayId }/,
    });
  await client.close();
});
