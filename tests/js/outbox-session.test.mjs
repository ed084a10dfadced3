// Sessions, receipts and reports, with a fake server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { batchFromRequest, CloudEvent, fromRequest, memoryStore } from "eventferry";
import { collectGarbage } from "./garbage-collector.mjs";
import { event, never, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("publish is synchronous, stages a snapshot and gives a receipt", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const session = publisher.session();
  const data = { n: 1 };
  const receipt = session.publish(new CloudEvent({ id: "1", type: "t", source: "/s", data }));
  data.n = 2;
  assert.deepEqual([receipt.id, session.staged, to.requests.length], ["1", 1, 0]);
  const report = await session.flush({ until: "delivered" });
  assert.equal(session.staged, 0);
  assert.deepEqual({ ...report }, { accepted: ["1"], delivered: ["1"], pending: [], dead: [], aborted: false });
  assert.equal(JSON.parse(to.requests[0].text)[0].data.n, 1);
  assert.deepEqual(await receipt.delivered, { status: 202, attempts: 1, ids: ["1"] });
  await receipt.accepted;
  await publisher.outbox.close();
});

test("a value that is not an event is refused and not staged", async () => {
  const publisher = publisherTo(server(202));
  const session = publisher.session();
  for (const bad of [undefined, null, 5, "x", {}, [event(1)]]) {
    assert.throws(() => session.publish(bad), { code: "ERR_INVALID_ARGUMENT", culprit: "caller" });
  }
  assert.equal(session.staged, 0);
  assert.equal((await session.flush()).accepted.length, 0);
  publisher.close();
});

test("a report is plain data and says how far each event has got", async () => {
  let release;
  const gate = new Promise((resolve) => {
    release = resolve;
  });
  const to = server(async () => {
    await gate;
    return new Response(null, { status: 204 });
  });
  const publisher = publisherTo(to);
  const session = publisher.session();
  session.publish(event(1));
  session.publish(event(2));
  const accepted = await session.flush();
  assert.deepEqual(JSON.parse(JSON.stringify(accepted)), {
    accepted: ["1", "2"],
    delivered: [],
    pending: ["1", "2"],
    dead: [],
    aborted: false,
  });
  const early = await session.flush({ until: "delivered", deadlineMs: 0 });
  assert.deepEqual(
    early,
    { accepted: [], delivered: [], pending: [], dead: [], aborted: true },
    "the second flush waits for the first, and lists its own events",
  );
  session.publish(event(3));
  const controller = new AbortController();
  const waiting = session.flush({ until: "delivered", signal: controller.signal });
  await sleep(5);
  controller.abort();
  assert.deepEqual({ ...(await waiting) }, { accepted: ["3"], delivered: [], pending: ["3"], dead: [], aborted: true });
  release();
  await publisher.outbox.drain();
  assert.deepEqual(accepted.pending, ["1", "2"], "a report does not change afterwards");
  assert.deepEqual((await session.flush({ until: "delivered" })).aborted, false);
  await publisher.outbox.close();
});

test("a flush without staged events resolves, even with an aborted signal", async () => {
  const publisher = publisherTo(server(202));
  const empty = { accepted: [], delivered: [], pending: [], dead: [], aborted: false };
  for (const options of [
    undefined,
    {},
    { until: "delivered" },
    { deadlineMs: 0 },
    { signal: AbortSignal.abort() },
    { until: "delivered", signal: AbortSignal.abort() },
  ]) {
    assert.deepEqual(await publisher.session().flush(options), empty);
  }
  publisher.close();
});

test("a flush with an aborted signal still commits", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const session = publisher.session();
  const { delivered } = session.publish(event(1));
  const report = await session.flush({ signal: AbortSignal.abort() });
  assert.deepEqual([report.aborted, report.pending, report.accepted], [true, ["1"], []]);
  assert.equal((await delivered).status, 202);
  publisher.close();
});

