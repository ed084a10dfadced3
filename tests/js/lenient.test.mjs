// Lenient reading: events of senders that do not follow the specification.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  batchFromHttp,
  CloudEvent,
  EventBatch,
  fromHttp,
  fromMessage,
  fromRequest,
  toBinary,
  toMessage,
  toStructured,
} from "eventferry/cloudevents";

const base = { specversion: "1.0", id: "1", source: "/s", type: "t" };
const structured = { "content-type": "application/cloudevents+json" };
const binary = Object.fromEntries(Object.entries(base).map(([name, value]) => [`ce-${name}`, value]));
const read = (members, lenient = true) => fromHttp(structured, JSON.stringify({ ...base, ...members }), { lenient });

const SENDERS = {
  "Azure Event Grid": { dataschema: "#" },
  "Adobe I/O": { event_id: "e", recipient_client_id: "r" },
  "Confluent audit log": { confluentRouting: { confluent: { topic: "x" } } },
  "Quarkus with a zone name": { time: "2023-01-25T19:07:06.370582GMT" },
  "old Java SDK": { time: "2020-07-16T13:53:54.545218America/Los_Angeles" },
  "old C# SDK": { time: "2020-06-17 12:52:43Z" },
  Kogito: { time: "2022-02-24T13:25:16+0000" },
  "empty time": { time: "" },
  "empty subject": { subject: "" },
  "number as subject": { subject: 5 },
  "object as an extension attribute": { extensions: { a: 1 } },
  "fraction and large number": { score: 1.5, big: 2147483648 },
  "media type without a slash": { datacontenttype: "json" },
  "names with dots and capitals": { "k8s.ns.name": "default", ProcName: "sh" },
};

for (const [sender, members] of Object.entries(SENDERS)) {
  test(`an event as ${sender} sends it is received leniently and refused strictly`, async () => {
    const event = read({ ...members, ok: "yes", data: { n: 1 } });
    assert.deepEqual(
      event.problems.map(({ name, value }) => [name, value]),
      Object.entries(members),
    );
    for (const { name, reason } of event.problems) assert.ok(reason.includes(JSON.stringify(name)), reason);
    assert.deepEqual([event.id, event.get("ok"), event.data], ["1", "yes", { n: 1 }]);
    for (const name of Object.keys(members)) assert.equal(event.get(name), undefined);
    const written = [
      toStructured(event).body,
      JSON.stringify(toBinary(event)),
      JSON.stringify(toMessage(event, "amqp")),
    ];
    for (const text of written) for (const name of Object.keys(members)) assert.ok(!text.includes(`"${name}"`), text);
    assert.throws(() => read({ ...members }, false), { message: /lenient/ });
    assert.throws(() => CloudEvent.fromJSON({ ...base, ...members }), { message: /lenient/ });
    assert.equal(
      CloudEvent.fromJSON({ ...base, ...members }, { lenient: true }).problems.length,
      event.problems.length,
    );
  });
}

test("headers that are not attributes are left off, and so are values that cannot be decoded", async () => {
  const headers = {
    ...binary,
    "ce-time": "2023-01-25T19:07:06GMT",
    "ce-comgithub-event": "push",
    "ce-dataschema": "schemas/1",
    "ce-subject": "a%FFb",
    "ce-raw": "caf\xe9",
    "ce-good": "yes",
    "content-type": "json",
  };
  assert.throws(() => fromHttp(headers, "x"), { message: /lenient/ });
  for (const event of [
    fromHttp(headers, "x", { lenient: true }),
    await fromRequest(new Request("https://e.example", { method: "POST", headers, body: "x" }), { lenient: true }),
  ]) {
    assert.deepEqual(event.problems.map(({ name }) => name).sort(), [
      "comgithub-event",
      "datacontenttype",
      "dataschema",
      "raw",
      "subject",
      "time",
    ]);
    assert.deepEqual(
      [event.time, event.subject, event.datacontenttype, event.get("good"), event.dataText],
      [undefined, undefined, undefined, "yes", "x"],
    );
  }
});

