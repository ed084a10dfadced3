// `node js/build/byte-orders.mjs`: prints the orders of bytes for `js/engine/module-bytes.ts`, from the modules of the last
// build. They decide how small the text of a module becomes, and never what comes back from it, so they need not be made
// anew with every change of the modules.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { characterCodes } from "../../dist/engine/module-bytes.js";
import { ORDER_OF_LIST, sortedBytes } from "./module-text.mjs";
import { MODULES } from "./modules.mjs";

/**
 * Characters for the most frequent bytes. Brotli predicts a character by the classes of the two before it: the space, the
 * percent sign, the comma, the point and the equals sign have a class each, brackets, quotation marks, vowels and digits share
 * one.
 */
const FIRST_CHARACTERS = " '%(,.=A)a0bB!";
/**
 * How many bytes of an order are written down. The others follow in ascending order. More make the text of a large module
 * smaller, but every application downloads them.
 */
const LENGTH = 42;

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const alone = characterCodes()
  .filter((code) => code < 128)
  .map((code) => String.fromCharCode(code));
const characters = [...new Set([...FIRST_CHARACTERS, ...alone])];

const counts = [0, 1, 2].map(() => Array.from({ length: 256 }, () => 0));
for (const name of Object.keys(MODULES)) {
  sortedBytes(readFileSync(join(root, `dist/wasm/${name}.wasm`))).forEach((bytes, list) => {
    for (const byte of bytes) counts[ORDER_OF_LIST[list]][byte]++;
  });
}
for (const count of counts) {
  const byFrequency = [...count.keys()].sort((a, b) => count[b] - count[a]);
  const order = alone.map((character) => byFrequency[characters.indexOf(character)]);
  console.log(Buffer.from(order.slice(0, LENGTH)).toString("base64"));
}
