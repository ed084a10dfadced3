// The outbox consists of small parts: no long files, and no classes with many fields. `tests/native/outbox/sources.rs` has
// the same rules for Rust.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import ts from "typescript";

const MAX_LINES = 400;
const MAX_FIELDS = 15;
/** Files and classes that may be larger, up to this size: in parts of their own they add 1.2 KB to every application. */
const LONG_FILES = { "driver.ts": 650, "outbox.ts": 500, "store-sync.ts": 440, "tracked-segment.ts": 460 };
const LARGE_CLASSES = { OutboxDriver: 25, Outbox: 16, StoreSync: 20, TrackedSegment: 28 };

const folder = new URL("../../js/outbox/", import.meta.url);

/** The classes of a source, each with the number of its fields. */
function classes(source) {
  const all = [];
  const visit = (node) => {
    if (ts.isClassLike(node)) {
      const fields = node.members.filter((member) => ts.isPropertyDeclaration(member));
      all.push([node.name?.text, fields.length]);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("source.ts", source, ts.ScriptTarget.Latest));
  return all;
}

test("no file is long, and no class has many fields", () => {
  let count = 0;
  for (const file of readdirSync(folder)) {
    const source = readFileSync(new URL(file, folder), "utf8");
    const lines = source.trimEnd().split("\n").length;
    assert.ok(lines <= (LONG_FILES[file] ?? MAX_LINES), `${file} has ${lines} lines`);
    for (const [name, fields] of classes(source)) {
      count++;
      assert.ok(fields <= (LARGE_CLASSES[name] ?? MAX_FIELDS), `${name} has ${fields} fields`);
    }
  }
  assert.ok(count >= 14, `${count} classes`);
});

test("fields are counted", () => {
  const source = "class One { #a = 1; readonly b: number; get c() { return 1 } d(): void {} }\nconst two = class {};";
  assert.deepEqual(classes(source), [
    ["One", 2],
    [undefined, 0],
  ]);
});
