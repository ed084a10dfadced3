/**
 * JSON that is read, looked at, and written again, with every number as it was: a replay id may be larger than what a
 * number of JavaScript holds. Written again, because two readers of one text may differ about a field that is there
 * twice, and what was checked must be what is sent.
 */

/** A value, and how it is written again. */
export interface Exact {
  /** Numbers that JavaScript would write in another way are texts here. */
  readonly value: unknown;
  /** The value, or any part of it, as JSON. */
  write(value: unknown): string;
}

const TOKEN = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;

/** @throws {SyntaxError} for what is no JSON */
export function exactly(text: string): Exact {
  JSON.parse(text);
  // Nobody can guess it, so no text of theirs becomes a number.
  const mark = `${crypto.randomUUID()}:`;
  const marked = text.replace(TOKEN, (token) =>
    token.startsWith('"') || String(Number(token)) === token ? token : `"${mark}${token}"`,
  );
  const numbers = new RegExp(`"${mark}([^"]+)"`, "g");
  return { value: JSON.parse(marked), write: (value) => JSON.stringify(value).replace(numbers, "$1") };
}
