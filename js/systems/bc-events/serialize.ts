/** Data as JSON, taken when they are published: what is changed in an object later does not change the event. */
import { invalidArgument } from "../../engine/messages.js";

/**
 * The text of data, and the data as whoever reads that text sees them.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` for what JSON cannot express, with its path
 */
export function serializeData(topic: string, data: unknown): { text: string; seen: unknown } {
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (cause) {
    const odd = findPath(data, "data", (value) => typeof value === "bigint");
    throw invalidArgument(
      `${topic}: ${odd ? `${odd} is a BigInt, which JSON does not have` : `data cannot be written as JSON: ${(cause as Error)?.message?.split("\n")[0]}`}`,
    );
  }
  if (text === undefined) return { text: "null", seen: undefined };
  // NaN and infinity become null, so without one there is nothing to look for.
  const odd = text.includes("null")
    ? findPath(data, "data", (value) => typeof value === "number" && !Number.isFinite(value))
    : undefined;
  if (odd) throw invalidArgument(`${topic}: ${odd} is not a finite number, and JSON has no other`);
  return { text, seen: JSON.parse(text) };
}

/** The path of the first value of a kind. */
function findPath(
  value: unknown,
  path: string,
  is: (value: unknown) => boolean,
  above: readonly unknown[] = [],
): string | undefined {
  if (is(value)) return path;
  if (
    typeof value !== "object" ||
    value === null ||
    above.includes(value) ||
    typeof (value as { toJSON?: unknown }).toJSON === "function"
  )
    return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const found = findPath(inner, Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`, is, [...above, value]);
    if (found) return found;
  }
  return undefined;
}
