// Pages in real browsers: with several bundlers and without one, with and without a strict content security policy.
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build as esbuild } from "esbuild";
import { build as viteBuild, createServer as viteServer } from "vite";
import webpack from "webpack";
import { ENGINES, start } from "../browser.mjs";
import { serve } from "../serve.mjs";
import { foundVersions } from "./compatibility.mjs";
import { checkReport } from "./programs.mjs";

/** The names in the table of the documentation. */
const BROWSERS = { chrome: "Chromium", firefox: "Firefox", webkit: "WebKit" };

const POLICIES = {
  "/strict/": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'",
  "/stricter/": "default-src 'self'; script-src 'self'",
};

export async function pages(installation, tally) {
  const { app, site } = installation;
  // Vite scans its project for pages, so the other pages are in a separate folder.
  writeFileSync(join(app, "index.html"), html("/page.mjs"));
  writeFileSync(join(app, "slim.html"), html("/vite-slim.mjs"));
  const isBuilt = {};
  for (const [name, make] of Object.entries({ esbuild: withEsbuild, vite: withVite, webpack: withWebpack })) {
    await tally.check(`${name} builds`, async () => {
      await make(installation);
      isBuilt[name] = true;
    });
  }
  withoutBundler(installation);

  const server = await serve(
    { "/": site, "/node_modules/": join(app, "node_modules") },
    {
      headers: (path) =>
        Object.fromEntries([
          ...Object.entries(POLICIES)
            .filter(([prefix]) => path.startsWith(prefix))
            .map(([, policy]) => ["content-security-policy", policy]),
          ...(path.endsWith("charset.html") ? [["content-type", "text/html; charset=windows-1252"]] : []),
        ]),
    },
  );
  const dev = await viteServer({
    root: app,
    configFile: false,
    logLevel: "error",
    clearScreen: false,
    server: { host: "127.0.0.1", port: 0, hmr: false, watch: null },
  });
  try {
    await dev.listen();
    const devUrl = dev.resolvedUrls.local[0];
    const list = [
      ["no bundler, import map", `${server.url}import-map.html`],
      ["no bundler, eventferry/slim by URL", `${server.url}slim.html`],
      ["Vite dev", devUrl],
      ["Vite dev, eventferry/slim", `${devUrl}slim.html`],
      isBuilt.vite && ["Vite build", `${server.url}vite/index.html`],
      isBuilt.vite && ["Vite build, eventferry/slim", `${server.url}vite/slim.html`],
      isBuilt.webpack && ["webpack", `${server.url}webpack/page.html`],
      isBuilt.webpack && ["webpack, eventferry/slim", `${server.url}webpack/webpack-slim.html`],
      isBuilt.webpack && ["webpack, a page that is not in UTF-8", `${server.url}webpack/webpack-charset.html`],
      isBuilt.esbuild && ["esbuild", `${server.url}bundled/page.html`],
      isBuilt.esbuild && ["module worker", `${server.url}bundled/page-worker.html`],
      isBuilt.esbuild && ["a policy that allows WebAssembly but no eval", `${server.url}strict/page.html`],
      isBuilt.esbuild && ["a policy that forbids WebAssembly", `${server.url}stricter/page-refused.html`],
    ].filter(Boolean);
    for (const engine of ENGINES) await inBrowser(engine, list, tally);
  } finally {
    await dev.close();
    await server.close();
  }
}

async function inBrowser(engine, list, tally) {
  let browser;
  await tally.check(`${engine} starts`, async () => {
    browser = await start(engine);
    foundVersions.set(BROWSERS[engine], browser.name.split(" ")[1]);
    return browser.name;
  });
  if (!browser) return;
  try {
    for (const [name, url] of list) {
      await tally.check(`${engine}, ${name}`, async () => {
        await browser.open(url);
        return checkReport(
          await browser.evaluate(
            "if (!globalThis.report) throw new Error('the script of the page did not start'); return await globalThis.report;",
          ),
        );
      });
    }
  } finally {
    await browser.close();
  }
}

async function withEsbuild({ app, site }) {
  const names = ["page", "page-worker", "module-worker", "page-refused"];
  await esbuild({
    absWorkingDir: app,
    entryPoints: names.map((name) => `${name}.mjs`),
    outdir: join(site, "bundled"),
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    logLevel: "error",
  });
  for (const name of names) writeFileSync(join(site, "bundled", `${name}.html`), html(`/bundled/${name}.js`));
  for (const prefix of Object.keys(POLICIES)) cpSync(join(site, "bundled"), join(site, prefix), { recursive: true });
}

async function withVite({ app, site }) {
  await viteBuild({
    root: app,
    configFile: false,
    logLevel: "error",
    base: "./",
    build: {
      outDir: join(site, "vite"),
      emptyOutDir: false,
      rollupOptions: { input: ["index.html", "slim.html"].map((page) => join(app, page)) },
    },
  });
}

async function withWebpack({ app, site }) {
  const names = ["page", "webpack-slim", "webpack-charset"];
  const path = join(site, "webpack");
  const compiler = webpack({
    context: app,
    mode: "production",
    target: "web",
    performance: false,
    entry: Object.fromEntries(names.map((name) => [name, `./${name}.mjs`])),
    output: { path },
  });
  const stats = await new Promise((resolve, reject) =>
    compiler.run((error, stats) => (error ? reject(error) : resolve(stats))),
  );
  await new Promise((resolve) => compiler.close(resolve));
  if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString("errors-warnings"));
  for (const name of names) writeFileSync(join(path, `${name}.html`), html(`/webpack/${name}.js`));
  // A module is read as UTF-8 wherever it is; another script has the charset of its page.
  const page = '<!doctype html><title>charset</title><script src="/webpack/webpack-charset.js"></script>\n';
  writeFileSync(join(path, "webpack-charset.html"), page);
}

/** An import map replaces what a bundler reads from package.json. */
function withoutBundler({ app, site, installed }) {
  const { name, exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const imports = {};
  for (const [subpath, target] of Object.entries(exports)) {
    if (target.default) imports[name + subpath.slice(1)] = `/node_modules/${name}${target.default.slice(1)}`;
  }
  // The page about BriteEvents lists the dependencies that such a page needs.
  const guide = readFileSync(join(installed, "www/docs/brite-events.md"), "utf8");
  const dependencies = Object.fromEntries(
    [...guide.matchAll(/`"([^"]+)":\s"([^"]+)"`/g)].map(([, name, path]) => [name, path]),
  );
  if (Object.keys(dependencies).length !== 2) throw new Error("the guide does not list the entries of the import map");
  Object.assign(imports, dependencies);
  const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
  for (const file of ["smoke.mjs", "page.mjs", "page-slim.mjs"]) cpSync(join(app, file), join(site, file));
  writeFileSync(join(site, "import-map.html"), html("/page.mjs", map));
  writeFileSync(join(site, "slim.html"), html("/page-slim.mjs", map));
}

const html = (script, head = "") =>
  `<!doctype html><meta charset="utf-8"><title>smoke</title>${head}<script type="module" src="${script}"></script>\n`;
