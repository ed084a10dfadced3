import { Publisher } from "../../../dist/entries/outbox.js";

new Publisher({ url: "https://example.com/events" }).close();
