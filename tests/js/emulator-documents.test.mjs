// JSON documents pass through the emulator's server, in each content mode, without a changed byte.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  batchFromRequest,
  CloudEvent,
  EventBatch,
  fromHttp,
  fromRequest,
  toBatch,
  toBinary,
  toStructured,
} from "eventferry/cloudevents";
import { vectorPath } from "../vectors.mjs";
import { ORIGIN, post, withServer } from "./emulator-fixtures.mjs";

const { documents } = JSON.parse(readFileSync(vectorPath("documents"), "utf8"));

/** Events of real systems. They are not part of the repository, and may be absent. */
const REAL_EVENTS = new URL("../../../shared/cases/real_events/", import.meta.url);
const realEvents = existsSync(REAL_EVENTS)
  ? readdirSync(REAL_EVENTS, { recursive: true })
      .filter((name) => name.endsWith(".json"))
      .map((name) => ({ name, text: readFileSync(new URL(name, REAL_EVENTS), "utf8") }))
  : [];

/** A valid structured event is read as one; any other document becomes the data of an event. */
function eventOf({ text }, at) {
  const bytes = new TextEncoder().encode(text);
  const value = JSON.parse(text);
  const isEvent = "specversion" in value && Object.keys(value).every((key) => /^([a-z0-9]+|data_base64)$/.test(key));
  if (isEvent) return CloudEvent.fromJSON(bytes);
  const headers = {
    "ce-specversion": "1.0",
    "ce-id": `document-${at}`,
    "ce-source": "/documents",
    "ce-type": value.context?.type ?? "com.example.payload",
    "content-type": "application/json",
  };
  return fromHttp(headers, bytes);
}

test("documents come back byte for byte in each content mode", () => {
  assert.ok(documents.length >= 10, `${documents.length} documents`);
  const structured = documents.filter((document, at) => !eventOf(document, at).id.startsWith("document-"));
  assert.deepEqual(
    structured,
    documents.filter(({ name }) => name.startsWith("structured")),
  );
  return comeBackUnchanged(documents);
});

test("real events come back byte for byte in each content mode", {
  skip: !existsSync(REAL_EVENTS) && "the real events are not beside the repository",
}, () => {
  assert.ok(realEvents.length > 50, `${realEvents.length} real events`);
  return comeBackUnchanged(realEvents);
});

/** Sends documents in each content mode, and compares what the emulator returns in each mode with them. */
function comeBackUnchanged(documents) {
  return withServer({}, async (emulator, url) => {
    const send = (message) => post((path, init) => fetch(path.replace(ORIGIN, url), init), "/cloudevents/c", message);
    const events = documents.map(eventOf);
    for (const event of events) assert.equal((await send(toBinary(event))).status, 204);
    for (const event of events) assert.equal((await send(toStructured(event))).status, 204);
    assert.equal((await send(toBatch(EventBatch.of(events)))).status, 204);
    const received = await emulator.cloudEvents.waitFor(3 * events.length);
    const replayed = [...(await batchFromRequest(await fetch(`${url}/cloudevents/c/events`)))];
    assert.equal(replayed.length, received.length);
    const one = async ({ seq }, mode) => fromRequest(await fetch(`${url}/cloudevents/c/events/${seq}?mode=${mode}`));
    for (const [at, entry] of received.entries()) {
      const sent = events[at % events.length];
      const { name } = documents[at % events.length];
      const inJson = [await one(entry, "structured"), replayed[at]];
      const asBytes = [entry.event, await one(entry, "binary")];
      for (const event of [...inJson, ...asBytes]) {
        assert.equal(event.id, sent.id, name);
        assert.deepEqual({ ...event.extensions }, { ...sent.extensions });
        if (sent.dataBytes === undefined) {
          assert.equal(event.dataBytes, undefined, name);
          continue;
        }
        if (name.includes("Base64") && name.startsWith("structured")) {
          assert.deepEqual(event.dataBytes, sent.dataBytes, name);
          continue;
        }
        // In the JSON format, white space around a value is not part of it; everything else stays byte for byte.
        const isUnchanged = entry.mode === "binary" && asBytes.includes(event);
        const [got, want] = [event, sent].map(({ dataText }) => (isUnchanged ? dataText : dataText.trim()));
        assert.equal(got, want, name);
        if (want === sent.dataText) assert.deepEqual(event.dataBytes, sent.dataBytes);
      }
    }
  });
}
