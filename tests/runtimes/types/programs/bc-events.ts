import { EventClient, type EventReceipt } from "eventferry/bc-events";

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
const session = new EventClient({ apiUrl: "https://example.com/", serviceName: "orders", topics }).userSession(
  "u",
  "j",
);
export const receipts: EventReceipt[] = [session.createdBigOrder({ id: "1" }), session.big_order_created({ id: "1" })];
export const done: Promise<void> = session[Symbol.asyncDispose]();

// @ts-expect-error unknown topic
session.createdNothing({ id: "1" });
