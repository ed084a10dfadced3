// The scanner of the built module accepts exactly the texts that `JSON.parse` accepts: the cases of RFC 8259 in
// tests/vectors/json_texts.json and mutations of them. `tests/native/json_texts.rs` compares it with serde_json.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { CloudEvent, fromHttp, isFerryError } from "eventferry/cloudevents";
import { vectorPath } from "../vectors.mjs";

const groups = JSON.parse(readFileSync(vectorPath("json_texts"), "utf8"));
const textsOf = (part) => Object.values(groups[part]).flat();
const accepted = textsOf("accepted").map((text) => Buffer.from(text));
const rejected = [
  ...textsOf("rejected").map((text) => Buffer.from(text)),
  ...textsOf("rejectedBytes").map((digits) => Buffer.from(digits, "hex")),
];

const HEADERS = {
  "ce-specversion": "1.0",
  "ce-id": "1",
  "ce-source": "/",
  "ce-type": "t",
  "content-type": "application/json",
};
const HEAD = Buffer.from('{"specversion":"1.0","id":"1","source":"/","type":"t","data":');
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isAccepted(run) {
  try {
    run();
    return true;
  } catch {
    return false;
  }
}

/** The verdict of `JSON.parse` on bytes. */
const expected = (bytes) => isAccepted(() => JSON.parse(decoder.decode(bytes)));

/** The verdict of the scanner on a body: one that is JSON is written as such, any other as Base64. */
function isJsonBody(bytes) {
  return "data" in JSON.parse(fromHttp(HEADERS, new Uint8Array(bytes)).toString());
}

/** The verdict of the scanner on the data of an event, from bytes and, if they are UTF-8, from text. */
function isJsonData(bytes) {
  const whole = Buffer.concat([HEAD, bytes, Buffer.from("}")]);
  const inputs = [new Uint8Array(whole)];
  if (isAccepted(() => decoder.decode(bytes))) inputs.push(whole.toString());
  const verdicts = inputs.map((input) => {
    try {
      CloudEvent.fromJSON(input);
      return true;
    } catch (error) {
      assert.ok(isFerryError(error, "ERR_INVALID_EVENT"), `${error}`);
      return false;
    }
  });
  assert.equal(new Set(verdicts).size, 1, `${whole}`);
  return verdicts[0];
}

const hasBom = (bytes) => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;

test("the cases of RFC 8259 have the verdict of JSON.parse", () => {
  assert.ok(accepted.length > 120 && rejected.length > 300, `${accepted.length} and ${rejected.length}`);
  for (const [texts, verdict] of [
    [accepted, true],
    [rejected, false],
  ])
    for (const text of texts) {
      const label = JSON.stringify(text.toString());
      assert.equal(expected(text), verdict, `JSON.parse, ${label}`);
      assert.equal(isJsonData(text), verdict, `data, ${label}`);
      // A byte order mark before a body is not part of it, and an empty body is no data.
      if (text.length > 0 && !hasBom(text)) assert.equal(isJsonBody(text), verdict, `body, ${label}`);
    }
});

test("mutations of the cases have the verdict of JSON.parse", () => {
  const all = [...accepted, ...rejected].filter((text) => text.length > 0);
  const special = Buffer.from([...'"\\{}[],:0123456789.-+eEu tfn\n\0\x1f\x7f'].map((char) => char.charCodeAt(0)));
  const bytes = Buffer.concat([special, Buffer.from([0x80, 0xbf, 0xc3, 0xe2, 0xed, 0xf0, 0xff])]);
  let seed = 8259;
  const below = (limit) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  let count = 0;
  for (let round = 0; round < 20_000; round++) {
    const text = all[round % all.length];
    const at = below(text.length + 1);
    const other = [Buffer.of(bytes[below(bytes.length)]), all[below(all.length)], Buffer.of()][below(3)];
    const mutated = Buffer.concat([text.subarray(0, at), other, text.subarray(at + below(2))]);
    if (mutated.length === 0 || hasBom(mutated)) continue;
    const verdict = expected(mutated);
    count += Number(verdict);
    assert.equal(isJsonBody(mutated), verdict, JSON.stringify(mutated.toString()));
  }
  assert.ok(count > 1_000 && count < 19_000, `${count}`);
});

test("data that was accepted is what JSON.parse returns; of names that repeat, the last one counts", () => {
  for (const text of Object.values(groups.accepted).flat()) {
    const data = CloudEvent.fromJSON(`${HEAD}${text}}`).data;
    assert.deepEqual(data, JSON.parse(text), text);
  }
});
