// The modules of the engine: each on its own, each brought by what needs it, and no class or code twice.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runInThisContext } from "node:vm";
import { build } from "esbuild";
import { CloudEvent, isFerryError, memoryStore, Publisher } from "eventferry";
import { moduleBytes } from "../../dist/engine/module-bytes.js";
import { ENTRY_POINTS } from "../../js/build/entry-points.mjs";
import { identifier, MODULES } from "../../js/build/modules.mjs";
import { trap } from "./outbox-fixtures.mjs";

const internals = await import("../../dist/entries/node/internals.js");
const { codecs, publish } = internals;
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const subpath = (name) => (name === "index" ? "eventferry" : `eventferry/${name}`);
const text = '{"specversion":"1.0","id":"1","source":"/s","type":"t"}';

const digestOf = ({ buffer }) => createHash("sha256").update(new Uint8Array(buffer)).digest("hex");
const memoryOf = (module) => module.glue.exportsNow().memory;
const trapIn = (module) =>
  assert.throws(
    () => module.call(trap),
    (error) => isFerryError(error, "ERR_INTERNAL"),
  );

test("a trap in the codecs leaves the memory and the pending work of publish untouched", async () => {
  const requests = [];
  const publisher = new Publisher({
    url: "https://example.com/",
    outbox: { store: memoryStore() },
    fetch: (...args) => new Promise((resolve) => requests.push({ args, resolve })),
  });
  const event = CloudEvent.fromJSON(text);
  const sent = publisher.send(event);
  const session = publisher.session();
  session.publish(event);
  const before = [memoryOf(publish), publish.generation, session.staged];
  const codecsMemory = memoryOf(codecs);
  trapIn(codecs);
  assert.notEqual(memoryOf(codecs), codecsMemory);
  assert.deepEqual([memoryOf(publish), publish.generation, session.staged], before);
  const flushed = session.flush({ until: "delivered" });
  const answered = setInterval(() => {
    for (const { resolve } of requests.splice(0)) resolve(new Response(null, { status: 202 }));
  }, 1);
  try {
    assert.equal((await sent).status, 202);
    assert.deepEqual((await flushed).delivered, ["1"]);
    assert.equal(CloudEvent.fromJSON(text).type, "t");
  } finally {
    clearInterval(answered);
    publisher.close();
  }
});

test("a trap in publish leaves the memory of the codecs untouched, and the last scan in it", () => {
  CloudEvent.fromJSON(text);
  const [memory, table] = [memoryOf(codecs), codecs.table.slice(0, 32)];
  void publish.glue;
  trapIn(publish);
  assert.equal(memoryOf(codecs), memory);
  assert.deepEqual(codecs.table.slice(0, 32), table);
});

/** All modules, each with its name. */
const EVERY_MODULE = Object.fromEntries(Object.keys(MODULES).map((name) => [name, internals[identifier(name)]]));

for (const [name, module] of Object.entries(EVERY_MODULE)) {
  test(`a trap in ${name} discards its instance alone: the others keep their memory and what is in it`, () => {
    const others = Object.values(EVERY_MODULE).filter((other) => other !== module);
    const stateOf = (other) => [memoryOf(other), other.generation, digestOf(memoryOf(other))];
    const [before, memory, generation] = [others.map(stateOf), memoryOf(module), module.generation];
    trapIn(module);
    assert.deepEqual([module.generation, memoryOf(module) === memory], [generation + 1, false]);
    others.forEach((other, at) => {
      const [memory, ...rest] = stateOf(other);
      assert.equal(memory, before[at][0]);
      assert.deepEqual(rest, before[at].slice(1));
    });
  });
}

for (const name of Object.keys(MODULES)) {
  test(`the text of ${name} is printable ASCII without escapes, and gives the bytes of the module`, async () => {
    const code = readFileSync(join(root, `dist/wasm/${name}.inline.js`), "utf8");
    assert.match(code, /^[\n -[\]-~]*$/);
    const { text } = await import(`../../dist/wasm/${name}.inline.js`);
    assert.deepEqual(Buffer.from(moduleBytes(text)), readFileSync(join(root, `dist/wasm/${name}.wasm`)));
  });
}

