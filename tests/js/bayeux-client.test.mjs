// The client for Bayeux servers, through its public interface.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { BayeuxClient, CloudEvent, isFerryError } from "eventferry";
import { streams } from "../../dist/entries/node/internals.js";
import { BayeuxServer, recordEvents, url } from "./bayeux-server.mjs";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const FAST = { retry: { baseMs: 1, maxMs: 5 }, transports: ["long-polling"] };
const clientOf = (server, options = {}) => new BayeuxClient(url, { fetch: server.fetch, ...FAST, ...options });

async function opened(server = new BayeuxServer(), options = {}) {
  const client = clientOf(server, options);
  await client.open();
  return { server, client };
}

test("subscribes, publishes and receives", async () => {
  const { server, client } = await opened();
  assert.equal(client.state, "connected");
  await client.subscribe("/orders/*");
  assert.deepEqual([...client.subscriptions], ["/orders/*"]);
  await client.publish("/orders/new", { n: 1.5, text: "Euro € 😀" });
  const message = await client.receive();
  assert.deepEqual(
    [message.channel, message.data, message.dataText],
    ["/orders/new", { n: 1.5, text: "Euro € 😀" }, '{"n":1.5,"text":"Euro € 😀"}'],
  );
  assert.equal(message.data, message.data);
  assert.deepEqual(Object.keys(message.raw).sort(), ["channel", "data", "id"]);
  assert.deepEqual([message.replayId, message.createdDate, await message.ack()], [undefined, undefined, undefined]);
  await client.unsubscribe("/orders/*");
  assert.deepEqual([client.subscriptions.size, client.pendingCount, client.hasPendingMessages], [0, 0, false]);
  await client.close();
  assert.deepEqual([client.state, client.closed, server.sessions.size, server.heldPolls], ["disconnected", true, 0, 0]);
});

test("toCloudEvent keeps the data as it arrived", async () => {
  const { server, client } = await opened();
  await client.subscribe("/a b");
  server.publish("/a b", { big: 0 }, { id: "77" });
  const event = (await client.receive()).toCloudEvent();
  assert.ok(event instanceof CloudEvent);
  assert.deepEqual(
    [event.id, event.type, event.source, event.subject, event.data],
    ["77", "org.cometd.message", "https://example.com/a%20b", "/a b", { big: 0 }],
  );
  await client.close();
});

test("subscriptions of one turn share a request", async () => {
  const { server, client } = await opened();
  await Promise.all(["/a", "/b", "/c"].map((channel) => client.subscribe(channel)));
  const requests = server.requests.filter(({ channels }) => channels.includes("/meta/subscribe"));
  assert.deepEqual(
    requests.map(({ channels }) => channels.length),
    [3],
  );
  await client.close();
});

test("subscribes before open, and again after the server has forgotten the session", async () => {
  const server = new BayeuxServer();
  const client = clientOf(server);
  const events = recordEvents(client);
  const subscribed = client.subscribe("/a");
  await client.open();
  await subscribed;
  await until(() => server.heldPolls === 1);
  server.forgetSessions();
  await until(
    () =>
      events.filter((state) => state === "connected").length === 2 &&
      [...server.sessions.values()][0]?.subscriptions.has("/a"),
  );
  server.publish("/a", 1);
  assert.equal((await client.receive()).data, 1);
  assert.ok(events.includes("session_replaced") && events.includes("possible_gap"));
  await client.close();
});

test("the session cookie and the headers of the user are sent with every request", async () => {
  const { server, client } = await opened(new BayeuxServer(), { headers: async () => ({ "x-shop": "7" }) });
  await client.subscribe("/a");
  const { headers } = server.requests.at(-1);
  assert.equal(headers.get("cookie"), "BAYEUX_BROWSER=b1");
  assert.ok(server.requests.every(({ headers }) => headers.get("x-shop") === "7"));
  await client.close();
});

test("the loop over a client ends with close, and breaking out of it leaves the client open", async () => {
  const { server, client } = await opened();
  await client.subscribe("/a");
  for (const n of [1, 2, 3]) server.publish("/a", n);
  const seen = [];
  for await (const { data } of client) {
    seen.push(data);
    if (data === 2) break;
  }
  assert.equal(client.closed, false);
  void sleep(0).then(() => client.close());
  for await (const { data } of client) seen.push(data);
  assert.deepEqual(seen, [1, 2, 3]);
  await assert.rejects(client.receive(), { code: "ERR_CLOSED" });
});

