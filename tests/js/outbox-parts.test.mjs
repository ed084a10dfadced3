// The parts of an outbox, each alone: segments, receipts, recovery, pauses, news of other tabs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { FerryError } from "eventferry";
import { OUTBOX_INPUTS, OUTBOX_LIST_INPUTS } from "../../dist/engine/generated/tables.js";
import { arenaOf, keepArena } from "../../dist/outbox/arena.js";
import { Delivery } from "../../dist/outbox/delivery.js";
import { FlushedSegments } from "../../dist/outbox/flushed-segments.js";
import { KeepAlive } from "../../dist/outbox/keep-alive.js";
import { Recovery } from "../../dist/outbox/recovery.js";
import { SegmentOutcomes, State } from "../../dist/outbox/segment-outcomes.js";
import { SegmentTable } from "../../dist/outbox/segment-table.js";
import { SegmentWaiters } from "../../dist/outbox/segment-waiters.js";
import { SendPause } from "../../dist/outbox/send-pause.js";
import { SettledElsewhere } from "../../dist/outbox/settled-elsewhere.js";
import { TrackedSegment } from "../../dist/outbox/tracked-segment.js";
import { collectGarbage } from "./garbage-collector.mjs";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const wire = { idOf: (text) => JSON.parse(decoder.decode(text)).id };
const error = new FerryError("ERR_REJECTED");

/** A committed segment with these ids. */
function segmentOf(...ids) {
  const texts = ids.map((id) => JSON.stringify({ id }));
  const segment = new TrackedSegment();
  return Object.assign(segment, {
    key: `scope.${ids[0]}`,
    at: 1000,
    body: encoder.encode(texts.join()),
    sizes: texts.map(({ length }) => length),
    pending: ids.length,
  });
}

const INPUT_NAMES = { input: Object.keys(OUTBOX_INPUTS), input_list: Object.keys(OUTBOX_LIST_INPUTS) };

/** A machine that records what it is told. `answers`: by its inputs. */
function machineOf(answers = {}) {
  const calls = [];
  const port = new Proxy(
    {},
    {
      get:
        (_, name) =>
        (...args) => {
          const input = INPUT_NAMES[name]?.[args[0]] ?? name;
          calls.push(input === name ? [name, ...args] : [input, ...args.slice(1)]);
          return answers[input]?.(...args);
        },
    },
  );
  const send = (input) => input(port, 7);
  return {
    port,
    calls,
    isStopped: false,
    send,
    sendInBackground: send,
    counters: () => ({ pending: 3 }),
    untilTrue: async () => true,
  };
}

test("segment table: a write names segments, indices, dead letters and removed keys", () => {
  const table = new SegmentTable(wire);
  const [one, two] = [segmentOf("a", "b", "c"), segmentOf("d")];
  table.add(one, 1);
  table.add(two, 2);
  one.markDead(1, error, { key: "letter" });
  const change = table.change(
    new Uint32Array([1, 2, 0, 2]),
    new Uint32Array([2, 9]),
    new Uint32Array([1, 1]),
    new Uint32Array(),
  );
  assert.deepEqual(
    change.put.map(({ key, body }) => [key, decoder.decode(body)]),
    [["scope.a", '{"id":"a"},{"id":"c"}']],
  );
  assert.deepEqual([change.remove, change.deadPut, change.deadRemove], [["scope.d"], [{ key: "letter" }], []]);
});

test("segment: what is left of its events is stored as they are, also with gaps between them", () => {
  const segment = segmentOf("a", "b", "c", "d", "e", "f");
  const stored = (...indices) => {
    const { body, sizes } = segment.toSegment(Uint32Array.from(indices));
    return [decoder.decode(body), [...sizes]];
  };
  const of = (...ids) => [ids.map((id) => `{"id":"${id}"}`).join(), ids.map(() => 10)];
  assert.deepEqual(stored(3, 4, 5), of("d", "e", "f"));
  assert.deepEqual(stored(0, 2, 3, 5), of("a", "c", "d", "f"));
  assert.deepEqual(stored(1), of("b"));
  assert.deepEqual(stored(0, 1, 2, 3, 4, 5), of("a", "b", "c", "d", "e", "f"));
  assert.notEqual(segment.toSegment(Uint32Array.of(3, 4, 5)).body.buffer, segment.body.buffer, "a copy of its own");
});

