// The proxy between a page and Salesforce: what it forwards, what it withholds, and whom it refuses.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { createEmulator, isFerryError } from "eventferry/testing";
import { salesforceProxy } from "../../dist/systems/salesforce/proxy.js";
import { realTime, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const PAGE = "https://app.example.com";
const EDGE = "https://edge.example.com/sf";
const INSTANCE = "https://acme.my.salesforce.com";
const CHANNEL = "/event/A__e";
const PASSWORD = {
  grant_type: "password",
  client_id: "key",
  client_secret: "secret",
  username: "u@example.com",
  password: "a-password",
};
const isError = (code, message) => (error) => isFerryError(error, code) && (!message || message.test(error.message));

/** A proxy in front of an emulator, with a record of the requests to Salesforce. */
function setup(options = {}, emulatorOptions = {}) {
  const emulator = createEmulator({ salesforce: emulatorOptions });
  const sent = [];
  const errors = [];
  const proxy = salesforceProxy({
    instanceUrl: INSTANCE,
    allowedOrigins: [PAGE],
    fetch: async (...args) => {
      const request = new Request(...args);
      sent.push({ url: request.url, headers: Object.fromEntries(request.headers), body: await request.clone().text() });
      // A login signs its response with the crypto of the platform, which takes real time.
      return request.url.includes("oauth2") ? realTime(emulator.fetch(request)) : emulator.fetch(request);
    },
    onError: (error) => errors.push(error),
    ...options,
  });
  return { emulator, proxy, sent, errors, page: new Page(proxy) };
}

/** A page: it has no cookies and sends its origin. */
class Page {
  count = 0;
  constructor(proxy) {
    this.proxy = proxy;
  }
  async fetch(path, { headers = {}, ...init } = {}) {
    const answer = await this.proxy(
      new Request(EDGE + path, { method: "POST", ...init, headers: { origin: PAGE, ...headers } }),
    );
    assert.deepEqual(answer.headers.getSetCookie(), [], "the proxy sets no cookies");
    return answer;
  }
  async login(fields = PASSWORD, init = {}) {
    const answer = await this.fetch("/services/oauth2/token", { body: new URLSearchParams(fields), ...init });
    assert.equal(answer.headers.get("access-control-allow-origin"), PAGE);
    return { status: answer.status, ...(await answer.json()) };
  }
  message(channel, more = {}) {
    return { channel, id: String(++this.count), ...(this.clientId && { clientId: this.clientId }), ...more };
  }
  post(messages, { headers = {}, ...init } = {}) {
    const body = typeof messages === "string" ? messages : JSON.stringify(messages);
    return this.fetch("/cometd/60.0", {
      body,
      ...init,
      headers: {
        "content-type": "application/json",
        ...(this.token && { authorization: `Bearer ${this.token}` }),
        ...headers,
      },
    });
  }
  async send(channel, more, init) {
    const answer = await this.post([this.message(channel, more)], init);
    assert.equal(answer.status, 200);
    const messages = await answer.json();
    return Object.assign(messages.at(-1), { events: messages.slice(0, -1) });
  }
  connect(more = {}, init) {
    return this.send("/meta/connect", { connectionType: "long-polling", ...more }, init);
  }
  async open() {
    this.clientId = (
      await this.send("/meta/handshake", { version: "1.0", supportedConnectionTypes: ["long-polling"] })
    ).clientId;
    await this.connect();
    return this;
  }
}

describe("forwarding", () => {
  test("forwards a login, and returns itself as the instance", async () => {
    const { page, sent } = setup();
    const { status, access_token, instance_url, id } = await page.login();
    assert.equal(status, 200);
    assert.match(access_token, /^00D/);
    assert.equal(instance_url, EDGE);
    assert.ok(id.startsWith(INSTANCE));
    assert.equal(sent[0].url, `${INSTANCE}/services/oauth2/token`);
    assert.deepEqual(Object.fromEntries(new URLSearchParams(sent[0].body)), PASSWORD);
    const elsewhere = setup({ publicUrl: "https://app.example.com/api/sf/" });
    assert.equal((await elsewhere.page.login()).instance_url, "https://app.example.com/api/sf");
  });

  test("forwards a whole session without showing its cookies to the page", async () => {
    const { page, emulator, sent } = setup();
    page.token = (await page.login()).access_token;
    await page.open();
    const [cookie] = sent.filter(({ body }) => body.includes("/meta/connect")).map(({ headers }) => headers.cookie);
    assert.match(cookie, /^BAYEUX_BROWSER=\w{22}; sfdc-stream=!\S+=$/);
    assert.equal(
      (await page.send("/meta/subscribe", { subscription: CHANNEL, ext: { replay: { [CHANNEL]: -1 } } })).successful,
      true,
    );
    const poll = page.connect();
    await emulator.salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
    emulator.salesforce.publish(CHANNEL, { N__c: 1 });
    assert.deepEqual(
      (await poll).events.map(({ data }) => data.payload.N__c),
      [1],
    );
    assert.equal((await page.send("/meta/disconnect")).successful, true);
    assert.deepEqual(emulator.salesforce.sessions, []);
  });

  test("changes only the client id of messages, and keeps every digit of every number", async () => {
    const { page, sent, emulator } = setup();
    page.token = emulator.salesforce.issueToken();
    await page.open();
    const body = `[ {"channel":"/meta/subscribe" ,"clientId":"${page.clientId}", "subscription":"/u/\\"][{}", "ext":{"replay":{"/u/x":9007199254740993,"/u/y":-2}}},\n{"channel":"/u/y","clientId":"${page.clientId}","data":{"f":1.0,"e":1e400,"text":"9007199254740993","nested":[[{}],"]"]}}]`;
    await (await page.post(body)).text();
    const [plain] = page.clientId.split("~");
    assert.equal(
      sent.at(-1).body,
      body
        .replaceAll(page.clientId, plain)
        .replace("[ {", "[{")
        .replace('e" ,', 'e",')
        .replaceAll('", "', '","')
        .replace(",\n", ","),
    );
  });

  test("forwards only the headers and form fields that are needed", async () => {
    const { page, sent, emulator } = setup({ allowedHeaders: ["X-User"] });
    page.token = emulator.salesforce.issueToken();
    await page.post([page.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })], {
      headers: { cookie: "user=secret; BAYEUX_BROWSER=b", "x-user": "7", "x-forwarded-for": "1.2.3.4", referer: PAGE },
    });
    assert.deepEqual(sent[0].headers, {
      accept: "application/json",
      authorization: `Bearer ${page.token}`,
      "content-type": "application/json; charset=utf-8",
    });
    await page.login({ ...PASSWORD, more: "no", redirect_uri: "x" }, { headers: { authorization: "Basic x" } });
    assert.deepEqual(Object.keys(sent[1].headers), ["accept", "content-type"]);
    assert.deepEqual([...new URLSearchParams(sent[1].body).keys()], [...Object.keys(PASSWORD), "redirect_uri"]);
  });

  test("aborts the poll when the page aborts it, without reporting an error", async () => {
    const { page, emulator, errors } = setup();
    page.token = emulator.salesforce.issueToken();
    await page.open();
    const aborter = new AbortController();
    const poll = page.connect({}, { signal: aborter.signal });
    await emulator.salesforce.waitFor(({ sessions }) => sessions[0].isHeld);
    aborter.abort();
    // A page that has aborted reads no response, but the server logs an error without one.
    await assert.rejects(poll, /502/);
    await emulator.salesforce.waitFor(({ sessions }) => !sessions[0].isHeld);
    assert.deepEqual(errors, []);
  });

  test("streams a large response, up to maxResponseBytes", async () => {
    const chunks = [
      "[",
      ...Array.from({ length: 50 }, () => '{"channel":"/u/x","data":1},'),
      '{"channel":"/meta/connect","successful":true}]',
    ];
    let given = 0;
    const slow = () =>
      new Response(
        new ReadableStream(
          {
            pull: (controller) =>
              given < chunks.length
                ? controller.enqueue(new TextEncoder().encode(chunks[given++]))
                : controller.close(),
          },
          { highWaterMark: 0 },
        ),
        { headers: { "content-type": "application/json" } },
      );
    const { page } = setup({ fetch: slow });
    const answer = await page.post([page.message("/meta/connect")]);
    const reader = answer.body.getReader();
    await reader.read();
    assert.equal(given, 1, "the response is not buffered");
    await reader.cancel();
    given = 0;
    const small = setup({ fetch: slow, maxResponseBytes: 200 });
    await assert.rejects((await small.page.post([page.message("/meta/connect")])).text(), isError("ERR_TOO_LARGE"));
  });

  test("forwards refusals of Salesforce", async () => {
    const { page, emulator } = setup(
      {},
      { accounts: [{ username: "u@example.com", password: "other" }], unauthorizedStatus: 401 },
    );
    assert.deepEqual(await page.login(), {
      status: 400,
      error: "invalid_grant",
      error_description: "authentication failure",
    });
    const answer = await page.post([page.message("/meta/handshake", { supportedConnectionTypes: ["long-polling"] })], {
      headers: { authorization: "Bearer expired" },
    });
    assert.equal(answer.status, 401);
    assert.equal((await answer.json())[0].ext.sfdc.failureReason, "401::Authentication invalid");
    emulator.faults.add({ status: 503, headers: { "retry-after": "7" }, body: "<html>host 10.0.0.7</html>", times: 1 });
    const busy = await page.post([page.message("/meta/connect")]);
    assert.deepEqual(
      [busy.status, busy.headers.get("retry-after"), busy.headers.get("access-control-expose-headers")],
      [503, "7", "retry-after"],
    );
    assert.equal(await busy.text(), "Salesforce answered with something other than JSON\n");
  });
});

