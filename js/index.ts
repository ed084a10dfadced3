/** Everything. */
export * from "./cloudevents.js";
export { Publisher, type HeadersOption, type PublisherOptions, type SendOptions } from "./cloudevents/publisher.js";
export type { FetchLike } from "./transport.js";
export * from "./outbox.js";
