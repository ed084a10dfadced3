/**
 * Validates data against the JSON Schema of a topic. `@cfworker/json-schema` does the validation: it generates no code,
 * so it runs where `eval` is forbidden. It does not check schemas and applies the keywords of every draft, so the schema
 * is copied first with the keywords of its draft only, and checked (`schema-copy.ts`).
 */
import { type Schema, type SchemaDraft, Validator } from "@cfworker/json-schema";
import type { Problem } from "./envelope.js";
import { SchemaError, copySchema } from "./schema-copy.js";
import { toProblems } from "./schema-output.js";

const DEFAULT_DRAFT: SchemaDraft = "4";
const MAX_ERRORS = 100;
const DRAFTS: readonly [RegExp, SchemaDraft][] = [
  [/draft-0[67]\b/, "7"],
  [/2019-09/, "2019-09"],
  [/2020-12/, "2020-12"],
];

/** A schema that is known to be well-formed. */
export class TopicSchema {
  readonly #validator: Validator;

  /** @throws {SchemaError} */
  constructor(schema: unknown) {
    if (typeof schema !== "object" || schema === null || Array.isArray(schema))
      throw new SchemaError("#", "must be an object");
    const draft = draftOf((schema as Record<string, unknown>)["$schema"]);
    // The validator also writes into the schema, which belongs to the user and may be frozen.
    const copy = copySchema(schema, draft) as Schema;
    try {
      this.#validator = new Validator(copy, draft, false);
    } catch (error) {
      throw new SchemaError("#", `cannot be used: ${(error as Error).message}`);
    }
  }

  /**
   * The rules that JSON data breaks: at most the first 100 errors of the validator, without the redundant ones.
   *
   * @throws {SchemaError} if the schema has an unresolved reference or refers to itself without end
   */
  problems(data: unknown): Problem[] {
    try {
      // `toProblems` compares each error with those before it, and messages show three.
      return toProblems(this.#validator.validate(data).errors.slice(0, MAX_ERRORS));
    } catch (error) {
      const [sentence] = (error as Error).message.split("\n");
      throw new SchemaError(
        "#",
        error instanceof RangeError ? "refers to itself without end" : `cannot be used: ${sentence}`,
      );
    }
  }
}

function draftOf(uri: unknown): SchemaDraft {
  if (uri === undefined) return DEFAULT_DRAFT;
  if (typeof uri !== "string") throw new SchemaError("#/$schema", "must name its draft in a string");
  if (/draft-03\b/.test(uri))
    throw new SchemaError("#/$schema", "must be of Draft 4, 6, 7, 2019-09 or 2020-12; Draft 3 is not supported");
  return DRAFTS.find(([pattern]) => pattern.test(uri))?.[1] ?? DEFAULT_DRAFT;
}