test("messages that have arrived can be received after close", async () => {
  const { server, client } = await opened();
  await client.subscribe("/a");
  server.publish("/a", 1);
  await until(() => client.pendingCount === 1);
  await client.close();
  assert.equal((await client.receive()).data, 1);
  await assert.rejects(client.receive(), { code: "ERR_CLOSED" });
  await client.close();
});

test("asyncDispose closes the client", async () => {
  const server = new BayeuxServer();
  {
    const client = clientOf(server);
    try {
      await client.open();
    } finally {
      await client[Symbol.asyncDispose]();
    }
    assert.equal(client.closed, true);
  }
  assert.equal(server.sessions.size, 0);
});

test("a client that was never opened closes without a request", async () => {
  const server = new BayeuxServer();
  const client = clientOf(server);
  await client.close();
  assert.equal(server.requests.length, 0);
  for (const call of [
    () => client.open(),
    () => client.subscribe("/a"),
    () => client.publish("/a", 1),
    () => client.unsubscribe("/a"),
  ]) {
    await assert.rejects(call, { code: "ERR_CLOSED" });
  }
});

test("a signal aborts receive, and the message goes to the next receive", async () => {
  const { server, client } = await opened();
  await client.subscribe("/a");
  const controller = new AbortController();
  const given = assert.rejects(client.receive({ signal: controller.signal }), { code: "ERR_ABORTED" });
  const kept = client.receive();
  controller.abort(new Error("reason"));
  await given;
  server.publish("/a", 1);
  assert.equal((await kept).data, 1);
  await assert.rejects(client.receive({ signal: AbortSignal.abort() }), { code: "ERR_ABORTED" });
  await client.close();
});

test("the signal of a client ends it", async () => {
  const controller = new AbortController();
  const { client } = await opened(new BayeuxServer(), { signal: controller.signal });
  const waiting = assert.rejects(
    client.receive(),
    (error) => error.code === "ERR_ABORTED" && error.cause.message === "done",
  );
  controller.abort(new Error("done"));
  await waiting;
  await client.close();
  await assert.rejects(clientOf(new BayeuxServer(), { signal: AbortSignal.abort() }).open(), { code: "ERR_CLOSED" });
});

test("polling pauses while the inbox is full, and resumes when half of it is free", async () => {
  const { server, client } = await opened(new BayeuxServer(), { maxPending: 4 });
  await client.subscribe("/a");
  await until(() => server.heldPolls === 1);
  for (let n = 0; n < 6; n++) server.publish("/a", n);
  await until(() => client.pendingCount === 6);
  const polls = server.count("/meta/connect");
  server.publish("/a", 6);
  for (let n = 0; n < 3; n++) assert.equal((await client.receive()).data, n);
  assert.deepEqual([client.pendingCount, server.count("/meta/connect")], [3, polls], "no poll while the inbox is full");
  assert.equal((await client.receive()).data, 3);
  for (let n = 4; n < 7; n++) assert.equal((await client.receive()).data, n);
  assert.ok(server.count("/meta/connect") > polls);
  await client.close();
});

test("listeners get the messages of their channels one after the other, the inbox gets the others", async () => {
  const { server, client } = await opened();
  const seen = [];
  let release;
  await client.subscribe("/foo/*", async ({ channel, data }) => {
    seen.push(`* ${channel} ${data}`);
    if (data === 1) await new Promise((resolve) => (release = resolve));
    seen.push(`* done ${data}`);
  });
  await client.subscribe("/foo/**", ({ channel, data }) => void seen.push(`** ${channel} ${data}`));
  await client.subscribe("/other");
  server.publish("/foo/bar", 1);
  server.publish("/foo/bar/boo", 2);
  server.publish("/other", 3);
  await until(() => release);
  assert.equal((await client.receive()).data, 3);
  assert.deepEqual(seen, ["* /foo/bar 1"]);
  release();
  await until(() => seen.length === 4);
  assert.deepEqual(seen, ["* /foo/bar 1", "* done 1", "** /foo/bar 1", "** /foo/bar/boo 2"]);
  await client.close();
});