test("what an event must have stays required", () => {
  for (const bad of [{ id: "" }, { id: undefined }, { source: "a b" }, { type: 5 }, { specversion: "2.0" }]) {
    assert.throws(() => read({ ...bad, Bad: 1 }), { name: "FerryError" });
  }
  assert.throws(() => read({ Bad: 1, data: 1, data_base64: "AA==" }), { code: "ERR_INVALID_DATA" });
  assert.throws(() =>
    fromHttp(structured, '{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t","Bad":1}', { lenient: true }),
  );
  assert.throws(() => fromHttp({ ...binary, "ce-id": "", "ce-Bad_": "x" }, "", { lenient: true }), { attribute: "id" });
});

test("a function mends attributes, and cannot replace those that are there", () => {
  const mend = ({ name, value }) => {
    if (name === "event_id") return { name: "id" };
    if (name === "tenant_id") return { name: "tenantid" };
    if (name === "Tenant") return { name: "tenantid", value: "second" };
    if (name === "time") return { value: new Date("2023-01-25T19:07:06Z") };
    if (name === "route") return { value: JSON.stringify(value) };
    if (name === "deep") return { name: "still_bad" };
    if (name === "Typ") return { name: "type", value: "stolen" };
  };
  const event = read(
    { event_id: "9", tenant_id: "first", Tenant: "x", time: "now", route: { a: 1 }, deep: { a: 1 }, Typ: "x", Off: 1 },
    mend,
  );
  assert.deepEqual(
    [event.id, event.type, event.time, event.get("tenantid"), event.get("route")],
    ["1", "t", "2023-01-25T19:07:06.000Z", "first", '{"a":1}'],
  );
  assert.deepEqual(
    event.problems.map(({ name }) => name),
    ["event_id", "id", "Tenant", "tenantid", "deep", "still_bad", "Typ", "type", "Off"],
  );
  const header = fromHttp({ ...binary, "ce-event_id": "9", "ce-tenant_id": "a b" }, "", { lenient: mend });
  assert.deepEqual([header.id, header.get("tenantid")], ["1", "a b"]);
});

test("all else of a lenient event is as it arrived", () => {
  const text =
    '{"specversion":"1.0","id":"1","Bad":{"a":[1,2],"b":"},]"},"source":"/s","type":"t","data":{"n": 12345678901234567890}}';
  for (const input of [text, new TextEncoder().encode(text)]) {
    const event = CloudEvent.fromJSON(input, { lenient: true });
    assert.equal(event.dataText, '{"n": 12345678901234567890}');
    assert.equal(event.toString(), text.replace('"Bad":{"a":[1,2],"b":"},]"},', ""));
  }
  const valid = JSON.stringify(base);
  const event = CloudEvent.fromJSON(valid, { lenient: true });
  assert.deepEqual([event.problems, event.toString()], [[], valid]);
});

test("events under application/json, and records without headers, are read leniently", async () => {
  const text = JSON.stringify({ ...base, data: { n: 1 } });
  for (const headers of [
    { "content-type": "application/json" },
    { "content-type": "application/json; charset=utf-8" },
    {},
  ]) {
    assert.throws(() => fromHttp(headers, text), { code: "ERR_NOT_A_CLOUDEVENT", message: /lenient/ });
    assert.equal(fromHttp(headers, text, { lenient: true }).data.n, 1);
    assert.equal(fromHttp(headers, new TextEncoder().encode(`\ufeff ${text}`), { lenient: true }).data.n, 1);
    assert.equal(batchFromHttp(headers, `[${text},${text}]`, { lenient: true }).length, 2);
  }
  assert.equal(fromMessage({ value: Buffer.from(text) }, "kafka", { lenient: true }).data.n, 1);
  assert.equal(fromMessage({ value: Buffer.from(text), headers: {} }, "kafka", { lenient: true }).data.n, 1);
  // An event in binary mode stays one.
  assert.deepEqual(fromHttp({ ...binary, "content-type": "application/json" }, "{}", { lenient: true }).data, {});
});

