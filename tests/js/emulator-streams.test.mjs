// The server-sent events of the emulator's CloudEvents service.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, toBinary } from "eventferry/cloudevents";
import { createEmulator } from "eventferry/testing";
import { event, ORIGIN, post, readBlocks, takeEvents } from "./emulator-fixtures.mjs";
import { virtualTime } from "./virtual-clock.mjs";

virtualTime();

const odd = '{"specversion":"1.0",\r\n"id":"odd",\r"source":"/",\n"type":"t","data":"a\\nb"}';

test("a stream delivers new events live, including those with several lines", async () => {
  const emulator = createEmulator();
  await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: "before" })));
  const answer = await emulator.fetch(`${ORIGIN}/cloudevents/c/stream`);
  assert.equal(answer.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const stream = readBlocks(answer);
  assert.deepEqual((await stream.next()).value, { retry: "1000", id: "1", data: undefined });
  const first = takeEvents(stream, 1);
  await post(emulator.fetch, "/cloudevents/elsewhere", toBinary(event({ id: "elsewhere" })));
  await post(emulator.fetch, "/cloudevents/c", {
    headers: { "content-type": "application/cloudevents+json" },
    body: odd,
  });
  const [{ id, data }] = await first;
  assert.equal(id, "3");
  assert.equal(data, odd.replace("\r\n", "\n").replace("\r", "\n"));
  assert.equal(CloudEvent.fromJSON(data).data, "a\nb");
  await stream.return();
  await emulator.close();
});

test("a stream resumes at the position of the reader", async () => {
  const emulator = createEmulator();
  for (let id = 1; id <= 200; id++) await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id: String(id) })));
  const ids = async (path, headers, count) => {
    const stream = readBlocks(await emulator.fetch(`${ORIGIN}/cloudevents/c/${path}`, { headers }));
    const found = await takeEvents(stream, count);
    await stream.return();
    for (const { id, data } of found) assert.equal(CloudEvent.fromJSON(data).id, id);
    return found.map(({ id }) => Number(id));
  };
  assert.deepEqual(
    await ids("stream?after=0", {}, 200),
    Array.from({ length: 200 }, (_, at) => at + 1),
  );
  assert.deepEqual(await ids("stream?after=198", {}, 2), [199, 200]);
  assert.deepEqual(await ids("stream?after=0", { "last-event-id": "197" }, 3), [198, 199, 200]);
  assert.deepEqual(await ids("stream?after=199", { "last-event-id": "not ours" }, 1), [200]);
  assert.deepEqual(await ids("stream", { "last-event-id": "5000" }, 1), [1], "the id is from an earlier emulator");
  await emulator.close();
});

test("a stream reports evicted events and sends heartbeats", async () => {
  const emulator = createEmulator({ cloudEvents: { maxEvents: 2, heartbeatMs: 10 } });
  for (const id of ["1", "2", "3"]) await post(emulator.fetch, "/cloudevents/c", toBinary(event({ id })));
  const stream = readBlocks(await emulator.fetch(`${ORIGIN}/cloudevents/c/stream?after=0`));
  assert.equal((await stream.next()).value.comment, "events before 2 are gone");
  await takeEvents(stream, 2);
  assert.deepEqual((await stream.next()).value, { comment: "", data: undefined });
  await stream.return();
});

test("a stream ends when the reader aborts and when the emulator is closed", async () => {
  const emulator = createEmulator();
  const aborter = new AbortController();
  const stream = readBlocks(await emulator.fetch(`${ORIGIN}/cloudevents/c/stream`, { signal: aborter.signal }));
  await stream.next();
  const next = stream.next();
  aborter.abort();
  assert.equal((await next).done, true);
  const other = readBlocks(await emulator.fetch(`${ORIGIN}/cloudevents/c/stream`));
  await other.next();
  const otherNext = other.next();
  await emulator.close();
  assert.equal((await otherNext).done, true);
});
