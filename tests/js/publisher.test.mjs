// Publishing with send, to a fake server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { batchFromRequest, CloudEvent, contentMode, fromRequest, Publisher } from "eventferry";
import { sleep, virtualTime } from "./virtual-clock.mjs";

virtualTime();

const url = "https://example.com/events?access_token=s3cret";
const event = (id = "1") => new CloudEvent({ id, type: "t", source: "/s", data: { a: 1 } });
const answering = (...answers) => {
  const requests = [];
  const fetch = async (...args) => {
    const request = new Request(...args);
    requests.push(request.clone());
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (typeof answer === "function") return answer(request);
    if (answer instanceof Error) throw answer;
    return typeof answer === "number"
      ? new Response(answer === 204 ? null : "error text of the server", { status: answer })
      : answer.clone();
  };
  return { requests, fetch };
};
const hanging = (request) =>
  new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason)));

test("send delivers in every mode and returns the status", async () => {
  const { requests, fetch } = answering(202);
  const publisher = new Publisher({ url, fetch, headers: { authorization: "Bearer t0ken", "ce-id": "not ours" } });
  assert.deepEqual(await publisher.send(event()), { status: 202, attempts: 1, ids: ["1"] });
  await publisher.send(event(), { mode: "structured", headers: async () => ({ "x-more": "y" }) });
  assert.deepEqual((await publisher.send([event("1"), event("2")])).ids, ["1", "2"]);
  assert.deepEqual(
    requests.map(({ headers }) => contentMode(headers)),
    ["binary", "structured", "batch"],
  );
  assert.deepEqual(
    requests.map(({ headers }) => headers.get("authorization")),
    Array(3).fill("Bearer t0ken"),
  );
  assert.equal(requests[1].headers.get("x-more"), "y");
  assert.equal((await fromRequest(requests[0])).id, "1");
  assert.equal((await batchFromRequest(requests[2])).length, 2);
  assert.equal(requests[0].redirect, "manual");
});

test("several events in structured mode are sent one after the other until the first failure", async () => {
  const { requests, fetch } = answering(200, 400);
  const publisher = new Publisher({ url, fetch, mode: "structured" });
  await assert.rejects(publisher.send([event("1"), event("2"), event("3")]), {
    code: "ERR_REJECTED",
    status: 400,
    message: /1 of 3 events were delivered before/,
  });
  assert.equal(requests.length, 2);
  assert.deepEqual(await publisher.send([]), { status: 0, attempts: 0, ids: [] });
});

test("errors contain the text of the server and never a secret", async () => {
  for (const [answer, code, status] of [
    [400, "ERR_REJECTED", 400],
    [401, "ERR_UNAUTHORIZED", 401],
    [302, "ERR_REDIRECTED", 302],
    [410, "ERR_GONE", 410],
    [413, "ERR_TOO_LARGE", 413],
    [415, "ERR_UNSUPPORTED_FORMAT", 415],
    [429, "ERR_RATE_LIMITED", 429],
    [503, "ERR_UNAVAILABLE", 503],
    [new TypeError("connect refused"), "ERR_NETWORK", undefined],
  ]) {
    const publisher = new Publisher({
      url,
      fetch: answering(answer).fetch,
      headers: { authorization: "Bearer t0ken" },
    });
    await assert.rejects(publisher.send(event()), (error) => {
      assert.deepEqual([error.code, error.status], [code, status]);
      assert.ok(error.message.startsWith("POST https://example.com/events: "), error.message);
      if (status) assert.ok(error.message.includes("error text of the server"), error.message);
      else assert.equal(error.cause, answer);
      assert.ok(!/s3cret|t0ken/.test(`${error.message} ${error.stack} ${JSON.stringify(error)}`));
      return true;
    });
  }
});

test("failed requests are repeated with the same id if retry is set", async () => {
  const { requests, fetch } = answering(503, new TypeError("reset"), 202);
  const publisher = new Publisher({ url, fetch, retry: { attempts: 3, baseMs: 1 } });
  assert.deepEqual(await publisher.send(event("7")), { status: 202, attempts: 3, ids: ["7"] });
  assert.deepEqual(await Promise.all(requests.map(async (request) => (await fromRequest(request)).id)), [
    "7",
    "7",
    "7",
  ]);
});

test("a timeout ends the request, and a response that has begun still counts", async () => {
  const publisher = new Publisher({ url, fetch: answering(hanging).fetch, timeoutMs: 20 });
  await assert.rejects(publisher.send(event()), { code: "ERR_TIMEOUT", culprit: "network", retryable: true });
  const unanswered = new Publisher({ url, fetch: () => new Promise(() => {}), timeoutMs: 20 });
  await assert.rejects(unanswered.send(event()), { code: "ERR_TIMEOUT" });
  const slowBody = (_url, { signal }) =>
    new Response(
      new ReadableStream({
        start: (c) => signal.addEventListener("abort", () => c.error(signal.reason)),
      }),
      { status: 202 },
    );
  const begun = new Publisher({ url, fetch: slowBody, timeoutMs: 50 });
  assert.equal((await begun.send(event())).status, 202);
});

