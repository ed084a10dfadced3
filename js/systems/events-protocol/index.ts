/** The room of the events protocol: a client, and a server for the edge. */
export type { FetchLike } from "../../platform/fetch.js";
export type { HeadersOption } from "../../client/options.js";
export {
  ErrorResponseException,
  EventClient as EventsProtocolClient,
  FailedDependencyException,
  type EventClientOptions as EventsProtocolClientOptions,
  type SendEventInit,
  type SendEventOptions,
} from "./client.js";
export { EventBuilder, type AnswerOptions, type RedirectPayload } from "./builder.js";
export { RequestEvent, ResponseEvent, type EventInit, type FlowIds, type ProtocolEvent } from "./event.js";
export {
  EventException,
  EventFailedDependencyException,
  EventNotFoundException,
  EventParsingException,
  EventTimeoutException,
  MissingEventInformationException,
  type EventExceptionOptions,
} from "./exceptions.js";
export type { EventErrorType } from "./names.js";
export { EventProcessor, type ProcessOptions, type ProcessorOptions } from "./processor.js";
export {
  EventRegistry,
  type ExceptionHandler,
  type HandlerContext,
  type Registration,
  type RegistryOptions,
} from "./registry.js";
export type { EventSchema, FieldError, PayloadOf, SchemaIssue, SchemaResult, StandardSchema } from "./schema.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../../engine/errors.js";