test("an infinite deadline is no deadline", async () => {
  const store = storeWith({ write: (inner, change) => sleep(20).then(() => inner.write(change)) });
  const publisher = publisherTo(server(202), { outbox: { store } });
  for (const deadlineMs of [Infinity, Number.MAX_SAFE_INTEGER, 2 ** 31]) {
    const session = publisher.session();
    session.publish(event(1));
    assert.equal((await session.flush({ until: "delivered", deadlineMs })).aborted, false);
    assert.equal((await publisher.outbox.drain({ deadlineMs })).aborted, false);
  }
  await publisher.outbox.close();
});

test("rollback returns the ids, the oldest first, and rejects the receipts", async () => {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { batch: { maxEvents: 1 } } });
  const session = publisher.session();
  const flushed = session.publish(event("kept"));
  await session.flush();
  const receipts = Array.from({ length: 40 }, (_, id) => session.publish(event(id)));
  const rejected = assert.rejects(receipts[0].accepted, { code: "ERR_ROLLED_BACK", culprit: "caller" });
  assert.deepEqual(
    session.rollback(),
    receipts.map(({ id }) => id),
  );
  await rejected;
  await assert.rejects(receipts[0].delivered, { code: "ERR_ROLLED_BACK" });
  await assert.rejects(receipts[39].accepted, { code: "ERR_ROLLED_BACK" });
  assert.deepEqual([session.staged, session.rollback(), publisher.outbox.stats().staged], [0, [], 0]);
  assert.deepEqual((await session.flush()).accepted, []);
  assert.equal((await flushed.delivered).status, 202);
  assert.equal(to.requests.length, 1);
  publisher.close();
});

test("rollback during a flush drops only events staged after it", async () => {
  const to = server(202);
  const publisher = publisherTo(to, {
    outbox: { store: storeWith({ write: (inner, change) => sleep(5).then(() => inner.write(change)) }) },
  });
  const session = publisher.session();
  session.publish(event(1));
  const first = session.flush({ until: "delivered" });
  const late = session.publish(event(2));
  assert.deepEqual(session.rollback(), ["2"]);
  assert.deepEqual((await first).delivered, ["1"]);
  await assert.rejects(late.delivered, { code: "ERR_ROLLED_BACK" });
  assert.deepEqual(to.ids(), [["1"]]);
  await publisher.outbox.close();
});

test("sessions are independent", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const [one, two] = [publisher.session(), publisher.session()];
  for (let id = 0; id < 10; id++) (id % 2 ? one : two).publish(event(id));
  assert.deepEqual([one.staged, two.staged, publisher.outbox.stats().staged], [5, 5, 10]);
  assert.deepEqual(two.rollback(), ["0", "2", "4", "6", "8"]);
  assert.deepEqual((await one.flush({ until: "delivered" })).delivered, ["1", "3", "5", "7", "9"]);
  assert.deepEqual(to.ids(), [["1", "3", "5", "7", "9"]]);
  publisher.close();
});

test("disposing of a session flushes it", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const session = publisher.session();
  const { delivered } = session.publish(event(1));
  await session[Symbol.asyncDispose]();
  assert.equal(session.staged, 0);
  assert.equal((await delivered).status, 202);
  publisher.close();
});

test("receipts settle in any order of reading", async () => {
  const publisher = publisherTo(server(202));
  const session = publisher.session();
  const receipts = [1, 2, 3].map((id) => session.publish(event(id)));
  const before = [receipts[0].delivered, receipts[0].accepted, receipts[0].delivered];
  await session.flush({ until: "delivered" });
  assert.deepEqual(
    (await Promise.all(before)).map((done) => done?.ids),
    [["1"], undefined, ["1"]],
  );
  assert.deepEqual((await receipts[2].delivered).ids, ["3"]);
  assert.equal(await receipts[1].accepted, undefined);
  publisher.close();
});

test("an accepted event stays accepted when it becomes a dead letter", async () => {
  const publisher = publisherTo(server(400));
  const session = publisher.session();
  const receipt = session.publish(event(1));
  const asked = receipt.accepted;
  const report = await session.flush({ until: "delivered" });
  await asked;
  await receipt.accepted;
  await assert.rejects(receipt.delivered, { code: "ERR_REJECTED", status: 400 });
  assert.deepEqual([report.accepted, report.delivered, report.pending, report.aborted], [["1"], [], [], false]);
  publisher.close();
});

