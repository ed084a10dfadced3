// The queue of a machine's outputs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { effectQueue } from "../../dist/engine/effect-queue.js";

test("a handler that throws takes no other output with it", () => {
  const made = [];
  const queue = effectQueue({
    send(id) {
      made.push(`send ${id}`);
      if (id < 3) throw new Error(`send ${id} failed`);
    },
    settle: (id) => made.push(`settle ${id}`),
  });
  queue.effects.send(1);
  queue.effects.settle(1);
  queue.effects.send(2);
  queue.effects.settle(2);
  assert.throws(() => queue.run(), /^Error: send 1 failed$/);
  assert.deepEqual(made, ["send 1", "settle 1", "send 2", "settle 2"]);
  queue.effects.send(3);
  queue.run();
  assert.deepEqual(made.slice(4), ["send 3"]);
});

test("outputs that a handler adds are carried out after those before them", () => {
  const made = [];
  const queue = effectQueue({
    first() {
      made.push("first");
      queue.effects.last();
      queue.run();
    },
    second: () => made.push("second"),
    last: () => made.push("last"),
  });
  queue.effects.first();
  queue.effects.second();
  queue.run();
  assert.deepEqual(made, ["first", "second", "last"]);
});

test("outputs that were dropped while a handler runs are not carried out", () => {
  const made = [];
  const queue = effectQueue({
    first() {
      queue.clear();
      queue.effects.third();
    },
    second: () => made.push("second"),
    third: () => made.push("third"),
  });
  queue.effects.first();
  queue.effects.second();
  queue.run();
  assert.deepEqual(made, ["third"]);
});
