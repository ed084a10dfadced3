// `npm run demo [-- --port=8787]`: builds the package if necessary, then serves the demo page and the emulator.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { readArguments } from "../js/build/arguments.mjs";
import { ensureRust, fail, run, step } from "../js/build/tools.mjs";

const FIRST_PORT = 8787;
const PORTS_TO_TRY = 20;
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".map": "application/json",
  ".wasm": "application/wasm",
};
/** The faults that the page can inject. Each applies to one request, except `outage`, which lasts until it is ended. */
const FAULTS = {
  refusal: { status: 503, headers: { "retry-after": "1" }, body: "the emulator refuses this request\n" },
  lost: { after: "store", reset: true },
  delay: { delayMs: 2000 },
  outage: { status: 503, body: "the server is unavailable\n" },
};

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

const flags = readArguments({
  command: "npm run demo --",
  summary: "Builds the package if necessary, then serves the demo page and the emulator.",
  flags: {
    port: { value: "<port>", description: `port to listen on; by default the first free one from ${FIRST_PORT} on` },
  },
});
const port = flags.port === undefined ? undefined : Number(flags.port);
if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port < 65536))
  fail(`--port must be an integer from 0 to 65535; received ${JSON.stringify(flags.port)}`);

prepare();
const { createEmulator } = await import("../dist/entries/testing.js");
const emulator = createEmulator({
  services: [
    { prefix: "/", handle: serveFile },
    { prefix: "/demo", handle: controlFaults },
  ],
});
emulator.glassflow.createPipeline({
  id: "demo",
  accessTokens: ["demo"],
  transform: (event) => ({ ...event, seenAt: new Date() }),
});
const { url } = await listen();

console.log(`
  The page:      ${url}/
  The emulator:  ${url}/cloudevents/demo   receives CloudEvents with POST, from the page or from a shell:

    curl ${url}/cloudevents/demo -H 'ce-specversion: 1.0' -H 'ce-id: 1' -H 'ce-source: /shell' \\
      -H 'ce-type: com.example.hello' -H 'content-type: application/json' -d '{"hello":"from the shell"}'

  A pipeline:    ${url}/glassflow/v1   with PIPELINE_ID=demo and PIPELINE_ACCESS_TOKEN=demo
  BriteEvents:   ${url}/brite-events   as the apiUrl of an EventClient
  Events:        ${url}/events   an events-protocol server, which answers echo:event and others
  Salesforce:    ${url}/salesforce   login and Streaming API, for any key, username and password

  Nothing leaves this machine. Ctrl-C stops it.
`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    console.log("");
    step("closing");
    await emulator.close();
  });
}

/** Installs dependencies and builds dist/ unless they are up to date. */
function prepare() {
  if (!["typescript", "esbuild", "yaml", "@cfworker/json-schema"].every((name) => existsSync(`node_modules/${name}`))) {
    step("installing the packages that the build needs");
    run(process.platform === "win32" ? "npm.cmd" : "npm", ["ci"]);
  }
  const isStale = (made, ...sources) =>
    !existsSync(made) || sources.some((source) => newest(source) > statSync(made).mtimeMs);
  const needsRust = isStale("dist/wasm/full.wasm", "src", "Cargo.toml", "Cargo.lock");
  if (!needsRust && !isStale("dist/cjs/package.json", "js", "tsconfig.json")) return;
  step(`building eventferry${needsRust ? " (about two minutes the first time)" : ""}`);
  if (needsRust) ensureRust();
  run(process.execPath, ["js/build/build.mjs", ...(needsRust ? [] : ["--js-only"])]);
}

function newest(path) {
  const { mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) return mtimeMs;
  return Math.max(mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** Listens on the given port, or on the first free one of a few. */
async function listen() {
  for (let candidate = port ?? FIRST_PORT; ; candidate++) {
    try {
      return await emulator.listen(candidate);
    } catch (error) {
      if (error.cause?.code !== "EADDRINUSE" || port !== undefined) fail(`${error.message}.`);
      if (candidate >= FIRST_PORT + PORTS_TO_TRY)
        fail(`all ports from ${FIRST_PORT} to ${candidate} are in use; choose one with --port.`);
    }
  }
}

/** Serves the page from www/ and the package from dist/. */
function serveFile(request, { pathname }) {
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
  let path;
  try {
    path = normalize(decodeURIComponent(pathname === "/" ? "/index.html" : pathname)).replaceAll("\\", "/");
  } catch {
    return new Response("the path is not valid\n", { status: 400 });
  }
  const file = path.startsWith("/dist/") ? join(root, path) : join(root, "www", path);
  const type = TYPES[extname(file)];
  if (!type || path.includes("\0") || path.includes("..") || !existsSync(file))
    return new Response("file not found\n", { status: 404 });
  return new Response(readFileSync(file), {
    headers: {
      "content-type": type.startsWith("text/") ? `${type}; charset=utf-8` : type,
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
    },
  });
}

/** `POST /demo/fault?kind=refusal|lost|delay|outage` sets the fault, `DELETE` removes it, all return the active faults. */
function controlFaults(request, { pathname, searchParams }) {
  if (pathname !== "/demo/fault") return new Response(null, { status: 404 });
  if (request.method === "POST") {
    const kind = searchParams.get("kind") ?? "";
    const fault = FAULTS[kind];
    if (!fault)
      return new Response(`kind must be one of ${Object.keys(FAULTS).join(", ")}; received ${JSON.stringify(kind)}\n`, {
        status: 400,
      });
    emulator.faults.clear();
    emulator.faults.add({
      ...fault,
      ...(kind !== "outage" && { times: 1 }),
      match: (delivery) => delivery.method === "POST" && new URL(delivery.url).pathname.startsWith("/cloudevents"),
    });
  } else if (request.method === "DELETE") {
    emulator.faults.clear();
  } else if (request.method !== "GET") {
    return new Response(null, { status: 405, headers: { allow: "GET, POST, DELETE" } });
  }
  const { list } = emulator.faults;
  return Response.json({ pending: list.length, isOutage: list.some(({ fault }) => fault.times === undefined) });
}