test("the numbers of inputs stand in the code, so that an application has no table of them", async () => {
  const tables = await import("../../dist/engine/generated/tables.js");
  const named = Object.keys(tables).filter((name) => name.endsWith("_INPUTS"));
  assert.ok(named.length >= 6);
  const code = readFileSync(join(root, "dist/engine/pump.js"), "utf8");
  assert.match(code, new RegExp(`\\(${tables.PORT_INPUTS.tick} /\\* PORT_INPUTS\\.tick \\*/, `));
  const { outputFiles } = await build({
    stdin: { contents: 'export * from "eventferry";', resolveDir: root },
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
  });
  for (const name of named) assert.doesNotMatch(outputFiles[0].text, new RegExp(`^var ${name} =`, "m"));
});

test("the same class or function is one from every entry point", async () => {
  const aliases = new Set(ENTRY_POINTS.flatMap(({ alias = {} }) => Object.keys(alias)));
  const seen = new Map();
  for (const { name: entry } of ENTRY_POINTS) {
    for (const [name, value] of Object.entries(await import(subpath(entry)))) {
      if (aliases.has(name) || typeof value !== "function") continue;
      if (!seen.has(name)) seen.set(name, { entry, value });
      assert.equal(value, seen.get(name).value, `${name} of ${subpath(entry)} and ${subpath(seen.get(name).entry)}`);
    }
  }
  assert.ok(seen.size > 50);
});

/** Bundles applications of one line. Returns for each: the modules that it knows, those whose code it has, its inputs. */
async function bundles(lines) {
  const virtual = {
    name: "virtual",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^line:/ }, ({ path }) => ({ path, namespace: "line" }));
      onLoad({ filter: /.*/, namespace: "line" }, ({ path }) => ({
        contents: lines[Number(path.slice("line:".length))],
        resolveDir: root,
      }));
    },
  };
  const { metafile } = await build({
    entryPoints: lines.map((_, index) => ({ in: `line:${index}`, out: String(index) })),
    absWorkingDir: root,
    plugins: [virtual],
    bundle: true,
    write: false,
    metafile: true,
    outdir: "dist/bundled",
    format: "esm",
    platform: "browser",
    logLevel: "error",
  });
  const result = [];
  for (const [path, { inputs }] of Object.entries(metafile.outputs)) {
    const used = Object.keys(inputs).filter((input) => inputs[input].bytesInOutput > 0);
    const named = (pattern) => used.flatMap((input) => pattern.exec(input)?.[1] ?? []).sort();
    result[Number(basename(path, ".js"))] = {
      known: named(/^dist\/engine\/modules\/([\w-]+)\.js$/),
      loaded: named(/^dist\/wasm\/([\w-]+)\.inline\.js$/).filter((name) => name in MODULES),
      used,
    };
  }
  return result;
}

test("a named import from the root brings the modules that it needs, and no other", async () => {
  const expected = {
    isFerryError: [],
    memoryStore: [],
    passwordAuth: [],
    CloudEvent: ["codecs"],
    fromRequest: ["codecs"],
    Publisher: ["codecs", "publish"],
    PipelineDataSource: ["codecs", "glassflow", "publish"],
    EventsProtocolClient: ["events-protocol"],
    EventProcessor: ["events-protocol"],
    BayeuxClient: ["codecs", "streams"],
    SalesforceClient: ["codecs", "streams"],
  };
  const names = Object.keys(expected);
  const all = await bundles(names.map((name) => `import { ${name} } from "eventferry"; console.log(${name});`));
  assert.deepEqual(Object.fromEntries(names.map((name, index) => [name, all[index].loaded])), expected);
});

test("every export of every entry point has the code of the modules that it knows", async () => {
  const lines = [];
  for (const { name: entry } of ENTRY_POINTS.filter(({ isSlim }) => !isSlim)) {
    for (const name of Object.keys(await import(subpath(entry))))
      lines.push(`import { ${name} } from "${subpath(entry)}"; console.log(${name});`);
  }
  const all = await bundles(lines);
  assert.ok(all.length > 150);
  all.forEach(({ known, loaded }, index) => assert.deepEqual(loaded, known, lines[index]));
});

