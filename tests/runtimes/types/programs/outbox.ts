import {
  CloudEvent,
  type EventReceipt,
  type FlushReport,
  memoryStore,
  type OutboxStore,
  Publisher,
} from "eventferry/outbox";

const store: OutboxStore = memoryStore();
const publisher = new Publisher({ url: "https://example.com/", outbox: { store, identity: () => "me" } });
publisher.outbox.addEventListener("delivered", ({ detail }) => {
  const ids: readonly string[] = detail.ids;
  console.log(ids);
});
publisher.outbox.addEventListener("dead", () => undefined, { once: true });

export async function publish(): Promise<FlushReport> {
  const session = publisher.session();
  const receipt: EventReceipt = session.publish(new CloudEvent({ type: "t", source: "/s" }));
  receipt.accepted.catch(() => undefined);
  await session[Symbol.asyncDispose]();
  return session.flush({ until: "delivered", deadlineMs: 100, signal: new AbortController().signal });
}
