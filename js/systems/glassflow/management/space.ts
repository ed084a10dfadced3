/** A space, which groups pipelines. */
import { type ManagementCallOptions, ManagementConnection, type ManagementOptions } from "./connection.js";
import type { WireSpace } from "./operations.js";
import { quoted, requiredId, requiredText } from "./checks.js";
import { showAsJson } from "./shown.js";

/** Options of a `Space`. */
export interface SpaceOptions extends ManagementOptions {
  /** Id of an existing space. */
  id?: string;
  /** Name of the space. */
  name?: string;
}

/** A space of GlassFlow. `GlassFlowClient` creates and lists them. */
export class Space {
  readonly #connection: ManagementConnection;
  #fields: Partial<WireSpace>;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` if an option is missing, unknown or invalid */
  constructor(options: SpaceOptions);
  /** @internal */
  constructor(fields: Partial<WireSpace>, connection: ManagementConnection);
  constructor(options: SpaceOptions | Partial<WireSpace>, connection?: ManagementConnection) {
    this.#connection = connection ?? new ManagementConnection("a Space", options as SpaceOptions, ["id", "name"]);
    const { id, name, createdAt, permission } = options as Partial<WireSpace>;
    this.#fields = Object.fromEntries(
      Object.entries({ id, name, createdAt, permission }).filter(([, value]) => value !== undefined),
    );
  }

  /** Id of the space; `undefined` before `create`. */
  get id(): string | undefined {
    return this.#fields.id;
  }

  /** Name of the space. */
  get name(): string | undefined {
    return this.#fields.name;
  }

  /** When the space was created, in RFC 3339. */
  get createdAt(): string | undefined {
    return this.#fields.createdAt;
  }

  /** What the owner of the token may do with the space; only known of listed spaces. */
  get permission(): string | undefined {
    return this.#fields.permission;
  }

  /**
   * Creates the space. Resolves with the space.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` without a name; the errors of `GlassFlowClient`
   */
  async create(options: ManagementCallOptions = {}): Promise<this> {
    const name = requiredText("name", this.name);
    this.#fields = await this.#connection.run<WireSpace>(
      { what: `create space ${quoted(name)}` },
      { createSpace: { name } },
      options,
    );
    return this;
  }

  /**
   * Deletes the space.
   *
   * @throws {FerryError} `ERR_CONFLICT` with `status` 409 if it still has pipelines; `ERR_NOT_FOUND`; the errors of
   * `GlassFlowClient`
   */
  async delete(options: ManagementCallOptions = {}): Promise<void> {
    const id = requiredId("id", this.id);
    const sentences = { ERR_CONFLICT: "the space is not empty", ERR_NOT_FOUND: "there is no such space" };
    await this.#connection.run({ what: `delete space ${quoted(id)}`, sentences }, { deleteSpace: { id } }, options);
  }

  /** The fields as a plain object. */
  toJSON(): object {
    const { id, name, createdAt, permission } = this;
    return { id, name, createdAt, permission };
  }
}

showAsJson(Space);
