// CometD's client: `node cometd.mjs <url> <channels> plain|restarting`. It has neither login nor replay, so the program adds
// them, as in the guides for Salesforce: log in, and subscribe after each handshake. `restarting` also stores the last replay
// id of each channel, subscribes from there, and logs in and starts again whenever the client has given up.
import { createRequire } from "node:module";
import { numberOf, print } from "./output.mjs";

const [, , url, channels, kind] = process.argv;
const ofInterop = createRequire(new URL("../../interop/package.json", import.meta.url));
const { adapt } = await import(ofInterop.resolve("cometd-nodejs-client"));
const { CometD } = await import(ofInterop.resolve("cometd"));
adapt();

const isRestarting = kind === "restarting";
const positions = Object.fromEntries(channels.split(",").map((channel) => [channel, -1]));
let isReady = false;

const cometd = new CometD();
cometd.unregisterTransport("websocket");
cometd.addListener("/meta/handshake", async ({ successful, advice }) => {
  if (!successful) return restart(advice);
  let left = Object.keys(positions).length;
  cometd.batch(() => {
    for (const channel in positions) {
      cometd.subscribe(channel, onMessage, { ext: { replay: { [channel]: positions[channel] } } }, ({ successful }) => {
        if (!successful || --left > 0 || isReady) return;
        isReady = true;
        print("ready");
      });
    }
  });
});
cometd.addListener("/meta/connect", ({ successful, advice }) => {
  if (!successful) void restart(advice);
});
await connect();

function onMessage({ channel, data }) {
  if (isRestarting) positions[channel] = data.event.replayId;
  print(`${channel} ${numberOf(data)}`);
}

async function connect() {
  const form = {
    grant_type: "password",
    client_id: "key",
    client_secret: "secret",
    username: "user@example.com",
    password: "password",
  };
  const response = await fetch(`${url}/services/oauth2/token`, { method: "POST", body: new URLSearchParams(form) });
  if (!response.ok) throw new Error(`the login answered ${response.status}`);
  const { access_token } = await response.json();
  cometd.configure({
    url: `${url}/cometd/60.0`,
    requestHeaders: { Authorization: `Bearer ${access_token}` },
    appendMessageTypeToURL: false,
    useWorkerScheduler: false,
    logLevel: "error",
  });
  cometd.handshake();
}

let isBusy = false;
async function restart(advice) {
  if (!isRestarting || advice?.reconnect !== "none" || isBusy) return;
  isBusy = true;
  for (let isConnected = false; !isConnected; ) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    isConnected = await connect().then(
      () => true,
      () => false,
    );
  }
  isBusy = false;
}
