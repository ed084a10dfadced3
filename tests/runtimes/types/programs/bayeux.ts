import { BayeuxClient, type StreamMessage, type StreamNotice, type Subscription } from "eventferry/bayeux";

const client = new BayeuxClient("https://example.com/cometd", {
  transports: ["long-polling"],
  headers: () => ({ "x-a": "b" }),
});
client.addEventListener("notice", ({ detail }) => {
  const notice: StreamNotice = detail;
  switch (notice.kind) {
    case "session_replaced":
    case "possible_gap":
      console.log(notice.channel);
      break;
    // @ts-expect-error no such kind
    case "no_such_kind":
      break;
  }
});

export async function run(): Promise<void> {
  await client.open();
  const subscription: Subscription = await client.subscribe<{ n: number }>("/a", ({ data }) => console.log(data.n));
  await subscription.unsubscribe();
  const message: StreamMessage = await client.receive();
  await message.ack();
  for await (const { channel } of client) console.log(channel);
  await client[Symbol.asyncDispose]();
}
