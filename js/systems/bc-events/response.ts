/** What a response says in its JSON. `src/bc_events/wire.rs` decides what that means, and says what the server sends. */
import { TextDecoder } from "../../platform/text.js";

/** The members that decide, as the lines that it describes. No line if the body is not JSON. */
export function membersOf(body: Uint8Array): string {
  let json: unknown;
  try {
    json = parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return "";
  }
  const { errorType, failedRecords, records } = (json ?? {}) as Record<string, unknown>;
  let lines = "{\n";
  if (typeof errorType === "string") lines += `!${onOneLine(errorType)}\n`;
  if (failedRecords !== undefined) lines += `#${jsonOf(failedRecords)}\n`;
  if (!Array.isArray(records)) return lines;
  lines += "[\n";
  for (const record of records) lines += `${lineOfRecord(record)}\n`;
  return lines;
}

/** What comes behind the object does not matter: the server has answered. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(objectAtStart(text));
  }
}

/** The text up to the brace that ends its first object, or all of it. */
function objectAtStart(text: string): string {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/[{}]|"(?:[^"\\]|\\.)*(?:"|\\?$)/gs)) {
    if (token === "{") depth++;
    if (token === "}" && --depth === 0) return text.slice(0, index + 1);
  }
  return text;
}

/** A count as JSON. `JSON.stringify` makes `null` of a number that is too large, and fails for what is nested too deep. */
function jsonOf(count: unknown): string {
  if (typeof count === "object" && count !== null) return "{}";
  return typeof count === "number" ? String(count) : JSON.stringify(count);
}

function lineOfRecord(record: unknown): string {
  const name = typeof record === "string" ? record : (record as { errorType?: unknown } | null)?.errorType;
  return typeof name === "string" ? `"${onOneLine(name)}` : "?";
}

/** In a message a line break is a space, and no name that means something has one. */
function onOneLine(name: string): string {
  return name.replaceAll("\n", " ");
}
