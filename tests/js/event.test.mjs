// The class CloudEvent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, FerryError, fromHttp, isFerryError, toBinary, toStructured } from "eventferry/cloudevents";

const base = { type: "com.example.made", source: "/orders" };
const json = (members) => `{"specversion":"1.0","id":"1","source":"/s","type":"t"${members}}`;

test("a new event gets an id, the time, a version and a media type", () => {
  const before = Date.now();
  const event = new CloudEvent({ ...base, data: { a: 1 } });
  assert.match(event.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(event.id, new CloudEvent(base).id);
  assert.ok(Date.parse(event.time) >= before && Date.parse(event.time) <= Date.now());
  assert.equal(event.specversion, "1.0");
  assert.equal(event.datacontenttype, "application/json");
  assert.equal(new CloudEvent(base).datacontenttype, undefined);
  assert.equal(new CloudEvent({ ...base, data: new Uint8Array(1) }).datacontenttype, undefined);
  assert.equal(new CloudEvent({ ...base, time: null }).time, undefined);
});

test("a decoded event has no default values", () => {
  const event = CloudEvent.fromJSON(json(""));
  assert.deepEqual(
    [event.time, event.datacontenttype, event.data, event.dataBytes, event.dataText, event.subject],
    Array(6).fill(undefined),
  );
  assert.deepEqual(Object.keys(event.extensions), []);
});

test("an extension attribute accepts every type that it may have", () => {
  const event = new CloudEvent({
    ...base,
    text: "x",
    yes: true,
    no: false,
    zero: 0,
    min: -2147483648,
    max: 2147483647,
    when: new Date(0),
    bytes: new Uint8Array([0, 255, 254]),
    link: new URL("https://example.com"),
    nothing: null,
    undef: undefined,
  });
  assert.deepEqual(
    { ...event.extensions },
    {
      text: "x",
      yes: true,
      no: false,
      zero: 0,
      min: -2147483648,
      max: 2147483647,
      when: "1970-01-01T00:00:00.000Z",
      bytes: "AP/+",
      link: "https://example.com/",
    },
  );
  assert.equal(Object.getPrototypeOf(event.extensions), null);
});

test("an invalid attribute value is rejected with the name of the attribute", () => {
  const bad = {
    id: [5, "", {}],
    source: [5, "", "a b"],
    type: [[], ""],
    subject: ["", "\ud800", "a\nb"],
    time: ["now", 5, new Date(NaN), new Date(8.64e15)],
    datacontenttype: ["json", ""],
    dataschema: ["/relative", ""],
    ext: [1.5, 2147483648, -2147483649, NaN, {}, [], () => 1, Symbol("x"), 5n, "\u0000", "\udc00", new Date(NaN)],
  };
  for (const [attribute, values] of Object.entries(bad)) {
    for (const value of values) {
      assert.throws(
        () => new CloudEvent({ ...base, [attribute]: value }),
        (error) => {
          assert.ok(error instanceof FerryError && error instanceof Error);
          assert.deepEqual(
            [error.code, error.attribute, error.culprit],
            ["ERR_INVALID_ATTRIBUTE_VALUE", attribute, "caller"],
            String(value),
          );
          assert.ok(error.message.includes(JSON.stringify(attribute)), error.message);
          return true;
        },
      );
    }
  }
  for (const attribute of ["type", "source"]) {
    assert.throws(() => new CloudEvent({ ...base, [attribute]: undefined }), {
      code: "ERR_MISSING_ATTRIBUTE",
      attribute,
    });
  }
  assert.throws(() => new CloudEvent({ ...base, specversion: "2.0" }), {
    code: "ERR_UNSUPPORTED_SPECVERSION",
    attribute: "specversion",
  });
  for (const init of [undefined, null, "x", 5])
    assert.throws(() => new CloudEvent(init), { code: "ERR_INVALID_ARGUMENT" });
});

test("a property of Object.prototype is not an attribute", () => {
  Object.prototype.polluted = "x";
  try {
    assert.equal(new CloudEvent(base).get("polluted"), undefined);
  } finally {
    delete Object.prototype.polluted;
  }
});

test("data that JSON cannot express is rejected by the constructor", () => {
  const cyclic = {};
  cyclic.self = cyclic;
  for (const data of [cyclic, 5n, () => 1, Symbol("x"), NaN, Infinity]) {
    assert.throws(() => new CloudEvent({ ...base, data }), {
      code: "ERR_INVALID_DATA",
      attribute: "data",
      culprit: "caller",
    });
  }
  assert.throws(() => new CloudEvent({ ...base, datacontenttype: "text/plain", data: { a: 1 } }), {
    code: "ERR_INVALID_DATA",
    attribute: "data",
  });
  assert.throws(() => new CloudEvent({ ...base, datacontenttype: "text/plain", data: "\ud800" }), {
    code: "ERR_INVALID_DATA",
    attribute: "data",
  });
});

test("an event does not change when its input or output changes", () => {
  const data = { a: [1] };
  const bytes = new Uint8Array([1, 2]);
  const withData = new CloudEvent({ ...base, data });
  const withBytes = new CloudEvent({ ...base, data: bytes });
  const decoded = CloudEvent.fromJSON(json(',"data":{"a":1},"ext":"x"'));
  data.a.push(2);
  bytes[0] = 9;
  withBytes.dataBytes[1] = 9;
  assert.deepEqual([JSON.parse(withData.toString()).data, withData.data], [{ a: [1] }, { a: [1] }]);
  assert.deepEqual(withBytes.dataBytes, new Uint8Array([1, 2]));
  assert.equal(toStructured(decoded).body, json(',"data":{"a":1},"ext":"x"'));
  assert.throws(() => {
    decoded.id = "2";
  }, TypeError);
  assert.throws(() => {
    decoded.extensions.ext = "y";
  }, TypeError);
  const body = new TextEncoder().encode(json(""));
  const fromBytes = CloudEvent.fromJSON(body);
  body.fill(0x20);
  assert.equal(fromBytes.id, "1");
});

test("a decoded event is encoded as the text that arrived, byte for byte", () => {
  const text = ` ${json(',"data": { "big": 1524831183200260097, "f": 1.0, "e": 1E5, "u": "\\u00e9\\/" } , "x" : null').replace("{", "{ ")}\n`;
  const event = CloudEvent.fromJSON(text);
  assert.equal(event.toString(), text);
  assert.equal(event.dataText, '{ "big": 1524831183200260097, "f": 1.0, "e": 1E5, "u": "\\u00e9\\/" }');
  const binary = toBinary(event);
  assert.equal(binary.body, event.dataText);
  const again = toStructured(fromHttp(binary.headers, binary.body)).body;
  assert.ok(again.includes('{ "big": 1524831183200260097, "f": 1.0, "e": 1E5, "u": "\\u00e9\\/" }'));
  assert.deepEqual(CloudEvent.fromJSON(new TextEncoder().encode(text)).dataBytes, event.dataBytes);
});

test("text and bytes are decoded alike, also outside ASCII and at large positions", () => {
  for (const filler of ["", "é", "€😀".repeat(50), "x".repeat(300_000)]) {
    const text = `{"data":{"filler":"${filler}"},"subject":"é😀","id":"\\u0069d","source":"/s","specversion":"1.0","type":"${"t".repeat(5000)}","ext":"ü"}`;
    for (const input of [
      text,
      new TextEncoder().encode(text),
      new Uint8Array([0xef, 0xbb, 0xbf, ...new TextEncoder().encode(text)]),
    ]) {
      const event = CloudEvent.fromJSON(input);
      assert.deepEqual(
        [event.id, event.subject, event.type.length, event.get("ext"), event.data.filler],
        ["id", "é😀", 5000, "ü", filler],
      );
    }
  }
});

test("an error tells what is wrong with the text, and where", () => {
  const messages = {
    [`${json("")}x`]: [
      "ERR_INVALID_EVENT",
      "the text is not an event in the JSON format: it has more text after its end (at position 55)",
    ],
    "[]": ["ERR_INVALID_EVENT", "the text is not an event in the JSON format: it is not a JSON object (at position 0)"],
    [json(',"time":"lunchtime"')]: [
      "ERR_INVALID_ATTRIBUTE_VALUE",
      'the attribute "time" is not an RFC 3339 timestamp; the option lenient leaves such an attribute off',
    ],
    [json(',"id":""').replace('"id":"1",', "")]: [
      "ERR_INVALID_ATTRIBUTE_VALUE",
      'the attribute "id" must not be empty',
    ],
    [json(',"My-Ext":1')]: [
      "ERR_INVALID_ATTRIBUTE_NAME",
      'the attribute "My-Ext" has an invalid name: only a-z and 0-9 are allowed, and data is reserved; the option lenient leaves such an attribute off',
    ],
    [json(',"\\u00e9":1')]: [
      "ERR_INVALID_ATTRIBUTE_NAME",
      'the attribute "é" has an invalid name: only a-z and 0-9 are allowed, and data is reserved; the option lenient leaves such an attribute off',
    ],
    [json(',"data_base64":"?"')]: [
      "ERR_INVALID_DATA",
      'the member "data_base64" is not Base64 (RFC 4648 section 4, with padding)',
    ],
    [json(',"data":1,"datacontenttype":"text/plain"')]: [
      "ERR_INVALID_DATA",
      'the member "data" must be a string, because the datacontenttype is not JSON',
    ],
  };
  for (const [text, [code, message]] of Object.entries(messages)) {
    for (const input of [text, new TextEncoder().encode(text)]) {
      assert.throws(() => CloudEvent.fromJSON(input), {
        name: "FerryError",
        code,
        message,
        culprit: "peer",
        retryable: false,
      });
    }
  }
  assert.throws(() => CloudEvent.fromJSON(json(',"subject":"\ud800"')), { code: "ERR_INVALID_EVENT" });
  assert.throws(() => CloudEvent.fromJSON(new Uint8Array([0x7b, 0x22, 0xff, 0x22])), { code: "ERR_INVALID_EVENT" });
  assert.throws(() => CloudEvent.fromJSON(json(`,"data":${"[".repeat(600)}${"]".repeat(600)}`)), {
    code: "ERR_INVALID_EVENT",
  });
  for (const input of [undefined, null, 5, true])
    assert.throws(() => CloudEvent.fromJSON(input), { code: "ERR_INVALID_ARGUMENT" });
});

test("every truncated event is rejected", () => {
  const text = json(',"subject":"é😀","data":{"a":[1,2.5,"x\\u00e9"]},"ext":true');
  const bytes = new TextEncoder().encode(text);
  for (let end = 0; end < text.length; end++) assert.throws(() => CloudEvent.fromJSON(text.slice(0, end)), FerryError);
  for (let end = 0; end < bytes.length; end++)
    assert.throws(() => CloudEvent.fromJSON(bytes.slice(0, end)), FerryError);
});

test("with() returns a changed copy with unchanged data", () => {
  const event = CloudEvent.fromJSON(
    json(',"subject":"s","ext":"x","datacontenttype":"application/json","data":{"big":1524831183200260097}'),
  );
  const changed = event.with({ subject: null, ext: 5, more: "y", type: "t2" });
  assert.deepEqual(
    [changed.subject, changed.get("ext"), changed.get("more"), changed.type, changed.id],
    [undefined, 5, "y", "t2", "1"],
  );
  assert.deepEqual([event.subject, event.get("ext"), event.type], ["s", "x", "t"]);
  assert.ok(changed.toString().includes("1524831183200260097"));
  assert.equal(changed.time, undefined);
  assert.deepEqual(event.with({ data: [1] }).data, [1]);
  assert.equal(event.with({ data: undefined }).data, undefined);
  assert.equal(event.with({ datacontenttype: null }).datacontenttype, undefined);
  assert.throws(() => event.with({ datacontenttype: "text/plain" }), { code: "ERR_INVALID_DATA" });
  assert.throws(() => event.with({ id: null }), { code: "ERR_MISSING_ATTRIBUTE", attribute: "id" });
  assert.equal(event.with({ specversion: "0.3" }).specversion, "0.3");
  const text = new CloudEvent({ ...base, datacontenttype: "text/plain", data: "hi" });
  assert.equal(text.with({ datacontenttype: "application/json" }).data, "hi");
  assert.equal(new CloudEvent({ ...base, data: 1 }).with({ subject: "x" }).datacontenttype, "application/json");
});

test("toVersion() converts between the versions, and rejects what the other version cannot express", () => {
  const old = CloudEvent.fromJSON(
    '{"specversion":"0.3","id":"1","source":"/s","type":"t","schemaurl":"https://e.com/s","datacontentencoding":"base64","datacontenttype":"application/octet-stream","data":"AP8=","flag":true}',
  );
  const now = old.toVersion("1.0");
  assert.deepEqual(
    [now.dataschema, now.schemaurl, now.get("datacontentencoding"), now.get("flag")],
    ["https://e.com/s", undefined, undefined, true],
  );
  assert.deepEqual(JSON.parse(now.toString()), {
    specversion: "1.0",
    id: "1",
    source: "/s",
    type: "t",
    datacontenttype: "application/octet-stream",
    dataschema: "https://e.com/s",
    flag: true,
    data_base64: "AP8=",
  });
  assert.deepEqual(JSON.parse(now.toVersion("0.3").toString()).data, "AP8=");
  assert.equal(now.toVersion("0.3").get("flag"), "true");
  for (const [member, attribute] of [
    ['"m":{"a":1}', "m"],
    ['"dataschema":"x"', "dataschema"],
    ['"schemaurl":"/x"', "schemaurl"],
  ]) {
    assert.throws(
      () => CloudEvent.fromJSON(`{"specversion":"0.3","id":"1","source":"/s","type":"t",${member}}`).toVersion("1.0"),
      { code: "ERR_NOT_CONVERTIBLE", attribute },
    );
  }
  for (const attribute of ["schemaurl", "datacontentencoding"]) {
    assert.throws(() => new CloudEvent({ ...base, [attribute]: "x" }).toVersion("0.3"), {
      code: "ERR_NOT_CONVERTIBLE",
      attribute,
    });
  }
  assert.equal(now.toVersion("1.0"), now);
  assert.throws(() => now.toVersion("2.0"), { code: "ERR_UNSUPPORTED_SPECVERSION" });
});

test("data that refer to themselves, and write something else with toJSON, are no error", () => {
  const data = { list: [], toJSON: () => ({ count: data.list.length }) };
  data.list.push(data, data.list);
  data.list.toJSON = () => "list";
  for (const value of [data, { a: [data] }, data.list])
    assert.equal(new CloudEvent({ ...base, data: value }).dataText, JSON.stringify(value));
});

test("toJSON, JSON.stringify and fromJSON of an object are consistent", () => {
  const event = new CloudEvent({ ...base, id: "1", time: null, data: [1, "é"], ext: 5 });
  assert.deepEqual(JSON.parse(JSON.stringify(event)), {
    specversion: "1.0",
    id: "1",
    source: "/orders",
    type: "com.example.made",
    ext: 5,
    data: [1, "é"],
  });
  assert.deepEqual(CloudEvent.fromJSON(event.toJSON()).data, [1, "é"]);
  assert.equal(CloudEvent.fromJSON(event).toString(), event.toString());
  assert.throws(() => CloudEvent.fromJSON({ type: "t" }), { code: "ERR_MISSING_ATTRIBUTE", attribute: "specversion" });
});

test("attributes with quotes and backslashes are the same after every round trip", () => {
  const odd = { id: 'a"b\\c', subject: "tab is not allowed, \\n is", type: 't"', ext: '"\\"' };
  const event = new CloudEvent({ ...base, ...odd });
  for (const again of [CloudEvent.fromJSON(event.toString()), fromHttp(toBinary(event).headers)]) {
    for (const [name, value] of Object.entries(odd)) assert.equal(again.get(name), value);
  }
});

test("an extension attribute of 0.3 can be an object, which is frozen", () => {
  const event = CloudEvent.fromJSON('{"specversion":"0.3","id":"1","source":"","type":"t","m":{"a":{"b":1}}}');
  assert.throws(() => {
    event.get("m").a.b = 2;
  }, TypeError);
  assert.throws(() => toBinary(event), { code: "ERR_NOT_CONVERTIBLE", attribute: "m" });
  assert.equal(event.with({ source: "/s" }).get("m").a.b, 1);
});

test("the media type decides what the data of a message in binary mode is", () => {
  const headers = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
  const of = (contentType, body) => fromHttp({ ...headers, ...(contentType && { "content-type": contentType }) }, body);
  assert.throws(() => of("application/json", "{").data, { code: "ERR_INVALID_DATA", attribute: "data" });
  assert.equal(of("application/json", "{").dataText, "{");
  assert.deepEqual(of("application/json", "\ufeff[1]").data, [1]);
  assert.equal(of("text/plain; charset=iso-8859-1", new Uint8Array([0xe9])).data, "é");
  assert.throws(() => of("text/plain", new Uint8Array([0xe9])).data, { code: "ERR_INVALID_DATA" });
  assert.throws(() => of("text/plain; charset=nonsense", new Uint8Array([0x41])).data, { code: "ERR_INVALID_DATA" });
  assert.deepEqual(of("image/png", new Uint8Array([1])).data, new Uint8Array([1]));
  assert.equal(of("image/png", "").data, undefined);
  assert.ok(isFerryError(new FerryError("ERR_CLOSED"), "ERR_CLOSED") && !isFerryError(new Error("x")));
});

test("bytes from binary mode are the same after a round trip through structured mode", () => {
  const headers = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
  for (const [contentType, bytes, expected = bytes] of [
    ["application/json", [0x7b, 0x7d]],
    ["application/json", [0x7b]],
    ["application/json", [0xef, 0xbb, 0xbf, 0x31], [0x31]],
    ["application/json", [0x20, 0x31, 0x0a], [0x31]],
    ["text/plain", [0xc3, 0xa9]],
    ["text/plain", [0xff]],
    ["text/plain; charset=iso-8859-1", [0xe9]],
    ["image/png", [0, 1, 2]],
    [undefined, [0x31]],
  ]) {
    const event = fromHttp({ ...headers, ...(contentType && { "content-type": contentType }) }, new Uint8Array(bytes));
    const again = CloudEvent.fromJSON(toStructured(event).body);
    const back = toBinary(again).body;
    const found = typeof back === "string" ? [...new TextEncoder().encode(back)] : [...back];
    // White space around a JSON value and a byte order mark are not part of the value.
    assert.deepEqual(found, expected, `${contentType} ${bytes}`);
    assert.equal(again.datacontenttype, contentType);
  }
});

test("text is encoded in the charset of its media type, or rejected", () => {
  const latin = new CloudEvent({ ...base, datacontenttype: "text/plain; charset=iso-8859-1", data: "caf\u00e9" });
  assert.deepEqual(toBinary(latin).body, new Uint8Array([0x63, 0x61, 0x66, 0xe9]));
  assert.equal(fromHttp(toBinary(latin).headers, toBinary(latin).body).data, "caf\u00e9");
  assert.equal(CloudEvent.fromJSON(latin.toString()).data, "caf\u00e9");
  assert.equal(
    toBinary(new CloudEvent({ ...base, datacontenttype: "text/plain; charset=UTF-8", data: "€" })).body,
    "€",
  );
  for (const charset of ["iso-8859-1", "utf-16", "us-ascii"]) {
    const event = new CloudEvent({ ...base, datacontenttype: `text/plain; charset=${charset}`, data: "€" });
    assert.throws(() => toBinary(event), { code: "ERR_INVALID_DATA", attribute: "data", culprit: "caller" });
    assert.equal(CloudEvent.fromJSON(toStructured(event).body).data, "€");
  }
});

test("an event with more than 128 extension attributes is rejected, however it is created", () => {
  const extensions = (count) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`ext${at}`, "x"]));
  const headers = (count) =>
    Object.fromEntries(
      Object.entries({ specversion: "1.0", id: "1", source: "/s", type: "t", ...extensions(count) }).map(
        ([name, value]) => [`ce-${name}`, value],
      ),
    );
  assert.equal(CloudEvent.fromJSON(new CloudEvent({ ...base, ...extensions(128) }).toString()).get("ext127"), "x");
  assert.throws(() => new CloudEvent({ ...base, ...extensions(129) }), { code: "ERR_TOO_LARGE" });
  assert.equal(fromHttp(headers(128)).get("ext127"), "x");
  assert.throws(() => fromHttp(headers(129)), { code: "ERR_TOO_LARGE" });
});

test("data that is a string with the text of another JSON value is a string each time it is decoded", () => {
  for (const data of ["42", "true", "{}", "x", ""]) {
    const text = json(`,"data":${JSON.stringify(data)}`);
    for (let round = 0; round < 3; round++) assert.equal(CloudEvent.fromJSON(text).data, data);
    assert.throws(() => CloudEvent.fromJSON(text.slice(0, -2)), { code: "ERR_INVALID_EVENT" });
  }
});

test("an event without an id gets a unique UUID, also where crypto.randomUUID is missing", () => {
  const { randomUUID } = crypto;
  crypto.randomUUID = undefined;
  try {
    const ids = Array.from({ length: 2000 }, () => new CloudEvent({ type: "t", source: "/s" }).id);
    for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(new Set(ids).size, ids.length);
    const digits = ids.map((id) => id.replaceAll("-", ""));
    const varied = Array.from({ length: 32 }, (_, at) => new Set(digits.map((id) => id[at])).size);
    assert.deepEqual(
      varied,
      varied.map((_, at) => (at === 12 ? 1 : at === 16 ? 4 : 16)),
      "every digit except those of the version and the variant has every value",
    );
  } finally {
    crypto.randomUUID = randomUUID;
  }
});
