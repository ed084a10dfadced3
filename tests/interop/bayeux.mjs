// BayeuxClient against other servers, npm `cometd-nodejs-server` and `faye`, and together with their own clients.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { CometD } from "cometd";
import { adapt } from "cometd-nodejs-client";
import faye from "faye";
import { BayeuxClient } from "../../dist/entries/bayeux.js";
import { start } from "../child.mjs";
import { Tally } from "../tally.mjs";
import { Peer, withTimeout } from "./peers/bayeux.mjs";

const FLAG = "--experimental-websocket";
if (!globalThis.WebSocket && !process.execArgv.includes(FLAG)) {
  // Node 20 offers WebSocket only with this flag.
  const child = start(process.execPath, [FLAG, "--no-warnings", fileURLToPath(import.meta.url)], { stdio: "inherit" });
  process.exit(await new Promise((resolve) => child.once("exit", (code) => resolve(code ?? 1))));
}

const tally = new Tally();
adapt();

/** The servers and transports to test. `expectedRequest` is the kind of request that the transport makes. */
const COMBINATIONS = [
  { kind: "cometd", transports: ["long-polling"], expectedRequest: "POST" },
  { kind: "faye", transports: ["long-polling"], expectedRequest: "POST" },
  { kind: "faye", transports: ["websocket"], expectedRequest: "upgrade" },
];

/** The clients that belong to the servers. */
const NATIVE_CLIENTS = {
  async cometd(url) {
    const cometd = new CometD();
    cometd.unregisterTransport("websocket");
    cometd.configure({ url, useWorkerScheduler: false, logLevel: "error" });
    await withTimeout("the native client to open", new Promise((resolve) => cometd.handshake(resolve)));
    return {
      subscribe: (channel) => new Promise((resolve) => cometd.subscribe(channel, ({ data }) => resolve(data))),
      publish: (channel, data) => new Promise((resolve) => cometd.publish(channel, data, resolve)),
      close: () => new Promise((resolve) => cometd.disconnect(resolve)),
    };
  },
  async faye(url) {
    const client = new faye.Client(url);
    return {
      subscribe: (channel) => new Promise((resolve) => client.subscribe(channel, resolve)),
      publish: (channel, data) => client.publish(channel, data),
      close: () => client.disconnect(),
    };
  },
};

for (const { kind, transports, expectedRequest } of COMBINATIONS) {
  const other = expectedRequest === "POST" ? "upgrade" : "POST";
  const check = (name, body) =>
    tally.check(`${kind}, ${transports}: ${name}`, () => withClient(kind, { transports }, body));

  await check("subscribes, publishes, receives and unsubscribes", async ({ peer, client, next }) => {
    await client.subscribe("/chat/room");
    await client.subscribe("/chat/end");
    assert.deepEqual([...client.subscriptions].sort(), ["/chat/end", "/chat/room"]);
    peer.publish("/chat/room", { from: "the server", text: "Euro € 😀", list: [1, 2.5, null] });
    assert.deepEqual(await next(), ["/chat/room", { from: "the server", text: "Euro € 😀", list: [1, 2.5, null] }]);
    await client.publish("/chat/room", { from: "us" });
    assert.deepEqual(await next(), ["/chat/room", { from: "us" }]);
    await client.unsubscribe("/chat/room");
    await peer.until("the server to see the unsubscription", () => peer.seen("unsubscribed", "/chat/room") === 1);
    peer.publish("/chat/room", "not subscribed");
    peer.publish("/chat/end", "the end");
    assert.deepEqual(await next(), ["/chat/end", "the end"]);
    assert.deepEqual([...client.subscriptions], ["/chat/end"]);
    assert.ok(peer.seen("request", expectedRequest) > 0, `the client sent no ${expectedRequest}`);
    assert.equal(peer.seen("request", other), 0, `the client sent a ${other}`);
  });

  await check("receives events of patterns", async ({ peer, client, next }) => {
    await client.subscribe("/one/*");
    await client.subscribe("/deep/**");
    for (const channel of ["/one", "/one/a", "/one/a/b", "/deep/a", "/deep/a/b", "/one/end"])
      peer.publish(channel, channel);
    for (const channel of ["/one/a", "/deep/a", "/deep/a/b", "/one/end"])
      assert.deepEqual(await next(), [channel, channel]);
  });

  await check("exchanges events with the native client in both directions", async ({ peer, client, next }) => {
    const nativeClient = await NATIVE_CLIENTS[kind](peer.url);
    try {
      await client.subscribe("/to-us");
      const received = nativeClient.subscribe("/to-them");
      await peer.until("the server to see the subscription", () => peer.seen("subscribed", "/to-them") === 1);
      await client.publish("/to-them", { greets: "them" });
      assert.deepEqual(await withTimeout("the event at the native client", received), { greets: "them" });
      await nativeClient.publish("/to-us", { greets: "us" });
      assert.deepEqual(await next(), ["/to-us", { greets: "us" }]);
    } finally {
      await nativeClient.close();
    }
  });

  await check("receives a thousand events in order", async ({ peer, client, next }) => {
    await client.subscribe("/many");
    for (let at = 0; at < 1000; at++) peer.publish("/many", at);
    for (let at = 0; at < 1000; at++) assert.deepEqual(await next(), ["/many", at]);
  });

  await check("restores its subscriptions when the server restarts", async ({ peer, client, next }) => {
    await client.subscribe("/kept");
    await client.subscribe("/kept-too/*");
    await client.subscribe("/left");
    await client.unsubscribe("/left");
    for (let turn = 0; turn < 2; turn++) {
      await peer.kill();
      await peer.start();
      await peer.until(
        "the server to see the subscriptions again",
        () => peer.seen("subscribed", "/kept") === 1 && peer.seen("subscribed", "/kept-too/*") === 1,
      );
      assert.equal(peer.seen("subscribed", "/left"), 0);
      peer.publish("/kept", turn);
      peer.publish("/kept-too/a", turn);
      assert.deepEqual(await next(), ["/kept", turn]);
      assert.deepEqual(await next(), ["/kept-too/a", turn]);
      await client.publish("/kept", "from us");
      assert.deepEqual(await next(), ["/kept", "from us"]);
    }
  });
}

