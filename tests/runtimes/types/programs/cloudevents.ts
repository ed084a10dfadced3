import {
  CloudEvent,
  EventBatch,
  fromHttp,
  fromMessage,
  fromRequest,
  type FerryErrorCode,
  isFerryError,
  type KafkaMessage,
  toBinary,
  toMessage,
  toRequest,
  webhook,
} from "eventferry/cloudevents";

interface Order {
  orderId: number;
}

export const event: CloudEvent<Order> = new CloudEvent({ type: "t", source: "/s", data: { orderId: 7 } });
export const handler: (request: Request, env?: unknown, context?: unknown) => Promise<Response> = webhook<Order>({
  allowedOrigins: "*",
  onEvent: (received) => {
    const orderId: number | undefined = received.data?.orderId;
    console.log(orderId);
  },
});
export const inferred = webhook({
  allowedOrigins: "*",
  onEvent: (received: CloudEvent<Order>) => void received.data?.orderId,
});
export const read: CloudEvent<Order> = fromMessage<Order>({ value: "{}", headers: {} }, "kafka");
export const sent: KafkaMessage = toMessage(event, "kafka");
export const http: CloudEvent = fromHttp(toBinary(event).headers, toBinary(event).body);
export const request: Request = toRequest("https://example.com/", event);
export const fromAnother: Promise<CloudEvent<Order>> = fromRequest<Order>(request);
export const bytes: Uint8Array | undefined = event.dataBytes;
export const batch: Uint8Array = EventBatch.of([event]).toBytes("ndjson");
export const codeOf = (error: unknown): FerryErrorCode | undefined => (isFerryError(error) ? error.code : undefined);

// @ts-expect-error events are read-only
event.id = "2";
// @ts-expect-error type and source are required
export const incomplete = new CloudEvent({ type: "t" });
