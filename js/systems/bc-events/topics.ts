/** The topics of an application: read from an object or YAML, checked, and looked up by name. */
import { invalidArgument, mustBe } from "../../engine/messages.js";
import { type Problem, formatProblem, nameProblem } from "./envelope.js";
import { type EntityAction, isSnakeCase, nearest, parseMethodName, spellings } from "./method-names.js";
import { SchemaError } from "./schema-copy.js";
import { TopicSchema } from "./schema.js";
import { parseTopicsYaml } from "./topics-yaml.js";

/** A topic: what happened (`action`) to what (`entity`), and the schema of the data. */
export class Topic {
  /** The category, such as `orders`. */
  readonly category: string;
  /** The entity, such as `Order`. */
  readonly entity: string;
  /** The action, such as `Created`. */
  readonly action: string;
  /** The name that the original gives it, for example `claims.PolicyCreated`. */
  readonly name: string;
  /** The `Description` of the definition. */
  readonly description: string | undefined;
  readonly #definition: unknown;
  #schema: TopicSchema | SchemaError | undefined;

  /** @internal */
  constructor(category: string, entity: string, action: string, definition: unknown, description?: string) {
    this.category = category;
    this.entity = entity;
    this.action = action;
    this.name = topicName(category, entity, action);
    this.description = description;
    this.#definition = definition;
  }

  /** The full name, such as `orders.OrderCreated`. */
  toString(): string {
    return this.name;
  }

  /** Why no event can be published with this topic, if its names or its schema are invalid. @internal */
  definitionProblem(): string | undefined {
    const problem = nameProblem({ action: this.action, category: this.category, entity: this.entity });
    if (problem) return formatProblem(problem);
    const schema = this.#compiled();
    return schema instanceof SchemaError ? schema.message : undefined;
  }

  /** The rules of the schema that data breaks. @internal @throws {FerryError} if the schema is unusable */
  dataProblems(data: unknown): Problem[] {
    const schema = this.#compiled();
    try {
      if (schema instanceof SchemaError) throw schema;
      return schema.problems(data);
    } catch (error) {
      throw invalidArgument(`${this.name}: ${(error as Error).message}`);
    }
  }

  /** Schemas are compiled on first use, to keep the start of the application short. */
  #compiled(): TopicSchema | SchemaError {
    this.#schema ??= compileSchema(this.#definition);
    return this.#schema;
  }
}

/** All topics of a client. */
export class TopicTable implements Iterable<Topic> {
  readonly defaultCategory: string | undefined;
  readonly #topics = new Map<string, Topic>();

  /**
   * @param source definitions, or their YAML text
   * @param defaultCategory overrides that of the definitions
   * @throws {FerryError} `ERR_INVALID_ARGUMENT` with every mistake in the definitions
   */
  constructor(source: unknown, defaultCategory?: string) {
    const definitions = typeof source === "string" ? parseTopicsYaml(source) : source;
    if (!isObject(definitions))
      throw mustBe("topics", "an object with the member Topics, or its YAML text", definitions);
    const { DefaultCategory, Topics } = definitions;
    const problems: string[] = [];
    this.defaultCategory = optionalString(defaultCategory ?? DefaultCategory, "DefaultCategory", problems);
    if (!("Topics" in definitions)) throw invalidArgument("topics needs the member Topics, a list of topics");
    if (!Array.isArray(Topics)) throw mustBe("Topics", "a list of topics", Topics);
    const indexByKey = new Map<string, number>();
    Topics.forEach((definition, index) => {
      this.#add(definition, index, indexByKey, problems);
    });
    if (problems.length > 0) throw invalidArgument(problems.join("; "));
  }

  [Symbol.iterator](): Iterator<Topic> {
    return this.#topics.values();
  }

