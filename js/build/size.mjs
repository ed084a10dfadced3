// `npm run size`: how many bytes an application downloads for what it imports. Bundled and minified by esbuild for
// browsers, JavaScript and wasm together; the wasm is inlined in the JavaScript unless the title says otherwise.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { readArguments } from "../cli/arguments.mjs";
import { MODULES } from "./modules.mjs";
import { ensurePackages, fail } from "./tools.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const KB = 1000;
const PEERS = "tests/size";

/**
 * The measured applications. `goal`: what it shall download at most. `limit`: what a test allows today, in bytes after
 * brotli: a little more than it is.
 */
export const APPS = [
  {
    title: "read requests and write events",
    code: `import { CloudEvent, toBinary, fromRequest } from "eventferry/cloudevents"; console.log(CloudEvent, toBinary, fromRequest);`,
    goal: 21 * KB,
    limit: 26.4 * KB,
  },
  {
    title: "Publisher, sessions, outbox",
    code: `import { Publisher } from "eventferry"; console.log(Publisher);`,
    goal: 84 * KB,
    limit: 84 * KB,
  },
  {
    title: "GlassFlow, source and sink",
    code: `import { PipelineDataSource, PipelineDataSink } from "eventferry/glassflow"; console.log(PipelineDataSource, PipelineDataSink);`,
    goal: 98 * KB,
    limit: 91 * KB,
  },
  {
    title: "GlassFlow, management",
    code: `import { GlassFlowClient } from "eventferry/glassflow"; console.log(GlassFlowClient);`,
  },
  {
    title: "events-protocol, client",
    code: `import { EventClient } from "eventferry/events-protocol"; console.log(EventClient);`,
    goal: 36 * KB,
    limit: 27.7 * KB,
  },
  {
    title: "events-protocol, server",
    code: `import { EventProcessor, EventRegistry } from "eventferry/events-protocol"; console.log(EventProcessor, EventRegistry);`,
    goal: 36 * KB,
    limit: 25.9 * KB,
  },
  {
    title: "BayeuxClient",
    code: `import { BayeuxClient } from "eventferry/bayeux"; console.log(BayeuxClient);`,
    goal: 88 * KB,
    limit: 86 * KB,
  },
  {
    title: "SalesforceClient",
    code: `import { SalesforceClient, passwordAuth } from "eventferry/salesforce"; console.log(SalesforceClient, passwordAuth);`,
    goal: 96 * KB,
    limit: 87.1 * KB,
  },
  {
    title: "BriteEvents",
    code: `import { EventClient } from "eventferry/bc-events"; console.log(EventClient);`,
    goal: 122 * KB,
    limit: 100.3 * KB,
  },
  {
    title: "everything from eventferry",
    code: `import * as all from "eventferry"; console.log(all);`,
    goal: 215 * KB,
    limit: 215.9 * KB,
  },
  { title: "everything from /cloudevents", code: `import * as all from "eventferry/cloudevents"; console.log(all);` },
  { title: "eventferry/slim, without modules", code: `import * as all from "eventferry/slim"; console.log(all);` },
  ...Object.keys(MODULES).map((module) => ({ title: `${module}.wasm, for slim`, file: `dist/wasm/${module}.wasm` })),
];

/** Packages for similar tasks, for comparison. They are installed with `npm ci --prefix tests/size`. */
export const OTHERS = [
  {
    title: "npm cloudevents",
    code: `import { CloudEvent, HTTP } from "cloudevents"; console.log(CloudEvent, HTTP);`,
  },
  { title: "npm cometd", code: `import { CometD } from "cometd"; console.log(CometD);` },
  { title: "npm faye", code: `import faye from "faye/client/faye-browser-min.js"; console.log(faye);` },
  {
    title: "Segment analytics-next",
    code: `import { AnalyticsBrowser } from "@segment/analytics-next"; console.log(AnalyticsBrowser);`,
  },
  {
    title: "OpenTelemetry, logs over HTTP",
    code: `
      import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
      import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
      console.log(BatchLogRecordProcessor, LoggerProvider, OTLPLogExporter);`,
  },
].map((app) => ({ ...app, folder: PEERS }));

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
  // Not at the top of the file: the package may have been installed only now.
  const { build } = await import("esbuild");
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
  const areOthersInstalled = existsSync(join(root, PEERS, "node_modules"));
  console.log(`${"bytes".padEnd(36)}${["raw", "gzip", "brotli"].map((name) => name.padStart(10)).join("")}`);
  for (const app of areOthersInstalled ? [...APPS, ...OTHERS] : APPS) {
    const { raw, gzip, brotli } = await measure(app);
    const sizes = [raw, gzip, brotli].map((size) => String(size).padStart(10)).join("");
    console.log(`${app.title.padEnd(36)}${sizes}${app.goal ? judgement(brotli, app) : ""}`);
  }
}

function judgement(brotli, { goal, limit }) {
  if (brotli > limit) return `  ✗ exceeds the limit of ${limit}`;
  return brotli > goal ? `  ✓ within the limit of ${limit}; the goal is ${goal}` : `  ✓ reaches the goal of ${goal}`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  readArguments({
    command: "npm run size --",
    summary: "Prints how many bytes an application downloads for what it imports from the package.",
  });
  process.chdir(root);
  ensurePackages();
  if (!existsSync("dist/entries/index.js")) fail("dist/ does not exist; run `npm run build` first");
  await print();
}
