// Answers whose status does not tell what they mean, and what an outbox tells of itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { expectJsonOrEmpty, Publisher } from "eventferry";
import { EventClient } from "eventferry/bc-events";
import { PipelineDataSource } from "eventferry/glassflow";
import { balance, event, listen, publisherTo, server, storeWith } from "./outbox-fixtures.mjs";
import { realTime, sleep, until, virtualTime } from "./virtual-clock.mjs";
import { collectGarbage } from "./garbage-collector.mjs";

virtualTime();

const page = () => new Response("<!doctype html><title>Welcome to the hotel</title>", { status: 200 });
const publish = async (publisher, ...ids) => {
  const session = publisher.session();
  const receipts = ids.map((id) => session.publish(event(id)));
  await session.flush();
  return receipts;
};

test("a login page with status 200 delivers nothing with expectJsonOrEmpty", async () => {
  const to = server(page, page, () => new Response("{}", { status: 200 }));
  const publisher = publisherTo(to, { classify: expectJsonOrEmpty });
  const retried = listen(publisher.outbox, "retry");
  await publish(publisher, "1");
  const { delivered } = await publisher.outbox.drain();
  assert.deepEqual([delivered, to.requests.length], [1, 3]);
  assert.deepEqual(
    retried.map(([, { error }]) => [error.code, error.status]),
    [
      ["ERR_UNAVAILABLE", 200],
      ["ERR_UNAVAILABLE", 200],
    ],
  );
  await publisher.outbox.close();
  const sender = new Publisher({ url: "https://example.com/", fetch: async () => page(), classify: expectJsonOrEmpty });
  await assert.rejects(sender.send(event("1")), { code: "ERR_UNAVAILABLE", status: 200 });
  const source = new PipelineDataSource({
    pipelineId: "p",
    pipelineAccessToken: "t",
    fetch: async () => page(),
    classify: expectJsonOrEmpty,
  });
  await assert.rejects(source.publish({}), { code: "ERR_UNAVAILABLE" });
});

test("expectJsonOrEmpty takes JSON, empty bodies and JSON that was cut off", () => {
  const outcome = (text, status = 200) =>
    expectJsonOrEmpty({ status, body: new TextEncoder().encode(text), text: () => text });
  for (const text of ["", "{}", "[1]", "true", '"x"', `[${"1,".repeat(20_000)}`])
    assert.equal(outcome(text), undefined);
  for (const text of ["<html>", "ok", "{", `<!-- ${"x".repeat(20_000)}`]) assert.equal(outcome(text), "retry");
  for (const status of [301, 400, 503]) assert.equal(outcome("<html>", status), undefined);
});

test("classify decides for all events or for each, and sees their ids and texts", async () => {
  const seen = [];
  const to = server(() => new Response('{"failed":["2"],"later":["3"]}', { status: 200 }), 204);
  const publisher = publisherTo(to, {
    classify: (response, events) => {
      seen.push([response.status, events.map(({ id, text }) => [id, JSON.parse(text).id])]);
      if (response.status === 204) return "delivered";
      const { failed, later } = JSON.parse(response.text());
      return events.map(({ id }) => (failed.includes(id) ? "rejected" : later.includes(id) ? "retry" : "delivered"));
    },
  });
  await publish(publisher, "1", "2", "3");
  await publisher.outbox.drain();
  assert.deepEqual(seen[0], [
    200,
    [
      ["1", "1"],
      ["2", "2"],
      ["3", "3"],
    ],
  ]);
  assert.deepEqual(to.ids(), [["1", "2", "3"], ["3"]]);
  const { delivered, dead } = publisher.outbox.stats();
  assert.deepEqual([delivered, dead, balance(publisher.outbox.stats())], [2, 1, 0]);
  await publisher.outbox.close();
});

test("a classify that throws or returns nonsense loses nothing", async () => {
  for (const bad of [
    () => {
      throw new Error("oops");
    },
    () => "yes",
    () => [],
    () => Promise.resolve("delivered"),
    () => Promise.reject(new Error("asynchronous")),
  ]) {
    let isBad = true;
    const publisher = publisherTo(server(202), { classify: (...given) => (isBad ? bad(...given) : undefined) });
    const retried = listen(publisher.outbox, "retry");
    await publish(publisher, "1");
    await until(() => retried.length > 1);
    isBad = false;
    assert.equal((await publisher.outbox.drain()).delivered, 1);
    await publisher.outbox.close();
  }
  for (const classify of ["x", {}, null]) {
    assert.throws(() => new Publisher({ url: "https://example.com/", classify }), { code: "ERR_INVALID_ARGUMENT" });
    assert.throws(() => new PipelineDataSource({ pipelineId: "p", pipelineAccessToken: "t", classify }), {
      code: "ERR_INVALID_ARGUMENT",
    });
    assert.throws(() => new EventClient({ serviceName: "orders", topics: "Topics: []", classify }), {
      code: "ERR_INVALID_ARGUMENT",
    });
  }
});

