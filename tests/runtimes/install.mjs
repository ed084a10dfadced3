// Packs the built package and installs the tarball into an empty folder, as a user would.
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runChild } from "../child.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

/**
 * @returns `app`: a project with the package in its node_modules and the test programs beside it; `site`: an empty folder
 * for static files; `tarball`: the packed package; `folder`: where all of this is; `remove()` deletes it
 */
export async function installPackage() {
  if (!existsSync(join(root, "dist/entries/index.js")))
    throw new Error("dist/ does not exist; run `npm run build` first");
  const folder = mkdtempSync(join(tmpdir(), "eventferry-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.on("exit", remove);
  const [app, site] = [join(folder, "app"), join(folder, "site")];
  for (const path of [app, site]) mkdirSync(path);
  writeFileSync(join(app, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const { name, version } = JSON.parse(await npm(root, "pkg", "get", "name", "version"));
  await npm(root, "pack", "--ignore-scripts", "--pack-destination", folder);
  const tarball = join(folder, `${name}-${version}.tgz`);
  await npm(app, "install", "--ignore-scripts", "--no-audit", "--no-fund", tarball);
  cpSync(join(here, "apps"), app, { recursive: true });
  cpSync(join(here, "smoke.mjs"), join(app, "smoke.mjs"));
  return { folder, tarball, app, site, remove, installed: join(app, "node_modules", name) };
}

async function npm(cwd, ...args) {
  const { ok, output, problem } = await runChild("npm", ["--loglevel=error", ...args], {
    cwd,
    minutes: 5,
    show: false,
  });
  if (!ok) throw new Error(`${problem}\n${output}`);
  return output;
}
