/** The room of the events protocol: a client, and a server for the edge. */
export type { FetchLike } from "./transport.js";
export type { HeadersOption } from "./options.js";
export {
  ErrorResponseException,
  EventClient,
  FailedDependencyException,
  type EventClientOptions,
  type SendEventInit,
  type SendEventOptions,
} from "./events-protocol/client.js";
export { EventBuilder, type AnswerOptions, type RedirectPayload } from "./events-protocol/builder.js";
export { RequestEvent, ResponseEvent, type EventInit, type FlowIds, type ProtocolEvent } from "./events-protocol/event.js";
export {
  EventException,
  EventFailedDependencyException,
  EventNotFoundException,
  EventParsingException,
  EventTimeoutException,
  MissingEventInformationException,
  type EventExceptionOptions,
} from "./events-protocol/exceptions.js";
export type { EventErrorType } from "./events-protocol/names.js";
export { EventProcessor, type ProcessOptions, type ProcessorOptions } from "./events-protocol/processor.js";
export { EventRegistry, type ExceptionHandler, type HandlerContext, type Registration, type RegistryOptions } from "./events-protocol/registry.js";
export type { EventSchema, FieldError, PayloadOf, SchemaIssue, SchemaResult, StandardSchema } from "./events-protocol/schema.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "./errors.js";
