// `npm run size`: how many bytes an application downloads for what it imports. Bundled and minified by esbuild for
// browsers, JavaScript and wasm together; the wasm is inlined in the JavaScript unless the title says otherwise.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { readArguments } from "../cli/arguments.mjs";
import { MODULES } from "./modules.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const KIB = 1024;

/** The measured applications. `budget` is in bytes after brotli; a test enforces it. */
export const APPS = [
  {
    title: "read requests and write events",
    code: `import { CloudEvent, toBinary, fromRequest } from "eventferry/cloudevents"; console.log(CloudEvent, toBinary, fromRequest);`,
    budget: 28 * KIB,
  },
  {
    title: "Publisher, sessions, outbox",
    code: `import { Publisher } from "eventferry"; console.log(Publisher);`,
  },
  {
    title: "GlassFlow, source and sink",
    code: `import { PipelineDataSource, PipelineDataSink } from "eventferry/glassflow"; console.log(PipelineDataSource, PipelineDataSink);`,
  },
  {
    title: "events-protocol, client",
    code: `import { EventClient } from "eventferry/events-protocol"; console.log(EventClient);`,
  },
  {
    title: "events-protocol, server",
    code: `import { EventProcessor, EventRegistry } from "eventferry/events-protocol"; console.log(EventProcessor, EventRegistry);`,
  },
  { title: "BayeuxClient", code: `import { BayeuxClient } from "eventferry/bayeux"; console.log(BayeuxClient);` },
  {
    title: "SalesforceClient",
    code: `import { SalesforceClient, passwordAuth } from "eventferry/salesforce"; console.log(SalesforceClient, passwordAuth);`,
  },
  {
    title: "BriteEvents",
    code: `import { EventClient } from "eventferry/bc-events"; console.log(EventClient);`,
  },
  { title: "everything from eventferry", code: `import * as all from "eventferry"; console.log(all);` },
  { title: "everything from /cloudevents", code: `import * as all from "eventferry/cloudevents"; console.log(all);` },
  { title: "eventferry/slim, without modules", code: `import * as all from "eventferry/slim"; console.log(all);` },
  ...Object.keys(MODULES).map((module) => ({ title: `${module}.wasm, for slim`, file: `dist/wasm/${module}.wasm` })),
];

const PEER = {
  title: "npm cloudevents",
  code: `import { CloudEvent, HTTP } from "cloudevents"; console.log(CloudEvent, HTTP);`,
  folder: "tests/bench",
};

/** The size of one application: `{ raw, gzip, brotli }` in bytes. */
export async function measure({ code, file, folder = "." }) {
  const bytes = file ? readFileSync(join(root, file)) : await bundle(code, join(root, folder));
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }).length,
  };
}

/** Bundles as an application would: the package is resolved by its own name, through `exports`. Returns the bytes. */
export async function bundle(code, resolveDir) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir },
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    platform: "browser",
    define: { global: "globalThis" },
    plugins: [{ name: "stubs", setup: stubNode }],
    logLevel: "error",
  });
  return outputFiles[0].contents;
}

/** npm cloudevents imports Node modules that are not used here. */
function stubNode({ onResolve, onLoad }) {
  onResolve({ filter: /^(?:http|https|events)$/ }, ({ path }) => ({ path, namespace: "stub" }));
  onLoad({ filter: /.*/, namespace: "stub" }, () => ({ contents: "export class EventEmitter {}" }));
}

async function print() {
  const apps = existsSync(join(root, PEER.folder, "node_modules/cloudevents")) ? [...APPS, PEER] : APPS;
  console.log(`${"bytes".padEnd(36)}${["raw", "gzip", "brotli"].map((name) => name.padStart(10)).join("")}`);
  for (const app of apps) {
    const { raw, gzip, brotli } = await measure(app);
    const isWithin = brotli <= app.budget;
    const budget = app.budget ? `  ${isWithin ? "✓ within" : "✗ exceeds"} the budget of ${app.budget}` : "";
    console.log(
      `${app.title.padEnd(36)}${[raw, gzip, brotli].map((size) => String(size).padStart(10)).join("")}${budget}`,
    );
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  readArguments({
    command: "npm run size --",
    summary: "Prints how many bytes an application downloads for what it imports from the package.",
  });
  await print();
}