test("segment table: a discarded machine leaves what may not be stored", () => {
  const table = new SegmentTable(wire);
  const [stored, unstored, done] = [segmentOf("a"), segmentOf("b"), segmentOf("c")];
  [stored, unstored, done].forEach((segment, at) => table.add(segment, at + 1));
  stored.markAccepted();
  done.markDelivered(0, 1, 200, 1);
  assert.deepEqual(table.reset(), [unstored]);
  assert.deepEqual([...table.keys()], ["scope.a", "scope.b"]);
  assert.deepEqual([stored.body, [...table.known()]], [undefined, []], "its body is in the store");
});

test("outcomes: here, by a message, and by what the store has", () => {
  const outcomes = new SegmentOutcomes();
  outcomes.pending = 5;
  assert.ok(outcomes.isUntouched);
  outcomes.deliver(0, 1, { status: 202, attempts: 1 }, [10, 10, 10, 10, 10]);
  outcomes.die(1, error, { key: "letter" }, [10, 10, 10, 10, 10]);
  outcomes.deliver(0, 1, { status: 202, attempts: 2 }, [10, 10, 10, 10, 10]);
  assert.deepEqual([outcomes.pending, outcomes.settledBytes], [3, 20], "an event is settled once");
  outcomes.settleElsewhere(["c"], { status: 0, attempts: 0 }, error);
  assert.equal(outcomes.settleAbsent(new Set(["d"])), 2);
  const states = ["a", "b", "c", "d", "e"].map((id, index) => outcomes.stateOf(index, id));
  const { Delivered, Dead, Pending } = State;
  assert.deepEqual(states, [Delivered, Dead, Dead, Pending, Delivered]);
  assert.deepEqual([...outcomes.pendingIndices(5)], [2, 3, 4], "those that are pending here");
  assert.equal(outcomes.errorOf(2, "c"), error);
  assert.deepEqual(outcomes.deliveryOf(4, "e"), { status: 0, attempts: 0 });
  assert.equal(outcomes.deliveryOf(3, "d"), undefined);
  assert.ok(outcomes.hasDeadLetter("letter") && !outcomes.hasDeadLetter("other"));
});

test("waiters: each settles once, and watchers end when they are done", async () => {
  const waiters = new SegmentWaiters();
  const seen = [];
  for (const id of ["a", "b"])
    waiters.add({
      id,
      index: 0,
      isForDelivery: false,
      resolve: () => seen.push(id),
      reject: () => seen.push(`no ${id}`),
    });
  let isDone = false;
  waiters.watch(() => isDone);
  waiters.settle(({ id, resolve }) => {
    if (id !== "a") return false;
    resolve();
    return true;
  });
  assert.deepEqual([seen, waiters.all().length, waiters.isEmpty], [["a"], 1, false]);
  isDone = true;
  waiters.rejectAll(error);
  waiters.rejectAll(error);
  assert.deepEqual([seen, waiters.isEmpty], [["a", "no b"], true]);
});

test("recovery: the next engine gets what the discarded one may not have stored, also if it traps again", async () => {
  const segments = new SegmentTable(wire);
  const told = [];
  let restarts = 0;
  const recovery = new Recovery({
    wire,
    segments,
    expiry: { tellTimes: (_port, _now, { key }) => told.push(key) },
    isStopped: () => false,
    restart: () => restarts++,
  });
  const all = ["a", "b"].map((id) => segmentOf(id));
  all.forEach((segment, at) => segments.add(segment, at + 1));
  recovery.onReset();
  recovery.keep(all.slice(1));
  assert.deepEqual([recovery.generation, [...recovery.lost]], [1, all], "none twice");
  let handle = 0;
  const failing = machineOf({
    recommit: () => {
      if (++handle === 2) throw new Error("trap");
      return [handle];
    },
  });
  assert.throws(() => recovery.onStart(failing.port, 7), /trap/);
  assert.deepEqual([...recovery.lost], all.slice(1));
  recovery.onStart(machineOf({ recommit: () => [9] }).port, 7);
  assert.deepEqual([[...recovery.lost], segments.get(9), told], [[], all[1], ["scope.a", "scope.b"]]);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(restarts, 1);
});

