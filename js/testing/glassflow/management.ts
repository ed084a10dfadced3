/**
 * The management API of the emulated GlassFlow service. It stores what it is told: connectors are not run, and the source
 * text of a transformation only with the option `compile`.
 *
 * ```text
 *   /glassflow/v1/pipelines                                          GET, POST
 *   /glassflow/v1/pipelines/<id>                                     GET, PATCH, DELETE
 *   /glassflow/v1/pipelines/<id>/access_tokens                       GET
 *   /glassflow/v1/pipelines/<id>/functions/main                      PATCH
 *   /glassflow/v1/pipelines/<id>/functions/main/artifacts            POST, 425 while earlier code is built
 *   /glassflow/v1/pipelines/<id>/functions/main/artifacts/latest     GET, 425 while it is built
 *   /glassflow/v1/pipelines/<id>/functions/main/logs                 GET
 *   /glassflow/v1/pipelines/<id>/functions/main/test                 POST, 425 while it is built
 *   /glassflow/v1/spaces, /glassflow/v1/secrets                      GET, POST
 *   /glassflow/v1/spaces/<id>                                        DELETE, 409 unless it is empty
 *   /glassflow/v1/secrets/<key>                                      DELETE
 *
 *   401 wrong token, 404 unknown pipeline, space or secret, 400 bad body, 405 wrong method
 * ```
 */
import { monotonicNow } from "../../platform/clock.js";
import { readBody } from "../../systems/cloudevents/body.js";
import { integer } from "../service.js";
import type { EmulatedPipeline, EmulatedPipelineOptions, Transformation } from "./pipeline.js";
import {
  checkedConnector,
  checkedVariables,
  type EmulatedPipelineSettings,
  type EmulatedSpace,
  newSpace,
  Refusal,
} from "./settings.js";

/** Options of the management API of the emulator. */
export interface ManagementEmulatorOptions {
  /** The valid personal access tokens. @default one fresh UUID */
  personalAccessTokens?: readonly string[];
  /** How long new code is built after an upload, in milliseconds: 425 until then. @default 0 */
  buildMs?: number;
  /** Makes a transformation from the source text of one, which is Python. @default returns events unchanged */
  compile?: (code: string, requirements: string) => Transformation;
}

/** What the management API does with pipelines. */
interface Pipelines {
  all(): Iterable<EmulatedPipeline>;
  get(id: string): EmulatedPipeline | undefined;
  create(options: EmulatedPipelineOptions): EmulatedPipeline;
  delete(id: string): void;
}

const MAX_BODY_BYTES = 16 * 1024 * 1024;
const SEVERITY = { info: 200, error: 500 };

export class EmulatedManagement {
  readonly tokens: string[];
  readonly spaces: Map<string, EmulatedSpace> = new Map();
  readonly secrets: Map<string, string> = new Map();
  readonly #pipelines: Pipelines;
  readonly #buildMs: number;
  readonly #compile: ManagementEmulatorOptions["compile"];
  readonly #builtAt = new WeakMap<EmulatedPipeline, number>();

  constructor({ personalAccessTokens, buildMs, compile }: ManagementEmulatorOptions, pipelines: Pipelines) {
    this.tokens = [...(personalAccessTokens ?? [crypto.randomUUID()])];
    this.#buildMs = integer("buildMs", buildMs, 0, 0);
    this.#compile = compile;
    this.#pipelines = pipelines;
  }

  /** The space of a pipeline that a test has created without one. */
  get defaultSpace(): EmulatedSpace {
    for (const space of this.spaces.values()) if (space.name === "default") return space;
    return this.#addSpace("default");
  }

  /** Answers a request. `path` begins after `/glassflow/v1`, and `undefined` means that it is none of this API. */
  async handle(request: Request, path: string, query: URLSearchParams): Promise<Response | undefined> {
    const route = ROUTES.find(({ pattern }) => pattern.test(path));
    if (!route) return undefined;
    try {
      const token = request.headers.get("personal-access-token");
      if (token === null || !this.tokens.includes(token)) throw new Refusal(401, "unauthorized");
      const action = route.methods[request.method];
      const allow = Object.keys(route.methods).join(", ");
      if (!action) return json(405, { detail: `method not allowed; use ${allow}` }, { allow });
      const [, subject = ""] = route.pattern.exec(path)!;
      const { status, body } = await action(this, decoded(subject), request, query);
      return body === undefined ? new Response(null, { status }) : json(status, body);
    } catch (error) {
      if (error instanceof Refusal) return json(error.status, { detail: error.detail });
      throw error;
    }
  }

