// js/systems/bc-events/response.ts: what the machine is told of the JSON of a response.
import assert from "node:assert/strict";
import { test } from "node:test";
import { membersOf } from "../../dist/systems/bc-events/response.js";

const linesOf = (body) => membersOf(typeof body === "string" ? new TextEncoder().encode(body) : body).split("\n");

test("the members that decide are told, and no others", () => {
  for (const [body, ...lines] of [
    ["{}", "{"],
    ["[]", "{"],
    ["7", "{"],
    ["null", "{"],
    [' {"eventId":"e1","jobId":"j1"}', "{"],
    ['{"failedRecords":0}', "{", "#0"],
    ['{"failedRecords":0.0,"records":[]}', "{", "#0", "["],
    ['{"failedRecords":"0"}', "{", '#"0"'],
    ['{"failedRecords":null}', "{", "#null"],
    ['{"failedRecords":"a\\nb"}', "{", '#"a\\nb"'],
    ['{"failedRecords":1e999}', "{", "#Infinity"],
    ['{"failedRecords":{"a":[1]},"records":{}}', "{", "#{}"],
    ['{"errorType":"X"}', "{", "!X"],
    ['{"errorType":7}', "{"],
    ['{"errorType":"X\\n["}', "{", "!X ["],
  ])
    assert.deepEqual(linesOf(body), [...lines, ""], body);
});

test("each record is a line, with its name if it has one", () => {
  const records = ["Success", "", 'a\n"Success', { errorType: "X" }, { errorType: 7 }, {}, null, 7, ["Success"]];
  assert.deepEqual(linesOf(JSON.stringify({ records })), [
    "{",
    "[",
    '"Success',
    '"',
    '"a "Success',
    '"X',
    ...Array(5).fill("?"),
    "",
  ]);
  assert.deepEqual(linesOf('{"records":["Succ\\u0065ss"]}').slice(2), ['"Success', ""]);
});

test("a body that is not JSON has no lines", () => {
  for (const body of [
    "",
    "OK",
    "<html>",
    '{"failedRec',
    '{"a":"}',
    '{"a":{}',
    "x {}",
    Uint8Array.of(123, 34, 255, 34, 58, 49, 125),
  ])
    assert.deepEqual(linesOf(body), [""]);
});

test("text behind the object does not count as a response that was cut", () => {
  for (const rest of ["x", " }", '{"failedRecords":2}', "<!-- proxy -->", '"'])
    assert.deepEqual(linesOf(`{"eventId":"}\\"","a":{},"failedRecords":0}${rest}`), ["{", "#0", ""], rest);
});

test("a response of quotes that is cut takes no longer than its length", () => {
  for (const end of ["", "\\"]) assert.deepEqual(linesOf(`{"${'\\"'.repeat(500_000)}${end}`), [""]);
});

test("a response of many records, or nested deep, is read without an error", () => {
  const many = 300_000;
  assert.equal(linesOf(`{"records":[${"1,".repeat(many)}1]}`).length, many + 4);
  const nested = "[".repeat(many) + "]".repeat(many);
  // An engine that cannot parse it takes it for a response that was cut.
  assert.ok([["{", "#{}", ""], [""]].some((lines) => lines.join() === linesOf(`{"failedRecords":${nested}}`).join()));
});
