// npm run demo [-- --port 8787]: builds what is missing, then serves the demo page and the emulator it talks to.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
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
/** What the page can have go wrong: once, but for a strait that stays closed until it is opened. */
const TROUBLES = {
  refusal: { status: 503, headers: { "retry-after": "1" }, body: "the emulator was asked to refuse this one\n" },
  lost: { after: "store", reset: true },
  delay: { delayMs: 2000 },
  closed: { status: 503, body: "the strait is closed\n" },
};

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

let port;
try {
  const { values } = parseArgs({ options: { port: { type: "string" } } });
  port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port < 65536))
    throw new Error("the port is a number up to 65535");
} catch (error) {
  fail(`${error.message}. Use: npm run demo -- --port 8787`);
}

prepare();
const { createEmulator } = await import("../dist/entries/testing.js");
const emulator = createEmulator({
  services: [
    { prefix: "/", handle: serveFile },
    { prefix: "/demo", handle: arrangeTrouble },
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
  The emulator:  ${url}/cloudevents/demo   takes CloudEvents with POST, from the page or from you:

    curl ${url}/cloudevents/demo -H 'ce-specversion: 1.0' -H 'ce-id: 1' -H 'ce-source: /shell' \\
      -H 'ce-type: com.example.hello' -H 'content-type: application/json' -d '{"hello":"from the shell"}'

  A pipeline:    ${url}/glassflow/v1   with PIPELINE_ID=demo and PIPELINE_ACCESS_TOKEN=demo
  BriteEvents:   ${url}/brite-events   as the apiUrl of an EventClient
  Events:        ${url}/events   a server of events-protocol; echo:event is one of those it answers
  Salesforce:    ${url}/salesforce   login and Streaming API, for whatever key, name and password

  Nothing leaves this machine. Ctrl-C ends it.
`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    console.log("");
    step("closing");
    await emulator.close();
  });
}

/** Brings dependencies and dist/ up to date, and does nothing if they are. */
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

/** On the port that was asked for, or on the first free one of a few. */
async function listen() {
  for (let tried = port ?? FIRST_PORT; ; tried++) {
    try {
      return await emulator.listen(tried);
    } catch (error) {
      if (error.cause?.code !== "EADDRINUSE" || port !== undefined) fail(`${error.message}.`);
      if (tried >= FIRST_PORT + PORTS_TO_TRY)
        fail(`all ports from ${FIRST_PORT} to ${tried} are taken; choose one with --port.`);
    }
  }
}

/** The page from www/, the package from dist/. */
function serveFile(request, { pathname }) {
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
  let path;
  try {
    path = normalize(decodeURIComponent(pathname === "/" ? "/index.html" : pathname)).replaceAll("\\", "/");
  } catch {
    return new Response("that is no path\n", { status: 400 });
  }
  const file = path.startsWith("/dist/") ? join(root, path) : join(root, "www", path);
  const type = TYPES[extname(file)];
  if (!type || path.includes("\0") || path.includes("..") || !existsSync(file))
    return new Response("there is no such file\n", { status: 404 });
  return new Response(readFileSync(file), {
    headers: {
      "content-type": type.startsWith("text/") ? `${type}; charset=utf-8` : type,
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
    },
  });
}

/** `POST /demo/trouble?kind=refusal|lost|delay|closed` for the next delivery, or all; `GET` says what is still to come. */
function arrangeTrouble(request, { pathname, searchParams }) {
  if (pathname !== "/demo/trouble") return new Response(null, { status: 404 });
  if (request.method === "POST") {
    const kind = searchParams.get("kind") ?? "";
    const trouble = TROUBLES[kind];
    if (!trouble) return new Response(`the kinds are ${Object.keys(TROUBLES).join(", ")}\n`, { status: 400 });
    emulator.faults.clear();
    emulator.faults.add({
      ...trouble,
      ...(kind !== "closed" && { times: 1 }),
      match: (delivery) => delivery.method === "POST" && new URL(delivery.url).pathname.startsWith("/cloudevents"),
    });
  } else if (request.method === "DELETE") {
    emulator.faults.clear();
  } else if (request.method !== "GET") {
    return new Response(null, { status: 405, headers: { allow: "GET, POST, DELETE" } });
  }
  const { list } = emulator.faults;
  return Response.json({ pending: list.length, isClosed: list.some(({ fault }) => fault.times === undefined) });
}
