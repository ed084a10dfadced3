// dist/ is replaced at the end of a build, and knows from which sources it was made. tests/reproducible.mjs ends real builds.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { moveInPlace } from "../../js/build/move-in-place.mjs";
import { notedDigests, noteDigests, sourceDigests, staleParts } from "../../js/build/sources.mjs";

function repository(t) {
  const root = mkdtempSync(join(tmpdir(), "eventferry-build-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const write = (path, text = path) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const path of ["src/a.rs", "Cargo.toml", "Cargo.lock", "js/a.ts", "js/deep/b.ts", "tsconfig.json"]) write(path);
  for (const name of ["build", "glue", "modules", "panics", "short-names", "wasm-sections"])
    write(`js/build/${name}.mjs`);
  for (const path of ["package.json", "package-lock.json", "www/docs/index.md"]) write(path);
  for (const path of ["index.html", "main.js", "worker.js", "style.css", "demo/a.js"]) write(`www/${path}`);
  write("dist/index.js");
  return { root, write };
}

test("dist is stale where its sources have other contents, and not where they have other times", (t) => {
  const { root, write } = repository(t);
  assert.deepEqual([notedDigests(root), staleParts(root)], [{}, ["rust", "js", "demo"]]);
  noteDigests(root, sourceDigests(root));
  assert.deepEqual(staleParts(root), []);
  for (const path of ["src/a.rs", "js/deep/b.ts", "www/demo/a.js"]) utimesSync(join(root, path), 2e9, 2e9);
  write("www/docs/index.md", "changed");
  assert.deepEqual(staleParts(root), []);
  write("www/demo/a.js", "changed");
  assert.deepEqual(staleParts(root), ["demo"]);
  write("js/deep/new.ts");
  assert.deepEqual(staleParts(root), ["js", "demo"]);
  write("js/build/modules.mjs", "changed");
  assert.deepEqual(staleParts(root), ["rust", "js", "demo"]);
});

test("a file that was moved makes dist stale", (t) => {
  const { root, write } = repository(t);
  noteDigests(root, sourceDigests(root));
  rmSync(join(root, "src/a.rs"));
  write("src/b.rs", "src/a.rs");
  assert.deepEqual(staleParts(root), ["rust"]);
});

test("a new dist takes the place of the former one, also if an ended build has left some of it", (t) => {
  const { root, write } = repository(t);
  const [made, place] = [join(root, ".build/dist"), join(root, "dist")];
  write(".build/dist/new.js");
  cpSync(place, `${made}.former`, { recursive: true });
  moveInPlace(made, place);
  assert.deepEqual([readdirSync(place), readdirSync(join(root, ".build"))], [["new.js"], []]);
  // Without an earlier build.
  write(".build/dist/newer.js");
  rmSync(place, { recursive: true });
  moveInPlace(made, place);
  assert.deepEqual([readdirSync(place), existsSync(made)], [["newer.js"], false]);
});
