/** A secret of an organization, which connectors refer to by its key. */
import { HIDDEN, mustBe } from "../../../engine/messages.js";
import { type ManagementCallOptions, ManagementConnection, type ManagementOptions } from "./connection.js";
import { quoted } from "./checks.js";
import { showAsJson } from "./shown.js";

/** Options of a `Secret`. */
export interface SecretOptions extends ManagementOptions {
  /** Key of the secret: a letter, then letters, digits and `_`. */
  key: string;
  /** Value of the secret, to create it. */
  value?: string;
}

interface SecretFields {
  key: string;
  value?: string;
}

/** A secret of GlassFlow. Its value is sent by `create` and never shown; the service does not return it. */
export class Secret {
  /** Key of the secret. */
  readonly key: string;
  readonly #connection: ManagementConnection;
  readonly #value: string | undefined;

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` if an option is missing, unknown or invalid */
  constructor(options: SecretOptions);
  /** @internal */
  constructor(fields: SecretFields, connection: ManagementConnection);
  constructor(options: SecretFields, connection?: ManagementConnection) {
    this.#connection = connection ?? new ManagementConnection("a Secret", options as SecretOptions, ["key", "value"]);
    this.key = options.key;
    this.#value = options.value;
  }

  /**
   * Creates the secret. Resolves with the secret.
   *
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a bad key or without a value; `ERR_CONFLICT` if the key is taken; the
   * errors of `GlassFlowClient`
   */
  async create(options: ManagementCallOptions = {}): Promise<this> {
    const key = checkedKey(this.key);
    const value = this.#value;
    if (typeof value !== "string") throw mustBe("value", "a string", HIDDEN);
    const action = {
      what: `create secret ${quoted(key)}`,
      sentences: { ERR_CONFLICT: "there is a secret with this key" },
      secrets: [value],
    };
    await this.#connection.run(action, { createSecret: { key, value } }, options);
    return this;
  }

  /**
   * Deletes the secret.
   *
   * @throws {FerryError} `ERR_NOT_FOUND`; the errors of `GlassFlowClient`
   */
  async delete(options: ManagementCallOptions = {}): Promise<void> {
    const key = checkedKey(this.key);
    const sentences = { ERR_NOT_FOUND: "there is no such secret" };
    await this.#connection.run({ what: `delete secret ${quoted(key)}`, sentences }, { deleteSecret: { key } }, options);
  }

  /** The key, as a plain object. */
  toJSON(): object {
    return { key: this.key };
  }
}

showAsJson(Secret);

function checkedKey(key: unknown): string {
  if (typeof key === "string" && /^[A-Za-z]\w*$/.test(key)) return key;
  throw mustBe("key", "a letter followed by letters, digits and _", key);
}