describe("with an accessToken of the proxy", () => {
  const setupWithToken = (more = {}) => {
    const renewals = [];
    const context = setup({
      accessToken: (_, renew) => {
        renewals.push(renew);
        return context.emulator.salesforce.issueToken();
      },
      authorize: (request) => request.headers.get("x-user") === "7",
      allowedHeaders: ["x-user"],
      allowedChannels: [CHANNEL, "/topic/*", "/u/**"],
      ...more,
    });
    context.page.fetch = (path, init = {}) =>
      Page.prototype.fetch.call(context.page, path, { ...init, headers: { "x-user": "7", ...init.headers } });
    return { ...context, renewals };
  };

  test("uses it for authorized callers, and ignores the token and login of the page", async () => {
    const { page, sent } = setupWithToken();
    page.token = "of-the-page";
    await page.open();
    assert.match(sent[0].headers.authorization, /^Bearer 00D/);
    assert.equal((await page.fetch("/services/oauth2/token", { body: new URLSearchParams(PASSWORD) })).status, 404);
    assert.equal((await page.post([page.message("/meta/connect")], { headers: { "x-user": "8" } })).status, 403);
  });

  test("renews it when Salesforce refuses it, without an error for the page", async () => {
    const { page, emulator, renewals } = setupWithToken();
    const { salesforce } = emulator;
    await page.open();
    assert.deepEqual(renewals, [false, false]);
    salesforce.refuse({ on: "/meta/connect", error: "401::Authentication invalid" });
    assert.equal((await page.connect({ advice: { timeout: 0 } })).successful, true);
    assert.deepEqual(renewals.splice(0), [false, false, false, true]);
    salesforce.refuse({
      on: "/meta/handshake",
      error: "403::Handshake denied",
      failureReason: "401::Authentication invalid",
    });
    await page.open();
    assert.deepEqual(renewals.splice(0), [false, true, false]);
    // A busy server has not refused the token.
    salesforce.refuse({
      on: "/meta/connect",
      error: "401::Authentication invalid",
      failureReason: "503::Server is too busy.",
    });
    assert.equal((await page.connect()).error, "401::Authentication invalid");
    salesforce.refuse({ on: "/meta/connect", error: "401::Authentication invalid", times: 2 });
    assert.equal((await page.connect()).error, "401::Authentication invalid");
    assert.deepEqual(renewals.splice(0), [false, false, true]);
    emulator.faults.add({ status: 401, body: "<html/>", times: 1 });
    assert.equal((await page.connect({ advice: { timeout: 0 } })).successful, true);
  });

  test("does not repeat a request whose response contains events", async () => {
    const { page, emulator, renewals } = setupWithToken();
    await page.open();
    emulator.salesforce.intercept(([{ channel, id }]) => [
      { channel: CHANNEL, data: { event: { replayId: 1 } } },
      { channel, id, successful: false, error: "401::Authentication invalid" },
    ]);
    renewals.length = 0;
    assert.equal((await page.connect()).events.length, 1);
    assert.deepEqual(renewals, [false]);
  });

  test("forwards only subscriptions to allowed channels", async () => {
    const { page, emulator, sent } = setupWithToken();
    await page.open();
    const isAllowed = async (subscription) => {
      const { successful, error } = await page.send("/meta/subscribe", { subscription });
      if (!successful) assert.equal(error, "403::Restricted channel");
      return successful;
    };
    for (const channel of [
      CHANNEL,
      "/topic/T",
      "/topic/T?Name='x'",
      "/topic/*",
      "/u/a/b",
      "/u/a/*",
      "/u/a/**",
      "/u/**",
      ["/u/a", CHANNEL],
    ])
      assert.equal(await isAllowed(channel), true, String(channel));
    for (const channel of [
      "/event/B__e",
      "/event/*",
      "/**",
      "/topic/**",
      "/topic/a/b",
      "/topic/",
      "/u/",
      "/topic/** ",
      "/topic/a/",
      "/u/a//b",
      "/u/a b",
      "/u/***",
      "/data/ChangeEvents",
      "",
      [CHANNEL, "/**"],
      [],
      7,
    ])
      assert.equal(await isAllowed(channel), false, String(channel));
    assert.equal(emulator.salesforce.sessions[0].subscriptions.includes("/event/B__e"), false);
    for (const channel of ["/u/a", "/meta/subscribe/", "/meta/subscribe ", "/meta/other", 7])
      assert.equal(
        (await page.send(channel, { data: 1, subscription: "/**" })).error,
        "403::Restricted channel",
        String(channel),
      );
    // Of two fields with the same name, Salesforce gets the one that was checked.
    const twice = `[{"channel":"/meta/subscribe","clientId":"${page.clientId}","subscription":"/**","subscription":"${CHANNEL}"}]`;
    assert.equal((await (await page.post(twice)).json())[0].successful, true);
    assert.equal(sent.at(-1).body.includes("/**"), false);
    // The other messages of the request are forwarded.
    const messages = await (
      await page.post([
        page.message("/meta/subscribe", { subscription: "/**" }),
        page.message("/meta/connect", { connectionType: "long-polling" }),
      ])
    ).json();
    assert.deepEqual(
      messages.map(({ channel, successful }) => [channel, successful]),
      [
        ["/meta/subscribe", false],
        ["/meta/connect", true],
      ],
    );
    assert.deepEqual(
      emulator.salesforce.messages("/meta/connect").at(-1).advice,
      { timeout: 0 },
      "a refusal does not wait for a held poll",
    );
  });

  test("shows no secret in responses and errors", async () => {
    const secret = "a-secret-token";
    const { page, errors } = setupWithToken({
      accessToken: () => secret,
      consumerSecret: "the-app-secret",
      fetch: async () => {
        throw new Error("connect failed");
      },
    });
    const answer = await page.post([page.message("/meta/connect")]);
    const output = inspect([await answer.text(), [...answer.headers], errors, page.proxy], {
      depth: 9,
      showHidden: true,
    });
    assert.equal(answer.status, 502);
    assert.equal(errors[0].code, "ERR_NETWORK");
    assert.doesNotMatch(output, /a-secret|the-app-secret/);
  });
});

