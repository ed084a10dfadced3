/** Everything. */
export * from "./cloudevents.js";
export type { HeadersOption } from "./options.js";
export { Publisher, type PublisherOptions, type SendOptions } from "./cloudevents/publisher.js";
export type { FetchLike } from "./transport.js";
export * from "./outbox.js";
export * from "./bayeux.js";
export * from "./salesforce.js";
