/**
 * A pipeline as an object of the management API. Changes follow the original request by request:
 *
 * ```text
 *   fetch   GET pipeline -> GET access_tokens -> GET functions/main/artifacts/latest
 *   update  fetch -> POST functions/main/artifacts -> PATCH functions/main -> PATCH pipeline
 *           (the second for new code, the third for a new environment)
 * ```
 */
import { checkOptionNames } from "../../../client/options.js";
import { FerryError } from "../../../engine/errors.js";
import { TextEncoder } from "../../../platform/text.js";
import { eventToJson } from "../json.js";
import { type PipelineEvent, readEvent } from "../event.js";
import { PipelineDataSink, type PipelineDataSinkOptions } from "../sink.js";
import { PipelineDataSource, type PipelineDataSourceOptions } from "../source.js";
import { AccessToken } from "./access-token.js";
import { quoted, requiredId, requiredText, variablesOf } from "./checks.js";
import { type ManagementCallOptions, ManagementConnection, type ManagementOptions } from "./connection.js";
import { type ConnectorDescription, connectorFromWire, connectorToWire, secretsOf } from "./connectors.js";
import { checkedLogQuery, type LogEntry, type LogOptions, readLogs } from "./logs.js";
import type { WireArtifact, WireConnector, WirePipeline } from "./operations.js";
import { PipelineCalls } from "./pipeline-calls.js";
import {
  CHANGEABLE,
  checkSettings,
  PIPELINE_SETTINGS,
  type PipelineSettings,
  type PipelineUpdate,
  pickSettings,
  secretsOfSettings,
} from "./pipeline-settings.js";
import { showAsJson } from "./shown.js";

/** Options of a `Pipeline`. */
export interface ManagedPipelineOptions extends ManagementOptions, Partial<PipelineSettings> {
  /** Id of an existing pipeline. */
  id?: string;
}

/** Options of `getSource`: those of a source that do not follow from the pipeline. */
export type GetSourceOptions = Omit<PipelineDataSourceOptions, "pipelineId" | "pipelineAccessToken" | "baseUrl">;
/** Options of `getSink`: those of a sink that do not follow from the pipeline. */
export type GetSinkOptions = Omit<PipelineDataSinkOptions, "pipelineId" | "pipelineAccessToken" | "baseUrl">;

/**
 * A GlassFlow pipeline. `GlassFlowClient` creates, fetches and lists them. For servers only.
 *
 * @example
 * const pipeline = await new GlassFlowClient({ personalAccessToken: "…" }).getPipeline("…");
 * const source = await pipeline.getSource();
 */
export class Pipeline {
  readonly #calls: PipelineCalls;
  #settings: Partial<PipelineSettings>;
  #fields: Partial<WirePipeline>;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` if an option is missing, unknown or invalid */
  constructor(options: ManagedPipelineOptions);
  /** @internal */
  constructor(options: Partial<ManagedPipelineOptions>, connection: ManagementConnection, fields?: WirePipeline);
  constructor(options: Partial<ManagedPipelineOptions>, connection?: ManagementConnection, fields?: WirePipeline) {
    this.#calls = new PipelineCalls(
      connection ?? new ManagementConnection("a Pipeline", options as ManagementOptions, ["id", ...PIPELINE_SETTINGS]),
    );
    this.#settings = pickSettings(options);
    checkSettings(this.#settings);
    const { id } = options;
    this.#fields = fields ?? (id === undefined ? {} : { id: requiredId("id", id) });
  }

  /** Id of the pipeline; `undefined` before `create`. */
  get id(): string | undefined {
    return this.#fields.id;
  }

  /** Name of the pipeline. */
  get name(): string | undefined {
    return this.#fields.name ?? this.#settings.name;
  }

  /** Id of the space of the pipeline. */
  get spaceId(): string | undefined {
    return this.#fields.spaceId ?? this.#settings.spaceId;
  }

  /** Name of the space of the pipeline; known after `fetch`. */
  get spaceName(): string | undefined {
    return this.#fields.spaceName;
  }

  /** Whether the pipeline transforms events. */
  get state(): string {
    return this.#fields.state ?? this.#settings.state ?? "running";
  }

  /** When the pipeline was created, in RFC 3339. */
  get createdAt(): string | undefined {
    return this.#fields.createdAt;
  }

  /** The metadata of the pipeline. */
  get metadata(): Readonly<Record<string, unknown>> {
    return this.#fields.metadata ?? this.#settings.metadata ?? {};
  }

