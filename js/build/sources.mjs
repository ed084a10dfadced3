// Whether dist/ is up to date: the build notes there from which sources it was made. By their contents, not by their times,
// which git and copies change.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const NOTES = "dist/sources.json";
/** The files of js/build that the modules and their glue depend on. */
const BUILD = ["build", "glue", "modules", "panics", "short-names", "wasm-sections"];

/** The parts of dist/, and what each is made from. A folder stands for all of its files. */
const SOURCES = {
  /** The WebAssembly modules. */
  rust: ["src", "Cargo.toml", "Cargo.lock", ...BUILD.map((name) => `js/build/${name}.mjs`)],
  /** What is made from TypeScript. */
  js: ["js", "tsconfig.json", "package.json", "package-lock.json"],
  /** The page in dist/demo. */
  demo: ["index.html", "main.js", "worker.js", "style.css", "demo"].map((name) => `www/${name}`),
};

/** The digest of the sources of each part. @param root the folder of the repository */
export function sourceDigests(root) {
  return Object.fromEntries(
    Object.entries(SOURCES).map(([part, paths]) => {
      const hash = createHash("sha256");
      for (const path of paths.flatMap((path) => filesOf(root, path)))
        hash.update(`${path}\n`).update(readFileSync(join(root, path)));
      return [part, hash.digest("hex")];
    }),
  );
}

/** From which sources the parts of dist/ were made; nothing if there is no dist/. */
export function notedDigests(root) {
  const file = join(root, NOTES);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/** Notes from which sources dist/ is made. @param folder has dist/ */
export function noteDigests(folder, digests) {
  writeFileSync(join(folder, NOTES), JSON.stringify(digests));
}

/** The parts of dist/ that were made from other sources than there are now. */
export function staleParts(root) {
  const noted = notedDigests(root);
  return Object.entries(sourceDigests(root)).flatMap(([part, digest]) => (noted[part] === digest ? [] : [part]));
}

function filesOf(root, path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path))
    .sort()
    .flatMap((name) => filesOf(root, `${path}/${name}`));
}
