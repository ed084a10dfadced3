/** The envelope of an event, and what the original demands of it (`bc_events/constants.py`, JSON Schema Draft 4). */

/** Who did what happened. */
export type ActorType = "user" | "service" | "third-party";

/** An event as it travels, with its members in this order. */
export interface BriteEvent {
  action: string;
  category: string;
  entity: string;
  data: object;
  actor: { id: string; type: ActorType };
}

/** What is wrong, and where. */
export interface Problem {
  /** `action`, `data`, `actor.id`, … */
  path: string;
  /** The keyword of JSON Schema that is broken. */
  rule: string;
  /** What follows the path in a sentence. */
  message: string;
}

/** `$` is the end here, and not a line break before it, as it was in the original. */
const PATTERNS = { action: /^[A-Z][a-z]+$/, category: /^[a-z]+$/, entity: /^(?:[A-Z][a-z]+)+$/ } as const;
const FORMATS = {
  action: "one capitalised word of two or more letters, such as Created",
  category: "a word of small letters, such as claims",
  entity: "capitalised words of two or more letters each, such as PolicyHolder",
} as const;
const MEMBERS = ["action", "category", "entity", "data", "actor"];
const ACTOR_TYPES = ["user", "service", "third-party"];
const MIN_ACTOR_ID_LENGTH = 5;

/** What is wrong with an envelope, if anything. The data's own schema is for others to check. */
export function envelopeProblem(event: unknown): Problem | undefined {
  if (!isObject(event)) return { path: "", rule: "type", message: "the event has to be an object" };
  const missing = MEMBERS.find((name) => !(name in event));
  if (missing !== undefined) return { path: missing, rule: "required", message: "is missing" };
  const odd = Object.keys(event).find((name) => !MEMBERS.includes(name));
  if (odd !== undefined) return { path: odd, rule: "additionalProperties", message: "is not allowed there" };
  return nameProblem(event) ?? dataProblem(event["data"]) ?? actorProblem(event["actor"]);
}

/** What is wrong with the names of a topic. */
export function nameProblem(names: Record<string, unknown>): Problem | undefined {
  for (const path of ["action", "category", "entity"] as const) {
    const name = names[path];
    if (typeof name !== "string") return { path, rule: "type", message: "has to be text" };
    if (!PATTERNS[path].test(name))
      return { path, rule: "pattern", message: `has to be ${FORMATS[path]}, and not ${JSON.stringify(name)}` };
  }
  return undefined;
}

/** What is wrong with any data, whatever their topic. */
export function dataProblem(data: unknown): Problem | undefined {
  if (!isObject(data)) return { path: "data", rule: "type", message: "has to be an object" };
  return Object.keys(data).length > 0
    ? undefined
    : { path: "data", rule: "minProperties", message: "has to have a member at least" };
}

/** What is wrong with an actor. */
export function actorProblem(actor: unknown): Problem | undefined {
  if (!isObject(actor)) return { path: "actor", rule: "type", message: "has to be an object" };
  const { id, type } = actor;
  for (const [path, value] of [
    ["actor.id", id],
    ["actor.type", type],
  ] as const) {
    if (value === undefined) return { path, rule: "required", message: "is missing" };
    if (typeof value !== "string") return { path, rule: "type", message: "has to be text" };
  }
  if ([...(id as string)].length < MIN_ACTOR_ID_LENGTH)
    return { path: "actor.id", rule: "minLength", message: `has to have ${MIN_ACTOR_ID_LENGTH} characters at least` };
  return ACTOR_TYPES.includes(type as string)
    ? undefined
    : { path: "actor.type", rule: "enum", message: `has to be one of ${ACTOR_TYPES.join(", ")}` };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
