// The JavaScript SDK of CloudEvents against the emulator, and messages of eventferry read by the SDK.
import assert from "node:assert/strict";
import * as sdk from "cloudevents";
import * as eventferry from "../../dist/entries/index.js";
import { createEmulator } from "../../dist/entries/testing.js";
import { Tally } from "../tally.mjs";

const tally = new Tally();
const emulator = createEmulator();
const { url, close } = await emulator.listen();
const target = new URL("cloudevents/interop", url).href;

/** An event that both libraries can represent. The SDK does not encode headers, so these are printable ASCII. */
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
const fieldsOf = (event) => [
  event.id,
  event.type,
  event.source,
  event.subject,
  new Date(event.time).getTime(),
  event.datacontenttype,
  event.data,
];

await tally.check("the SDK reads every kind of event that eventferry writes in structured and batched mode", () => {
  const base = { id: "1", type: "t", source: "/s" };
  const events = [
    base,
    { ...base, time: null, subject: "Euro € 😀", dataschema: "https://e.example/s", count: 5, flag: false },
    ...[null, 0, false, "", "text", [], {}, { a: [1, "é"] }].map((data) => ({ ...base, data })),
    { ...base, data: new Uint8Array([0, 255]) },
    { ...base, datacontenttype: "image/png", data: new Uint8Array([0, 255]) },
    { ...base, datacontenttype: "text/plain", data: "hi" },
    { ...base, datacontenttype: "application/vnd.x+json; charset=utf-8", data: { a: 1 } },
    { ...base, specversion: "0.3", data: { a: 1 } },
  ].map((init) => new eventferry.CloudEvent(init));
  for (const event of events) {
    const read = sdk.HTTP.toEvent(eventferry.toStructured(event));
    assert.deepEqual([read.id, read.specversion, read.subject], [event.id, event.specversion, event.subject]);
  }
  const batch = events.filter(({ specversion }) => specversion === "1.0");
  assert.equal(sdk.HTTP.toEvent(eventferry.toBatch(batch)).length, batch.length);
});

for (const mode of ["binary", "structured"]) {
  await tally.check(`the emulator receives an event that the SDK sends in ${mode} mode`, async () => {
    emulator.cloudEvents.clear();
    const emit = sdk.emitterFor(sdk.httpTransport(target), { mode: sdk.Mode[mode.toUpperCase()] });
    await emit(new sdk.CloudEvent(init));
    const [{ event, mode: received }] = await emulator.cloudEvents.waitFor(1, { timeoutMs: 5000 });
    assert.equal(received, mode);
    assert.deepEqual(fieldsOf(event), fieldsOf(init));
    assert.deepEqual(
      ["anext", "flag", "count"].map((name) => String(event.get(name))),
      ["value", "true", "5"],
    );
  });

  await tally.check(`the SDK reads a message of eventferry in ${mode} mode`, () => {
    const { headers, body } = (mode === "binary" ? eventferry.toBinary : eventferry.toStructured)(
      new eventferry.CloudEvent(init),
    );
    const event = sdk.HTTP.toEvent({ headers, body });
    assert.deepEqual(fieldsOf(event), fieldsOf(init));
    assert.deepEqual(
      ["anext", "flag", "count"].map((name) => String(event[name])),
      ["value", "true", "5"],
    );
  });
}

await tally.check("the SDK reads a batch of eventferry, and eventferry reads the events of the SDK", () => {
  const { headers, body } = eventferry.toBatch(["1", "2"].map((id) => new eventferry.CloudEvent({ ...init, id })));
  const events = sdk.HTTP.toEvent({ headers, body });
  assert.deepEqual(
    events.map(({ id }) => id),
    ["1", "2"],
  );
  assert.deepEqual(fieldsOf(eventferry.CloudEvent.fromJSON(JSON.stringify(events[1]))), fieldsOf({ ...init, id: "2" }));
});

await tally.check("binary data is read in both directions", () => {
  const bytes = new Uint8Array([0, 1, 254, 255]);
  const event = new eventferry.CloudEvent({ ...init, datacontenttype: "image/png", data: bytes });
  const sdkMessage = sdk.HTTP.structured(new sdk.CloudEvent({ ...init, datacontenttype: "image/png", data: bytes }));
  assert.deepEqual(eventferry.fromHttp(sdkMessage.headers, sdkMessage.body).dataBytes, bytes);
  assert.equal(JSON.parse(eventferry.toStructured(event).body).data_base64, JSON.parse(sdkMessage.body).data_base64);
});

await tally.check("a Publisher delivers to a server that reads with the SDK", async () => {
  const received = [];
  const publisher = new eventferry.Publisher({
    url: "https://example.com/",
    fetch: async (...args) => {
      const request = new Request(...args);
      received.push(sdk.HTTP.toEvent({ headers: Object.fromEntries(request.headers), body: await request.text() }));
      return new Response(null, { status: 202 });
    },
  });
  await publisher.send(new eventferry.CloudEvent(init));
  assert.deepEqual(fieldsOf(received[0]), fieldsOf(init));
});

await close();
tally.finish();
