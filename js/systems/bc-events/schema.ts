/**
 * The schema of a topic, and what it says of data. The work is done by `@cfworker/json-schema`, which makes no code and so runs where `eval` is
 * forbidden. It takes keywords as they come; what is done here is to give it only those that the draft of a schema has, and to see that they are well formed.
 */
import { type OutputUnit, type Schema, type SchemaDraft, Validator } from "@cfworker/json-schema";
import type { Problem } from "./envelope.js";

type Json = Record<string, unknown>;
/** Copies what a keyword says, or says what is wrong with it. */
type Keyword = (value: unknown, at: string, copy: SchemaCopier) => unknown;

const DEFAULT_DRAFT: SchemaDraft = "4";
const MAX_ERRORS = 100;
const DRAFTS: readonly [RegExp, SchemaDraft][] = [
  [/draft-0[67]\b/, "7"],
  [/2019-09/, "2019-09"],
  [/2020-12/, "2020-12"],
];
/** What came with later drafts, and means nothing before. */
const SINCE_6 = ["const", "contains", "propertyNames", "if", "then", "else"];
const SINCE_2019 = [
  "dependentRequired",
  "dependentSchemas",
  "unevaluatedItems",
  "unevaluatedProperties",
  "minContains",
  "maxContains",
  "prefixItems",
  "$recursiveRef",
  "$recursiveAnchor",
  "$anchor",
];
const IGNORED: Record<SchemaDraft, readonly string[]> = {
  4: [...SINCE_6, ...SINCE_2019],
  7: SINCE_2019,
  "2019-09": [],
  "2020-12": [],
};
const TYPES = ["array", "boolean", "integer", "null", "number", "object", "string"];

/** A schema that can be used. */
export class TopicSchema {
  readonly #validator: Validator;

  /** @throws {SchemaError} */
  constructor(schema: unknown) {
    if (!isObject(schema)) throw new SchemaError("#", "has to be an object");
    const draft = draftOf(schema["$schema"]);
    // A copy also because the validator notes addresses in the schema, which is the user's, and may be frozen.
    const copy = new SchemaCopier(draft).schema(schema, "#") as Schema;
    try {
      this.#validator = new Validator(copy, draft, false);
    } catch (error) {
      throw new SchemaError("#", `cannot be used: ${(error as Error).message}`);
    }
  }

  /**
   * What is wrong with data that JSON can express, the first of it; nothing if they are good.
   *
   * @throws {SchemaError} if the schema refers to something that is not there, or to itself without end
   */
  problems(data: unknown): Problem[] {
    try {
      // Nobody reads more of them, and each is compared with those before.
      return innermostProblems(this.#validator.validate(data).errors.slice(0, MAX_ERRORS));
    } catch (error) {
      const [sentence] = (error as Error).message.split("\n");
      throw new SchemaError(
        "#",
        error instanceof RangeError ? "refers to itself without end" : `cannot be used: ${sentence}`,
      );
    }
  }
}

/** What is wrong with a schema, and where. */
export class SchemaError extends Error {
  constructor(at: string, says: string) {
    super(`the schema ${says} (at ${at})`);
  }
}

function draftOf(uri: unknown): SchemaDraft {
  if (uri === undefined) return DEFAULT_DRAFT;
  if (typeof uri !== "string") throw new SchemaError("#/$schema", "has to name its draft with a text");
  if (/draft-03\b/.test(uri))
    throw new SchemaError(
      "#/$schema",
      "is one of Draft 3, which is not supported; there are Draft 4, 6, 7, 2019-09 and 2020-12",
    );
  return DRAFTS.find(([pattern]) => pattern.test(uri))?.[1] ?? DEFAULT_DRAFT;
}

/** Makes a copy of a schema with the keywords of its draft. */
class SchemaCopier {
  readonly #draft: SchemaDraft;

  constructor(draft: SchemaDraft) {
    this.#draft = draft;
  }

  get isDraft4(): boolean {
    return this.#draft === "4";
  }

