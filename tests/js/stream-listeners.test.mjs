// What programs with listeners have lost or got too much of.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BayeuxClient, isFerryError } from "eventferry";
import { BayeuxServer, url } from "./bayeux-server.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const FAST = { retry: { baseMs: 1, maxMs: 5 }, transports: ["long-polling"] };

async function opened(options = {}) {
  const server = new BayeuxServer();
  const client = new BayeuxClient(url, { fetch: server.fetch, ...FAST, ...options });
  await client.open();
  return { server, client };
}

/** Sends a message that no subscription asked for. */
function deliver(server, channel, data) {
  for (const session of server.sessions.values()) {
    session.queue.push({ channel, data });
    session.release?.();
  }
}

test("messages for nobody do not stop a program that only has listeners", async () => {
  const { server, client } = await opened({ maxPending: 10 });
  const heard = [];
  await client.subscribe("/news", ({ data }) => heard.push(data));
  for (let n = 0; n < 50; n++) {
    deliver(server, "/private/note", n);
    server.publish("/news", n);
    await until(() => heard.length === n + 1);
  }
  assert.deepEqual([client.pendingCount, heard.length], [0, 50]);
  await client.close();
});

test("messages under way at an unsubscribe do not stop the listeners that are left", async () => {
  const { server, client } = await opened({ maxPending: 10 });
  const heard = [];
  let rooms = 0;
  await client.subscribe("/news", ({ data }) => heard.push(data));
  for (let n = 0; n < 30; n++) {
    const room = await client.subscribe(`/room/${n}`, () => rooms++);
    const left = room.unsubscribe();
    deliver(server, `/room/${n}`, n);
    await left;
    server.publish("/news", n);
    await until(() => heard.length === n + 1);
  }
  assert.deepEqual([client.pendingCount, rooms], [0, 0]);
  await client.close();
});

test("messages that filled the inbox before the first listener stopped polling for good", async () => {
  const { server, client } = await opened({ maxPending: 10 });
  for (let n = 0; n < 20; n++) deliver(server, "/private/note", n);
  await until(() => client.pendingCount >= 10);
  const heard = [];
  await client.subscribe("/news", ({ data }) => heard.push(data));
  server.publish("/news", 1);
  await until(() => heard.length === 1);
  assert.equal(client.pendingCount, 0);
  await client.close();
});

test("messages without a listener wait in the inbox once the program uses it", async () => {
  const { server, client } = await opened();
  const received = client.receive();
  await client.subscribe("/news", () => undefined);
  deliver(server, "/private/note", 1);
  assert.equal((await received).data, 1);
  deliver(server, "/private/note", 2);
  assert.equal((await client.receive()).data, 2);
  await client.close();
});

for (const how of ["unsubscribe", "close"])
  test(`after await ${how}() no listener is called, not even with messages that have arrived`, async () => {
    const { server, client } = await opened();
    let calls = 0;
    const subscription = await client.subscribe("/a", async () => {
      calls++;
      await sleep(5);
    });
    for (let n = 0; n < 100; n++) deliver(server, "/a", n);
    await until(() => calls === 3);
    await (how === "unsubscribe" ? subscription.unsubscribe() : client.close());
    const before = calls;
    await sleep(5000);
    assert.equal(calls, before);
    assert.equal(client.pendingCount, 0);
    await client.close();
  });

test("a loop over the client waits for the connection, and onRetry is told", async () => {
  const retries = [];
  const { server, client } = await opened({ connectionTimeoutMs: 2000, onRetry: (error) => retries.push(error) });
  await client.subscribe("/a");
  const got = [];
  const loop = (async () => {
    for await (const { data } of client) {
      got.push(data);
      if (data === 2) break;
    }
  })();
  server.publish("/a", 1);
  await until(() => got.length === 1);
  server.intercept = () => {
    throw new TypeError("network is unreachable");
  };
  for (const session of server.sessions.values()) session.release?.();
  await until(() => retries.length >= 2);
  server.intercept = undefined;
  await until(() => client.state === "connected");
  server.publish("/a", 2);
  await loop;
  assert.deepEqual(got, [1, 2]);
  assert.ok(retries.every((error) => isFerryError(error, "ERR_TIMEOUT")));
  await client.close();
});

test("an onRetry that throws is reported and does not end the loop", async () => {
  const { server, client } = await opened({
    connectionTimeoutMs: 1000,
    onRetry: () => {
      throw new Error("of onRetry");
    },
  });
  const errors = [];
  client.addEventListener("error", ({ detail }) => errors.push(detail.error.message));
  await client.subscribe("/a");
  const next = client[Symbol.asyncIterator]().next();
  server.intercept = () => {
    throw new TypeError("network is unreachable");
  };
  for (const session of server.sessions.values()) session.release?.();
  await until(() => errors.length > 0);
  server.intercept = undefined;
  await until(() => client.state === "connected");
  server.publish("/a", 5);
  assert.equal((await next).value.data, 5);
  assert.equal(errors[0], "of onRetry");
  await client.close();
});

test("cookies of the program go beside those of the server, which win by name", async () => {
  const { server, client } = await opened({ headers: { cookie: "sso=mine; BAYEUX_BROWSER=old" } });
  await client.subscribe("/a");
  const cookies = server.requests.map(({ headers }) => headers.get("cookie"));
  assert.equal(cookies[0], "sso=mine; BAYEUX_BROWSER=old");
  assert.ok(
    cookies.slice(1).every((cookie) => cookie === "sso=mine; BAYEUX_BROWSER=b1"),
    cookies.join(" | "),
  );
  await client.close();
});

test("a token that the server repeats is in no error and no notice", async () => {
  const token = "0123456789-s3cret-token";
  const server = new BayeuxServer();
  const options = { fetch: server.fetch, ...FAST, connectionTimeoutMs: 500 };
  const client = new BayeuxClient(url, { ...options, headers: { authorization: `Bearer ${token}` } });
  const notices = [];
  client.addEventListener("notice", ({ detail }) => notices.push(detail.error?.message ?? ""));
  server.intercept = ({ headers }) => {
    throw new TypeError(`invalid header ${headers.get("authorization")}`);
  };
  const error = await client.open().then(
    () => assert.fail("it opens"),
    (error) => error,
  );
  assert.match(String(error.cause ?? ""), /invalid header Bearer …|^$/);
  server.intercept = ({ headers }) =>
    Response.json([
      { channel: "/meta/handshake", successful: false, error: `403::bad ${headers.get("authorization")}` },
    ]);
  const other = new BayeuxClient(url, { ...options, headers: { authorization: `Bearer ${token}` } });
  other.addEventListener("notice", ({ detail }) => notices.push(detail.error?.message ?? ""));
  const refused = await other.open().catch((error) => error);
  for (const text of [error.message, error.stack, String(error.cause), refused.message, ...notices])
    assert.ok(!String(text).includes(token), text);
  assert.match(refused.message, /bad Bearer …/);
});
