// The rules of attributes and headers through the public API, against the vectors that the Rust tests use as well.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CloudEvent, fromHttp, isFerryError, toBinary } from "eventferry/cloudevents";

const read = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));
const attributes = read("attributes");
const base = { id: "1", source: "/s", type: "t", time: null };

/** For each format an attribute that has it. */
const ATTRIBUTES = {
  text: ["ext", (value) => ({ ext: value })],
  "uri-reference": ["source", (value) => ({ source: value })],
  uri: ["dataschema", (value) => ({ dataschema: value })],
  timestamp: ["time", (value) => ({ time: value })],
  "media-type": ["datacontenttype", (value) => ({ datacontenttype: value })],
};

for (const [format, [attribute, initWith]] of Object.entries(ATTRIBUTES)) {
  test(`constructor, JSON and headers accept the same texts as ${format}`, () => {
    for (const [group, isValid] of [
      ["good", true],
      ["bad", false],
    ]) {
      for (const text of attributes[format][group]) {
        if (text === "" && format !== "text") continue; // has other rules
        const init = { ...base, ...initWith(text) };
        const json = JSON.stringify({ specversion: "1.0", ...init, time: init.time ?? undefined });
        const decoders = { constructor: () => new CloudEvent(init), JSON: () => CloudEvent.fromJSON(json) };
        // Twice, because a text that was accepted is not checked again.
        for (const [name, create] of [...Object.entries(decoders), ...Object.entries(decoders)]) {
          if (isValid) {
            const event = create();
            assert.equal(event.get(attribute), text, `${name}: ${JSON.stringify(text)}`);
            const message = toBinary(event);
            assert.equal(
              fromHttp(new Headers(message.headers), message.body).get(attribute),
              text,
              `headers: ${JSON.stringify(text)}`,
            );
            assert.equal(CloudEvent.fromJSON(event.toString()).get(attribute), text);
          } else {
            assert.throws(
              create,
              (error) => isFerryError(error, "ERR_INVALID_ATTRIBUTE_VALUE") && error.attribute === attribute,
              `${name}: ${JSON.stringify(text)}`,
            );
          }
        }
      }
    }
  });
}

test("constructor and JSON accept the same attribute names", () => {
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

test("headers are decoded and encoded as in the vectors", () => {
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

test("Base64 must have padding and no unused bits", () => {
  const of = (text) => CloudEvent.fromJSON(JSON.stringify({ specversion: "1.0", ...base, data_base64: text }));
  for (const text of attributes.base64.good)
    assert.deepEqual(of(text).dataBytes, new Uint8Array(Buffer.from(text, "base64")));
  for (const text of attributes.base64.bad)
    assert.throws(() => of(text), { code: "ERR_INVALID_DATA", attribute: "data_base64" }, text);
  const escaped = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AP\\/+"}`;
  assert.deepEqual(CloudEvent.fromJSON(escaped).dataBytes, new Uint8Array([0, 255, 254]));
});

test("the JSON media types are those of the vectors", () => {
  const of = (type) =>
    fromHttp({ "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "content-type": type }, "[1]")
      .data;
  for (const type of attributes["json-media-type"].good) assert.deepEqual(of(type), [1], type);
  for (const type of attributes["json-media-type"].bad) assert.notDeepEqual(of(type), [1], type);
});
