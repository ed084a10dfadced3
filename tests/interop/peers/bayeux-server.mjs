// Another Bayeux server as a process that can be killed: `node bayeux-server.mjs cometd|faye <port> [no-websocket]`. It
// reports subscriptions and requests to its parent; the parent asks it to publish, and to lose the next response with events.
import { createServer } from "node:http";
import cometd from "cometd-nodejs-server";
import acknowledgement from "cometd-nodejs-server/ack-extension.js";
import faye from "faye";

/** How long both servers hold a connect. No test waits for it. */
const HOLD_MS = 20_000;

const [, , kind, port, option] = process.argv;
const report = (message) => process.send(message);

const SERVERS = {
  cometd() {
    const bayeux = cometd.createCometDServer({ timeout: HOLD_MS });
    bayeux.addExtension(new acknowledgement.AcknowledgedMessagesExtension());
    bayeux.addListener("subscribed", ({ name }) => report({ subscribed: name }));
    bayeux.addListener("unsubscribed", ({ name }) => report({ unsubscribed: name }));
    return {
      server: createServer(bayeux.handle),
      publish: (channel, data) => bayeux.createServerChannel(channel).publish(null, data),
    };
  },

  faye() {
    const bayeux = new faye.NodeAdapter({ mount: "/bayeux", timeout: HOLD_MS / 1000 });
    bayeux.on("subscribe", (_, channel) => report({ subscribed: channel }));
    bayeux.on("unsubscribe", (_, channel) => report({ unsubscribed: channel }));
    const server = createServer();
    bayeux.attach(server);
    return { server, publish: (channel, data) => bayeux.getClient().publish(channel, data) };
  },
};

const { server, publish } = SERVERS[kind]();
let losesResponse = false;
// Before the listeners of the server, so that every request is seen.
server.prependListener("request", ({ method }, response) => {
  report({ request: method });
  const { end } = response;
  response.end = function (body, ...rest) {
    if (!losesResponse || !String(body).includes('"data"')) return end.call(this, body, ...rest);
    losesResponse = false;
    return this.socket.resetAndDestroy();
  };
});
server.prependListener("upgrade", (_, socket) => {
  report({ request: "upgrade" });
  if (option === "no-websocket") socket.destroy();
});
let published = Promise.resolve();
process.on("message", ({ publish: event, lose }) => {
  if (lose) losesResponse = true;
  // faye keeps the order of events only if each publish is awaited.
  if (event) published = published.then(() => publish(...event));
});
process.on("disconnect", () => process.exit());
server.listen(Number(port), "127.0.0.1", () => report({ port: server.address().port }));