test("only the end of the last subscription to a channel sends an unsubscribe", async () => {
  const { server, client } = await opened();
  const [one, two] = [await client.subscribe("/a"), await client.subscribe("/a", () => {})];
  assert.equal(server.count("/meta/subscribe"), 1);
  await one.unsubscribe();
  await one.unsubscribe();
  assert.equal(server.count("/meta/unsubscribe"), 0);
  await two.unsubscribe();
  assert.equal(server.count("/meta/unsubscribe"), 1);
  assert.equal(client.subscriptions.size, 0);
  await client.close();
});

test("the error of a listener is reported, and the next message is delivered", async () => {
  const { server, client } = await opened();
  const errors = [];
  const seen = [];
  client.addEventListener("error", ({ detail }) => errors.push(detail.error.message));
  await client.subscribe("/a", ({ data }) => {
    seen.push(data);
    if (data === 1) throw new Error("one");
  });
  server.publish("/a", 1);
  server.publish("/a", 2);
  await until(() => seen.length === 2);
  assert.deepEqual(errors, ["one"]);
  await client.close();
});

test("a refused subscription rejects with the error of the server", async () => {
  const { client } = await opened();
  await assert.rejects(client.subscribe("/forbidden"), (error) => {
    assert.deepEqual([error.code, error.status, error.culprit], ["ERR_REJECTED", 403, "peer"]);
    assert.equal(error.message, "the server refused the subscription to /forbidden: 403:/forbidden:Permission Denied");
    return isFerryError(error);
  });
  assert.equal(client.subscriptions.size, 0);
  await client.close();
});

test("a lost subscription rejects the pending receive", async () => {
  const { server, client } = await opened();
  await client.subscribe("/a");
  await until(() => server.heldPolls === 1);
  server.intercept = ({ messages: [message] }) =>
    message.channel === "/meta/subscribe"
      ? Response.json([{ ...message, successful: false, error: "403:/a:no more" }])
      : undefined;
  server.forgetSessions();
  await assert.rejects(client.receive(), {
    code: "ERR_REJECTED",
    message: "the server refused the subscription to /a: 403:/a:no more",
  });
  assert.deepEqual([client.subscriptions.size, client.closed], [0, false]);
  await client.close();
});

test("receive times out when the connection is down for too long, and the client reconnects", async () => {
  const { server, client } = await opened(new BayeuxServer(), { connectionTimeoutMs: 20 });
  await client.subscribe("/a");
  await until(() => server.heldPolls === 1);
  server.intercept = () => {
    throw new TypeError("fetch failed");
  };
  const waiting = client.receive();
  for (const session of server.sessions.values()) session.release();
  await assert.rejects(
    waiting,
    (error) =>
      error.code === "ERR_TIMEOUT" &&
      error.retryable &&
      /was lost and not restored within the connection timeout/.test(error.message),
  );
  assert.equal(client.closed, false);
  server.intercept = undefined;
  await until(() => client.state === "connected");
  server.publish("/a", 1);
  assert.equal((await client.receive()).data, 1);
  await client.close();
});

test("open rejects with the error that occurred when no server answers in time", async () => {
  const client = new BayeuxClient(url, {
    ...FAST,
    connectionTimeoutMs: 20,
    fetch: async () => Promise.reject(new TypeError("fetch failed")),
  });
  await assert.rejects(client.open(), { code: "ERR_NETWORK" });
  assert.equal(client.closed, true);
  for (const [status, code] of [
    [404, "ERR_REJECTED"],
    [302, "ERR_REDIRECTED"],
    [403, "ERR_UNAUTHORIZED"],
  ]) {
    await assert.rejects(new BayeuxClient(url, { ...FAST, fetch: async () => new Response("x", { status }) }).open(), {
      code,
    });
  }
});

test("a signal aborts open", async () => {
  const controller = new AbortController();
  const client = new BayeuxClient(url, { ...FAST, fetch: () => new Promise(() => {}) });
  const opening = assert.rejects(client.open({ signal: controller.signal }), { code: "ERR_ABORTED" });
  void sleep(0).then(() => controller.abort());
  await opening;
  await until(() => client.closed);
});

test("receive and the loop end with an error when the server closes the connection", async () => {
  const { server, client } = await opened();
  await client.subscribe("/a");
  await until(() => server.heldPolls === 1);
  server.intercept = ({ messages: [message] }) =>
    message.channel === "/meta/connect"
      ? Response.json([{ channel: "/meta/connect", id: message.id, successful: true, advice: { reconnect: "none" } }])
      : undefined;
  const looping = (async () => {
    for await (const _ of client);
  })();
  for (const session of server.sessions.values()) session.release();
  await assert.rejects(looping, { code: "ERR_REJECTED", message: "the server closed the connection" });
  await assert.rejects(client.receive(), { code: "ERR_REJECTED" });
  assert.equal(client.closed, true);
  await client.close();
});