for (const format of ["batch", "ndjson"]) {
  test(`invalid events of ${format} are left out one by one`, () => {
    const events = Array.from({ length: 100 }, (_, n) =>
      JSON.stringify({ ...base, id: String(n), data: "é😀", ...(n === 50 && { tenant_id: "ü" }) }),
    );
    events[7] = "7";
    if (format === "ndjson") events[8] = "{";
    const text = format === "batch" ? `[${events.join(" ,\n")}]` : events.join("\r\n");
    const bad = format === "batch" ? [7, 50] : [7, 8, 50];
    for (const input of [text, new TextEncoder().encode(text)]) {
      const told = [];
      const onInvalid = (error, raw, index) => told.push([error.code, raw, index]);
      for (const batch of [
        EventBatch.parse(input, { format, onInvalid: "skip" }),
        EventBatch.parse(input, { format, onInvalid }),
      ]) {
        assert.deepEqual(
          batch.rejected.map(({ index, text }) => [index, text]),
          bad.map((index) => [index, events[index]]),
        );
        assert.equal(batch.length, 100 - bad.length);
        assert.equal(EventBatch.parse(batch.toBytes(format), { format }).length, 100 - bad.length);
      }
      assert.deepEqual(
        told.map(([, raw, index]) => [index, raw]),
        bad.map((index) => [index, events[index]]),
      );
      assert.equal(told.at(-1)[0], "ERR_INVALID_ATTRIBUTE_NAME");
      assert.throws(() => EventBatch.parse(input, { format }));
      const lenient = EventBatch.parse(input, { format, lenient: true, onInvalid: "skip" });
      assert.deepEqual(
        lenient.rejected.map(({ index }) => index),
        bad.slice(0, -1),
      );
      assert.equal(lenient.at(50 - (bad.length - 1)).problems[0].value, "ü");
    }
    assert.deepEqual(EventBatch.parse(format === "batch" ? "[]" : "", { format }).rejected, []);
  });
}

test("a batch whose events cannot be told apart is rejected in any case", () => {
  const one = JSON.stringify(base);
  for (const text of ["", "{}", `[${one}`, `[${one}]x`, `[${one},"`, one]) {
    assert.throws(() => EventBatch.parse(text, { onInvalid: "skip", lenient: true }), { code: "ERR_INVALID_BATCH" });
  }
  const mixed = EventBatch.parse(`[${one},${one.replace("1.0", "0.3")},${one}]`, { onInvalid: "skip" });
  assert.deepEqual([mixed.length, mixed.rejected[0].index, mixed.rejected[0].error.code], [2, 1, "ERR_INVALID_BATCH"]);
  const broken = EventBatch.parse(`[${one},{"a":tru},${one},]`, { onInvalid: "skip" });
  assert.deepEqual([broken.length, broken.rejected.map(({ index }) => index)], [2, [1, 3]]);
  const bytes = Uint8Array.from([0x5b, ...Buffer.from(one), 0x2c, 0x22, 0xff, 0x22, 0x5d]);
  assert.deepEqual(
    EventBatch.parse(bytes, { onInvalid: "skip" }).rejected.map(({ index }) => index),
    [1],
  );
});

test("bad options of lenient readers are refused", () => {
  const text = JSON.stringify(base);
  for (const lenient of [1, "yes", {}, null]) {
    assert.throws(() => CloudEvent.fromJSON(text, { lenient }), { code: "ERR_INVALID_ARGUMENT", message: /lenient/ });
    assert.throws(() => fromHttp(binary, "", { lenient }), { code: "ERR_INVALID_ARGUMENT" });
  }
  for (const onInvalid of ["ignore", 1, true, null])
    assert.throws(() => EventBatch.parse("[]", { onInvalid }), { code: "ERR_INVALID_ARGUMENT", message: /onInvalid/ });
});

test("an event with very many invalid attributes takes time in proportion to its size", () => {
  const names = Object.fromEntries(Array.from({ length: 50_000 }, (_, n) => [`Bad${n}`, n]));
  assert.throws(() => read(names), { code: "ERR_TOO_LARGE" });
  const some = Object.fromEntries(Array.from({ length: 128 }, (_, n) => [`Bad${n}`, n]));
  assert.equal(read(some).problems.length, 128);
});
