// Only `eventferry/bc-events` may load YAML and JSON Schema, so that other entry points stay small.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { name, exports, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const CONDITIONS = {
  browser: ["browser"],
  workerd: ["workerd", "worker", "browser"],
  "edge-light": ["edge-light", "browser"],
  node: ["node"],
};

/** The packages in the bundle of an entry point. */
async function packagesOf(entry, conditions, format) {
  const { metafile } = await build({
    stdin: {
      contents:
        format === "cjs"
          ? `require(${JSON.stringify(entry)});`
          : `import * as all from ${JSON.stringify(entry)}; console.log(all);`,
      resolveDir: root,
    },
    bundle: true,
    write: false,
    metafile: true,
    format,
    conditions,
    logLevel: "error",
    platform: conditions.includes("node") ? "node" : "browser",
    loader: { ".wasm": "empty" },
    plugins: [
      {
        name: "wasm",
        setup: ({ onResolve }) => onResolve({ filter: /\.wasm\?module$/ }, ({ path }) => ({ path, external: true })),
      },
    ],
  });
  return [
    ...new Set(
      Object.keys(metafile.inputs)
        .map((path) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
        .filter(Boolean),
    ),
  ].sort();
}

const entries = Object.keys(exports)
  .filter((subpath) => !/\.\w+$/.test(subpath))
  .map((subpath) => name + subpath.slice(1));

test("only eventferry/bc-events imports the dependencies, and only eventferry/jwt its peer", async () => {
  assert.deepEqual(Object.keys(dependencies).sort(), ["@cfworker/json-schema", "yaml"]);
  assert.ok(entries.includes("eventferry/bc-events") && entries.length > 4);
  for (const entry of entries) {
    for (const [runtime, conditions] of Object.entries(CONDITIONS)) {
      for (const format of ["esm", "cjs"]) {
        const expected = { "eventferry/bc-events": Object.keys(dependencies).sort(), "eventferry/jwt": ["jose"] };
        const packages = await packagesOf(entry, conditions, format);
        assert.deepEqual(packages, expected[entry] ?? [], `${entry} for ${runtime} as ${format}`);
      }
    }
  }
});