test("a report describes dead events as the outbox does", async () => {
  const publisher = publisherTo(server(422));
  const session = publisher.session();
  session.publish(event(1));
  const { dead } = await session.flush({ until: "delivered" });
  await publisher.outbox.drain();
  assert.deepEqual(dead, await publisher.outbox.dead.list());
  const { id, text, at, code, status, reason, attempts } = dead[0];
  assert.deepEqual([id, text, code, status, attempts], ["1", event(1).toString(), "ERR_REJECTED", 422, 1]);
  assert.ok(at instanceof Date && reason.includes("error text of the server"));
  publisher.close();
});

test("promises that were not read cause no unhandled rejection", async () => {
  const publisher = publisherTo(server(400));
  const session = publisher.session();
  session.publish(event(1));
  session.rollback();
  session.publish(event(2));
  await session.flush({ until: "delivered" });
  session.publish(event(3));
  await publisher.outbox.close();
  await sleep(5);
});

test("events arrive byte for byte", async () => {
  const texts = [
    '{ "specversion":"1.0",\n "id":"1", "source":"/s",\r\n"type":"t", "data":{"amount": 12345678901234567890,\n"x":"Å 😀 \\u2028"} }',
    `{"specversion":"1.0","id":"2","source":"/s","type":"t","data":"${"ü".repeat(500_000)}"}`,
    '{"specversion":"1.0","id":"3","source":"/s","type":"t","data_base64":"AAECAw=="}',
    new CloudEvent({ id: "4", type: "t", source: "/s", time: null, data: new Uint8Array([1, 2, 255]) }).toString(),
    '{"specversion":"1.0","id":"5","source":"/%F0","type":"😀","subject":"𝄞"}',
  ];
  for (const mode of ["batch", "structured"]) {
    const to = server(202);
    const publisher = publisherTo(to, { mode, outbox: { concurrency: 1, batch: { maxBytes: 1000 } } });
    const session = publisher.session();
    for (const text of texts) session.publish(CloudEvent.fromJSON(text));
    assert.equal((await session.flush({ until: "delivered" })).delivered.length, texts.length, mode);
    const bodies = to.requests.map(({ text }) => text);
    assert.equal(
      mode === "batch" ? bodies.map((body) => body.slice(1, -1)).join(",") : bodies.join(","),
      texts.join(","),
    );
    assert.match(
      to.requests[0].headers.get("content-type"),
      mode === "batch" ? /^application\/cloudevents-batch\+json/ : /^application\/cloudevents\+json/,
    );
    if (mode === "batch")
      for (const { request } of to.requests) assert.ok((await batchFromRequest(request)).length > 0);
    await publisher.outbox.close();
  }
});

test("binary mode carries attributes in headers and the data unchanged", async () => {
  const to = server(202);
  const publisher = publisherTo(to, {
    mode: "binary",
    headers: { "x-token": "t0ken", "ce-id": "not ours" },
    outbox: { concurrency: 1 },
  });
  const session = publisher.session();
  session.publish(event(1, { subject: "å", data: undefined, datacontenttype: undefined }));
  session.publish(event(2, { data: new Uint8Array([0, 255]), datacontenttype: "application/octet-stream" }));
  session.publish(event(3, { data: { a: "ü" } }));
  await session.flush({ until: "delivered" });
  const events = await Promise.all(to.requests.map(({ request }) => fromRequest(request)));
  assert.deepEqual(
    events.map(({ id }) => id),
    ["1", "2", "3"],
  );
  assert.deepEqual(
    [events[0].subject, events[0].data, [...events[1].data], events[2].data],
    ["å", undefined, [0, 255], { a: "ü" }],
  );
  assert.deepEqual(
    to.requests.map(({ headers }) => headers.get("x-token")),
    Array(3).fill("t0ken"),
  );
  await publisher.outbox.close();
});

test("events of version 0.3 are sent unchanged, and in a batch as 1.0", async () => {
  const old = new CloudEvent({ specversion: "0.3", id: "1", type: "t", source: "/s", time: null, data: { n: 1 } });
  for (const [mode, version] of [
    ["structured", "0.3"],
    ["binary", "0.3"],
    ["batch", "1.0"],
  ]) {
    const to = server(202);
    const publisher = publisherTo(to, { mode });
    const session = publisher.session();
    session.publish(old);
    session.publish(event(2));
    await session.flush({ until: "delivered" });
    assert.equal((await batchFromRequest(to.requests[0].request)).at(0).specversion, version);
    await publisher.outbox.close();
  }
});

