/** Copies a JSON Schema with the keywords of its draft, and checks the form of each keyword. */
import type { SchemaDraft } from "@cfworker/json-schema";

type JsonObject = Record<string, unknown>;
/** Copies the value of a keyword, or throws a `SchemaError`. */
type Keyword = (value: unknown, location: string, copier: SchemaCopier) => unknown;

/** Keywords that earlier drafts do not have, so they have no meaning there. */
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

/** An unusable schema. */
export class SchemaError extends Error {
  /**
   * @param location a JSON Pointer in the schema, `#/properties/id`
   * @param message the rest of a sentence that starts with "the schema"
   */
  constructor(location: string, message: string) {
    super(`the schema ${message} (at ${location})`);
  }
}

/** @throws {SchemaError} for a keyword of the wrong form */
export function copySchema(schema: unknown, draft: SchemaDraft): unknown {
  return new SchemaCopier(draft).schema(schema, "#");
}

class SchemaCopier {
  readonly #draft: SchemaDraft;

  constructor(draft: SchemaDraft) {
    this.#draft = draft;
  }

  get isDraft4(): boolean {
    return this.#draft === "4";
  }

  schema(schema: unknown, location: string): unknown {
    if (typeof schema === "boolean") return schema;
    if (!isObject(schema)) throw new SchemaError(location, "must be an object");
    const copy: JsonObject = {};
    for (const [name, value] of Object.entries(schema)) {
      // The original never checked formats, so data that has always been accepted may break them.
      if (name === "format" || IGNORED[this.#draft].includes(name)) continue;
      const keyword = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name]! : unchecked;
      setOwn(copy, name, keyword(value, `${location}/${escapePointer(name)}`, this));
    }
    if (this.isDraft4) for (const side of ["Minimum", "Maximum"]) checkExclusive(schema, side, location);
    return copy;
  }
}

const subschema: Keyword = (value, location, copier) => copier.schema(value, location);
const schemaList: Keyword = (value, location, copier) => {
  if (!Array.isArray(value)) throw new SchemaError(location, "must be a list of schemas");
  return value.map((schema, index) => copier.schema(schema, `${location}/${index}`));
};
const schemaMap: Keyword = (value, location, copier) => {
  if (!isObject(value)) throw new SchemaError(location, "must be an object of schemas");
  const copy: JsonObject = {};
  for (const [name, schema] of Object.entries(value))
    setOwn(copy, name, copier.schema(schema, `${location}/${escapePointer(name)}`));
  return copy;
};
const patternMap: Keyword = (value, location, copier) => {
  const copy: JsonObject = {};
  for (const [name, schema] of Object.entries(schemaMap(value, location, copier) as JsonObject))
    setOwn(copy, toJavaScriptPattern(name, location), schema);
  return copy;
};
const dependencies: Keyword = (value, location, copier) => {
  if (!isObject(value)) throw new SchemaError(location, "must be an object");
  const copy: JsonObject = {};
  for (const [name, dependency] of Object.entries(value)) {
    const inner = `${location}/${escapePointer(name)}`;
    const isList = Array.isArray(dependency);
    setOwn(copy, name, isList ? stringList(dependency, inner, copier) : copier.schema(dependency, inner));
  }
  return copy;
};
const stringList: Keyword = (value, location) => {
  if (!Array.isArray(value) || !value.every((name) => typeof name === "string"))
    throw new SchemaError(location, "must be a list of strings");
  return [...value];
};
const type: Keyword = (value, location) => {
  const names = Array.isArray(value) ? value : [value];
  const unknown = names.find((name) => !TYPES.includes(name as string));
  if (names.length === 0 || unknown !== undefined)
    throw new SchemaError(location, `must be one of ${TYPES.join(", ")}, or a list of them`);
  return Array.isArray(value) ? [...value] : value;
};
const enumValues: Keyword = (value, location) => {
  if (!Array.isArray(value) || value.length === 0)
    throw new SchemaError(location, "must be a list with at least one value");
  return structuredClone(value);
};
const nonNegativeInteger: Keyword = (value, location) => {
  if (!(Number.isInteger(value) && (value as number) >= 0))
    throw new SchemaError(location, "must be an integer of at least 0");
  return value;
};
const number: Keyword = (value, location) => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new SchemaError(location, "must be a number");
  return value;
};
const exclusiveBound: Keyword = (value, location, copier) => {
  if (!copier.isDraft4) return number(value, location, copier);
  if (typeof value !== "boolean")
    throw new SchemaError(location, "must be true or false in Draft 4; to use a number, name a later draft in $schema");
  return value;
};
const booleanValue: Keyword = (value, location) => {
  if (typeof value !== "boolean") throw new SchemaError(location, "must be true or false");
  return value;
};
const string: Keyword = (value, location) => {
  if (typeof value !== "string") throw new SchemaError(location, "must be a string");
  return value;
};
const unchecked: Keyword = (value) => (typeof value === "object" ? structuredClone(value) : value);

const KEYWORDS: Record<string, Keyword> = {
  properties: schemaMap,
  definitions: schemaMap,
  $defs: schemaMap,
  dependentSchemas: schemaMap,
  patternProperties: patternMap,
  dependencies,
  allOf: schemaList,
  anyOf: schemaList,
  oneOf: schemaList,
  prefixItems: schemaList,
  items: (value, location, copier) => (Array.isArray(value) ? schemaList : subschema)(value, location, copier),
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
  multipleOf: (value, location, copier) => {
    if (!((number(value, location, copier) as number) > 0)) throw new SchemaError(location, "must be a number above 0");
    return value;
  },
  exclusiveMinimum: exclusiveBound,
  exclusiveMaximum: exclusiveBound,
  uniqueItems: booleanValue,
  pattern: (value, location, copier) => toJavaScriptPattern(string(value, location, copier) as string, location),
  $ref: string,
};

/** In Draft 4 an exclusive bound only modifies the bound beside it. */
function checkExclusive(schema: JsonObject, side: string, location: string): void {
  if (`exclusive${side}` in schema && !(side.toLowerCase() in schema))
    throw new SchemaError(`${location}/exclusive${side}`, `needs ${side.toLowerCase()} beside it`);
}

/** Python's regular expression syntax, and the same in JavaScript. */
const PYTHON_SYNTAX: Record<string, string> = { "\\A": "^", "\\Z": "$", "\\_": "_", "(?P<": "(?<" };

/** A pattern that may have been written for Python, in the syntax of JavaScript, which allows fewer escapes. */
function toJavaScriptPattern(pattern: string, location: string): string {
  const converted = pattern.replace(
    /\(\?P<|\\[\s\S]/g,
    (token) =>
      PYTHON_SYNTAX[token] ??
      (/^\\[!"#%&',:;<=>@`~ -]$/.test(token) ? `\\x${token.charCodeAt(1).toString(16)}` : token),
  );
  for (const candidate of [pattern, converted]) {
    try {
      new RegExp(candidate, "u");
      return candidate;
    } catch {
      // Try the next candidate.
    }
  }
  throw new SchemaError(location, "must be a regular expression that is valid in JavaScript");
}

function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Defines an own member, also for the name `__proto__`. */
function setOwn(object: JsonObject, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
