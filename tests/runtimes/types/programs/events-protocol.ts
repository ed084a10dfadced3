import { EventBuilder, EventClient, EventProcessor, EventRegistry } from "eventferry/events-protocol";

const registry = new EventRegistry();
registry.register({
  name: "get:user",
  version: 1,
  handle: (event, payload) => EventBuilder.responseFor(event, { payload }),
});
export const answer: (request: Request) => Promise<Response> = new EventProcessor(registry).fetch;
export const client = new EventClient({ url: "https://example.com/" });
export const isSuccess: Promise<boolean> = client
  .sendEvent({ name: "get:user", version: 1, payload: { id: 7 } })
  .then(({ isSuccess }) => isSuccess);
