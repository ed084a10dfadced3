/** The envelope of an event and its rules, from the original's JSON Schema (`bc_events/constants.py`, Draft 4). */

/** The kind of actor that caused an event. */
export type ActorType = "user" | "service" | "third-party";

/** An event as it is sent, with its members in this order. */
export interface BriteEvent {
  /** The action of the topic. */
  action: string;
  /** The category of the topic. */
  category: string;
  /** The entity of the topic. */
  entity: string;
  /** The data, which match the schema of the topic. */
  data: object;
  /** Who caused the event. */
  actor: {
    /** A user id or the name of a service. */
    id: string;
    /** The kind of actor. */
    type: ActorType;
  };
}

/** A rule that an event breaks. */
export interface Problem {
  /** `action`, `data`, `actor.id`, … */
  path: string;
  /** The JSON Schema keyword that is broken, with its location if it is from the schema of a topic. */
  rule: string;
  /** The rest of a sentence that starts with the path: `must be a string`. */
  message: string;
}

/** `$` is the end of the text. In Python, and so in the original, it also matches before a trailing line break. */
const PATTERNS = { action: /^[A-Z][a-z]+$/, category: /^[a-z]+$/, entity: /^(?:[A-Z][a-z]+)+$/ } as const;
const FORMATS = {
  action: "one capitalized word of two or more letters, such as Created",
  category: "one lower-case word, such as claims",
  entity: "capitalized words of two or more letters each, such as PolicyHolder",
} as const;
const MEMBERS = ["action", "category", "entity", "data", "actor"];
const ACTOR_TYPES = ["user", "service", "third-party"];
const MIN_ACTOR_ID_LENGTH = 5;

/** The first rule that an envelope breaks. The schema of the data is not checked. */
export function envelopeProblem(event: unknown): Problem | undefined {
  if (!isObject(event)) return { path: "", rule: "type", message: "the event must be an object" };
  const missing = MEMBERS.find((name) => !(name in event));
  if (missing !== undefined) return { path: missing, rule: "required", message: "is missing" };
  const unknown = Object.keys(event).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) return { path: unknown, rule: "additionalProperties", message: "is not allowed" };
  return nameProblem(event) ?? dataProblem(event["data"]) ?? actorProblem(event["actor"]);
}

/** The first rule that the names of a topic break. */
export function nameProblem(names: Record<string, unknown>): Problem | undefined {
  for (const path of ["action", "category", "entity"] as const) {
    const name = names[path];
    if (typeof name !== "string") return { path, rule: "type", message: "must be a string" };
    if (!PATTERNS[path].test(name))
      return { path, rule: "pattern", message: `must be ${FORMATS[path]}; received ${JSON.stringify(name)}` };
  }
  return undefined;
}

/** The first rule that data breaks, whatever its topic. */
export function dataProblem(data: unknown): Problem | undefined {
  if (!isObject(data)) return { path: "data", rule: "type", message: "must be an object" };
  return Object.keys(data).length > 0
    ? undefined
    : { path: "data", rule: "minProperties", message: "must have at least one member" };
}

/** The first rule that an actor breaks. */
export function actorProblem(actor: unknown): Problem | undefined {
  if (!isObject(actor)) return { path: "actor", rule: "type", message: "must be an object" };
  const { id, type } = actor;
  for (const [path, value] of [
    ["actor.id", id],
    ["actor.type", type],
  ] as const) {
    if (value === undefined) return { path, rule: "required", message: "is missing" };
    if (typeof value !== "string") return { path, rule: "type", message: "must be a string" };
  }
  if ([...(id as string)].length < MIN_ACTOR_ID_LENGTH)
    return { path: "actor.id", rule: "minLength", message: `must have at least ${MIN_ACTOR_ID_LENGTH} characters` };
  return ACTOR_TYPES.includes(type as string)
    ? undefined
    : { path: "actor.type", rule: "enum", message: `must be one of ${ACTOR_TYPES.join(", ")}` };
}

/** `<path> breaks the rule <rule>: it <message>` */
export function formatProblem({ path, rule, message }: Problem): string {
  return `${path} breaks the rule ${rule}: it ${message}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
