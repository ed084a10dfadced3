// `npx eventferry demo`: serves the demo page of dist/demo, and the emulator. `npm run demo` builds the package first.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { readArguments } from "./arguments.mjs";
import { DEFAULT_PORT, closeOnSignals, listen, readPort } from "./serve.mjs";

const PORTS_TO_TRY = 20;
const TYPES = {
  ".html": "text/html",
  ".md": "text/plain",
  ".js": "text/javascript",
  ".css": "text/css",
};
/** npm `cloudevents` for browsers. */
const SDK = "/modules/cloudevents/bundles/cloudevents.js";
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/**
 * @param program.command how the program is called, for its help
 * @param program.prepare is called and awaited once the flags are known to be right
 * @param program.folders where npm `cloudevents` may be installed, beside the package
 */
export async function main(
  args,
  { command = "npx eventferry demo", prepare = () => undefined, folders = [process.cwd()] } = {},
) {
  const flags = readArguments(
    {
      command,
      summary: "Serves the demo page and the emulator that it talks to, on 127.0.0.1.",
      flags: {
        port: {
          value: "<port>",
          description: `port to listen on; by default the first free one from ${DEFAULT_PORT} on`,
        },
      },
    },
    args,
  );
  const port = readPort(flags.port);
  const ports = port === undefined ? Array.from({ length: PORTS_TO_TRY }, (_, at) => DEFAULT_PORT + at) : [port];
  await prepare();
  const { createEmulator } = await import("../../dist/entries/node/testing.js");
  const emulator = createEmulator({
    services: [{ prefix: "/", handle: (request, { pathname }) => serveFile(request, pathname, folders) }],
  });
  emulator.glassflow.createPipeline({
    id: "demo",
    accessTokens: ["demo"],
    transform: (event) => ({ ...event, seenAt: new Date() }),
  });
  const url = await listen(emulator, ports);
  const { addresses } = await import("./emulator.mjs");
  console.log(`
  The page:        ${url}/   its server is in the page. The emulator is for your own programs:

    curl ${url}/cloudevents/demo -H 'ce-specversion: 1.0' -H 'ce-id: 1' -H 'ce-source: /shell' \\
      -H 'ce-type: com.example.hello' -H 'content-type: application/json' -d '{"hello":"from the shell"}'

${addresses(url)}`);
  closeOnSignals(emulator);
}

/** Serves the page from dist/demo, and the files of the package for which it asks. */
function serveFile(request, pathname, folders) {
  if (request.method !== "GET" && request.method !== "HEAD")
    return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
  let path;
  try {
    path = normalize(decodeURIComponent(pathname === "/" ? "/index.html" : pathname)).replaceAll("\\", "/");
  } catch {
    return new Response("the path is not valid\n", { status: 400 });
  }
  const file = fileOf(path, folders);
  const type = TYPES[extname(path)];
  // The page asks for it and goes on without it. A browser would report another answer as an error of the page.
  if (!file && path === SDK)
    return new Response("// npm cloudevents is not installed here\n", { headers: { "content-type": TYPES[".js"] } });
  if (!type || !file || path.includes("\0") || path.includes("..") || !existsSync(file))
    return new Response("file not found\n", { status: 404 });
  return new Response(readFileSync(file), {
    headers: {
      "content-type": type.startsWith("text/") ? `${type}; charset=utf-8` : type,
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
    },
  });
}

/** The code of the modules of the engine. */
const MODULE_CODE = /^\/wasm\/[\w-]+\.inline\.js$/;
/** The guides to which the page links. */
const GUIDE = /^\/docs\/[\w-]+\.md$/;
const require = createRequire(import.meta.url);

function fileOf(path, folders) {
  if (path === SDK) return sdkFile(folders);
  if (MODULE_CODE.test(path)) return join(root, "dist", path);
  return join(root, GUIDE.test(path) ? "www" : "dist/demo", path);
}

/** Undefined if npm `cloudevents` is not installed. */
function sdkFile(folders) {
  try {
    // Its package.json may be hidden by its `exports`, and its entry is somewhere below its folder.
    const [folder] = require
      .resolve("cloudevents", { paths: [root, ...folders] })
      .split(join("node_modules", "cloudevents"));
    return join(folder, SDK.replace("/modules/", "node_modules/"));
  } catch {
    return undefined;
  }
}