test("recovery: segments of a commit that a trap interrupts follow those that were committed before", () => {
  const segments = new SegmentTable(wire);
  const expiry = { tellTimes: () => undefined };
  const recovery = new Recovery({ wire, segments, expiry, isStopped: () => true, restart: () => undefined });
  const [earlier, later] = ["a", "b"].map((id) => segmentOf(id));
  recovery.keep([earlier]);
  segments.add(earlier, 1);
  recovery.release([earlier]);
  recovery.keep([later]);
  recovery.onReset();
  assert.deepEqual([...recovery.lost], [earlier, later]);
});

test("pause: the application and an absent identity both stop requests", async () => {
  const machine = machineOf();
  let resigned = 0;
  const pause = new SendPause({ machine, timeoutMs: 10, resign: () => resigned++ });
  pause.pause(true);
  pause.hold();
  pause.pause(false);
  assert.deepEqual(
    machine.calls.map(([name, , isPaused]) => [name, isPaused]),
    Array(3).fill(["pause", true]),
  );
  assert.deepEqual([await pause.untilHeld(10), resigned], [3, 1]);
  pause.unhold();
  assert.deepEqual(machine.calls.at(-1), ["pause", 7, false]);
});

test("delivery: an absent identity sends nothing, and what is stored waits for the confirmation of the lead", async () => {
  const machine = machineOf();
  const exchanges = [];
  const started = [];
  machine.startExchange = (id, plan) => exchanges.push([id, plan]);
  const segments = new SegmentTable(wire);
  const [stored, unstored] = [segmentOf("a"), segmentOf("b")];
  segments.add(stored, 1);
  segments.add(unstored, 2);
  stored.markAccepted();
  let isPresent = false;
  const delivery = new Delivery({
    wire,
    machine,
    segments,
    inFlight: { start: (id) => started.push(id), end: () => {} },
    sender: { plan: ({ chunks }, _isPageHidden, _compressedBody, mayStart) => [decoder.decode(chunks[0]), mayStart()] },
    timeoutMs: 10,
    isPresent: () => isPresent,
    confirmLead: async () => false,
    broadcast: () => {},
    emit: () => {},
  });
  delivery.send(5, new Uint32Array([2, 0, 1]), false);
  assert.deepEqual([machine.calls, exchanges], [[["notSent", 7, 5]], []]);
  isPresent = true;
  delivery.send(6, new Uint32Array([2, 0, 1]), false);
  delivery.send(7, new Uint32Array([1, 0, 1]), false);
  const [[, [text, mayStart]], [, [, mayStartStored]]] = exchanges;
  assert.deepEqual([text, mayStart, started], ['{"id":"b"}', true, [6, 7]]);
  assert.equal(await mayStartStored, false, "another tab leads");
});

test("news of other tabs wait until the machine has forgotten the segment", () => {
  const segments = new SegmentTable(wire);
  const machine = machineOf();
  let isLeader = false;
  const elsewhere = new SettledElsewhere({ segments, isLeader: () => isLeader, send: machine.send });
  const segment = segmentOf("a", "b", "c");
  segments.add(segment, 1);
  segment.markAccepted();
  elsewhere.onMessage({ key: "scope.a", ids: ["a"], bytes: 10, status: 202 });
  elsewhere.onMessage({ key: "scope.unknown", ids: ["a"] });
  assert.deepEqual(machine.calls, []);
  isLeader = true;
  elsewhere.onMessage({ key: "scope.a", ids: ["b"], status: 202 });
  assert.deepEqual(machine.calls.pop(), ["deliveredElsewhere", 7, 1, 202, new Float64Array([1])]);
  segments.forget(1, true);
  elsewhere.onEvicted(segment);
  assert.deepEqual(machine.calls.pop(), ["settledElsewhere", 7, 1, 1, 0, 10]);
  elsewhere.onMessage({ key: "scope.a", ids: ["b", "c"], bytes: 20, code: "ERR_REJECTED", message: "no" });
  assert.deepEqual(machine.calls.pop().slice(3, 5), [0, 2]);
  assert.equal(segments.getByKey("scope.a"), undefined, "nothing of it is pending");
});

