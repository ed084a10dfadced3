// `event.at`: one member of the data by JSON Pointer. It equals a walk through `event.data`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, EventBatch, Filter, fromHttp, isFerryError } from "eventferry/cloudevents";

const base = '"specversion":"1.0","id":"1","source":"/","type":"t"';

function walk(value, pointer) {
  for (const token of pointer.split("/").slice(1)) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    if (Array.isArray(value) && !/^(?:0|[1-9]\d*)$/.test(name)) return undefined;
    value = value[name];
  }
  return value;
}

const DATA = `{"order":{"total":12.50,"lines":[{"sku":"é\\u00e9😀"},[],{"":0}],"no":null},"a/b":1,"m~n":2,
  "\\u0064up":1,"dup":{"x":2},"dup":{"y":"l\\"ast"},"__proto__":{"z":1},"日本":[true,false],"big":12345678901234567890}`;
const POINTERS = [
  "",
  ...["/order", "/order/total", "/order/lines", "/order/lines/0/sku", "/order/lines/1", "/order/lines/2/", "/order/no"],
  ...[
    "/a~1b",
    "/m~0n",
    "/dup",
    "/dup/x",
    "/dup/y",
    "/__proto__/z",
    "/日本/1",
    "/日本/2",
    "/日本/01",
    "/日本/-",
    "/big",
  ],
  ...["/toString", "/order/lines/length", "/order/total/x", "/order/no/x", "/missing/x", "/", "//", "/\ud800"],
  `/${"x".repeat(2000)}`,
];

const json = `{${base},"data":${DATA},"ext":"ü"}`;
const SOURCES = {
  text: () => CloudEvent.fromJSON(json),
  "text, after another event": () => {
    const event = CloudEvent.fromJSON(json);
    CloudEvent.fromJSON(`{${base}}`);
    return event;
  },
  bytes: () => CloudEvent.fromJSON(new TextEncoder().encode(json)),
  batch: () => EventBatch.parse(`[${json}]`).at(0),
  body: () =>
    fromHttp(
      { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/", "ce-type": "t", "content-type": "a/b+json" },
      DATA,
    ),
  value: () => new CloudEvent({ type: "t", source: "/", data: JSON.parse(DATA) }),
};

test("an event of text, and the error of one that is not valid, are the same after a filter was made", () => {
  const texts = [
    json,
    ` {${base}}\n`,
    `{${base},"data":"text","e1":5,"e2":true,"e3":"\\u00e9"}`,
    `{${base},"data_base64":"AAAA","subject":"${"s".repeat(5000)}"}`,
    '{"specversion":"0.3","id":"1","source":"","type":"t","schemaurl":"/s","data":null,"e":{"a":[1]}}',
    ...["", "{", "[]", "null", `{${base}} x`, `{${base},}`, `{${base},"id":"2"}`, `{${base},"data":{"a":01}}`],
    `{${base},"data":${"[".repeat(600)}${"]".repeat(600)}}`,
    ...[`{${base},"Bad":1}`, `{${base},"e\\u0041":1}`, `{${base},"time":"today"}`, `{${base},"e":1.5}`, '"\ud800"'],
    '{"specversion":"2.0","id":"1","source":"/","type":"t"}',
  ];
  const results = () =>
    texts.flatMap((text) =>
      [undefined, { lenient: true }].map((options) => {
        try {
          const event = CloudEvent.fromJSON(text, options);
          return { ...event, text: event.toString() };
        } catch ({ code, message, attribute }) {
          return { code, message, attribute };
        }
      }),
    );
  const before = results();
  Filter.sql("TRUE");
  assert.deepEqual(results(), before);
});

const cases = ["without filters", "with the module of the filters"].flatMap((how, index) =>
  Object.entries(SOURCES).map(([name, make]) => [`${name}, ${how}`, make, index]),
);
for (const [name, make, hasFilter] of cases) {
  test(`at equals a walk through data: ${name}`, () => {
    // From then on it scans for the member.
    if (hasFilter) Filter.sql("TRUE");
    const data = make().data;
    for (const pointer of POINTERS) {
      assert.deepEqual(make().at(pointer), walk(data, pointer), pointer);
      const event = make();
      void event.data;
      assert.deepEqual(event.at(pointer), walk(data, pointer), `${pointer}, after data was read`);
    }
    // All of one event, one after the other.
    const event = make();
    for (const pointer of POINTERS.filter((pointer) => pointer !== ""))
      assert.deepEqual(event.at(pointer), walk(data, pointer), pointer);
  });
}

test("data that was changed is read as it is now", () => {
  const event = CloudEvent.fromJSON(json);
  event.data.order.total = 5;
  assert.equal(event.at("/order/total"), 5);
});

test("a batch can be filtered after a member was read", () => {
  const batch = EventBatch.parse(`[${json},${json}]`);
  assert.equal(batch.at(1).at("/order/total"), 12.5);
  assert.equal(batch.filter(Filter.sql("ext = 'ü'")).length, 2);
});

test("data that is no object has no members", () => {
  for (const data of ['"text"', "5", "null", "[]", "true"]) {
    const event = CloudEvent.fromJSON(`{${base},"data":${data}}`);
    assert.equal(event.at("/a"), undefined);
    assert.deepEqual(event.at(""), JSON.parse(data));
  }
  assert.equal(CloudEvent.fromJSON(`{${base}}`).at("/a"), undefined);
  assert.equal(CloudEvent.fromJSON(`{${base},"data_base64":"AAAA"}`).at("/0"), 0);
  assert.equal(CloudEvent.fromJSON(`{${base},"datacontenttype":"text/plain","data":"{}"}`).at("/a"), undefined);
});

test("a body that is not JSON is an error, as for data", () => {
  const headers = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/",
    "ce-type": "t",
    "content-type": "text/json",
  };
  for (const body of ['{"a":1', '{"a":1}}', "{a:1}"])
    assert.throws(
      () => fromHttp(headers, body).at("/a"),
      (error) => isFerryError(error, "ERR_INVALID_DATA"),
      body,
    );
  // Deeper than the engine reads.
  const deep = `${'{"a":'.repeat(600)}1${"}".repeat(600)}`;
  assert.equal(fromHttp(headers, deep).at("/a".repeat(600)), 1);
});

