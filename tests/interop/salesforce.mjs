// Clients of Salesforce against the emulator: the original aiosfstream in Python, and jsforce.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import jsforce from "jsforce";
import streaming from "jsforce/lib/api/streaming.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { end, start } from "../child.mjs";
import { python } from "../python.mjs";
import { Tally } from "../tally.mjs";

const REQUIREMENTS = ["aiosfstream==0.5.0", "aiocometd==0.4.5", "aiohttp==3.14.5"];
const ACCOUNT = {
  username: "u@example.com",
  password: "pw",
  securityToken: "TOKEN",
  consumerKey: "key",
  consumerSecret: "secret",
  refreshToken: "refresh",
};
const PASSWORD = { username: "u@example.com", password: "pwTOKEN" };
const CHANNEL = "/event/A__e";

const tally = new Tally();

/** Runs a body with a listening emulator. Its URL has a host name, because aiohttp stores no cookies for IP addresses. */
async function withEmulator(body, options = {}) {
  const emulator = createEmulator({ salesforce: { accounts: [ACCOUNT], ...options } });
  const { url } = await emulator.listen();
  try {
    await body(emulator.salesforce, `${url.replace("127.0.0.1", "localhost")}/salesforce`, emulator);
  } finally {
    await emulator.close();
  }
}
const untilHeld = (salesforce) => salesforce.waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld));
const numbers = (events) => events.map(({ data }) => data.payload.N__c);
const publish = (salesforce, ...all) => all.map((N__c) => salesforce.publish(CHANNEL, { N__c }));

