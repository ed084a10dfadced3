/** The requests and responses of the management API, as `src/glassflow/management` has them. */

/** A name and its value. */
export interface Variable {
  name: string;
  value: string;
}

/** A connector on the wire: `config` has texts, `configuration` also references to secrets. */
export interface WireConnector {
  kind: string;
  config?: Record<string, unknown> | null;
  configuration?: Record<string, unknown> | null;
}

/** One request: the name of an operation and its parameters. */
export type Operation =
  | { listPipelines: { spaceIds: readonly string[] } }
  | { fetchPipeline: { id: string } }
  | { createPipeline: WireNewPipeline }
  | { changePipeline: { id: string; changes: WirePipelineChanges } }
  | { deletePipeline: { id: string } }
  | { listAccessTokens: { id: string } }
  | { fetchCode: { id: string } }
  | { uploadCode: { id: string; code: string; requirements: string | undefined } }
  | { changeEnvironment: { id: string; environments: readonly Variable[] } }
  | { listLogs: WireLogQuery }
  | { testPipeline: { id: string; event: string } }
  | { listSpaces: object }
  | { createSpace: { name: string } }
  | { deleteSpace: { id: string } }
  | { listSecrets: object }
  | { createSecret: { key: string; value: string } }
  | { deleteSecret: { key: string } };

export interface WireNewPipeline {
  name: string;
  spaceId: string;
  metadata: object;
  transformationFunction: string;
  requirementsTxt: string | undefined;
  sourceConnector: WireConnector | undefined;
  sinkConnector: WireConnector | undefined;
  environments: readonly Variable[] | undefined;
  state: string;
}

export interface WirePipelineChanges {
  name: string;
  state: string;
  metadata: object;
  sourceConnector: WireConnector | undefined;
  sinkConnector: WireConnector | undefined;
}

export interface WireLogQuery {
  id: string;
  pageSize: number;
  pageToken: string | undefined;
  severityCode: number;
  startTime: string | undefined;
  endTime: string | undefined;
}

/** Everything but `id` and `name` may be missing. */
export interface WirePipeline {
  id: string;
  name: string;
  spaceId?: string;
  spaceName?: string;
  metadata?: Record<string, unknown>;
  createdAt?: string;
  state?: string;
  sourceConnector?: WireConnector;
  sinkConnector?: WireConnector;
  environments?: Variable[];
  accessToken?: string;
}

export interface WireAccessTokens {
  accessTokens: { id?: string; name: string; token: string; createdAt?: string }[];
}

export interface WireArtifact {
  transformationFunction: string;
  requirementsTxt?: string;
}

export interface WireLogs {
  logs: { level?: string; severityCode?: number; timestamp?: string; payload?: Record<string, unknown> }[];
  next?: string;
}

export interface WireSpace {
  id: string;
  name: string;
  createdAt?: string;
  permission?: string;
}
