// What becomes of events when the engine breaks, see traps.test.mjs, and when the process or the page ends.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { isFerryError, memoryStore } from "eventferry";
import { call, fullGlue } from "../../dist/engine/instance.js";
import { balance, event, publisherTo, rest, server, storeWith, until } from "./outbox-world.mjs";

/** (module (func (export "f") unreachable)) */
const UNREACHABLE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
]);
const trap = new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f;
const provoke = () =>
  assert.throws(
    () => call(trap),
    (error) => isFerryError(error, "ERR_INTERNAL"),
  );
const gate = () => {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  return { open, opened };
};

test("a trap while events are staged: they are flushed with what comes after, in order", async () => {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { batch: { maxEvents: 20 } } });
  const session = publisher.session();
  const receipts = Array.from({ length: 50 }, (_, id) => session.publish(event(id)));
  provoke();
  receipts.push(...[50, 51].map((id) => session.publish(event(id))));
  provoke();
  receipts.push(session.publish(event(52)));
  assert.equal(session.staged, 53);
  const report = await session.flush({ until: "delivered" });
  const ids = receipts.map(({ id }) => id);
  assert.deepEqual([report.delivered, report.aborted, to.ids().flat()], [ids, false, ids]);
  assert.deepEqual((await receipts[0].delivered).ids, ["0"]);
  assert.equal(balance(publisher.outbox.stats()), 0);
  await publisher.outbox.close();
});

test("a trap while events are staged: they can be rolled back, and make room for others", async () => {
  const size = event(10).toString().length;
  const to = server(202);
  const publisher = publisherTo(to, {
    outbox: { maxBytes: 3 * size, overflow: "drop-oldest", batch: { maxBytes: 2 * size } },
  });
  const session = publisher.session();
  for (const id of [10, 11, 12]) session.publish(event(id));
  provoke();
  for (const id of [13, 14, 15, 16, 17]) session.publish(event(id));
  const { delivered } = await session.flush({ until: "delivered" });
  assert.deepEqual(delivered, ["10", "11", "12", "15", "16", "17"]);
  assert.deepEqual(to.ids().flat(), delivered);
  const receipt = session.publish(event(18));
  provoke();
  assert.deepEqual(session.rollback(), ["18"]);
  await assert.rejects(receipt.accepted, { code: "ERR_ROLLED_BACK" });
  await publisher.outbox.close();
});

test("a trap while the store writes: nothing counts as accepted that is not, and all is delivered", async () => {
  const { open, opened } = gate();
  let writes = 0;
  const store = storeWith({
    write: async (inner, change) => {
      if (writes++ === 0) await opened;
      return inner.write(change);
    },
  });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store } });
  const session = publisher.session();
  const receipt = session.publish(event(1));
  let isAccepted = false;
  const flushed = session.flush({ until: "delivered" });
  receipt.accepted.then(() => (isAccepted = true));
  await until(() => writes === 1);
  provoke();
  const later = session.publish(event(2));
  const second = session.flush({ until: "delivered" });
  assert.equal(isAccepted, false);
  open();
  assert.deepEqual([(await flushed).delivered, (await second).delivered, isAccepted], [["1"], ["2"], true]);
  await later.accepted;
  await publisher.outbox.drain();
  assert.deepEqual(
    [(await store.inner.count()).events, balance(publisher.outbox.stats()), publisher.outbox.stats().pending],
    [0, 0, 0],
  );
  await publisher.outbox.close();
});

test("a trap while events are stored and rest, are in flight, or wait for headers: they are delivered, with the same ids", async () => {
  const { open, opened } = gate();
  for (const [first, options] of [
    [503, {}],
    [() => opened, {}],
    [
      202,
      {
        headers: async () => {
          await opened;
        },
      },
    ],
  ]) {
    const store = memoryStore();
    const to = server(first, 202);
    const publisher = publisherTo(to, { ...options, outbox: { store, retry: { baseMs: 100, maxMs: 100 } } });
    const session = publisher.session();
    const receipts = Array.from({ length: 30 }, (_, id) => session.publish(event(id)));
    await session.flush();
    const asked = receipts[29].delivered;
    await until(() => to.requests.length > 0 || options.headers);
    await rest(3);
    provoke();
    setTimeout(open, 30);
    assert.deepEqual((await asked).ids, ["29"]);
    assert.equal((await receipts[0].delivered).status, 202);
    assert.equal((await publisher.outbox.drain()).aborted, false);
    assert.equal(balance(publisher.outbox.stats()), 0);
    assert.deepEqual(new Set(to.ids().flat()).size, 30);
    assert.equal((await store.count()).events, 0);
    await publisher.outbox.close();
  }
});

test("a trap does not let a paused outbox send", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  publisher.outbox.pause();
  const session = publisher.session();
  const { delivered } = session.publish(event(1));
  await session.flush();
  provoke();
  await rest(50);
  assert.equal(to.requests.length, 0);
  publisher.outbox.resume();
  assert.equal((await delivered).status, 202);
  await publisher.outbox.close();
});

test("dead letters are still counted after a trap", async () => {
  const publisher = publisherTo(server(400, 202));
  const session = publisher.session();
  session.publish(event(1));
  await session.flush({ until: "delivered" });
  await publisher.outbox.drain();
  provoke();
  await publisher.outbox.drain();
  assert.equal(publisher.outbox.stats().dead, 1);
  assert.equal(await publisher.outbox.dead.replay(["1"]), 1);
  assert.deepEqual(await publisher.outbox.drain({ deadlineMs: 1000 }), {
    delivered: 1,
    dead: 0,
    pending: 0,
    aborted: false,
  });
  await publisher.outbox.close();
});

