// What an outbox does in a page that is hidden or ends; the page is a stand-in, real ones are tried elsewhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromRequest } from "eventferry";
import { event, never, publisherTo, rest, server, until } from "./outbox-world.mjs";

const page = new EventTarget();
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
globalThis.window = page;
globalThis.addEventListener = page.addEventListener.bind(page);
globalThis.removeEventListener = page.removeEventListener.bind(page);
const hide = () => {
  document.visibilityState = "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
  document.visibilityState = "visible";
};

test("in binary mode a page that ends sends each event under its own headers", async () => {
  const to = server(202);
  let asked = 0;
  const publisher = publisherTo(to, { mode: "binary", headers: () => (asked++ ? never() : Promise.resolve({ "x-token": "t0ken" })), outbox: { concurrency: 1 } });
  const session = publisher.session();
  session.publish(event(1, { subject: "first" }));
  await session.flush({ until: "delivered" });
  session.publish(event(2));
  hide();
  await until(() => to.requests.length === 2);
  const { request, headers } = to.requests[1];
  const sent = await fromRequest(request.clone());
  assert.deepEqual([sent.id, sent.subject, sent.data, headers.get("x-token"), request.keepalive], ["2", undefined, { n: 2 }, "t0ken", true]);
  assert.equal(session.staged, 0);
  await publisher.outbox.drain();
  await publisher.outbox.close();
});

test("a page that is hidden flushes its sessions, but not what run is about to decide", async () => {
  const to = server(202);
  const publisher = publisherTo(to);
  const session = publisher.session();
  await rest();
  await publisher.outbox.run(async (mine) => {
    mine.publish(event("run"));
    session.publish(event("session"));
    hide();
    await until(() => to.requests.length > 0);
    assert.deepEqual([to.ids(), mine.staged, session.staged], [[["session"]], 1, 0]);
    mine.rollback();
  });
  await publisher.outbox.drain();
  await publisher.outbox.close();
});

test("with hold nothing is sent when the page is hidden, but it is stored", async () => {
  const to = server(202);
  const publisher = publisherTo(to, { outbox: { unload: "hold", batch: { maxAgeMs: 10_000 } } });
  const session = publisher.session();
  const { accepted } = session.publish(event(1));
  await rest();
  hide();
  await accepted;
  assert.equal(to.requests.length, 0);
  assert.equal((await publisher.outbox.drain()).delivered, 1);
  await publisher.outbox.close();
});

test("the room for requests that survive the page is given back, when they are given up too", async () => {
  const give = [];
  const to = server(() => new Promise((resolve) => give.push(() => resolve(new Response(null, { status: 202 })))), 202);
  const publisher = publisherTo(to);
  const session = publisher.session();
  session.publish(event(1, { data: "x".repeat(40_000) }));
  await session.flush();
  publisher.outbox.drain({ deadlineMs: 20 });
  await until(() => to.requests.length === 1);
  assert.equal(to.requests[0].request.keepalive, true);
  await publisher.outbox.purge();
  await rest(1100);
  session.publish(event(2, { data: "x".repeat(40_000) }));
  await session.flush({ until: "delivered" });
  assert.equal(to.requests[1].request.keepalive, true);
  await publisher.outbox.close();
});

test("coming online tries at once", async () => {
  const to = server(new TypeError("offline"), 202);
  const publisher = publisherTo(to, { outbox: { retry: { baseMs: 60_000, maxMs: 60_000 } } });
  const session = publisher.session();
  const { delivered } = session.publish(event(1));
  session.flush({ until: "delivered" });
  await until(() => to.requests.length === 1);
  await rest(5);
  page.dispatchEvent(new Event("online"));
  assert.equal((await delivered).attempts, 2);
  await publisher.outbox.close();
});