  find(category: string, { entity, action }: EntityAction): Topic | undefined {
    return this.#topics.get(topicKey(category, entity, action));
  }

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` with the nearest names */
  get(category: string, names: EntityAction): Topic {
    const found = this.find(category, names);
    if (found) return found;
    const wanted = topicName(category, names.entity, names.action);
    const known = Array.from(this, ({ name }) => name);
    throw invalidArgument(`Topic not found: ${wanted}${suggestion(nearest(wanted, known))}`);
  }

  /** The topic that a magic name means, or all topics that it may mean if it is ambiguous. */
  resolve(name: string): Topic | Topic[] | undefined {
    const category = this.defaultCategory;
    if (category === undefined) return undefined;
    for (const [index, candidates] of parseMethodName(name).entries()) {
      const topics = candidates.map((names) => this.find(category, names)).filter((topic) => topic !== undefined);
      const found = [...new Set(topics)];
      // A name whose words are separated by underscores alone must mean what it means in the original.
      const isOriginalSpelling = index === 0 && isSnakeCase(name);
      if (found.length > 0) return found.length > 1 && !isOriginalSpelling ? found : found[0];
    }
    return undefined;
  }

  /** The error message for a name that means no topic, or more than one. */
  resolveFailure(name: string, found: readonly Topic[]): string {
    if (found.length > 0)
      return `${name} may mean ${found.map(String).join(" or ")}; use publish, or the snake_case name, whose last word is the action`;
    const calls = Array.from(this)
      .filter(({ category }) => category === this.defaultCategory)
      .flatMap((topic) => spellings(topic)[isSnakeCase(name) ? "snake" : "camel"]);
    return `Could not resolve convenience wrapper for: ${name}${suggestion(nearest(name, calls))}`;
  }

  /** Every unusable topic and every ambiguous magic name. */
  problems(): string[] {
    const topics = Array.from(this);
    const unusable = topics.flatMap((topic) => {
      const problem = topic.definitionProblem();
      return problem === undefined ? [] : [`${topic}: ${problem}`];
    });
    const ambiguous = new Set(
      topics.flatMap((topic) => spellings(topic).camel).filter((name) => Array.isArray(this.resolve(name))),
    );
    return [...unusable, ...Array.from(ambiguous, (name) => this.resolveFailure(name, this.resolve(name) as Topic[]))];
  }

  #add(definition: unknown, index: number, indexByKey: Map<string, number>, problems: string[]): void {
    const place = `Topics[${index}]`;
    if (!isObject(definition)) {
      problems.push(mustBe(place, "an object", definition).message);
      return;
    }
    const missing = ["Action", "Entity", "Schema"].filter((name) => !(name in definition));
    for (const name of missing) problems.push(`${place} needs the member ${name}`);
    if (missing.length > 0) return;
    const { Action, Entity, Category, Schema, Description } = definition;
    const action = requiredString(Action, `${place}.Action`, problems);
    const entity = requiredString(Entity, `${place}.Entity`, problems);
    const category = optionalString(Category, `${place}.Category`, problems) ?? this.defaultCategory;
    if (!isObject(Schema)) problems.push(mustBe(`${place}.Schema`, "a JSON Schema, an object", Schema).message);
    if (category === undefined && (Category ?? undefined) === undefined)
      problems.push(`${place} needs the member Category, because there is no DefaultCategory`);
    if (action === undefined || entity === undefined || category === undefined) return;
    const key = topicKey(category, entity, action);
    const earlier = indexByKey.get(key);
    if (earlier !== undefined) {
      problems.push(`${place} repeats the topic ${topicName(category, entity, action)} of Topics[${earlier}]`);
      return;
    }
    indexByKey.set(key, index);
    this.#topics.set(key, new Topic(category, entity, action, Schema, textOf(Description)));
  }
}

function optionalString(value: unknown, name: string, problems: string[]): string | undefined {
  return value === undefined || value === null ? undefined : requiredString(value, name, problems);
}

function requiredString(value: unknown, name: string, problems: string[]): string | undefined {
  if (typeof value === "string" && value !== "") return value;
  problems.push(mustBe(name, "a non-empty string", value).message);
  return undefined;
}

/** A description is for people: one that is no text is none. */
function textOf(description: unknown): string | undefined {
  return typeof description === "string" ? description : undefined;
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

/** Unique, unlike the name: `My` + `EntityCreated` and `MyEntity` + `Created` have the same name. */
function topicKey(category: string, entity: string, action: string): string {
  return JSON.stringify([category, entity, action]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
