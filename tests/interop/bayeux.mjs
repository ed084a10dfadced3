// Our Bayeux client against servers of others, npm `cometd-nodejs-server` and `faye`, and beside their own clients.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { CometD } from "cometd";
import { adapt } from "cometd-nodejs-client";
import faye from "faye";
import { BayeuxClient } from "../../dist/entries/bayeux.js";
import { start } from "../child.mjs";
import { Tally } from "../tally.mjs";
import { Peer, soon } from "./peers/bayeux.mjs";

const FLAG = "--experimental-websocket";
if (!globalThis.WebSocket && !process.execArgv.includes(FLAG)) {
  // Node 20 has it, but shows it only to those who ask.
  const child = start(process.execPath, [FLAG, "--no-warnings", fileURLToPath(import.meta.url)], { stdio: "inherit" });
  process.exit(await new Promise((resolve) => child.once("exit", (code) => resolve(code ?? 1))));
}

const tally = new Tally();
adapt();

/** What can be had from whom: `sees` is the request that shows that it is so. */
const WAYS = [
  { kind: "cometd", transports: ["long-polling"], sees: "POST" },
  { kind: "faye", transports: ["long-polling"], sees: "POST" },
  { kind: "faye", transports: ["websocket"], sees: "upgrade" },
];

/** The clients that belong to the servers. */
const OWN = {
  async cometd(url) {
    const cometd = new CometD();
    cometd.unregisterTransport("websocket");
    cometd.configure({ url, useWorkerScheduler: false, logLevel: "error" });
    await soon("its own client is open", new Promise((resolve) => cometd.handshake(resolve)));
    return {
      hear: (channel) => new Promise((resolve) => cometd.subscribe(channel, ({ data }) => resolve(data))),
      say: (channel, data) => new Promise((resolve) => cometd.publish(channel, data, resolve)),
      close: () => new Promise((resolve) => cometd.disconnect(resolve)),
    };
  },
  async faye(url) {
    const client = new faye.Client(url);
    return {
      hear: (channel) => new Promise((resolve) => client.subscribe(channel, resolve)),
      say: (channel, data) => client.publish(channel, data),
      close: () => client.disconnect(),
    };
  },
};

for (const { kind, transports, sees } of WAYS) {
  const other = sees === "POST" ? "upgrade" : "POST";
  const check = (name, body) =>
    tally.check(`${kind}, ${transports}: ${name}`, () => withClient(kind, { transports }, body));

  await check("subscribe, publish, receive, unsubscribe", async ({ peer, client, next }) => {
    await client.subscribe("/chat/room");
    await client.subscribe("/chat/end");
    assert.deepEqual([...client.subscriptions].sort(), ["/chat/end", "/chat/room"]);
    peer.publish("/chat/room", { from: "the server", text: "Euro € 😀", list: [1, 2.5, null] });
    assert.deepEqual(await next(), ["/chat/room", { from: "the server", text: "Euro € 😀", list: [1, 2.5, null] }]);
    await client.publish("/chat/room", { from: "us" });
    assert.deepEqual(await next(), ["/chat/room", { from: "us" }]);
    await client.unsubscribe("/chat/room");
    await peer.until("it knows that nobody listens", () => peer.seen("unsubscribed", "/chat/room") === 1);
    peer.publish("/chat/room", "nobody hears it");
    peer.publish("/chat/end", "the end");
    assert.deepEqual(await next(), ["/chat/end", "the end"]);
    assert.deepEqual([...client.subscriptions], ["/chat/end"]);
    assert.ok(peer.seen("request", sees) > 0, `there was no ${sees}`);
    assert.equal(peer.seen("request", other), 0, `there was a ${other}`);
  });

  await check("patterns", async ({ peer, client, next }) => {
    await client.subscribe("/one/*");
    await client.subscribe("/deep/**");
    for (const channel of ["/one", "/one/a", "/one/a/b", "/deep/a", "/deep/a/b", "/one/end"])
      peer.publish(channel, channel);
    for (const channel of ["/one/a", "/deep/a", "/deep/a/b", "/one/end"])
      assert.deepEqual(await next(), [channel, channel]);
  });

  await check("with its own client, in both directions", async ({ peer, client, next }) => {
    const own = await OWN[kind](peer.url);
    try {
      await client.subscribe("/to-us");
      const heard = own.hear("/to-them");
      await peer.until("it listens", () => peer.seen("subscribed", "/to-them") === 1);
      await client.publish("/to-them", { greets: "them" });
      assert.deepEqual(await soon("it hears us", heard), { greets: "them" });
      await own.say("/to-us", { greets: "us" });
      assert.deepEqual(await next(), ["/to-us", { greets: "us" }]);
    } finally {
      await own.close();
    }
  });

  await check("a thousand events in order", async ({ peer, client, next }) => {
    await client.subscribe("/many");
    for (let at = 0; at < 1000; at++) peer.publish("/many", at);
    for (let at = 0; at < 1000; at++) assert.deepEqual(await next(), ["/many", at]);
  });

  await check("subscriptions outlive the server", async ({ peer, client, next }) => {
    await client.subscribe("/kept");
    await client.subscribe("/kept-too/*");
    await client.subscribe("/left");
    await client.unsubscribe("/left");
    for (let turn = 0; turn < 2; turn++) {
      await peer.kill();
      await peer.start();
      await peer.until(
        "it knows the subscriptions again",
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

await tally.check("cometd: an answer that is lost on the way comes again", () =>
  withClient("cometd", { transports: ["long-polling"] }, async ({ peer, client, next }) => {
    await client.subscribe("/acknowledged");
    peer.loseAnswer();
    for (const text of ["lost", "after it"]) peer.publish("/acknowledged", text);
    assert.deepEqual(await next(), ["/acknowledged", "lost"]);
    assert.deepEqual(await next(), ["/acknowledged", "after it"]);
  }),
);

const both = { transports: ["websocket", "long-polling"] };
for (const [kind, ...options] of [["cometd"], ["faye", "no-websocket"]]) {
  await tally.check(`${kind}: falls back to long polling where there is no WebSocket`, () =>
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

await tally.check("faye: takes the WebSocket where there is one, and falls back when there is none any more", () =>
  withClient("faye", both, async ({ peer, client, next }) => {
    await client.subscribe("/either");
    peer.publish("/either", 1);
    assert.deepEqual(await next(), ["/either", 1]);
    assert.ok(peer.seen("request", "upgrade") > 0, "there was no upgrade");
    await peer.kill();
    await peer.start("no-websocket");
    await peer.until("it knows the subscription again", () => peer.seen("subscribed", "/either") === 1);
    peer.publish("/either", 2);
    assert.deepEqual(await next(), ["/either", 2]);
    assert.ok(peer.seen("request", "POST") > 0, "there was no POST");
  }),
);

tally.finish();

/** A fresh server and a client of ours that is open; `next` gives channel and data of the next event. */
async function withClient(kind, options, body, serverOptions = []) {
  const peer = new Peer(kind);
  await peer.start(...serverOptions);
  const client = new BayeuxClient(peer.url, options);
  try {
    await soon("our client is open", client.open());
    await body({
      peer,
      client,
      async next() {
        const { channel, data } = await soon("the next event", client.receive());
        return [channel, data];
      },
    });
    await soon("our client is closed", client.close());
  } finally {
    await client.close().catch(() => {});
    await peer.kill();
  }
}
