// A module as JavaScript: a text for each list of its bytes, see `js/engine/module-bytes.ts`. A byte is one character, or two
// if it is not printable. Transport compression finds the patterns of the module in it, which Base64 hides. All characters
// are ASCII and none is escaped, so a bundler that writes escapes as characters leaves the text as it is, and a page needs
// no charset.
//
// `js/engine/read-module-text.wat` visits the bytes in the same order, and has the same numbers. `moduleText` reads each text
// that it has made, so the build stops where the two differ.

import { createHash } from "node:crypto";

const ID_LENGTH = 16;

/** What stands for itself in a text: printable, not escaped in a string, and not the mark of a pair, } or ~. */
const SINGLE = /[ !#-[\]-|]/;
/**
 * What is added to each byte of a list, in the order of the lists below. It moves frequent bytes to characters that stand
 * for themselves. These numbers came out best.
 */
const SHIFTS = [0, 48, 96, 36, 96, 32, 48, 96, 64, 224, 48, 32];

// The lists: all that is not an instruction; the sizes of functions and the types of their variables; instructions; and
// their operands: variables, constants, offsets and alignments in memory, called functions, labels, blocks, others.
const REST = 0;
const SIZE = 1;
const TYPES = 2;
const INSTRUCTION = 3;
const VARIABLE = 4;
const OFFSET = 5;
const ALIGNMENT = 6;
const FUNCTION = 7;
const LABEL = 8;
const BLOCK = 9;
const CONSTANT = 10;
const OTHER = 11;
/** In place of a list: the operands are not one integer. */
const SEVERAL = 12;

/** The section of a module that has the functions. */
const CODE = 10;

/** Instructions with operands, by the numbers of the specification: the first, the last, and the list of the operand. */
const OPERANDS = [
  [0x02, 0x04, BLOCK],
  [0x0c, 0x0d, LABEL],
  [0x0e, 0x0e, SEVERAL],
  [0x10, 0x10, FUNCTION],
  [0x11, 0x11, SEVERAL],
  [0x20, 0x22, VARIABLE],
  [0x23, 0x24, OTHER],
  [0x28, 0x3e, SEVERAL],
  [0x41, 0x42, CONSTANT],
  [0x44, 0x44, SEVERAL],
  [0xfb, 0xfd, SEVERAL],
];

/**
 * Ends a module with its id, which is made from its bytes, as a custom section that engines ignore. `js/engine/module-file.ts`
 * knows by it which module a file is. A module that has one stays as it is.
 */
export function withId(wasm) {
  if (idOf(wasm) !== undefined) return wasm;
  const name = "id";
  const id = createHash("sha256").update(wasm).digest("hex").slice(0, ID_LENGTH);
  const section = [0, 1 + name.length + id.length, name.length, ...Buffer.from(name + id)];
  return Buffer.concat([wasm, Buffer.from(section)]);
}

/** The id of a module, undefined if it has none. */
function idOf(wasm) {
  // The length of the name of the section, the name, and the id.
  const end = wasm.subarray(-ID_LENGTH - 3).toString("latin1");
  return end.startsWith("\u0002id") ? end.slice(3) : undefined;
}

/** The JavaScript that exports a module as `text`, and its id, if it has one, as `id`. `moduleBytes`: that of `js/engine/module-bytes.ts`. */
export function moduleText(wasm, moduleBytes) {
  const characters = characterTable();
  const lists = sortedBytes(wasm).map((list, at) => list.map((byte) => characters[(byte + SHIFTS[at]) & 255]).join(""));
  const text = { length: wasm.length, lists };
  if (Buffer.compare(moduleBytes(text), wasm) !== 0)
    throw new Error("the module does not come back from its text as it went in");
  if (lists.some((list) => /<\/script|<!--/i.test(list)))
    throw new Error("the text of the module would end a script in a page; choose other numbers in SHIFTS");
  const id = idOf(wasm);
  const line = id === undefined ? "" : `export const id = "${id}";\n`;
  return `${line}export const text = ${JSON.stringify(text)};\n`;
}

/**
 * The bytes of a module in their lists. What this function knows about instructions decides how well the text is compressed,
 * and never what comes back from it.
 */
function sortedBytes(module) {
  const lists = SHIFTS.map(() => []);
  const listOf = new Uint8Array(256);
  for (const [first, last, list] of OPERANDS) listOf.fill(list, first, last + 1);
  let at = 0;

  const byte = (list) => {
    lists[list].push(module[at]);
    return module[at++];
  };
  const bytes = (list, count) => {
    while (count-- > 0) byte(list);
  };
  /** An integer: seven bits a byte, the lowest first; the last byte is below 128. */
  const integer = (list) => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const next = byte(list);
      value += (next & 127) * factor;
      if (next < 128) return value;
    }
  };
  const integers = (list, count) => {
    while (count-- > 0) integer(list);
  };
  const address = () => {
    integer(ALIGNMENT);
    integer(OFFSET);
  };
  const operands = (code) => {
    if (code === 0x0e) integers(LABEL, integer(LABEL) + 1);
    else if (code >= 0x28 && code <= 0x3e) address();
    else if (code === 0x44) bytes(OTHER, 8);
    else if (code === 0xfc) bulk(integer(OTHER));
    else if (code === 0xfd) vector(integer(OTHER));
    else integers(OTHER, 2);
  };
  const bulk = (code) => {
    if (code === 10) integers(OTHER, 2);
    else if (code === 11) integer(OTHER);
  };
  const vector = (code) => {
    if (code <= 11 || code === 92 || code === 93) address();
    else if (code <= 13) bytes(OTHER, 16);
    else if (code >= 21 && code <= 34) byte(OTHER);
  };

  bytes(REST, 8);
  while (at < module.length) {
    const section = byte(REST);
    const size = integer(REST);
    if (section !== CODE) {
      bytes(REST, size);
      continue;
    }
    for (let functions = integer(REST); functions > 0; functions--) {
      const size = integer(SIZE);
      const end = at + size;
      integers(TYPES, 2 * integer(TYPES));
      while (at < end) {
        const code = byte(INSTRUCTION);
        const list = listOf[code];
        if (list === SEVERAL) operands(code);
        else if (list !== 0) integer(list);
      }
    }
  }
  return lists;
}

/** What stands for each byte: a character, or the mark of a part of the other bytes and the place in it. */
function characterTable() {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
  const singles = all.filter((character) => SINGLE.test(character));
  const others = all.filter((character) => !SINGLE.test(character));
  return all.map((character) => {
    const place = others.indexOf(character);
    if (place < 0) return character;
    return String.fromCharCode(125 + Math.floor(place / singles.length)) + singles[place % singles.length];
  });
}
