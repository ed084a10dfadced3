// js/systems/bc-events/response.ts: what the machine is told of the JSON of a response.
import assert from "node:assert/strict";
import { test } from "node:test";
import { membersOf } from "../../dist/systems/bc-events/response.js";

const linesOf = (body) => membersOf(typeof body === "string" ? new TextEncoder().encode(body) : body).split("\n");

test("the members that decide are told, and no others", () => {
  for (const [body, ...lines] of [
    ["{}", "json: "],
    ["[]", "json: "],
    ["7", "json: "],
    ["null", "json: "],
    [' {"eventId":"e1","jobId":"j1"}', "json: "],
    ['{"failedRecords":0}', "json: ", "failed: 0"],
    ['{"failedRecords":0.0,"records":[]}', "json: ", "failed: 0", "records: "],
    ['{"failedRecords":"0"}', "json: ", 'failed: "0"'],
    ['{"failedRecords":null}', "json: ", "failed: null"],
    ['{"failedRecords":"a\\nb"}', "json: ", 'failed: "a\\nb"'],
    ['{"failedRecords":{"a":[1]},"records":{}}', "json: ", 'failed: {"a":[1]}'],
    ['{"errorType":"X"}', "json: ", "error: X"],
    ['{"errorType":7}', "json: "],
    ['{"errorType":"X\\nrecords: "}', "json: ", "error: X records: "],
  ])
    assert.deepEqual(linesOf(body), [...lines, ""], body);
});

test("each record is a line, with its name if it has one", () => {
  const records = ["Success", "", "a\nrecord: Success", { errorType: "X" }, { errorType: 7 }, {}, null, 7, ["Success"]];
  assert.deepEqual(linesOf(JSON.stringify({ records })), [
    "json: ",
    "records: ",
    "record: Success",
    "record: ",
    "record: a record: Success",
    "record: X",
    ...Array(5).fill("unnamed: "),
    "",
  ]);
  assert.deepEqual(linesOf('{"records":["Succ\\u0065ss"]}').slice(2), ["record: Success", ""]);
});

test("a body that is not JSON has no lines", () => {
  for (const body of ["", "OK", "<html>", '{"failedRec', "{} x", Uint8Array.of(123, 34, 255, 34, 58, 49, 125)])
    assert.deepEqual(linesOf(body), [""]);
});
