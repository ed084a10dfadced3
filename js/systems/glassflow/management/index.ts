/** The management of GlassFlow: pipelines, spaces and secrets. For servers only. */
export { AccessToken } from "./access-token.js";
export type { EnvironmentOption } from "./checks.js";
export {
  GlassFlowClient,
  type ListPipelinesOptions,
  type PipelineList,
  type SecretList,
  type SpaceList,
} from "./client.js";
export type { ManagementCallOptions, ManagementOptions } from "./connection.js";
export type {
  ConnectorDescription,
  ConnectorHeader,
  ConnectorValue,
  SecretReference,
  SinkConnector,
  SourceConnector,
} from "./connectors.js";
export type { LogEntry, LogOptions } from "./logs.js";
export {
  type GetSinkOptions,
  type GetSourceOptions,
  type ManagedPipelineOptions,
  Pipeline,
} from "./pipeline.js";
export type { PipelineSettings, PipelineState, PipelineUpdate } from "./pipeline-settings.js";
export { Secret, type SecretOptions } from "./secret.js";
export { Space, type SpaceOptions } from "./space.js";
