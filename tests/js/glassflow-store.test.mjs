// Iteration with a store: events that were handed out and not acknowledged are returned first by the next iteration.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "eventferry/glassflow";
import { consumed, emulatedPipeline, server, sinkOf, sourceTo, text } from "./glassflow-fixtures.mjs";
import { storeWith } from "./outbox-fixtures.mjs";
import { sleep, until, virtualClock, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const settings = { baseUrl: "http://emulator/glassflow/v1", backoff: { baseMs: 1, maxMs: 2 } };
const range = (count, from = 0) => Array.from({ length: count }, (_, n) => n + from);

/** Consumes `count` events, acknowledges those for which `isDone` is true, and returns all. */
async function take(sink, count, options, isDone = () => true) {
  const events = [];
  if (count === 0) return events;
  for await (const event of sink.events(options)) {
    events.push(event);
    if (isDone(event.payload)) await event.ack();
    if (events.length === count) break;
  }
  return events;
}
const payloads = (events) => events.map(({ payload }) => payload);

test("unacknowledged events survive a crash and are handed out first, oldest first", async () => {
  const { emulator, pipeline, source } = emulatedPipeline();
  await source.publishAll(range(10));
  const store = memoryStore();
  // This sink is never closed: for the store that is a crash.
  const before = await take(sinkOf(emulator, settings), 6, { store }, (n) => n % 2 === 0);
  assert.deepEqual(payloads(before), range(6));
  assert.equal(pipeline.waiting.output, 4);
  const after = await take(sinkOf(emulator, settings), 7, { store });
  assert.deepEqual(payloads(after), [1, 3, 5, 6, 7, 8, 9]);
  assert.deepEqual(after[0].toJSON(), before[1].toJSON(), "it is the same event");
  assert.deepEqual(await store.count(), { events: 0, bytes: 0, dead: 0, deadBytes: 0 });
});

test("an event is in the store before it is handed out, and ack removes it", async () => {
  const store = storeWith();
  const { source, emulator } = emulatedPipeline();
  await source.publishAll(range(2));
  const sink = sinkOf(emulator, settings);
  for await (const event of sink.events({ store })) {
    const segments = await store.inner.peek({ events: 9, bytes: 1e9, skip: new Set() });
    assert.deepEqual(
      segments.map(({ body }) => text(body)),
      [text(event.body)],
    );
    await event.ack();
    await event.ack();
    assert.equal((await store.inner.count()).events, 0);
    if (event.payload === 1) break;
  }
  assert.equal(store.log.filter(([name]) => name === "open").length, 1);
  assert.equal(
    store.log.filter(([name, change]) => name === "write" && change.remove.length > 0).length,
    2,
    "a second ack does nothing",
  );
  await sink.close();
  assert.equal(store.log.at(-1)[0], "close");
});

test("after a loop has ended, by an error too, the next one gets its event again", async () => {
  const { source, emulator } = emulatedPipeline();
  await source.publishAll(range(3));
  const sink = sinkOf(emulator, settings);
  const store = memoryStore();
  const seen = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      for await (const event of sink.events({ store })) {
        seen.push(event.payload);
        if (event.payload === 1 && attempt < 2) throw new Error("the handler failed");
        await event.ack();
        if (event.payload === 2) break;
      }
    } catch (error) {
      assert.equal(error.message, "the handler failed");
    }
  }
  assert.deepEqual(seen, [0, 1, 1, 1, 2]);
});

test("hundreds of unacknowledged events come again in order, and new events after them", async () => {
  const { source, emulator } = emulatedPipeline();
  await source.publishAll(range(300));
  const store = memoryStore();
  await take(sinkOf(emulator, settings), 250, { store }, () => false);
  // Keys order events by time: the next sink starts later than the first, as after a crash.
  await sleep(1);
  const again = await take(sinkOf(emulator, settings), 300, { store }, (n) => n % 2 === 0);
  assert.deepEqual(payloads(again), range(300));
  await sleep(1);
  const others = await take(sinkOf(emulator, settings), 150, { store });
  assert.deepEqual(
    payloads(others),
    range(150).map((n) => n * 2 + 1),
  );
});

test("too many unacknowledged events are an error before the store is full", async () => {
  const { source, emulator } = emulatedPipeline();
  await source.publishAll(range(10));
  const sink = sinkOf(emulator, settings);
  const seen = [];
  await assert.rejects(
    async () => {
      for await (const event of sink.events({ store: memoryStore(), maxUnacknowledged: 4 })) seen.push(event.payload);
    },
    {
      code: "ERR_QUEUE_FULL",
      message: "4 events are not acknowledged; call ack() of each event after processing it",
    },
  );
  assert.deepEqual(seen, range(4));
});

test("an event that the store refuses is in the error, and comes again", async () => {
  let isFull = true;
  const store = storeWith({
    write: (inner, change) =>
      isFull && change.put.length > 0 ? Promise.reject(new Error("the disk is full")) : inner.write(change),
  });
  const fake = server(consumed({ payload: "kept" }), 204);
  const sink = sinkOf(fake);
  const error = await take(sink, 1, { store }).catch((error) => error);
  assert.deepEqual([error.code, error.retryable, JSON.parse(text(error.body)).payload], ["ERR_STORE", true, "kept"]);
  assert.equal(
    error.message,
    'consume from pipeline "pipe-1" at https://example.com/v1: mine: the disk is full; the next iteration of this sink returns the event again (HTTP 200)',
  );
  isFull = false;
  const [event] = await take(sink, 1, { store });
  assert.equal(event.payload, "kept");
  assert.equal(fake.requests.length, 1);
});

