/**
 * Reads JSON and writes it again without changing a number: a replay id may exceed the integers of JavaScript.
 *
 * The text is always written again, because two parsers may disagree about a member that occurs twice, and what was
 * checked must be what is sent.
 */

/** A parsed value, and a function that writes it again. */
export interface LosslessJson {
  /** The value. Numbers that JavaScript would write differently are strings in it. */
  readonly value: unknown;
  /** Writes the value, or any part of it, as JSON. */
  write(value: unknown): string;
}

const TOKEN = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;

/** @throws {SyntaxError} if the text is not JSON */
export function parseLossless(text: string): LosslessJson {
  JSON.parse(text);
  // Random, so that no string in the text can pass for a marked number.
  const mark = `${crypto.randomUUID()}:`;
  const marked = text.replace(TOKEN, (token) =>
    token.startsWith('"') || String(Number(token)) === token ? token : `"${mark}${token}"`,
  );
  const numbers = new RegExp(`"${mark}([^"]+)"`, "g");
  return { value: JSON.parse(marked), write: (value) => JSON.stringify(value).replace(numbers, "$1") };
}
