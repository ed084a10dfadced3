/** The management client: pipelines, spaces and secrets of an organization. */
import { checkOptionNames } from "../../../client/options.js";
import { mustBe } from "../../../engine/messages.js";
import { requiredId } from "./checks.js";
import { type ManagementCallOptions, ManagementConnection, type ManagementOptions } from "./connection.js";
import type { WirePipeline, WireSpace } from "./operations.js";
import { Pipeline } from "./pipeline.js";
import { PIPELINE_SETTINGS, type PipelineSettings } from "./pipeline-settings.js";
import { Secret } from "./secret.js";
import { Space } from "./space.js";

/** Which pipelines to list. */
export interface ListPipelinesOptions extends ManagementCallOptions {
  /** Ids of the spaces whose pipelines are listed. @default all spaces */
  spaceIds?: readonly string[];
}

/** A list of pipelines. They have no access tokens and no code; `fetch` adds them. */
export interface PipelineList {
  /** How many pipelines there are. */
  totalAmount: number;
  /** The pipelines. */
  pipelines: Pipeline[];
}

/** A list of spaces. */
export interface SpaceList {
  /** How many spaces there are. */
  totalAmount: number;
  /** The spaces. */
  spaces: Space[];
}

/** A list of secrets, without their values. */
export interface SecretList {
  /** How many secrets there are. */
  totalAmount: number;
  /** The secrets. */
  secrets: Secret[];
}

/**
 * Manages the pipelines, spaces and secrets of GlassFlow. For servers only: its token must never reach a page.
 *
 * Each call rejects with a `FerryError`: `ERR_UNAUTHORIZED` for a refused token, `ERR_NOT_FOUND` (404), `ERR_NOT_READY`
 * (425: code is still being built), `ERR_CONFLICT` (409: for example a space that is not empty), `ERR_RATE_LIMITED`,
 * `ERR_REJECTED`, `ERR_REDIRECTED` (redirects are not followed), `ERR_UNAVAILABLE`, `ERR_INVALID_DATA` for a response
 * that is not what the API describes, `ERR_TOO_LARGE`, `ERR_TIMEOUT`, `ERR_NETWORK` or `ERR_ABORTED`. No request is
 * repeated.
 *
 * @example
 * const flow = new GlassFlowClient({ personalAccessToken: process.env.PERSONAL_ACCESS_TOKEN });
 * const { pipelines } = await flow.listPipelines();
 */
export class GlassFlowClient {
  readonly #connection: ManagementConnection;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` if an option is missing, unknown or invalid */
  constructor(options: ManagementOptions) {
    this.#connection = new ManagementConnection("a GlassFlowClient", options, []);
  }

  /**
   * A pipeline with its access tokens and its code.
   *
   * @throws {FerryError} as `Pipeline.fetch`
   */
  async getPipeline(id: string, options: ManagementCallOptions = {}): Promise<Pipeline> {
    return new Pipeline({ id: requiredId("id", id) }, this.#connection).fetch(options);
  }

  /**
   * Creates a pipeline.
   *
   * @throws {FerryError} as `Pipeline.create`
   */
  async createPipeline(settings: PipelineSettings, options: ManagementCallOptions = {}): Promise<Pipeline> {
    checkOptionNames("createPipeline", settings, PIPELINE_SETTINGS);
    return new Pipeline(settings, this.#connection).create(options);
  }

  /**
   * Lists pipelines.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` and the errors of this class
   */
  async listPipelines({ spaceIds = [], ...options }: ListPipelinesOptions = {}): Promise<PipelineList> {
    if (!Array.isArray(spaceIds) || spaceIds.some((id) => typeof id !== "string"))
      throw mustBe("spaceIds", "an array of strings", spaceIds);
    const { totalAmount, pipelines } = await this.#connection.run<{ totalAmount?: number; pipelines: WirePipeline[] }>(
      { what: "list pipelines" },
      { listPipelines: { spaceIds } },
      options,
    );
    return {
      totalAmount: totalAmount ?? pipelines.length,
      pipelines: pipelines.map((fields) => new Pipeline({}, this.#connection, fields)),
    };
  }

  /**
   * Creates a space.
   *
   * @throws {FerryError} as `Space.create`
   */
  async createSpace(name: string, options: ManagementCallOptions = {}): Promise<Space> {
    return new Space({ name }, this.#connection).create(options);
  }

  /** Lists the spaces. @throws {FerryError} the errors of this class */
  async listSpaces(options: ManagementCallOptions = {}): Promise<SpaceList> {
    const { totalAmount, spaces } = await this.#connection.run<{ totalAmount?: number; spaces: WireSpace[] }>(
      { what: "list spaces" },
      { listSpaces: {} },
      options,
    );
    return {
      totalAmount: totalAmount ?? spaces.length,
      spaces: spaces.map((fields) => new Space(fields, this.#connection)),
    };
  }

  /**
   * Creates a secret, to which connectors refer with `{ secret: key }`.
   *
   * @throws {FerryError} as `Secret.create`
   */
  async createSecret(key: string, value: string, options: ManagementCallOptions = {}): Promise<Secret> {
    return new Secret({ key, value }, this.#connection).create(options);
  }

  /** Lists the keys of the secrets. @throws {FerryError} the errors of this class */
  async listSecrets(options: ManagementCallOptions = {}): Promise<SecretList> {
    const { totalAmount, secrets } = await this.#connection.run<{ totalAmount?: number; secrets: { key: string }[] }>(
      { what: "list secrets" },
      { listSecrets: {} },
      options,
    );
    return {
      totalAmount: totalAmount ?? secrets.length,
      secrets: secrets.map((fields) => new Secret(fields, this.#connection)),
    };
  }
}
