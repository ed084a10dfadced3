/** Serializes the data of an event when it is published, so that later changes to the object do not change the event. */
import { invalidArgument } from "../../engine/messages.js";

/**
 * The data as JSON text, and as the reader of that text parses it.
 *
 * @param topic the topic's name, for messages
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for a value that JSON cannot express, with its path
 */
export function serializeData(topic: string, data: unknown): { json: string; parsed: unknown } {
  let json: string | undefined;
  try {
    json = JSON.stringify(data);
  } catch (cause) {
    const path = findPath(data, "data", (value) => typeof value === "bigint");
    if (path !== undefined) throw invalidArgument(`${topic}: ${path} must not be a BigInt: JSON has none`);
    const [reason] = String((cause as Error | undefined)?.message).split("\n");
    throw invalidArgument(`${topic}: data cannot be serialized as JSON: ${reason}`);
  }
  if (json === undefined) return { json: "null", parsed: undefined };
  // JSON.stringify writes NaN and infinity as null, so a text without null has none of them.
  const path = json.includes("null")
    ? findPath(data, "data", (value) => typeof value === "number" && !Number.isFinite(value))
    : undefined;
  if (path !== undefined)
    throw invalidArgument(`${topic}: ${path} must be a finite number: JSON has no NaN or infinity`);
  return { json, parsed: JSON.parse(json) };
}

/** The path of the first value for which `matches` returns true. */
function findPath(
  value: unknown,
  path: string,
  matches: (value: unknown) => boolean,
  ancestors: readonly unknown[] = [],
): string | undefined {
  if (matches(value)) return path;
  if (
    typeof value !== "object" ||
    value === null ||
    ancestors.includes(value) ||
    typeof (value as { toJSON?: unknown }).toJSON === "function"
  )
    return undefined;
  for (const [name, member] of Object.entries(value)) {
    const memberPath = Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`;
    const found = findPath(member, memberPath, matches, [...ancestors, value]);
    if (found !== undefined) return found;
  }
  return undefined;
}
