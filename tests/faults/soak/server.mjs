// Salesforce on a bad day: publishes to three channels, and does what the seed says to whoever listens. `node server.mjs <seed> <events>`.
// Tells its parent where it is and, when it is told to go, how many of all events were published and what went wrong on the way.
import { setTimeout as sleep } from "node:timers/promises";
import { createEmulator } from "../../../dist/entries/testing.js";

const CHANNELS = ["/event/Order_Placed__e", "/topic/OrderUpdates", "/data/OrderChangeEvent"];
/** Events at a time, and how often. */
const TURN = 15;
const TURN_MS = 8;
/** Between one trouble and the next: events are the clock, so that everybody gets the same. */
const EVENTS_BETWEEN = [300, 1500];
const PADDING = "x".repeat(150);

const [, , seed, total] = process.argv.map(Number);
const tell = (message) => process.send(message);
const random = chances(seed);
const between = (least, most) => least + Math.floor(random() * (most - least));

const emulator = createEmulator({ salesforce: { maxEvents: 2 * total, maxQueue: 2 * total } });
const { salesforce, faults } = emulator;
let listening = await emulator.listen();
const port = Number(new URL(listening.url).port);
const done = {};

const TROUBLES = {
  async "the server is started anew"() {
    await listening.close();
    salesforce.restart();
    await sleep(between(10, 300));
    listening = await emulator.listen(port);
  },
  "polls break": () => salesforce.dropPolls(),
  "answers with events are lost": () => salesforce.loseAnswers(between(1, 3)),
  "an answer is cut": () => faults.add({ match: isPoll, after: "store", cutBodyAfter: between(1, 3000), times: 1 }),
  "the session ends": () => salesforce.expireSessions(),
  async "the token ends"() {
    await connected();
    salesforce.revokeTokens();
  },
  "a gateway says 502": () =>
    during(between(10, 300), {
      match: isPoll,
      status: 502,
      body: "<html>Bad Gateway</html>",
      headers: { "content-type": "text/html" },
    }),
  async "the token ends, and there is no login for a while"() {
    await connected();
    salesforce.revokeTokens();
    return during(between(10, 300), { match: isLogin, status: 503 });
  },
  async "session and token end at once"() {
    await connected();
    salesforce.revokeTokens();
    salesforce.expireSessions();
  },
};
const isPoll = ({ url }) => url.includes("/cometd/");
const isLogin = ({ url }) => url.includes("/services/oauth2/token");

process.on("disconnect", () => process.exit());
process.once("message", go);
tell({ port });

async function go() {
  let nextTrouble = between(...EVENTS_BETWEEN);
  let trouble;
  for (let published = 0; published < total; ) {
    for (let turn = 0; turn < TURN && published < total; turn++) publish(published++);
    if (published >= nextTrouble) {
      const names = Object.keys(TROUBLES);
      const name = names[between(0, names.length)];
      nextTrouble += between(...EVENTS_BETWEEN);
      // One at a time; events go on meanwhile.
      trouble ??= begin(name).finally(() => (trouble = undefined));
    }
    await sleep(TURN_MS);
  }
  await trouble;
  salesforce.clearOverrides();
  faults.clear();
  tell({
    published: CHANNELS.map((channel, at) => [channel, Math.ceil((total - at) / CHANNELS.length)]),
    troubles: done,
  });
}

async function begin(name) {
  done[name] = (done[name] ?? 0) + 1;
  await TROUBLES[name]();
}

/** A token that was never of any use is a reason to give up. Who is not there for long has done that. */
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

/** Numbers from 0 to below 1 that the seed determines (mulberry32, public domain). */
function chances(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
