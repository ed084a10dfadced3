/** The emulator: the services that this package talks to, as one web-standard fetch handler. */
export { createEmulator, type Emulator, type EmulatorOptions } from "./emulator.js";
export type {
  BriteEventsEmulator,
  BriteEventsEmulatorOptions,
  ReceivedBriteEvent,
  RefuseRule,
} from "./brite-events.js";
export type { CloudEventsEmulator, CloudEventsEmulatorOptions } from "./cloudevents.js";
export { type DeliverOptions, type DeliveryFault, deliverWebhook } from "./deliver.js";
export type { GlassFlowEmulator, GlassFlowEmulatorOptions } from "./glassflow.js";
export type { ManagementEmulatorOptions } from "./glassflow/management.js";
export type { EmulatedPipelineSettings, EmulatedSpace } from "./glassflow/settings.js";
export type {
  EmulatedPipeline,
  EmulatedPipelineOptions,
  PublishedEvent,
  Transformation,
} from "./glassflow/pipeline.js";
export { assertEvent, eventMatchers, type ExpectedEvent, type MatcherResult } from "./event-matchers.js";
export type { EventsProtocolEmulator, EventsProtocolEmulatorOptions, ReceivedRequest } from "./events-protocol.js";
export type { AddedFault, Fault, Faults } from "./faults.js";
export type { ForwardOptions, Forwarding } from "./forward.js";
export type { Listening } from "./node.js";
export type {
  BayeuxMessage,
  EventMetadata,
  EventSelection,
  SalesforceAccount,
  SalesforceEmulator,
  SalesforceEmulatorOptions,
  SalesforceInterceptor,
  SalesforceLogin,
  SalesforceRefusal,
  SalesforceRequest,
  SalesforceSession,
  StoredEvent,
} from "./salesforce.js";
export type { Service } from "./service.js";
export type { ReceivedEvent } from "./event-store.js";
export { FerryError, isFerryError, type Culprit, type FerryErrorCode } from "../engine/errors.js";