/** Starts aiosfstream in Python. `call` runs a method of the class `Client` of salesforce.py. */
function startPython(interpreter) {
  const child = start(interpreter, [fileURLToPath(new URL("salesforce.py", import.meta.url))], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const call = async (method, args = {}) => {
    child.stdin.write(`${JSON.stringify({ method, ...args })}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error("the Python process has exited");
    const { result, error, message } = JSON.parse(value);
    if (error) throw Object.assign(new Error(`${error}: ${message}`), { type: error });
    return result;
  };
  return { call, end: () => end(child) };
}

/** A check with its own Python process. */
const checkPython = (interpreter, name, body, options) =>
  tally.check(`aiosfstream ${name}`, () =>
    withEmulator(async (salesforce, base, emulator) => {
      const { call, end } = startPython(interpreter);
      try {
        await body(call, salesforce, base, emulator);
      } finally {
        end();
      }
    }, options),
  );

async function aiosfstream() {
  const interpreter = await python("aiosfstream", REQUIREMENTS);
  const check = (...all) => checkPython(interpreter, ...all);

  await check(
    "logs in with password and security token, subscribes, receives every kind of event, and closes",
    async (call, salesforce, base) => {
      assert.equal(await call("open", { base, ...PASSWORD }), `${base}/cometd/45.0`);
      const channels = ["/data/AccountChangeEvent", CHANNEL, "/topic/T", "/u/x"];
      for (const channel of channels) await call("subscribe", { channel });
      const sent = channels.map((channel) => salesforce.publish(channel, channel === "/u/x" ? "text" : { Id: "001" }));
      const received = await call("receive", { count: 4 });
      assert.deepEqual(
        received.map(({ channel, data }) => ({ channel, data })),
        sent.map(({ channel, data }) => ({ channel, data })),
      );
      assert.deepEqual(
        await call("unsubscribe", { channel: CHANNEL }),
        channels.filter((channel) => channel !== CHANNEL),
      );
      assert.equal((await call("publish", { channel: "/u/x", data: "back" })).successful, true);
      assert.equal((await call("receive"))[0].data.payload, "back");
      await assert.rejects(call("publish", { channel: CHANNEL, data: {} }), /^Error: ServerError/);
      await call("close");
      assert.deepEqual(salesforce.sessions, []);
    },
  );

  await check("reports a wrong password as an AuthenticationError", async (call, salesforce, base) => {
    await assert.rejects(call("open", { base, username: "u@example.com", password: "pw" }), {
      type: "AuthenticationError",
    });
    assert.deepEqual(
      salesforce.logins.map(({ error }) => error),
      ["invalid_grant"],
    );
  });

  await check("logs in with a refresh token", async (call, salesforce, base) => {
    await call("open", { base, refresh: "refresh", version: "60.0" });
    await call("subscribe", { channel: CHANNEL });
    publish(salesforce, 1);
    assert.deepEqual(numbers(await call("receive")), [1]);
    assert.deepEqual(
      salesforce.logins.map(({ grantType }) => grantType),
      ["refresh_token"],
    );
  });

  await check("replays all events, and those after a stored id", async (call, salesforce, base) => {
    const [, second] = publish(salesforce, 1, 2, 3);
    await call("open", { base, replay: "all", ...PASSWORD });
    await call("subscribe", { channel: CHANNEL });
    assert.deepEqual(numbers(await call("receive", { count: 3 })), [1, 2, 3]);
    await call("close");
    await call("open", {
      base,
      replay: "stored",
      markers: { [CHANNEL]: [second.data.payload.CreatedDate, Number(second.replayId)] },
      ...PASSWORD,
    });
    await call("subscribe", { channel: CHANNEL });
    const [third] = await call("receive");
    assert.deepEqual(numbers([third]), [3]);
    assert.deepEqual((await call("stored"))[CHANNEL][1], third.data.event.replayId);
  });

  await check(
    "falls back when a stored id has expired, and is refused without a fallback",
    async (call, salesforce, base) => {
      publish(salesforce, 1, 2);
      salesforce.forgetEvents({ upTo: 1 });
      const markers = { [CHANNEL]: ["2026-01-01T00:00:00.000Z", 1] };
      await call("open", { base, replay: "stored", markers, ...PASSWORD });
      await assert.rejects(call("subscribe", { channel: CHANNEL }), { type: "ServerError" });
      await call("close");
      await call("open", { base, replay: "stored", markers, fallback: "all", ...PASSWORD });
      await call("subscribe", { channel: CHANNEL });
      assert.deepEqual(numbers(await call("receive")), [2]);
    },
  );

  for (const [cause, method] of [
    ["the session expires", "expireSessions"],
    ["the server restarts", "restart"],
  ]) {
    await check(`resumes from its marker when ${cause}`, async (call, salesforce, base) => {
      await call("open", { base, replay: "stored", ...PASSWORD });
      await call("subscribe", { channel: CHANNEL });
      publish(salesforce, 1);
      assert.deepEqual(numbers(await call("receive")), [1]);
      await untilHeld(salesforce);
      salesforce[method]();
      publish(salesforce, 2);
      assert.deepEqual(numbers(await call("receive")), [2]);
    });
  }

  await check("logs in again when its token is revoked", async (call, salesforce, base) => {
    await call("open", { base, replay: "stored", ...PASSWORD });
    await call("subscribe", { channel: CHANNEL });
    await untilHeld(salesforce);
    salesforce.revokeTokens();
    publish(salesforce, 1);
    assert.deepEqual(numbers(await call("receive")), [1]);
    assert.equal(salesforce.logins.length, 2);
  });

  let time = Date.now();
  await check(
    "logs in again when its token expires",
    async (call, salesforce, base) => {
      await call("open", { base, replay: "stored", ...PASSWORD });
      await call("subscribe", { channel: CHANNEL });
      await untilHeld(salesforce);
      time += 3 * 3_600_000;
      salesforce.answerPolls();
      await salesforce.waitFor(({ logins }) => logins.length === 2);
      publish(salesforce, 1);
      assert.deepEqual(numbers(await call("receive")), [1]);
    },
    { now: () => time },
  );
}

/** A check with a jsforce connection that is logged in. */
const checkJsforce = (name, body) =>
  tally.check(`jsforce ${name}`, () =>
    withEmulator(async (salesforce, base, emulator) => {
      const connection = new jsforce.Connection({
        version: "60.0",
        oauth2: { loginUrl: base, clientId: "key", clientSecret: "secret" },
      });
      await connection.login(PASSWORD.username, PASSWORD.password);
      assert.equal(connection.instanceUrl, base);
      const clients = [];
      const listen = (extensions, channel = CHANNEL) => {
        const client = connection.streaming.createClient(extensions);
        clients.push(client);
        const events = [];
        const waiting = [];
        const subscription = client.subscribe(channel, (data) => {
          events.push({ data });
          for (const check of waiting) check();
        });
        const upTo = (count) =>
          new Promise((resolve) => {
            const check = () => events.length >= count && resolve(events);
            waiting.push(check);
            check();
          });
        return { subscription, events, upTo };
      };
      try {
        await body({ connection, salesforce, listen, base, emulator });
      } finally {
        for (const client of clients) client.disconnect();
      }
    }),
  );

async function jsforceClient() {
  const { Replay, AuthFailure } = streaming.StreamingExtension;

  await checkJsforce(
    "logs in, subscribes to a topic, and pushes to a channel by REST",
    async ({ connection, salesforce }) => {
      const topic = new Promise((resolve) => connection.streaming.topic("T").subscribe(resolve));
      const pushed = new Promise((resolve) => connection.streaming.channel("/u/x").subscribe(resolve));
      await salesforce.waitFor(({ sessions }) => sessions.flatMap(({ subscriptions }) => subscriptions).length === 2);
      salesforce.publish("/topic/T", { Id: "001" });
      assert.equal((await topic).sobject.Id, "001");
      assert.deepEqual(await connection.streaming.channel("/u/x").push({ payload: "hello", userIds: [] }), {
        fanoutCount: 1,
        userOnlineStatus: {},
      });
      assert.equal((await pushed).payload, "hello");
      for (const client of Object.values(connection.streaming._fayeClients)) client.disconnect();
    },
  );

  await checkJsforce("replays everything, and what came behind an id", async ({ salesforce, listen }) => {
    const [, second] = publish(salesforce, 1, 2, 3);
    assert.deepEqual(numbers(await listen([new Replay(CHANNEL, -2)]).upTo(3)), [1, 2, 3]);
    assert.deepEqual(numbers(await listen([new Replay(CHANNEL, Number(second.replayId))]).upTo(1)), [3]);
    const { subscription } = listen([new Replay(CHANNEL, 999)]);
    const refused = await new Promise((resolve) => subscription.then(resolve, resolve));
    assert.match(refused.message, /The replayId \{999\} you provided was invalid/);
  });

  await checkJsforce("resumes from its last id when the session expires", async ({ salesforce, listen }) => {
    const { subscription, upTo } = listen([new Replay(CHANNEL, -1)]);
    await subscription;
    publish(salesforce, 1);
    await upTo(1);
    await untilHeld(salesforce);
    salesforce.expireSessions();
    publish(salesforce, 2);
    assert.deepEqual(numbers(await upTo(2)), [1, 2]);
  });

  await checkJsforce("reports that its token is revoked", async ({ salesforce, listen }) => {
    let onFailure;
    const failure = new Promise((resolve) => {
      onFailure = resolve;
    });
    await listen([new AuthFailure(onFailure)]).subscription;
    await untilHeld(salesforce);
    salesforce.revokeTokens();
    assert.equal((await failure).error, "401::Authentication invalid");
  });
}

try {
  await aiosfstream();
} catch (error) {
  await tally.check("aiosfstream", () => {
    throw error;
  });
}
await jsforceClient();
tally.finish();