test("a bad pointer is an invalid argument", () => {
  const event = CloudEvent.fromJSON(json);
  for (const pointer of ["a", "order/total", "#/a", "/~", "/a~2", "/~x/b", 5, undefined, null])
    assert.throws(
      () => event.at(pointer),
      (error) => isFerryError(error, "ERR_INVALID_ARGUMENT"),
      String(pointer),
    );
});

test("two pointers in turns, and the same one after another batch and a longer pointer, find their own values", () => {
  Filter.sql("TRUE");
  const long = `/${"x".repeat(5000)}`;
  for (let n = 0; n < 20; n++) {
    const make = () => CloudEvent.fromJSON(`{${base},"data":{"a":${n},"b":"${n}","${long.slice(1)}":[${n}]}}`);
    assert.deepEqual([make().at("/a"), make().at("/b"), make().at("/a"), make().at("/a")], [n, `${n}`, n, n]);
    EventBatch.parse(`[${json}]`).filter(Filter.sql(`id = '${n}'`));
    assert.deepEqual([make().at("/a"), make().at(long), make().at("/b")], [n, [n], `${n}`]);
  }
});

test("numbers and strings are those of JSON.parse", () => {
  Filter.sql("TRUE");
  const texts = [
    "0",
    "-0",
    "1e3",
    "-1.5E-7",
    "7",
    "-7",
    "4294967295",
    "4294967296",
    "9999999999",
    "12345678901234567890",
    "1e999",
    '""',
    '"a"',
    '"\\u0000"',
    '"\\\\"',
    '"é"',
    "true",
    "null",
  ];
  for (const text of texts) {
    const found = CloudEvent.fromJSON(`{${base},"data":{"é😀":1,"v":${text}}}`).at("/v");
    assert.ok(Object.is(found, JSON.parse(text)), text);
  }
});

test("a value is found where it is, whatever the module of the filters has read since the event", () => {
  const eventOf = (n, more = "") =>
    CloudEvent.fromJSON(`{${base},"more":"${more}","data":{"v":"value ${n}","n":${n}}}`);
  const disturbances = {
    nothing() {},
    "another event": () => eventOf(8),
    "an event that is not valid": () => assert.throws(() => CloudEvent.fromJSON(`{${base},"data":{"v":1,"n":2}`)),
    "a lone surrogate": () => assert.throws(() => CloudEvent.fromJSON("\ud800".repeat(500))),
    "a batch": () => EventBatch.parse(`[${json}]`),
    "a batch with a lone surrogate": () => assert.throws(() => EventBatch.parse("\ud800".repeat(500))),
    "a batch of bytes": () => EventBatch.parse(new TextEncoder().encode(`[${json}]`)),
    "a value of another event": () => eventOf(9).at("/v"),
    // The memory grows, and its views are detached.
    "a long filter": () => Filter.from({ exact: { id: "x".repeat(900_000) } }),
    "a long pointer": () => assert.equal(eventOf(1).at(`/${"p".repeat(900_000)}`), undefined),
  };
  for (const more of ["", "é😀", "x".repeat(70_000)])
    for (const [name, disturb] of Object.entries(disturbances)) {
      const event = eventOf(5, more);
      disturb();
      assert.deepEqual([event.at("/v"), event.at("/n"), event.at("/x")], ["value 5", 5, undefined], name);
    }
});
