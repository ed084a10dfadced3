// Gives what a module and its glue share names of one or two letters: what the module imports, and the exports that only the
// glue calls. wasm-bindgen names an import after its function and a hash, which no compression makes shorter.
import { encoded, readerOf, sectionsOf, withSections } from "./wasm-sections.mjs";

const IMPORT = 2;
const EXPORT = 7;
const GLUE = "./glue_bg.js";

/** The module and its glue with short names. `glue` is the text that wasm-bindgen has written. */
export function withShortNames(wasm, glue) {
  const classes = [...glue.matchAll(/^export class (\w+)/gm)].map(([, name]) => name.toLowerCase());
  const ofGlue = new RegExp(`^(?:__|(?:${classes.join("|") || "\\b\\B"})_)`);
  const imports = new Map();
  const exports = new Map();
  const sections = sectionsOf(wasm).map((section) => {
    if (section.id === IMPORT) return { ...section, content: renamedImports(section.content, imports) };
    if (section.id === EXPORT) return { ...section, content: renamedExports(section.content, exports, ofGlue) };
    return section;
  });
  // The names of all of them are whole words that nothing else in the glue has.
  for (const [name, short] of imports) glue = glue.replaceAll(new RegExp(`^( +)${name}: `, "gm"), `$1${short}: `);
  for (const [name, short] of exports) glue = glue.replaceAll(new RegExp(`\\bwasm\\.${name}\\b`, "g"), `wasm.${short}`);
  return { wasm: withSections(wasm, sections), glue: glue.replace(`"${GLUE}"`, `"${shortName(0)}"`) };
}

function renamedImports(content, names) {
  const reader = readerOf(content, 0);
  const parts = [];
  let from = 0;
  for (let count = reader.integer(); count > 0; count--) {
    const start = reader.at;
    const module = reader.bytes().toString();
    const name = reader.bytes().toString();
    if (module !== GLUE) throw new Error(`a module imports from ${module}; look at what wasm-bindgen changed`);
    parts.push(content.subarray(from, start), counted(shortName(0)), counted(nameIn(names, name)));
    from = reader.at;
    if (reader.integer() !== 0) throw new Error(`${name} is no function; look at what wasm-bindgen changed`);
    reader.integer();
  }
  return Buffer.concat([...parts, content.subarray(from)]);
}

function renamedExports(content, names, ofGlue) {
  const reader = readerOf(content, 0);
  const parts = [];
  let from = 0;
  for (let count = reader.integer(); count > 0; count--) {
    const start = reader.at;
    const name = reader.bytes().toString();
    if (ofGlue.test(name)) {
      parts.push(content.subarray(from, start), counted(nameIn(names, name)));
      from = reader.at;
    }
    reader.integer();
    reader.integer();
  }
  return Buffer.concat([...parts, content.subarray(from)]);
}

function nameIn(names, name) {
  const short = names.get(name) ?? shortName(names.size);
  names.set(name, short);
  return short;
}

/** `a` to `z`, then `aa`, `ba` and so on. */
function shortName(at) {
  const letter = String.fromCharCode(97 + (at % 26));
  return at < 26 ? letter : letter + shortName(Math.floor(at / 26) - 1);
}

function counted(text) {
  return Buffer.concat([encoded(text.length), Buffer.from(text)]);
}
