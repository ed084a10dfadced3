/** The topics of an application: read from an object or from YAML, checked, and found by their names. */
import { type Document, parseDocument } from "yaml";
import { type Problem, nameProblem } from "./envelope.js";
import { type EntityAction, spellings, isSnakeCase, nearest, parseMethodName } from "./method-names.js";
import { SchemaError, TopicSchema } from "./schema.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** One topic. */
export class Topic {
  readonly category: string;
  readonly entity: string;
  readonly action: string;
  /** `claims.PolicyCreated`: what the original calls it. */
  readonly name: string;
  readonly #definition: unknown;
  #schema: TopicSchema | SchemaError | undefined;

  /** @internal */
  constructor(category: string, entity: string, action: string, definition: unknown) {
    this.category = category;
    this.entity = entity;
    this.action = action;
    this.name = topicName(category, entity, action);
    this.#definition = definition;
  }

  toString(): string {
    return this.name;
  }

  /** Why nothing can be published under it, if that is so. @internal */
  definitionProblem(): string | undefined {
    const problem = nameProblem({ action: this.action, category: this.category, entity: this.entity });
    if (problem) return `${problem.path} breaks the rule ${problem.rule}: it ${problem.message}`;
    const schema = this.#open();
    return schema instanceof SchemaError ? schema.message : undefined;
  }

  /** What its schema has against data. @internal @throws {FerryError} if the schema is broken */
  dataProblems(data: unknown): Problem[] {
    const schema = this.#open();
    try {
      if (schema instanceof SchemaError) throw schema;
      return schema.problems(data);
    } catch (error) {
      throw invalidArgument(`${this.name}: ${(error as Error).message}`);
    }
  }

  /** Schemas are made ready when they are needed: an application that starts has other things to do. */
  #open(): TopicSchema | SchemaError {
    return (this.#schema ??= compileSchema(this.#definition));
  }
}

/** All topics. */
export class TopicTable implements Iterable<Topic> {
  readonly defaultCategory: string | undefined;
  readonly #topics = new Map<string, Topic>();

  /**
   * @param source definitions, or their YAML text
   * @param defaultCategory goes before that of the definitions
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` with everything that is wrong
   */
  constructor(source: unknown, defaultCategory?: string) {
    const definitions = typeof source === "string" ? readYaml(source) : source;
    if (!isObject(definitions))
      throw invalidArgument(
        `topics is an object with the member Topics, or its YAML text, not ${formatValue(definitions)}`,
      );
    const { DefaultCategory, Topics } = definitions;
    const problems: string[] = [];
    this.defaultCategory = optional(defaultCategory ?? DefaultCategory, "DefaultCategory", problems);
    if (!("Topics" in definitions)) throw invalidArgument("topics needs the member Topics: a list of topics");
    if (!Array.isArray(Topics)) throw invalidArgument(`Topics is a list of topics, not ${formatValue(Topics)}`);
    const places = new Map<string, number>();
    Topics.forEach((definition, at) => this.#add(definition, at, places, problems));
    if (problems.length > 0) throw invalidArgument(problems.join("; "));
  }

  [Symbol.iterator](): Iterator<Topic> {
    return this.#topics.values();
  }

  /** The topic with these names. */
  find(category: string, { entity, action }: EntityAction): Topic | undefined {
    return this.#topics.get(topicKey(category, entity, action));
  }

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the nearest names */
  get(category: string, reading: EntityAction): Topic {
    const found = this.find(category, reading);
    if (found) return found;
    const sought = topicName(category, reading.entity, reading.action);
    throw invalidArgument(
      `Topic not found: ${sought}${suggestion(
        nearest(
          sought,
          Array.from(this, ({ name }) => name),
        ),
      )}`,
    );
  }

  /** The topic that a magic name means: the topics it may mean if that is not clear. */
  resolve(name: string): Topic | Topic[] | undefined {
    const category = this.defaultCategory;
    if (category === undefined) return undefined;
    const groups = parseMethodName(name);
    for (const [at, group] of groups.entries()) {
      const found = [
        ...new Set(group.map((reading) => this.find(category, reading)).filter((topic) => topic !== undefined)),
      ];
      // Where only underscores part words, what was written for the original has to mean what it meant.
      const isLegacy = at === 0 && isSnakeCase(name);
      if (found.length > 0) return found.length > 1 && !isLegacy ? found : found[0];
    }
    return undefined;
  }

  /** What to say to who called a name behind which there is no topic, or more than one. */
  resolveFailure(name: string, found: readonly Topic[]): string {
    if (found.length > 0)
      return `${name} may mean ${found.map(String).join(" or ")}: use publish, or the name with underscores, which takes its last word for the action`;
    const spelled = (topic: Topic) => spellings(topic)[isSnakeCase(name) ? "snake" : "camel"];
    const calls = Array.from(this)
      .filter(({ category }) => category === this.defaultCategory)
      .flatMap(spelled);
    return `Could not resolve convenience wrapper for: ${name}${suggestion(nearest(name, calls))}`;
  }

  /** What is wrong with topics that nothing can be published under, and names that are not clear. */
  problems(): string[] {
    const broken = Array.from(this, (topic) => [topic, topic.definitionProblem()] as const).filter(
      ([, problem]) => problem !== undefined,
    );
    const unclear = new Set(
      Array.from(this)
        .flatMap((topic) => spellings(topic).camel)
        .filter((name) => Array.isArray(this.resolve(name))),
    );
    return [
      ...broken.map(([topic, problem]) => `${topic}: ${problem}`),
      ...Array.from(unclear, (name) => this.resolveFailure(name, this.resolve(name) as Topic[])),
    ];
  }

  #add(definition: unknown, at: number, places: Map<string, number>, problems: string[]): void {
    const place = `Topics[${at}]`;
    if (!isObject(definition)) return void problems.push(`${place} is an object, not ${formatValue(definition)}`);
    const missing = ["Action", "Entity", "Schema"].filter((name) => !(name in definition));
    for (const name of missing) problems.push(`${place} needs the member ${name}`);
    if (missing.length > 0) return;
    const { Action, Entity, Category, Schema } = definition;
    const action = text(Action, `${place}.Action`, problems);
    const entity = text(Entity, `${place}.Entity`, problems);
    const category = optional(Category, `${place}.Category`, problems) ?? this.defaultCategory;
    if (!isObject(Schema))
      problems.push(`${place}.Schema is a JSON Schema, which is an object, not ${formatValue(Schema)}`);
    if (category === undefined && (Category ?? undefined) === undefined)
      problems.push(`${place} needs the member Category, because there is no DefaultCategory`);
    if (action === undefined || entity === undefined || category === undefined) return;
    const key = topicKey(category, entity, action);
    const before = places.get(key);
    if (before !== undefined)
      return void problems.push(
        `${place} is the topic ${topicName(category, entity, action)} once more, after Topics[${before}]`,
      );
    places.set(key, at);
    this.#topics.set(key, new Topic(category, entity, action, Schema));
  }
}

