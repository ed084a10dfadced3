// Every entry point of the package exports the same names to import and to require.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { name, exports } = JSON.parse(readFileSync(require.resolve("eventferry/package.json"), "utf8"));
const entries = Object.keys(exports)
  .filter((subpath) => !/\.\w+$/.test(subpath))
  .map((subpath) => name + subpath.slice(1));
const problems = [];
for (const entry of entries) {
  const [imported, required] = [await import(entry), require(entry)].map((api) => Object.keys(api).sort().join());
  if (imported === "") problems.push(`${entry} exports nothing`);
  if (imported !== required) problems.push(`${entry} exports ${imported} to import, and ${required} to require`);
}
console.log(JSON.stringify({ checks: entries.length, problems }));
