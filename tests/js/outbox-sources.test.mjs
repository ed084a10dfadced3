// The outbox consists of small parts: no long files, and no classes with many fields. `tests/native/outbox/sources.rs` has
// the same rules for Rust.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import ts from "typescript";

const MAX_LINES = 400;
const MAX_FIELDS = 15;
/** Classes with more fields, and why. */
const EXCEPTIONS = {
  TrackedSegment: "the row of a segment in the store, and beside it what is known here",
};

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
  const large = [];
  let count = 0;
  for (const name of readdirSync(folder)) {
    const source = readFileSync(new URL(name, folder), "utf8");
    const lines = source.trimEnd().split("\n").length;
    assert.ok(lines <= MAX_LINES, `${name} has ${lines} lines`);
    for (const [name, fields] of classes(source)) {
      count++;
      if (fields > MAX_FIELDS) large.push(name);
    }
  }
  assert.ok(count > 15, `${count} classes`);
  assert.deepEqual(large, Object.keys(EXCEPTIONS));
});

test("fields are counted", () => {
  const source = "class One { #a = 1; readonly b: number; get c() { return 1 } d(): void {} }\nconst two = class {};";
  assert.deepEqual(classes(source), [
    ["One", 2],
    [undefined, 0],
  ]);
});