function optional(value: unknown, what: string, problems: string[]): string | undefined {
  return value === undefined || value === null ? undefined : text(value, what, problems);
}

function text(value: unknown, what: string, problems: string[]): string | undefined {
  if (typeof value === "string" && value !== "") return value;
  problems.push(`${what} is a text, not ${value === "" ? "an empty one" : formatValue(value)}`);
  return undefined;
}

/** YAML 1.2, where `On` is a text, with anchors, aliases and `<<`. Tags make nothing. */
function readYaml(text: string): unknown {
  const document = documentOf(text);
  if (document.errors.length > 0)
    throw invalidArgument(
      `topics is not YAML: ${document.errors.map(({ message }) => message.split("\n")[0]!.replace(/:$/, "")).join("; ")}`,
    );
  let definitions: unknown;
  try {
    definitions = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw invalidArgument(`topics is not YAML that can be used: ${(error as Error).message}`);
  }
  if (typeof definitions === "string")
    throw invalidArgument(
      "topics is YAML text, and this is a single text: read the file first, and give what is in it",
    );
  return definitions;
}

function documentOf(text: string): Document.Parsed {
  try {
    return parseDocument(text, { version: "1.2", merge: true });
  } catch (cause) {
    // It has debugging aids that are switched on by the environment.
    if (!/^(?:NotCapable|PermissionDenied)$/.test((cause as Error)?.name)) throw cause;
    throw invalidArgument(
      "YAML needs Deno's permission --allow-env=LOG_TOKENS,LOG_STREAM, because the package yaml asks for these two variables; topics as an object need none",
    );
  }
}

function compileSchema(definition: unknown): TopicSchema | SchemaError {
  try {
    return new TopicSchema(definition);
  } catch (error) {
    return error instanceof SchemaError ? error : new SchemaError("#", `cannot be used: ${(error as Error)?.message}`);
  }
}

function suggestion(names: readonly string[]): string {
  return names.length > 0 ? `; the nearest are ${names.join(", ")}` : "; there are no topics";
}

function topicName(category: string, entity: string, action: string): string {
  return `${category}.${entity}${action}`;
}

/** Not the name: `My` + `EntityCreated` and `MyEntity` + `Created` have the same. */
function topicKey(category: string, entity: string, action: string): string {
  return JSON.stringify([category, entity, action]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
