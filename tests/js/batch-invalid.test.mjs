// What npm `cloudevents` 10 accepts and the specification does not allow.
import assert from "node:assert/strict";
import test from "node:test";
import { CloudEvent, EventBatch, isFerryError } from "eventferry/cloudevents";

const VALID = { specversion: "1.0", id: "1", source: "/s", type: "t", time: "2026-01-01T00:00:00Z", data: { a: 1 } };
const without = (name) => ({ ...VALID, [name]: undefined });
/** `HTTP.toEvent` of npm `cloudevents` 10 makes an event of each, with a new id or time where it finds none. */
const WRONGLY_ACCEPTED = {
  "no id": without("id"),
  "an empty id": { ...VALID, id: "" },
  "no source": without("source"),
  "no type": without("type"),
  "an empty type": { ...VALID, type: "" },
  "an unknown version": { ...VALID, specversion: "1.1" },
  "a time that is none": { ...VALID, time: "yesterday" },
  "an attribute with an underscore": { ...VALID, a_b: "c" },
};

test("events that the specification does not allow are rejected alone, in a batch and in lines", () => {
  for (const [what, event] of Object.entries(WRONGLY_ACCEPTED)) {
    const text = JSON.stringify(event);
    const isRejected = (error) => isFerryError(error) && /^ERR_(?:INVALID|UNSUPPORTED|MISSING)/.test(error.code);
    assert.throws(() => CloudEvent.fromJSON(text), isRejected, what);
    assert.throws(() => EventBatch.parse(`[${text}]`), isRejected, what);
    const lines = `${JSON.stringify(VALID)}\n${text}\n${JSON.stringify(VALID)}\n`;
    const batch = EventBatch.parse(lines, { format: "ndjson", onInvalid: "skip" });
    assert.equal(batch.length, 2, what);
    assert.deepEqual(
      batch.rejected.map(({ index }) => index),
      [1],
      what,
    );
  }
});
