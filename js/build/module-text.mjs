// A module as JavaScript: a text for each list of its bytes, see `js/engine/module-bytes.ts`. A byte is one character, or two
// if it is not printable. Transport compression finds the patterns of the module in it, which Base64 hides. All characters
// are ASCII and none is escaped, so a bundler that writes escapes as characters leaves the text as it is, and a page needs
// no charset.
//
// `js/engine/read-module-text.wat` visits the bytes in the same order, and has the same numbers. `moduleText` reads each text
// that it has made, so the build stops where the two differ.

import { createHash } from "node:crypto";

const ID_LENGTH = 16;

// The lists: all that is not an instruction; the types of the variables of functions; instructions, with the functions and
// global variables that they name; and their other operands: variables, offsets in memory, labels, blocks, constants, others.
// The size of a function follows from its instructions, and alignments in memory are 0 (`wasm-opt --dealign`): the text has
// neither.
const REST = 0;
const TYPES = 1;
const INSTRUCTION = 2;
const VARIABLE = 3;
const OFFSET = 4;
const LABEL = 5;
const BLOCK = 6;
const CONSTANT = 7;
const OTHER = 8;
/** For each list, which of the orders in `js/engine/module-bytes.ts` its bytes have. */
export const ORDER_OF_LIST = [0, 2, 1, 2, 2, 2, 2, 2, 2];

/** In place of a list: the operands are not one integer. */
const SEVERAL = 9;

/** The section of a module that has the functions. */
const CODE = 10;

/** Instructions with operands, by the numbers of the specification: the first, the last, and the list of the operand. */
const OPERANDS = [
  [0x02, 0x04, BLOCK],
  [0x0c, 0x0d, LABEL],
  [0x0e, 0x0e, SEVERAL],
  [0x10, 0x10, INSTRUCTION],
  [0x11, 0x11, SEVERAL],
  [0x20, 0x22, VARIABLE],
  [0x23, 0x24, INSTRUCTION],
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

/**
 * The JavaScript that exports a module as `text`, and its id, if it has one, as `id`. `reader` is `js/engine/module-bytes.ts`,
 * compiled.
 */
export function moduleText(wasm, reader) {
  const codes = reader.characterCodes();
  const tables = reader.byteOrders().map((order) => characterTable(order, codes));
  const lists = sortedBytes(wasm).map((bytes, list) => bytes.map((byte) => tables[ORDER_OF_LIST[list]][byte]).join(""));
  const text = { length: wasm.length, lists };
  if (Buffer.compare(reader.moduleBytes(text), wasm) !== 0)
    throw new Error("the module does not come back from its text as it went in");
  if (lists.some((list) => /<\/script|<!--/i.test(list)))
    throw new Error(
      "the text of the module would end a script in a page; choose another order in js/engine/module-bytes.ts",
    );
  const id = idOf(wasm);
  const line = id === undefined ? "" : `export const id = "${id}";\n`;
  return `${line}export const text = ${JSON.stringify(text)};\n`;
}

/**
 * The bytes of a module in their lists. What this function knows about instructions decides how well the text is compressed,
 * and never what comes back from it.
 */
export function sortedBytes(module) {
  const lists = ORDER_OF_LIST.map(() => []);
  const listOf = new Uint8Array(256);
  for (const [first, last, list] of OPERANDS) listOf.fill(list, first, last + 1);
  let at = 0;

  /** `list` is undefined for what is in no list. */
  const byte = (list) => {
    lists[list]?.push(module[at]);
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
    integer();
    integer(OFFSET);
  };
  const operands = (code) => {
    if (code === 0x0e) integers(LABEL, integer(LABEL) + 1);
    else if (code >= 0x28 && code <= 0x3e) address();
    else if (code === 0x44) bytes(OTHER, 8);
    else if (code === 0xfc) bulk(integer(INSTRUCTION));
    else if (code === 0xfd) vector(integer(INSTRUCTION));
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
      const size = integer();
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

/** What stands for each byte: a character, or the mark of a pair and a character. */
function characterTable(order, codes) {
  const table = [];
  order.forEach((byte, place) => {
    const mark = ["", "}", "~"][codes[place] >> 7];
    table[byte] = mark + String.fromCharCode(codes[place] & 127);
  });
  return table;
}
