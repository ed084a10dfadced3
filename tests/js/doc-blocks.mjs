// The code blocks of the README and of the pages in www/docs, and how they run.
//
// A block says its name: ```js run=name. It runs as a module of its own, against an emulator that has the place of
// `npx eventferry emulator`: the address http://127.0.0.1:8787 becomes that of the emulator. A comment after
// `console.log(…);` is what it must print.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { transformSync } from "esbuild";
import { problemsOf } from "./typescript.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
/** The address of `npx eventferry emulator`. */
export const EMULATOR_ADDRESS = "http://127.0.0.1:8787";

export const read = (path) => readFileSync(join(root, path), "utf8");

/** The README and the pages, by their path. */
export const PAGES = new Map(
  [
    "README.md",
    ...readdirSync(join(root, "www/docs"))
      .filter((name) => name.endsWith(".md"))
      .map((name) => `www/docs/${name}`),
  ].map((path) => [path, read(path)]),
);

/** The blocks that say `run=name`, by that name. */
export const BLOCKS = new Map();
for (const [path, text] of PAGES) {
  for (const [, language, name, code] of text.matchAll(/^```(js|ts) run=([\w-]+)\n(.*?)^```$/gms)) {
    assert.ok(!BLOCKS.has(name), `${path}: another block has the name ${name}`);
    BLOCKS.set(name, { path, language, code });
  }
}

const untested = new Set(BLOCKS.keys());

/** Names of the blocks that have not run yet. */
export const blocksWithoutTest = () => [...untested];

/** Says that a test of its own runs the block, by other means than `run`. */
export const claim = (name) => assert.ok(untested.delete(name), `no page has a block run=${name}`);

/** A block as a program: TypeScript becomes JavaScript, and the emulator is where it is. */
function programOf(name, { replace = [], emulator }) {
  const block = BLOCKS.get(name);
  assert.ok(block, `no page has a block run=${name}`);
  untested.delete(name);
  let { code } = block;
  for (const [from, to] of replace) {
    assert.equal(code.split(from).length, 2, `the block ${name} has ${from} in it once`);
    code = code.replace(from, to);
  }
  if (emulator !== undefined) code = code.replaceAll(EMULATOR_ADDRESS, emulator);
  return block.language === "ts" ? transformSync(code, { loader: "ts" }).code : code;
}

/**
 * Runs a block as a module of its own.
 *
 * @param options.replace pairs of texts, for example of an address of the reader and one of the test
 * @param options.emulator the URL of the emulator
 * @param options.more code to append, for example to export what the block does not
 * @returns what it exports, what it has printed so far, and what it says that it prints
 */
export async function run(name, { more = "", ...options } = {}) {
  let code = programOf(name, options);
  const expected = [...code.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)].map(([, words]) => words);
  assert.equal(
    expected.length,
    code.split("console.log(").length - 1,
    `${name}: a console.log says in a comment what it prints`,
  );
  // A module without a place of its own finds packages only by their address.
  code = code.replace(
    / from "(eventferry[^"]*)"/g,
    (_, specifier) => ` from ${JSON.stringify(import.meta.resolve(specifier))}`,
  );
  const printed = [];
  const key = Symbol.for(`eventferry.docs.${name}`);
  globalThis[key] = {
    error: () => undefined,
    log: (...values) =>
      printed.push(values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ")),
  };
  const ownConsole = `const console = globalThis[Symbol.for(${JSON.stringify(key.description)})];`;
  const module = await import(`data:text/javascript,${encodeURIComponent(`${ownConsole}\n${code}\n${more}`)}`);
  return { module, printed, expected };
}

/** Runs a block that needs nothing but the emulator, and compares what it prints. */
export async function runAlone(name, options) {
  const { printed, expected, module } = await run(name, options);
  assert.deepEqual(printed, expected);
  return module;
}

/** The compiler errors of a block in TypeScript. */
export const compiled = (name) => problemsOf([BLOCKS.get(name).code]);
