// In a fresh clone no npm package is installed: what its commands import at their start must not need one.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The packages that a program needs before its first line runs, each with the file that imports it. */
async function packagesOf(program) {
  const { metafile } = await build({
    ...{
      absWorkingDir: root,
      entryPoints: [program],
      bundle: true,
      packages: "external",
      external: ["../dist/*", "../../dist/*", "eventferry"],
    },
    ...{ platform: "node", format: "esm", metafile: true, write: false, logLevel: "error" },
  });
  const found = new Map();
  const seen = new Set([program]);
  for (const file of seen) {
    for (const { path, kind, external } of metafile.inputs[file].imports) {
      if (kind !== "import-statement") continue;
      if (!external) seen.add(path);
      else if (!path.startsWith("node:")) found.set(path, file);
    }
  }
  assert.ok(seen.size > 3, `${seen.size} files`);
  return [...found];
}

const PROGRAMS = [
  "js/build/build.mjs",
  "js/build/size.mjs",
  "tests/bench/run.mjs",
  "tests/check.mjs",
  "tests/run.mjs",
  "www/build-site.mjs",
  "www/demo.mjs",
];

for (const program of PROGRAMS)
  test(`${program} starts in a fresh clone`, async () => {
    assert.deepEqual(await packagesOf(program), []);
  });

test("a package that is imported at the start is found", async () => {
  assert.deepEqual(new Map(await packagesOf("tests/js/modules.test.mjs")).get("esbuild"), "tests/js/modules.test.mjs");
});
