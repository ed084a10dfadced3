// The SHA-256 of the names in a store, for texts that end at every place of a block.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { sha256 } from "../../dist/platform/sha256.js";

test("is the same as that of Node", () => {
  for (let length = 0; length < 200; length++) {
    const text = "aé€😀z".repeat(length).slice(0, length).toWellFormed();
    assert.equal(sha256(text), createHash("sha256").update(text).digest("hex"), String(length));
  }
});

test("a text that is not well-formed is read as UTF-8 has it", () => {
  assert.equal(sha256("a\ud800b"), createHash("sha256").update("a\ufffdb").digest("hex"));
});
