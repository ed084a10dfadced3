/**
 * GlassFlow pipelines, API `v1`: accepts events, transforms them, and returns each of them once.
 *
 * ```text
 *   POST /glassflow/v1/pipelines/<id>/topics/input/events              200
 *   POST /glassflow/v1/pipelines/<id>/topics/output/events/consume     200 and the event, 204 if there is none
 *   POST /glassflow/v1/pipelines/<id>/topics/failed/events/consume     the same for failed events
 *   GET  /glassflow/v1/pipelines/<id>/status/access_token              200
 *
 *   401 wrong token, 404 unknown pipeline, 400 not JSON, 413 too large, 429 too many requests, 503 pipeline full
 * ```
 *
 * `glassflow/management.ts` has the endpoints of the management API. Events are transformed in the order of arrival:
 *
 * ```text
 *   input ──transform──> output ──consume──> deleted
 *                └─throws─> failed ──consume──> deleted
 * ```
 */
import { isFerryError } from "../engine/errors.js";
import { mustBe } from "../engine/messages.js";
import { readBody } from "../systems/cloudevents/body.js";
import { EmulatedManagement, type ManagementEmulatorOptions } from "./glassflow/management.js";
import { decodeSegment } from "./glassflow/management-http.js";
import { EmulatedPipeline, type EmulatedPipelineOptions } from "./glassflow/pipeline.js";
import type { EmulatedSpace } from "./glassflow/settings.js";
import { type Service, integer } from "./service.js";
import { TextDecoder } from "../platform/text.js";

/** Options of the GlassFlow service of an emulator. */
export interface GlassFlowEmulatorOptions extends ManagementEmulatorOptions {
  /** The largest event that is accepted, in bytes; a larger one gets 413. @default 16 MiB */
  maxBodyBytes?: number;
}

const PREFIX = "/glassflow";
const TOKEN_HEADER = "x-pipeline-access-token";

/** The GlassFlow service of an emulator. */
export class GlassFlowEmulator implements Service {
  readonly prefix: string = PREFIX;
  readonly #maxBodyBytes: number;
  readonly #pipelines = new Map<string, EmulatedPipeline>();
  readonly #management: EmulatedManagement;

  /** @internal */
  constructor(options: GlassFlowEmulatorOptions) {
    this.#management = new EmulatedManagement(options, {
      all: () => this.#pipelines.values(),
      get: (id) => this.#pipelines.get(id),
      create: (options) => this.createPipeline(options),
      delete: (id) => this.deletePipeline(id),
    });
    this.#maxBodyBytes = integer("maxBodyBytes", options.maxBodyBytes, 16 * 1024 * 1024, 1);
  }

  /**
   * Creates a pipeline. The `baseUrl` of its clients is `<url of the emulator>/glassflow/v1`.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for an option out of range, and for an id that another pipeline has
   */
  createPipeline(options: EmulatedPipelineOptions = {}): EmulatedPipeline {
    const pipeline = new EmulatedPipeline(options);
    if (this.#pipelines.has(pipeline.id)) throw mustBe("id", "different from the ids of other pipelines", pipeline.id);
    pipeline.settings.spaceId ||= this.#management.spaces.default.id;
    this.#pipelines.set(pipeline.id, pipeline);
    return pipeline;
  }

  /** The first valid personal access token, with which a `GlassFlowClient` manages everything here. */
  get personalAccessToken(): string {
    return this.#management.tokens[0] ?? "";
  }

  /** The spaces. A fresh array. */
  get spaces(): readonly EmulatedSpace[] {
    return [...this.#management.spaces.all.values()];
  }

  /** The secrets: their values by their keys. */
  get secrets(): ReadonlyMap<string, string> {
    return this.#management.secrets.all;
  }

  /** The pipeline with this id. */
  pipeline(id: string): EmulatedPipeline | undefined {
    return this.#pipelines.get(id);
  }

  /** Deletes a pipeline and its events. Returns whether it existed. */
  deletePipeline(id: string): boolean {
    return this.#pipelines.delete(id);
  }

  /** Deletes all pipelines, spaces and secrets. */
  clear(): void {
    this.#pipelines.clear();
    this.#management.spaces.all.clear();
    this.#management.secrets.all.clear();
  }

  /** Answers a request to this service. */
  async handle(request: Request, url: URL): Promise<Response> {
    const path = url.pathname.replace(/^\/glassflow(?:\/v1)?/, "");
    const managed = await this.#management.handle(request, path, url.searchParams);
    if (managed) return managed;
    const [, id, endpoint] = /^\/pipelines\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const method = METHODS.get(endpoint ?? "");
    if (id === undefined || !method)
      return errorResponse(
        404,
        `not found; the endpoints of ${PREFIX}/v1/pipelines/<id>/ are ${[...METHODS.keys()].join(", ")}`,
      );
    if (request.method !== method) return errorResponse(405, `method not allowed; use ${method}`, { allow: method });
    const pipeline = this.#pipelines.get(decodeSegment(id));
    if (!pipeline) return errorResponse(404, "pipeline not found");
    const token = request.headers.get(TOKEN_HEADER);
    if (token === null || !pipeline.accessTokens.includes(token)) return errorResponse(401, "unauthorized");
    const waitMs = pipeline.countRequest();
    if (waitMs > 0) return errorResponse(429, "too many requests", { "retry-after": String(Math.ceil(waitMs / 1000)) });
    if (endpoint === "status/access_token") return jsonResponse(200, "{}");
    if (endpoint === "topics/input/events") return this.#publish(request, pipeline);
    const body = pipeline.consume(endpoint === "topics/failed/events/consume");
    return body === undefined ? new Response(null, { status: 204 }) : jsonResponse(200, body);
  }

  async #publish(request: Request, pipeline: EmulatedPipeline): Promise<Response> {
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(
        await readBody(request, { maxBytes: this.#maxBodyBytes }),
      );
      JSON.parse(text);
    } catch (error) {
      return isFerryError(error, "ERR_TOO_LARGE")
        ? errorResponse(413, `the event is larger than ${this.#maxBodyBytes} bytes`)
        : errorResponse(400, "the body is not JSON");
    }
    const headers = Object.fromEntries([...request.headers].filter(([name]) => name !== TOKEN_HEADER));
    return pipeline.publish(text, headers)
      ? jsonResponse(200, "{}")
      : errorResponse(503, "the pipeline is full", { "retry-after": "1" });
  }
}

const METHODS = new Map([
  ["topics/input/events", "POST"],
  ["topics/output/events/consume", "POST"],
  ["topics/failed/events/consume", "POST"],
  ["status/access_token", "GET"],
]);

function errorResponse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return jsonResponse(status, JSON.stringify({ detail: message }), headers);
}

function jsonResponse(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status, headers: { "content-type": "application/json", ...headers } });
}
