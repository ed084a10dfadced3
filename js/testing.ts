/** The emulator: the services that this package talks to, as one web-standard fetch handler. */
export { createEmulator, type Emulator, type EmulatorOptions } from "./testing/emulator.js";
export type { BriteEventsEmulator, BriteEventsEmulatorOptions, ReceivedBcEvent, Refusal } from "./testing/brite-events.js";
export type { CloudEventsEmulator, CloudEventsEmulatorOptions } from "./testing/cloudevents.js";
export type {
  EmulatedPipeline,
  EmulatedPipelineOptions,
  GlassFlowEmulator,
  GlassFlowEmulatorOptions,
  PublishedEvent,
  Transformation,
} from "./testing/glassflow.js";
export type { EventsProtocolEmulator, EventsProtocolEmulatorOptions, ReceivedRequest } from "./testing/events-protocol.js";
export type { AddedFault, Fault, Faults } from "./testing/faults.js";
export type { ForwardOptions, Forwarding } from "./testing/forward.js";
export type { Listening } from "./testing/node.js";
export type {
  BayeuxMessage, EventParticulars, Forgetting, SalesforceAccount, SalesforceEmulator, SalesforceEmulatorOptions, SalesforceInterceptor, SalesforceLogin, SalesforceRefusal, SalesforceRequest,
  SalesforceSession, StoredEvent,
} from "./testing/salesforce.js";
export type { Service } from "./testing/service.js";
export type { ReceivedEvent } from "./testing/store.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "./errors.js";
