// One exchange: how much of an answer is read, and what becomes of one that breaks off or never ends.
import assert from "node:assert/strict";
import { test } from "node:test";
import "eventferry";
import { startExchange } from "../../dist/platform/fetch.js";
import { fullGlue } from "../../dist/engine/instance.js";
import { setTimeout as rest } from "node:timers/promises";
import { never } from "./outbox-fixtures.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const fly = (fetch, plan = {}) =>
  startExchange(fullGlue(), fetch, {
    url: "https://example.com/x",
    headers: "content-type: text/plain",
    body: bytes("hi"),
    timeoutMs: 5000,
    ...plan,
  });
/** What an exchange with this answer ends with; its body as text. */
const outcomeOf = async (answer, plan) => {
  const { body, ...outcome } = await fly(async () => answer, plan).outcome;
  return body ? { ...outcome, text: new TextDecoder().decode(body) } : outcome;
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

test("carries a request and its answer", async () => {
  const echo = async (request) =>
    new Response(
      [request.method, request.url, request.headers.get("content-type"), request.redirect, await request.text()].join(
        " ",
      ),
      { status: 201, headers: { "retry-after": "3", "x-a": "1" } },
    );
  const { body, ...outcome } = await fly(echo, { responseHeaders: "x-a x-none" }).outcome;
  assert.deepEqual(outcome, { kind: "response", status: 201, retryAfterMs: 3000, headers: "x-a: 1\n" });
  assert.equal(new TextDecoder().decode(body), "POST https://example.com/x text/plain manual hi");
});

test("reads no more of an answer than the limit and cancels the rest", async () => {
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
  await rest();
  assert.equal(cancelled, 3);
});

test("an answer in many pieces, in one and in none is read whole", async () => {
  assert.equal((await outcomeOf(new Response(streamOf("a", "", "bc", "d")))).text, "abcd");
  assert.equal((await outcomeOf(new Response("whole"))).text, "whole");
  assert.equal((await outcomeOf(new Response(null, { status: 204 }))).text, "");
  assert.equal((await outcomeOf(new Response(""))).text, "");
});

test("a body that breaks off still has a status, unless all of it is needed", async () => {
  const gone = new Error("gone");
  const broken = (status) => new Response(streamOf("hi", gone), { status });
  assert.deepEqual(await outcomeOf(broken(500)), {
    kind: "response",
    status: 500,
    retryAfterMs: -1,
    headers: "",
    text: "hi",
  });
  assert.equal((await outcomeOf(broken(200))).text, "hi");
  assert.deepEqual(await outcomeOf(broken(200), { needsBody: true }), { kind: "failure", why: "network", cause: gone });
  assert.equal((await outcomeOf(broken(503), { needsBody: true })).status, 503);
});

test("a stream of no bytes, and a body that somebody reads already, count as no body", async () => {
  assert.deepEqual((await outcomeOf(new Response(streamOf({ not: "bytes" })))).text, "");
  const taken = new Response("taken");
  taken.body.getReader();
  assert.deepEqual(await outcomeOf(taken), { kind: "response", status: 200, retryAfterMs: -1, headers: "", text: "" });
});

test("an answer whose body never ends counts with its status when the time is up", async () => {
  let kept;
  const hanging = async (request) => {
    // Node lets go of a request, and of its signal, when nobody holds it.
    kept = request;
    return new Response(
      new ReadableStream({
        start: (controller) => {
          controller.enqueue(bytes("so far"));
          kept.signal.addEventListener("abort", () => controller.error(kept.signal.reason));
        },
      }),
      { status: 202 },
    );
  };
  const { body, ...outcome } = await fly(hanging, { timeoutMs: 20 }).outcome;
  assert.deepEqual([outcome.kind, outcome.status, new TextDecoder().decode(body)], ["response", 202, "so far"]);
  const deaf = async () => new Response(new ReadableStream({ pull: never }));
  assert.deepEqual(await fly(deaf, { timeoutMs: 20 }).outcome, { kind: "failure", why: "timeout" });
});
