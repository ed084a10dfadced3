// publish and flush of a publisher, sessions that flush themselves, beforeSend, and replies to send.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, toBatch, toBinary, toStructured, webhook } from "eventferry";
import { event, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

test("publish stages, flushes and returns a receipt; the events of one turn are one commit", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const receipts = [publisher.publish(event(1)), publisher.publish(event(2))];
  assert.deepEqual(
    receipts.map(({ id }) => id),
    ["1", "2"],
  );
  await Promise.all(receipts.map(({ accepted }) => accepted));
  const info = await receipts[1].delivered;
  assert.deepEqual([info.status, info.ids], [202, ["2"]]);
  await publisher.publish(event(3)).delivered;
  assert.deepEqual(to.ids(), [["1", "2"], ["3"]]);
  await publisher.outbox.close();
});

test("flush waits for what was published, and an idle one resolves", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  assert.deepEqual((await publisher.flush()).accepted, []);
  publisher.publish(event(1));
  const report = await publisher.flush({ until: "delivered" });
  assert.deepEqual([report.delivered, report.aborted, to.ids()], [["1"], false, [["1"]]]);
  publisher.publish(event(2));
  await Promise.resolve();
  await publisher.flush({ until: "delivered" });
  assert.deepEqual(to.ids().at(-1), ["2"]);
  await publisher.outbox.close();
  publisher.close();
  assert.throws(() => publisher.publish(event(3)), { code: "ERR_CLOSED" });
  await assert.rejects(publisher.flush({ until: "never" }), { code: /ERR_/ });
});

test("an event that is not valid throws, and the others of the turn are sent", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const { delivered } = publisher.publish(event(1));
  assert.throws(() => publisher.publish({ id: "2" }), { code: "ERR_INVALID_ARGUMENT" });
  await delivered;
  assert.deepEqual(to.ids(), [["1"]]);
  await publisher.outbox.close();
});

test("if the store does not open the receipt rejects, and the next publish sends both", async () => {
  let isBroken = true;
  const store = storeWith({
    open: async (inner, ...given) => {
      if (isBroken) throw Object.assign(new Error("blocked"), { retryable: false });
      return inner.open(...given);
    },
  });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store } });
  await assert.rejects(publisher.publish(event(1)).accepted, { code: "ERR_STORE" });
  isBroken = false;
  await publisher.publish(event(2)).delivered;
  await publisher.outbox.drain();
  assert.deepEqual(to.ids().flat().sort(), ["1", "2"]);
  await publisher.outbox.close();
});

test("a session flushes itself after autoFlushEvents or autoFlushMs, whichever is first", async () => {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { batch: { maxAgeMs: 0 } } });
  const session = publisher.session({ autoFlushMs: 5000, autoFlushEvents: 3 });
  const publish = (id) => session.publish(event(id));
  publish(1);
  await sleep(4990);
  assert.equal(session.staged, 1);
  publish(2);
  await sleep(20);
  assert.deepEqual([session.staged, to.ids()], [0, [["1", "2"]]]);
  publish(3);
  publish(4);
  publish(5);
  assert.equal(session.staged, 0);
  publish(6);
  await sleep(20);
  assert.deepEqual(to.ids().at(-1), ["3", "4", "5"]);
  // A rollback takes the timer with it.
  assert.deepEqual(session.rollback(), ["6"]);
  await sleep(4000);
  publish(7);
  await sleep(4000);
  assert.equal(session.staged, 1);
  await sleep(1100);
  assert.deepEqual([session.staged, to.ids().at(-1)], [0, ["7"]]);
  const never = publisher.session();
  never.publish(event(8));
  await sleep(100_000);
  assert.equal(never.staged, 1);
  never.rollback();
  await publisher.outbox.close();
});

test("a session that could not flush itself tries again", async () => {
  let isBroken = true;
  const store = storeWith({
    open: async (inner, ...given) => {
      if (isBroken) throw new Error("blocked");
      return inner.open(...given);
    },
  });
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { store } });
  const session = publisher.session({ autoFlushMs: 1000 });
  session.publish(event(1));
  await sleep(40_000);
  isBroken = false;
  await sleep(40_000);
  assert.deepEqual([session.staged, to.ids()], [0, [["1"]]]);
  await publisher.outbox.close();
});

test("options of sessions and beforeSend are checked", () => {
  const publisher = publisherTo(server(202));
  for (const bad of [
    null,
    { autoFlushMs: 0 },
    { autoFlushMs: "1" },
    { autoFlushEvents: 0 },
    { autoFlushEvents: 1.5 },
    { autoFlush: 1 },
  ])
    assert.throws(() => publisher.session(bad), { code: "ERR_INVALID_ARGUMENT" });
  assert.throws(() => publisherTo(server(202), { beforeSend: "x" }), { code: "ERR_INVALID_ARGUMENT" });
  return publisher.outbox.close();
});

