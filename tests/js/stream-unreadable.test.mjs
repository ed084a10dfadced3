// Answers that can never be read, as a program sees them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SalesforceClient, sessionAuth } from "eventferry/salesforce";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const CHANNELS = ["/event/A__e", "/event/B__e", "/event/C__e"];
const replyTo = ({ channel, id, subscription }, more) => ({ channel, id, successful: true, subscription, ...more });
const eventOf = (channel, replayId) => ({ channel, data: { payload: { n: replayId }, event: { replayId } } });

/** A server with three events for each channel. The second one of B spoils every answer that it is in. */
function spoiledServer(spoil) {
  const server = { isMended: false, requests: 0, position: new Map(), release: undefined };
  server.fetch = async (_url, { body, signal }) => {
    server.requests++;
    const messages = JSON.parse(new TextDecoder().decode(body));
    const isPoll = messages[0].channel === "/meta/connect" && !messages[0].advice;
    for (const { channel, subscription, ext } of messages) {
      if (channel === "/meta/subscribe")
        server.position.set(subscription, Math.max(0, Number(ext.replay[subscription])));
      if (channel === "/meta/unsubscribe") server.position.delete(subscription);
    }
    const waits = () => [...server.position].some(([, position]) => position < 3);
    if (server.position.size > 0 && !isPoll) server.release?.();
    if (isPoll && !waits())
      await new Promise((resolve, reject) => {
        server.release = resolve;
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    const events = [];
    if (isPoll)
      for (const [channel, position] of server.position) {
        for (let id = position + 1; id <= 3; id++) events.push(eventOf(channel, id));
        server.position.set(channel, Math.max(3, position));
      }
    const replies = messages.map((message) =>
      replyTo(message, message.channel === "/meta/handshake" && { clientId: "c", ext: { replay: true } }),
    );
    const bad = events.findIndex(({ channel, data }) => channel === CHANNELS[1] && data.event.replayId === 2);
    const text = JSON.stringify([...events, ...replies]);
    return bad < 0 || server.isMended
      ? new Response(text)
      : spoil(text, JSON.stringify(events.slice(0, bad + 1)).length - 20);
  };
  return server;
}

const SPOILS = {
  "bytes that are not JSON": () => new Response(new Uint8Array([0, 255, 254])),
  "an answer that is cut": (text, at) => new Response(text.slice(0, at)),
  "an answer whose body breaks off": (text, at) =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode(text.slice(0, at))),
        pull: (controller) => controller.error(new TypeError("terminated")),
      }),
    ),
  "a connection that breaks": () => Promise.reject(new TypeError("other side closed")),
  "an empty answer": () => new Response(""),
};

for (const [what, spoil] of Object.entries(SPOILS)) {
  test(`${what} holds only the channel of the bad event, and the program is told`, async () => {
    const server = spoiledServer(spoil);
    const told = [];
    const auth = sessionAuth({ accessToken: "T", instanceUrl: "https://acme.my.salesforce.com" });
    const client = new SalesforceClient(auth, {
      fetch: server.fetch,
      replay: "all",
      onRetry: (error, delayMs) => told.push([error, delayMs]),
    });
    const errors = [];
    const notices = [];
    client.addEventListener("error", ({ detail }) => errors.push(detail.error));
    client.addEventListener("notice", ({ detail }) => notices.push(detail));
    await client.open();
    await client.subscribe(CHANNELS);
    const received = [];
    const loop = (async () => {
      for await (const { channel, data } of client) received.push(`${channel} ${data.payload.n}`);
    })();
    while (notices.filter(({ kind }) => kind === "channel_held").length < 2) await sleep(500);
    const of = (channel) => received.filter((text) => text.startsWith(channel)).map((text) => Number(text.at(-1)));
    for (const channel of [CHANNELS[0], CHANNELS[2]]) assert.deepEqual(of(channel), [1, 2, 3]);
    assert.ok(of(CHANNELS[1]).length <= 1);
    const held = notices.filter(({ kind }) => kind === "channel_held");
    for (const { channel, error } of held) {
      assert.equal(channel, CHANNELS[1]);
      assert.match(error.message, /the events of \/event\/B__e behind the replay id -?[012] cannot be read/);
      assert.ok(errors.includes(error));
    }
    assert.deepEqual(
      told.filter(([error]) => /cannot be read \(/.test(error.message)).map(([, delayMs]) => delayMs),
      held.map((_, at) => 30_000 * 2 ** at),
    );
    await until(() => client.state === "connected");
    server.isMended = true;
    await client.probe();
    await until(() => received.length === 9);
    assert.deepEqual(of(CHANNELS[1]), [1, 2, 3]);
    await client.close();
    await loop;
  });
}

test("a message that is not JSON is skipped and told, and the messages beside it arrive", async () => {
  const broken = spoiledServer((text) => new Response(text.replaceAll('{"n":2}', "{n:2}")));
  const auth = sessionAuth({ accessToken: "T", instanceUrl: "https://acme.my.salesforce.com" });
  const client = new SalesforceClient(auth, { fetch: broken.fetch, replay: "all" });
  const errors = [];
  client.addEventListener("error", ({ detail }) => errors.push(detail.error));
  const received = [];
  await client.open();
  await client.subscribe(CHANNELS[1], ({ data }) => received.push(data.payload.n));
  await until(() => received.length === 2);
  assert.deepEqual(received, [1, 3]);
  assert.match(errors[0].message, /1 messages of the server are not valid JSON and were skipped/);
  await client.close();
});
