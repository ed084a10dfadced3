// Ours: `node eventferry.mjs <url> <channels>`. Says `ready`, and channel and number of each event.
import { SalesforceClient, passwordAuth } from "../../../dist/entries/salesforce.js";
import { numberOf, say } from "./output.mjs";

const [, , loginUrl, channels] = process.argv;
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
say("ready");
for await (const { channel, data } of client) say(`${channel} ${numberOf(data)}`);
