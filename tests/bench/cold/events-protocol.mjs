import { EventClient } from "eventferry/events-protocol";

new EventClient({ url: "https://example.com/events" }).close();
