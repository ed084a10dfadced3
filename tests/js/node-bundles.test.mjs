// What Node, Bun and Deno load: bundles of the entry points, which share their parts, and the file of a module beside them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { moduleFile } from "../../dist/engine/module-file.js";
import { id } from "../../dist/wasm/codecs.inline.js";
import { ENTRY_POINTS } from "../../js/build/entry-points.mjs";
import { MODULES } from "../../js/build/modules.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const bundles = join(root, "dist/entries/node");
const subpath = (name) => (name === "index" ? "eventferry" : `eventferry/${name}`);
const folder = mkdtempSync(join(tmpdir(), "eventferry-bundles-"));
after(() => rmSync(folder, { recursive: true }));

test("an entry point has the same exports in the bundles as in the single files, and classes their names", async () => {
  for (const { name: entry } of ENTRY_POINTS) {
    const [bundle, files] = await Promise.all([import(subpath(entry)), import(`../../dist/entries/${entry}.js`)]);
    const namesOf = (all) => Object.entries(all).map(([name, value]) => [name, typeof value, value?.name]);
    assert.deepEqual(namesOf(bundle), namesOf(files), entry);
  }
});

/** The files that are loaded with a file of the bundles. */
function loadedWith(file) {
  const files = new Set([file]);
  for (const name of files) {
    const code = readFileSync(join(bundles, name), "utf8");
    for (const [, other] of code.matchAll(/^(?:import|export|\})[^;]*?"\.\/([^"]+)";/gm)) files.add(other);
  }
  return files;
}

test("an entry point is a few files, not one for each source file", () => {
  const most = { cloudevents: 5, "events-protocol": 6, bayeux: 8, outbox: 10 };
  for (const { name } of ENTRY_POINTS) {
    const { size } = loadedWith(`${name}.js`);
    assert.ok(size > 1 && size <= (most[name] ?? 20), `${name}: ${size}`);
  }
});

test("a client that has sent nothing loads neither the fetch of Node nor its streams", () => {
  const program = `
    const before = new Set(process.moduleLoadList);
    const { Publisher } = await import("eventferry/outbox");
    const { BayeuxClient } = await import("eventferry/bayeux");
    new Publisher({ url: "https://example.com/events" }).close();
    await new BayeuxClient("https://example.com/cometd").close();
    const loaded = process.moduleLoadList.filter((name) => !before.has(name) && /undici|streams/.test(name));
    console.log(loaded.join());`;
  const args = ["--no-warnings", "--input-type=module", "--eval", program];
  assert.equal(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }), "\n");
});

test("require and import of the package give the same class", () => {
  const program = `
    import { createRequire } from "node:module";
    import { CloudEvent } from "eventferry";
    console.log(createRequire(process.cwd() + "/x.js")("eventferry/cloudevents").CloudEvent === CloudEvent);`;
  const args = ["--no-warnings", "--input-type=module", "--eval", program];
  assert.equal(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }), "true\n");
});

const DECODES = `CloudEvent.fromJSON('{"specversion":"1.0","id":"7","source":"/s","type":"t"}').id`;
const run = (file) => execFileSync(process.execPath, [file], { encoding: "utf8" }).trim();

test("bundles that were copied without the files of the modules start from the text", () => {
  const copy = join(folder, "copied/entries/node");
  cpSync(bundles, copy, { recursive: true });
  writeFileSync(join(folder, "copied/package.json"), '{ "type": "module" }');
  const program = join(copy, "program.js");
  writeFileSync(program, `import { CloudEvent } from "./cloudevents.js";\nconsole.log(${DECODES});\n`);
  assert.equal(run(program), "7");
});

for (const [format, load] of [
  ["esm", 'import { CloudEvent } from "eventferry";'],
  ["cjs", 'const { CloudEvent } = require("eventferry");'],
]) {
  test(`an application that is bundled for Node takes the single files, as ${format}, and starts elsewhere`, async () => {
    const { metafile, outputFiles } = await build({
      stdin: { contents: `${load}\nconsole.log(${DECODES});`, resolveDir: root },
      ...{ bundle: true, platform: "node", format, write: false, metafile: true, absWorkingDir: root },
    });
    assert.deepEqual(
      Object.keys(metafile.inputs).filter((input) => /dist\/(?:entries\/node|cjs)\//.test(input)),
      [],
    );
    const program = join(folder, format === "esm" ? "program.mjs" : "program.cjs");
    writeFileSync(program, outputFiles[0].contents);
    assert.equal(run(program), "7");
  });
}

test("the file of each module is read in Node", async () => {
  const place = pathToFileURL(join(bundles, "index.js")).href;
  for (const name of Object.keys(MODULES)) {
    const { id } = await import(`../../dist/wasm/${name}.inline.js`);
    const file = readFileSync(join(root, `dist/wasm/${name}.wasm`));
    assert.deepEqual(moduleFile(name, id, place), file);
    assert.equal(WebAssembly.Module.customSections(new WebAssembly.Module(file), "id").length, 1);
  }
});

test("a file of the same name that another version has there is not taken for the module", () => {
  mkdirSync(join(folder, "wasm"));
  cpSync(join(root, "dist/wasm/filters.wasm"), join(folder, "wasm/codecs.wasm"));
  assert.equal(moduleFile("codecs", id, pathToFileURL(join(folder, "a/b/index.js")).href), undefined);
});

test("a file that cannot be read is not an error", () => {
  for (const place of [undefined, "", "https://example.com/a/b/index.js", pathToFileURL(join(folder, "c/a/b.js")).href])
    assert.equal(moduleFile("codecs", id, place), undefined);
});

test("Deno, which would ask for permission, reads no file", () => {
  globalThis.Deno = {};
  try {
    assert.equal(moduleFile("codecs", id, pathToFileURL(join(bundles, "index.js")).href), undefined);
  } finally {
    delete globalThis.Deno;
  }
});

test("the tests' way into the bundles is not shipped", () => {
  const { files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.ok(readdirSync(bundles).includes("internals.js"));
  assert.ok(files.includes("!dist/entries/node/internals.js"));
});

test("an application for Node bundles the class of events only if it uses them", async () => {
  const bundle = async (contents) => {
    const options = { bundle: true, write: false, format: "esm", platform: "node", minifyWhitespace: true };
    const { outputFiles } = await build({ ...options, stdin: { contents, resolveDir: root } });
    return outputFiles[0].text;
  };
  const readsEvents = /static fromRow\(/;
  assert.match(await bundle('export { CloudEvent } from "eventferry/cloudevents";'), readsEvents);
  assert.doesNotMatch(await bundle('export { EventClient } from "eventferry/events-protocol";'), readsEvents);
});
