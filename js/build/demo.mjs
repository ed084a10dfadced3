// Bundles the demo page of www/ with the package of dist/: into dist/demo, which `npm run demo` and `npx eventferry demo` serve,
// and into the site. The code of the WebAssembly modules stays in files of its own, as it is in the package already.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { fail } from "./tools.mjs";

const MODULE_CODE = /\/wasm\/[\w-]+\.inline\.js$/;
const REST = "./demo/rest.js";
const STYLES = ["style.css", "demo/picture.css", "demo/lab.css"];
const LICENSE_FILES = /^(?:licen[sc]e|copying)/i;

/** Leaves out of a bundle the code of the WebAssembly modules, and what the page loads later. */
const others = {
  name: "others",
  setup({ onResolve }) {
    onResolve({ filter: MODULE_CODE }, ({ path }) => ({ path: `./wasm/${basename(path)}`, external: true }));
    onResolve({ filter: /^\.\/demo\/rest\.js$/ }, () => ({ path: `./${basename(REST)}`, external: true }));
  },
};

/**
 * Writes the page, its scripts and its styles. The page also asks for `wasm/*.inline.js` and `docs/performance.md`, for the
 * guides to which it links, and for npm `cloudevents` below `modules/`.
 *
 * What shows the first event is one file. The rest is a bundle of its own, in several files, because the files that two
 * entries share would be many small ones.
 *
 * @param change makes the page of the other place from its HTML
 */
export async function buildDemo(folder, change = (html) => html) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of [...STYLES, "worker.js"]) cpSync(join("www", file), join(folder, file));
  const [main, rest] = await Promise.all([bundle("main.js", folder), bundle(REST, folder)]);
  const modules = main.outputs[join(folder, "main.js")].imports.filter(({ kind }) => kind === "import-statement");
  const preloads = modules.map(({ path }) => `  <link rel="modulepreload" href="${path}">\n`);
  const html = readFileSync("www/index.html", "utf8");
  const script = '  <script type="module"';
  if (html.split(script).length !== 2) fail(`www/index.html does not have exactly one «${script}»`);
  writeFileSync(join(folder, "index.html"), change(html.replace(script, preloads.join("") + script)));
  writeFileSync(join(folder, "licenses.txt"), licenses(Object.keys({ ...main.inputs, ...rest.inputs })));
}

async function bundle(entry, folder) {
  const { metafile } = await build({
    // Without it, the folder counts in which esbuild was imported.
    absWorkingDir: process.cwd(),
    ...{ bundle: true, splitting: true, minify: true, platform: "browser", logLevel: "error" },
    ...{ entryPoints: [join("www", entry)], format: "esm", target: "es2022", outdir: folder },
    ...{ chunkNames: "rest-[hash]", plugins: [others], metafile: true },
  });
  return metafile;
}

/** The licenses of the npm packages whose code is in the bundle. */
function licenses(inputs) {
  const folders = new Set(inputs.map((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]));
  folders.delete(undefined);
  const parts = [...folders].sort().map((folder) => {
    const { name, version, license, author } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((name) => LICENSE_FILES.test(name));
    const by = author?.name ?? author;
    const title = `${name} ${version} (${license})${by ? `, ${by}` : ""}`;
    return file ? `${title}\n\n${readFileSync(join(folder, file), "utf8").trim()}` : title;
  });
  return `The scripts of this page contain code of these projects.\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}
