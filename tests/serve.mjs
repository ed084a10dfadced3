// A static file server on the loopback address.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Serves folders.
 *
 * @param folders the folder of each path prefix: `{ "/": "dist/site", "/pkg/": "dist" }`; the longest prefix wins
 * @param options.headers headers of every response, or a function from the path to them
 * @param options.port @default any free port
 * @returns {Promise<{ url: string, close(): Promise<void> }>} `url` ends with a slash
 */
export async function serve(folders, { headers = {}, port = 0 } = {}) {
  const server = createServer(async (request, response) => {
    try {
      const { pathname } = new URL(request.url, "http://localhost");
      const { path, type, body } = await fileAt(folders, pathname);
      response.writeHead(200, {
        "content-type": type,
        "cache-control": "no-store",
        ...(typeof headers === "function" ? headers(path) : headers),
      });
      response.end(body);
    } catch {
      response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** The file at a URL path. Rejects if it does not exist. */
export async function fileAt(folders, pathname) {
  // normalize removes every `..` that would lead out of the folder.
  const path = normalize(decodeURIComponent(pathname));
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const prefix = prefixes.find((prefix) => path.startsWith(prefix));
  const file = join(folders[prefix], path.slice(prefix.length), path.endsWith("/") ? "index.html" : "");
  return { path, type: TYPES[extname(file)] ?? "application/octet-stream", body: await readFile(file) };
}
