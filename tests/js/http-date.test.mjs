// js/platform/http-date.ts: what counts as a date in a header, and what Retry-After asks for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readHttpDate, readRetryAfter } from "../../dist/platform/http-date.js";
import { startVirtualClock } from "./virtual-clock.mjs";

test("an IMF-fixdate is read, and no other form", () => {
  for (const [text, at] of [
    ["Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000],
    ["Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800_000],
    ["Mon, 29 Feb 2024 00:00:00 GMT", 1_709_164_800_000],
    ["Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_799_000],
    ["Thu, 01 Jan 1970 00:01:00 GMT", 60_000],
  ])
    assert.equal(readHttpDate(text), at, text);
  for (const text of [
    "",
    "now",
    "Thu, 01 Jan 1970",
    "Thu, 29 Feb 2023 00:00:00 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Sun, 06 anF 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 CET",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Wed, 31 Dec 1969 23:59:59 GMT",
    "1994-11-06T08:49:37Z",
  ])
    assert.ok(Number.isNaN(readHttpDate(text)), text);
});

test("Retry-After has seconds or a date", () => {
  assert.equal(readRetryAfter("120"), 120_000);
  assert.equal(readRetryAfter(" 0 "), 0);
  assert.equal(readRetryAfter("9".repeat(20)), Number("9".repeat(20)) * 1000);
  for (const [unixMs, delay] of [
    [15_000, 45_000],
    [90_000, 0],
  ]) {
    const clock = startVirtualClock({ unixMs });
    try {
      assert.equal(readRetryAfter("Thu, 01 Jan 1970 00:01:00 GMT"), delay);
    } finally {
      clock.stop();
    }
  }
  for (const bad of ["", "soon", "-1", "1.5", "Thu, 32 Jan 1970 00:00:00 GMT", "Thu, 01 Foo 1970 00:00:00 GMT"])
    assert.equal(readRetryAfter(bad), -1, bad);
});
