// What the build makes of the modules of wasm-bindgen and of their glue.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { PORT_INPUTS } from "../../dist/engine/generated/tables.js";
import { tidyGlue } from "../../js/build/glue.mjs";
import { withShortNames } from "../../js/build/short-names.mjs";

const assembler = fileURLToPath(new URL("../../node_modules/binaryen/bin/wasm-as", import.meta.url));
const PUBLISH = new URL("../../dist/wasm/publish", import.meta.url);

const MODULE = `(module
  (import "./glue_bg.js" "__wbg_log_0123456789abcdef" (func $log (param i32)))
  (import "./glue_bg.js" "__wbg_log_fedcba9876543210" (func $other (param i32)))
  (memory (export "memory") 1)
  (func (export "port_call") (param i32) (call $log (local.get 0)) (call $other (i32.const 9)))
  (func (export "scan") (result i32) (i32.const 5))
  (func (export "__wbg_port_free") (param i32) (call $log (local.get 0))))`;

const GLUE = `export class Port {
    call(id) {
        wasm.port_call(id);
        return wasm.scan();
    }
}
    __wbg_log_0123456789abcdef: function(arg0) {
    __wbg_log_fedcba9876543210: function(arg0) {
    "./glue_bg.js": import0,
`;

test("imports, and exports that only the glue calls, have short names in the module and in the glue", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "glue-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "module.wat"), MODULE);
  const args = [assembler, join(folder, "module.wat"), "-o", join(folder, "module.wasm")];
  assert.equal(spawnSync(process.execPath, args).status, 0);
  const { wasm, glue } = withShortNames(readFileSync(join(folder, "module.wasm")), GLUE);
  const module = new WebAssembly.Module(wasm);
  assert.deepEqual(
    WebAssembly.Module.imports(module).map(({ module, name }) => [module, name]),
    [
      ["a", "a"],
      ["a", "b"],
    ],
  );
  assert.deepEqual(
    WebAssembly.Module.exports(module).map(({ name }) => name),
    ["memory", "a", "scan", "b"],
  );
  assert.ok(glue.includes("wasm.a(id)") && glue.includes("wasm.scan()"), glue);
  assert.ok(
    glue.includes("    a: function") && glue.includes("    b: function") && glue.includes('"a": import0'),
    glue,
  );
  const logged = [];
  const { exports } = new WebAssembly.Instance(module, { a: { a: (n) => logged.push(n), b: (n) => logged.push(-n) } });
  exports.a(3);
  exports.b(4);
  assert.deepEqual([logged, exports.scan()], [[3, -9, 4], 5]);
});

test("glue that wasm-bindgen has written otherwise stops the build", () => {
  assert.throws(() => tidyGlue(GLUE, "odd"), /the glue of odd does not have exactly one/);
});

test("a port of an instance that was discarded, and one that was freed, refuse calls", async () => {
  const glue = await import(`${pathToFileURL(`${fileURLToPath(PUBLISH)}.glue.js`)}?test=glue`);
  glue.initSync({ module: readFileSync(`${fileURLToPath(PUBLISH)}.wasm`) });
  const make = () => new glue.CallsPort(new Float64Array(8), 0, 1, { wait() {} });
  const [stale, freed] = [make(), make()];
  stale.input(PORT_INPUTS.close, 0);
  freed.free();
  assert.throws(() => freed.input(PORT_INPUTS.close, 0), /null pointer/);
  glue.__wbg_reset_state();
  assert.throws(() => stale.input(PORT_INPUTS.close, 0), /Invalid stale object from previous Wasm instance/);
  make().input(PORT_INPUTS.close, 0);
});

test("an effect that throws leaves the machine usable", async () => {
  const glue = await import(`${pathToFileURL(`${fileURLToPath(PUBLISH)}.glue.js`)}?test=effects`);
  glue.initSync({ module: readFileSync(`${fileURLToPath(PUBLISH)}.wasm`) });
  let waits = 0;
  const fail = () => {
    waits++;
    throw new Error("no room");
  };
  const port = new glue.CallsPort(new Float64Array(8), 0, 1, { wait: fail });
  for (let call = 0; call < 3; call++) port.input(PORT_INPUTS.close, 0);
  assert.equal(waits, 3);
});
