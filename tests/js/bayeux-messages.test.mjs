// What messages say of themselves, out of answers that are decoded late or never.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SalesforceClient, sessionAuth } from "../../dist/entries/salesforce.js";

/** A client that gets these messages with its second poll. */
async function receiving(texts, use, prepare = () => {}) {
  let polls = 0;
  const client = new SalesforceClient(sessionAuth({ accessToken: "t", instanceUrl: "https://org.example" }), {
    fetch: async (request) => {
      const [{ channel, id, subscription }] = await request.json();
      const reply = JSON.stringify({
        channel,
        id,
        subscription,
        successful: true,
        clientId: "c",
        version: "1.0",
        supportedConnectionTypes: ["long-polling"],
        ext: { replay: true },
      });
      if (channel === "/meta/connect" && ++polls > 2) return new Promise(() => {});
      return new Response(`[${[...(polls === 2 && channel === "/meta/connect" ? texts : []), reply].join(",")}]`);
    },
  });
  prepare(client);
  await client.open();
  try {
    await use(client);
  } finally {
    void client.close();
  }
}

async function received(texts) {
  const messages = [];
  await receiving(texts, async (client) => {
    for (let at = 0; at < texts.length; at++) messages.push(await client.receive());
  });
  return messages;
}

const event = (channel, replayId, more = {}) =>
  `{"channel":${JSON.stringify(channel)},"data":{"event":{"replayId":${replayId}},"payload":${JSON.stringify(more)}}}`;

test("replay ids are the text that came, whatever they look like", async () => {
  const ids = [
    "0",
    "13",
    "999999999999999",
    "4294967296",
    "9007199254740993",
    "123456789012345678901234567890",
    '"abc"',
    '"007"',
    '"7"',
    '"a\\"b\\u0041"',
    "-5",
    "1e3",
    '"é😀"',
  ];
  const messages = await received(ids.map((id) => event("/event/A__e", id)));
  assert.deepEqual(
    messages.map(({ replayId }) => replayId),
    ids.map((id) => (id.startsWith('"') ? JSON.parse(id) : id)),
  );
});

test("a message without a replay id has none", async () => {
  const [message] = await received(['{"channel":"/event/A__e","data":{"event":{}}}']);
  assert.equal(message.replayId, undefined);
});

test("each message knows its channel, among many and with escapes", async () => {
  const channels = Array.from({ length: 60 }, (_, at) => `/event/Number${(at * 7) % 25}__e`).concat(
    '/u/a"b',
    "/u/é😀",
    "/u/plain",
    '/u/a"b',
  );
  const messages = await received(channels.map((channel, at) => event(channel, at + 1)));
  assert.deepEqual(
    messages.map(({ channel }) => channel),
    channels,
  );
});

test("data and the whole message are cut out behind characters of every length", async () => {
  const texts = ["a", "é", "€", "😀"].map((text, at) => event(`/u/${text}`, at + 1, { text }));
  const messages = await received(texts);
  assert.deepEqual(
    messages.map(({ dataText }) => JSON.parse(dataText).payload.text),
    ["a", "é", "€", "😀"],
  );
  assert.deepEqual(
    messages.map(({ data }) => data.payload.text),
    ["a", "é", "€", "😀"],
  );
  assert.deepEqual(
    messages.map(({ raw }) => raw),
    texts.map((text) => JSON.parse(text)),
  );
  assert.equal(messages[0].data, messages[0].data, "it is parsed once");
});

test("messages go to the listeners of their channel, the others into the inbox, and all are counted", async () => {
  const channels = ["/event/A__e", "/event/B__e", "/event/A__e", "/event/C__e"];
  const texts = channels.map((channel, at) => event(channel, at + 1));
  const heard = [];
  let goOn;
  const gate = new Promise((resolve) => (goOn = resolve));
  const listen = (client) =>
    void client.subscribe("/event/A__e", async ({ replayId }) => {
      heard.push(replayId);
      await gate;
    });
  await receiving(
    texts,
    async (client) => {
      assert.equal((await client.receive()).channel, "/event/B__e");
      assert.equal(client.pendingCount, 3, "two for the listener, one in the inbox");
      goOn();
      assert.equal((await client.receive()).channel, "/event/C__e");
      while (client.pendingCount > 0) await new Promise(setImmediate);
      assert.deepEqual(heard, ["1", "3"]);
    },
    listen,
  );
});
