// THIRD-PARTY-NOTICES.txt: the licenses of the crates that are compiled into the WebAssembly modules. Written by the build,
// for the package.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fail, query, queryAll } from "./tools.mjs";

const FILE = "THIRD-PARTY-NOTICES.txt";
const LICENSE_FILES = /^(?:licen[sc]e|copying|notice|unlicense)/i;

/** Writes the file beside the README. */
export function writeNotices(target) {
  const metadata = queryAll("cargo", ["metadata", "--format-version=1", "--locked", `--filter-platform=${target}`]);
  if (metadata === undefined) fail("`cargo metadata` failed");
  writeFileSync(FILE, noticesText(JSON.parse(metadata)));
}

/** The notices of the crates, those with the same license texts together. */
export function noticesText(metadata) {
  const groups = new Map();
  for (const crate of compiledCrates(metadata)) {
    const texts = licenseTexts(crate).join("\n\n");
    const title = `${crate.name} ${crate.version} (${crate.license})${crate.repository ? `, ${crate.repository}` : ""}`;
    groups.set(texts, [...(groups.get(texts) ?? []), title]);
  }
  const rust = `The Rust standard library ${query("rustc", ["--version"]) ?? ""} (MIT OR Apache-2.0), https://github.com/rust-lang/rust`;
  const parts = [...groups].map(([texts, titles]) => `${titles.join("\n")}\n\n${texts.trim()}`);
  return `The WebAssembly modules of this package contain code of these projects.\n\n${rust}\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

/** The crates that are linked: without build scripts, macros, tests, and what only those use. */
function compiledCrates({ packages, resolve }) {
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const byId = new Map(packages.map((crate) => [crate.id, crate]));
  const isMacro = (crate) => crate.targets.some(({ kind }) => kind.includes("proc-macro"));
  const found = new Map();
  const visit = (id) => {
    if (found.has(id) || isMacro(byId.get(id))) return;
    found.set(id, byId.get(id));
    for (const { pkg, dep_kinds } of nodes.get(id).deps) {
      if (dep_kinds.some(({ kind }) => kind === null)) visit(pkg);
    }
  };
  visit(resolve.root);
  found.delete(resolve.root);
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The license files of a crate. One that ships none is used under the Apache License, if it allows that. */
function licenseTexts({ name, license, manifest_path }) {
  const folder = dirname(manifest_path);
  const files = readdirSync(folder).filter((file) => LICENSE_FILES.test(file));
  if (files.length === 0 && license?.includes("Apache-2.0")) return [readFileSync("LICENSE", "utf8").trim()];
  if (files.length === 0) fail(`the crate ${name} has no license file`);
  return files.sort().map((file) => readFileSync(join(folder, file), "utf8").trim());
}
