// Releases a version: `node js/build/release.mjs` checks that everything agrees, runs the tests, builds and packs. With
// `--publish` it also publishes, with provenance, which only a workflow with `id-token: write` can do.
//
//   tag v1.2.3 == version of package.json == heading of CHANGELOG.md, clean tree, no placeholders
//     ─> .ci/run ─> npm pack ─> npm publish
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readArguments } from "../cli/arguments.mjs";
import { fail, query, queryAll, run, step } from "./tools.mjs";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), "../.."));
const flags = readArguments({
  command: "node js/build/release.mjs",
  summary: "Checks, builds and packs the version of package.json.",
  flags: {
    publish: { description: "publish it to npm, with provenance" },
    "skip-tests": { description: "without the tests, to try the other steps; not with --publish" },
  },
});

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const problems = problemsOf(manifest, readFileSync("CHANGELOG.md", "utf8"));
if (problems.length > 0) fail(`version ${manifest.version} cannot be released:\n  ${problems.join("\n  ")}`);
if (flags.publish && flags["skip-tests"]) fail("--publish needs the tests");
if (!flags["skip-tests"]) {
  step("running all tests");
  run(".ci/run", [], { timeout: 90 * 60_000 });
}
step("building and packing");
run("npm", ["pack"]);
const tarball = `${manifest.name}-${manifest.version}.tgz`;
if (flags.publish) {
  step(`publishing ${tarball}`);
  run("npm", ["publish", tarball, "--provenance", "--access", "public"]);
} else {
  step(`done: ${tarball}. Push the tag v${manifest.version}; the workflow release publishes it with provenance.`);
}

/** What keeps the version from being released. */
function problemsOf({ version, ...manifest }, changelog) {
  const tag = query("git", ["describe", "--tags", "--exact-match"]);
  const placeholders = Object.entries(manifest).filter(([, value]) =>
    JSON.stringify(value).includes("example.invalid"),
  );
  return [
    queryAll("git", ["status", "--porcelain"]) && "there are changes that are not committed",
    tag !== `v${version}` && `the commit has the tag ${tag ?? "(none)"}, not v${version}`,
    !changelog.includes(`## ${version}`) && `CHANGELOG.md has no heading "## ${version}"`,
    placeholders.length > 0 &&
      `package.json has placeholders: ${placeholders.map(([name]) => name).join(", ")} (hosts at example.invalid)`,
  ].filter(Boolean);
}
