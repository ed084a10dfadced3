// Deep equality, copies, and data that were changed after they were handed out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { CloudEvent, EventBatch, fromHttp, toBatch, toBinary, toMessage, toStructured } from "eventferry/cloudevents";

const init = {
  type: "paid",
  source: "/shop",
  id: "1",
  time: "2026-01-01T00:00:00Z",
  data: { amount: 1 },
  region: "eu",
};
const made = (changes) => new CloudEvent({ ...init, ...changes });
const text = '{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":1,"big":12345678901234567890}}';
const decoders = {
  text: () => CloudEvent.fromJSON(text),
  bytes: () => CloudEvent.fromJSON(Buffer.from(text)),
  batch: () => EventBatch.parse(`[${text}]`).at(0),
  headers: () => fromHttp({ ...toBinary(CloudEvent.fromJSON(text)).headers }, toBinary(CloudEvent.fromJSON(text)).body),
};

test("different events are not deeply equal, and equal ones are", () => {
  assert.deepStrictEqual(made(), made());
  for (const other of [
    { type: "refunded" },
    { source: "/other" },
    { id: "2" },
    { time: null },
    { data: { amount: 2 } },
    { data: undefined },
    { region: "us" },
    { region: undefined },
    { subject: "x" },
    { datacontenttype: "application/x+json" },
    { dataschema: "https://e.example/s" },
    { specversion: "0.3" },
  ]) {
    assert.ok(!isDeepStrictEqual(made(), made(other)), JSON.stringify(other));
    assert.ok(!made().equals(made(other)), JSON.stringify(other));
  }
  for (const decode of Object.values(decoders)) {
    const [a, b] = [decode(), decode()];
    assert.deepStrictEqual(a, b);
    // To read an event does not change it.
    assert.deepEqual([a.data.n, a.id, a.extensions.x], [1, "1", undefined]);
    assert.deepStrictEqual(a, b);
  }
  assert.ok(!isDeepStrictEqual(decoders.text(), CloudEvent.fromJSON(text.replace('"n":1', '"n":2'))));
});

test("an event that was made equals the same event after it was sent", () => {
  const event = made({ count: 5, flag: true });
  for (const mode of [toBinary, toStructured]) {
    const { headers, body } = mode(event);
    assert.ok(event.equals(fromHttp(headers, body)), mode.name);
    assert.ok(fromHttp(headers, body).equals(event), mode.name);
  }
  const spaced = CloudEvent.fromJSON(
    '{"type":"t", "id":"1","specversion":"1.0","source":"/s","data": {"big":12345678901234567890, "n":1}}',
  );
  assert.ok(spaced.equals(decoders.text()));
  assert.ok(!spaced.equals(CloudEvent.fromJSON(text.replace("67890}", "67891}"))));
  assert.ok(!event.equals(undefined) && !event.equals({ ...event }));
  const bytes = new CloudEvent({ ...init, data: new Uint8Array([1, 2]) });
  assert.ok(bytes.equals(CloudEvent.fromJSON(bytes.toString())));
  assert.ok(!bytes.equals(new CloudEvent({ ...init, data: new Uint8Array([1, 3]) })));
});

test("a spread and a structured clone have all members, and make the same event again", () => {
  const events = [
    made({ count: 5 }),
    made({ data: undefined, time: null }),
    made({ data: new Uint8Array([0, 255]) }),
    made({ datacontenttype: "text/plain", data: "hi" }),
    new CloudEvent({
      specversion: "0.3",
      type: "t",
      source: "/s",
      id: "1",
      schemaurl: "/x",
      data: "AA==",
      datacontentencoding: "base64",
    }),
    ...Object.values(decoders).map((decode) => decode()),
    CloudEvent.fromJSON('{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AP8\\/"}'),
  ];
  for (const event of events) {
    for (const copy of [{ ...event }, structuredClone(event)]) {
      for (const name of ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "rawData"])
        assert.deepEqual(copy[name], event[name], name);
      assert.deepEqual({ ...copy.extensions }, { ...event.extensions });
      const again = new CloudEvent(copy);
      assert.ok(again.equals(event), event.toString());
      assert.deepEqual([again.time, again.dataBytes, again.data], [event.time, event.dataBytes, event.data]);
      const changed = new CloudEvent({ ...copy, type: "other", region: "us" });
      assert.deepEqual([changed.type, changed.get("region"), changed.data], ["other", "us", event.data]);
      assert.equal(new CloudEvent({ ...copy, data: "new", datacontenttype: "application/json" }).data, "new");
    }
    assert.ok(new CloudEvent(event).equals(event));
  }
  for (const bad of [
    { rawData: "{" },
    { rawData: 5 },
    { rawKind: "x" },
    { rawKind: "base64", rawData: "?" },
    { extensions: { Bad: 1 } },
    { id: undefined },
  ])
    assert.throws(() => new CloudEvent({ ...made(), ...bad }), { name: "FerryError" });
});