  schema(schema: unknown, at: string): unknown {
    if (typeof schema === "boolean") return schema;
    if (!isObject(schema)) throw new SchemaError(at, "has to be an object");
    const copy: Json = {};
    for (const [name, value] of Object.entries(schema)) {
      // Formats were never checked, and what was sent for years shall not be refused now.
      if (name === "format" || IGNORED[this.#draft].includes(name)) continue;
      const keyword = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name]! : unchecked;
      setOwn(copy, name, keyword(value, `${at}/${escapePointer(name)}`, this));
    }
    if (this.isDraft4) for (const side of ["Minimum", "Maximum"]) checkExclusive(schema, side, at);
    return copy;
  }
}

const subschema: Keyword = (value, at, copy) => copy.schema(value, at);
const schemaList: Keyword = (value, at, copy) => {
  if (!Array.isArray(value)) throw new SchemaError(at, "has to be a list of schemas");
  return value.map((schema, index) => copy.schema(schema, `${at}/${index}`));
};
const schemaMap: Keyword = (value, at, copy) => {
  if (!isObject(value)) throw new SchemaError(at, "has to be an object of schemas");
  const all: Json = {};
  for (const [name, schema] of Object.entries(value))
    setOwn(all, name, copy.schema(schema, `${at}/${escapePointer(name)}`));
  return all;
};
const patternMap: Keyword = (value, at, copy) => {
  const all: Json = {};
  for (const [name, schema] of Object.entries(schemaMap(value, at, copy) as Json))
    setOwn(all, toJavaScriptPattern(name, at), schema);
  return all;
};
const dependencies: Keyword = (value, at, copy) => {
  if (!isObject(value)) throw new SchemaError(at, "has to be an object");
  const all: Json = {};
  for (const [name, what] of Object.entries(value))
    setOwn(
      all,
      name,
      Array.isArray(what)
        ? stringList(what, `${at}/${escapePointer(name)}`, copy)
        : copy.schema(what, `${at}/${escapePointer(name)}`),
    );
  return all;
};
const stringList: Keyword = (value, at) => {
  if (!Array.isArray(value) || !value.every((name) => typeof name === "string"))
    throw new SchemaError(at, "has to be a list of texts");
  return [...value];
};
const type: Keyword = (value, at) => {
  const all = Array.isArray(value) ? value : [value];
  const wrong = all.find((name) => !TYPES.includes(name as string));
  if (all.length === 0 || wrong !== undefined)
    throw new SchemaError(at, `has to be one of ${TYPES.join(", ")}, or a list of them`);
  return Array.isArray(value) ? [...value] : value;
};
const enumValues: Keyword = (value, at) => {
  if (!Array.isArray(value) || value.length === 0) throw new SchemaError(at, "has to be a list with a value at least");
  return structuredClone(value);
};
const nonNegativeInteger: Keyword = (value, at) => {
  if (!(Number.isInteger(value) && (value as number) >= 0))
    throw new SchemaError(at, "has to be a whole number from 0");
  return value;
};
const number: Keyword = (value, at) => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new SchemaError(at, "has to be a number");
  return value;
};
const exclusiveBound: Keyword = (value, at, copy) => {
  if (!copy.isDraft4) return number(value, at, copy);
  if (typeof value !== "boolean")
    throw new SchemaError(
      at,
      "has to be true or false in Draft 4; a number belongs to later drafts, and $schema says which one is meant",
    );
  return value;
};
const booleanValue: Keyword = (value, at) => {
  if (typeof value !== "boolean") throw new SchemaError(at, "has to be true or false");
  return value;
};
const text: Keyword = (value, at) => {
  if (typeof value !== "string") throw new SchemaError(at, "has to be a text");
  return value;
};
const unchecked: Keyword = (value) => (typeof value === "object" ? structuredClone(value) : value);

const KEYWORDS: Record<string, Keyword> = {
  properties: schemaMap,
  definitions: schemaMap,
  $defs: schemaMap,
  dependentSchemas: schemaMap,
  patternProperties: patternMap,
  dependencies: dependencies,
  allOf: schemaList,
  anyOf: schemaList,
  oneOf: schemaList,
  prefixItems: schemaList,
  items: (value, at, copy) => (Array.isArray(value) ? schemaList : subschema)(value, at, copy),
  additionalItems: subschema,
  additionalProperties: subschema,
  unevaluatedItems: subschema,
  unevaluatedProperties: subschema,
  contains: subschema,
  propertyNames: subschema,
  not: subschema,
  if: subschema,
  then: subschema,
  else: subschema,
  required: stringList,
  type,
  enum: enumValues,
  minLength: nonNegativeInteger,
  maxLength: nonNegativeInteger,
  minItems: nonNegativeInteger,
  maxItems: nonNegativeInteger,
  minProperties: nonNegativeInteger,
  maxProperties: nonNegativeInteger,
  minContains: nonNegativeInteger,
  maxContains: nonNegativeInteger,
  minimum: number,
  maximum: number,
  multipleOf: (value, at, copy) => {
    if (!((number(value, at, copy) as number) > 0)) throw new SchemaError(at, "has to be a number above 0");
    return value;
  },
  exclusiveMinimum: exclusiveBound,
  exclusiveMaximum: exclusiveBound,
  uniqueItems: booleanValue,
  pattern: (value, at, copy) => toJavaScriptPattern(text(value, at, copy) as string, at),
  $ref: text,
};

/** In Draft 4 it only says how another keyword is meant. */
function checkExclusive(schema: Json, side: string, at: string): void {
  if (`exclusive${side}` in schema && !(side.toLowerCase() in schema))
    throw new SchemaError(`${at}/exclusive${side}`, `needs ${side.toLowerCase()} beside it`);
}

/** What Python writes in another way than JavaScript. */
const PYTHON_SYNTAX: Record<string, string> = { "\\A": "^", "\\Z": "$", "\\_": "_", "(?P<": "(?<" };

/** A pattern that may have been written for Python, as JavaScript wants it, which knows fewer escapes. */
function toJavaScriptPattern(pattern: string, at: string): string {
  const mended = pattern.replace(
    /\(\?P<|\\[^]/g,
    (piece) =>
      PYTHON_SYNTAX[piece] ??
      (/^\\[!"#%&',:;<=>@`~ -]$/.test(piece) ? `\\x${piece.charCodeAt(1).toString(16)}` : piece),
  );
  for (const candidate of [pattern, mended]) {
    try {
      new RegExp(candidate, "u");
      return candidate;
    } catch {
      // The next one, if there is one.
    }
  }
  throw new SchemaError(at, "has to be a regular expression that JavaScript knows too");
}

/** Of what the validator says, the innermost of each: that a member does not fit says nothing if it is also said why. */
function innermostProblems(errors: readonly OutputUnit[]): Problem[] {
  const problems: Problem[] = [];
  errors.forEach(({ instanceLocation, keyword, keywordLocation, error }, at) => {
    const next = errors[at + 1];
    // What alternatives say of themselves comes behind, and would only confuse.
    const isInside = errors.some(
      (outer, before) =>
        before < at && ALTERNATIVES.includes(outer.keyword) && keywordLocation.startsWith(`${outer.keywordLocation}/`),
    );
    if (isInside || keyword === "false") return;
    if (
      CONTAINERS.includes(keyword) &&
      next &&
      next.keyword !== "false" &&
      next.keywordLocation.startsWith(keywordLocation)
    )
      return;
    const path = next?.keyword === "false" ? next.instanceLocation : instanceLocation;
    problems.push({
      path: dataPath(path),
      rule: `${keyword} at ${keywordLocation}`,
      message: next?.keyword === "false" ? "must not be there" : sentence(error),
    });
  });
  return problems;
}

/** What the validator says, as the end of a sentence. */
function sentence(error: string): string {
  const [, type, expected] = /^Instance type "(\w+)" is invalid\. Expected (.+)\.$/.exec(error) ?? [];
  if (type) return `has to be ${expected!.replaceAll('"', "").replaceAll(", ", " or ")}, not ${type}`;
  const [, member] = /^Instance does not have required property (".*")\.$/s.exec(error) ?? [];
  return member ? `needs the member ${member}` : `does not fit: ${error.replace(/\.$/, "").replaceAll("  ", " ")}`;
}

const CONTAINERS = [
  "properties",
  "patternProperties",
  "additionalProperties",
  "unevaluatedProperties",
  "propertyNames",
  "items",
  "additionalItems",
  "prefixItems",
  "unevaluatedItems",
  "dependencies",
  "dependentSchemas",
  "allOf",
  "$ref",
  "$recursiveRef",
  "if",
];
const ALTERNATIVES = ["anyOf", "oneOf", "not", "contains"];

/** `#/address/lines/0` as `data.address.lines[0]`. */
function dataPath(location: string): string {
  const steps = location
    .split("/")
    .slice(1)
    .map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps.reduce(
    (path, step) =>
      path + (/^\d+$/.test(step) ? `[${step}]` : /^[\w$-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`),
    "data",
  );
}

function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** As a member of its own, also if it is called `__proto__`. */
function setOwn(object: Json, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
