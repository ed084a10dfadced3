/** The secrets of the emulated management API. */
import { type Answer, jsonOf, ok, type Route } from "./management-http.js";
import { Refusal } from "./settings.js";

export class EmulatedSecrets {
  /** The values by their keys. */
  readonly all: Map<string, string> = new Map();
  readonly routes: readonly Route[] = [
    { pattern: /^\/secrets$/, methods: { GET: () => this.#list(), POST: (_, request) => this.#create(request) } },
    { pattern: /^\/secrets\/([^/]+)$/, methods: { DELETE: (key) => this.#delete(key) } },
  ];

  #list(): Answer {
    const secrets = [...this.all.keys()].map((key) => ({ key }));
    return ok({ total_amount: secrets.length, secrets });
  }

  async #create(request: Request): Promise<Answer> {
    const { key, value } = await jsonOf(request);
    if (typeof key !== "string" || !/^[a-zA-Z]\w*$/.test(key)) throw new Refusal(400, "invalid key");
    if (typeof value !== "string") throw new Refusal(400, "value is required");
    if (this.all.has(key)) throw new Refusal(409, "the key is taken");
    this.all.set(key, value);
    return { status: 201, body: { key } };
  }

  #delete(key: string): Answer {
    if (!this.all.delete(key)) throw new Refusal(404, "secret not found");
    return { status: 204 };
  }
}