test("inspect shows what waits, how long, and why", async () => {
  const publisher = publisherTo(server(503), { outbox: { retry: { baseMs: 60_000, maxMs: 60_000 } } });
  await publish(publisher, "1", "2");
  await sleep(5000);
  await publish(publisher, "3");
  const waiting = await publisher.outbox.inspect();
  assert.deepEqual(
    waiting.map(({ id, lastError }) => [id, lastError?.code, lastError?.status]),
    ["1", "2", "3"].map((id) => [id, "ERR_UNAVAILABLE", 503]),
  );
  assert.ok(waiting[0].ageMs >= 5000 && waiting[2].ageMs < 1000);
  assert.equal(JSON.parse(waiting[0].text).id, "1");
  assert.ok(waiting[0].at instanceof Date);
  assert.deepEqual(
    (await publisher.outbox.inspect(2)).map(({ id }) => id),
    ["1", "2"],
  );
  assert.deepEqual(await publisher.outbox.inspect(0), []);
  for (const bad of [-1, "5", null])
    await assert.rejects(publisher.outbox.inspect(bad), { code: "ERR_INVALID_ARGUMENT" });
  await publisher.outbox.close();
});

test("without a listener for degraded the console tells of it once, with one it does not", async (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  const broken = () => storeWith({ open: () => Promise.reject(new Error("no room")) });
  const silent = publisherTo(server(202), { outbox: { store: broken() } });
  await assert.rejects(silent.outbox.drain(), { code: "ERR_STORE" });
  const lines = warn.mock.calls.map(({ arguments: [line] }) => line);
  assert.equal(lines.length, 1, lines.join("\n"));
  assert.match(lines[0], /^eventferry: an outbox has a problem: ERR_STORE: mine: no room/);
  const heard = publisherTo(server(202), { outbox: { store: broken() } });
  const told = listen(heard.outbox, "degraded");
  await assert.rejects(heard.outbox.drain(), { code: "ERR_STORE" });
  assert.ok(told.length > 0);
  assert.equal(warn.mock.callCount(), 1);
  // Each text of a server would be another warning.
  let turn = 0;
  const refused = publisherTo(server(() => new Response(`no ${turn++}`, { status: 401 })));
  const session = refused.session();
  session.publish(event("1"));
  await session.flush({ until: "delivered", deadlineMs: 100 });
  assert.ok(turn > 2);
  assert.equal(warn.mock.callCount(), 2);
  await refused.outbox.close();
  await silent.outbox.close();
  await heard.outbox.close();
});

test("what a server repeats of a token is in no message, event or dead letter", async () => {
  const token = "tok-5f3a9c77e1";
  const headers = { authorization: `Bearer ${token}`, "x-api-key": `key-${token}` };
  const echo =
    (status) =>
    ({ headers }) =>
      new Response(`who is ${headers.get("authorization")} with ${headers.get("x-api-key")}?`, { status });
  const told = [];
  for (const status of [400, 503]) {
    const publisher = publisherTo(server(echo(status)), { headers, outbox: { giveUpAfter: 2 } });
    for (const type of ["retry", "dead", "degraded"])
      publisher.outbox.addEventListener(type, ({ detail }) =>
        told.push(detail.error.message, String(detail.error.cause)),
      );
    const [receipt] = await publish(publisher, "1");
    await receipt.delivered.catch((error) => told.push(error.message, String(error.cause)));
    const [letter] = await publisher.outbox.dead.list();
    told.push(JSON.stringify(letter));
    await publisher.send(event("2")).catch((error) => told.push(error.message, String(error.cause)));
    await publisher.outbox.close();
    publisher.close();
  }
  const failing = publisherTo({ fetch: async () => Promise.reject(new TypeError(`bad header ${token}`)) }, { headers });
  await failing.send(event("3")).catch((error) => told.push(error.message, String(error.cause)));
  await failing.outbox.close();
  assert.ok(told.length > 8 && told.some((text) => text.includes("who is")), told.join("\n"));
  for (const text of told) assert.ok(!text.includes(token), text);
});

test("a session that is forgotten with published events is told of, a flushed one is not", async (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  const publisher = publisherTo(server(202));
  const abandon = async (isFlushed) => {
    const session = publisher.session();
    session.publish(event(String(isFlushed)));
    if (isFlushed) await session.flush();
  };
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) {
      collectGarbage();
      await realTime(new Promise((resolve) => setTimeout(resolve, 5)));
    }
  };
  await abandon(true);
  await settle();
  assert.equal(warn.mock.callCount(), 0);
  await abandon(false);
  await settle();
  assert.equal(warn.mock.callCount(), 1);
  assert.match(warn.mock.calls[0].arguments[0], /forgotten before it was flushed/);
  await publisher.outbox.close();
});