test("beforeSend is called once for each published event, before it is staged", async () => {
  const to = server(503, 202);
  const seen = [];
  const beforeSend = (one) => {
    seen.push(one.id);
    return one.id === "drop" ? null : one.with({ subject: "changed" });
  };
  const publisher = publisherTo(to, { beforeSend });
  const dropped = publisher.publish(event("drop"));
  assert.equal(dropped.id, "drop");
  for (const promise of [dropped.accepted, dropped.delivered])
    await assert.rejects(promise, { code: "ERR_DROPPED", message: /beforeSend/ });
  await publisher.publish(event(1)).delivered;
  const session = publisher.session();
  session.publish(event(2));
  await session.flush({ until: "delivered" });
  await publisher.outbox.run((mine) => void mine.publish(event(3)));
  await publisher.outbox.drain();
  assert.deepEqual(seen, ["drop", "1", "2", "3"]);
  const sent = to.requests.flatMap(({ text }) => JSON.parse(text));
  assert.ok(sent.length >= 4 && sent.every(({ subject }) => subject === "changed"));
  assert.equal(publisher.outbox.stats().accepted, 3);
  await publisher.send(event(4), { mode: "structured" });
  assert.equal(seen.length, 4);
  await publisher.outbox.close();
});

test("a beforeSend that throws or returns something else stages nothing", async () => {
  const results = [undefined, {}, "x", Promise.resolve(event(1)), Promise.reject(new Error("late"))];
  for (const result of results) {
    const publisher = publisherTo(server(202), { beforeSend: () => result });
    assert.throws(() => publisher.publish(event(1)), { code: "ERR_INVALID_ARGUMENT", message: /beforeSend/ });
    assert.equal(publisher.outbox.stats().staged, 0);
    await publisher.outbox.close();
  }
  const boom = new Error("boom");
  const publisher = publisherTo(server(202), {
    beforeSend: () => {
      throw boom;
    },
  });
  assert.throws(() => publisher.publish(event(1)), boom);
  await publisher.outbox.close();
});

test("send gives the events of the response back, in every content mode", async () => {
  const reply = (id) => new CloudEvent({ id, type: "reply", source: "/r", time: null, subject: "Åre", data: { id } });
  const respond = ({ headers, body }) => new Response(body, { status: 200, headers });
  for (const [message, ids] of [
    [toBinary(reply("a")), ["a"]],
    [toStructured(reply("b")), ["b"]],
    [toBatch([reply("c"), reply("d")]), ["c", "d"]],
  ]) {
    const publisher = publisherTo(server(() => respond(message)));
    const { reply: replies, replyError } = await publisher.send(event(1));
    assert.deepEqual(
      replies.map(({ id }) => id),
      ids,
    );
    assert.ok(replies.every((one) => one instanceof CloudEvent && one.subject === "Åre" && one.data.id === one.id));
    assert.equal(replyError, undefined);
    publisher.close();
  }
});

test("a response without events has no reply, and one that cannot be read says why", async () => {
  for (const response of [
    new Response(null, { status: 204 }),
    new Response("ok", { status: 200 }),
    Response.json({ specversion: "1.0" }),
  ]) {
    const publisher = publisherTo(server(() => response));
    assert.deepEqual(Object.keys(await publisher.send(event(1))).sort(), ["attempts", "ids", "status"]);
    publisher.close();
  }
  const one = new CloudEvent({ type: "reply", source: "/r" }).toString();
  const mixed = `[${one},${one.replace('"1.0"', '"0.3"')}]`;
  for (const [type, body, code, message] of [
    ["application/cloudevents+json", "{", "ERR_INVALID_EVENT", /JSON/],
    ["application/cloudevents-batch+json", one, "ERR_INVALID_BATCH", /not a batch/],
    ["application/cloudevents-batch+json", mixed, "ERR_INVALID_BATCH", /event 1 of the batch/],
    ["application/cloudevents-batch+json", `[${one},{}]`, "ERR_MISSING_ATTRIBUTE", /^event 1 of the batch: /],
    ["application/cloudevents-batch+avro", `[${one}]`, "ERR_UNSUPPORTED_FORMAT", /avro/],
  ]) {
    const bad = new Response(body, { headers: { "content-type": type } });
    const publisher = publisherTo(server(() => bad));
    const info = await publisher.send(event(1));
    assert.deepEqual([info.reply, info.replyError.code, info.status], [undefined, code, 200]);
    assert.match(info.replyError.message, message);
    publisher.close();
  }
});

test("a reply with a byte order mark could not be read if it was a batch", async () => {
  const one = new CloudEvent({ type: "reply", source: "/r", id: "r1", data: "é" }).toString();
  for (const [type, body] of [
    ["application/cloudevents+json", one],
    ["application/cloudevents-batch+json", `[${one}]`],
  ]) {
    const response = new Response(`\ufeff${body}`, { headers: { "content-type": type } });
    const publisher = publisherTo(server(() => response));
    const { reply, replyError } = await publisher.send(event(1));
    assert.deepEqual([replyError, reply.map(({ id, data }) => [id, data])], [undefined, [["r1", "é"]]], type);
    publisher.close();
  }
});

test("a receiver replies to a publisher", async () => {
  const handle = webhook({
    allowedOrigins: "*",
    onEvent: ({ id }) => new CloudEvent({ type: "reply", source: "/r", data: `to ${id}` }),
  });
  const publisher = publisherTo({ fetch: async (input, init) => handle(new Request(input, init)) });
  assert.deepEqual(
    (await publisher.send(event(1))).reply.map(({ data }) => data),
    ["to 1"],
  );
  assert.deepEqual(
    (await publisher.send([event(1), event(2)])).reply.map(({ data }) => data),
    ["to 1", "to 2"],
  );
  const info = await publisher.send([event(3), event(4)], { mode: "structured" });
  assert.deepEqual(
    info.reply.map(({ data }) => data),
    ["to 3", "to 4"],
  );
  publisher.close();
});
