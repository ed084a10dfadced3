/** Writes data as JSON, and refuses what JSON would drop without a word. */
import type { FerryError } from "../../engine/errors.js";
import { formatValue } from "../../engine/messages.js";
import { dataError, isJsonText } from "./event-data.js";
import { TextEncoder } from "../../platform/text.js";

/** A shorter text cannot have more nested arrays and objects than the engine reads. */
const MIN_DEEP_LENGTH = 1000;

/**
 * Serializes data, or a whole event, as JSON text.
 *
 * @throws {FerryError} `ERR_INVALID_DATA` for values that JSON cannot express (circular structures, BigInt), for those
 * that it would drop or write as `{}` (functions, symbols, Map, Set, Blob, URLSearchParams, bytes within an object), and
 * for data that are nested more than 511 deep
 */
export function stringifyData(data: unknown): string {
  let text: string | undefined;
  let refused: Refused | undefined;
  try {
    // This throws for circular structures, so the search below ends.
    text = JSON.stringify(data);
    refused = findRefused(data);
  } catch (cause) {
    throw invalidData(`the data cannot be expressed in JSON: ${(cause as Error)?.message}`, cause);
  }
  if (refused) throw notJson(refused);
  if (text === undefined) throw invalidData(`the data cannot be expressed in JSON: received a ${typeof data}`);
  if (text.length > MIN_DEEP_LENGTH && !isJsonText(new TextEncoder().encode(`[${text}]`)))
    throw invalidData("the data are nested too deeply: more than 511 arrays and objects");
  return text;
}

/** A value that JSON cannot express: where it is, and what it is. */
interface Refused {
  path: string;
  what: string;
}

function findRefused(value: unknown): Refused | undefined {
  switch (typeof value) {
    case "function":
    case "symbol":
      return { path: "", what: `a ${typeof value}` };
    case "object":
      return value === null ? undefined : findInObject(value);
    default:
      return undefined;
  }
}

function findInObject(value: object): Refused | undefined {
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return undefined;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) {
      const refused = findRefused(value[at]);
      if (refused) return { ...refused, path: `[${at}]${refused.path}` };
    }
    return undefined;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    if (/^(?:Boolean|Number|String)$/.test(tag)) return undefined;
    // An instance of a class of the user has its state in its own members; all else would become {}.
    const hasState = tag === "Object" || (Object.keys(value).length > 0 && !/(?:Map|Set)$/.test(tag));
    if (!hasState || ArrayBuffer.isView(value)) return { path: "", what: `a ${tag}` };
  }
  for (const name of Object.keys(value)) {
    const refused = findRefused(value[name as keyof object]);
    if (refused) return { ...refused, path: `.${name}${refused.path}` };
  }
  return undefined;
}

function notJson({ path, what }: Refused): FerryError {
  // Without the quotes; the names may be any text.
  const place = formatValue(`data${path}`).slice(1, -1);
  const advice = what === "a Promise" ? "await it first" : "convert it first";
  return invalidData(`${place} is ${what}, which JSON would drop or write as {}; ${advice}`);
}

function invalidData(message: string, cause?: unknown): FerryError {
  return dataError(message, { culprit: "caller", cause });
}
