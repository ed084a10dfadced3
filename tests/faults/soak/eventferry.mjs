// The client of eventferry: `node eventferry.mjs <url> <channels>`. It prints `ready`, then channel and number of each event.
import { replaceClock } from "../../../dist/platform/clock.js";
import { passwordAuth, SalesforceClient } from "../../../dist/entries/salesforce.js";
import { numberOf, print } from "./output.mjs";

const [, , loginUrl, channels] = process.argv;
/** After so many events the computer has slept for 40 minutes: only the wall clock has gone on. */
const EVENTS_BETWEEN_SLEEPS = 2500;
const SLEEP_MS = 40 * 60_000;
let sleptMs = 0;
replaceClock({
  unixNow: () => Date.now() + sleptMs,
  monotonicNow: () => performance.now(),
  startTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  stopTimer: (timer) => clearTimeout(timer),
});
const auth = passwordAuth({
  loginUrl,
  consumerKey: "key",
  consumerSecret: "secret",
  username: "user@example.com",
  password: "password",
});
const client = new SalesforceClient(auth, { replay: "new", connectionTimeoutMs: 60_000 });
await client.open();
for (const channel of channels.split(",")) await client.subscribe(channel);
print("ready");
let count = 0;
for await (const { channel, data } of client) {
  print(`${channel} ${numberOf(data)}`);
  if (++count % EVENTS_BETWEEN_SLEEPS === 0) sleptMs += SLEEP_MS;
}
