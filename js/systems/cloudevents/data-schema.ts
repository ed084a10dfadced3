/** The option `schema` of readers: the data of an event is validated, and read as the schema converts it. */
import { type SchemaIssue, type StandardSchema, standardSchemaOf } from "../../client/standard-schema.js";
import { mustBe } from "../../engine/messages.js";
import { CloudEvent } from "./event.js";
import { dataError } from "./event-data.js";

/** How the data of an event is read. */
export interface SchemaOptions<T = unknown> {
  /** Validates `data`, which is then read as the schema converts it. @default any data */
  schema?: StandardSchema<T> | undefined;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function checkSchema(schema: unknown): void {
  if (schema !== undefined && !standardSchemaOf(schema))
    throw mustBe("schema", "a Standard Schema (zod, valibot, arktype, …)", schema);
}

/**
 * Validates the data of an event. `data` is what the schema returns from then on; `dataText` and `dataBytes` stay as they
 * arrived.
 *
 * @throws {FerryError} `ERR_INVALID_DATA` with status 422 and the path, and without the value or the message of the
 * schema, which may repeat it
 */
export async function validateData<T>(event: CloudEvent, schema: StandardSchema<T>): Promise<CloudEvent<T>> {
  const result = await standardSchemaOf(schema)!.validate(event.data);
  if (!result.issues) {
    CloudEvent.setData(event, result.value);
    return event as CloudEvent<T>;
  }
  const [first, ...more] = result.issues;
  const others = more.length > 0 ? ` and ${more.length} more` : "";
  throw dataError(`the data does not match the schema at ${pointerOf(first)}${others}`, { status: 422 });
}

const MAX_POINTER_LENGTH = 200;

/** The place as a JSON Pointer (RFC 6901). */
function pointerOf(issue: SchemaIssue | undefined): string {
  const keys = (issue?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  if (keys.length === 0) return "its root";
  const pointer = keys.map((key) => `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
  return JSON.stringify(pointer.slice(0, MAX_POINTER_LENGTH)).slice(1, -1);
}
