// Fields of messages that are cut out of a response when they are read.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SalesforceClient, sessionAuth } from "eventferry/salesforce";
import { sleep, until, virtualTime } from "./virtual-clock.mjs";

virtualTime();

/** Opens a client that gets these messages with its second poll. */
async function withMessages(texts, use, prepare = () => {}) {
  let polls = 0;
  const client = new SalesforceClient(sessionAuth({ accessToken: "t", instanceUrl: "https://org.example" }), {
    fetch: async (...args) => {
      const request = new Request(...args);
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

async function receiveAll(texts) {
  const messages = [];
  await withMessages(texts, async (client) => {
    for (let at = 0; at < texts.length; at++) messages.push(await client.receive());
  });
  return messages;
}

const event = (channel, replayId, more = {}) =>
  `{"channel":${JSON.stringify(channel)},"data":{"event":{"replayId":${replayId}},"payload":${JSON.stringify(more)}}}`;

test("replay ids are the text that arrived, in every form", async () => {
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
  const messages = await receiveAll(ids.map((id) => event("/event/A__e", id)));
  assert.deepEqual(
    messages.map(({ replayId }) => replayId),
    ids.map((id) => (id.startsWith('"') ? JSON.parse(id) : id)),
  );
});

test("a message without a replay id has replayId undefined", async () => {
  const [message] = await receiveAll(['{"channel":"/event/A__e","data":{"event":{}}}']);
  assert.equal(message.replayId, undefined);
});

test("each message has its channel, among many channels and with escapes", async () => {
  const channels = Array.from({ length: 60 }, (_, at) => `/event/Number${(at * 7) % 25}__e`).concat(
    '/u/a"b',
    "/u/é😀",
    "/u/plain",
    '/u/a"b',
  );
  const messages = await receiveAll(channels.map((channel, at) => event(channel, at + 1)));
  assert.deepEqual(
    messages.map(({ channel }) => channel),
    channels,
  );
});

test("data and raw are correct after characters of every UTF-8 length", async () => {
  const texts = ["a", "é", "€", "😀"].map((text, at) => event(`/u/${text}`, at + 1, { text }));
  const messages = await receiveAll(texts);
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
  assert.equal(messages[0].data, messages[0].data, "data is parsed once");
});

test("messages go to the listeners of their channel, the others to the inbox, and pendingCount includes both", async () => {
  const channels = ["/event/A__e", "/event/B__e", "/event/A__e", "/event/C__e"];
  const texts = channels.map((channel, at) => event(channel, at + 1));
  const replayIds = [];
  let release;
  const gate = new Promise((resolve) => {
    release = resolve;
  });
  const subscribe = (client) =>
    void client.subscribe("/event/A__e", async ({ replayId }) => {
      replayIds.push(replayId);
      await gate;
    });
  await withMessages(
    texts,
    async (client) => {
      assert.equal((await client.receive()).channel, "/event/B__e");
      assert.equal(client.pendingCount, 3, "two for the listener, one in the inbox");
      release();
      assert.equal((await client.receive()).channel, "/event/C__e");
      await until(() => client.pendingCount === 0);
      assert.deepEqual(replayIds, ["1", "3"]);
    },
    subscribe,
  );
});

test("events of a response that waited for another one keep their data", async () => {
  let polls = 0;
  let endPoll;
  const client = new SalesforceClient(sessionAuth({ accessToken: "t", instanceUrl: "https://org.example" }), {
    fetch: async (...args) => {
      const [{ channel, id, subscription }] = await new Request(...args).json();
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
      const respond = (...texts) => new Response(`[${[...texts, reply].join(",")}]`);
      if (channel === "/meta/connect" && ++polls === 2)
        return new Promise((resolve) => {
          endPoll = () => resolve(respond(event("/event/A__e", 41, { n: "first" })));
        });
      if (channel === "/meta/connect" && polls > 2) return new Promise(() => {});
      return subscription === "/event/B__e" ? respond(event("/event/A__e", 42, { n: "second" })) : respond();
    },
  });
  await client.open();
  await client.subscribe("/event/A__e");
  await until(() => endPoll !== undefined);
  // Its response arrives while the poll is under way, and is held until that has ended.
  const subscribed = client.subscribe("/event/B__e");
  await sleep(100);
  endPoll();
  await subscribed;
  const messages = [await client.receive(), await client.receive()];
  assert.deepEqual(
    messages.map(({ replayId, data }) => [replayId, data.payload.n]),
    [
      ["41", "first"],
      ["42", "second"],
    ],
  );
  void client.close();
});

test("events of a response that is decoded in pieces are whole, also where a piece ends within a character", async () => {
  // Of one to four bytes each: every length of the first event moves the ends of the pieces by one byte.
  const filler = "a\u00e9\ufeff\u6f22\u{1f600}";
  for (let shift = 0; shift < 14; shift++) {
    const notes = Array.from({ length: 9 }, (_, at) => (at === 0 ? "x".repeat(shift) : filler.repeat(700 + at)));
    const texts = notes.map((note, at) => event("/event/A__e", at + 1, { note }));
    const messages = await receiveAll(texts);
    const inAnyOrder = [8, 0, 4, 7, 1, 2, 6, 3, 5];
    assert.deepEqual(
      inAnyOrder.map((at) => messages[at].data.payload.note),
      inAnyOrder.map((at) => notes[at]),
    );
    assert.deepEqual(
      messages.map(({ raw }) => JSON.stringify(raw)),
      texts,
    );
  }
});

test("one event that is larger than several pieces of the text is whole", async () => {
  const note = "a\u00e9\u6f22\u{1f600}".repeat(10_000);
  const [first, second] = await receiveAll([event("/event/A__e", 1, { note }), event("/event/A__e", 2)]);
  assert.equal(first.data.payload.note, note);
  assert.equal(second.replayId, "2");
});
