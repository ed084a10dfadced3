// The client of eventferry: `node eventferry.mjs <url> <channels>`. It prints `ready`, then channel and number of each event.
import { passwordAuth, SalesforceClient } from "../../../dist/entries/salesforce.js";
import { numberOf, print } from "./output.mjs";

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
print("ready");
for await (const { channel, data } of client) print(`${channel} ${numberOf(data)}`);