test("publishing into a closed outbox is refused, and events staged before are stored", async () => {
  const store = memoryStore();
  const to = server(never);
  const publisher = publisherTo(to, { outbox: { store } });
  const session = publisher.session();
  const receipt = session.publish(event(1));
  const closing = publisher.outbox.close();
  assert.throws(() => session.publish(event(2)), { code: "ERR_CLOSED" });
  assert.throws(() => publisher.session(), { code: "ERR_CLOSED" });
  await receipt.accepted;
  await closing;
  assert.throws(() => session.publish(event(3)), { code: "ERR_CLOSED" });
  assert.deepEqual(session.rollback(), []);
  await assert.rejects(receipt.delivered, { code: "ERR_CLOSED" });
  assert.equal((await store.count()).events, 1);
});

test("a session without references still counts, and is flushed on close", async () => {
  const store = memoryStore();
  const publisher = publisherTo(server(202), { outbox: { store } });
  (() => publisher.session().publish(event(1)))();
  collectGarbage();
  assert.equal(publisher.outbox.stats().staged, 1);
  publisher.outbox.pause();
  await publisher.outbox.close();
  assert.equal((await store.count()).events, 1);
});

test("events with the same partition key keep their order, for every type of key", async () => {
  const to = server(503, 202);
  const publisher = publisherTo(to, { mode: "structured" });
  const session = publisher.session();
  for (let id = 0; id < 12; id++) session.publish(event(id, { partitionkey: ["a", 7, true][id % 3] }));
  await session.flush({ until: "delivered" });
  const seen = to.requests.slice(1).map(({ text }) => JSON.parse(text));
  for (const key of ["a", 7, true]) {
    const ids = seen.filter(({ partitionkey }) => partitionkey === key).map(({ id }) => Number(id));
    assert.deepEqual(
      [...new Set(ids)],
      [...new Set(ids)].sort((a, b) => a - b),
    );
  }
  await publisher.outbox.close();
});

const bytesOf = (staged) => new TextEncoder().encode(staged.toString()).length;
const TEXTS = ["plain", "größer", "Ω≈ç√", "日本語", "🦊🚢", '\u0000\u001f"\\', ""];

test("events in all scripts that are staged together arrive unchanged, and count with their bytes", async () => {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { batch: { maxBytes: 1000 } } });
  const session = publisher.session();
  const events = Array.from({ length: 200 }, (_, at) =>
    event(at, { data: TEXTS[at % TEXTS.length].repeat(at % 5), ...(at % 9 === 0 && { partitionkey: `k${at % 2}` }) }),
  );
  for (const one of events) session.publish(one);
  const { staged, bytes } = publisher.outbox.stats();
  assert.deepEqual([staged, bytes], [200, events.reduce((sum, one) => sum + bytesOf(one), 0)]);
  await session.flush({ until: "delivered" });
  const arrived = to.requests.flatMap(({ text }) => JSON.parse(text));
  const sorted = (all) => all.map((one) => JSON.stringify(one)).sort();
  assert.deepEqual(sorted(arrived), sorted(events));
  for (const { body, text } of to.requests)
    assert.ok(
      body.length - JSON.parse(text).length - 1 <= 1000 || JSON.parse(text).length === 1,
      "a request respects maxBytes",
    );
  assert.equal(publisher.outbox.stats().bytes, 0);
  await publisher.outbox.close();
});

test("sessions that stage in turns use the whole capacity and no more", async () => {
  const size = bytesOf(event(10));
  const publisher = publisherTo(server(202), { outbox: { maxBytes: 50 * size + 5 } });
  const sessions = [1, 2, 3].map(() => publisher.session());
  let staged = 0;
  const fill = () => {
    for (; ; staged++) sessions[(staged >> 2) % 3].publish(event(10 + (staged % 80)));
  };
  assert.throws(fill, { code: "ERR_QUEUE_FULL" });
  assert.deepEqual([staged, publisher.outbox.stats().bytes, publisher.outbox.stats().staged], [50, 50 * size, 50]);
  assert.equal(
    sessions.reduce((sum, session) => sum + session.staged, 0),
    50,
  );
  sessions[0].rollback();
  assert.ok(publisher.outbox.stats().bytes < 50 * size);
  sessions[1].publish(event(11));
  await publisher.outbox.close();
});

