/** An access token of a pipeline. */
import { showAsJson } from "./shown.js";

/** A token that allows to publish to one pipeline and to consume from it. Logs do not show it. */
export class AccessToken {
  /** Id of the token. */
  readonly id: string | undefined;
  /** Name of the token. The first one of a pipeline is `default`. */
  readonly name: string;
  /** When the token was created, in RFC 3339. */
  readonly createdAt: string | undefined;
  readonly #token: string;

  /** @internal */
  constructor({ id, name, token, createdAt }: { id?: string; name: string; token: string; createdAt?: string }) {
    this.id = id;
    this.name = name;
    this.createdAt = createdAt;
    this.#token = token;
  }

  /** The token itself. */
  get token(): string {
    return this.#token;
  }

  /** The fields without the token, as a plain object. */
  toJSON(): object {
    const { id, name, createdAt } = this;
    return { id, name, createdAt };
  }
}

showAsJson(AccessToken);
