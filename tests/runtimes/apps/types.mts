// Compiled, not run: the types in a strict project.
import {
  batchFromRequest,
  CloudEvent,
  type EventBatch,
  FerryError,
  type FerryErrorCode,
  fromRequest,
  Publisher,
  toRequest,
  webhook,
} from "eventferry";
import { EventClient, type EventReceipt } from "eventferry/bc-events";
import type { CloudEvent as Same } from "eventferry/cloudevents";
import { init } from "eventferry/slim";
import { createEmulator } from "eventferry/testing";

interface Order {
  orderId: number;
}

const event: CloudEvent<Order> = new CloudEvent({ type: "t", source: "/s", data: { orderId: 7 }, shard: 7 });
const same: Same<Order> = event;
export const orderId: number | undefined = same.data?.orderId;
export const time: string | undefined = event.time;
export const request: Request = toRequest("https://example.com/", event, { mode: "structured" });
export const read: Promise<CloudEvent<Order>> = fromRequest<Order>(request);
export const batch: Promise<EventBatch> = batchFromRequest(request);
export const handler: (request: Request) => Promise<Response> = webhook({
  allowedOrigins: "*",
  onEvent: ({ id }) => id.length,
});
export const publisher = new Publisher({ url: "https://example.com/", retry: { attempts: 3 } });
export const status: Promise<number> = publisher.send(event).then(({ status }) => status);
export const code = (error: unknown): FerryErrorCode | undefined =>
  error instanceof FerryError ? error.code : undefined;
export const loaded: Promise<void> = init({ codecs: new URL("https://example.com/codecs.wasm") });
export const emulator = createEmulator;
const topics = {
  DefaultCategory: "shop",
  Topics: [
    {
      Action: "Created",
      Entity: "BigOrder",
      Schema: { type: "object", required: ["id"], properties: { id: { type: "string" } } },
    },
  ],
} as const;
const session = new EventClient({ serviceName: "orders", topics }).userSession("user-1");
export const receipts: EventReceipt[] = [session.createdBigOrder({ id: "1" }), session.big_order_created({ id: "1" })];

// @ts-expect-error unknown topic
session.createdNothing({ id: "1" });
// @ts-expect-error events are read-only
event.id = "2";
// @ts-expect-error type and source are required
new CloudEvent({ type: "t" });
// @ts-expect-error unknown error code
export const unknownCode: FerryErrorCode = "ERR_UNKNOWN";