test("aborting rejects with the reason, before, during and between attempts", async () => {
  const reason = new Error("no longer wanted");
  const early = new Publisher({ url, fetch: answering(202).fetch, signal: AbortSignal.abort(reason) });
  await assert.rejects(early.send(event()), { code: "ERR_ABORTED", cause: reason });
  for (const answer of [hanging, 503]) {
    const { fetch, requests } = answering(answer);
    const controller = new AbortController();
    const publisher = new Publisher({
      url,
      fetch: (...args) => {
        const request = new Request(...args);
        void sleep().then(() => controller.abort(reason));
        return fetch(request);
      },
      retry: { attempts: 5, baseMs: 60_000, maxMs: 60_000 },
    });
    await assert.rejects(publisher.send(event(), { signal: controller.signal }), {
      code: "ERR_ABORTED",
      cause: reason,
    });
    assert.ok(requests.length <= 2);
  }
});

test("closing aborts requests in flight and refuses later ones", async () => {
  const publisher = new Publisher({ url, fetch: answering(hanging).fetch });
  const pending = publisher.send(event());
  await Promise.resolve();
  const rejected = assert.rejects(pending, { code: /ERR_ABORTED|ERR_CLOSED/ });
  await sleep();
  publisher.close();
  publisher.close();
  await rejected;
  await assert.rejects(publisher.send(event()), { code: "ERR_CLOSED" });
});

test("more than maxInFlight events are refused, and the others are delivered", async () => {
  let release;
  const gate = new Promise((resolve) => {
    release = resolve;
  });
  const publisher = new Publisher({
    url,
    fetch: async () => {
      await gate;
      return new Response(null, { status: 202 });
    },
    maxInFlight: 2,
  });
  const sends = ["1", "2", "3"].map((id) => publisher.send(event(id)));
  await assert.rejects(sends[2], { code: "ERR_QUEUE_FULL" });
  release();
  assert.deepEqual(
    (await Promise.all(sends.slice(0, 2))).map(({ status }) => status),
    [202, 202],
  );
});

test("bad options are refused by name when the publisher is made", () => {
  for (const [options, message] of [
    [undefined, /the options of .* must be an object/],
    [{ url: "/relative" }, /absolute URL/],
    [{ url: "ftp://x" }, /an http or https URL/],
    [{ url: "https://me:pw@example.com" }, /user name or password/],
    [{ url, timeoutMs: 0 }, /timeoutMs/],
    [{ url, timeoutMs: "5" }, /timeoutMs/],
    [{ url, retry: { attempts: 0 } }, /retry\.attempts/],
    [{ url, retry: { attempts: 1.5 } }, /retry\.attempts/],
    [{ url, retry: { baseMs: "x" } }, /retry\.baseMs/],
    [{ url, retry: { tries: 2 } }, /retry has no option "tries"/],
    [{ url, maxInFlight: 0 }, /maxInFlight/],
    [{ url, fetch: "x" }, /fetch/],
  ]) {
    assert.throws(
      () => new Publisher(options),
      (error) => error.code === "ERR_INVALID_ARGUMENT" && message.test(error.message) && !error.message.includes("pw"),
    );
  }
});

test("invalid headers are refused without showing them", async () => {
  const headers = { authorization: "Bearer t0ken\n" + "x\r\ny" };
  const hidden = (error) => error.code === "ERR_INVALID_ARGUMENT" && !error.message.includes("t0ken");
  assert.throws(() => new Publisher({ url, headers }), hidden);
  const publisher = new Publisher({ url, fetch: answering(202).fetch, headers: () => headers });
  await assert.rejects(publisher.send(event()), hidden);
});

test("an unknown option is refused by name", () => {
  assert.throws(() => new Publisher({ url, timeout: 5 }), {
    code: "ERR_INVALID_ARGUMENT",
    message: /"timeout".*timeoutMs/,
  });
});

test("thousands of concurrent events all arrive", async () => {
  const seen = new Set();
  let requests = 0;
  const publisher = new Publisher({
    url,
    maxInFlight: 5000,
    fetch: async (...args) => {
      const request = new Request(...args);
      seen.add(request.headers.get("ce-id"));
      return new Response(null, { status: requests++ % 10 ? 202 : 503 });
    },
    retry: { attempts: 20, baseMs: 1 },
  });
  const done = await Promise.all(Array.from({ length: 3000 }, (_, id) => publisher.send(event(String(id)))));
  assert.ok(done.every(({ status }) => status === 202));
  assert.equal(seen.size, 3000);
});

test("a response with status 207 that refuses some events of a batch rejects send", async () => {
  const results = (...statuses) => Response.json({ results: statuses.map((status) => ({ status })) }, { status: 207 });
  const send = (response, count = 3) =>
    new Publisher({ url, fetch: answering(response).fetch }).send(
      Array.from({ length: count }, (_, n) => event(`e${n}`)),
    );
  assert.deepEqual((await send(results(202, 200, 204))).ids, ["e0", "e1", "e2"]);
  await assert.rejects(send(results(202, 400, 503)), {
    code: "ERR_REJECTED",
    status: 207,
    message: /did not accept 2 of 3 events: "e1" with 400, "e2" with 503/,
  });
  await assert.rejects(send(results(202, 429, 503)), { code: "ERR_UNAVAILABLE", retryable: true });
  await assert.rejects(send(results(202)), { code: "ERR_UNAVAILABLE" });
  await assert.rejects(send(new Response("x", { status: 207 })), { code: "ERR_UNAVAILABLE" });
  const byId = Array.from({ length: 200 }, (_, n) => ({
    id: `e${199 - n}`,
    status: n === 0 ? 422 : 202,
    note: "x".repeat(300),
  }));
  await assert.rejects(send(Response.json(byId, { status: 207 }), 200), {
    message: /1 of 200 events: "e199" with 422/,
  });
});
