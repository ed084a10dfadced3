// A module as JavaScript: a text for each list of its bytes, see `js/engine/module-bytes.ts`. A byte is one character, or two
// if it is not printable. Transport compression finds the patterns of the module in it, which Base64 hides. All characters
// are ASCII and none is escaped, so a bundler that writes escapes as characters leaves the text as it is, and a page needs
// no charset.

/** The JavaScript that exports a module as `text`. `reader`: the exports of `js/engine/module-bytes.ts`. */
export function moduleText(wasm, { moveBytes, moduleBytes, SINGLE, SHIFTS }) {
  const room = SHIFTS.map(() => new Uint8Array(wasm.length));
  const counts = moveBytes(wasm, room, false);
  const bytes = room.map((list, at) => Array.from(list.subarray(0, counts[at])));
  const characters = characterTable(SINGLE);
  const lists = bytes.map((list, at) => list.map((byte) => characters[(byte + SHIFTS[at]) & 255]).join(""));
  const text = { length: wasm.length, lists };
  if (Buffer.compare(moduleBytes(text), wasm) !== 0)
    throw new Error("the module does not come back from its text as it went in");
  if (lists.some((list) => /<\/script|<!--/i.test(list)))
    throw new Error("the text of the module would end a script in a page; choose other numbers in SHIFTS");
  return `export const text = ${JSON.stringify(text)};\n`;
}

/** What stands for each byte: a character, or the mark of a part of the other bytes and the place in it. */
function characterTable(SINGLE) {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
  const singles = all.filter((character) => SINGLE.test(character));
  const others = all.filter((character) => !SINGLE.test(character));
  return all.map((character) => {
    const place = others.indexOf(character);
    if (place < 0) return character;
    return String.fromCharCode(125 + Math.floor(place / singles.length)) + singles[place % singles.length];
  });
}
