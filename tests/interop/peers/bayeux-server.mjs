// A Bayeux server of others as a process, so that it can be killed: `node bayeux-server.mjs cometd|faye <port> [no-websocket]`.
// Tells its parent what happens, publishes what its parent asks for, and loses the next answer with an event in it if it is told to.
import { createServer } from "node:http";
import faye from "faye";
import cometd from "cometd-nodejs-server";
import acknowledgement from "cometd-nodejs-server/ack-extension.js";

/** How long both hold a poll; each test must do without waiting for it. */
const HOLD_MS = 20_000;

const [, , kind, port, option] = process.argv;
const tell = (message) => process.send(message);

const SERVERS = {
  cometd() {
    const bayeux = cometd.createCometDServer({ timeout: HOLD_MS });
    bayeux.addExtension(new acknowledgement.AcknowledgedMessagesExtension());
    bayeux.addListener("subscribed", ({ name }) => tell({ subscribed: name }));
    bayeux.addListener("unsubscribed", ({ name }) => tell({ unsubscribed: name }));
    return {
      server: createServer(bayeux.handle),
      publish: (channel, data) => bayeux.createServerChannel(channel).publish(null, data),
    };
  },

  faye() {
    const bayeux = new faye.NodeAdapter({ mount: "/bayeux", timeout: HOLD_MS / 1000 });
    bayeux.on("subscribe", (_, channel) => tell({ subscribed: channel }));
    bayeux.on("unsubscribe", (_, channel) => tell({ unsubscribed: channel }));
    const server = createServer();
    bayeux.attach(server);
    return { server, publish: (channel, data) => bayeux.getClient().publish(channel, data) };
  },
};

const { server, publish } = SERVERS[kind]();
let losesAnswer = false;
// Before its own listeners: what they do with a request is theirs.
server.prependListener("request", ({ method }, response) => {
  tell({ request: method });
  const { end } = response;
  response.end = function (body, ...rest) {
    if (!losesAnswer || !String(body).includes('"data"')) return end.call(this, body, ...rest);
    losesAnswer = false;
    return this.socket.resetAndDestroy();
  };
});
server.prependListener("upgrade", (_, socket) => {
  tell({ request: "upgrade" });
  if (option === "no-websocket") socket.destroy();
});
let published = Promise.resolve();
process.on("message", ({ publish: event, lose }) => {
  if (lose) losesAnswer = true;
  // faye keeps the order only for those who wait.
  if (event) published = published.then(() => publish(...event));
});
process.on("disconnect", () => process.exit());
server.listen(Number(port), "127.0.0.1", () => tell({ port: server.address().port }));
