/** The pipelines of the emulated management API, without their code. */
import { type Answer, jsonOf, ok, type Route } from "./management-http.js";
import type { PipelineCode } from "./management-code.js";
import { listLogs } from "./management-logs.js";
import type { EmulatedPipeline, EmulatedPipelineOptions } from "./pipeline.js";
import {
  checkedConnector,
  checkedVariables,
  type EmulatedPipelineSettings,
  type EmulatedSpace,
  Refusal,
} from "./settings.js";

/** What the management API does with the pipelines of the emulator. */
export interface Pipelines {
  all(): Iterable<EmulatedPipeline>;
  get(id: string): EmulatedPipeline | undefined;
  create(options: EmulatedPipelineOptions): EmulatedPipeline;
  delete(id: string): void;
}

export interface ManagedPipelinesOptions {
  pipelines: Pipelines;
  code: PipelineCode;
  spaces: ReadonlyMap<string, EmulatedSpace>;
  secrets: ReadonlyMap<string, string>;
}

export class ManagedPipelines {
  readonly routes: readonly Route[] = [
    {
      pattern: /^\/pipelines$/,
      methods: { GET: (_, __, query) => this.#list(query), POST: (_, request) => this.#create(request) },
    },
    {
      pattern: /^\/pipelines\/([^/]+)$/,
      methods: {
        GET: (id) => ok(this.#details(this.#find(id))),
        PATCH: (id, request) => this.#change(id, request),
        DELETE: (id) => this.#delete(id),
      },
    },
    { pattern: /^\/pipelines\/([^/]+)\/access_tokens$/, methods: { GET: (id) => this.#listAccessTokens(id) } },
    {
      pattern: /^\/pipelines\/([^/]+)\/functions\/main$/,
      methods: { PATCH: (id, request) => this.#changeEnvironment(id, request) },
    },
    {
      pattern: /^\/pipelines\/([^/]+)\/functions\/main\/logs$/,
      methods: { GET: (id, _, query) => listLogs(this.#find(id), query) },
    },
  ];
  readonly #options: ManagedPipelinesOptions;

  constructor(options: ManagedPipelinesOptions) {
    this.#options = options;
  }

  #list(query: URLSearchParams): Answer {
    const ids = query.getAll("space_id");
    const pipelines = [...this.#options.pipelines.all()]
      .filter(({ settings }) => ids.length === 0 || ids.includes(settings.spaceId))
      .map((pipeline) => this.#summary(pipeline));
    return ok({ total_amount: pipelines.length, pipelines });
  }

  async #create(request: Request): Promise<Answer> {
    const given = await jsonOf(request);
    const { name, space_id: spaceId, transformation_function: transformation } = given;
    const { pipelines, code, spaces } = this.#options;
    if (typeof name !== "string" || name === "") throw new Refusal(400, "name is required");
    if (typeof transformation !== "string") throw new Refusal(400, "transformation_function is required");
    if (typeof spaceId !== "string" || !spaces.has(spaceId)) throw new Refusal(404, "space not found");
    const { metadata = {}, requirements_txt: requirements, state = "running" } = given;
    const settings: Partial<EmulatedPipelineSettings> = {
      ...{ name, spaceId, transformation, metadata },
      requirements: typeof requirements === "string" ? requirements : "",
      source: this.#connector("source", given["source_connector"]),
      sink: this.#connector("sink", given["sink_connector"]),
      env: checkedVariables(given["environments"]),
    };
    const pipeline = pipelines.create({ settings });
    setState(pipeline, state);
    code.build(pipeline);
    const { space_name: _, ...summary } = this.#summary(pipeline);
    return { status: 201, body: { ...summary, access_token: pipeline.accessToken } };
  }

  /** Changes what the body has; `null` leaves a member as it is, since the original sends it for what it does not know. */
  async #change(id: string, request: Request): Promise<Answer> {
    const pipeline = this.#find(id);
    const given = await jsonOf(request);
    const { name, metadata, state } = given;
    const source = this.#connector("source", given["source_connector"]);
    const sink = this.#connector("sink", given["sink_connector"]);
    const { settings } = pipeline;
    if (typeof name === "string" && name !== "") settings.name = name;
    if (metadata !== null && metadata !== undefined) settings.metadata = metadata;
    if (source !== null) settings.source = source;
    if (sink !== null) settings.sink = sink;
    if (state !== null && state !== undefined) setState(pipeline, state);
    return ok(this.#details(pipeline));
  }

  #delete(id: string): Answer {
    this.#options.pipelines.delete(this.#find(id).id);
    return { status: 204 };
  }

  #listAccessTokens(id: string): Answer {
    const { accessTokens, createdAt } = this.#find(id);
    const list = accessTokens.map((token, at) => ({
      id: `token-${at + 1}`,
      name: at === 0 ? "default" : `token-${at + 1}`,
      token,
      created_at: createdAt,
    }));
    return ok({ total_amount: list.length, access_tokens: list });
  }

  async #changeEnvironment(id: string, request: Request): Promise<Answer> {
    const { settings } = this.#find(id);
    settings.env = checkedVariables((await jsonOf(request))["environments"]);
    return ok({ environments: settings.env });
  }

  #find(id: string): EmulatedPipeline {
    return findPipeline(this.#options.pipelines, id);
  }

  #connector(role: "source" | "sink", given: unknown): unknown {
    return checkedConnector(role, given, (key) => this.#options.secrets.has(key));
  }

  #summary({ id, settings, createdAt, isPaused }: EmulatedPipeline) {
    const { name, spaceId, metadata } = settings;
    const space = this.#options.spaces.get(spaceId);
    const state = isPaused ? "paused" : "running";
    return { id, name, space_id: spaceId, space_name: space?.name ?? "", metadata, created_at: createdAt, state };
  }

  #details(pipeline: EmulatedPipeline) {
    const { source, sink, env } = pipeline.settings;
    return { ...this.#summary(pipeline), source_connector: source, sink_connector: sink, environments: env };
  }
}

/** The pipeline with this id. @throws {Refusal} 404 */
export function findPipeline(pipelines: Pipelines, id: string): EmulatedPipeline {
  const pipeline = pipelines.get(id);
  if (!pipeline) throw new Refusal(404, "pipeline not found");
  return pipeline;
}

function setState(pipeline: EmulatedPipeline, state: unknown): void {
  if (state !== "running" && state !== "paused") throw new Refusal(400, "state must be running or paused");
  if (state === "paused") pipeline.pause();
  else pipeline.resume();
}
