/** Splits JSON text at its commas, without a check of what is between them. */

/** Strings, brackets and commas. All other characters are skipped. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},]/gs;
const NAME = /^\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*:/s;

/** A member of an object: its text, and its name and value as they are written. */
export interface RawMember {
  text: string;
  name: string;
  value: string;
}

/**
 * The positions of the elements of an array or of the members of an object, each with the white space around it.
 * `undefined` if the text does not start with the bracket, or does not end where its brackets end.
 */
export function splitJson(text: string, bracket: "[" | "{"): [start: number, end: number][] | undefined {
  const first = /\S/.exec(text);
  if (first?.[0] !== bracket) return undefined;
  const parts: [number, number][] = [];
  let depth = 0;
  let start = first.index + 1;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    switch (token) {
      case "[":
      case "{":
        depth++;
        break;
      case ",":
        if (depth !== 1) break;
        parts.push([start, index]);
        start = index + 1;
        break;
      case "]":
      case "}":
        if (--depth > 0) break;
        if (/\S/.test(text.slice(index + 1))) return undefined;
        if (parts.length > 0 || /\S/.test(text.slice(start, index))) parts.push([start, index]);
        return parts;
    }
  }
  return undefined;
}

/** The members of an object. `undefined` if one of them has no name. */
export function membersOf(text: string): RawMember[] | undefined {
  const members: RawMember[] = [];
  for (const [start, end] of splitJson(text, "{") ?? []) {
    const member = text.slice(start, end);
    const name = NAME.exec(member);
    if (!name) return undefined;
    members.push({ text: member, name: name[1]!, value: member.slice(name[0].length).trim() });
  }
  return members.length > 0 ? members : undefined;
}

/** The positions of the lines that are not empty. */
export function splitLines(text: string): [start: number, end: number][] {
  return Array.from(text.matchAll(/[^\n]*[^\s][^\n]*/g), ({ 0: line, index }) => [index!, index! + line.length]);
}
