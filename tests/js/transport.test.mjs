// js/platform/fetch.ts: how much of a response is read, and responses that break off or never end.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { startExchange } from "../../dist/platform/fetch.js";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const bytes = (text) => new TextEncoder().encode(text);
const start = (fetch, plan = {}) =>
  startExchange(fetch, {
    url: "https://example.com/x",
    headers: "content-type: text/plain",
    body: bytes("hi"),
    timeoutMs: 5000,
    ...plan,
  });
const textOf = (chunks) => new TextDecoder().decode(Buffer.concat(chunks));

/** The outcome of an exchange with this response, with its body as text. */
const outcomeOf = async (response, plan) => {
  const { chunks, ...outcome } = await start(async () => response, plan).outcome;
  return chunks ? { ...outcome, text: textOf(chunks) } : outcome;
};
const streamOf = (...chunks) =>
  new ReadableStream({
    pull(controller) {
      const chunk = chunks.shift();
      if (chunk instanceof Error) controller.error(chunk);
      else if (chunk === undefined) controller.close();
      else controller.enqueue(typeof chunk === "string" ? bytes(chunk) : chunk);
    },
  });

test("an exchange sends the request and returns the response", async () => {
  const echo = async (url, { method, headers, redirect, body }) =>
    new Response([method, url, headers.get("content-type"), redirect, new TextDecoder().decode(body)].join(" "), {
      status: 201,
      headers: { "retry-after": "3", "x-a": "1" },
    });
  const { chunks, ...outcome } = await start(echo, { responseHeaders: "x-a x-none" }).outcome;
  assert.deepEqual(outcome, { kind: "response", status: 201, retryAfterMs: 3000, headers: "x-a: 1\n" });
  assert.equal(textOf(chunks), "POST https://example.com/x text/plain manual hi");
});

test("each cookie of a response is a line of its own, and * stands for all headers", async () => {
  const response = () => {
    const response = new Response("", { headers: { "x-a": "1" } });
    response.headers.append("set-cookie", "a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT");
    response.headers.append("set-cookie", "b=2");
    return response;
  };
  const cookies = "set-cookie: a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT\nset-cookie: b=2\n";
  const named = await outcomeOf(response(), { responseHeaders: "set-cookie x-a" });
  assert.equal(named.headers, `${cookies}x-a: 1\n`);
  const all = await outcomeOf(response(), { responseHeaders: "*" });
  assert.equal(all.headers, `content-type: text/plain;charset=UTF-8\n${cookies}x-a: 1\n`);
});

test("a body is read up to the limit and then cancelled", async () => {
  let cancelled = 0;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(bytes("0123456789")),
        cancel: () => void cancelled++,
      }),
    );
  assert.equal((await outcomeOf(endless(), { maxResponseBytes: 25 })).text, "0123456789012345678901234");
  assert.equal((await outcomeOf(endless(), { maxResponseBytes: 10 })).text, "0123456789");
  assert.equal((await outcomeOf(endless(), { maxResponseBytes: 0 })).text, "");
  await sleep();
  assert.equal(cancelled, 3);
});

test("a body of many chunks, one chunk or none is read completely", async () => {
  assert.equal((await outcomeOf(new Response(streamOf("a", "", "bc", "d")))).text, "abcd");
  assert.equal((await outcomeOf(new Response("whole"))).text, "whole");
  assert.equal((await outcomeOf(new Response(null, { status: 204 }))).text, "");
  assert.equal((await outcomeOf(new Response(""))).text, "");
});

test("a response whose body breaks off counts, unless the body is needed", async () => {
  const error = new Error("connection lost");
  const breakingOff = (status) => new Response(streamOf("hi", error), { status });
  assert.deepEqual(await outcomeOf(breakingOff(500)), {
    kind: "response",
    status: 500,
    retryAfterMs: -1,
    headers: "",
    text: "hi",
  });
  assert.equal((await outcomeOf(breakingOff(200))).text, "hi");
  assert.deepEqual(await outcomeOf(breakingOff(200), { needsBody: true }), {
    kind: "failure",
    reason: "network",
    cause: error,
  });
  assert.equal((await outcomeOf(breakingOff(503), { needsBody: true })).status, 503);
});

test("the body of a Response may be a stream of Node, as that of node-fetch", async () => {
  const responseWith = (body) => ({ status: 200, headers: new Headers(), body });
  assert.equal((await outcomeOf(responseWith(Readable.from([bytes("he"), bytes("llo")])))).text, "hello");
  const long = Readable.from([bytes("hello"), bytes("more")]);
  assert.equal((await outcomeOf(responseWith(long), { maxResponseBytes: 3 })).text, "hel");
  await sleep();
  assert.ok(long.destroyed);
});

test("a stream without bytes and a locked body count as empty", async () => {
  assert.deepEqual((await outcomeOf(new Response(streamOf({ not: "bytes" })))).text, "");
  const taken = new Response("taken");
  taken.body.getReader();
  assert.deepEqual(await outcomeOf(taken), { kind: "response", status: 200, retryAfterMs: -1, headers: "", text: "" });
});

test("a response whose body never ends counts after the timeout if the fetch can be aborted", async () => {
  const hanging = async (_url, { signal }) =>
    new Response(
      new ReadableStream({
        start: (controller) => {
          controller.enqueue(bytes("so far"));
          signal.addEventListener("abort", () => controller.error(signal.reason));
        },
      }),
      { status: 202 },
    );
  const { chunks, ...outcome } = await start(hanging, { timeoutMs: 20 }).outcome;
  assert.deepEqual([outcome.kind, outcome.status, textOf(chunks)], ["response", 202, "so far"]);
  const ignoringAbort = async () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) }));
  assert.deepEqual(await start(ignoringAbort, { timeoutMs: 20 }).outcome, { kind: "failure", reason: "timeout" });
});