test("a hundred traps while events are published lose none", async () => {
  const seen = new Set();
  const to = server(({ text }) => {
    for (const { id } of JSON.parse(text)) seen.add(id);
    return new Response(null, { status: 202 });
  });
  const publisher = publisherTo(to);
  const session = publisher.session();
  for (let round = 0; round < 100; round++) {
    for (let at = 0; at < 5; at++) session.publish(event(`${round}.${at}`));
    if (round % 3 === 0) provoke();
    void session.flush();
    if (round % 3 === 1) provoke();
    if (round % 10 === 0) await rest(1);
    if (round % 3 === 2) provoke();
  }
  await session.flush({ until: "delivered" });
  assert.equal(seen.size, 500);
  await publisher.outbox.close();
});

/** Runs a program, and says how it ended. */
const child = (code, ms = 4000) =>
  new Promise((resolve) => {
    const started = Date.now();
    execFile(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `import { Publisher, CloudEvent, memoryStore } from "eventferry"; const url = "http://127.0.0.1:9/"; const ok = async () => new Response(null, { status: 202 }); const event = new CloudEvent({ id: "1", type: "t", source: "/s" });${code}`,
      ],
      { timeout: ms },
      (error, out, err) =>
        resolve({ code: error ? (error.code ?? error.signal) : 0, out: out.trim(), err, ms: Date.now() - started }),
    );
  });

test("a process ends by itself when there is nothing to do, with and without close", async () => {
  for (const code of [
    `new Publisher({ url, outbox: {} });`,
    `const p = new Publisher({ url, fetch: ok }); const s = p.session(); s.publish(event); await s.flush({ until: "delivered", deadlineMs: 60000 }); await p.outbox.drain({ deadlineMs: 60000 });`,
    `const p = new Publisher({ url, fetch: ok }); const s = p.session(); s.publish(event); const r = await s.flush(); p.close();`,
    `const p = new Publisher({ url, fetch: () => new Promise(() => {}) }); const s = p.session(); s.publish(event); s.flush(); await p.outbox.close();`,
    `const p = new Publisher({ url, fetch: async () => new Response(null, { status: 503 }) }); const s = p.session(); s.publish(event); await s.flush(); await p.outbox.drain({ deadlineMs: 50 }); await p.outbox.close();`,
    `const p = new Publisher({ url, fetch: ok, outbox: { store: { ...memoryStore(), kind: "mine", open: () => new Promise(() => {}) } } }); p.session().publish(event); setTimeout(() => p.outbox.purge().catch(() => {}), 5); setTimeout(() => p.close(), 20);`,
  ]) {
    const { code: ended, err, ms } = await child(code, 12_000);
    assert.equal(ended, 0, `${code}\n${err}`);
    assert.equal(err.replace(/^.*npm warn.*$/gm, "").trim(), "");
    assert.ok(ms < 11_500, `${ms} ms: ${code}`);
  }
});

test("a process stays until what was flushed is delivered", async () => {
  const { out } = await child(
    `let turn = 0; const p = new Publisher({ url, fetch: async () => { console.log(++turn); return new Response(null, { status: turn < 3 ? 503 : 202 }); }, outbox: { retry: { baseMs: 20 } } }); const s = p.session(); s.publish(event); s.flush();`,
  );
  assert.equal(out, "1\n2\n3");
});

test("an event that was delivered before it was stored is in the store after all, and hides others from the next engine", async () => {
  const inner = memoryStore();
  // Stored, and not known to be; then the engine that has asked for it is gone.
  let failures = 1;
  const store = storeWith({
    open: (_, name) => inner.open(name),
    peek: (_, limit) => inner.peek(limit),
    count: () => inner.count(),
    dead: (_, n) => inner.dead(n),
    write: async (_, change) => {
      await inner.write(change);
      if (failures-- > 0) throw new Error("it was written all the same");
    },
  });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store, batch: { maxEvents: 1 } } });
  const first = publisher.session();
  const early = first.publish(event("early"));
  // While the store fails it is sent from memory.
  await first.flush({ until: "delivered" });
  await early.delivered;
  const body = new TextEncoder().encode(event("of another").toString());
  await inner.write({
    put: [{ key: "zzz", at: Date.now(), body, sizes: Uint32Array.of(body.length) }],
    remove: [],
    deadPut: [],
    deadRemove: [],
  });
  assert.equal((await inner.count()).events, 2);
  provoke();
  await publisher.outbox.drain({ deadlineMs: 2000 });
  await until(() => to.ids().flat().includes("of another"));
  await publisher.outbox.close();
  assert.equal((await inner.count()).events, 0);
});

test("an engine that breaks when it is asked whether all is done: the waiting goes on, and nobody else hears of it", async () => {
  const strays = [];
  const note = (error) => strays.push(error);
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
  const { prototype } = fullGlue().OutboxPort;
  const { is_quiet } = prototype;
  try {
    const { open, opened } = gate();
    const to = server(async () => (await opened, new Response(null, { status: 202 })));
    const publisher = publisherTo(to);
    const { outbox } = publisher;
    const session = publisher.session();
    session.publish(event(1));
    await session.flush();
    const drained = outbox.drain();
    await until(() => to.requests.length === 1);
    let breaks = 2;
    prototype.is_quiet = function () {
      if (breaks-- > 0) trap();
      return is_quiet.call(this);
    };
    open();
    await rest(20);
    assert.deepEqual([breaks <= 0, (await drained).pending], [true, 0]);
    assert.deepEqual(to.ids().at(-1), ["1"]);
    await outbox.close();
    assert.deepEqual(strays, []);
  } finally {
    prototype.is_quiet = is_quiet;
    process.off("unhandledRejection", note);
    process.off("uncaughtException", note);
  }
});
