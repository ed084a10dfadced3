/** The events protocol: a client, and a server for edge runtimes. */
export type { FetchLike } from "../../platform/fetch.js";
export type { HeadersOption } from "../../client/options.js";
export {
  EventsProtocolClient,
  type EventsProtocolClientOptions,
  type SendEventInit,
  type SendEventOptions,
} from "./client.js";
export { ErrorResponseException, FailedDependencyException } from "./client-errors.js";
export { EventBuilder, type ResponseOptions, type RedirectPayload } from "./builder.js";
export { RequestEvent, ResponseEvent, type ProtocolEvent } from "./event.js";
export type { EventInit, FlowIds } from "./event-init.js";
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
export { EventProcessor, type ProcessOptions } from "./processor.js";
export type { ProcessorOptions } from "./processor-options.js";
export {
  EventRegistry,
  type ExceptionHandler,
  type HandlerContext,
  type Registration,
  type RegistryOptions,
} from "./registry.js";
export type { SchemaIssue, SchemaResult, StandardSchema } from "../../client/standard-schema.js";
export type { EventSchema, FieldError, PayloadOf } from "./schema.js";
export type { EventTrace, TraceHook, TracedEvent, TracedResult } from "./trace.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../../engine/errors.js";