  listPipelines(query: URLSearchParams): Answer {
    const ids = query.getAll("space_id");
    const pipelines = [...this.#pipelines.all()]
      .filter(({ settings }) => ids.length === 0 || ids.includes(settings.spaceId))
      .map((pipeline) => this.#summary(pipeline));
    return ok({ total_amount: pipelines.length, pipelines });
  }

  async createPipeline(request: Request): Promise<Answer> {
    const given = await jsonOf(request);
    const { name, space_id: spaceId, transformation_function: transformation } = given;
    if (typeof name !== "string" || name === "") throw new Refusal(400, "name is required");
    if (typeof transformation !== "string") throw new Refusal(400, "transformation_function is required");
    if (typeof spaceId !== "string" || !this.spaces.has(spaceId)) throw new Refusal(404, "space not found");
    const { metadata = {}, requirements_txt: requirements, state = "running" } = given;
    const settings: Partial<EmulatedPipelineSettings> = {
      ...{ name, spaceId, transformation, metadata },
      requirements: typeof requirements === "string" ? requirements : "",
      source: this.#connector("source", given["source_connector"]),
      sink: this.#connector("sink", given["sink_connector"]),
      env: checkedVariables(given["environments"]),
    };
    const pipeline = this.#pipelines.create({ settings });
    setState(pipeline, state);
    this.#build(pipeline);
    const { space_name: _, ...summary } = this.#summary(pipeline);
    return { status: 201, body: { ...summary, access_token: pipeline.accessToken } };
  }

  fetchPipeline(id: string): Answer {
    return ok(this.#details(this.#pipeline(id)));
  }

  /** Changes what the body has; `null` leaves a member as it is, since the original sends it for what it does not know. */
  async changePipeline(id: string, request: Request): Promise<Answer> {
    const pipeline = this.#pipeline(id);
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

  deletePipeline(id: string): Answer {
    this.#pipelines.delete(this.#pipeline(id).id);
    return { status: 204 };
  }

  listAccessTokens(id: string): Answer {
    const { accessTokens, createdAt } = this.#pipeline(id);
    const list = accessTokens.map((token, at) => ({
      id: `token-${at + 1}`,
      name: at === 0 ? "default" : `token-${at + 1}`,
      token,
      created_at: createdAt,
    }));
    return ok({ total_amount: list.length, access_tokens: list });
  }

  fetchCode(id: string): Answer {
    const { transformation, requirements } = this.#built(id).settings;
    return ok({ transformation_function: transformation, requirements_txt: requirements });
  }

  async uploadCode(id: string, request: Request): Promise<Answer> {
    const pipeline = this.#built(id);
    const form = await formOf(request);
    const [file, requirements] = [form.get("file"), form.get("requirementsTxt")];
    if (file === null) throw new Refusal(400, "the form has no file");
    pipeline.settings.transformation = typeof file === "string" ? file : await file.text();
    if (typeof requirements === "string") pipeline.settings.requirements = requirements;
    this.#build(pipeline);
    return { status: 201, body: {} };
  }

  async changeEnvironment(id: string, request: Request): Promise<Answer> {
    const { settings } = this.#pipeline(id);
    settings.env = checkedVariables((await jsonOf(request))["environments"]);
    return ok({ environments: settings.env });
  }

  /** Pages are numbered by the entry that they begin with. */
  listLogs(id: string, query: URLSearchParams): Answer {
    const number = (name: string, ifMissing: number) => {
      const value = Number(query.get(name) ?? ifMissing);
      if (!Number.isInteger(value) || value < 0) throw new Refusal(400, `${name} must be a number`);
      return value;
    };
    const [pageSize, severityCode, first] = [
      number("page_size", 50),
      number("severity_code", 100),
      number("page_token", 0),
    ];
    const [from, to] = [query.get("start_time"), query.get("end_time")].map((time) =>
      time === null ? null : Date.parse(time),
    );
    const entries = this.#pipeline(id)
      .logEntries.map(({ at, isError, message }) => ({
        level: isError ? "ERROR" : "INFO",
        severity_code: isError ? SEVERITY.error : SEVERITY.info,
        timestamp: new Date(at).toISOString(),
        payload: { message: typeof message === "string" ? message : (JSON.stringify(message) ?? String(message)) },
      }))
      .filter(({ severity_code: code, timestamp }) => {
        const at = Date.parse(timestamp);
        return code >= severityCode && (from == null || at >= from) && (to == null || at < to);
      });
    const last = first + Math.max(pageSize, 1);
    return ok({ logs: entries.slice(first, last), next: last < entries.length ? String(last) : "" });
  }

  async testPipeline(id: string, request: Request): Promise<Answer> {
    const pipeline = this.#built(id);
    const text = await textOf(request);
    parsed(text);
    return { status: 200, body: await pipeline.test(text) };
  }

  listSpaces(): Answer {
    const spaces = [...this.spaces.values()].map((space) => ({ ...onWire(space), permission: "owner" }));
    return ok({ total_amount: spaces.length, spaces });
  }

  async createSpace(request: Request): Promise<Answer> {
    const { name } = await jsonOf(request);
    if (typeof name !== "string" || name === "") throw new Refusal(400, "name is required");
    return { status: 201, body: onWire(this.#addSpace(name)) };
  }

  deleteSpace(id: string): Answer {
    if (!this.spaces.has(id)) throw new Refusal(404, "space not found");
    for (const { settings } of this.#pipelines.all())
      if (settings.spaceId === id) return { status: 409, body: { msg: "space is not empty" } };
    this.spaces.delete(id);
    return { status: 204 };
  }

  listSecrets(): Answer {
    const secrets = [...this.secrets.keys()].map((key) => ({ key }));
    return ok({ total_amount: secrets.length, secrets });
  }

  async createSecret(request: Request): Promise<Answer> {
    const { key, value } = await jsonOf(request);
    if (typeof key !== "string" || !/^[a-zA-Z]\w*$/.test(key)) throw new Refusal(400, "invalid key");
    if (typeof value !== "string") throw new Refusal(400, "value is required");
    if (this.secrets.has(key)) throw new Refusal(409, "the key is taken");
    this.secrets.set(key, value);
    return { status: 201, body: { key } };
  }

  deleteSecret(key: string): Answer {
    if (!this.secrets.delete(key)) throw new Refusal(404, "secret not found");
    return { status: 204 };
  }

  #addSpace(name: string): EmulatedSpace {
    const space = newSpace(name);
    this.spaces.set(space.id, space);
    return space;
  }

  #connector(role: "source" | "sink", given: unknown): unknown {
    return checkedConnector(role, given, (key) => this.secrets.has(key));
  }

  #pipeline(id: string): EmulatedPipeline {
    const pipeline = this.#pipelines.get(id);
    if (!pipeline) throw new Refusal(404, "pipeline not found");
    return pipeline;
  }

  /** The pipeline, if its code is built. */
  #built(id: string): EmulatedPipeline {
    const pipeline = this.#pipeline(id);
    if (monotonicNow() < (this.#builtAt.get(pipeline) ?? -Infinity))
      throw new Refusal(425, "the artifact is still in process");
    return pipeline;
  }

  #build(pipeline: EmulatedPipeline): void {
    this.#builtAt.set(pipeline, monotonicNow() + this.#buildMs);
    const { transformation, requirements } = pipeline.settings;
    if (this.#compile) pipeline.transform = this.#compile(transformation, requirements);
  }

  #summary({ id, settings, createdAt, isPaused }: EmulatedPipeline) {
    const { name, spaceId, metadata } = settings;
    const space = this.spaces.get(spaceId);
    const state = isPaused ? "paused" : "running";
    return { id, name, space_id: spaceId, space_name: space?.name ?? "", metadata, created_at: createdAt, state };
  }

  #details(pipeline: EmulatedPipeline) {
    const { source, sink, env } = pipeline.settings;
    return { ...this.#summary(pipeline), source_connector: source, sink_connector: sink, environments: env };
  }
}

/** A string is JSON text already. */
interface Answer {
  status: number;
  body?: object | string;
}

type Action = (
  api: EmulatedManagement,
  subject: string,
  request: Request,
  query: URLSearchParams,
) => Answer | Promise<Answer>;

const ROUTES: readonly { pattern: RegExp; methods: Readonly<Record<string, Action>> }[] = [
  {
    pattern: /^\/pipelines$/,
    methods: {
      GET: (api, _, __, query) => api.listPipelines(query),
      POST: (api, _, request) => api.createPipeline(request),
    },
  },
  {
    pattern: /^\/pipelines\/([^/]+)$/,
    methods: {
      GET: (api, id) => api.fetchPipeline(id),
      PATCH: (api, id, request) => api.changePipeline(id, request),
      DELETE: (api, id) => api.deletePipeline(id),
    },
  },
  { pattern: /^\/pipelines\/([^/]+)\/access_tokens$/, methods: { GET: (api, id) => api.listAccessTokens(id) } },
  {
    pattern: /^\/pipelines\/([^/]+)\/functions\/main$/,
    methods: { PATCH: (api, id, request) => api.changeEnvironment(id, request) },
  },
  {
    pattern: /^\/pipelines\/([^/]+)\/functions\/main\/artifacts$/,
    methods: { POST: (api, id, request) => api.uploadCode(id, request) },
  },
  {
    pattern: /^\/pipelines\/([^/]+)\/functions\/main\/artifacts\/latest$/,
    methods: { GET: (api, id) => api.fetchCode(id) },
  },
  {
    pattern: /^\/pipelines\/([^/]+)\/functions\/main\/logs$/,
    methods: { GET: (api, id, _, query) => api.listLogs(id, query) },
  },
  {
    pattern: /^\/pipelines\/([^/]+)\/functions\/main\/test$/,
    methods: { POST: (api, id, request) => api.testPipeline(id, request) },
  },
  {
    pattern: /^\/spaces$/,
    methods: { GET: (api) => api.listSpaces(), POST: (api, _, request) => api.createSpace(request) },
  },
  { pattern: /^\/spaces\/([^/]+)$/, methods: { DELETE: (api, id) => api.deleteSpace(id) } },
  {
    pattern: /^\/secrets$/,
    methods: { GET: (api) => api.listSecrets(), POST: (api, _, request) => api.createSecret(request) },
  },
  { pattern: /^\/secrets\/([^/]+)$/, methods: { DELETE: (api, key) => api.deleteSecret(key) } },
];

function ok(body: object): Answer {
  return { status: 200, body };
}

function onWire({ id, name, createdAt }: EmulatedSpace): object {
  return { id, name, created_at: createdAt };
}

function json(status: number, body: object | string, headers: Record<string, string> = {}): Response {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, { status, headers: { "content-type": "application/json", ...headers } });
}

function setState(pipeline: EmulatedPipeline, state: unknown): void {
  if (state !== "running" && state !== "paused") throw new Refusal(400, "state must be running or paused");
  if (state === "paused") pipeline.pause();
  else pipeline.resume();
}

async function textOf(request: Request): Promise<string> {
  return new TextDecoder().decode(await bodyOf(request));
}

async function bodyOf(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return (await readBody(request, { maxBytes: MAX_BODY_BYTES })) as Uint8Array<ArrayBuffer>;
  } catch {
    throw new Refusal(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Refusal(400, "the body is not JSON");
  }
}

async function jsonOf(request: Request): Promise<Record<string, unknown>> {
  const value = parsed(await textOf(request));
  if (typeof value !== "object" || value === null) throw new Refusal(400, "the body is not an object");
  return value as Record<string, unknown>;
}

async function formOf(request: Request): Promise<FormData> {
  const type = request.headers.get("content-type") ?? "";
  const body = await bodyOf(request);
  try {
    return await new Response(body, { headers: { "content-type": type } }).formData();
  } catch {
    throw new Refusal(400, "the body is not a form");
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
