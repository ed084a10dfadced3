// What the build changes in the glue that wasm-bindgen has written: what nothing here needs is left out, and what stands in
// each method and import is written once.
import { fail } from "./tools.mjs";

/** What is in no glue after the changes. */
const LEFT_OUT = [
  /__wbg_call_guard|__wbg_reinit_scheduled/,
  /__wbg_inst !== undefined/,
  /Symbol\.dispose|__destroy_into_raw|defineProperty\(this, '__wbg_inst'/,
  /\bval\d+\b/,
  /^ +if \(ptr\d+\) \{ wasm/m,
  /handleError\(function[^]*\}, arguments\)/,
  /realloc === undefined/,
];

/** The glue of a module after the changes, before it is minified. Those that must match once stop the build if they do not. */
export function tidyGlue(glue, name) {
  const patch = (from, to) => {
    if (glue.split(from).length !== 2)
      fail(`the glue of ${name} does not have exactly one «${from}»; look at what wasm-bindgen changed`);
    glue = glue.replace(from, () => to);
  };
  // In the Vercel edge sandbox the module comes from another realm.
  patch(
    "!(module instanceof WebAssembly.Module)",
    "Object.prototype.toString.call(module) !== '[object WebAssembly.Module]'",
  );
  // `TextModule` calls the exports itself, not through a wrapper for each.
  patch(
    "function __wbg_get_imports() {",
    "export function exportsNow() {\n    return wasm;\n}\nfunction __wbg_get_imports() {",
  );
  // Modules are started by `initSync` alone. Without the other way in, its functions are left out by the minifier.
  patch("export { initSync, __wbg_init as default };", "export { initSync };");
  // It always gets an object with the module.
  const start = glue.indexOf("    if (module !== undefined) {", glue.indexOf("function initSync("));
  const end = glue.indexOf("    const imports", start);
  if (start < 0 || end < 0) fail(`the glue of ${name} starts modules otherwise; look at what wasm-bindgen changed`);
  glue = `${glue.slice(0, start)}    ({module} = module);\n${glue.slice(end)}`;
  for (const change of [withoutGuards, withSharedChecks, withSharedFinalization, withPlainArguments, withoutUnused])
    glue = change(glue);
  const left = LEFT_OUT.find((pattern) => pattern.test(glue));
  if (left) fail(`the glue of ${name} still has ${left}; look at what wasm-bindgen changed`);
  // What an instance that was thrown away has waited for comes all the same: an error there would be one that nobody can catch.
  const stale = "throw new Error('Cannot invoke closure from previous WASM instance');";
  if (glue.includes("closure")) patch(stale, "return;");
  // Jest's jsdom has no global ones.
  if (glue.includes("TextDecoder")) glue = `import { TextDecoder, TextEncoder } from "../platform/text.js";\n${glue}`;
  return glue;
}

/** Nothing here asks for another instance but `__wbg_reset_state` itself, so no call has to look whether somebody did. */
function withoutGuards(glue) {
  return glue
    .replace(/^function __wbg_call_guard\(\) \{\n(?: .*\n)+\}\n/m, "")
    .replaceAll(/^.*__wbg_reinit_scheduled = false;\n/gm, "")
    .replaceAll(/^ *__wbg_call_guard\(\);\n/gm, "")
    .replaceAll(/^( *)let ret;\n\1ret = /gm, "$1const ret = ");
}

/** The same check stands in each method. In a function of its own it is not in the bundle forty times. */
function withSharedChecks(glue) {
  const message = "throw new Error('Invalid stale object from previous Wasm instance');";
  for (const indent of ["        ", "            "]) {
    const isStale = "this.__wbg_inst !== undefined && this.__wbg_inst !== __wbg_instance_id";
    glue = glue.replaceAll([`if (${isStale}) {`, `    ${message}`, "}"].join(`\n${indent}`), "checkInstance(this);");
  }
  // Every object has an instance.
  glue = glue.replaceAll(
    "Object.defineProperty(this, '__wbg_inst', { value: __wbg_instance_id, writable: true });",
    "this.__wbg_inst = __wbg_instance_id;",
  );
  const check = `function checkInstance(port) { if (port.__wbg_inst !== __wbg_instance_id) ${message} }`;
  return glue.includes("checkInstance") ? `${glue}${check}\n` : glue;
}

/** Each class has a registry of its own that frees its objects. They differ in one name. */
function withSharedFinalization(glue) {
  const own = new RegExp(
    [
      /\(typeof FinalizationRegistry === 'undefined'\)/,
      / {4}\? (.*)/,
      / {4}: new FinalizationRegistry\(\(\{ ptr, instance \}\) => \{/,
      / {4}if \(instance === __wbg_instance_id\) wasm\.(\w+)\(ptr, 1\);/,
      /\}\);/,
    ]
      .map(({ source }) => source)
      .join("\n"),
    "g",
  );
  if (!own.test(glue)) return glue;
  own.lastIndex = 0;
  glue = glue.replaceAll(own, (_, _none, free) => `finalization((ptr) => wasm.${free}(ptr, 1));`);
  return `${glue}
function finalization(free) {
  return typeof FinalizationRegistry === "undefined"
    ? { register() {}, unregister() {} }
    : new FinalizationRegistry(({ ptr, instance }) => instance === __wbg_instance_id && free(ptr));
}`;
}

/**
 * The arguments are numbers, booleans, texts and lists, as `js/engine/ports.ts` says: nothing of the application runs when they
 * are converted, and no conversion fails but by a trap, after which the instance is discarded with all that it held.
 */
function withPlainArguments(glue) {
  glue = glue.replaceAll(
    /^( *)try \{\n((?: +ptr\d+ = .*\n +len\d+ = .*\n)+)\1\} catch \(e\) \{\n(?:\1 {4}if \(ptr.*\n)+\1 {4}throw e;\n\1\}\n/gm,
    "$2",
  );
  // Each method has them at its beginning, and their names count on through it.
  glue = glue.replaceAll(/^( *)const val\d+ = \+\w+;\n[^]*?\n(?: {4})?\}\n/gm, (body) => {
    const values = new Map();
    const rest = body.replaceAll(/^ *const (val\d+) = \+(\w+);\n/gm, (_, value, argument) => {
      values.set(value, argument);
      return "";
    });
    return rest.replaceAll(/\bval\d+\b/g, (value) => values.get(value) ?? value);
  });
  // Of the import with these arguments, not of a call to it.
  glue = glue.replaceAll(/: function\(\) \{ return handleError\(function (?=\()/g, ": handleError(function ");
  glue = glue.replaceAll(/^( +)\}, arguments\); \},$/gm, "$1}),");
  return glue.replace(
    "function handleError(f, args) {\n    try {\n        return f.apply(this, args);\n    } catch (e) {",
    "const handleError = (f) => (...args) => {\n    try {\n        return f(...args);\n    } catch (e) {",
  );
}

/** What no call comes to: nothing here is written with `using`, and each text is passed with a function that makes room. */
function withoutUnused(glue) {
  return glue
    .replaceAll(/^if \(Symbol\.dispose\) .*\n/gm, "")
    .replaceAll(
      /^ {4}__destroy_into_raw\(\) \{\n((?: {8}.*\n)+?) {8}return ptr;\n {4}\}\n {4}free\(\) \{\n {8}const ptr = this\.__destroy_into_raw\(\);\n/gm,
      "    free() {\n$1",
    )
    .replace(/^ {4}if \(realloc === undefined\) \{\n(?: {8}.*\n)+ {4}\}\n/m, "");
}
