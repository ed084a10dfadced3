// One life of a client of Salesforce with its markers in a file. It says `+` and what it was handed, `=` when that is acknowledged,
// and ends when it is killed, or when it has had the last one of every channel.
//
//   node replay-listener.mjs <url> <path> <manual|next|automatic> [number of the last event of each channel]
import { writeSync } from "node:fs";
import { fileStore } from "../../dist/entries/outbox.js";
import { SalesforceClient, passwordAuth, replayStore } from "../../dist/entries/salesforce.js";

const [, , url, path, policy, last] = process.argv;
const say = (line) => writeSync(1, `${line}\n`);
process.on("unhandledRejection", (error) => say(`!${error?.stack ?? error}`));

const auth = passwordAuth({
  loginUrl: url,
  consumerKey: "key",
  consumerSecret: "secret",
  username: "user@example.com",
  password: "password",
});
const client = new SalesforceClient(auth, { replay: replayStore(fileStore(path), { policy, initial: "all" }) });
await client.open();
const open = new Set(["/event/Order_Placed__e", "/event/Order_Shipped__e"]);
for (const channel of open) await client.subscribe(channel);
say("ready");

for await (const message of client) {
  const event = `${message.channel} ${message.data.payload.Number}`;
  say(`+${event}`);
  if (policy === "manual") {
    // Work takes its time, and a kill may come in the middle of it.
    if (Math.random() < 0.1) await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
    const isSaved = message.ack().then(() => say(`=${event}`));
    if (Math.random() < 0.1) await isSaved;
  }
  if (last !== undefined && message.data.payload.Number >= Number(last)) open.delete(message.channel);
  if (open.size === 0) break;
}
await client.close();
say("end");
process.exit(0);