test("two entry points in one application have no code twice, and slim has no module", async () => {
  const [both, first, second, slim] = await bundles([
    'import { Publisher } from "eventferry/outbox"; import { PipelineDataSource } from "eventferry/glassflow"; console.log(Publisher, PipelineDataSource);',
    'import { Publisher } from "eventferry/outbox"; console.log(Publisher);',
    'import { PipelineDataSource } from "eventferry/glassflow"; console.log(PipelineDataSource);',
    'import * as all from "eventferry/slim"; console.log(all);',
  ]);
  const inputs = (bundle) => bundle.used.filter((input) => !input.startsWith("line:"));
  assert.deepEqual(inputs(both).sort(), [...new Set([...inputs(first), ...inputs(second)])].sort());
  assert.ok(inputs(both).every((input) => !input.includes("/cjs/")));
  assert.deepEqual([both.loaded, slim.loaded], [["codecs", "glassflow", "publish"], []]);
});

test("an entry point that is imported later too is initialized for those who import it now", async () => {
  const code = `
    import { CloudEvent, fromRequest, webhook } from "eventferry";
    import { memoryStore, Publisher } from "eventferry/outbox";
    const hook = webhook({ allowedOrigins: "*", onEvent() {} });
    new Publisher({ url: "https://example.com/" }).close();
    globalThis.lazy = Promise.all([import("eventferry/cloudevents"), import("eventferry/outbox")]).then(
      ([cloudevents, outbox]) => [
        memoryStore().kind,
        typeof hook,
        cloudevents.CloudEvent === CloudEvent,
        cloudevents.fromRequest === fromRequest,
        outbox.Publisher === Publisher,
      ],
    );`;
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    write: false,
    format: "iife",
    logLevel: "error",
  });
  runInThisContext(outputFiles[0].text);
  assert.deepEqual(await globalThis.lazy, ["memory", "function", true, true, true]);
});

/** Runs a program that cannot start a module, and returns what it printed. */
function runWithout(what) {
  const program = `${what}
    const { CloudEvent, isSupported, Publisher } = await import("eventferry");
    const codeOf = (body) => { try { body(); return "nothing"; } catch (error) { return error.code + ": " + error.message; } };
    console.log(JSON.stringify([
      isSupported(),
      codeOf(() => CloudEvent.fromJSON(${JSON.stringify(text)})),
      codeOf(() => new Publisher({ url: "https://example.com/" })),
    ]));`;
  const args = ["--input-type=module", "--eval", program];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }));
}

const REFUSALS = {
  "a Content-Security-Policy": [
    `WebAssembly.Module = function () {
       throw new WebAssembly.CompileError("WebAssembly.Module(): Compiling or instantiating WebAssembly module violates " +
         "the following Content Security policy directive because neither 'wasm-eval' nor 'unsafe-eval' is an allowed source");
     };`,
    /add 'wasm-unsafe-eval' to its directive script-src/,
  ],
  "no WebAssembly": ["delete globalThis.WebAssembly;", /this runtime has no WebAssembly/],
  "no SIMD": [
    `WebAssembly.validate = () => false;
     WebAssembly.Module = function () { throw new WebAssembly.CompileError("invalid value type 's128'"); };`,
    /no WebAssembly SIMD/,
  ],
};

for (const [name, [what, pattern]] of Object.entries(REFUSALS)) {
  test(`with ${name}, isSupported is false and ERR_WASM_INIT says what is missing`, () => {
    const [supported, ...messages] = runWithout(what);
    assert.equal(supported, false);
    for (const message of messages) {
      assert.match(message, /^ERR_WASM_INIT: /);
      assert.match(message, pattern);
    }
  });
}

test("isSupported is true where the engine starts, and in slim before init", async () => {
  const { isSupported } = await import("eventferry/slim");
  assert.equal(isSupported(), true);
});

test("init of slim says ERR_WASM_INIT when a source rejects, and takes another one then", async () => {
  const { init } = await import("eventferry/slim");
  const refused = init({ glassflow: Promise.reject(new TypeError("fetch failed")) });
  await assert.rejects(refused, { code: "ERR_WASM_INIT", message: /the module glassflow .*fetch failed/ });
  await init({ glassflow: readFileSync(join(root, "dist/wasm/glassflow.wasm")) });
});

test("a source that rejects for a module that slim has already is no unhandled rejection", async () => {
  const { init } = await import("eventferry/slim");
  const unhandled = [];
  const onUnhandled = (error) => unhandled.push(error);
  process.on("unhandledRejection", onUnhandled);
  await init({ streams: readFileSync(join(root, "dist/wasm/streams.wasm")) });
  await init({ streams: Promise.reject(new TypeError("fetch failed")) });
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onUnhandled);
  assert.deepEqual(unhandled, []);
});
