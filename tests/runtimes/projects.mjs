// An application for each framework, bundler and test runner, in `projects`: it imports the packed package, is built as its
// framework does it by default, and what was built runs.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { start as startBrowser } from "../browser.mjs";
import { freePort } from "../project.mjs";
import { serve as serveFiles } from "../serve.mjs";
import { checkReport } from "./programs.mjs";

const JEST = "npx jest --env jsdom --runInBand --testPathIgnorePatterns node_modules --testRegex";

/** With it, Parcel reads `exports`, and finds no file of `yaml` that works by itself. */
const PARCEL_EXPORTS = {
  "@parcel/resolver-default": { packageExports: true },
  alias: { yaml: "./node_modules/yaml/browser/dist/index.js" },
};

/**
 * `folder` in `projects`; `name` and `use` as in the table of the documentation; `package` whose version it shows; `run` with
 * the members of `openProject`
 */
export const PROJECTS = [
  {
    folder: "test-runners",
    name: "Jest",
    package: "jest",
    use: "jsdom, CommonJS",
    run: ({ shell }) => passes(shell, `${JEST} 'commonjs.test.cjs$'`),
  },
  {
    folder: "test-runners",
    name: "Jest",
    package: "jest",
    use: "jsdom, ES modules",
    run: ({ shell }) => passes(shell, `${JEST} 'module.test.mjs$'`, { NODE_OPTIONS: "--experimental-vm-modules" }),
  },
  {
    folder: "test-runners",
    name: "Vitest",
    package: "vitest",
    use: "jsdom",
    run: ({ shell }) => passes(shell, "npx vitest run --environment jsdom vitest.test.mjs"),
  },
  {
    folder: "next",
    name: "Next.js",
    package: "next",
    use: "Turbopack: rendered page, browser, routes in Node and the edge runtime",
    run: (project) => next(project, ""),
  },
  {
    folder: "next",
    name: "Next.js",
    package: "next",
    use: "webpack: rendered page, browser, routes in Node and the edge runtime",
    run: (project) => next(project, "--webpack"),
  },
  {
    folder: "sveltekit",
    name: "SvelteKit",
    package: "@sveltejs/kit",
    use: "Vite, adapter-node: rendered page, browser, endpoint",
    run: async ({ shell, serve }) => {
      await shell("npx vite build", { minutes: 10 });
      await application(serve, (port) => `HOST=127.0.0.1 PORT=${port} exec node build`, /Listening on/i, ["/node"]);
    },
  },
  {
    folder: "astro",
    name: "Astro",
    package: "astro",
    use: "Vite, adapter for Node: rendered page, browser, endpoint",
    run: async ({ shell, serve }) => {
      await shell("npx astro build", { minutes: 10 });
      const command = (port) => `HOST=127.0.0.1 PORT=${port} exec node dist/server/entry.mjs`;
      await application(serve, command, /listening on/i, ["/node"]);
    },
  },
  {
    folder: "parcel",
    name: "Parcel",
    package: "parcel",
    use: "default configuration: browser",
    run: (project) => parcel(project, {}),
  },
  {
    folder: "parcel",
    name: "Parcel",
    package: "parcel",
    use: "`packageExports`, and the alias below: browser",
    run: (project) => parcel(project, PARCEL_EXPORTS),
  },
  {
    folder: "wrangler",
    name: "wrangler",
    package: "wrangler",
    use: "what `wrangler deploy` would upload, in workerd",
    run: async ({ place, shell }) => {
      await shell("npx wrangler deploy --dry-run --outdir out", { minutes: 5 });
      const out = join(place, "out");
      if (!readdirSync(out).some((file) => file.endsWith(".wasm"))) throw new Error("it has no WebAssembly module");
      // Only here: the table of the documentation is compared where workerd is not installed.
      const { miniflare } = await import("./edges.mjs");
      const workerd = miniflare(out, "worker.js");
      try {
        return await serverReport(await workerd.dispatchFetch("http://localhost/"));
      } finally {
        await workerd.dispose();
      }
    },
  },
];

async function passes(shell, command, env = {}) {
  const output = await shell(command, { env, minutes: 5 });
  if (!/^ *Tests:? .*[1-9]\d* passed/m.test(stripVTControlCharacters(output)))
    throw new Error(`no test has run:\n${output}`);
}

async function next({ shell, serve }, flags) {
  await shell(`npx next build ${flags}`, { minutes: 10 });
  const command = (port) => `exec npx next start --hostname 127.0.0.1 --port ${port}`;
  await application(serve, command, /Ready/, ["/node", "/edge"]);
}

/** @param settings what is added to package.json */
async function parcel({ place, shell }, settings) {
  const manifest = join(place, "package.json");
  writeFileSync(manifest, JSON.stringify({ ...JSON.parse(readFileSync(manifest, "utf8")), ...settings }));
  await shell("npx parcel build index.html --no-cache", { minutes: 10 });
  const server = await serveFiles({ "/": join(place, "dist") });
  try {
    return await pageReport(`${server.url}index.html`);
  } finally {
    await server.close();
  }
}

/** A built application: its page is rendered on the server, its page works in a browser, and its routes report. */
async function application(serve, command, ready, routes) {
  const port = await freePort();
  const server = await serve(command(port), ready);
  const url = `http://127.0.0.1:${port}`;
  try {
    const page = (await (await fetch(url)).text()).replaceAll("&quot;", '"');
    if (!page.includes('"specversion":"1.0"')) throw new Error(`the event is not in the page:\n${page}`);
    for (const route of routes) await serverReport(await fetch(url + route));
    await pageReport(url);
  } finally {
    await server.stop();
  }
}

async function serverReport(response) {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
  return checkReport(await response.json());
}

async function pageReport(url) {
  const browser = await startBrowser("chrome");
  try {
    await browser.open(url);
    const report = await browser.evaluate(`
      for (let tries = 0; tries < 300 && !globalThis.report; tries++) await new Promise((done) => setTimeout(done, 100));
      if (!globalThis.report) throw new Error("the script of the page did not start");
      return await globalThis.report;
    `);
    return checkReport(report);
  } finally {
    await browser.close();
  }
}