test("no member of an event can be assigned", () => {
  for (const event of [made(), decoders.text(), decoders.headers()]) {
    for (const name of ["id", "type", "time", "subject", "data", "rawData", "problems", "other"]) {
      assert.throws(() => {
        event[name] = "x";
      }, TypeError);
    }
  }
});

test("data that were handed out and changed are written as changed", () => {
  for (const decode of [...Object.values(decoders), () => made({ data: { n: 1 } })]) {
    const event = decode();
    event.data.checked = true;
    for (const body of [
      toBinary(event).body,
      toStructured(event).body,
      toBatch([event]).body,
      event.toString(),
      toMessage(event, "kafka").value,
    ])
      assert.match(String(body), /"checked":true/);
    assert.equal(event.toJSON().data.checked, true);
    assert.equal(event.with({ subject: "x" }).data.checked, true);
    assert.equal(event.toVersion("0.3").data.checked, true);
    assert.ok(!event.equals(decode()));
    assert.ok(!event.dataText.includes("checked"), "dataText is what arrived");
  }
  const bytes = new CloudEvent({ ...init, data: new Uint8Array([1, 2]) });
  bytes.data[0] = 9;
  assert.deepEqual(toBinary(bytes).body, new Uint8Array([9, 2]));
  assert.equal(JSON.parse(bytes.toString()).data_base64, "CQI=");
});

test("data that were only read leave byte for byte", () => {
  for (const decode of [decoders.text, decoders.bytes, decoders.batch]) {
    const event = decode();
    assert.equal(event.data.n, 1);
    assert.equal(event.toString(), text);
    assert.equal(new TextDecoder().decode(Buffer.from(toStructured(event).body)), text);
    assert.equal(String(toBinary(event).body), '{"n":1,"big":12345678901234567890}');
  }
});

test("changes of the events of a batch are written, and the others are copied byte for byte", () => {
  const other = text.replace('"id":"1"', '"id": "2"');
  for (const input of [`[${text},${other}]`, Buffer.from(`[${text},${other}]`)]) {
    const batch = EventBatch.parse(input);
    for (const event of batch) if (event.id === "1") event.data.seen = "é";
    const filtered = EventBatch.parse(input).filter((event) => {
      if (event.id === "1") event.data.seen = "é";
      return true;
    });
    for (const changed of [batch, filtered, filtered.filter(() => true)]) {
      for (const written of [changed.toBytes(), toBatch(changed).body]) {
        const out = typeof written === "string" ? written : new TextDecoder().decode(written);
        assert.ok(out.includes('"seen":"é"') && out.includes(other), out);
      }
      assert.equal(changed.at(0).data.seen, "é");
      assert.equal(new TextDecoder().decode(changed.toBytes("ndjson")).split("\n")[1], other);
    }
  }
});

test("what JSON would drop without a word is refused with its path", () => {
  class Money {
    amount = 1;
  }
  const refused = {
    "data.list[1].when": { list: [1, { when: new Map([[1, 2]]) }] },
    "data.set": { set: new Set([1]) },
    "data.file": { file: new Blob(["x"]) },
    "data.query": { query: new URLSearchParams("a=1") },
    "data.callback": { callback: () => 1 },
    "data.key": { key: Symbol("x") },
    "data.bytes": { bytes: new Uint8Array(2) },
    "data.buffer": { buffer: new ArrayBuffer(2) },
    "data.promise": { promise: Promise.resolve() },
    "data.error": { error: new Error("x") },
    "data[0]": [/x/],
    data: new Map(),
  };
  for (const [path, data] of Object.entries(refused)) {
    assert.throws(
      () => new CloudEvent({ ...init, data }),
      (error) =>
        error.code === "ERR_INVALID_DATA" && error.culprit === "caller" && error.message.startsWith(`${path} is a`),
      path,
    );
  }
  const event = decoders.text();
  event.data.tags = new Set(["a"]);
  assert.throws(() => toBinary(event), { code: "ERR_INVALID_DATA", message: /^data\.tags is a Set/ });
  const accepted = {
    money: new Money(),
    date: new Date(0),
    url: new URL("https://e.example"),
    none: undefined,
    bare: Object.create(null),
    boxed: Object(1),
  };
  assert.deepEqual(made({ data: accepted }).data, JSON.parse(JSON.stringify(accepted)));
  const shared = { a: 1 };
  assert.deepEqual(made({ data: [shared, shared] }).data, [{ a: 1 }, { a: 1 }]);
});

test("data are refused that are nested more deeply than a reader accepts", () => {
  const nested = (depth) => JSON.parse("[".repeat(depth) + "]".repeat(depth));
  assert.ok(CloudEvent.fromJSON(made({ data: nested(511) }).toString()).equals(made({ data: nested(511) })));
  for (const depth of [512, 513, 5000])
    assert.throws(() => made({ data: nested(depth) }), { code: "ERR_INVALID_DATA", attribute: "data" });
});
