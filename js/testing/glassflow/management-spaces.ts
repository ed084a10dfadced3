/** The spaces of the emulated management API. */
import { type Answer, jsonOf, ok, type Route } from "./management-http.js";
import { type EmulatedSpace, newSpace, Refusal } from "./settings.js";

export class EmulatedSpaces {
  readonly all: Map<string, EmulatedSpace> = new Map();
  readonly routes: readonly Route[] = [
    { pattern: /^\/spaces$/, methods: { GET: () => this.#list(), POST: (_, request) => this.#create(request) } },
    { pattern: /^\/spaces\/([^/]+)$/, methods: { DELETE: (id) => this.#delete(id) } },
  ];
  readonly #isUsed: (id: string) => boolean;

  /** @param isUsed whether a pipeline is in the space with this id */
  constructor(isUsed: (id: string) => boolean) {
    this.#isUsed = isUsed;
  }

  /** The space of a pipeline that a test has created without one. */
  get default(): EmulatedSpace {
    for (const space of this.all.values()) if (space.name === "default") return space;
    return this.#add("default");
  }

  #list(): Answer {
    const spaces = [...this.all.values()].map((space) => ({ ...onWire(space), permission: "owner" }));
    return ok({ total_amount: spaces.length, spaces });
  }

  async #create(request: Request): Promise<Answer> {
    const { name } = await jsonOf(request);
    if (typeof name !== "string" || name === "") throw new Refusal(400, "name is required");
    return { status: 201, body: onWire(this.#add(name)) };
  }

  #delete(id: string): Answer {
    if (!this.all.has(id)) throw new Refusal(404, "space not found");
    if (this.#isUsed(id)) return { status: 409, body: { msg: "space is not empty" } };
    this.all.delete(id);
    return { status: 204 };
  }

  #add(name: string): EmulatedSpace {
    const space = newSpace(name);
    this.all.set(space.id, space);
    return space;
  }
}

function onWire({ id, name, createdAt }: EmulatedSpace): object {
  return { id, name, created_at: createdAt };
}
