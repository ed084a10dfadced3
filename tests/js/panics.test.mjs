// The build step that makes the functions of Rust that panic trap at once.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { trapAtPanics } from "../../js/build/panics.mjs";

const assembler = fileURLToPath(new URL("../../node_modules/binaryen/bin/wasm-as", import.meta.url));

/** The bytes of a module, with the names of its functions. */
function assemble(t, text) {
  const folder = mkdtempSync(join(tmpdir(), "panics-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "module.wat"), text);
  const { status, stderr } = spawnSync(process.execPath, [
    assembler,
    "-g",
    "--enable-exception-handling",
    join(folder, "module.wat"),
    "-o",
    join(folder, "module.wasm"),
  ]);
  assert.equal(status, 0, String(stderr));
  return readFileSync(join(folder, "module.wasm"));
}

const MODULE = `(module
  (import "host" "log" (func $log (param i32)))
  (import "host" "memory" (memory 1 2))
  (func $"core[0123456789abcdef]::panicking::panic_fmt" (param i32) (call $log (i32.const 1)) (unreachable))
  (func $"core::slice::index::slice_index_fail::h0123456789abcdef" (call $log (i32.const 2)) (unreachable))
  (func $"eventferry::panicking::panic_fmt" (param i32) (call $log (local.get 0)))
  (func (export "panic") (call $"core[0123456789abcdef]::panicking::panic_fmt" (i32.const 7)))
  (func (export "slice") (call $"core::slice::index::slice_index_fail::h0123456789abcdef"))
  (func (export "own") (call $"eventferry::panicking::panic_fmt" (i32.const 3))))`;

test("a function that panics traps before it does anything else; all others stay as they are", (t) => {
  const { wasm, replaced } = trapAtPanics(assemble(t, MODULE));
  assert.deepEqual(replaced, ["core::panicking::panic_fmt", "core::slice::index::slice_index_fail"]);
  const logged = [];
  const host = { log: (value) => logged.push(value), memory: new WebAssembly.Memory({ initial: 1, maximum: 2 }) };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), { host });
  assert.throws(() => exports.panic(), WebAssembly.RuntimeError);
  assert.throws(() => exports.slice(), WebAssembly.RuntimeError);
  assert.deepEqual(logged, []);
  exports.own();
  assert.deepEqual(logged, [3]);
});

test("what only the message of a panic calls is not kept by a table of functions", (t) => {
  const payload = "<std::panicking::panic_handler::FormatStringPayload as core::panic::PanicPayload>::take_box";
  const text = `(module
    (table 2 funcref)
    (elem (i32.const 0) $"${payload}" $"<char as core::fmt::Debug>::fmt")
    (func $"${payload}" (call $"core::fmt::write"))
    (func $"<char as core::fmt::Debug>::fmt" (call $"core::fmt::write"))
    (func $"<u32 as core::fmt::Display>::fmt" (call $"core::fmt::write"))
    (func $"core::fmt::write")
    (func (export "format") (call $"core::fmt::write")))`;
  assert.deepEqual(trapAtPanics(assemble(t, text)).replaced, [payload, "<char as core::fmt::Debug>::fmt"]);
});

test("what formats the place of a panic traps too, unless something else formats a text with it", (t) => {
  const NAMES = ["<u32 as core::fmt::Display>::fmt", "<core::fmt::Formatter>::pad_integral", "core::fmt::write"];
  const [number, pad, write] = NAMES;
  const text = (caller) => `(module
    (table 1 funcref)
    (elem (i32.const 0) $"${number}")
    (func $"${number}" (call $"${pad}"))
    (func $"${pad}" (call $"${write}"))
    (func $"core::panicking::panic_fmt" (call $"${write}") (unreachable))
    (func $"${write}")
    ${caller})`;
  const replacedWith = (caller) => trapAtPanics(assemble(t, text(caller))).replaced;
  assert.deepEqual(replacedWith(""), [number, pad, "core::panicking::panic_fmt", write]);
  for (const name of NAMES) assert.deepEqual(replacedWith(`(func (call $"${name}"))`), ["core::panicking::panic_fmt"]);
});

test("a module that imports what the build step does not know is refused, not changed", (t) => {
  const tag = assemble(t, `(module (import "host" "tag" (tag (param i32))) (func (export "f")))`);
  assert.throws(() => trapAtPanics(tag), /kind 4/);
});

test("a module without names stays as it is", () => {
  const empty = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  assert.deepEqual(trapAtPanics(empty), { wasm: empty, replaced: [] });
});
