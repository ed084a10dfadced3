// Bundles the suite, serves it on loopback and runs it in a browser by WebDriver.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "../..");

/** The entry points that the scripts import. */
const ENTRIES = ["cloudevents", "outbox", "events-protocol", "bayeux"];

const BROWSERS = {
  chromium: {
    driver: ["chromedriver", "--port=0"],
    listening: /successfully on port (\d+)/,
    capabilities: {
      browserName: "chrome",
      "goog:chromeOptions": {
        args: [
          "--headless=new",
          "--no-sandbox",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync",
        ],
      },
    },
  },
  firefox: {
    driver: ["geckodriver", "--port=0"],
    listening: /Listening on [^ ]*:(\d+)/,
    capabilities: {
      browserName: "firefox",
      "moz:firefoxOptions": {
        args: ["-headless"],
        prefs: { "privacy.reduceTimerPrecision": false, "dom.max_script_run_time": 0 },
      },
    },
  },
};

/** Whether the driver of the browser is installed. */
export const isInstalled = (name) => !spawnSync(BROWSERS[name].driver[0], ["--version"]).error;

/** Runs the suite in the browser and returns its tables. */
export async function runInBrowser(name, options, timeoutMs) {
  const files = new Map([["/bench.js", await bundle(join(import.meta.dirname, "page.mjs"))]]);
  return withBrowser(name, files, timeoutMs, async (page) => {
    await page.open("<title>bench</title><script type=module src=/bench.js></script>");
    return page.run("const [options] = values; return bench(options);", options);
  });
}

/**
 * Starts a browser for pages that may load these files, by their paths.
 *
 * @param use gets the page: `open` replaces it, `run` runs the body of an async function in it, with the array `values`
 */
export async function withBrowser(name, files, timeoutMs, use) {
  let html = "";
  const server = createServer((request, response) => {
    const script = files.get(new URL(request.url, "http://localhost").pathname);
    response.writeHead(200, {
      "content-type": script ? "text/javascript" : "text/html; charset=utf-8",
      // Isolated pages have a more precise clock.
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    });
    response.end(script ?? `<!doctype html>${html}`);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const driver = await startDriver(BROWSERS[name]);
  try {
    const { sessionId } = await driver.post("/session", { capabilities: { alwaysMatch: BROWSERS[name].capabilities } });
    const session = `/session/${sessionId}`;
    try {
      await driver.post(`${session}/timeouts`, { script: timeoutMs });
      return await use({
        async open(body) {
          html = body;
          await driver.post(`${session}/url`, { url: `http://127.0.0.1:${server.address().port}/` });
        },
        async run(body, ...values) {
          const script = `
            const [values, done] = arguments;
            (async () => { ${body} })().then(
              (result) => done({ result }),
              (error) => done({ failure: String(error?.stack ?? error) }),
            );`;
          const { result, failure } = await driver.post(`${session}/execute/async`, { script, args: [values] });
          if (failure) throw new Error(failure);
          return result;
        },
      });
    } finally {
      await driver.send("DELETE", session).catch(() => {});
    }
  } finally {
    driver.stop();
    server.close();
    server.closeAllConnections();
  }
}

async function startDriver({ driver: [program, ...args], listening }) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const port = await new Promise((resolve, reject) => {
    let output = "";
    const findPort = (chunk) => {
      output += chunk;
      const found = listening.exec(output);
      if (found) resolve(found[1]);
    };
    child.stdout.on("data", findPort);
    child.stderr.on("data", findPort);
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`${program} ended with ${code}: ${output}`)));
    setTimeout(() => reject(new Error(`${program} did not print its port: ${output}`)), 15_000).unref();
  });
  const send = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body && { body: JSON.stringify(body) }),
    });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${value.error}: ${value.message}`);
    return value;
  };
  return { send, post: (path, body) => send("POST", path, body), stop: () => child.kill() };
}

/** A script as a page loads it. The SDK imports modules of Node, which its codecs do not need; they are empty here. */
export async function bundle(file) {
  const stubs = { http: "", https: "", events: "export class EventEmitter {}" };
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    platform: "browser",
    alias: Object.fromEntries(ENTRIES.map((name) => [`eventferry/${name}`, join(root, `dist/entries/${name}.js`)])),
    define: { global: "globalThis", "process.env.NODE_DEBUG": "undefined" },
    inject: [join(import.meta.dirname, "process.mjs")],
    plugins: [
      {
        name: "stubs",
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^(?:http|https|events)$/ }, ({ path }) => ({ path, namespace: "stub" }));
          onLoad({ filter: /.*/, namespace: "stub" }, ({ path }) => ({ contents: stubs[path] }));
        },
      },
    ],
    logLevel: "error",
  });
  return outputFiles[0].contents;
}
