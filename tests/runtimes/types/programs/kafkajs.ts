import { CloudEvent, fromMessage, toMessage } from "eventferry/cloudevents";
import type { EachMessagePayload, Message, Producer } from "kafkajs";

const event = new CloudEvent({ type: "t", source: "/s" });
export const message: Message = toMessage(event, "kafka");
export const send = (producer: Producer) => producer.send({ topic: "orders", messages: [toMessage(event, "kafka")] });
export const read = ({ message }: EachMessagePayload): CloudEvent => fromMessage(message, "kafka");
