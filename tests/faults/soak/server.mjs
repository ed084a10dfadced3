// A Salesforce emulator with frequent failures: `node server.mjs <seed> <events>`. It publishes to three channels; the seed
// determines the failures. It sends its port to the parent process and, after `go`, the numbers of published events and failures.
import { setTimeout as sleep } from "node:timers/promises";
import { createEmulator } from "../../../dist/entries/testing.js";

const CHANNELS = ["/event/Order_Placed__e", "/topic/OrderUpdates", "/data/OrderChangeEvent"];
/** Number of events per interval. */
const BURST = 15;
const BURST_INTERVAL_MS = 8;
/** Range of the number of events between failures. Events are the clock, so that every client gets the same failures. */
const EVENTS_BETWEEN = [300, 1500];
const PADDING = "x".repeat(150);

const [, , seed, total] = process.argv.map(Number);
const send = (message) => process.send(message);
const random = seededRandom(seed);
const between = (least, most) => least + Math.floor(random() * (most - least));

const emulator = createEmulator({ salesforce: { maxEvents: 2 * total, maxQueue: 2 * total } });
const { salesforce, faults } = emulator;
let listening = await emulator.listen();
const port = Number(new URL(listening.url).port);
const failureCounts = {};

const FAILURES = {
  async "the server restarts"() {
    await listening.close();
    salesforce.restart();
    await sleep(between(10, 300));
    listening = await emulator.listen(port);
  },
  "held connects break": () => salesforce.dropPolls(),
  "responses with events are lost": () => salesforce.loseAnswers(between(1, 3)),
  "a response is truncated": () =>
    faults.add({ match: isPoll, after: "store", cutBodyAfter: between(1, 3000), times: 1 }),
  "responses cannot be read": () =>
    faults.add({ match: isPoll, after: "store", body: '[{"channel":"/meta/con', times: between(1, 4) }),
  "the session expires": () => salesforce.expireSessions(),
  "Salesforce says goodbye": () => salesforce.expireSessions({ disconnect: "alone" }),
  async "Salesforce says goodbye beside a refusal"() {
    await connected();
    salesforce.revokeTokens({ disconnect: ["first", "last"][between(0, 2)] });
  },
  async "the token is revoked"() {
    await connected();
    salesforce.revokeTokens();
  },
  "a gateway answers 502": () =>
    during(between(10, 300), {
      match: isPoll,
      status: 502,
      body: "<html>Bad Gateway</html>",
      headers: { "content-type": "text/html" },
    }),
  async "the token is revoked, and logins fail for a while"() {
    await connected();
    salesforce.revokeTokens();
    return during(between(10, 300), { match: isLogin, status: 503 });
  },
  async "session and token end together"() {
    await connected();
    salesforce.revokeTokens();
    salesforce.expireSessions();
  },
};
const isPoll = ({ url }) => url.includes("/cometd/");
const isLogin = ({ url }) => url.includes("/services/oauth2/token");

process.on("disconnect", () => process.exit());
process.once("message", go);
send({ port });

async function go() {
  let nextFailure = between(...EVENTS_BETWEEN);
  let failure;
  for (let published = 0; published < total; ) {
    for (let turn = 0; turn < BURST && published < total; turn++) publish(published++);
    if (published >= nextFailure) {
      const names = Object.keys(FAILURES);
      const name = names[between(0, names.length)];
      nextFailure += between(...EVENTS_BETWEEN);
      // One failure at a time; events are published meanwhile.
      failure ??= begin(name).finally(() => {
        failure = undefined;
      });
    }
    await sleep(BURST_INTERVAL_MS);
  }
  await failure;
  salesforce.clearOverrides();
  faults.clear();
  send({
    published: CHANNELS.map((channel, at) => [channel, Math.ceil((total - at) / CHANNELS.length)]),
    failures: failureCounts,
  });
}

async function begin(name) {
  failureCounts[name] = (failureCounts[name] ?? 0) + 1;
  await FAILURES[name]();
}

/** Waits for a connected client, because a client gives up on a new token that never worked. Not longer than 5 s. */
function connected() {
  return salesforce
    .waitFor(({ sessions }) => sessions.some(({ isHeld }) => isHeld), { timeoutMs: 5000 })
    .catch(() => undefined);
}

async function during(ms, fault) {
  const added = faults.add(fault);
  await sleep(ms);
  added.remove();
}

/** The events of each channel are numbered from 1. */
function publish(at) {
  salesforce.publish(CHANNELS[at % CHANNELS.length], {
    Number: 1 + Math.floor(at / CHANNELS.length),
    Padding: PADDING,
  });
}

/** Pseudorandom numbers in [0, 1) that the seed determines (mulberry32, public domain). */
function seededRandom(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