  /** The environment variables of the transformation. */
  get env(): Readonly<Record<string, string>> {
    const variables = this.#fields.environments ?? variablesOf(this.#settings.env ?? {});
    return Object.fromEntries(variables.map(({ name, value }) => [name, value]));
  }

  /** Where its events come from; `undefined` if a `PipelineDataSource` publishes them. It may have secrets. */
  get source(): ConnectorDescription | undefined {
    return describe(this.#fields.sourceConnector) ?? this.#settings.source;
  }

  /** Where its events go to; `undefined` if a `PipelineDataSink` consumes them. It may have secrets. */
  get sink(): ConnectorDescription | undefined {
    return describe(this.#fields.sinkConnector) ?? this.#settings.sink;
  }

  /** The source text of the transformation; known after `fetch`. */
  get transformation(): string | undefined {
    return this.#settings.transformation;
  }

  /** The `requirements.txt` of the transformation; known after `fetch`. */
  get requirements(): string | undefined {
    return this.#settings.requirements;
  }

  /** The access tokens of the pipeline; known after `fetch`, `create`, `getSource` or `getSink`. */
  get accessTokens(): readonly AccessToken[] {
    return this.#calls.accessTokens;
  }

  /**
   * Reads the pipeline, its access tokens and its code, with three requests. Resolves with the pipeline.
   *
   * @throws {FerryError} `ERR_NOT_FOUND`; `ERR_NOT_READY` with `status` 425 while its code is built; the errors of
   * `GlassFlowClient`
   */
  async fetch(options: ManagementCallOptions = {}): Promise<this> {
    const id = requiredId("id", this.id);
    const calls = this.#calls;
    const fields = await calls.run<WirePipeline>("fetch", id, { fetchPipeline: { id } }, options);
    await calls.fetchAccessTokens(id, options);
    const code = await calls.run<WireArtifact>("fetch the code of", id, { fetchCode: { id } }, options);
    this.#take(fields);
    this.#settings.transformation = code.transformationFunction;
    if (code.requirementsTxt !== undefined) this.#settings.requirements = code.requirementsTxt;
    return this;
  }

  /**
   * Creates the pipeline. Resolves with the pipeline.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` without `name`, `spaceId` or `transformation`; the errors of
   * `GlassFlowClient`
   */
  async create(options: ManagementCallOptions = {}): Promise<this> {
    const { requirements, source, sink, env, metadata = {}, state = "running" } = this.#settings;
    const name = requiredText("name", this.#settings.name);
    const newPipeline = {
      name,
      spaceId: requiredText("spaceId", this.#settings.spaceId),
      metadata,
      transformationFunction: requiredText("transformation", this.#settings.transformation),
      requirementsTxt: requirements,
      sourceConnector: source && connectorToWire("source", source),
      sinkConnector: sink && connectorToWire("sink", sink),
      environments: env && variablesOf(env),
      state,
    };
    const fields = await this.#calls.connection.run<WirePipeline>(
      { what: `create pipeline ${quoted(name)}`, sentences: NEW_SENTENCES, secrets: secretsOfSettings(this.#settings) },
      { createPipeline: newPipeline },
      options,
    );
    const { accessToken: token, ...described } = fields;
    this.#fields = described;
    const { createdAt } = described;
    if (token !== undefined)
      this.#calls.accessTokens = [
        new AccessToken({ id: "default", name: "default", token, ...(createdAt !== undefined && { createdAt }) }),
      ];
    return this;
  }

  /**
   * Fetches the pipeline and changes what `changes` has. Resolves with the pipeline. It takes several requests: if one
   * fails, those before it stay in effect, and `update` may be repeated.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_NOT_FOUND`; `ERR_NOT_READY` with `status` 425 while earlier code is
   * built; the errors of `GlassFlowClient`
   */
  async update(changes: PipelineUpdate, options: ManagementCallOptions = {}): Promise<this> {
    checkOptionNames("update", changes, CHANGEABLE);
    const id = requiredId("id", this.id);
    checkSettings(changes);
    const { transformation, requirements, source, sink, env } = changes;
    const sourceConnector = source && connectorToWire("source", source);
    const sinkConnector = sink && connectorToWire("sink", sink);
    const environments = env && variablesOf(env);
    await this.fetch(options);
    if (transformation !== undefined || requirements !== undefined) {
      const code = transformation ?? this.#settings.transformation ?? "";
      const allRequirements = requirements ?? this.#settings.requirements;
      const operation = { uploadCode: { id, code, requirements: allRequirements } };
      await this.#calls.run("upload the code of", id, operation, options);
      this.#settings.transformation = code;
      if (allRequirements !== undefined) this.#settings.requirements = allRequirements;
    }
    const secrets = [
      ...(environments ?? []).map(({ value }) => value),
      ...secretsOf(sourceConnector),
      ...secretsOf(sinkConnector),
    ];
    if (environments) {
      const operation = { changeEnvironment: { id, environments } };
      await this.#calls.run("change the environment of", id, operation, options, secrets);
    }
    const { name = this.name ?? "", state = this.state, metadata = this.metadata } = changes;
    const operation = { changePipeline: { id, changes: { name, state, metadata, sourceConnector, sinkConnector } } };
    this.#take(await this.#calls.run<WirePipeline>("change", id, operation, options, secrets));
    return this;
  }

  /**
   * Deletes the pipeline and its events.
   *
   * @throws {FerryError} `ERR_NOT_FOUND`; the errors of `GlassFlowClient`
   */
  async delete(options: ManagementCallOptions = {}): Promise<void> {
    const id = requiredId("id", this.id);
    await this.#calls.run("delete", id, { deletePipeline: { id } }, options);
  }

  /**
   * The log of the transformation, which the iteration reads page by page. What it throws is an error of
   * `GlassFlowClient`, or `ERR_NOT_FOUND`.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  logs(options: LogOptions = {}): AsyncIterable<LogEntry> {
    const query = checkedLogQuery(requiredId("id", this.id), options);
    const { signal, timeoutMs } = options;
    const callOptions = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
    return { [Symbol.asyncIterator]: () => readLogs(this.#calls.connection, query, callOptions) };
  }

  /**
   * Runs the transformation with one event, which does not enter the pipeline. If the transformation fails, the result
   * has `isFailed`, `errorDetails` and `stackTrace`.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`, `ERR_NOT_FOUND`; `ERR_NOT_READY` with `status` 425 while its code is
   * built; the errors of `GlassFlowClient`
   */
  async test<P = unknown, R = unknown>(event: P, options: ManagementCallOptions = {}): Promise<PipelineEvent<P, R>> {
    const id = requiredId("id", this.id);
    const operation = { testPipeline: { id, event: eventToJson(event) } };
    const body = new TextEncoder().encode(await this.#calls.run<string>("test", id, operation, options));
    const pipeline = { uri: `${this.#calls.connection.baseUrl}/pipelines/${encodeURIComponent(id)}` };
    const result = readEvent(pipeline, false, body);
    if (!result) throw new FerryError("ERR_INVALID_DATA", `test pipeline ${quoted(id)}: the response is not an event`);
    const isFailed = result.errorDetails !== undefined;
    return (isFailed ? readEvent(pipeline, true, body)! : result) as PipelineEvent<P, R>;
  }

  /**
   * A source that publishes to the pipeline. The access tokens are fetched once, on first use.
   *
   * @param tokenName name of the access token to use; the first one by default
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an unknown name; `ERR_NOT_FOUND` if the pipeline has no access token,
   * or does not exist; the errors of `GlassFlowClient`
   */
  async getSource(tokenName?: string, options: GetSourceOptions = {}): Promise<PipelineDataSource> {
    return new PipelineDataSource({
      ...this.#calls.connection.clientOptions,
      ...(await this.#calls.credentials(requiredId("id", this.id), tokenName)),
      ...options,
    });
  }

  /**
   * A sink that consumes from the pipeline, as `getSource`.
   *
   * @param tokenName name of the access token to use; the first one by default
   * @throws {FerryError} as `getSource`
   */
  async getSink(tokenName?: string, options: GetSinkOptions = {}): Promise<PipelineDataSink> {
    return new PipelineDataSink({
      ...this.#calls.connection.clientOptions,
      ...(await this.#calls.credentials(requiredId("id", this.id), tokenName)),
      ...options,
    });
  }

  /** The fields that have no secrets, as a plain object. */
  toJSON(): object {
    const { id, name, spaceId, spaceName, state, createdAt } = this;
    return { id, name, spaceId, spaceName, state, createdAt };
  }

  #take(fields: WirePipeline): void {
    this.#fields = fields;
    const { transformation, requirements } = this.#settings;
    // What the service has said counts from now on.
    this.#settings = {
      ...(transformation !== undefined && { transformation }),
      ...(requirements !== undefined && { requirements }),
    };
  }
}

showAsJson(Pipeline);

const NEW_SENTENCES = { ERR_NOT_FOUND: "there is no such space" };

function describe(connector: WireConnector | undefined): ConnectorDescription | undefined {
  return connector && connectorFromWire(connector);
}
