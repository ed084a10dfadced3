// Random but reproducible runs: a store and a server that fail, traps, and sessions that come and go.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FerryError, memoryStore } from "eventferry";
import { publish } from "../../dist/entries/node/internals.js";
import { balance, event, publisherTo, server, storeWith, trap } from "./outbox-fixtures.mjs";
import { sleep, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const DAY_MS = 86_400_000;

/** Random numbers from 0 to 1 (Mulberry32). */
const randomFrom = (seed) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};

async function soak(seed, { traps, runs, mode, overflow }) {
  const chance = randomFrom(seed);
  const inner = memoryStore();
  const delivered = new Set();
  const accepted = new Set();
  const gone = new Set();
  /** Rejected by the server before they were stored. */
  const refused = new Set();
  let isReliable = false;
  const flaky =
    (name) =>
    async (_, ...given) => {
      if (chance() < 0.3) await sleep(chance() * 3);
      const roll = isReliable ? 1 : chance();
      if (roll < 0.05) throw new Error("not applied");
      const done = await inner[name](...given);
      if (roll < 0.1) throw new Error("applied");
      return done;
    };
  const answer = async ({ text }) => {
    const events = mode === "batch" ? JSON.parse(text) : [JSON.parse(text)];
    if (chance() < 0.5) await sleep(chance() * 3);
    const roll = isReliable ? 1 : chance();
    const accept = (some) => {
      for (const { id } of some) delivered.add(id);
    };
    if (roll < 0.1) throw new TypeError("request lost");
    if (roll < 0.2) return new Response(null, { status: 503 });
    if (events.some(({ data }) => data.isRejected)) return new Response(null, { status: 422 });
    if (roll < 0.3 && mode === "batch") {
      const statuses = events.map(() => (chance() < 0.5 ? 202 : 503));
      accept(events.filter((_, at) => statuses[at] === 202));
      return Response.json(
        statuses.map((status) => ({ status })),
        { status: 207 },
      );
    }
    accept(events);
    if (roll < 0.4) throw new TypeError("response lost");
    return new Response(null, { status: 202 });
  };
  const rejected = new Set();
  for (let run = 0, id = 0; run < runs; run++) {
    let isClosed = false;
    const publisher = publisherTo(server(answer), {
      mode,
      timeoutMs: 50,
      // Sometimes the function of the application hangs.
      headers: async () => {
        if (!isReliable && chance() < 0.05) await new Promise(() => {});
        return {};
      },
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
        // All are looked for at the end.
        deadLetters: { maxAgeMs: Infinity, maxBytes: Infinity },
        concurrency: mode === "batch" ? 1 + (seed % 2) : 4,
      },
    });
    const { outbox } = publisher;
    const sessions = [publisher.session(), publisher.session()];
    for (let step = 0; step < 60; step++) {
      const session = sessions[Math.floor(chance() * 2)];
      for (let count = chance() * 8; count > 0; count--) {
        const isRejected = chance() < 0.02;
        const published = event(id++, { data: { isRejected }, ...(chance() < 0.3 && { partitionkey: "k" }) });
        if (isRejected) rejected.add(published.id);
        try {
          const receipt = session.publish(published);
          receipt.accepted.then(
            () => accepted.add(receipt.id),
            (error) => (["ERR_ROLLED_BACK", "ERR_QUEUE_FULL"].includes(error.code) ? gone : refused).add(receipt.id),
          );
        } catch (error) {
          assert.ok(
            error instanceof FerryError && error.code === (overflow ? "ERR_QUEUE_FULL" : "ERR_INTERNAL"),
            error,
          );
          gone.add(published.id);
        }
      }
      const roll = chance();
      if (roll < 0.5) void session.flush({ until: chance() < 0.5 ? "accepted" : "delivered" });
      else if (roll < 0.55) for (const id of session.rollback()) gone.add(id);
      else if (roll < 0.6) {
        outbox.pause();
        void sleep(2).then(() => {
          if (!isClosed) outbox.resume();
        });
      } else if (roll < 0.65 && traps)
        try {
          publish.call(trap);
        } catch {
          // The error of the trap.
        }
      // The user of the machine sets its clock.
      if (chance() < 0.05) virtualClock().setUnix(virtualClock().unixNow() + (chance() - 0.5) * 30 * DAY_MS);
      if (chance() < 0.3) await sleep(1);
      assert.equal(balance(outbox.stats()), 0);
      assert.ok(!overflow || outbox.stats().bytes <= (overflow === "wait" ? 6000 : 3000), "the limit is respected");
    }
    if (run < runs - 1) {
      isClosed = true;
      await outbox.close();
      continue;
    }
    isReliable = true;
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
    isClosed = true;
    await outbox.close();
    await sleep(3);
    const deadIds = new Set(dead.map(({ id }) => id));
    const expiredIds = new Set(
      dead.flatMap(({ id, code, attempts }) => (code === "ERR_EXPIRED" && attempts > 0 ? [id] : [])),
    );
    for (const id of accepted) assert.ok(delivered.has(id) || deadIds.has(id), `${id} is lost`);
    for (const id of refused) assert.ok(runs > 1 || deadIds.has(id), `${id} was refused, and is no dead letter`);
    for (const id of deadIds)
      assert.ok(rejected.has(id) || expiredIds.has(id), `${id} is a dead letter without a reason`);
    for (const id of gone) assert.ok(!delivered.has(id) && !deadIds.has(id), `${id} was rolled back, and delivered`);
    assert.deepEqual([await inner.count().then(({ events }) => events)], [0]);
    if (runs === 1) assert.equal(accepted.size + gone.size + refused.size, id, "every receipt settles");
  }
}

for (const mode of ["batch", "structured"]) {
  for (const traps of [false, true]) {
    for (const runs of [1, 3]) {
      test(`no accepted event is lost, no rolled back event is delivered: ${mode}, ${traps ? "with traps, " : ""}${runs} ${runs > 1 ? "runs" : "run"}`, async () => {
        for (let seed = 1; seed <= 2; seed++) await soak(seed * 1000, { traps, runs, mode });
      });
    }
  }
}

for (const overflow of ["reject", "drop-oldest", "drop-newest", "wait"]) {
  test(`no accepted event is lost in an outbox that is too small: ${overflow}`, async () => {
    for (let seed = 1; seed <= 4; seed++) await soak(seed * 1000, { traps: false, runs: 1, mode: "batch", overflow });
  });
}
