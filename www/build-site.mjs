// `npm run build:site`: the documentation, its API reference and the demo as static files in target/site, for any static host.
//
//   npm run build:site
//   npm run build:site -- --base=/eventferry/    for a host that serves it below a path
import { cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeLlmsTexts } from "../js/build/llms.mjs";
import { ensureModules, ensurePackages, fail, run, step } from "../js/build/tools.mjs";
import { readArguments } from "../js/cli/arguments.mjs";
import { deadLinks } from "./check-links.mjs";

const SITE = "target/site";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));
const { base = "/" } = readArguments({
  command: "npm run build:site --",
  summary: `Makes the documentation, the API reference and the demo as static files in ${SITE}.`,
  flags: { base: { value: "<path>", description: "path below which the host serves the site; default /" } },
});
if (!/^\/(?:.*\/)?$/.test(base)) fail(`--base must begin and end with a slash; received ${JSON.stringify(base)}`);
if (!existsSync("dist/entries/index.js")) fail("dist/ does not exist; run `npm run build` first");

ensurePackages();
ensureModules("www/site");
ensureModules("tests/demo");
rmSync(SITE, { recursive: true, force: true });
step("rendering the pages");
run("www/site/node_modules/.bin/vitepress", ["build", "www/site"], { env: { ...process.env, SITE_BASE: base } });
step("writing the API reference");
run("www/site/node_modules/.bin/typedoc", ["--options", "www/site/typedoc.json", "--logLevel", "Warn"]);
step("bundling the demo");
await buildDemoOfSite();
writeLlmsTexts();
for (const file of ["llms.txt", "llms-full.txt"]) cpSync(file, join(SITE, file));
step("checking the links");
const dead = deadLinks(SITE, base);
if (dead.length > 0) fail(`dead links:\n  ${dead.join("\n  ")}`);
step(`done: ${SITE}/`);

/** The demo. Its guides are the pages of the site. */
async function buildDemoOfSite() {
  // Not at the top of the file: it imports a package that may have been installed only now.
  const { buildDemo } = await import("../js/build/demo.mjs");
  const folder = join(SITE, "demo");
  await buildDemo(folder, (html) => html.replaceAll(/href="docs\/([\w-]+)\.md"/g, 'href="../$1.html"'));
  for (const name of readdirSync("dist/wasm").filter((name) => name.endsWith(".inline.js")))
    cpSync(join("dist/wasm", name), join(folder, "wasm", name));
  // The page reads its table of sizes from the guide, and loads npm cloudevents to compare with it.
  cpSync("www/docs/performance.md", join(folder, "docs/performance.md"));
  const sdk = "cloudevents/bundles/cloudevents.js";
  cpSync(join("tests/demo/node_modules", sdk), join(folder, "modules", sdk));
}
