// Makes the functions that end a Rust program trap at once. Each of them formats a message, with the place in the source, for an
// output that WebAssembly has none of, and then traps. Without the message a module traps all the same, and the code and
// texts that made it are left out by wasm-opt: about a kilobyte of each module, compressed.

import { encoded, readerOf, sectionsOf, withSections } from "./wasm-sections.mjs";

/**
 * The functions, by their names in the standard library: panics, failed bounds checks, `unwrap` and `expect`, and memory that
 * could not be allocated. None of them returns. And what only they call: the message of a panic, and how it shows the place
 * of a slice and a character. They stand in tables of functions, where wasm-opt does not see that nobody calls them.
 */
const PANICS = new RegExp(
  [
    "^core::panicking::",
    "^std::panicking::",
    "<std::panicking::",
    "^<(?:core::ops::range::Range<usize>|char) as core::fmt::Debug>::fmt",
    "^std::alloc::(?:rust_oom|default_alloc_error_hook)",
    "::rust_begin_unwind$",
    "::rust_panic$",
    "::__rust_abort$",
    "^core::slice::index::slice_index_fail",
    "^core::slice::index::slice_\\w+_fail",
    "^core::str::slice_error_fail",
    "^core::(?:option|result)::(?:unwrap|expect)_failed",
    "^core::cell::panic_",
    "^alloc::raw_vec::(?:handle_error|capacity_overflow)",
    "^alloc::alloc::handle_alloc_error",
    "::__rust_alloc_error_handler$",
  ].join("|"),
);

/**
 * What formats the place of a panic: a file and two numbers, in a string. Left out where nothing else calls it. A text that is
 * formatted elsewhere is written by one of these too.
 */
const FORMATTING = new RegExp(
  [
    "^core::fmt::write$",
    "^<core::fmt::Formatter>::pad",
    "^<(?:u32|&str) as core::fmt::Display>::fmt$",
    "^<alloc::string::String as core::fmt::Write>::write_",
  ].join("|"),
);

/** No variables, `unreachable`, `end`. */
const TRAP = [0, 0x00, 0x0b];

/** `call` and `return_call`. */
const CALLS = [0x10, 0x12];

const CUSTOM = 0;
const IMPORT = 2;
const CODE = 10;
const FUNCTION_NAMES = 1;

/** The module with these functions replaced, and the names of them. `wasm` needs its section of names. */
export function trapAtPanics(wasm) {
  const sections = sectionsOf(wasm);
  const firstFunction = importedFunctions(sections.find(({ id }) => id === IMPORT)?.content);
  const names = functionNames(sections);
  const replaced = [];
  const replacedSections = sections.map((section) => {
    if (section.id !== CODE) return section;
    const all = functionBodies(section.content).map((body, index) => {
      const number = firstFunction + index;
      return { body, number, name: names.get(number) ?? "" };
    });
    const live = all.filter(({ name }) => !PANICS.test(name));
    const formatting = live.filter(({ name }) => FORMATTING.test(name));
    const others = Buffer.concat(live.filter(({ name }) => !FORMATTING.test(name)).map(({ body }) => body));
    const formats = formatting.some(({ number }) => CALLS.some((call) => others.includes(bytesOf(call, number))));
    const functions = all.map(({ body, name }) => {
      if (!PANICS.test(name) && (formats || !FORMATTING.test(name))) return body;
      replaced.push(name);
      return Buffer.from(TRAP);
    });
    const content = Buffer.concat([
      encoded(functions.length),
      ...functions.flatMap((body) => [encoded(body.length), body]),
    ]);
    return { id: CODE, content };
  });
  return { wasm: withSections(wasm, replacedSections), replaced };
}

/** A call in the binary format. The same bytes in the middle of something else only keep what nobody calls. */
function bytesOf(call, number) {
  return Buffer.concat([Buffer.from([call]), encoded(number)]);
}

/** How many functions are imported: they come before the others. */
function importedFunctions(content) {
  if (content === undefined) return 0;
  const reader = readerOf(content, 0);
  let functions = 0;
  const limits = () => {
    const hasMaximum = reader.integer() & 1;
    reader.integer();
    if (hasMaximum) reader.integer();
  };
  for (let imports = reader.integer(); imports > 0; imports--) {
    reader.bytes();
    reader.bytes();
    const kind = reader.integer();
    if (kind === 0) {
      reader.integer();
      functions++;
    } else if (kind === 1) {
      reader.integer();
      limits();
    } else if (kind === 2) limits();
    else throw new Error(`a module imports something of kind ${kind}, which js/build/panics.mjs does not know`);
  }
  return functions;
}

function functionBodies(content) {
  const reader = readerOf(content, 0);
  return Array.from({ length: reader.integer() }, () => reader.bytes());
}

/** The names of the functions by their indices, without the hashes that rustc adds. */
function functionNames(sections) {
  const names = new Map();
  for (const { id, content } of sections) {
    if (id !== CUSTOM) continue;
    const reader = readerOf(content, 0);
    if (reader.bytes().toString() !== "name") continue;
    while (reader.at < content.length) {
      const kind = reader.integer();
      const part = readerOf(reader.bytes(), 0);
      if (kind !== FUNCTION_NAMES) continue;
      for (let count = part.integer(); count > 0; count--) {
        const index = part.integer();
        names.set(
          index,
          part
            .bytes()
            .toString()
            .replaceAll(/\[[0-9a-f]{16}\]|::h[0-9a-f]{16}$/g, ""),
        );
      }
    }
  }
  return names;
}