/** A model of staging in a full outbox. `sessions`: the staged texts of each. */
function stageOne(sessions, mine, text, { maxBytes, overflow }, counts) {
  const size = (staged) => bytesOf(staged);
  const used = () => sessions.flat().reduce((sum, staged) => sum + size(staged), 0);
  const limit = overflow === "wait" ? 2 * maxBytes : maxBytes;
  while (used() + size(text) > limit) {
    if (overflow === "reject" || overflow === "wait") {
      counts.reject++;
      return "refused";
    }
    const others = used() - sessions[mine].reduce((sum, staged) => sum + size(staged), 0);
    if (overflow === "drop-newest" || others + size(text) > limit) {
      counts.dropNewest++;
      return "dropped";
    }
    sessions[mine].shift();
    counts.dropOldest++;
  }
  sessions[mine].push(text);
  return "staged";
}

test("staging events together equals staging each by itself", async () => {
  for (const overflow of ["reject", "drop-newest", "drop-oldest", "wait"]) {
    for (let seed = 1; seed <= 40; seed++) {
      let state = seed * 7919;
      const chance = (below) => {
        state = (state * 1103515245 + 12345) & 0x7fffffff;
        return state % below;
      };
      const maxBytes = 2000 + chance(20_000);
      const to = server(202);
      const publisher = publisherTo(to, {
        outbox: { maxBytes, overflow, batch: { maxEvents: 1 + chance(40), maxBytes: 300 + chance(4000) } },
      });
      const sessions = [publisher.session(), publisher.session()];
      const [expected, counts] = [[[], []], { reject: 0, dropOldest: 0, dropNewest: 0 }];
      for (let step = 0; step < 150; step++) {
        const mine = chance(4) === 0 ? 1 : 0;
        const one = event(step, {
          data: TEXTS[chance(TEXTS.length)].repeat(chance(chance(10) === 0 ? 400 : 20)),
          ...(chance(6) === 0 && { partitionkey: "k" }),
        });
        const result = stageOne(expected, mine, one.toString(), { maxBytes, overflow }, counts);
        if (result === "refused") assert.throws(() => sessions[mine].publish(one), { code: "ERR_QUEUE_FULL" });
        else sessions[mine].publish(one).accepted.catch(() => undefined);
        if (chance(60) === 0) {
          const ids = expected[mine].map((text) => JSON.parse(text).id);
          assert.deepEqual(sessions[mine].rollback(), ids);
          expected[mine] = [];
        }
        if (chance(10) > 0) continue;
        const { staged, bytes, droppedBy } = publisher.outbox.stats();
        const actual = [sessions[0].staged, sessions[1].staged, staged, bytes, droppedBy];
        const all = expected.flat();
        assert.deepEqual(
          actual,
          [
            expected[0].length,
            expected[1].length,
            all.length,
            all.reduce((sum, text) => sum + bytesOf(text), 0),
            counts,
          ],
          `${overflow}, seed ${seed}, step ${step}`,
        );
      }
      for (const session of sessions) await session.flush({ until: "delivered" });
      const ids = (texts) =>
        texts
          .map((text) => JSON.parse(text))
          .filter(({ partitionkey }) => partitionkey === undefined)
          .map(({ id }) => id);
      const arrived = to.requests.flatMap(({ text }) => JSON.parse(text).map((one) => JSON.stringify(one)));
      assert.deepEqual([...arrived].sort(), expected.flat().sort(), `${overflow}, seed ${seed}`);
      for (const texts of expected) {
        const mine = new Set(ids(texts));
        assert.deepEqual(
          ids(arrived).filter((id) => mine.has(id)),
          [...mine],
          "without failures, events without a key keep their order too",
        );
      }
      await publisher.outbox.close();
    }
  }
});
