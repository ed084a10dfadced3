/** Everything. */
export * from "../systems/cloudevents/index.js";
export type { HeadersOption } from "../client/options.js";
export { Publisher, type PublisherOptions, type SendOptions } from "../systems/cloudevents/publisher.js";
export type { FetchLike } from "../platform/fetch.js";
export * from "../outbox/index.js";
export * from "../systems/bayeux/index.js";
export * from "../systems/salesforce/index.js";
export * from "../systems/glassflow/index.js";
export {
  ErrorResponseException,
  EventBuilder,
  EventsProtocolClient,
  EventException,
  EventFailedDependencyException,
  EventNotFoundException,
  EventParsingException,
  EventProcessor,
  EventRegistry,
  EventTimeoutException,
  FailedDependencyException,
  MissingEventInformationException,
  RequestEvent,
  ResponseEvent,
  type ResponseOptions,
  type EventsProtocolClientOptions,
  type EventErrorType,
  type EventExceptionOptions,
  type EventInit,
  type EventSchema,
  type ExceptionHandler,
  type FieldError,
  type FlowIds,
  type HandlerContext,
  type PayloadOf,
  type ProcessOptions,
  type ProcessorOptions,
  type ProtocolEvent,
  type RedirectPayload,
  type Registration,
  type RegistryOptions,
  type SchemaIssue,
  type SchemaResult,
  type SendEventInit,
  type SendEventOptions,
  type StandardSchema,
} from "../systems/events-protocol/index.js";