await tally.check("cometd: a lost response is sent again with the acknowledgement extension", () =>
  withClient("cometd", { transports: ["long-polling"] }, async ({ peer, client, next }) => {
    await client.subscribe("/acknowledged");
    peer.loseResponse();
    for (const text of ["lost", "after it"]) peer.publish("/acknowledged", text);
    assert.deepEqual(await next(), ["/acknowledged", "lost"]);
    assert.deepEqual(await next(), ["/acknowledged", "after it"]);
  }),
);

const both = { transports: ["websocket", "long-polling"] };
for (const [kind, ...options] of [["cometd"], ["faye", "no-websocket"]]) {
  await tally.check(`${kind}: falls back to long polling if the server has no WebSocket`, () =>
    withClient(
      kind,
      both,
      async ({ peer, client, next }) => {
        await client.subscribe("/fallen");
        peer.publish("/fallen", "but not lost");
        assert.deepEqual(await next(), ["/fallen", "but not lost"]);
        assert.ok(peer.seen("request", "POST") > 0);
      },
      options,
    ),
  );
}

await tally.check("faye: uses the WebSocket, and falls back to long polling when a restarted server has none", () =>
  withClient("faye", both, async ({ peer, client, next }) => {
    await client.subscribe("/either");
    peer.publish("/either", 1);
    assert.deepEqual(await next(), ["/either", 1]);
    assert.ok(peer.seen("request", "upgrade") > 0, "the client sent no upgrade");
    await peer.kill();
    await peer.start("no-websocket");
    await peer.until("the server to see the subscription again", () => peer.seen("subscribed", "/either") === 1);
    peer.publish("/either", 2);
    assert.deepEqual(await next(), ["/either", 2]);
    assert.ok(peer.seen("request", "POST") > 0, "the client sent no POST");
  }),
);

tally.finish();

/** Runs a body with a new server and an open client; `next` returns channel and data of the next event. */
async function withClient(kind, options, body, serverOptions = []) {
  const peer = new Peer(kind);
  await peer.start(...serverOptions);
  const client = new BayeuxClient(peer.url, options);
  try {
    await withTimeout("the client to open", client.open());
    await body({
      peer,
      client,
      async next() {
        const { channel, data } = await withTimeout("the next event", client.receive());
        return [channel, data];
      },
    });
    await withTimeout("the client to close", client.close());
  } finally {
    await client.close().catch(() => {});
    await peer.kill();
  }
}