test("auth is called before the first request, and again when the server refuses its headers", async () => {
  const calls = [];
  const server = new BayeuxServer();
  server.intercept = ({ headers }) =>
    headers.get("authorization") === "Bearer new" ? undefined : new Response("<html>", { status: 401 });
  const { client } = await opened(server, {
    auth: async (why) => {
      calls.push(why);
      return { authorization: why.renew ? "Bearer new" : "Bearer old" };
    },
  });
  assert.deepEqual(calls, [{ renew: false }, { renew: true }]);
  await client.close();
  const refused = clientOf(server, { auth: () => ({ authorization: "Bearer s3cret" }) });
  await assert.rejects(
    refused.open(),
    (error) => error.code === "ERR_UNAUTHORIZED" && !inspect(error).includes("s3cret"),
  );
  await assert.rejects(clientOf(server, { auth: () => Promise.reject(new Error("no token today")) }).open(), {
    code: "ERR_UNAUTHORIZED",
    message: "auth returned no credentials: no token today",
  });
});

test("extensions see all messages, and can change and drop them", async () => {
  const seen = [];
  const { server, client } = await opened(new BayeuxServer(), {
    extensions: [
      {
        outgoing(message) {
          seen.push(`> ${message.channel}`);
          if (message.channel === "/secret") return null;
          if (message.channel === "/a") message.data.n++;
        },
        incoming(message) {
          seen.push(`< ${message.channel}`);
          return message.data?.hidden ? null : message;
        },
      },
    ],
  });
  await client.subscribe("/**");
  await assert.rejects(client.publish("/secret", 1), {
    code: "ERR_REJECTED",
    message: "the server refused an event for /secret: 404::message_deleted",
  });
  assert.equal(server.count("/secret"), 0);
  await client.publish("/a", { n: 1 });
  await client.publish("/b", { hidden: true });
  await client.publish("/c", 3);
  assert.deepEqual([(await client.receive()).data, (await client.receive()).data], [{ n: 2 }, 3]);
  for (const line of ["> /meta/handshake", "< /meta/handshake", "> /meta/connect", "> /secret", "< /a"])
    assert.ok(seen.includes(line), line);
  await client.close();
});

test("in Deno the body of a poll is a stream, because Deno resends other bodies when a response is lost", async () => {
  const server = new BayeuxServer();
  const { fetch } = globalThis;
  const bodies = [];
  globalThis.Deno = {};
  globalThis.fetch = async (address, init) => {
    bodies.push(init.body);
    return server.fetch(new Request(address, init));
  };
  try {
    const client = new BayeuxClient(url, FAST);
    await client.open();
    await client.subscribe("/a");
    await client.close();
    assert.ok(bodies.length >= 4 && bodies.every((body) => body instanceof ReadableStream));
  } finally {
    globalThis.fetch = fetch;
    delete globalThis.Deno;
  }
});

test("all messages use one WebSocket if it can be opened", async () => {
  const server = new BayeuxServer();
  const { client } = await opened(server, { transports: ["websocket", "long-polling"], webSocket: server.webSocket });
  await client.subscribe("/a");
  await client.publish("/a", "über");
  assert.equal((await client.receive()).data, "über");
  server.publish("/a", 2);
  assert.equal((await client.receive()).data, 2);
  assert.ok(server.requests.every(({ viaSocket }) => viaSocket));
  assert.deepEqual(
    server.sockets.map(({ address }) => address),
    ["wss://example.com/cometd"],
  );
  server.sockets[0].simulateClose(1001);
  await until(() => server.sockets.length === 2 && client.state === "connected");
  await client.close();
  assert.equal(server.sessions.size, 0);
});

test("falls back to long polling when no WebSocket can be opened", async () => {
  const server = new BayeuxServer();
  server.transports = ["long-polling"];
  for (const webSocket of [
    server.webSocket,
    () => {
      throw new SyntaxError("invalid URL");
    },
  ]) {
    const client = clientOf(server, { transports: ["websocket", "long-polling"], webSocket });
    const events = recordEvents(client);
    await client.open();
    assert.ok(events.includes("transport_fallback"));
    await client.close();
  }
});