test("keep alive: one drain at a time, and none after the request is over", async () => {
  const kept = [];
  let end;
  const drains = [];
  const keepAlive = new KeepAlive((budgetMs) => {
    drains.push(budgetMs);
    return new Promise((resolve) => {
      end = resolve;
    });
  });
  keepAlive.extend();
  assert.deepEqual(drains, [], "no function is kept alive");
  keepAlive.begin((promise) => kept.push(promise), 50);
  keepAlive.extend();
  keepAlive.extend();
  assert.deepEqual([drains, kept.length], [[50], 1]);
  end();
  await kept[0];
  keepAlive.begin(() => {
    throw new Error("the request is over");
  }, 60);
  keepAlive.extend();
  end();
  await new Promise((resolve) => setImmediate(resolve));
  keepAlive.extend();
  assert.deepEqual(drains, [50, 60]);
});

test("flushed segments: a flush waits for those that are not accepted, and looks at no others", () => {
  const flushed = new FlushedSegments();
  const looks = [];
  const looked = (segment, name) =>
    Object.defineProperty(segment, "isAccepted", { get: () => looks.push(name) && name.startsWith("accepted") });
  const [accepted, first, second] = [segmentOf("a"), segmentOf("b"), segmentOf("c")];
  looked(accepted, "accepted");
  assert.deepEqual(flushed.add([accepted], "accepted"), []);
  assert.deepEqual(flushed.add([first], "accepted"), [first]);
  looks.length = 0;
  assert.deepEqual(flushed.add([second], "accepted"), [first, second]);
  assert.deepEqual(looks, [], "accepted segments are not looked at again");
  assert.deepEqual(flushed.add([], "delivered"), [accepted, first, second]);
  first.isAccepted = true;
  accepted.pending = 0;
  assert.deepEqual(flushed.add([], "accepted"), [second]);
  assert.deepEqual(flushed.add([], "delivered"), [first, second]);
});

test("flushed segments: one that is staged again and committed once more is waited for once", () => {
  const flushed = new FlushedSegments();
  const [one, other] = [segmentOf("a"), segmentOf("b")];
  flushed.add([one], "accepted");
  assert.deepEqual(flushed.add([one, other], "accepted"), [one, other]);
  assert.deepEqual(flushed.add([one], "delivered"), [one, other]);
});

test("flushed segments: settled ones are not kept while nobody waits for a delivery", async () => {
  const flushed = new FlushedSegments();
  const held = [];
  for (let at = 0; at < 1000; at++) {
    const segment = Object.assign(segmentOf(`id${at}`), { isAccepted: true });
    flushed.add([segment], "accepted");
    segment.pending = 0;
    held.push(new WeakRef(segment));
  }
  // A reference keeps its object to the end of the turn in which it was made.
  await nextTurn();
  collectGarbage();
  const kept = held.filter((reference) => reference.deref() !== undefined).length;
  assert.ok(kept < 200, `${kept} of 1000 segments are kept`);
});

test("arenas: a growing one keeps its bytes, and one is kept for the next session", () => {
  const arena = arenaOf(10, undefined, 0);
  arena.set([1, 2, 3]);
  assert.equal(arenaOf(10, arena, 3), arena);
  const larger = arenaOf(2000, arena, 2);
  assert.ok(larger.length >= 2000);
  assert.deepEqual([...larger.subarray(0, 3)], [1, 2, 0]);
  keepArena(larger);
  keepArena(arena);
  assert.equal(arenaOf(10, undefined, 0), larger, "the larger of both");
  assert.notEqual(arenaOf(10, undefined, 0), larger, "only one session has it");
});

test("arenas: what a large event needs is not kept", () => {
  const huge = arenaOf(1024 * 1024, undefined, 0);
  keepArena(huge);
  assert.notEqual(arenaOf(10, undefined, 0), huge);
});
