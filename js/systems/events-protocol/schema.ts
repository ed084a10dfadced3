/** What a payload has to look like: any Standard Schema (https://standardschema.dev), or a function. */
import { MissingEventInformationException, isEventException } from "./exceptions.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** One thing that is wrong, as a Standard Schema says it. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}

/** What a Standard Schema says of a value. */
export type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<SchemaIssue> };

/** Version 1 of the interface that zod, valibot, arktype and others have. */
export interface StandardSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>;
    readonly types?: unknown;
  };
}

/**
 * A schema, or a function that is given the payload, also async. For one that does not fit it throws, or gives back `false` or `{ issues: [{ message, path }] }`;
 * for one that does it gives back `true` or nothing; everything else that it gives back is the payload for the handler.
 */
export type EventSchema<T = unknown> =
  | StandardSchema<T>
  | ((payload: any) => T | boolean | void | Promise<T | boolean | void>);

/** What a handler is given of a payload that went through a function with this result. */
export type PayloadOf<R> =
  Exclude<Awaited<R>, boolean | void> extends never ? any : Exclude<Awaited<R>, boolean | void>;

/** One entry of `fields` in the parameters of `MISSING_FIELDS`. */
export interface FieldError {
  /** The path with dots, such as `address.zipCode`; empty for the payload as a whole. */
  name: string;
  /** `value_error.missing`, or what the schema calls it. */
  errorType: string;
  message: string;
  /** For paths with several parts, which may have dots in them: the same as a JSON pointer (RFC 6901), such as `/address/zipCode`. */
  pointer?: string;
}

/** What is wrong beyond that is not told: an answer has a bound. */
const MAX_FIELDS = 100;
const MAX_MESSAGE = 200;
const MISMATCH_MESSAGE = "the payload does not fit";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` for what is neither a schema nor a function. */
export function checkSchema(schema: unknown): asserts schema is EventSchema {
  if (standardSchemaOf(schema) || typeof schema === "function") return;
  throw invalidArgument(
    `schema is a Standard Schema, such as those of zod, valibot and arktype, or a function, and not ${formatValue(schema)}`,
  );
}

/**
 * Holds a value against a schema. Gives what the schema makes of it.
 *
 * @throws {MissingEventInformationException} with `fields`, a list of {@link FieldError}, if it does not fit.
 */
export async function validate<T>(schema: EventSchema<T>, value: unknown): Promise<T> {
  const standard = standardSchemaOf(schema);
  if (standard) {
    const result = await standard.validate(value);
    if (result.issues) throw invalidPayload(result.issues, value);
    return result.value as T;
  }
  let result: unknown;
  try {
    result = await (schema as (payload: unknown) => unknown)(value);
  } catch (error) {
    if (isEventException(error)) throw error;
    throw invalidPayload(issuesOfError(error), value);
  }
  if (result === false) throw invalidPayload([{ message: MISMATCH_MESSAGE }], value);
  const { issues } = (result ?? {}) as { issues?: unknown };
  if (isIssues(issues)) throw invalidPayload(issues, value);
  return (result === true || result === undefined ? value : result) as T;
}

/** A payload with the names of all its members in camel case, as Python servers read them: `user_name` is `userName`. */
export function toCamelCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toCamelCase);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name.replace(/(?<=[^_])_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase()),
      toCamelCase(member),
    ]),
  );
}

/** A type of arktype is a function, and a schema all the same. */
function standardSchemaOf(schema: unknown): StandardSchema["~standard"] | undefined {
  const standard = (schema as StandardSchema | null | undefined)?.["~standard"];
  return typeof standard?.validate === "function" ? standard : undefined;
}

/** Functions often call a schema that throws its issues. What the engine itself throws is about our code, not about the payload. */
function issuesOfError(error: unknown): readonly SchemaIssue[] {
  const { issues } = (error ?? {}) as { issues?: unknown };
  if (isIssues(issues)) return issues;
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  return [{ message: error instanceof Error && !isOurs ? error.message : MISMATCH_MESSAGE }];
}

function isIssues(issues: unknown): issues is readonly SchemaIssue[] {
  return (
    Array.isArray(issues) &&
    issues.length > 0 &&
    issues.every((issue) => typeof (issue as SchemaIssue | null)?.message === "string")
  );
}

function invalidPayload(issues: readonly SchemaIssue[], value: unknown): MissingEventInformationException {
  return new MissingEventInformationException(
    { fields: issues.slice(0, MAX_FIELDS).map((issue) => toFieldError(issue, value)) },
    { expected: true },
  );
}

function toFieldError(issue: SchemaIssue, value: unknown): FieldError {
  const keys = (issue.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  const { errorType, code, type } = issue as { errorType?: unknown; code?: unknown; type?: unknown };
  const given = [errorType, isMissing(value, keys) ? "value_error.missing" : undefined, code, type];
  return {
    name: keys.join("."),
    errorType: given.find((word): word is string => typeof word === "string") ?? "value_error",
    message: String(issue.message).slice(0, MAX_MESSAGE),
    ...(keys.length > 1 && {
      pointer: keys.map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
    }),
  };
}

function isMissing(value: unknown, keys: readonly string[]): boolean {
  let there = value;
  for (const key of keys) {
    if (typeof there !== "object" || there === null || !Object.hasOwn(there, key)) return true;
    there = (there as Record<string, unknown>)[key];
  }
  return false;
}
