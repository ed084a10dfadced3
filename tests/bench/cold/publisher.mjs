import { Publisher } from "eventferry/outbox";

new Publisher({ url: "https://example.com/events" }).close();
