// Everything at once, by chance but the same each time: a store and a server that fail, traps, sessions that come and go.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FerryError, memoryStore } from "eventferry";
import { call } from "../../dist/engine/instance.js";
import { balance, event, publisherTo, rest, server, storeWith } from "./outbox-world.mjs";

const UNREACHABLE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11,
]);
const trap = new WebAssembly.Instance(new WebAssembly.Module(UNREACHABLE)).exports.f;

/** Mulberry32. */
const chances = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

async function soak(seed, { traps, lives, mode, overflow }) {
  const chance = chances(seed);
  const inner = memoryStore();
  const delivered = new Set();
  const accepted = new Set();
  const gone = new Set();
  /** By the server, before they were stored. */
  const refused = new Set();
  let isCalm = false;
  const flaky =
    (name) =>
    async (_, ...given) => {
      if (chance() < 0.3) await rest(chance() * 3);
      const roll = isCalm ? 1 : chance();
      if (roll < 0.05) throw new Error("before");
      const done = await inner[name](...given);
      if (roll < 0.1) throw new Error("after");
      return done;
    };
  const answer = async ({ text }) => {
    const events = mode === "batch" ? JSON.parse(text) : [JSON.parse(text)];
    if (chance() < 0.5) await rest(chance() * 3);
    const roll = isCalm ? 1 : chance();
    const take = (some) => some.forEach(({ id }) => delivered.add(id));
    if (roll < 0.1) throw new TypeError("lost before");
    if (roll < 0.2) return new Response(null, { status: 503 });
    if (events.some(({ data }) => data.isPoison)) return new Response(null, { status: 422 });
    if (roll < 0.3 && mode === "batch") {
      const statuses = events.map(() => (chance() < 0.5 ? 202 : 503));
      take(events.filter((_, at) => statuses[at] === 202));
      return Response.json(
        statuses.map((status) => ({ status })),
        { status: 207 },
      );
    }
    take(events);
    if (roll < 0.4) throw new TypeError("lost after");
    return new Response(null, { status: 202 });
  };
  const poison = new Set();
  for (let life = 0, id = 0; life < lives; life++) {
    let closed = false;
    const publisher = publisherTo(server(answer), {
      mode,
      outbox: {
        store: storeWith({
          write: flaky("write"),
          peek: flaky("peek"),
          dead: (_, n) => inner.dead(n),
          count: () => inner.count(),
          open: (_, name) => inner.open(name),
        }),
        ...(overflow && { overflow, maxBytes: 3000 }),
        batch: { maxEvents: 16 },
        concurrency: mode === "batch" ? 1 + (seed % 2) : 4,
      },
    });
    const { outbox } = publisher;
    const sessions = [publisher.session(), publisher.session()];
    for (let step = 0; step < 60; step++) {
      const session = sessions[Math.floor(chance() * 2)];
      for (let count = chance() * 8; count > 0; count--) {
        const isPoison = chance() < 0.02;
        const it = event(id++, { data: { isPoison }, ...(chance() < 0.3 && { partitionkey: "k" }) });
        if (isPoison) poison.add(it.id);
        try {
          const receipt = session.publish(it);
          receipt.accepted.then(
            () => accepted.add(receipt.id),
            (error) => (["ERR_ROLLED_BACK", "ERR_QUEUE_FULL"].includes(error.code) ? gone : refused).add(receipt.id),
          );
        } catch (error) {
          assert.ok(
            error instanceof FerryError && error.code === (overflow ? "ERR_QUEUE_FULL" : "ERR_INTERNAL"),
            error,
          );
          gone.add(it.id);
        }
      }
      const roll = chance();
      if (roll < 0.5) void session.flush({ until: chance() < 0.5 ? "accepted" : "delivered" });
      else if (roll < 0.55) session.rollback().forEach((id) => gone.add(id));
      else if (roll < 0.6) {
        outbox.pause();
        setTimeout(() => closed || outbox.resume(), 2);
      } else if (roll < 0.65 && traps)
        try {
          call(trap);
        } catch {
          /* what was wanted */
        }
      if (chance() < 0.3) await rest(1);
      assert.equal(balance(outbox.stats()), 0);
      assert.ok(!overflow || outbox.stats().bytes <= (overflow === "wait" ? 6000 : 3000), "no more than there may be");
    }
    if (life < lives - 1) {
      closed = true;
      await outbox.close();
      continue;
    }
    isCalm = true;
    for (const session of sessions) await session.flush();
    outbox.resume();
    const report = await outbox.drain({ deadlineMs: 8000 });
    const stats = outbox.stats();
    assert.deepEqual(
      [report.aborted, stats.pending, stats.staged, balance(stats)],
      [false, 0, 0, 0],
      JSON.stringify(stats),
    );
    const dead = await outbox.dead.list(1000);
    closed = true;
    await outbox.close();
    await rest(3);
    const buried = new Set(dead.map(({ id }) => id));
    for (const it of accepted) assert.ok(delivered.has(it) || buried.has(it), `${it} is lost`);
    for (const it of refused) assert.ok(lives > 1 || buried.has(it), `${it} was refused, and is no dead letter`);
    for (const it of buried) assert.ok(poison.has(it), `${it} died`);
    for (const it of gone) assert.ok(!delivered.has(it) && !buried.has(it), `${it} was rolled back, and delivered`);
    assert.deepEqual([await inner.count().then(({ events }) => events)], [0]);
    if (lives === 1) assert.equal(accepted.size + gone.size + refused.size, id, "every receipt settles");
  }
}

for (const mode of ["batch", "structured"]) {
  for (const traps of [false, true]) {
    for (const lives of [1, 3]) {
      test(`nothing accepted is lost, nothing rolled back is delivered: ${mode}, ${traps ? "with traps, " : ""}${lives} ${lives > 1 ? "lives" : "life"}`, async () => {
        for (let seed = 1; seed <= 2; seed++) await soak(seed * 1000, { traps, lives, mode });
      });
    }
  }
}

for (const overflow of ["reject", "drop-oldest", "drop-newest", "wait"]) {
  test(`the same in an outbox that is too small: ${overflow}`, async () => {
    for (let seed = 1; seed <= 4; seed++) await soak(seed * 1000, { traps: false, lives: 1, mode: "batch", overflow });
  });
}
