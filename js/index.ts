/** Everything. */
export * from "./cloudevents.js";
export type { HeadersOption } from "./options.js";
export { Publisher, type PublisherOptions, type SendOptions } from "./cloudevents/publisher.js";
export type { FetchLike } from "./transport.js";
export * from "./outbox.js";
export * from "./bayeux.js";
export * from "./salesforce.js";
export * from "./glassflow.js";
// `EventClient` is also what the client of another system is called.
export {
  ErrorResponseException,
  EventBuilder,
  EventClient as EventsProtocolClient,
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
  type AnswerOptions,
  type EventClientOptions as EventsProtocolClientOptions,
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
} from "./events-protocol.js";