describe("refusing", () => {
  test("refuses other origins", async () => {
    const { page, sent } = setup();
    for (const origin of [
      "https://evil.example",
      "null",
      `${PAGE}.evil.example`,
      `${PAGE}/`,
      PAGE.toUpperCase(),
      "http://app.example.com",
      "https://edge.example.com",
    ]) {
      for (const [path, init] of [
        ["/cometd/60.0", { body: "[]" }],
        ["/services/oauth2/token", { body: new URLSearchParams(PASSWORD) }],
        ["/cometd/60.0", { method: "OPTIONS", headers: { "access-control-request-method": "POST" } }],
      ]) {
        const answer = await page.fetch(path, { ...init, headers: { ...init.headers, origin } });
        assert.equal(answer.status, 403, origin);
        assert.equal(answer.headers.get("access-control-allow-origin"), null);
        assert.equal(answer.headers.get("vary"), "origin");
      }
    }
    assert.equal(
      (await page.proxy(new Request(`${EDGE}/cometd/60.0`, { method: "POST", body: "[]" }))).status,
      403,
      "without an origin",
    );
    assert.equal(sent.length, 0);
  });

  test("answers a preflight with exactly the allowed methods and headers", async () => {
    const { page } = setup({ allowedHeaders: ["X-User"] });
    const answer = await page.fetch("/cometd/60.0", {
      method: "OPTIONS",
      headers: { "access-control-request-method": "PUT", "access-control-request-headers": "x-evil" },
    });
    assert.deepEqual(Object.fromEntries(answer.headers), {
      "access-control-allow-origin": PAGE,
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "POST",
      "access-control-allow-headers": "authorization, content-type, x-user",
      "access-control-max-age": "600",
      vary: "origin",
    });
  });

  test("refuses other paths and methods", async () => {
    const { page, sent } = setup();
    const cases = [
      ["/", 404],
      ["/services/data/v60.0/query", 404],
      ["/services/oauth2/revoke", 404],
      ["/services/oauth2/token/x", 404],
      ["/cometd/", 404],
      ["/cometd/60.0/other", 404],
      ["/cometd/60.0/../../services/data/v60.0", 404],
      ["/cometd/60.0%2f..", 404],
      ["/cometd/x", 404],
      ["/cometd/60.0?x=y", 415],
    ];
    for (const [path, status] of cases) assert.equal((await page.fetch(path, { body: "[]" })).status, status, path);
    for (const method of ["GET", "PUT", "DELETE", "OPTIONS"])
      assert.equal((await page.fetch("/cometd/60.0", { method })).status, 405, method);
    assert.equal(sent.length, 0);
    const { page: other, sent: there } = setup();
    await other.fetch("/cometd/60.0/connect", {
      body: '[{"channel":"/meta/connect"}]',
      headers: { "content-type": "application/json" },
    });
    assert.equal(there[0].url, `${INSTANCE}/cometd/60.0/connect`);
  });

  test("refuses invalid and oversized bodies", async () => {
    const { page, sent } = setup({ maxRequestBytes: 1000 });
    for (const body of ["", "[]", "{", "7", "[7]", "[[{}]]", "null"])
      assert.equal((await page.post(body)).status, 400, body);
    assert.equal((await page.post("[{}]", { headers: { "content-type": "text/plain" } })).status, 415);
    const large = await page.post([page.message("/meta/connect", { more: "x".repeat(1000) })]);
    assert.equal(large.status, 413);
    assert.equal((await large.json())[0].error, "413::Maximum Request Size Exceeded");
    assert.equal((await page.login({ ...PASSWORD, password: "x".repeat(1000) })).status, 413);
    assert.equal(
      (await page.login(PASSWORD, { body: JSON.stringify(PASSWORD), headers: { "content-type": "application/json" } }))
        .status,
      415,
    );
    assert.equal(sent.length, 0);
  });

  test("refuses client ids that it did not issue", async () => {
    const { page, sent } = setup();
    const encode = (text) => `id~${btoa(text).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_")}`;
    const statusOf = async (...clientIds) =>
      (await page.post(clientIds.map((clientId) => ({ channel: "/meta/connect", clientId })))).status;
    for (const id of [
      encode("sid=00D"),
      encode("BAYEUX_BROWSER=a; sid=b"),
      encode("BAYEUX_BROWSER=a\r\nx-evil: 1"),
      encode("BAYEUX_BROWSER=a;sid=b"),
      encode("BAYEUX_BROWSER="),
      "id~",
      "id~%",
      encode(`BAYEUX_BROWSER=${"x".repeat(2000)}`),
    ]) {
      assert.equal(await statusOf(id), 400, id);
    }
    assert.equal(await statusOf(encode("BAYEUX_BROWSER=a"), encode("BAYEUX_BROWSER=b")), 400);
    assert.equal(await statusOf(7), 400);
    const good = encode("BAYEUX_BROWSER=a");
    assert.equal(sent.length, 0);
    assert.equal(await statusOf(good), 200);
    assert.equal(sent[0].headers.cookie, "BAYEUX_BROWSER=a");
    await page.post(`[{"channel":"/meta/connect","clientId":"\\u0069${good.slice(1)}"}]`);
    assert.equal(sent[1].body, '[{"channel":"/meta/connect","clientId":"id"}]', "in every spelling");
  });

  test("refuses other grant types, and tokens of other instances", async () => {
    const { page, sent } = setup();
    assert.deepEqual(await page.login({ ...PASSWORD, grant_type: "client_credentials" }), {
      status: 400,
      error: "unsupported_grant_type",
      error_description: "the proxy does not allow this grant type",
    });
    assert.equal((await page.login({})).error, "unsupported_grant_type");
    assert.equal(sent.length, 0);
    const closed = setup({ grants: [] });
    assert.equal(
      (await closed.page.fetch("/services/oauth2/token", { body: new URLSearchParams(PASSWORD) })).status,
      404,
    );
    const elsewhere = setup({ loginUrl: "https://login.salesforce.com" });
    const answer = await elsewhere.page.fetch("/services/oauth2/token", { body: new URLSearchParams(PASSWORD) });
    assert.equal(answer.status, 502);
    assert.doesNotMatch(await answer.text(), /00D/);
    assert.ok(isError("ERR_REJECTED", /another instance/)(elsewhere.errors[0]));
  });

  test("replaces client_id and client_secret with those of the proxy", async () => {
    const { page, sent } = setup({ consumerKey: "own-key", consumerSecret: "own-secret" });
    await page.login({ grant_type: "refresh_token", refresh_token: "r", client_id: "of-the-page" });
    const form = new URLSearchParams(sent[0].body);
    assert.deepEqual([form.get("client_id"), form.get("client_secret")], ["own-key", "own-secret"]);
  });

  test("refuses redirects, and times out", async () => {
    const { page, errors } = setup({
      fetch: async () => new Response(null, { status: 302, headers: { location: "https://evil.example" } }),
    });
    assert.equal((await page.post([page.message("/meta/connect")])).status, 502);
    assert.equal(errors[0].code, "ERR_REDIRECTED");
    const hang = (_url, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const slow = setup({ fetch: hang, timeoutMs: 1, pollTimeoutMs: 5 });
    assert.equal((await slow.page.post([page.message("/meta/connect")])).status, 504);
    assert.equal((await slow.page.post([page.message("/meta/subscribe")])).status, 504);
    assert.equal(
      (await slow.page.fetch("/services/oauth2/token", { body: new URLSearchParams(PASSWORD) })).status,
      504,
    );
    assert.deepEqual(
      slow.errors.map(({ code }) => code),
      ["ERR_TIMEOUT", "ERR_TIMEOUT", "ERR_TIMEOUT"],
    );
    const garbled = setup({ fetch: async () => new Response("<html>") });
    assert.equal(
      (await garbled.page.fetch("/services/oauth2/token", { body: new URLSearchParams(PASSWORD) })).status,
      502,
    );
  });

  test("refuses callers when authorize throws or does not return true", async () => {
    const { page, sent, errors } = setup({
      authorize: async () => {
        throw new Error("the database is down");
      },
    });
    assert.equal((await page.post([page.message("/meta/connect")])).status, 500);
    assert.equal(errors[0].message, "the database is down");
    const truthy = setup({ authorize: () => "yes" });
    assert.equal((await truthy.page.post([page.message("/meta/connect")])).status, 403);
    assert.equal(sent.length + truthy.sent.length, 0);
  });

  test("refuses invalid options", () => {
    const good = { instanceUrl: INSTANCE, allowedOrigins: [PAGE] };
    const cases = [
      [undefined, /options/],
      [{}, /allowedOrigins/],
      [{ ...good, allowedOrigins: [] }, /^allowedOrigins must be a non-empty array of origins/],
      [{ ...good, allowedOrigins: "*" }, /^allowedOrigins must be a non-empty array of origins .*; received "\*"$/],
      [{ ...good, allowedOrigins: ["*"] }, /^each of allowedOrigins must be an origin as browsers send it/],
      [{ ...good, allowedOrigins: [`${PAGE}/`] }, /^each of allowedOrigins must be an origin as browsers send it/],
      [{ ...good, allowedOrigins: ["null"] }, /^each of allowedOrigins must be an origin as browsers send it/],
      [{ ...good, instanceUrl: undefined }, /instanceUrl/],
      [{ ...good, instanceUrl: "http://acme.my.salesforce.com" }, /https/],
      [{ ...good, instanceUrl: `${INSTANCE}?x` }, /query/],
      [{ ...good, loginUrl: "ftp://x" }, /loginUrl/],
      [{ ...good, accessToken: () => "x" }, /authorize/],
      [{ ...good, accessToken: () => "x", authorize: () => true }, /allowedChannels/],
      [{ ...good, allowedChannels: ["event/A"] }, /allowedChannels/],
      [{ ...good, allowedChannels: ["/topic/T?x"] }, /allowedChannels/],
      [{ ...good, grants: ["magic"] }, /^each of grants must be one of .*; received "magic"$/],
      [{ ...good, consumerSecret: 7 }, /^consumerSecret must be a non-empty string$/],
      [{ ...good, allowedHeaders: ["a b"] }, /allowedHeaders/],
      [{ ...good, maxRequestBytes: 0 }, /maxRequestBytes/],
      [{ ...good, timeoutMs: -1 }, /timeoutMs/],
      [{ ...good, authorize: true }, /^authorize must be a function$/],
      [{ ...good, allowOrigins: [] }, /no option "allowOrigins"/],
    ];
    for (const [options, message] of cases)
      assert.throws(() => salesforceProxy(options), isError("ERR_INVALID_ARGUMENT", message), inspect(options));
    assert.equal(
      typeof salesforceProxy({
        instanceUrl: "http://127.0.0.1:8787/salesforce/",
        allowedOrigins: ["http://localhost:3000"],
      }),
      "function",
    );
  });
});

describe("what a hostile page or a careless server cannot get out of the proxy", () => {
  test("messages that are nested too deeply are answered with 400", async () => {
    const { page } = setup();
    const headers = { "content-type": "application/json" };
    for (const body of [
      `[{"channel":"/meta/handshake","ext":${"[".repeat(9000)}${"]".repeat(9000)}}]`,
      `[{"channel":"/meta/handshake","ext":${'{"a":'.repeat(4000)}1${"}".repeat(4000)}}]`,
      `${"[".repeat(9000)}${"]".repeat(9000)}`,
    ])
      assert.equal((await page.fetch("/cometd/68.0", { headers, body })).status, 400);
    const shallow = `[{"channel":"/meta/handshake","ext":${"[".repeat(50)}"]${"[".repeat(500)}"${"]".repeat(50)}}]`;
    assert.notEqual((await page.fetch("/cometd/68.0", { headers, body: shallow })).status, 400);
  });

  test("a login that repeats the secret of the proxy does not show it to the page", async () => {
    const consumerSecret = "s3cret&of the proxy";
    const errors = [];
    const proxy = salesforceProxy({
      instanceUrl: INSTANCE,
      allowedOrigins: [PAGE],
      consumerKey: "key",
      consumerSecret,
      grants: ["password"],
      fetch: async (...args) => {
        const request = new Request(...args);
        const form = await request.text();
        return Response.json(
          { error: "invalid_client", error_description: `${consumerSecret} ${form}` },
          { status: 400 },
        );
      },
      onError: (error) => errors.push(error),
    });
    const answer = await new Page(proxy).login({ ...PASSWORD, client_secret: undefined });
    const text = JSON.stringify(answer);
    assert.equal(answer.error, "invalid_client");
    for (const form of [consumerSecret, encodeURIComponent(consumerSecret), "s3cret"])
      assert.ok(!text.includes(form), text);
  });

  test("the cause of an error quotes no token", async () => {
    const errors = [];
    const proxy = salesforceProxy({
      instanceUrl: INSTANCE,
      allowedOrigins: [PAGE],
      accessToken: () => "s3cret-token-of-the-proxy",
      authorize: () => true,
      allowedChannels: [CHANNEL],
      fetch: async (...args) => {
        const request = new Request(...args);
        const cause = new Error(`sent ${request.headers.get("authorization")}`);
        throw new TypeError(`bad header ${request.headers.get("authorization")}`, { cause });
      },
      onError: (error) => errors.push(error),
    });
    const body = JSON.stringify([{ channel: "/meta/handshake", version: "1.0" }]);
    const headers = { "content-type": "application/json" };
    assert.equal((await new Page(proxy).fetch("/cometd/68.0", { headers, body })).status, 502);
    assert.equal(errors.length, 1);
    assert.ok(!inspect(errors[0], { depth: 9 }).includes("s3cret"), inspect(errors[0]));
    assert.match(errors[0].cause.message, /bad header Bearer …/);
  });
});

test("an onError that throws or rejects costs no page its answer", async () => {
  for (const onError of [
    () => {
      throw new Error("the log is full");
    },
    () => Promise.reject(new Error("the log is full")),
  ]) {
    const options = { instanceUrl: INSTANCE, allowedOrigins: [PAGE], onError };
    const request = () => new Request(`${EDGE}/cometd/60.0`, { method: "POST", headers: { origin: PAGE }, body: "[]" });
    const unreachable = salesforceProxy({ ...options, fetch: async () => Promise.reject(new TypeError("no network")) });
    assert.ok((await unreachable(request())).status >= 400);
    const refusing = salesforceProxy({
      ...options,
      authorize: () => {
        throw new Error("no database");
      },
    });
    assert.equal((await refusing(request())).status, 500);
  }
});
