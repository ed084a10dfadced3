/** Checks of arguments that several objects of the management API have. */
import { formatValue, HIDDEN, mustBe } from "../../../engine/messages.js";
import type { Variable } from "./operations.js";

/** A text for a message. */
export function quoted(text: string): string {
  return formatValue(text);
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` unless it is an id that can be a segment of a URL path */
export function requiredId(name: string, id: unknown): string {
  if (typeof id !== "string") throw mustBe(name, "a string", id);
  if (["", ".", ".."].includes(id)) throw mustBe(name, "usable in a URL path", id);
  return id;
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` unless it is a non-empty string */
export function requiredText(name: string, text: unknown): string {
  if (typeof text !== "string" || text === "") throw mustBe(name, "a non-empty string", text);
  return text;
}

/** Environment variables, as an object or as the list that the original takes. Their values are never shown. */
export type EnvironmentOption = Readonly<Record<string, string>> | readonly Variable[];

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
export function variablesOf(env: EnvironmentOption): Variable[] {
  if (typeof env !== "object" || env === null) throw mustBe("env", "an object with a string for each name", HIDDEN);
  const list = Array.isArray(env)
    ? env
    : Object.entries(env).map(([name, value]) => ({ name, value: value as unknown }));
  return list.map((variable: { name?: unknown; value?: unknown } | null, at) => {
    const { name, value } = variable ?? {};
    if (typeof name !== "string" || name === "") throw mustBe(`env[${at}].name`, "a non-empty string", name);
    if (typeof value !== "string") throw mustBe(`the environment variable ${name}`, "a string", HIDDEN);
    return { name, value };
  });
}
