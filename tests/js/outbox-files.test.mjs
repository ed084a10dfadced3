// An outbox on a file store. Files need real time, so this file has no virtual clock.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileStore } from "eventferry";
import { event, publisherTo, server } from "./outbox-fixtures.mjs";

test("stored events are delivered by the next outbox, in order", async () => {
  const folder = await mkdtemp(join(tmpdir(), "eventferry-"));
  const path = join(folder, "outbox");
  const down = publisherTo(server(503), { outbox: { store: fileStore(path) } });
  const session = down.session();
  const receipts = [1, 2, 3].map((id) => session.publish(event(id)));
  void session.flush({ until: "delivered" });
  await receipts[2].accepted;
  await down.outbox.close();
  const to = server(202);
  const up = publisherTo(to, { outbox: { store: fileStore(path) } });
  const next = up.session();
  next.publish(event(4));
  await next.flush({ until: "delivered" });
  const { delivered, pending } = await up.outbox.drain();
  assert.deepEqual(
    [delivered, pending, to.ids().flat(), up.outbox.stats().durability],
    [4, 0, ["1", "2", "3", "4"], "disk"],
  );
  await up.outbox.close();
  await rm(folder, { recursive: true });
});
