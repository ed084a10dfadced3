// A Salesforce client whose replay markers are in a file. It prints `+` and each received event, and `=` and the event once
// its acknowledgement is saved. It runs until it is killed, or until it has received the last event of every channel.
//
//   node replay-listener.mjs <url> <path> <manual|next|automatic> [number of the last event of each channel]
import { writeSync } from "node:fs";
import { fileStore } from "../../dist/entries/outbox.js";
import { passwordAuth, replayStore, SalesforceClient } from "../../dist/entries/salesforce.js";

const [, , url, path, policy, last] = process.argv;
const print = (line) => writeSync(1, `${line}\n`);
process.on("unhandledRejection", (error) => print(`!${error?.stack ?? error}`));

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
print("ready");

for await (const message of client) {
  const event = `${message.channel} ${message.data.payload.Number}`;
  print(`+${event}`);
  if (policy === "manual") {
    // Processing takes time, so that a kill may interrupt it.
    if (Math.random() < 0.1) await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
    const isSaved = message.ack().then(() => print(`=${event}`));
    if (Math.random() < 0.1) await isSaved;
  }
  if (last !== undefined && message.data.payload.Number >= Number(last)) open.delete(message.channel);
  if (open.size === 0) break;
}
await client.close();
print("end");
process.exit(0);