test("an ack that the store refuses can be repeated", async () => {
  let failures = 1;
  const store = storeWith({
    write: (inner, change) =>
      change.remove.length > 0 && failures-- > 0 ? Promise.reject(new Error("not now")) : inner.write(change),
  });
  const [event] = await take(sinkOf(server(consumed())), 1, { store }, () => false);
  await assert.rejects(event.ack(), { code: "ERR_STORE" });
  assert.equal((await store.inner.count()).events, 1);
  await event.ack();
  assert.equal((await store.inner.count()).events, 0);
});

test("an unreadable response becomes a dead letter of the store, and a new iteration continues", async () => {
  const store = memoryStore();
  const sink = sinkOf(server(new Response("not an event"), consumed({ payload: "next" })));
  const error = await take(sink, 1, { store }).catch((error) => error);
  assert.deepEqual([error.code, text(error.body)], ["ERR_INVALID_EVENT", "not an event"]);
  const [deadLetter] = await store.dead(9);
  assert.deepEqual(
    [text(deadLetter.body), deadLetter.code, deadLetter.status, deadLetter.reason],
    ["not an event", "ERR_INVALID_EVENT", 200, error.message],
  );
  assert.deepEqual(payloads(await take(sink, 1, { store })), ["next"]);
});

test("an entry that the store has corrupted becomes a dead letter too, once", async () => {
  const store = memoryStore();
  await store.open("x");
  await store.write({
    put: [{ key: "0", at: 0, body: new TextEncoder().encode("corrupt"), sizes: Uint32Array.of(7) }],
    remove: [],
    deadPut: [],
    deadRemove: [],
  });
  const sink = sinkOf(server(consumed({ payload: "fresh" })));
  await assert.rejects(take(sink, 1, { store }), { code: "ERR_INVALID_EVENT" });
  assert.deepEqual(payloads(await take(sink, 1, { store })), ["fresh"]);
  assert.equal((await store.dead(9)).length, 1);
});

test("a store allows one iteration at a time, and one queue", async () => {
  const store = memoryStore();
  const sink = sinkOf(server(consumed()));
  const first = sink.events({ store })[Symbol.asyncIterator]();
  await first.next();
  await assert.rejects(sink.events({ store })[Symbol.asyncIterator]().next(), {
    code: "ERR_INVALID_ARGUMENT",
    message: /is in progress; end it first/,
  });
  assert.throws(() => sink.events({ store, failed: true })[Symbol.asyncIterator](), {
    code: "ERR_INVALID_ARGUMENT",
    message: /the other queue of the pipeline; use one store for each queue/,
  });
  await first.return();
  assert.equal((await sink.events({ store })[Symbol.asyncIterator]().next()).done, false);
});

test("an event that arrives after the signal has aborted is stored", async () => {
  let release;
  const late = () =>
    new Promise((resolve) => {
      release = () => resolve(Response.json(consumed({ payload: "late" })));
    });
  const fake = server(late, 204);
  const sink = sinkOf(fake);
  const store = memoryStore();
  const aborter = new AbortController();
  const ended = take(sink, 1, { store, signal: aborter.signal });
  await until(() => release);
  aborter.abort();
  assert.deepEqual(await ended, []);
  release();
  assert.deepEqual(await sink.close(), []);
  assert.equal((await store.count()).events, 1);
  assert.deepEqual(payloads(await take(sinkOf(server(204)), 1, { store })), ["late"]);
});

test("ack is refused after the sink was closed, and the event comes again", async () => {
  const store = memoryStore();
  const sink = sinkOf(server(consumed({ payload: "again" })));
  const [event] = await take(sink, 1, { store }, () => false);
  await sink.close();
  await assert.rejects(event.ack(), { code: "ERR_CLOSED" });
  assert.deepEqual(payloads(await take(sinkOf(server(204)), 1, { store })), ["again"]);
});

test("republish acknowledges a failed event when the pipeline has accepted it, and not before", async () => {
  const { pipeline, source, emulator } = emulatedPipeline({
    transform: () => {
      throw new Error("no");
    },
  });
  await source.publish("try again");
  const store = memoryStore();
  const [event] = await take(sinkOf(emulator, settings), 1, { store, failed: true }, () => false);
  await assert.rejects(event.republish(sourceTo(server(503))), { code: "ERR_UNAVAILABLE" });
  assert.equal((await store.count()).events, 1);
  pipeline.transform = (data) => data;
  await event.republish(source);
  assert.equal((await store.count()).events, 0);
  assert.equal(pipeline.waiting.output, 1);
});

test("of two sinks that share a store one hands out events, and the other takes over when it ends", async () => {
  const inner = memoryStore();
  let lease = { owner: undefined, until: 0 };
  const shared = () =>
    storeWith({
      open: async () => ({ durability: "os", isShared: true }),
      ...Object.fromEntries(
        ["write", "peek", "dead", "count"].map((name) => [name, (_, ...given) => inner[name](...given)]),
      ),
    });
  const acquire = async (owner, forMs) => {
    if (lease.owner !== owner && lease.until > virtualClock().now()) return false;
    lease = { owner, until: virtualClock().now() + forMs };
    return true;
  };
  const [one, two] = [0, 1].map(() => Object.assign(shared(), { acquire }));
  const [first, second] = [server(consumed({ payload: "first" }), 204), server(consumed({ payload: "second" }))].map(
    (fake) => sinkOf(fake, { backoff: { baseMs: 50, maxMs: 100 } }),
  );
  const iterator = first.events({ store: one })[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).value.payload, "first");
  const other = take(second, 2, { store: two }, () => false);
  await sleep(20_000);
  await iterator.return();
  assert.deepEqual(payloads(await other), ["first", "second"]);
  await second.close();
});
