// What the original clients of streams offer beside receiving: details of errors, extensions, service channels, probes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { BayeuxClient } from "eventferry";
import { BayeuxServer, recordEvents, url } from "./bayeux-server.mjs";
import { sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const FAST = { retry: { baseMs: 1, maxMs: 5 }, transports: ["long-polling"] };

async function opened(options = {}, server = new BayeuxServer()) {
  const client = new BayeuxClient(url, { fetch: server.fetch, ...FAST, ...options });
  await client.open();
  return { server, client };
}

test("an error has the arguments and the whole reply of the server", async () => {
  const { client } = await opened();
  const error = await client.subscribe("/forbidden").catch((error) => error);
  assert.deepEqual([error.code, error.status, error.serverArguments], ["ERR_REJECTED", 403, ["/forbidden"]]);
  const { channel, successful, error: field } = JSON.parse(error.bodyText);
  assert.deepEqual([channel, successful, field], ["/meta/subscribe", false, "403:/forbidden:Permission Denied"]);
  assert.ok(!JSON.stringify(error).includes("/meta/subscribe"), "no log shows the reply by accident");
  await client.close();
});

test("extensions may be async, and see and change the HTTP headers", async () => {
  const seen = [];
  const { server, client } = await opened({
    headers: { "x-program": "p" },
    extensions: [
      {
        async outgoing(message, { headers }) {
          await sleep(5);
          assert.equal(headers.get("x-program"), "p");
          headers.set("x-signed", message.channel);
          if (message.channel === "/secret") return null;
        },
        async incoming(message, { headers }) {
          await sleep(5);
          seen.push(`${message.channel} ${headers.get("content-type")}`);
        },
      },
    ],
  });
  await client.subscribe("/a");
  await client.publish("/a", 1);
  await client.publish("/a", 2);
  assert.deepEqual([(await client.receive()).data, (await client.receive()).data], [1, 2]);
  await assert.rejects(client.publish("/secret", 1), { code: "ERR_REJECTED" });
  assert.equal(server.count("/secret"), 0);
  assert.ok(seen.includes("/a application/json"), String(seen));
  assert.deepEqual(
    server.requests.slice(0, 2).map(({ headers }) => headers.get("x-signed")),
    ["/meta/handshake", "/meta/connect"],
  );
  await client.close();
});

test("no error shows a token that an extension has added", async () => {
  const token = "s3cret-token-of-an-extension";
  const { server, client } = await opened({
    extensions: [{ outgoing: (_, { headers }) => headers.set("authorization", `Bearer ${token}`) }],
  });
  server.intercept = ({ channels, headers }) =>
    channels[0] === "/a" && Promise.reject(new TypeError(`a bad header: ${headers.get("authorization")}`));
  const error = await client.publish("/a", 1).catch((error) => error);
  assert.equal(error.code, "ERR_NETWORK");
  assert.match(inspect(error), /a bad header/);
  assert.ok(!inspect(error).includes(token));
  await client.close();
});

test("an extension whose promise never settles costs a timeout and not the client", async () => {
  let hanging = 0;
  const { server, client } = await opened({
    timeoutMs: 1000,
    extensions: [
      {
        outgoing: (message) => (message.channel === "/slow" ? new Promise(() => undefined) : undefined),
        incoming: (message) => (message.data === "stuck" && hanging++ === 0 ? new Promise(() => undefined) : undefined),
      },
    ],
  });
  await client.subscribe("/a");
  await assert.rejects(client.publish("/slow", 1), { code: "ERR_TIMEOUT" });
  server.publish("/a", "stuck");
  await until(() => hanging === 1);
  await sleep(3000);
  server.publish("/a", "next");
  assert.equal((await client.receive()).data, "next");
  await client.close();
});

test("several channels are subscribed with one message, all of them or none", async () => {
  const { server, client } = await opened();
  const subscriptions = await client.subscribe(["/a", "/b/**"]);
  assert.deepEqual(
    subscriptions.map(({ channel }) => channel),
    ["/a", "/b/**"],
  );
  const sent = server.requests
    .flatMap(({ messages }) => messages)
    .filter(({ channel }) => channel === "/meta/subscribe");
  assert.deepEqual(
    sent.map(({ subscription }) => subscription),
    [["/a", "/b/**"]],
  );
  server.publish("/b/c", 7);
  assert.equal((await client.receive()).data, 7);
  await subscriptions[0].unsubscribe();
  assert.deepEqual([...client.subscriptions], ["/b/**"]);
  await assert.rejects(client.subscribe(["/c", "/forbidden"]), { code: "ERR_REJECTED", status: 403 });
  assert.deepEqual([...client.subscriptions], ["/b/**"]);
  await assert.rejects(client.subscribe([]), { code: "ERR_INVALID_ARGUMENT" });
  const channels = ["/d", "/e"];
  const pending = client.subscribe(channels);
  channels.length = 0;
  assert.equal((await pending).length, 2);
  await client.close();
});

test("messages of a service channel come without a subscription", async () => {
  const { server, client } = await opened();
  const answers = [];
  const subscription = await client.subscribe("/service/echo", ({ data }) => answers.push(data));
  assert.equal(server.count("/meta/subscribe"), 0);
  server.intercept = ({ messages, channels }) => {
    if (channels[0] !== "/service/echo") return undefined;
    const [{ channel, id, data }] = messages;
    return Response.json([
      { channel, data: { echoed: data } },
      { channel, id, successful: true },
    ]);
  };
  await client.publish("/service/echo", "hi");
  await until(() => answers.length > 0);
  assert.deepEqual(answers, [{ echoed: "hi" }]);
  await subscription.unsubscribe();
  assert.equal(server.count("/meta/unsubscribe"), 0);
  await client.close();
});

test("probe resolves when the server answers, rejects when it does not, and the client goes on", async () => {
  const { server, client } = await opened({ connectionTimeoutMs: 2000, retry: { baseMs: 60_000, maxMs: 60_000 } });
  await assert.rejects(new BayeuxClient(url, FAST).probe(), { code: "ERR_INVALID_ARGUMENT" });
  await client.subscribe("/a");
  const events = recordEvents(client);
  const polls = server.count("/meta/connect");
  await client.probe();
  assert.ok(server.count("/meta/connect") > polls);
  assert.ok(events.includes("possible_gap"), "a poll was given up whose messages nobody repeats");
  server.intercept = () => Promise.reject(new TypeError("unreachable"));
  await assert.rejects(client.probe(), { code: "ERR_NETWORK" });
  server.intercept = undefined;
  await client.probe();
  await until(() => client.state === "connected");
  server.publish("/a", 5);
  assert.equal((await client.receive()).data, 5);
  await client.close();
  await assert.rejects(client.probe(), { code: "ERR_CLOSED" });
});

test("a client that waits for its next attempt tries at once when the network is back", async () => {
  const target = new EventTarget();
  const { addEventListener, removeEventListener } = globalThis;
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  try {
    const { server, client } = await opened({
      connectionTimeoutMs: Infinity,
      retry: { baseMs: 600_000, maxMs: 600_000 },
    });
    await client.subscribe("/a");
    server.intercept = () => Promise.reject(new TypeError("unreachable"));
    for (const session of server.sessions.values()) session.release?.();
    await until(() => client.state === "connecting");
    server.intercept = undefined;
    const requests = server.requests.length;
    await new Promise(setImmediate);
    assert.equal(server.requests.length, requests);
    const before = virtualClock().now();
    target.dispatchEvent(new Event("online"));
    await until(() => client.state === "connected");
    assert.ok(virtualClock().now() - before < 30_000, "it did not wait for its delay");
    await client.close();
  } finally {
    Object.assign(globalThis, { addEventListener, removeEventListener });
  }
});

test("onRetry gets the time until the next attempt", async () => {
  const delays = [];
  const { server, client } = await opened({
    connectionTimeoutMs: 2000,
    retry: { baseMs: 60_000, maxMs: 60_000 },
    onRetry: (_, delayMs) => delays.push(delayMs),
  });
  await client.subscribe("/a");
  const loop = (async () => {
    for await (const { data } of client) if (data === "end") break;
  })();
  server.intercept = () => Promise.reject(new TypeError("unreachable"));
  for (const session of server.sessions.values()) session.release?.();
  await until(() => delays.length >= 3);
  server.intercept = undefined;
  await client.probe();
  await until(() => client.state === "connected");
  server.publish("/a", "end");
  await loop;
  assert.ok(
    delays.every((delayMs) => delayMs >= 0 && delayMs <= 60_000) && delays.some((delayMs) => delayMs > 0),
    String(delays),
  );
  await client.close();
});
