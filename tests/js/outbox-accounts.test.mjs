// The accounts of tests/stores/accounts.mjs on the stores of Node. The stores stage runs them in the other runtimes.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CloudEvent, fileStore, memoryStore, Publisher } from "eventferry";
import { checkAccounts } from "../stores/accounts.mjs";

const STORAGES = {
  memory: () => ({ make: () => memoryStore(), isVolatile: true }),
  // Without a prefix, as stores of applications may be.
  "a custom store": () => {
    const inner = memoryStore();
    const store = {
      kind: "mine",
      open: async () => ({ durability: "none", isShared: false }),
      write: (change) => inner.write(change),
      peek: ({ events, bytes, skip }) => inner.peek({ events, bytes, skip }),
      dead: (limit) => inner.dead(limit),
      count: () => inner.count(),
      close: async () => undefined,
    };
    return { make: () => store, isVolatile: true };
  },
  "a file": () => {
    const folder = mkdtempSync(join(tmpdir(), "eventferry-accounts-"));
    return { make: (name) => fileStore(join(folder, name)), end: () => rmSync(folder, { recursive: true }) };
  },
};

for (const [name, makeStorage] of Object.entries(STORAGES)) {
  test(`no event leaves under another account: ${name}`, async () => {
    const results = await checkAccounts(makeStorage, { CloudEvent, Publisher });
    assert.ok(results.length > 0);
    for (const { name, problem } of results) assert.equal(problem, undefined, name);
  });
}
