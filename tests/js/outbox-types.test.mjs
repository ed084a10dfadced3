// The TypeScript types of sessions and the outbox, from both entry points.
import assert from "node:assert/strict";
import { test } from "node:test";
import { problemsOf } from "./typescript.mjs";

const code = (entry) => `
import {
  CloudEvent, Publisher, Outbox, EventSession, FerryError, memoryStore, indexedDbStore, localStorageStore, durableObjectStore, denoKvStore, fileStore,
  type Change, type DeadEvent, type DeadLetter, type DeadLetters, type DeliveryInfo, type DrainReport, type Durability, type EventReceipt, type FlushOptions, type FlushReport,
  type KeepAliveOptions, type OutboxEvents, type OutboxOptions, type OutboxStats, type OutboxStore, type PeekLimit, type PublisherOptions, type Segment,
  type StoreCounts, type StoreTraits, type WaitOptions,
} from "${entry}";

class MyStore implements OutboxStore {
  readonly kind = "mine";
  readonly #inner = memoryStore();
  open(name: string): Promise<StoreTraits> { return this.#inner.open(name); }
  write(change: Change): Promise<void> { return this.#inner.write(change); }
  peek(limit: PeekLimit): Promise<Segment[]> { return this.#inner.peek(limit); }
  dead(limit: number): Promise<DeadLetter[]> { return this.#inner.dead(limit); }
  count(): Promise<StoreCounts> { return this.#inner.count(); }
  close(): Promise<void> { return this.#inner.close(); }
}
const outboxOptions: OutboxOptions = { store: new MyStore(), overflow: "drop-oldest", batch: { maxEvents: 10 }, retry: { baseMs: 1 }, unload: "hold" };
const options: PublisherOptions = { url: "https://example.com/", outbox: outboxOptions };
export const publisher = new Publisher(options);
export async function use(signal: AbortSignal): Promise<string[]> {
  const session: EventSession<CloudEvent> = publisher.session();
  const receipt: EventReceipt = session.publish(new CloudEvent({ type: "t", source: "/s" }));
  const flush: FlushOptions = { until: "delivered", signal, deadlineMs: 5 };
  const report: FlushReport = await session.flush(flush);
  const dead: DeadEvent[] = report.dead;
  const info: DeliveryInfo = await receipt.delivered;
  const nothing: void = await receipt.accepted;
  const outbox: Outbox<CloudEvent> = publisher.outbox;
  outbox.addEventListener("delivered", ({ detail: { ids, status } }) => console.log(ids.length, status.toFixed()));
  outbox.addEventListener("degraded", (event: OutboxEvents["degraded"]) => console.log(event.detail.error.code));
  // @ts-expect-error there is no such detail
  outbox.addEventListener("dead", ({ detail }) => detail.ids);
  const stats: OutboxStats = outbox.stats();
  const durability: Durability | undefined = stats.durability;
  const wait: WaitOptions = { deadlineMs: 5 };
  const drained: DrainReport = await outbox.drain(wait);
  const seven: number = await outbox.run(async (session) => (session.publish(new CloudEvent({ type: "t", source: "/s" })), 7));
  const keep: KeepAliveOptions = { budgetMs: 5, maxRequests: 5 };
  outbox.keepAlive((promise: Promise<unknown>) => void promise, keep);
  const letters: DeadLetters = outbox.dead;
  await letters.replay((await letters.list(5)).map(({ id }) => id));
  console.log(dead, info.ids, nothing, durability, drained.pending, seven, indexedDbStore, localStorageStore, durableObjectStore, denoKvStore, fileStore, FerryError);
  // @ts-expect-error a session has events
  session.publish("event");
  // @ts-expect-error there are two goals
  await session.flush({ until: "stored" });
  return session.rollback();
}
export async function disposing(): Promise<void> {
  await using session = publisher.session();
  session.publish(new CloudEvent({ type: "t", source: "/s" }));
}
`;

test("types of sessions, receipts, options and stores are exported from both entry points", () => {
  assert.deepEqual(problemsOf(["eventferry", "eventferry/outbox"].map(code)), []);
});
