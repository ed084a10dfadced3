import { EventClient } from "../../../dist/entries/events-protocol.js";

new EventClient({ url: "https://example.com/events" }).close();
