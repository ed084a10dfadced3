/** Validates payloads with any Standard Schema (https://standardschema.dev) or with a function. */
import { type SchemaIssue, type StandardSchema, standardSchemaOf } from "../../client/standard-schema.js";
import { mustBe } from "../../engine/messages.js";
import { MissingEventInformationException, isEventException } from "./exceptions.js";

/**
 * A Standard Schema, or a function of the payload, also async. For an invalid payload the function throws, or returns
 * `false` or `{ issues: [{ message, path }] }`. For a valid one it returns `true` or nothing, or the payload that the
 * handler receives.
 */
export type EventSchema<T = unknown> =
  | StandardSchema<T>
  // biome-ignore lint/suspicious/noExplicitAny: the function declares the type of its parameter
  | ((payload: any) => T | boolean | void | Promise<T | boolean | void>);

/** The payload of a handler whose schema is a function with this result. */
// biome-ignore lint/suspicious/noExplicitAny: without a returned payload its type is unknown
export type PayloadOf<R> = ReturnedPayload<R> extends never ? any : ReturnedPayload<R>;
type ReturnedPayload<R> = Exclude<Awaited<R>, boolean | void>;

/** One entry of `fields` in the parameters of `MISSING_FIELDS`. */
export interface FieldError {
  /** The path, separated by dots, such as `address.zipCode`; empty for the whole payload. */
  name: string;
  /** `value_error.missing`, or the error type of the schema. */
  errorType: string;
  /** The message of the schema, at most 200 characters. */
  message: string;
  /** For paths of several parts: the path as a JSON Pointer (RFC 6901), such as `/address/zipCode`. */
  pointer?: string;
}

/** Bound the size of a response. */
const MAX_FIELDS = 100;
const MAX_MESSAGE_LENGTH = 200;
const MISMATCH_MESSAGE = "the payload does not match the schema";

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkSchema(schema: unknown): asserts schema is EventSchema {
  if (standardSchemaOf(schema) || typeof schema === "function") return;
  throw mustBe("schema", "a Standard Schema (zod, valibot, arktype, …) or a function", schema);
}

/**
 * Validates a value. Returns it as the schema converts it.
 *
 * @throws {MissingEventInformationException} with `fields`, a list of {@link FieldError}, if it is invalid
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

/** The value with all member names in camel case, as Python servers read them: `user_name` becomes `userName`. */
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

/**
 * Functions often call a schema that throws its issues. Errors of the JavaScript engine do not describe the payload, so
 * their message is not used.
 */
function issuesOfError(error: unknown): readonly SchemaIssue[] {
  const { issues } = (error ?? {}) as { issues?: unknown };
  if (isIssues(issues)) return issues;
  const isEngineError = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  return [{ message: error instanceof Error && !isEngineError ? error.message : MISMATCH_MESSAGE }];
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
  const errorTypes = [errorType, isMissing(value, keys) ? "value_error.missing" : undefined, code, type];
  return {
    name: keys.join("."),
    errorType: errorTypes.find((name) => typeof name === "string") ?? "value_error",
    message: String(issue.message).slice(0, MAX_MESSAGE_LENGTH),
    ...(keys.length > 1 && {
      pointer: keys.map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
    }),
  };
}

function isMissing(value: unknown, keys: readonly string[]): boolean {
  let current = value;
  for (const key of keys) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, key)) return true;
    current = (current as Record<string, unknown>)[key];
  }
  return false;
}