test("a frame that is not Bayeux makes the client open another socket", async () => {
  const server = new BayeuxServer();
  const { client } = await opened(server, { transports: ["websocket"], webSocket: server.webSocket });
  await client.subscribe("/a");
  server.sockets[0].deliver("not json");
  await until(() => server.sockets.length === 2 && client.state === "connected");
  server.sockets[1].dispatchEvent(new MessageEvent("message", { data: new ArrayBuffer(3) }));
  await until(() => server.sockets.length === 3 && client.state === "connected");
  await client.close();
});

test("a trap of the engine ends the client and rejects everything pending", async () => {
  const { server, client } = await opened();
  await client.subscribe("/a");
  await until(() => server.heldPolls === 1);
  server.intercept = () => new Promise(() => {});
  const pending = [client.receive(), client.publish("/a", 1), client.subscribe("/b")].map((promise) =>
    assert.rejects(promise, { code: "ERR_INTERNAL" }),
  );
  await sleep(0);
  const unreachable = new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
  ]);
  assert.throws(() => streams.call(new WebAssembly.Instance(new WebAssembly.Module(unreachable)).exports.f), {
    code: "ERR_INTERNAL",
  });
  await Promise.all(pending);
  assert.equal(client.closed, true);
  await client.close();
  const { client: next } = await opened();
  await next.close();
});

test("invalid arguments are rejected with a message that names them", async () => {
  for (const [options, message] of [
    [{ transport: "websocket" }, /has no option "transport"/],
    [{ transports: [] }, /^transports must be a non-empty array of "websocket" and "long-polling"; received /],
    [
      { transports: ["callback-polling"] },
      /^transports must be a non-empty array of "websocket" and "long-polling"; received /,
    ],
    [{ maxPending: 0 }, /^maxPending must be an integer from 1 to 1000000; received 0$/],
    [{ connectionTimeoutMs: -1 }, /^connectionTimeoutMs must be a number of milliseconds/],
    [{ retry: { attempts: 3 } }, /retry has no option "attempts"/],
    [{ retry: 3 }, /^retry must be an object with baseMs and maxMs; received 3$/],
    [{ credentials: "yes" }, /^credentials must be "include", "same-origin" or "omit"; received "yes"$/],
    [{ drain: 1 }, /^drain must be a boolean; received 1$/],
    [{ auth: "Bearer s3cret" }, /^auth must be a function that returns headers$/],
    [{ extensions: [{ outgoing: 1 }] }, /^extensions must be an array of objects/],
    [{ webSocket: "ws" }, /^webSocket must be a function/],
    [{ ack: 1 }, /^ack must be a boolean; received 1$/],
    [{ fetch: 1 }, /^fetch must be a function/],
  ]) {
    assert.throws(
      () => new BayeuxClient(url, options),
      (error) => error.code === "ERR_INVALID_ARGUMENT" && message.test(error.message),
      JSON.stringify(options),
    );
  }
  for (const bad of ["cometd", "ftp://a/b", "https://u:p@a/b", undefined])
    assert.throws(() => new BayeuxClient(bad), { code: "ERR_INVALID_ARGUMENT" });
  const { client } = await opened();
  for (const channel of ["a", "", "/", "//a", "/a\u001e/b", "/meta/connect", 7, undefined, null]) {
    await assert.rejects(client.subscribe(channel), { code: "ERR_INVALID_ARGUMENT" }, String(channel));
    await assert.rejects(client.publish(channel, 1), { code: "ERR_INVALID_ARGUMENT" }, String(channel));
  }
  await assert.rejects(client.publish("/a", undefined), { code: "ERR_INVALID_ARGUMENT" });
  await assert.rejects(client.publish("/a", 1n), { code: "ERR_INVALID_ARGUMENT" });
  await assert.rejects(client.subscribe("/a", "listener"), { code: "ERR_INVALID_ARGUMENT" });
  await assert.rejects(client.open(), { code: "ERR_INVALID_ARGUMENT", message: "the client is already open" });
  await assert.rejects(client.receive({ signal: 1 }), { code: "ERR_INVALID_ARGUMENT" });
  await client.close();
  await assert.rejects(clientOf(new BayeuxServer()).receive(), { code: "ERR_INVALID_ARGUMENT" });
  await assert.rejects(clientOf(new BayeuxServer()).publish("/a", 1), {
    code: "ERR_INVALID_ARGUMENT",
    message: "the client is not open yet; await client.open() first",
  });
});
