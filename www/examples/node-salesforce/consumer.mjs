// Consumes platform events and continues after the last finished one after a restart.
import { SalesforceClient, fileStore, passwordAuth, replayStore } from "eventferry/salesforce";

const { env } = process;
const auth = passwordAuth({
  consumerKey: env.SALESFORCE_CONSUMER_KEY,
  consumerSecret: env.SALESFORCE_CONSUMER_SECRET,
  username: env.SALESFORCE_USERNAME,
  password: env.SALESFORCE_PASSWORD,
  ...(env.SALESFORCE_LOGIN_URL && { loginUrl: env.SALESFORCE_LOGIN_URL }),
});
const positions = replayStore(fileStore("./positions"), { policy: "manual", initial: "all" });
const client = new SalesforceClient(auth, { replay: positions, replayFallback: "all" });
client.addEventListener("notice", ({ detail }) => console.error(`notice: ${detail.kind}`));

// `on`, not `once`: under npm a signal arrives twice.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => client.close());

await client.open();
await client.subscribe(env.SALESFORCE_CHANNEL ?? "/event/Order__e");
console.log("waiting for events");
for await (const message of client) {
  await message.use(async ({ data, replayId }) => {
    console.log(`event ${replayId}: ${JSON.stringify(data.payload)}`);
  });
}
await positions.close();
