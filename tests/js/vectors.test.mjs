// The rules as a caller meets them, against the vectors that the Rust tests use as well.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CloudEvent, fromHttp, isFerryError, toBinary } from "eventferry/cloudevents";

const read = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));
const attributes = read("attributes");
const base = { id: "1", source: "/s", type: "t", time: null };

/** How each form is reached through the public API, and whether it may be empty there. */
const PLACES = {
  text: ["ext", (value) => ({ ext: value })],
  "uri-reference": ["source", (value) => ({ source: value })],
  uri: ["dataschema", (value) => ({ dataschema: value })],
  timestamp: ["time", (value) => ({ time: value })],
  "media-type": ["datacontenttype", (value) => ({ datacontenttype: value })],
};

for (const [form, [attribute, place]] of Object.entries(PLACES)) {
  test(`a ${form} is judged alike by constructor, JSON and headers`, () => {
    for (const [verdict, expected] of [
      ["good", true],
      ["bad", false],
    ]) {
      for (const text of attributes[form][verdict]) {
        if (text === "" && form !== "text") continue; // emptiness has a rule of its own
        const init = { ...base, ...place(text) };
        const json = JSON.stringify({ specversion: "1.0", ...init, time: init.time ?? undefined });
        const ways = { constructor: () => new CloudEvent(init), JSON: () => CloudEvent.fromJSON(json) };
        // A form is judged the first time and when it comes again.
        for (const [way, make] of [...Object.entries(ways), ...Object.entries(ways)]) {
          if (expected) {
            const event = make();
            assert.equal(event.get(attribute), text, `${way}: ${JSON.stringify(text)}`);
            const message = toBinary(event);
            assert.equal(
              fromHttp(new Headers(message.headers), message.body).get(attribute),
              text,
              `headers: ${JSON.stringify(text)}`,
            );
            assert.equal(CloudEvent.fromJSON(event.toString()).get(attribute), text);
          } else {
            assert.throws(
              make,
              (error) => isFerryError(error, "ERR_INVALID_ATTRIBUTE_VALUE") && error.attribute === attribute,
              `${way}: ${JSON.stringify(text)}`,
            );
          }
        }
      }
    }
  });
}

test("names are judged alike everywhere", () => {
  for (const name of attributes.name.good) {
    assert.equal(new CloudEvent({ ...base, [name]: "v" }).get(name), "v");
    assert.equal(
      CloudEvent.fromJSON(JSON.stringify({ specversion: "1.0", ...base, [name]: "v" })).extensions[name],
      "v",
    );
  }
  for (const name of attributes.name.bad) {
    const own = Object.fromEntries([[name, "v"]]);
    if (name !== "data")
      assert.throws(() => new CloudEvent({ ...base, ...own, [name]: "v" }), {
        code: "ERR_INVALID_ATTRIBUTE_NAME",
        attribute: name,
      });
    if (name !== "data")
      assert.throws(
        () =>
          CloudEvent.fromJSON(`{"specversion":"1.0","id":"1","source":"/s","type":"t",${JSON.stringify(name)}:"v"}`),
        { code: "ERR_INVALID_ATTRIBUTE_NAME", attribute: name },
      );
  }
});

test("headers are decoded and encoded as the vectors say", () => {
  const { decode, encode } = read("headers");
  const of = (value) =>
    fromHttp({ "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-ext": value }).get("ext");
  for (const { value, text } of decode) {
    if (text === null) assert.throws(() => of(value), { code: "ERR_INVALID_HEADER_VALUE", attribute: "ext" }, value);
    else assert.equal(of(value), text);
  }
  for (const { text, value } of encode) {
    const { headers } = toBinary(new CloudEvent({ ...base, ext: text }));
    assert.equal(headers["ce-ext"], value);
  }
});

test("Base64 is taken to the letter", () => {
  const of = (text) => CloudEvent.fromJSON(JSON.stringify({ specversion: "1.0", ...base, data_base64: text }));
  for (const text of attributes.base64.good)
    assert.deepEqual(of(text).dataBytes, new Uint8Array(Buffer.from(text, "base64")));
  for (const text of attributes.base64.bad)
    assert.throws(() => of(text), { code: "ERR_INVALID_DATA", attribute: "data_base64" }, text);
  const escaped = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AP\\/+"}`;
  assert.deepEqual(CloudEvent.fromJSON(escaped).dataBytes, new Uint8Array([0, 255, 254]));
});

test("the media types that mean JSON are those of the vectors", () => {
  const of = (type) =>
    fromHttp({ "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "content-type": type }, "[1]")
      .data;
  for (const type of attributes["json-media-type"].good) assert.deepEqual(of(type), [1], type);
  for (const type of attributes["json-media-type"].bad) assert.notDeepEqual(of(type), [1], type);
});
