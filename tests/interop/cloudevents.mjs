// The JavaScript SDK of CloudEvents against our emulator, and our messages read by it.
import assert from "node:assert/strict";
import * as ours from "../../dist/entries/index.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { Tally } from "../tally.mjs";
import * as sdk from "cloudevents";

const tally = new Tally();
const emulator = createEmulator();
const { url, close } = await emulator.listen();
const target = new URL("cloudevents/interop", url).href;

/** What both libraries can say alike. The SDK sends headers unescaped, so those stay within printable ASCII. */
const init = {
  id: "1-a",
  type: "com.example.made",
  source: "/shops/7",
  subject: "a-subject",
  time: "2026-01-01T00:00:00.000Z",
  datacontenttype: "application/json",
  anext: "value",
  flag: true,
  count: 5,
  data: { text: "Euro € 😀", list: [1, 2.5, null] },
};
const seen = (event) => [
  event.id,
  event.type,
  event.source,
  event.subject,
  new Date(event.time).getTime(),
  event.datacontenttype,
  event.data,
];

for (const mode of ["binary", "structured"]) {
  await tally.check(`the SDK sends an event in ${mode} mode and the emulator has it`, async () => {
    emulator.cloudEvents.clear();
    const emit = sdk.emitterFor(sdk.httpTransport(target), { mode: sdk.Mode[mode.toUpperCase()] });
    await emit(new sdk.CloudEvent(init));
    const [{ event, mode: received }] = await emulator.cloudEvents.waitFor(1, { timeoutMs: 5000 });
    assert.equal(received, mode);
    assert.deepEqual(seen(event), seen(init));
    assert.deepEqual(
      ["anext", "flag", "count"].map((name) => String(event.get(name))),
      ["value", "true", "5"],
    );
  });

  await tally.check(`the SDK reads what we write in ${mode} mode`, () => {
    const { headers, body } = (mode === "binary" ? ours.toBinary : ours.toStructured)(new ours.CloudEvent(init));
    // The SDK knows the media type of structured mode in two spellings only, and the one of the specification is neither.
    if (mode === "structured") headers["content-type"] = headers["content-type"].toLowerCase();
    const event = sdk.HTTP.toEvent({ headers, body });
    assert.deepEqual(seen(event), seen(init));
    assert.deepEqual(
      ["anext", "flag", "count"].map((name) => String(event[name])),
      ["value", "true", "5"],
    );
  });
}

await tally.check("the SDK reads a batch of ours, and we read the events it holds", () => {
  const { headers, body } = ours.toBatch(["1", "2"].map((id) => new ours.CloudEvent({ ...init, id })));
  const events = sdk.HTTP.toEvent({ headers, body });
  assert.deepEqual(
    events.map(({ id }) => id),
    ["1", "2"],
  );
  assert.deepEqual(seen(ours.CloudEvent.fromJSON(JSON.stringify(events[1]))), seen({ ...init, id: "2" }));
});

await tally.check("bytes cross in both directions", () => {
  const bytes = new Uint8Array([0, 1, 254, 255]);
  const event = new ours.CloudEvent({ ...init, datacontenttype: "image/png", data: bytes });
  const theirs = sdk.HTTP.structured(new sdk.CloudEvent({ ...init, datacontenttype: "image/png", data: bytes }));
  assert.deepEqual(ours.fromHttp(theirs.headers, theirs.body).dataBytes, bytes);
  assert.equal(JSON.parse(ours.toStructured(event).body).data_base64, JSON.parse(theirs.body).data_base64);
});

await tally.check("a Publisher of ours delivers to a server that reads with the SDK", async () => {
  const received = [];
  const publisher = new ours.Publisher({
    url: "https://example.com/",
    fetch: async (request) => {
      received.push(sdk.HTTP.toEvent({ headers: Object.fromEntries(request.headers), body: await request.text() }));
      return new Response(null, { status: 202 });
    },
  });
  await publisher.send(new ours.CloudEvent(init));
  assert.deepEqual(seen(received[0]), seen(init));
});

await close();
tally.finish();
