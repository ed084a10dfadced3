// CometD's own client: `node cometd.mjs <url> <channels> plain|helped`. It comes without a login and without replay, so the program around
// it has both, as guides for Salesforce show it: log in, subscribe after each handshake. `helped` keeps the last replay id of each channel
// and subscribes from there, and logs in and begins anew whenever the client has given up.
import { createRequire } from "node:module";
import { numberOf, say } from "./output.mjs";

const [, , url, channels, kind] = process.argv;
const ofInterop = createRequire(new URL("../../interop/package.json", import.meta.url));
const { adapt } = await import(ofInterop.resolve("cometd-nodejs-client"));
const { CometD } = await import(ofInterop.resolve("cometd"));
adapt();

const isHelped = kind === "helped";
const positions = Object.fromEntries(channels.split(",").map((channel) => [channel, -1]));
let isReady = false;

const cometd = new CometD();
cometd.unregisterTransport("websocket");
cometd.addListener("/meta/handshake", async ({ successful, advice }) => {
  if (!successful) return again(advice);
  let left = Object.keys(positions).length;
  cometd.batch(() => {
    for (const channel in positions) {
      cometd.subscribe(channel, take, { ext: { replay: { [channel]: positions[channel] } } }, ({ successful }) => {
        if (!successful || --left > 0 || isReady) return;
        isReady = true;
        say("ready");
      });
    }
  });
});
cometd.addListener("/meta/connect", ({ successful, advice }) => {
  if (!successful) again(advice);
});
await begin();

function take({ channel, data }) {
  if (isHelped) positions[channel] = data.event.replayId;
  say(`${channel} ${numberOf(data)}`);
}

async function begin() {
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
async function again(advice) {
  if (!isHelped || advice?.reconnect !== "none" || isBusy) return;
  isBusy = true;
  for (let isBegun = false; !isBegun; ) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    isBegun = await begin().then(
      () => true,
      () => false,
    );
  }
  isBusy = false;
}
